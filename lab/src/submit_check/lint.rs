// SPDX-License-Identifier: GPL-2.0

//! What reads C: kernel-doc and Coccinelle.

use std::process::Command;

use anyhow::Result;

use super::sides::{self, Found, lines_with, must, output};
use crate::proc;
use crate::report::Check;
use crate::session::Session;

/// Every kernel-doc comment of the touched files is complete, or as incomplete as in the base.
pub(super) fn kernel_doc(session: &Session<'_>) -> Result<Check> {
    let claim = "kernel-doc -Wall -Werror: nothing new in the touched files";
    sides::row(session, ("kernel-doc", claim, ""), &|side| {
        let files = side.ending(&[".c", ".h"]);
        let probe = side.c_probe()?;
        let mut cmd = Command::new("python3");
        cmd.arg(side.path("scripts/kernel-doc"))
            .args(["-none", "-Wall", "-Werror"])
            .args(&files)
            .arg(sides::PROBE)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(side.tree.dir());
        let (_, text) = output(side, "kernel-doc", &mut cmd)?;
        let findings = lines_with(&text, &["warning:", "error:"], &[side.tree.dir()]);
        Ok(Found {
            tried: format!("{} files", files.len()),
            findings: probe.found(findings, "not described")?,
        })
    })
}

/// Every semantic patch of the kernel, on every touched file.
pub(super) fn coccicheck(session: &Session<'_>) -> Result<Check> {
    let claim = "coccicheck: nothing new in the touched files";
    let version = proc::capture(Command::new("spatch").arg("--version"))?;
    sides::row(session, ("coccicheck", claim, &version), &|side| {
        let files = side.ending(&[".c"]);
        let probe = side.c_probe()?;
        // As `make C=2 CHECK=scripts/coccicheck` does for one file; with the others beside
        // it, each semantic patch is read once and not once a file.
        let mut cmd = Command::new("bash");
        cmd.args(["scripts/coccicheck", sides::PROBE])
            .current_dir(side.tree.dir())
            .env("srctree", side.tree.dir())
            .env("LINUXINCLUDE", "-I./include -I./include/uapi")
            .env("SPFLAGS", files.join(" "))
            .envs([("C", "2"), ("MODE", "report"), ("LC_ALL", "C.UTF-8")]);
        let text = must(side, "coccicheck", &mut cmd)?;
        let findings = lines_with(&text, &[".c:", ".h:"], &[side.tree.dir()]);
        Ok(Found {
            tried: format!("{} files", files.len()),
            findings: probe.found(findings, "NULL check")?,
        })
    })
}
