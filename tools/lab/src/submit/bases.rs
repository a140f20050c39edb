//! To which kernels does the series apply?

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::Apt;
use crate::ctx::{Ctx, DEFAULT_BASE};
use crate::git::Git;
use crate::proc::{self, Logged};
use crate::series;
use crate::tree;
use crate::ui::Stage;

/// The packages of kernel sources begin so.
const PACKAGE: &str = "linux-source-";

/// A kernel, and the patches that git am refuses there.
struct Base {
    version: String,
    plain: Vec<String>,
    merged: Vec<String>,
}

/// Applies the series to the newest source of each kernel that Debian has, and prints
/// a table; whether it applies to the one that it is made for.
pub(crate) fn run(ctx: &Ctx) -> Result<bool> {
    let tree = tree::open(ctx)?;
    let files = series::patches(&ctx.patches())?;
    let apt = Apt::of_kernels(ctx)?;
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
        let deb = match tree::downloaded(&ctx.build.join("dl"), &package)? {
            Some((deb, known)) if known == version => deb,
            _ => apt.download(&package, &version)?,
        };
        let stage = Stage::begin(&format!("apply the series to {package} {version}"), None);
        let base = apply(ctx, &tree.git, &package, &deb, &files)
            .with_context(|| format!("{package} {version}"))?;
        stage.done("");
        bases.push((release.to_owned(), Base { version, ..base }));
    }
    if bases.is_empty() {
        bail!("Debian has no package {PACKAGE}*");
    }
    bases.sort_by_key(|(release, _)| std::cmp::Reverse(numbers(release)));
    println!("\n{}", table(&bases, files.len()));
    Ok(bases
        .iter()
        .any(|(release, base)| release == DEFAULT_BASE && base.plain.is_empty()))
}

/// Applies each patch to what the package has of the files that it touches.
fn apply(
    ctx: &Ctx,
    objects: &Git,
    package: &str,
    deb: &Path,
    files: &[std::path::PathBuf],
) -> Result<Base> {
    let dir = tempfile::Builder::new()
        .prefix(".base-")
        .tempdir_in(&ctx.slot)?;
    let log = ctx.fresh_log("bases")?;
    let (unpacked, linux) = (dir.path().join("deb"), dir.path().join("linux"));
    fs::create_dir(&linux)?;
    Logged::new("dpkg-deb", &log).run(
        Command::new("dpkg-deb").arg("-x").arg(deb).arg(&unpacked),
        |_| {},
    )?;
    let mut touched = BTreeSet::from(["Kbuild".to_owned()]);
    for file in files {
        touched.extend(series::touched_paths(&fs::read_to_string(file)?));
    }
    let mut tar = Command::new("tar");
    tar.args(["--strip-components=1", "--no-same-owner", "-xf"])
        .arg(unpacked.join(format!("usr/src/{package}.tar.xz")))
        .arg("-C")
        .arg(&linux)
        .args(touched.iter().map(|path| format!("{package}/{path}")))
        .env("LC_ALL", "C");
    // It has none of the files that the series adds.
    let (_, _, err) = proc::output(&mut tar)?;
    if let Some(line) = err.lines().find(|line| {
        !line.contains("Not found in archive") && !line.contains("Exiting with failure")
    }) {
        bail!("tar: {line}");
    }
    if !linux.join("Kbuild").is_file() {
        bail!("{} holds no kernel below {package}/", deb.display());
    }
    let git = Git::at(&linux);
    git.run(["init", "-q"])?;
    git.run(["add", "-A", "-f", "."])?;
    let mut commit = git.cmd(["commit", "-q", "-m", package]);
    commit
        .env("GIT_AUTHOR_NAME", "Linux")
        .env("GIT_AUTHOR_EMAIL", "linux@localhost");
    proc::capture(&mut commit)?;
    let start = git.run(["rev-parse", "HEAD"])?;
    let plain = refused(&git, &start, "--no-3way", files)?;
    // What a clone of mainline has and a package has not: the versions that the
    // patches were made for, with which git merges.
    let alternate = objects.run([
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "objects",
    ])?;
    fs::write(
        git.dir().join(".git/objects/info/alternates"),
        format!("{alternate}\n"),
    )?;
    let merged = refused(&git, &start, "--3way", files)?;
    Ok(Base {
        version: String::new(),
        plain,
        merged,
    })
}

/// The numbers of the patches that do not apply; those after one are tried without it.
fn refused(git: &Git, start: &str, how: &str, files: &[std::path::PathBuf]) -> Result<Vec<String>> {
    git.run(["checkout", "-q", "--force", "--detach", start])?;
    let mut refused = Vec::new();
    for file in files {
        if git.ok(["am".as_ref(), "-q".as_ref(), how.as_ref(), file.as_os_str()])? {
            continue;
        }
        git.run(["am", "--abort"])?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let number = name.split('-').next().unwrap_or_default();
        refused.push(number.trim_start_matches('0').to_owned());
    }
    Ok(refused)
}

fn table(bases: &[(String, Base)], total: usize) -> String {
    let mut text = String::from("| kernel | `git am` | `git am -3` |\n|---|---|---|\n");
    for (release, base) in bases {
        text.push_str(&format!(
            "| {release} ({}) | {} | {} |\n",
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
    fn releases_are_ordered_as_numbers() {
        assert!(numbers("7.10") > numbers("7.9"));
        assert!(numbers("7.3") > numbers("6.12"));
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
