// SPDX-License-Identifier: GPL-2.0

//! To which kernels does the series apply?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::ctx::{Ctx, DEFAULT_BASE};
use crate::git::Git;
use crate::proc;
use crate::series;
use crate::ui::Stage;

/// The packages of kernel sources begin so.
const PACKAGE: &str = "linux-source-";

/// A kernel, and the patches that git am refuses there.
struct Base {
    release: String,
    version: String,
    commit: String,
    plain: Vec<String>,
    merged: Vec<String>,
}

/// Applies the series to the newest source of each kernel that Debian has, and prints
/// a table; whether it applies to the one that it is made for.
pub(crate) fn run(ctx: &Ctx) -> Result<bool> {
    let files = series::files(&ctx.patches())?;
    let mut touched = BTreeSet::from(["Kbuild".to_owned()]);
    for file in &files {
        touched.extend(series::touched_paths(&fs::read_to_string(file)?));
    }
    let dir = tempfile::Builder::new()
        .prefix(".am-")
        .tempdir_in(&ctx.build)?;
    let git = Git::at(dir.path().join("linux"));
    git_init(&git)?;
    let apt = Apt::of_kernels(ctx)?;
    let log = ctx.fresh_log("bases")?;
    let mut bases = Vec::new();
    for package in apt.names(PACKAGE)? {
        // linux-source itself depends on one of them.
        let Some(release) = package
            .strip_prefix(PACKAGE)
            .filter(|release| release.starts_with(|first: char| first.is_ascii_digit()))
        else {
            continue;
        };
        let Some(version) = apt.versions(&package)?.into_iter().next() else {
            continue;
        };
        let (deb, version) = match apt::downloaded(&ctx.build.join("dl"), &package)? {
            Some((deb, known)) if upstream(&known) == upstream(&version) => (deb, known),
            _ => (apt.download(&package, &version)?, version),
        };
        let stage = Stage::begin(&format!("unpack {package} {version}"), Some(&log));
        let commit = commit(&git, &package, &deb, &touched)
            .with_context(|| format!("{package} {version}"))?;
        stage.done("");
        bases.push(Base {
            release: release.to_owned(),
            version,
            commit,
            plain: Vec::new(),
            merged: Vec::new(),
        });
    }
    if bases.is_empty() {
        bail!("Debian has no package {PACKAGE}*");
    }
    // All are in one repository by now, so that git merges with what the patches were made for.
    for base in &mut bases {
        let stage = Stage::begin(&format!("apply the series to {}", base.version), None);
        base.plain = refused(&git, &base.commit, "--no-3way", &files)?;
        base.merged = refused(&git, &base.commit, "--3way", &files)?;
        stage.done("");
    }
    bases.sort_by_key(|base| std::cmp::Reverse(numbers(&base.release)));
    println!("\n{}", table(&bases, files.len()));
    let made_for = |base: &Base| base.release == DEFAULT_BASE && base.plain.is_empty();
    Ok(bases.iter().any(made_for))
}

fn git_init(git: &Git) -> Result<()> {
    fs::create_dir(git.dir())?;
    git.run(["init", "-q", "-b", "none"])?;
    for (name, value) in [("user.name", "Linux"), ("user.email", "linux@localhost")] {
        git.run(["config", name, value])?;
    }
    Ok(())
}

/// What the package has of the files that the series touches, as a commit without parents.
fn commit(git: &Git, package: &str, deb: &Path, touched: &BTreeSet<String>) -> Result<String> {
    let parent = git.dir().parent().context("a repository at the root")?;
    let unpacked = tempfile::tempdir_in(parent)?;
    apt::unpack(deb, unpacked.path())?;
    git.run(["checkout", "-q", "--orphan", package])?;
    git.run(["rm", "-r", "-q", "-f", "--ignore-unmatch", "."])?;
    let mut tar = Command::new("tar");
    tar.args(["--strip-components=1", "--no-same-owner", "-xf"])
        .arg(unpacked.path().join(format!("usr/src/{package}.tar.xz")))
        .arg("-C")
        .arg(git.dir())
        .args(touched.iter().map(|path| format!("{package}/{path}")))
        .env("LC_ALL", "C");
    // It has none of the files that the series adds.
    let (_, _, err) = proc::output(&mut tar)?;
    if let Some(line) = err.lines().find(|line| {
        !line.contains("Not found in archive") && !line.contains("Exiting with failure")
    }) {
        bail!("tar: {line}");
    }
    if !git.dir().join("Kbuild").is_file() {
        bail!("{} holds no kernel below {package}/", deb.display());
    }
    git.run(["add", "-A", "-f", "."])?;
    git.run(["commit", "-q", "-m", package])?;
    git.run(["rev-parse", "HEAD"])
}

