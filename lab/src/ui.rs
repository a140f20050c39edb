// SPDX-License-Identifier: GPL-2.0

//! What the user sees while a long step runs.

use std::cell::Cell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::ctx::Ctx;
use crate::proc;

/// Without a terminal, a step that is still running says so this often.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// One named step with its elapsed time and its log.
///
/// On a terminal it is one line that moves; elsewhere (CI, a pipe) it is a line
/// when it begins, one every 30 seconds, and one when it ends.
pub(crate) struct Stage {
    name: String,
    log: PathBuf,
    started: Instant,
    bar: Option<ProgressBar>,
    spoke: Cell<Instant>,
    ended: Cell<bool>,
}

impl Stage {
    pub(crate) fn begin(name: &str, log: Option<&Path>) -> Self {
        let line = match log {
            Some(log) => format!("{name} (log: {})", log.display()),
            None => name.to_owned(),
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = "{spinner} [{elapsed_precise}] {prefix}: {wide_msg}";
            bar.set_style(ProgressStyle::with_template(style).expect("a constant"));
            bar.set_prefix(name.to_owned());
            if log.is_some() {
                bar.println(&line);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            eprintln!("{line}");
        }
        Self {
            name: name.to_owned(),
            log: log.map_or_else(PathBuf::new, Path::to_owned),
            started: Instant::now(),
            bar,
            spoke: Cell::new(Instant::now()),
            ended: Cell::new(false),
        }
    }

    pub(crate) fn at(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(message.to_owned()),
            None if self.spoke.get().elapsed() >= HEARTBEAT => {
                self.spoke.set(Instant::now());
                let time = clock(self.started.elapsed());
                eprintln!("  {time} {}: {message}", self.name);
            }
            None => {}
        }
    }

    /// Runs a command of the step, whose output goes to the step's log; what it printed.
    pub(crate) fn run(&self, what: &str, cmd: &mut Command) -> Result<String> {
        proc::run(what, &self.log, cmd, |_| self.at(what))
    }

    /// As [`Stage::run`], of a command that may fail, and ends within so many seconds.
    pub(crate) fn attempt(
        &self,
        what: &str,
        seconds: u64,
        cmd: &mut Command,
    ) -> Result<(ExitStatus, String)> {
        proc::logged(what, &self.log, seconds, cmd, |_| self.at(what))
    }

    /// Runs `print` without the moving line in its way.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Ends the step with a note on what came of it.
    pub(crate) fn done(&self, note: &str) {
        self.ended.set(true);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let sep = if note.is_empty() { "" } else { ": " };
        let time = clock(self.started.elapsed());
        eprintln!("  {time} {}{sep}{note}", self.name);
    }
}

/// Runs a command as a step of its own, for so many seconds at most.
pub(crate) fn step(name: &str, log: &Path, seconds: u64, cmd: &mut Command) -> Result<()> {
    let (status, _) = attempt(name, log, seconds, cmd)?;
    proc::succeeded(name, log, status)
}

/// As [`step`], of a command that may fail: how it ended, and what it said. The last line that it
/// said is what the user sees.
pub(crate) fn attempt(
    name: &str,
    log: &Path,
    seconds: u64,
    cmd: &mut Command,
) -> Result<(ExitStatus, String)> {
    let stage = Stage::begin(name, Some(log));
    let mut last = String::new();
    let ended = proc::logged(name, log, seconds, cmd, |line| {
        if !line.is_empty() {
            line.clone_into(&mut last);
        }
        stage.at(&last);
    })?;
    stage.done(&last);
    Ok(ended)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.as_ref().filter(|_| !self.ended.get()) {
            bar.finish_and_clear();
        }
    }
}

/// A directory that scripts/fetch.sh makes of `what`, unless it is there.
pub(crate) fn fetched(ctx: &Ctx, what: &[&str], dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let name = format!("fetch {}", what.join(" "));
    let log = ctx.fresh_log(&name.replace(' ', "-"))?;
    let mut fetch = Command::new(ctx.root.join("scripts/fetch.sh"));
    step(&name, &log, 7200, fetch.args(what).arg(dir))
}

/// `m:ss`.
pub(crate) fn clock(time: Duration) -> String {
    let secs = time.as_secs();
    format!("{}:{:02}", secs / 60, secs % 60)
}
