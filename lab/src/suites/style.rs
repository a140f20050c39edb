// SPDX-License-Identifier: GPL-2.0

//! Formatting and lints.

use fs_err as fs;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::host::cargo;
use crate::ctx::Ctx;
use crate::git::Git;
use crate::proc;
use crate::report::Report;
use crate::session::Session;

/// Checks scripts, tools, and the Rust files that the series touches.
pub(crate) fn run(ctx: &Ctx, session: Option<&Session<'_>>, report: &mut Report) -> Result<()> {
    let log = ctx.fresh_log("style")?;
    let scripts = scripts(&ctx.root)?;
    let mut unlicensed = Vec::new();
    for dir in ["lab", "scripts", "userspace"] {
        without_licence(&ctx.root.join(dir), &mut unlicensed)?;
    }
    report.check("each source file names its licence", &unlicensed, None);
    let clippy = "clippy --quiet --locked --workspace --all-targets -- -D warnings";
    for (name, cmd) in [
        ("shellcheck", Command::new("shellcheck").args(&scripts)),
        ("shfmt", Command::new("shfmt").arg("-d").args(&scripts)),
        (
            "rustfmt of the tools",
            &mut cargo(ctx, "fmt --all -- --check"),
        ),
        ("clippy of the tools", &mut cargo(ctx, clippy)),
    ] {
        step(report, &log, name, cmd);
    }
    match session {
        Some(session) => rustfmt(session, report)?,
        None => report.fail(
            RUSTFMT,
            "the series is not applied, see the series suite",
            None,
        ),
    }
    Ok(())
}

/// The name of the one check that is about the series.
const RUSTFMT: &str = "rustfmt of the series, with the kernel's settings";

pub(crate) fn rustfmt(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let changed = session.touched(&["*.rs"])?;
    let tip = session.at(session.tip())?;
    let mut cmd = Command::new("rustfmt");
    cmd.arg("--check")
        .arg("--config-path")
        .arg(tip.dir().join(".rustfmt.toml"))
        .args(&changed)
        .current_dir(tip.dir());
    let log = session.ctx.fresh_log("rustfmt")?;
    step(report, &log, RUSTFMT, &mut cmd);
    Ok(())
}

fn step(report: &mut Report, log: &Path, name: &str, cmd: &mut Command) {
    let outcome = proc::run(name, log, cmd, |_| {});
    report.step(name, outcome, log);
}

/// Adds the source files below `dir` that have no SPDX line where the kernel wants it, in
/// the first line or after the one that names the interpreter.
fn without_licence(dir: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = path.extension().and_then(OsStr::to_str);
        if path.is_dir() {
            without_licence(&path, found)?;
        } else if matches!(kind, Some("c" | "h" | "rs" | "sh")) {
            let text = fs::read_to_string(&path)?;
            let mut head = text.lines().take(2);
            if !head.any(|line| line.contains("SPDX-License-Identifier: ")) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(())
}

/// The shell scripts of the repository, and what runs in the guest of `make system`.
fn scripts(root: &Path) -> Result<Vec<PathBuf>> {
    // That of a package reads what the guest alone has.
    let places = ["scripts", ".ci", ":!scripts/system/package"];
    let found = Git::at(root).line("grep -lE --untracked ^#!.*sh$ --", &places)?;
    Ok(found.lines().map(|path| root.join(path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_without_a_licence_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("src/a.rs", "// SPDX-License-Identifier: GPL-2.0\n");
        put("b.sh", "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n");
        put("c.md", "text\n");
        put(
            "src/d.rs",
            "fn f() {}\n\n// SPDX-License-Identifier: GPL-2.0\n",
        );
        let mut found = Vec::new();
        without_licence(dir.path(), &mut found).unwrap();
        assert_eq!(found, [dir.path().join("src/d.rs").display().to_string()]);
    }

    #[test]
    fn scripts_are_told_by_their_first_line() {
        let (dir, _git) = crate::git::tests::scratch();
        let scripts_dir = dir.path().join("scripts");
        fs::create_dir(&scripts_dir).unwrap();
        for (name, text) in [
            ("a.sh", "#!/bin/sh\n"),
            ("b", "#!/usr/bin/env bash\n"),
            ("c", "#!/usr/bin/python3\n"),
            ("d", "text\n"),
        ] {
            fs::write(scripts_dir.join(name), text).unwrap();
        }
        assert_eq!(scripts(dir.path()).unwrap().len(), 2);
    }
}
