// SPDX-License-Identifier: GPL-2.0

//! What reads the touched files: get_maintainer, kernel-doc, Coccinelle, sparse, and what makes the
//! documentation.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::builds::{self, Objects};
use super::sides::{self, PROBE, found, lines_with, without};
use crate::ctx::write_whole;
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

const FS: &str = "Documentation/admin-guide/sysctl/fs.rst";

/// A page with a mistake, put beside the real ones.
const PAGE: &str = "Documentation/userspace-api/mayexec-probe.rst";
const PAGE_TEXT: &str = "Title\n=====\n\n:ref:`mayexec_probe_nowhere`\n";

/// Every sysctl of the series has its place in the page of its table.
pub(super) fn sysctl(session: &Session<'_>) -> Result<Check> {
    let claim = "check-sysctl-docs: nothing new undocumented below fs";
    sides::row(session, ("check-sysctl-docs", claim, ""), &|side| {
        let sources = side.tree.run(["grep", "-l", "register_sysctl"])?;
        let dir = tempfile::tempdir()?;
        let page = dir.path().join("page.rst");
        fs::write(&page, readable(&fs::read_to_string(side.path(FS))?))?;
        let mut cmd = Command::new("gawk");
        cmd.args(["-v", "table=fs", "-f", "scripts/check-sysctl-docs"])
            .arg(&page)
            .args(sources.lines().filter(|file| file.ends_with(".c")))
            .current_dir(side.tree.dir());
        let text = side.stage.run("check-sysctl-docs", &mut cmd)?;
        let is_own = |line: &&str| side.files.iter().any(|file| line.contains(file));
        let own = text.lines().filter(is_own).count();
        if side.tip && own == 0 {
            bail!("the script sees no sysctl in the files that the series touches");
        }
        let mut findings = undocumented(&text);
        if !findings.remove(&format!("No implementation for {NOWHERE}")) {
            bail!("the script is silent about a sysctl that only the page has");
        }
        Ok(found(own, "sysctls of the touched files", findings))
    })
}

const NOWHERE: &str = "mayexec_probe_nowhere";

/// The page with its titles underlined as the script knows them, which sees none of
/// those that it has, and with a mistake.
fn readable(page: &str) -> String {
    let lines = page.lines().map(|line| match line.trim_matches('-') {
        "" => line.replace('-', "=") + "\n",
        _ => format!("{line}\n"),
    });
    lines.collect::<String>() + &format!("\n{NOWHERE}\n===\n")
}

/// Entries without documentation, and documentation without entry.
fn undocumented(text: &str) -> BTreeSet<String> {
    let is_one = |line: &&str| {
        line.starts_with("No implementation for ")
            || (line.starts_with("* ") && !line.ends_with(" (documented)"))
    };
    text.lines().filter(is_one).map(str::to_owned).collect()
}

/// The pages of the touched directories are made without a warning that the base has not.
pub(super) fn html(session: &Session<'_>) -> Result<Check> {
    let dirs = directories(&session.touched(&[])?);
    let version = proc::capture(Command::new("sphinx-build").arg("--version"))?;
    let claim = format!("make htmldocs SPHINXDIRS=\"{dirs}\": no new warnings");
    let obj = session.ctx.slot.join("walk/obj-check-docs");
    sides::row(session, ("htmldocs", &claim, &version), &|side| {
        let _ = fs::remove_dir_all(&obj);
        fs::create_dir_all(&obj)?;
        write_whole(&side.path(PAGE), PAGE_TEXT.as_bytes())?;
        let mut make = session.tools()?.make(side.tree.dir(), &obj);
        make.arg("htmldocs").arg(format!("SPHINXDIRS={dirs}"));
        let text = side.stage.run("make htmldocs", &mut make)?;
        let roots = [side.tree.dir(), obj.as_path()];
        let mut findings = lines_with(&text, &["warning:", "error:"], &roots);
        findings.retain(|finding| !is_outside(side.tree.dir(), finding));
        let findings = without(PAGE, "mayexec_probe_nowhere", findings)?;
        Ok(found(side.ending(&[".rst"]).len(), "pages", findings))
    })
}

/// Whether a finding is about a document that exists: where only some directories are made,
/// Sphinx does not know the documents of the others.
fn is_outside(tree: &Path, finding: &str) -> bool {
    let name = finding.split_once("unknown document: '/");
    name.is_some_and(|(_, name)| {
        let page = format!("Documentation/{}.rst", name.trim_end_matches('\''));
        tree.join(page).exists()
    })
}

/// The directories directly below Documentation/ of the touched pages.
fn directories(files: &[String]) -> String {
    let pages = files.iter().filter(|file| file.ends_with(".rst"));
    let dirs = pages.filter_map(|file| file.strip_prefix("Documentation/")?.split('/').next());
    Vec::from_iter(BTreeSet::from_iter(dirs)).join(" ")
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

    #[test]
    fn only_documents_that_exist_may_be_unknown() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("Documentation")).unwrap();
        fs::write(tree.path().join("Documentation/a.rst"), "").unwrap();
        for (name, outside) in [("a", true), ("b", false)] {
            let finding = format!("x: WARNING: unknown document: '/{name}'");
            assert_eq!(is_outside(tree.path(), &finding), outside, "{name}");
        }
        assert!(!is_outside(tree.path(), "x: WARNING: undefined label: 'a'"));
    }

    #[test]
    fn what_is_not_documented_is_found() {
        let text = "* a from fs/a.c (documented)\n* b from fs/b.c\n\nNo implementation for c\n";
        let found: Vec<_> = undocumented(text).into_iter().collect();
        assert_eq!(found, ["* b from fs/b.c", "No implementation for c"]);
    }
}
