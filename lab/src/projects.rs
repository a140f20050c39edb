// SPDX-License-Identifier: GPL-2.0

//! `make projects`: interpreters that open with `O_MAYEXEC`. scripts/projects.sh builds them and
//! runs their own suites; then each way that an interpreter has of running a file is tried on
//! the kernel of the series, under each policy, and compared with what the policy means.

use fs_err as fs;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::ctx::{Ctx, hash, with_extension};
use crate::guest::{Boot, complaints};
use crate::kernel::Kernel;
use crate::proc::{self, DAY};
use crate::report::Report;
use crate::results::{self, Table};
use crate::session::Session;
use crate::ui;

/// The page of the tables.
const PAGE: &str = "docs/interpreters.md";

/// Where the rows of the ways are left, and those that sum them up.
const WAYS: &str = "projects-ways";
const STARTS: &str = "projects-starts";

/// How long the ways of one interpreter may take: perl has some 800 starts.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// The files that a way is tried with.
const FILES: [(&str, &str); 4] = [
    ("exec", "0644"),
    ("exec", "0755"),
    ("noexec", "0644"),
    ("noexec", "0755"),
];

/// The policies, a column each, those together that mean the same.
const POLICIES: [&[&str]; 4] = [&["0", "7"], &["1"], &["2"], &["3", "securebit"]];

/// The columns of the page's table.
const COLUMNS: &str = "way | 0, 7 | 1 | 2 | 3, securebit | behind a filter | DENY_INTERACTIVE";

/// The scene in which SECBIT_EXEC_DENY_INTERACTIVE is set and nothing else.
const INTERACTIVE: &str = "interactive";

/// A way that an interpreter has of running a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    /// `refuse`, `open` or `map`: scripts/projects-try.sh explains them.
    kind: String,
    /// Its name, with which the line in the project's file begins.
    name: String,
}

impl Way {
    /// The first cell of its row.
    fn cell(&self, project: &str) -> String {
        match self.kind.as_str() {
            "open" => format!("{project}: *{}*", self.name),
            _ => format!("{project}: {}", self.name),
        }
    }
}

/// What a way answered, by scene and by file.
type Answers = BTreeMap<(String, usize), String>;

/// The projects that say how they are tested.
pub(crate) fn names(ctx: &Ctx) -> Result<Vec<String>> {
    let dir = ctx.patches().join("projects");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let entry = entry?;
        if entry.path().join("project").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The tables of docs/interpreters.md.
pub(crate) fn tables(ctx: &Ctx) -> Result<[Table; 2]> {
    let (mut projects, mut ways) = (Vec::new(), Vec::new());
    for name in names(ctx)? {
        let of = Project::read(ctx, &name)?;
        if !of.ways.is_empty() {
            ways.extend(of.ways.iter().map(|way| way.cell(&name)));
            projects.push(name);
        }
    }
    Ok([
        Table {
            page: PAGE,
            verb: STARTS,
            title: "Starts on the kernel of the series",
            columns: "interpreter | starts | unexpected | made with | when",
            names: projects,
            missing: Some("not run yet"),
        },
        Table {
            page: PAGE,
            verb: WAYS,
            title: "What each way does",
            columns: COLUMNS,
            names: ways,
            missing: None,
        },
    ])
}

/// Tests the projects with these names, or all; whether everything was as it should be.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let names = match names {
        [] => self::names(ctx)?,
        names => names.to_vec(),
    };
    let mut report = Report::default();
    let mut kernel = None;
    for name in &names {
        if !built(ctx, &mut report, &[name]) {
            continue;
        }
        let project = Project::read(ctx, name)?;
        if project.ways.is_empty() {
            continue;
        }
        // Nobody waits for a kernel that no guest needs.
        let kernel = match &mut kernel {
            Some(kernel) => kernel,
            none => none.insert(Session::open(ctx)?.tip_kernel()?),
        };
        in_guest(&mut report, name, project.tried(ctx, kernel));
    }
    Ok(report.close())
}

/// The part that `make test` has: a small interpreter, without its suite.
pub(crate) fn part(ctx: &Ctx, report: &mut Report, kernel: &Kernel) {
    let name = "dash";
    if built(ctx, report, &["--build", name]) {
        let tried = Project::read(ctx, name).and_then(|project| project.tried(ctx, kernel));
        in_guest(report, name, tried);
    }
}

