// SPDX-License-Identifier: GPL-2.0

//! sparse, as new as the kernel needs it.

use std::process::Command;

use anyhow::Result;

use super::builds;
use super::sides::{self, Found, lines_with, must};
use crate::proc;
use crate::report::Check;
use crate::session::Session;
use crate::ui;

/// The touched files, by a sparse that is shown to find mistakes.
pub(super) fn row(session: &Session<'_>) -> Result<Check> {
    let dir = session.ctx.build.join("tools/sparse");
    ui::fetched(session.ctx, &["sparse"], &dir)?;
    let program = dir.join("sparse");
    let version = proc::capture(Command::new(&program).arg("--version"))?;
    let claim = "sparse (C=2): nothing new in the touched files";
    let inputs = format!("{}\n{version}", builds::consumers_inputs(session)?);
    sides::row(session, ("sparse", claim, &inputs), &|side| {
        let (tools, obj) = builds::consumers(session, side)?;
        let objects = builds::c_objects(tools, side, &obj)?;
        let probe = side.c_probe()?;
        let mut make = tools.make(side.tree.dir(), &obj);
        make.arg("C=2")
            .arg(format!("CHECK={}", program.display()))
            .args(&objects)
            .arg(sides::PROBE.replace(".c", ".o"));
        let text = must(side, "make C=2", &mut make)?;
        let findings = lines_with(&text, &["warning:", "error:"], &[side.tree.dir(), &obj]);
        Ok(Found {
            tried: format!("{} files", objects.len()),
            findings: probe.found(findings, "dereference of noderef")?,
        })
    })
}
