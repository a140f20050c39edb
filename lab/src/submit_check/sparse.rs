// SPDX-License-Identifier: GPL-2.0

//! sparse, as new as the kernel needs it.
//!
//! The sparse of Debian 12 knows no `__typeof_unqual__`: it stops at the first header and
//! says nothing about any file. Debian's unstable release has the source of one that does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::builds;
use super::sides::{self, Found, lines_with, must};
use crate::apt::Apt;
use crate::ctx::Ctx;
use crate::report::Check;
use crate::session::Session;
use crate::toolchain::jobs;
use crate::ui;

/// How the names of its source begin.
const SOURCE: &str = "sparse_";
const SOURCE_END: &str = ".orig.tar.gz";

/// The touched files, by a sparse that is shown to find mistakes.
pub(super) fn row(session: &Session<'_>) -> Result<Check> {
    let program = program(session.ctx)?;
    let claim = "sparse (C=2): nothing new in the touched files";
    let inputs = format!(
        "{}\n{}",
        builds::consumers_inputs(session)?,
        program.display()
    );
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

/// The program, built below build/tools unless it was before.
fn program(ctx: &Ctx) -> Result<PathBuf> {
    let dl = ctx.build.join("dl");
    let tar = match downloaded(&dl)? {
        Some(tar) => tar,
        None => {
            let apt = Apt::of_unstable_sources(ctx)?;
            let versions = apt.versions("sparse")?;
            let version = versions.first().context("Debian has no source of sparse")?;
            let upstream = version
                .rsplit_once('-')
                .map_or(version.as_str(), |(own, _)| own);
            let tar = dl.join(format!("{SOURCE}{upstream}{SOURCE_END}"));
            apt.download_upstream("sparse", version, &tar)?;
            tar
        }
    };
    let name = tar.file_name().context("a file without a name")?;
    let name = name.to_string_lossy().replace(SOURCE_END, "");
    let program = ctx.build.join("tools").join(name).join("sparse");
    if program.is_file() {
        return Ok(program);
    }
    let log = ctx.fresh_log("build-sparse")?;
    let dir = program
        .parent()
        .context("a file path without a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    ui::step(
        "unpack sparse",
        &log,
        600,
        Command::new("tar")
            .arg("-xf")
            .arg(&tar)
            .arg("--strip-components=1")
            .arg("-C")
            .arg(dir),
    )?;
    // make's own rule writes the program last.
    ui::step(
        "build sparse",
        &log,
        1200,
        Command::new("make")
            .arg("-C")
            .arg(dir)
            .arg(format!("-j{}", jobs()))
            .arg("sparse"),
    )?;
    Ok(program)
}

/// The newest source that an earlier run downloaded.
fn downloaded(dl: &std::path::Path) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dl).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(SOURCE) && name.ends_with(SOURCE_END) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found.pop())
}