/// Runs scripts/projects.sh, whose last argument is a project; whether it found no fault.
pub(crate) fn built(ctx: &Ctx, report: &mut Report, args: &[&str]) -> bool {
    let name = args.last().map_or("", |name| *name);
    let outcome = ctx.fresh_log(&format!("projects-{name}")).and_then(|log| {
        let mut cmd = Command::new("scripts/projects.sh");
        cmd.args(args).current_dir(&ctx.root);
        ui::step(&format!("build and test {name}"), &log, DAY, &mut cmd)?;
        Ok(Vec::new())
    });
    let built = outcome.is_ok();
    report.outcome(&format!("{name}: scripts/projects.sh"), outcome);
    built
}

/// Reports what came of the ways of a project.
fn in_guest(report: &mut Report, name: &str, tried: Result<Vec<String>>) {
    report.outcome(&format!("{name}: each way under each policy"), tried);
}

/// What patches/projects/NAME says, as far as the guest is concerned.
struct Project {
    name: String,
    file: PathBuf,
    binary: String,
    ways: Vec<Way>,
    /// Changes with the patches and with what is tried.
    state: String,
}

impl Project {
    fn read(ctx: &Ctx, name: &str) -> Result<Self> {
        let dir = ctx.patches().join("projects").join(name);
        let file = dir.join("project");
        let text = fs::read_to_string(&file)?;
        let mut state: String = text.lines().filter(|line| tries(line)).collect();
        for patch in with_extension(&dir, "patch")? {
            state += &fs::read_to_string(patch)?;
        }
        let way = |line: &str| {
            let (kind, rest) = line.split_once(": ")?;
            let (name, _) = rest.split_once(": ")?;
            ["refuse", "open", "map"].contains(&kind).then(|| Way {
                kind: kind.to_owned(),
                name: name.to_owned(),
            })
        };
        let binary = text.lines().find_map(|line| line.strip_prefix("binary:"));
        Ok(Self {
            name: name.to_owned(),
            binary: binary.unwrap_or_default().trim().to_owned(),
            ways: text.lines().filter_map(way).collect(),
            state: hash(state.as_bytes())[..8].to_owned(),
            file,
        })
    }

    /// Tries the ways in a guest, leaves the rows for the page, and returns what was not as
    /// the policy means it.
    fn tried(&self, ctx: &Ctx, kernel: &Kernel) -> Result<Vec<String>> {
        let bundle = ctx.scratch()?;
        for script in ["projects-guest.sh", "projects-try.sh"] {
            fs::copy(
                ctx.root.join("scripts").join(script),
                bundle.path().join(script),
            )?;
        }
        fs::copy(&self.file, bundle.path().join("project"))?;
        let mut under = Command::new("cc");
        under
            .arg("-o")
            .arg(bundle.path().join("under"))
            .arg(ctx.root.join("userspace/mayexec/tests/ladders/under.c"));
        proc::capture(&mut under)?;
        let name = &self.name;
        let binary = ctx.build.join("projects").join(name).join("patched");
        let binary = binary.join(&self.binary).to_string_lossy().into_owned();
        let boot = Boot::new(
            ctx,
            kernel,
            &format!("projects {name}"),
            &["./projects-guest.sh", &binary],
        );
        let outcome = Boot {
            limit: LIMIT,
            ..boot.bundle(bundle.path())
        }
        .succeed()?;
        let answers = read(&outcome.output);
        let mut problems = complaints(&outcome.console);
        let complaints = problems.len();
        let mut rows = String::new();
        let mut starts = 0;
        for way in &self.ways {
            let none = Answers::new();
            let answered = answers.get(&way.name).unwrap_or(&none);
            starts += answered.len();
            rows += &row(name, way, answered);
            for (scene, at, should) in expected(way) {
                let did = answered.get(&(scene.clone(), at));
                if did.map(String::as_str) != Some(should) {
                    let (mount, mode) = FILES[at];
                    let did = did.map_or("no answer", String::as_str);
                    problems.push(format!(
                        "{name}: {}, policy {scene}, {mount}, {mode}: {did} instead of {should}",
                        way.name
                    ));
                }
            }
        }
        results::record_rows(ctx, WAYS, name, &rows)?;
        let unexpected = problems.len() - complaints;
        let cells = [
            starts.to_string(),
            unexpected.to_string(),
            self.state.clone(),
        ];
        results::record(ctx, STARTS, name, &cells)?;
        Ok(problems)
    }
}

/// Whether a line of a project's file says what the guest tries.
fn tries(line: &str) -> bool {
    ["file:", "code:", "refuse:", "open:", "map:"]
        .iter()
        .any(|key| line.starts_with(key))
}

