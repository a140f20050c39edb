// SPDX-License-Identifier: GPL-2.0

//! What reads the touched files: get_maintainer, kernel-doc, Coccinelle and sparse.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;

use super::builds::{self, Objects};
use super::sides::{self, PROBE, found, lines_with, without};
use crate::proc;
use crate::report::Check;
use crate::session::Session;
use crate::ui;
use crate::variants::CONSUMERS;

/// Each touched file has a maintainer who is not the last resort.
pub(super) fn maintainers(session: &Session<'_>) -> Result<Check> {
    let claim = "get_maintainer names a maintainer for each touched file";
    sides::row(session, ("get_maintainer", claim, ""), &|side| {
        let mut findings = BTreeSet::new();
        for file in &side.files {
            // The file of owners has none.
            if file == "MAINTAINERS" {
                continue;
            }
            let mut cmd = Command::new("perl");
            cmd.arg("scripts/get_maintainer.pl")
                .args(["--no-git", "--no-git-fallback", "--no-keywords", "-f"])
                .arg(file)
                .current_dir(side.tree.dir());
            let text = side.stage.run("get_maintainer.pl", &mut cmd)?;
            if !text.lines().any(names_a_person) {
                findings.insert(format!("{file}: no maintainer"));
            }
        }
        Ok(found(side.files.len(), "files", findings))
    })
}

/// Whether a line of get_maintainer names someone who takes patches.
fn names_a_person(line: &str) -> bool {
    let mut roles = [" (maintainer:", " (supporter:"].iter();
    roles.any(|role| line.contains(role)) && !line.contains("THE REST")
}

/// Every kernel-doc comment of the touched files is complete, or as incomplete as in the base.
pub(super) fn kernel_doc(session: &Session<'_>) -> Result<Check> {
    let claim = "kernel-doc -Wall -Werror: nothing new in the touched files";
    sides::row(session, ("kernel-doc", claim, ""), &|side| {
        let files = side.ending(&[".c", ".h"]);
        side.put_probe()?;
        let mut cmd = Command::new("python3");
        cmd.arg(side.path("scripts/kernel-doc"))
            .args(["-none", "-Wall", "-Werror"])
            .args(&files)
            .arg(PROBE)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(side.tree.dir());
        let (_, text) = side.stage.attempt("kernel-doc", &mut cmd)?;
        let findings = lines_with(&text, &["warning:", "error:"], &[side.tree.dir()]);
        let findings = without(PROBE, "not described", findings)?;
        Ok(found(files.len(), "files", findings))
    })
}

/// Every semantic patch of the kernel, on every touched file.
pub(super) fn coccicheck(session: &Session<'_>) -> Result<Check> {
    let claim = "coccicheck: nothing new in the touched files";
    let version = proc::capture(Command::new("spatch").arg("--version"))?;
    sides::row(session, ("coccicheck", claim, &version), &|side| {
        let files = side.ending(&[".c"]);
        side.put_probe()?;
        // As `make C=2 CHECK=scripts/coccicheck` does for one file; with the others beside
        // it, each semantic patch is read once and not once a file.
        let mut cmd = Command::new("bash");
        cmd.args(["scripts/coccicheck", PROBE])
            .current_dir(side.tree.dir())
            .env("srctree", side.tree.dir())
            .env("LINUXINCLUDE", "-I./include -I./include/uapi")
            .env("SPFLAGS", files.join(" "))
            .envs([("C", "2"), ("MODE", "report"), ("LC_ALL", "C.UTF-8")]);
        let text = side.stage.run("coccicheck", &mut cmd)?;
        let findings = lines_with(&text, &[".c:", ".h:"], &[side.tree.dir()]);
        let findings = without(PROBE, "NULL check", findings)?;
        Ok(found(files.len(), "files", findings))
    })
}

/// The touched files, by a sparse that is shown to find mistakes.
pub(super) fn sparse(session: &Session<'_>) -> Result<Check> {
    let dir = session.ctx.build.join("tools/sparse");
    ui::fetched(session.ctx, &["sparse"], &dir)?;
    let program = dir.join("sparse");
    let version = proc::capture(Command::new(&program).arg("--version"))?;
    let claim = "sparse (C=2): nothing new in the touched files";
    let inputs = format!("{}\n{version}", builds::inputs(session, &CONSUMERS)?);
    sides::row(session, ("sparse", claim, &inputs), &|side| {
        let all = Objects::of(session, side, &CONSUMERS)?;
        let objects = all.of_c()?;
        side.put_probe()?;
        let check = format!("CHECK={}", program.display());
        let own = PROBE.replace(".c", ".o");
        let words = ["C=2", &check, &own].into_iter();
        let words = words.chain(objects.iter().map(String::as_str));
        let text = all.make("make C=2", &Vec::from_iter(words))?;
        let roots = [side.tree.dir(), &all.dir];
        let findings = lines_with(&text, &["warning:", "error:"], &roots);
        let findings = without(PROBE, "dereference of noderef", findings)?;
        Ok(found(objects.len(), "files", findings))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_maintainer() {
        let person = |role: &str| names_a_person(&format!("A <a@b> ({role})"));
        assert!(person("maintainer:FILESYSTEMS (VFS)") && person("supporter:LANDLOCK"));
        for role in [
            "open list:FILESYSTEMS",
            "reviewer:FILESYSTEMS",
            "maintainer:THE REST",
        ] {
            assert!(!person(role), "{role}");
        }
    }
}
