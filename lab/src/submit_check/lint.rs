// SPDX-License-Identifier: GPL-2.0

//! What reads the touched files: get_maintainer, kernel-doc, Coccinelle, sparse, and what makes the
//! documentation.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::builds::Objects;
use super::sides::{COMPLAINTS, Found, PROBE, Side, found};
use crate::suites::filesystems::FILESYSTEMS;

/// Each touched file has a maintainer who is not the last resort.
pub(super) fn maintainers(side: &Side<'_>) -> Result<Found> {
    // Neither lists nor reviewers; of the last resort, only a list is left.
    let words =
        "perl scripts/get_maintainer.pl --no-git --no-git-fallback --no-keywords --no-l --no-r -f";
    let mut findings = BTreeSet::new();
    // The file of owners has none.
    for file in side.files.iter().filter(|file| *file != "MAINTAINERS") {
        let mut cmd = side.command(words, &[file]);
        let text = side.stage.run("get_maintainer.pl", &mut cmd)?;
        if !text.contains('@') {
            findings.insert(format!("{file}: no maintainer"));
        }
    }
    Ok(found(side.files.len(), "files", findings))
}

/// Every kernel-doc comment of the touched files is complete, or as incomplete as in the base.
pub(super) fn kernel_doc(side: &Side<'_>) -> Result<Found> {
    let files = side.ending(&[".c", ".h"]);
    let words = format!("python3 scripts/kernel-doc -none -Wall -Werror {PROBE}");
    let mut cmd = side.command(&words, &files);
    cmd.env("PYTHONDONTWRITEBYTECODE", "1");
    let (_, text) = side.stage.attempt("kernel-doc", &mut cmd)?;
    Ok(found(files.len(), "files", side.lines(&text, &COMPLAINTS)))
}

/// Every semantic patch of the kernel, on every touched file.
pub(super) fn coccicheck(side: &Side<'_>) -> Result<Found> {
    let files = side.ending(&[".c"]);
    // As `make C=2 CHECK=scripts/coccicheck` does for one file; with the others beside it, each
    // semantic patch is read once and not once a file.
    let mut cmd = side.command("bash scripts/coccicheck", &[PROBE]);
    cmd.env("srctree", side.tree.dir())
        .env("LINUXINCLUDE", "-I./include -I./include/uapi")
        .env("SPFLAGS", files.join(" "))
        .envs([("C", "2"), ("MODE", "report"), ("LC_ALL", "C.UTF-8")]);
    let text = side.stage.run("coccicheck", &mut cmd)?;
    let findings = side.lines(&text, &[".c:", ".h:"]);
    Ok(found(files.len(), "files", findings))
}

/// The touched files, by a sparse that is shown to find mistakes.
pub(super) fn sparse(side: &Side<'_>) -> Result<Found> {
    let all = Objects::of(side, &FILESYSTEMS)?;
    let objects = all.of_c()?;
    let check = format!("CHECK={}", side.fetched("sparse", "sparse")?.display());
    let own = PROBE.replace(".c", ".o");
    let words = ["C=2", &check, &own].into_iter();
    let words = words.chain(objects.iter().map(String::as_str));
    let text = all.make("make C=2", &Vec::from_iter(words))?;
    let findings = side.lines(&text, &COMPLAINTS);
    Ok(found(objects.len(), "files", findings))
}

const FS: &str = "Documentation/admin-guide/sysctl/fs.rst";

/// Every sysctl of the series has its place in the page of its table.
pub(super) fn sysctl(side: &Side<'_>) -> Result<Found> {
    let sources = side.tree.run(["grep", "-l", "register_sysctl"])?;
    let dir = tempfile::tempdir()?;
    let page = dir.path().join("page.rst");
    let text = fs::read_to_string(side.tree.dir().join(FS))?;
    fs::write(&page, readable(&text))?;
    let mut cmd = side.command("gawk -v table=fs -f scripts/check-sysctl-docs", &[page]);
    cmd.args(sources.lines().filter(|file| file.ends_with(".c")));
    let text = side.stage.run("check-sysctl-docs", &mut cmd)?;
    let is_own = |line: &&str| side.files.iter().any(|file| line.contains(file));
    let own = text.lines().filter(is_own).count();
    if side.tip && own == 0 {
        bail!("the script sees no sysctl in the files that the series touches");
    }
    let findings = undocumented(&text);
    Ok(found(own, "sysctls of the touched files", findings))
}

/// The page with its titles underlined as the script knows them, which sees none of
/// those that it has, and with a sysctl that only the page has.
fn readable(page: &str) -> String {
    let lines = page.lines().map(|line| match line.trim_matches('-') {
        "" => line.replace('-', "=") + "\n",
        _ => format!("{line}\n"),
    });
    lines.collect::<String>() + "\nmayexec_probe_nowhere\n===\n"
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
pub(super) fn html(side: &Side<'_>) -> Result<Found> {
    let obj = side.session.ctx.slot.join("walk/obj-check-docs");
    let _ = fs::remove_dir_all(&obj);
    fs::create_dir_all(&obj)?;
    let mut make = side.session.tools()?.make(side.tree.dir(), &obj);
    let dirs = directories(&side.session.touched(&[])?);
    make.arg("htmldocs").arg(format!("SPHINXDIRS={dirs}"));
    let text = side.stage.run("make htmldocs", &mut make)?;
    let mut findings = side.lines(&text, &COMPLAINTS);
    findings.retain(|finding| !is_outside(side.tree.dir(), finding));
    let pages = format!("pages of {dirs}");
    Ok(found(side.ending(&[".rst"]).len(), &pages, findings))
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
