// SPDX-License-Identifier: GPL-2.0

//! The command's `watch`, running beside what it watches.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};
use serde_json::Value;

/// Where tracefs is mounted, if the kernel has it.
pub(crate) const TRACEFS: &str = "/sys/kernel/tracing";

/// Whether opens can be traced; mounts tracefs where it is missing.
pub(crate) fn traceable() -> bool {
    Path::new(TRACEFS).join("instances").is_dir()
        || mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None).is_ok()
}

/// A `mayexec watch --json` that listens.
pub(crate) struct Watch {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Open as long as the command may write to it.
    _stderr: BufReader<ChildStderr>,
}

impl Watch {
    /// Starts it and waits until it listens.
    pub(crate) fn start(mayexec: &Path, options: &[&str]) -> Result<Self> {
        let mut child = Command::new(mayexec)
            .args(["watch", "--json"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", mayexec.display()))?;
        let stdout = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        stderr.read_line(&mut String::new())?;
        Ok(Self {
            child,
            stdout,
            _stderr: stderr,
        })
    }

    /// The next open that it shows.
    pub(crate) fn event(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        parse(&line)
    }

    /// Does what Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        Ok(())
    }

    /// What it prints until it ends, and its exit code.
    pub(crate) fn rest(mut self) -> Result<(String, Option<i32>)> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        Ok((text, self.child.wait()?.code()))
    }
}

/// The opens that a text of its shows.
pub(crate) fn events(text: &str) -> Result<Vec<Value>> {
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Result<Value> {
    serde_json::from_str(line).with_context(|| line.to_owned())
}
