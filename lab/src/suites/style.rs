// SPDX-License-Identifier: GPL-2.0

//! Formatting and lints.

use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::host::cargo;
use crate::git::Git;
use crate::imports;
use crate::report::Report;
use crate::session::Session;

/// Checks scripts, tools, and the Rust files that the series touches.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let log = ctx.fresh_log("style")?;
    let scripts = scripts(&ctx.root)?;
    report.outcome("each source file names its licence", unlicensed(&ctx.root));
    imports::check(&ctx.root, report)?;
    let fmt = "fmt --all -- --check";
    let clippy = "clippy --quiet --locked --workspace --all-targets -- -D warnings";
    for (name, cmd) in [
        ("shellcheck", Command::new("shellcheck").args(&scripts)),
        ("shfmt", Command::new("shfmt").arg("-d").args(&scripts)),
        ("rustfmt of the tools", &mut cargo(ctx, fmt)),
        ("clippy of the tools", &mut cargo(ctx, clippy)),
    ] {
        report.command(name, &log, cmd);
    }
    rustfmt(session, report)
}

pub(crate) fn rustfmt(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let name = "rustfmt of the series, with the kernel's settings";
    let changed = session.touched(&["*.rs"])?;
    let tip = session.at(session.tip())?;
    let mut cmd = Command::new("rustfmt");
    let config = tip.dir().join(".rustfmt.toml");
    cmd.args(["--check", "--config-path"]).arg(config);
    cmd.args(&changed).current_dir(tip.dir());
    let log = session.ctx.fresh_log("rustfmt")?;
    report.command(name, &log, &mut cmd);
    Ok(())
}

/// The source files without an SPDX line where the kernel wants it, in the first line or after
/// the one that names the interpreter.
fn unlicensed(root: &Path) -> Result<Vec<String>> {
    let words = "ls-files --cached --others --exclude-standard --deduplicate";
    let files = Git::at(root).line(words, &["lab/", "scripts/", "userspace/"])?;
    let bare = |file: &&str| {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        let mut head = text.lines().take(2);
        !head.any(|line| line.contains("SPDX-License-Identifier: "))
    };
    let kinds = [".c", ".h", ".rs", ".sh"];
    let of_kind = |file: &&str| kinds.iter().any(|kind| file.ends_with(kind));
    let found = files.lines().filter(of_kind).filter(bare);
    Ok(found.map(str::to_owned).collect())
}

/// The shell scripts of the repository, and what runs in the guest of `make system`.
fn scripts(root: &Path) -> Result<Vec<PathBuf>> {
    // That of a package reads what the guest alone has.
    let places = ["scripts", ".ci", "lab", ":!scripts/system/package"];
    let found = Git::at(root).line("grep -lE --untracked ^#!.*sh$ --", &places)?;
    Ok(found.lines().map(|path| root.join(path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctx::write_whole;

    #[test]
    fn files_are_told_by_their_first_lines() {
        let (dir, _git) = crate::git::tests::scratch();
        for (name, text) in [
            ("lab/src/a.rs", "// SPDX-License-Identifier: GPL-2.0\n"),
            ("lab/b.rs", "\n\n// SPDX-License-Identifier: GPL-2.0\n"),
            ("lab/a.sh", "#!/bin/sh\n# SPDX-License-Identifier: X\n"),
            ("scripts/b", "#!/usr/bin/env bash\n"),
            ("scripts/c", "#!/usr/bin/python3\n"),
            ("scripts/d", "text\n"),
        ] {
            write_whole(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        assert_eq!(unlicensed(dir.path()).unwrap(), ["lab/b.rs"]);
        assert_eq!(scripts(dir.path()).unwrap().len(), 2);
    }
}
