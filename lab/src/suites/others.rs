// SPDX-License-Identifier: GPL-2.0

//! The patches for other projects, on the releases that they were made for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::apt::Apt;
use crate::ctx::{Ctx, make_whole, write_whole};
use crate::git::Git;
use crate::proc::{self, Logged};
use crate::report::Report;
use crate::rows::added;
use crate::series;
use crate::ui::Stage;

/// The tag of a release in the repository that is made of it.
const RELEASE: &str = "release";

/// Where the release of a project comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Debian's source package, in one of the suites that [`Apt::of_sources`] has.
    Debian(&'static str),
    /// crates.io.
    Crate(&'static str),
    /// No registry has it.
    None,
}

/// A project and the check that a patch does there what it says.
struct Project {
    /// The folder of its patches.
    name: &'static str,
    /// The name of its package.
    package: &'static str,
    /// The release that the patches are made for.
    source: Source,
    /// What the check shows.
    shows: &'static str,
    /// What is wrong in a patched tree.
    check: fn(&Ctx, &Git) -> Result<Vec<String>>,
}

const PROJECTS: [Project; 5] = [
    Project {
        name: "man-pages",
        package: "manpages",
        source: Source::Debian("6.9.1-1"),
        shows: "mandoc finds nothing new in the pages",
        check: lint_pages,
    },
    Project {
        name: "strace",
        package: "strace",
        source: Source::Debian("6.1-0.1"),
        shows: "strace passes its tests of openat2",
        check: test_strace,
    },
    Project {
        name: "libc",
        package: "libc",
        source: Source::Crate("0.2.191"),
        shows: "libc has the constants",
        check: |ctx, git| constants(ctx, git, "libc", "libc"),
    },
    Project {
        name: "linux-raw-sys",
        package: "linux-raw-sys",
        source: Source::Crate("0.12.1"),
        shows: "linux-raw-sys has the constants for every architecture",
        check: generated_constants,
    },
    Project {
        name: "syzkaller",
        package: "syzkaller",
        source: Source::None,
        shows: "syzkaller compiles the description",
        check: |_, _| Ok(Vec::new()),
    },
];

/// Applies each project's patches to its release and checks the result.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    for project in &PROJECTS {
        let patches = series::patches(&ctx.patches().join(project.name))?;
        if patches.is_empty() {
            report.fail(
                project.shows,
                &format!("patches/{} holds no patch", project.name),
                None,
            );
            continue;
        }
        let log = ctx.fresh_log(&format!("others-{}", project.name))?;
        let Some(git) = release(ctx, project)? else {
            report.skip(
                project.shows,
                "no registry has its source; what was tested is in patches/README.md",
            );
            continue;
        };
        git.force_to(RELEASE)?;
        let applied = git.run(
            ["am", "--quiet"]
                .iter()
                .map(std::ffi::OsStr::new)
                .chain(patches.iter().map(|patch| patch.as_os_str())),
        );
        let name = format!("the patch for {} applies", project.name);
        if let Err(error) = applied {
            // The next run must not find a half applied one.
            let _ = git.run(["am", "--abort"]);
            report.fail(&name, &format!("{error:#}"), None);
            continue;
        }
        report.pass(&name);
        report.outcome(project.shows, (project.check)(ctx, &git), Some(&log));
    }
    Ok(())
}

/// A repository with the release as its only commit, tagged; made unless it is there.
fn release(ctx: &Ctx, project: &Project) -> Result<Option<Git>> {
    let (Source::Debian(version) | Source::Crate(version)) = project.source else {
        return Ok(None);
    };
    let dir = ctx
        .build
        .join(format!("others/{}-{version}", project.package));
    let git = Git::at(&dir);
    if dir.exists() {
        return Ok(Some(git));
    }
    make_whole(&dir, |part| {
        let tree = match project.source {
            Source::Debian(_) => unpack(ctx, project.package, version, part)?,
            _ => vendor(ctx, project, version, part)?,
        };
        let fresh = Git::at(&tree);
        fresh.run(["init", "--quiet"])?;
        // Releases contain files that their own .gitignore names.
        fresh.run(["add", "--all", "--force"])?;
        const COMMIT: &str = "-c user.name=upstream -c user.email=upstream@localhost commit --quiet --message=release";
        fresh.run(COMMIT.split(' '))?;
        fresh.run(["tag", RELEASE])?;
        Ok(tree)
    })?;
    Ok(Some(git))
}