/// The numbers of the patches that do not apply; those after one are tried without it.
fn refused(git: &Git, start: &str, how: &str, files: &[PathBuf]) -> Result<Vec<String>> {
    git.run(["checkout", "-q", "--force", "--detach", start])?;
    let mut refused = Vec::new();
    for file in files {
        if git.ok(["am".as_ref(), "-q".as_ref(), how.as_ref(), file.as_os_str()])? {
            continue;
        }
        git.run(["am", "--abort"])?;
        refused.push(number(file));
    }
    Ok(refused)
}

/// `5`, or `security/5`.
fn number(file: &Path) -> String {
    let name = series::name(file);
    let number = name.split('-').next().unwrap_or_default();
    match number.rsplit_once('/') {
        Some((folder, number)) => format!("{folder}/{}", number.trim_start_matches('0')),
        None => number.trim_start_matches('0').to_owned(),
    }
}

fn table(bases: &[Base], total: usize) -> String {
    let mut text = String::from("| kernel | `git am` | `git am -3` |\n|---|---|---|\n");
    for base in bases {
        text.push_str(&format!(
            "| {} ({}) | {} | {} |\n",
            base.release,
            base.version,
            outcome(&base.plain, total),
            outcome(&base.merged, total)
        ));
    }
    text
}

fn outcome(refused: &[String], total: usize) -> String {
    match refused.len() {
        0 => "all".to_owned(),
        few if few < total / 2 => format!("all but {}", refused.join(", ")),
        many => format!("{} of {total}", total - many),
    }
}

/// A version without Debian's part.
fn upstream(version: &str) -> &str {
    version.rsplit_once('-').map_or(version, |(first, _)| first)
}

/// `7.10` comes after `7.9`.
fn numbers(release: &str) -> Vec<u32> {
    release
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_s_revision_is_another_build_of_the_same_kernel() {
        assert_eq!(upstream("7.3.4-1~bpo13+1"), upstream("7.3.4-1"));
        assert_ne!(upstream("7.3.4-1"), upstream("7.3.5-1"));
    }

    #[test]
    fn what_is_refused_is_named_while_it_is_little() {
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(outcome(&[], 17), "all");
        assert_eq!(outcome(&names(&["5", "14"]), 17), "all but 5, 14");
        assert_eq!(outcome(&vec!["1".to_owned(); 16], 17), "1 of 17");
    }

    #[test]
    fn the_follow_up_s_numbers_have_its_folder() {
        let numbers = ["patches/0005-a.patch", "patches/security/0010-b.patch"]
            .map(|file| number(Path::new(file)));
        assert_eq!(numbers, ["5", "security/10"]);
    }

    #[test]
    fn a_patch_after_a_refused_one_is_still_tried() {
        let (dir, git) = crate::git::tests::scratch();
        let write = |text: &str, name: &str| {
            fs::write(dir.path().join("f"), text).unwrap();
            git.run(["commit", "-q", "-a", "-m", name]).unwrap();
        };
        write("one\n2\n3\n", "first");
        write("one\n2\n3\n4\n5\n6\n7\n8\nnine\n", "second");
        let out = tempfile::tempdir().unwrap();
        let files = series::format(&git, "base", "HEAD", out.path()).unwrap();
        assert!(
            refused(&git, "base", "--no-3way", &files)
                .unwrap()
                .is_empty()
        );
        git.run(["checkout", "-q", "base"]).unwrap();
        write("other\n2\n3\n", "another base");
        let start = git.run(["rev-parse", "HEAD"]).unwrap();
        assert_eq!(
            refused(&git, &start, "--no-3way", &files).unwrap(),
            ["1", "2"]
        );
    }
}