/// The answers in the guest's output, by the name of the way.
fn read(output: &str) -> BTreeMap<String, Answers> {
    let mut ways: BTreeMap<String, Answers> = BTreeMap::new();
    for line in output.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [scene, mount, way, _, plain, executable] = words.as_slice() else {
            continue;
        };
        let answers = ways.entry((*way).to_owned()).or_default();
        for (mode, answer) in [("0644", plain), ("0755", executable)] {
            if let Some(at) = FILES.iter().position(|file| *file == (mount, mode)) {
                answers.insert(((*scene).to_owned(), at), (*answer).to_owned());
            }
        }
    }
    ways
}

/// What a way has to answer: the scene, the file's place in [`FILES`], the answer.
fn expected(way: &Way) -> Vec<(String, usize, &'static str)> {
    let mut all = Vec::new();
    for policy in POLICIES.into_iter().flatten() {
        for filter in [false, true] {
            let (mount, file) = match *policy {
                "0" | "7" => (false, false),
                "1" => (true, false),
                // Behind the filter, AT_EXECVE_CHECK stands in for FILE, and asks about the mount.
                "2" => (filter, true),
                _ => (true, true),
            };
            // mmap(2) refuses it anyway.
            let mount = mount || way.kind == "map";
            for (at, (on, mode)) in FILES.iter().enumerate() {
                let refused = mount && *on == "noexec" || file && *mode == "0644";
                let ran = way.kind == "open" || !refused;
                let scene = if filter { "filter " } else { "" }.to_owned() + policy;
                all.push((scene, at, if ran { "ran" } else { "refused" }));
            }
        }
    }
    all
}

/// The line of a way.
fn row(project: &str, way: &Way, answers: &Answers) -> String {
    let mut cells = vec![way.cell(project)];
    let mut filtered = Vec::new();
    for policies in POLICIES {
        let same = policies
            .iter()
            .all(|policy| ran(answers, policy) == ran(answers, policies[0]));
        let each = |policy: &&str| format!("{policy}: {}", ran(answers, policy));
        cells.push(match same {
            true => ran(answers, policies[0]),
            false => policies.iter().map(each).collect::<Vec<_>>().join("; "),
        });
        for policy in policies {
            let behind = ran(answers, &format!("filter {policy}"));
            if behind != ran(answers, policy) {
                filtered.push(format!("{policy}: {behind}"));
            }
        }
    }
    cells.push(match filtered.as_slice() {
        [] => "the same".to_owned(),
        different => different.join("; "),
    });
    cells.push(ran(answers, INTERACTIVE));
    format!("| {} |\n", cells.join(" | "))
}