/// What upstream released, from Debian's source package.
fn unpack(ctx: &Ctx, package: &str, version: &str, part: &Path) -> Result<PathBuf> {
    let upstream = upstream_version(version);
    let tar = ctx
        .build
        .join("dl")
        .join(format!("{package}_{upstream}.orig.tar.xz"));
    if !tar.is_file() {
        Apt::of_sources(ctx)?.download_upstream(package, version, &tar)?;
    }
    let tree = part.join("tree");
    fs::create_dir(&tree)?;
    proc::capture(
        Command::new("tar")
            .arg("-xf")
            .arg(&tar)
            .arg("--strip-components=1")
            .arg("-C")
            .arg(&tree),
    )?;
    Ok(tree)
}

/// A version of Debian's without the revision of the package.
fn upstream_version(version: &str) -> &str {
    version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

/// A crate as crates.io has it.
fn vendor(ctx: &Ctx, project: &Project, version: &str, part: &Path) -> Result<PathBuf> {
    let package = project.package;
    let asking = part.join("asking");
    write_whole(
        &asking.join("Cargo.toml"),
        format!(
            "[package]\nname = \"asking\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [lib]\npath = \"lib.rs\"\n\
             [dependencies]\n{package} = \"={version}\"\n\
             [workspace]\n"
        )
        .as_bytes(),
    )?;
    write_whole(&asking.join("lib.rs"), b"")?;
    let log = ctx.log(&format!("others-{}", project.name));
    let stage = Stage::begin(&format!("download {package} {version}"), Some(&log));
    Logged::new("cargo vendor", &log)
        .limit(Duration::from_secs(600))
        .run(
            Command::new("cargo")
                .args(["vendor", "--quiet", "--versioned-dirs", "vendored"])
                .current_dir(&asking),
            |_| stage.at(""),
        )?;
    stage.done("");
    Ok(asking.join("vendored").join(format!("{package}-{version}")))
}

/// What mandoc says about a changed page and did not say about the released one.
fn lint_pages(ctx: &Ctx, git: &Git) -> Result<Vec<String>> {
    let changed = git.run(["diff", "--name-only", RELEASE, "HEAD"])?;
    if changed.is_empty() {
        bail!("the patch changes no page");
    }
    let scratch = tempfile::Builder::new()
        .prefix(".pages-")
        .tempdir_in(&ctx.build)?;
    let mut problems = Vec::new();
    for page in changed.lines() {
        let name = Path::new(page).file_name().context("a page with a name")?;
        let lint = |text: &str| -> Result<Vec<String>> {
            let file = scratch.path().join(name);
            write_whole(&file, text.as_bytes())?;
            let (_, out, err) = proc::output(Command::new("mandoc").arg("-Tlint").arg(&file))?;
            findings(&format!("{out}{err}"))
        };
        let released = lint(&git.run(["show", &format!("{RELEASE}:{page}")])?)?;
        let patched = lint(&git.run(["show", &format!("HEAD:{page}")])?)?;
        problems.extend(
            added(&released, patched)
                .into_iter()
                .map(|text| format!("{page}: {text}")),
        );
    }
    Ok(problems)
}

/// mandoc's messages without the places, which move.
fn findings(out: &str) -> Result<Vec<String>> {
    let place = Regex::new(r"^mandoc: .*:\d+:\d+: ")?;
    Ok(out
        .lines()
        .map(|line| place.replace(line, "").into_owned())
        .collect())
}

/// Builds strace and runs its own tests of openat2, which the patch extends.
fn test_strace(ctx: &Ctx, git: &Git) -> Result<Vec<String>> {
    // The release contains files that upstream's repository, for which the patch is,
    // does not: those that its bootstrap makes.
    let tables = git.dir().join("src/xlat");
    proc::capture(
        Command::new(tables.join("gen.sh"))
            .args(["open_mode_flags.in", "open_mode_flags.h"])
            .current_dir(&tables),
    )?;
    let tests = programs(&git.dir().join("tests"))?;
    if tests.is_empty() {
        bail!("strace has no test of openat2");
    }

    let log = ctx.log("others-strace");
    let stage = Stage::begin("build strace", Some(&log));
    let obj = ctx.build.join("others/strace-obj");
    let step = |cmd: &mut Command| {
        Logged::new("building strace", &log)
            .limit(Duration::from_secs(1200))
            .run(cmd, |_| stage.at(""))
    };
    if !obj.join("config.status").is_file() {
        if obj.exists() {
            fs::remove_dir_all(&obj)?;
        }
        fs::create_dir_all(&obj)?;
        step(
            Command::new(git.dir().join("configure"))
                // Neither the other personalities nor speed are tested here.
                .args(["--enable-mpers=no", "--enable-silent-rules", "CFLAGS=-O0"])
                .current_dir(&obj),
        )?;
    }
    for (dir, targets) in [
        ("bundled", &["all".to_owned()][..]),
        ("src", &["all".to_owned()]),
        ("tests", &tests),
    ] {
        step(
            Command::new("make")
                .arg(format!("-j{}", crate::toolchain::jobs()))
                .arg("-C")
                .arg(obj.join(dir))
                .args(targets),
        )?;
    }
    stage.done("");

    let mut problems = Vec::new();
    for test in &tests {
        let sources = git.dir().join("tests");
        let status = Logged::new(test, &log)
            .limit(Duration::from_secs(60))
            .status(
                Command::new(sources.join(format!("{test}{TEST}")))
                    .current_dir(obj.join("tests"))
                    .env("srcdir", &sources)
                    // What strace's make tells them.
                    .envs([
                        ("STRACE_ARCH", "x86_64"),
                        ("STRACE_NATIVE_ARCH", "x86_64"),
                        ("SIZEOF_LONG", "8"),
                        ("SIZEOF_KERNEL_LONG_T", "8"),
                        ("MIPS_ABI", ""),
                    ]),
                |_| {},
            )?;
        // 77 says that a test was skipped, which shows as little as a failure.
        if !status.success() {
            problems.push(format!("{test}: {status}"));
        }
    }
    Ok(problems)
}

/// How the names of strace's scripts end that run a program of the same name.
const TEST: &str = ".gen.test";

/// The programs in strace's directory of tests that call openat2.
fn programs(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(TEST)
            && (name == "openat2" || name.starts_with("openat2-"))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether linux-raw-sys has for each architecture what bindgen would write.
fn generated_constants(ctx: &Ctx, git: &Git) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let src = git.dir().join("src");
    let mut architectures = 0;
    for entry in fs::read_dir(&src).with_context(|| format!("cannot list {}", src.display()))? {
        let file = entry?.path().join("general.rs");
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        architectures += 1;
        for name in CONSTANTS {
            let line = format!("pub const {name}: u64 = {};", uapi::O_MAYEXEC);
            if text.lines().filter(|found| *found == line).count() != 1 {
                problems.push(format!("{}: not once `{line}`", ctx.show(&file)));
            }
        }
    }
    if architectures == 0 {
        bail!("{} has no architecture", ctx.show(&src));
    }
    problems.extend(constants(
        ctx,
        git,
        "linux-raw-sys",
        "linux_raw_sys::general",
    )?);
    Ok(problems)
}

/// The names of the flag.
const CONSTANTS: [&str; 2] = ["O_MAYEXEC", "OPENAT2_MAYEXEC"];

/// Compiles a program with the patched crate and has it tell the constants.
fn constants(ctx: &Ctx, git: &Git, package: &str, module: &str) -> Result<Vec<String>> {
    let asking = ctx.build.join(format!("others/asking-{package}"));
    write_whole(
        &asking.join("Cargo.toml"),
        format!(
            "[package]\nname = \"asking-{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{package} = {{ path = \"{}\" }}\n\
             [workspace]\n",
            git.dir().display()
        )
        .as_bytes(),
    )?;
    let lines: String = CONSTANTS
        .iter()
        .map(|name| format!("let value: u64 = {module}::{name}; println!(\"{{value}}\");"))
        .collect();
    write_whole(
        &asking.join("src/main.rs"),
        format!("fn main() {{ {lines} }}\n").as_bytes(),
    )?;
    let out = proc::capture(
        Command::new("cargo")
            .args(["run", "--quiet"])
            .env("CARGO_TARGET_DIR", ctx.build.join("others/cargo"))
            .current_dir(&asking),
    )?;
    let expected = uapi::O_MAYEXEC.to_string();
    let found: Vec<&str> = out.lines().collect();
    Ok((found != [expected.as_str(); 2])
        .then(|| format!("{found:?} instead of {expected}, twice"))
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests {
    use syzlang_parser::parser::{ArgType, Consts, Statement, Value};

    use super::*;

    #[test]
    fn revisions_are_debian_s() {
        assert_eq!(upstream_version("6.1-0.1"), "6.1");
        assert_eq!(upstream_version("6.13+ds-1"), "6.13+ds");
        assert_eq!(upstream_version("6.1"), "6.1");
    }

    #[test]
    fn only_new_messages_of_mandoc_count() {
        let old = findings("mandoc: a/b.2:4:5: STYLE: x\nmandoc: a/b.2:9:1: WARNING: y\n").unwrap();
        assert_eq!(old, ["STYLE: x", "WARNING: y"]);
        let moved = vec!["WARNING: y".to_owned(), "STYLE: x".to_owned()];
        assert!(added(&old, moved.clone()).is_empty());
        let twice = [moved, vec!["STYLE: x".to_owned()]].concat();
        assert_eq!(added(&old, twice), ["STYLE: x"]);
    }

    /// What a patch leaves of a file, as far as the patch shows it.
    fn patched(patch: &str, file: &str) -> String {
        let header = format!("+++ b/{file}");
        patch
            .lines()
            .skip_while(|line| *line != header)
            .skip(2)
            .take_while(|line| !line.starts_with("diff "))
            .filter_map(|line| line.strip_prefix([' ', '+']))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// All that can be said about it without syzkaller's source.
    #[test]
    fn the_description_for_syzkaller_parses() {
        let patch = include_str!(
            "../../../patches/syzkaller/0001-sys-linux-add-O_MAYEXEC-to-openat2.patch"
        );
        let text = patched(patch, "sys/linux/sys.txt");
        // The patch shows the end of another struct first.
        let start = text.find("open_how {").unwrap();
        let statements = Statement::parse_from_str(&text[start..]).unwrap();

        let list = |name: &str| -> Vec<Value> {
            statements
                .iter()
                .find_map(|statement| match statement {
                    Statement::Flag(flag) if flag.ident_matches(name) => Some(flag.args.clone()),
                    _ => None,
                })
                .unwrap()
        };
        let Value::Ident(new) = list("openat2_flags").pop().unwrap() else {
            panic!("the last flag is no name");
        };
        assert_eq!(new.name, "OPENAT2_MAYEXEC");
        let mut others = list("openat2_flags");
        others.pop();
        assert_eq!(others, list("open_flags"));

        let how = statements
            .iter()
            .find_map(|statement| match statement {
                Statement::Struct(how) => Some(how),
                _ => None,
            })
            .unwrap();
        let flags = how.args().next().unwrap();
        assert_eq!(flags.argtype, ArgType::Flags);
        assert!(format!("{:?}", flags.opts).contains("openat2_flags"));

        let text = patched(patch, "sys/linux/sys.txt.const");
        let consts = Consts::create_from_str(&format!("arches = amd64\n{text}"), None).unwrap();
        let value = consts
            .iter()
            .find(|entry| entry.name() == new.name)
            .unwrap();
        assert_eq!(value.as_uint().unwrap(), uapi::O_MAYEXEC);
    }
}
