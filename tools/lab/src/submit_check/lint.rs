//! What reads C: kernel-doc and Coccinelle.

use std::process::Command;

use anyhow::Result;

use super::builds::{self, X86_ON};
use super::sides::{self, Found, lines_with, output};
use crate::proc;
use crate::rows::Row;
use crate::suites::Session;

/// Every kernel-doc comment of the touched files is complete, or as incomplete as in the base.
pub(super) fn kernel_doc(session: &Session<'_>) -> Result<Row> {
    let claim = "kernel-doc -Wall -Werror: nothing new in the touched files";
    sides::row(session, ("kernel-doc", claim, ""), &|side| {
        let files = side.ending(&[".c", ".h"]);
        let probe = side.c_probe()?;
        let mut cmd = Command::new("python3");
        cmd.arg(side.path("scripts/kernel-doc"))
            .args(["-none", "-Wall", "-Werror"])
            .args(&files)
            .arg(super::sides::PROBE)
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
pub(super) fn coccicheck(session: &Session<'_>) -> Result<Row> {
    let claim = "coccicheck: nothing new in the touched files";
    let version = proc::capture(Command::new("spatch").arg("--version"))?;
    let inputs = format!("{}\n{version}", X86_ON.inputs(session)?);
    sides::row(session, ("coccicheck", claim, &inputs), &|side| {
        let (tools, obj) = X86_ON.prepare(session, side)?;
        let objects = builds::c_objects(&tools, side, &obj)?;
        let probe = side.c_probe()?;
        let mut make = tools.make(side.tree.dir(), &obj);
        make.args(["C=2", "CHECK=scripts/coccicheck", "MODE=report"])
            .args(&objects)
            .arg(sides::PROBE.replace(".c", ".o"));
        let text = sides::must(side, "make CHECK=scripts/coccicheck", &mut make)?;
        let findings = lines_with(&text, &["warning", "error"], &[side.tree.dir(), &obj]);
        Ok(Found {
            tried: format!("{} files", objects.len()),
            findings: probe.found(findings, "NULL check")?,
        })
    })
}
