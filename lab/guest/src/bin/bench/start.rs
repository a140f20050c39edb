// SPDX-License-Identifier: GPL-2.0

//! An interpreter's start: the files that Python opens, opened again.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::process::Command;

use anyhow::{Context, Result, bail};
use guest::bench::Line;
use uapi::O_MAYEXEC;

use crate::fixture::{ROOT, c_path, file, openat2, opens};
use crate::meter::Meter;
use crate::tell;

/// What is started. The hook sees every file that the interpreter opens after it.
const SCRIPT: &str = "\
import sys
sys.addaudithook(lambda event, args: print(args[0]) if event == 'open' else None)
import json, http.server
";

/// The files that Python opens for its imports, in order.
fn python_opens() -> Result<Vec<String>> {
    // Without site, which belongs to the machine; with the cached byte code.
    let out = Command::new("python3")
        .args(["-I", "-S", "-c", SCRIPT])
        .output()
        .context("cannot run python3")?;
    if !out.status.success() {
        bail!("python3: {}", String::from_utf8_lossy(&out.stderr));
    }
    let text = String::from_utf8(out.stdout).context("python3 prints no text")?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with('/'))
        .map(str::to_owned)
        .collect())
}

/// Opens the files in three ways, each time all of them.
pub(crate) fn run(meter: &Meter<'_>, flag: bool) -> Result<()> {
    let opened = python_opens()?;
    if opened.is_empty() {
        bail!("python3 opened no file to import json and http.server");
    }
    let mut paths: Vec<CString> = Vec::new();
    for path in &opened {
        let copy = format!("{ROOT}/tmpfs/start{path}");
        if let Some((dir, _)) = copy.rsplit_once('/') {
            fs::create_dir_all(dir)?;
        }
        file(&copy, 0o755)?;
        paths.push(c_path(copy)?);
    }
    tell(&Line::Fact(
        "files that python3 opens for json and http.server".to_owned(),
        paths.len().to_string(),
    ))?;
    meter.count_sum("start/plain", &paths, |path| opens(openat2(path, 0)))?;
    if flag {
        meter.count_sum("start/flagged", &paths, |path| {
            opens(openat2(path, O_MAYEXEC))
        })?;
    }
    meter.count_sum("start/execve-check", &paths, |path| {
        let fd = openat2(path, 0)?;
        Ok(uapi::execve_check(
            fd.as_raw_fd(),
            c"",
            libc::AT_EMPTY_PATH,
        )?)
    })
}
