// SPDX-License-Identifier: GPL-2.0

//! Whole programs, as a check that nothing else got slower.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use guest::bench::Line;

use crate::fixture::{ROOT, bind, quietly};
use crate::meter::Meter;
use crate::tell;

/// The version that a program prints.
fn version(program: &str) -> Result<String> {
    let out = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Copies a program with its libraries below `root`; the words that start it there.
fn copy_program(program: &str, root: &str) -> Result<Vec<String>> {
    let path = format!("/usr/bin/{program}");
    let out = Command::new("ldd").arg(&path).output().context("ldd")?;
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    fs::create_dir_all(format!("{root}/lib"))?;
    let mut loader = None;
    let libraries = out
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .chain([path.as_str()]);
    for library in libraries {
        let name = library.rsplit('/').next().unwrap_or_default();
        let copy = format!("/lib/{name}");
        fs::copy(library, format!("{root}{copy}"))
            .with_context(|| format!("cannot copy {library}"))?;
        if name.starts_with("ld-linux") {
            loader = Some(copy);
        }
    }
    let loader = loader.with_context(|| format!("{program} has no loader: {out}"))?;
    let program = format!("/lib/{program}");
    Ok([&loader, "--library-path", "/lib", &program]
        .map(str::to_owned)
        .to_vec())
}

/// `git status` on a copy of `tree`, in memory. The process is left in a root directory
/// that has nothing but git.
pub(crate) fn run(meter: &Meter<'_>, tree: Option<&Path>) -> Result<()> {
    let Some(tree) = tree else {
        return Ok(());
    };
    tell(&Line::Fact("git".to_owned(), version("git")?))?;
    let root = format!("{ROOT}/tmpfs/root");
    fs::create_dir_all(format!("{root}/dev"))?;
    bind("/dev", &format!("{root}/dev"))?;
    quietly(
        Command::new("cp")
            .arg("-r")
            .arg(tree)
            .arg(format!("{root}/tree")),
    )?;
    let program = copy_program("git", &root)?;
    // Whoever opens a file of the host waits for the host, and meanwhile the guest's
    // clocks go on.
    rustix::process::chroot(root.as_str())?;
    std::env::set_current_dir("/tree")?;
    let git = |args: &[&str]| {
        quietly(
            Command::new(&program[0])
                .args(&program[1..])
                .args(["-c", "core.preloadIndex=false"])
                .args(args)
                .env_clear()
                .env("HOME", "/")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_OPTIONAL_LOCKS", "0"),
        )
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    // Files as old as the index would be read again and again.
    std::thread::sleep(std::time::Duration::from_secs(2));
    git(&["update-index", "-q", "--refresh"])?;
    meter.count_each("whole/git-status", 1, 3, 11, || git(&["status", "-s"]))
}
