// SPDX-License-Identifier: GPL-2.0

//! The documentation.

use fs_err as fs;
use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, bail};

use super::sides::{self, found, lines_with, without};
use crate::ctx::write_whole;
use crate::proc;
use crate::report::Check;
use crate::session::Session;

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
    let dirs = directories(&sides::touched(session)?);
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
        let findings = lines_with(&text, &["warning:", "error:"], &roots);
        let findings = without(PAGE, "mayexec_probe_nowhere", findings)?;
        Ok(found(side.ending(&[".rst"]).len(), "pages", findings))
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
    fn what_is_not_documented_is_found() {
        let text = "* a from fs/a.c (documented)\n* b from fs/b.c\n\nNo implementation for c\n";
        let found: Vec<_> = undocumented(text).into_iter().collect();
        assert_eq!(found, ["* b from fs/b.c", "No implementation for c"]);
    }
}