/// Which files ran in a scene.
fn ran(answers: &Answers, scene: &str) -> String {
    let answer = |at| answers.get(&(scene.to_owned(), at)).map(String::as_str);
    let all = [0, 1, 2, 3].map(answer);
    match all.map(|answer| answer == Some("ran")) {
        _ if all
            .iter()
            .any(|answer| !matches!(answer, Some("ran" | "refused"))) =>
        {
            "unknown"
        }
        [true, true, true, true] => "all",
        [true, true, false, false] => "exec",
        [false, true, false, true] => "0755",
        [false, true, false, false] => "exec 0755",
        [false, false, false, false] => "none",
        _ => "other",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;
    use crate::ctx::write_whole;

    fn way(kind: &str) -> Way {
        Way {
            kind: kind.to_owned(),
            name: "source".to_owned(),
        }
    }

    /// What a way answers that does as the policy means.
    fn right(way: &Way) -> Answers {
        let answer = |(scene, at, should): (String, usize, &str)| ((scene, at), should.to_owned());
        expected(way).into_iter().map(answer).collect()
    }

    #[test]
    fn equal_answers_are_one_cell() {
        let cells = |kind: &str| row("sh", &way(kind), &right(&way(kind)));
        assert_eq!(
            cells("refuse"),
            "| sh: source | all | exec | 0755 | exec 0755 | 2: exec 0755 | unknown |\n"
        );
        assert_eq!(
            cells("open"),
            "| sh: *source* | all | all | all | all | the same | unknown |\n"
        );
        assert_eq!(
            cells("map"),
            "| sh: source | exec | exec | exec 0755 | exec 0755 | the same | unknown |\n"
        );
        let mut answers = right(&way("refuse"));
        answers.insert(("securebit".to_owned(), 0), "ran".to_owned());
        answers.insert(("1".to_owned(), 0), "late".to_owned());
        assert_eq!(
            row("sh", &way("refuse"), &answers),
            "| sh: source | all | unknown | 0755 | 3: exec 0755; securebit: exec | \
             1: exec; 2: exec 0755; securebit: exec 0755 | unknown |\n"
        );
    }

    #[test]
    fn the_guest_s_lines_are_read() {
        let ways = read("filter 2\tnoexec\t`.`\trefuse\trefused\tran\nsh: noise\n");
        let answers = &ways["`.`"];
        assert_eq!(ways.len(), 1);
        assert_eq!(answers[&("filter 2".to_owned(), 2)], "refused");
        assert_eq!(answers[&("filter 2".to_owned(), 3)], "ran");
    }

    /// A checkout with a project whose file is this, whose patch makes a line of `old`, with some
    /// programs replaced by scripts in `bin`.
    fn toy(project: &str, old: &str, line: &str, shims: &[(&str, &str)]) -> tempfile::TempDir {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let put = |path: &str, text: &str| write_whole(&at(path), text.as_bytes()).unwrap();
        for file in [
            "scripts/projects.sh",
            "scripts/commit.sh",
            "scripts/fetch.sh",
            "userspace/open_code/open_code.h",
        ] {
            write_whole(&at(file), &fs::read(root.join(file)).unwrap()).unwrap();
        }
        put("patches/projects/toy/project", project);
        put(
            "patches/projects/toy/1.patch",
            &format!(
                "From 0 Mon Sep 17 00:00:00 2001\nFrom: a <a@example.org>\nSubject: [PATCH] b\n\n---\n\
                 diff --git a/toy b/toy\n--- a/toy\n+++ b/toy\n@@ -1 +1 @@\n-{old}\n+{line}\n"
            ),
        );
        put("toy-1/toy", "echo old\n");
        for (name, script) in shims {
            put(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        }
        sh(
            &dir,
            "mkdir -p build/projects/dl; state=build/apt/deb-src-$(dpkg --print-architecture)-bookworm-trixie; mkdir -p $state; : >$state/listed; tar -czf build/projects/dl/toy_1.orig.tar.gz toy-1; : >build/projects/dl/toy_1-1.dsc; git init -q; git -c user.name=a -c user.email=b -c commit.gpgsign=false commit -q --allow-empty -m c; mkdir -p bin; chmod -R +x bin scripts",
        );
        dir
    }

    fn sh(dir: &tempfile::TempDir, script: &str) -> (ExitStatus, String, String) {
        let mut sh = Command::new("sh");
        // Whatever the user has set.
        let git = [
            ("COUNT", "1"),
            ("KEY_0", "commit.gpgsign"),
            ("VALUE_0", "true"),
        ];
        sh.envs(git.map(|(name, value)| (format!("GIT_CONFIG_{name}"), value)));
        proc::output(sh.arg("-c").arg(script).current_dir(dir)).unwrap()
    }

    /// What scripts/projects.sh says of such a checkout. A project of Debian's is built as Debian does.
    fn says(project: &str, old: &str, line: &str, shims: &[(&str, &str)]) -> String {
        let debian = project.contains("debian: ");
        let dir = toy(project, old, line, shims);
        let at = |path: &str| dir.path().join(path);
        let option = if debian { "--debian" } else { "" };
        let run = format!("PATH=$PWD/bin:$PATH LIMIT=2 scripts/projects.sh {option} toy");
        let (status, out, err) = sh(&dir, &run);
        assert_eq!(status.success(), err.is_empty(), "{err}");
        // What did not succeed is not taken for done.
        let done = if debian {
            "build/projects/toy/debian.build"
        } else {
            "build/results/projects/toy"
        };
        assert_eq!(status.success(), at(done).exists());
        out + &err
    }

    const TOY: &str =
        "package: toy\nversion: 1\nbuild: true\ntest: sh toy\nfailed: ^FAIL\nbinary: toy\n";

    #[test]
    fn what_the_script_runs_ends_with_it() {
        let build =
            "build: trap 'touch ../../../ended; exit' TERM; touch ../../../begun; sleep 60 & wait";
        let dir = toy(
            &TOY.replace("build: true", build),
            "echo old",
            "echo new",
            &[],
        );
        let until =
            |file| format!("timeout 20 sh -c 'until [ -e build/{file} ]; do sleep 0.1; done'");
        let (begun, ended) = (until("begun"), until("ended"));
        let run = format!("scripts/projects.sh toy & {begun}; kill $!; {ended}");
        let (status, ..) = sh(&dir, &run);
        assert!(status.success());
    }

    #[test]
    fn another_kind_of_run_takes_no_build_for_its_own() {
        let dir = toy(TOY, "echo old", "echo new", &[]);
        let patch = "patches/projects/toy/1.patch";
        let change = |from: &str, to: &str| format!("sed -i 's/echo {from}/echo {to}/' {patch}");
        let (there, back) = (change("new", "other"), change("other", "new"));
        let run = format!(
            "scripts/projects.sh --build toy && {there} && scripts/projects.sh toy && {back} && \
             scripts/projects.sh --build toy && cat build/projects/toy/patched/toy"
        );
        let (_, out, err) = sh(&dir, &run);
        assert!(out.ends_with("\necho new\n"), "{out}{err}");
    }

    #[test]
    fn bad_input_of_the_script_is_named() {
        let (old, new) = ("echo old", "echo new");
        let other = TOY.replace("version: 1", "version: 9");
        let broken = TOY.replace("build: true", "build: false");
        let listed = ("apt-cache", "echo Version: 9-1");
        let debian = format!("{TOY}debian: grep -q new toy\nreplaces: toy /usr/bin/toy\n");
        let dropped = format!("{debian}contains: gone.patch\n");
        let moved = debian.replace("replaces: toy", "replaces: build/toy");
        let unpacks = [("dpkg-source", "for dir; do :; done; cp -R toy-1 \"$dir\"")];
        for (project, old, new, shims, says) in [
            (TOY, old, new, &[][..], "suite as before"),
            (
                &other,
                old,
                new,
                &[("apt-cache", "echo Version: 1-1")],
                "Debian has no source of toy 9",
            ),
            (
                &other,
                old,
                new,
                &[("apt-cache", "echo no lists >&2; exit 1")],
                "no lists\nprojects: next",
            ),
            (
                &other,
                old,
                new,
                &[listed, ("apt-get", "exit 1")],
                "cannot fetch toy=9-1",
            ),
            (
                TOY,
                "echo other",
                new,
                &[],
                "the patches of toy do not apply to toy 1",
            ),
            (
                TOY,
                old,
                "sleep 60",
                &[],
                "toy, patched: test did not end in 2 seconds",
            ),
            (
                TOY,
                old,
                "echo FAIL it",
                &[],
                "the suite is worse with the patch:\nprojects: FAIL it",
            ),
            (&broken, old, new, &[], "toy, patched: build failed"),
            (TOY, old, new, &[("tar", "exit 2")], "is there space left?"),
            (&debian, old, new, &unpacks, "debian: build"),
            (
                &dropped,
                old,
                new,
                &unpacks,
                "Debian's source of toy 1 has not the patch gone.patch",
            ),
            (
                &moved,
                old,
                new,
                &unpacks,
                "toy, debian: the build made no build/toy",
            ),
        ] {
            let said = self::says(project, old, new, shims);
            assert!(said.contains(says), "{said}\ninstead of\n{says}");
        }
    }

    /// The page has each way of each project, with the answers that the policy means, and was made
    /// with the patches and the ways that are there.
    #[test]
    fn the_page_is_of_these_patches() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap();
        let ctx = crate::ctx::tests::at(root);
        let page = fs::read_to_string(root.join(PAGE)).unwrap();
        let line = |first: &str| {
            let start = format!("| {first} | ");
            let mut lines = page.lines().filter(|line| line.starts_with(&start));
            lines.next().unwrap_or_else(|| {
                panic!("{PAGE} has no row of {first}; next: make projects, make results")
            })
        };
        let [starts, ways] = tables(&ctx).unwrap();
        let mut shown = 0;
        for name in &starts.names {
            let project = Project::read(&ctx, name).unwrap();
            let sum = line(name);
            if sum.contains("not run yet") {
                continue;
            }
            assert!(
                sum.contains(&format!(" | 0 | {} | ", project.state)),
                "{PAGE} was made with other patches or ways of {name}; next: make projects NAMES={name}, make results"
            );
            for way in &project.ways {
                let should = row(name, way, &right(way));
                let (should, _) = should.rsplit_once(" unknown |").unwrap();
                let found = line(&way.cell(name));
                assert!(found.starts_with(should), "{found}\ninstead of\n{should}");
                shown += 1;
            }
        }
        assert!(shown > 0 && shown <= ways.names.len(), "{shown} ways");
    }
}
