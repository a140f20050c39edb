// SPDX-License-Identifier: GPL-2.0

//! The series elsewhere: on arm64 and riscv64, compiled by GCC, under 32-bit programs,
//! and in user-mode Linux.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::guest::{Boot, beside, complaints};
use crate::kernel::{self, Builder, Kernel, Variant};
use crate::proc::{self, Logged, file_tail};
use crate::rows::Row;
use crate::selftests::{self, Flavour, Plan, Run, is_own};
use crate::session::Session;
use crate::tap::{self, Case, Verdict};
use crate::toolchain::{self, Arch, Toolchain};
use crate::ui::Stage;

/// What kunit.py is told to test: where the series has its `.kunitconfig`.
const KUNITCONFIG: &str = "fs/mayexec";

/// What kunit.py keeps of the kernel's output, in its build directory.
const TEST_LOG: &str = "test.log";

/// A race of the kernel's own against a clock, which a busy host loses.
const RACE: &str = "filesystems/openat2:rename_attack_test";

/// The cases of system calls that only old architectures have.
const NOT_ON_NEW: [&str; 2] = ["legacy.creat_ignores_it", "legacy.open_ignores_it"];

/// Cross-built by LLVM and booted: KUnit passes, and every selftest ends as on x86.
pub(crate) fn cross(session: &Session<'_>, arch: Arch) -> Result<Row> {
    let tools = session.tools()?.cross(arch);
    let name = arch.debian();
    let kernel = build(session, &tools, name)?;
    let bundle = selftests::build(
        session.ctx,
        &tools,
        &session.at(session.tip())?,
        &obj(session, name),
        Flavour::STATIC,
    )?;
    let mut found = Found::default();
    found.warnings(&own_warnings(session, &kernel)?);
    found.kunit(session, &kernel, name)?;
    found.selftests(session, &kernel, &bundle, name, &NOT_ON_NEW)?;
    Ok(found.row(&format!("the series works on {name}")))
}

/// Compiled by GCC, with Rust: no warning in what the series touches, KUnit passes,
/// and every selftest ends as when LLVM compiled the kernel.
pub(crate) fn gcc(session: &Session<'_>) -> Result<Row> {
    let tools = session.tools()?.gcc(Arch::X86)?;
    let kernel = build(session, &tools, "gcc")?;
    let mut found = Found::default();
    found.warnings(&own_warnings(session, &kernel)?);
    found.kunit(session, &kernel, "gcc")?;
    found.selftests(session, &kernel, &session.selftests()?, "gcc", &[])?;
    Ok(found.row("the series works when GCC compiles the kernel"))
}

/// i386 programs on the x86_64 kernel: every selftest ends as a 64-bit one.
pub(crate) fn compat(session: &Session<'_>) -> Result<Row> {
    let kernel = session.tip_kernel()?;
    let bundle = selftests::build(
        session.ctx,
        session.tools()?,
        &session.at(session.tip())?,
        &session.builder(&Variant::PLAIN)?.obj,
        Flavour::COMPAT,
    )?;
    let mut found = Found::default();
    found.selftests(session, kernel, &bundle, "i386", &[])?;
    Ok(found.row("32-bit programs meet what 64-bit ones do"))
}

/// kunit.py with the series' own configuration, which is what its documentation
/// tells a newcomer to run.
pub(crate) fn uml(session: &Session<'_>) -> Result<Row> {
    let tools = session.tools()?;
    let tree = session.at(session.tip())?;
    let dir = obj(session, "uml");
    // A result of an earlier run is none of this one.
    let result = dir.join(TEST_LOG);
    if result.exists() {
        std::fs::remove_file(&result)?;
    }
    std::fs::create_dir_all(&dir)?;
    let log = session.ctx.fresh_log("kunit-py")?;
    let mut cmd = kunit_py(tools, tree.dir(), &dir);
    let stage = Stage::begin("run kunit.py", Some(&log));
    let status = Logged::new("kunit.py", &log)
        .limit(Duration::from_secs(3600))
        .status(&mut cmd, |line| stage.at(line))?;
    stage.done("");
    let mut found = Found::default();
    if !status.success() {
        found.failures.push(format!(
            "`{}` failed ({status})\n{}",
            proc::render(&cmd),
            file_tail(&log, proc::TAIL)
        ));
    }
    let output = std::fs::read(&result).unwrap_or_default();
    found.kunit_output(&String::from_utf8_lossy(&output), &log);
    Ok(found.row("kunit.py passes in user-mode Linux"))
}

/// kunit.py as one types it, with the compilers of the other builds.
fn kunit_py(tools: &Toolchain, tree: &Path, dir: &Path) -> Command {
    let mut cmd = Command::new("python3");
    cmd.args(["tools/testing/kunit/kunit.py", "run"])
        .args(["--kunitconfig", KUNITCONFIG])
        .arg(format!("--build_dir={}", dir.display()))
        .arg(format!("--jobs={}", toolchain::jobs()));
    for option in tools.make_options() {
        cmd.arg("--make_options").arg(option);
    }
    tools.environment(&mut cmd);
    cmd.current_dir(tree);
    cmd
}

/// Objects that no other kernel of the session shares.
fn obj(session: &Session<'_>, name: &str) -> PathBuf {
    session.ctx.slot.join(format!("walk/obj-{name}"))
}

/// The whole series, built by `tools`.
fn build(session: &Session<'_>, tools: &Toolchain, name: &'static str) -> Result<Kernel> {
    let builder = Builder {
        ctx: session.ctx,
        tools,
        src: session.ctx.walk(),
        obj: obj(session, name),
        name,
        whole: true,
    };
    let key = kernel::tree_key(&session.tree.git, session.tip())?;
    session.at(session.tip())?;
    builder.build(
        &format!("the series' kernel ({name})"),
        &key,
        &Variant::PLAIN,
    )
}

/// Warnings about files that the series touches. Those of other files are the
/// base's, which nobody builds this way.
fn own_warnings(session: &Session<'_>, kernel: &Kernel) -> Result<Vec<String>> {
    let touched = session.touched(&[])?;
    Ok(warnings_in(&kernel.facts.warnings, &touched))
}

/// The warnings about one of the files, or about the object made from it.
fn warnings_in(warnings: &BTreeSet<String>, files: &[String]) -> Vec<String> {
    let stem = |file: &str| Path::new(file).with_extension("");
    let stems: BTreeSet<PathBuf> = files.iter().map(|file| stem(file)).collect();
    warnings
        .iter()
        .filter(|warning| {
            let file = warning.split_once(": warning: ").map(|(file, _)| file);
            file.is_some_and(|file| stems.contains(&stem(file)))
        })
        .cloned()
        .collect()
}

/// What a row is made of.
#[derive(Debug, Default)]
struct Found {
    tried: Vec<String>,
    failures: Vec<String>,
    log: Option<PathBuf>,
}

impl Found {
    fn row(self, claim: &str) -> Row {
        Row {
            claim: claim.to_owned(),
            tried: self.tried.join(", "),
            failures: self.failures,
            log: self.log,
        }
    }

    fn warnings(&mut self, warnings: &[String]) {
        self.tried.push("a build".to_owned());
        self.failures.extend_from_slice(warnings);
    }

    /// Boots with KUnit on.
    fn kunit(&mut self, session: &Session<'_>, kernel: &Kernel, name: &str) -> Result<()> {
        let outcome = Boot::new(
            session.ctx,
            kernel,
            &format!("kunit {name}"),
            &["/bin/true"],
        )
        .run()?;
        self.kunit_output(&outcome.console, &outcome.console_log);
        self.failures.extend(complaints(&outcome.console));
        Ok(())
    }

    /// Counts the cases of KUnit in a kernel's messages.
    fn kunit_output(&mut self, console: &str, log: &Path) {
        let (cases, trouble) = tap::kunit(console);
        self.failures.extend(trouble);
        self.failures.extend(failed(&cases));
        if !cases.iter().any(|case| case.group.contains(tap::OWN)) {
            self.failures
                .push(format!("no KUnit suite has `{}` in its name", tap::OWN));
        }
        self.tried.push(format!("{} of KUnit", counted(&cases)));
        self.log.get_or_insert_with(|| log.to_owned());
    }

    /// Runs a bundle's programs on `kernel`, and the host's of the same names on the
    /// known kernel beside it. The cases `absent` are only there.
    fn selftests(
        &mut self,
        session: &Session<'_>,
        kernel: &Kernel,
        bundle: &Path,
        name: &str,
        absent: &[&str],
    ) -> Result<()> {
        let mut only = selftests::programs(bundle)?;
        only.retain(|program| program != RACE);
        let known = session.selftests()?;
        let known_kernel = session.tip_kernel()?;
        let ctx = session.ctx;
        let (label, known_label) = (
            format!("selftests {name}"),
            format!("selftests beside {name}"),
        );
        let (mut known, run) = beside(
            || {
                let plan = Plan {
                    quiet: true,
                    only: &only,
                    ..Plan::all(&known_label, &known)
                };
                selftests::run(ctx, known_kernel, plan)
            },
            || {
                let plan = Plan {
                    only: &only,
                    ..Plan::all(&label, bundle)
                };
                selftests::run(ctx, kernel, plan)
            },
        )?;
        known
            .cases
            .retain(|case| !absent.contains(&case.name.as_str()));
        self.compared(&known, &run, name);
        Ok(())
    }

    /// Counts the cases of a run and what it has not in common with the known one.
    fn compared(&mut self, known: &Run, run: &Run, name: &str) {
        self.failures.extend(run.trouble.iter().cloned());
        self.failures.extend(known.trouble.iter().cloned());
        self.failures.extend(run.complaints.iter().cloned());
        // What fails in both says something about the guest, unless it is the series'.
        let own: Vec<Case> = run
            .cases
            .iter()
            .filter(|case| is_own(&case.group))
            .cloned()
            .collect();
        self.failures.extend(failed(&own));
        if !own.iter().any(|case| case.verdict == Verdict::Pass) {
            self.failures
                .push("no selftest of the series passed".to_owned());
        }
        self.failures.extend(selftests::unequal(
            (&known.cases, "on the known kernel"),
            (&run.cases, name),
        ));
        self.tried
            .push(format!("{} of the selftests", counted(&run.cases)));
        self.log = Some(run.log.clone());
    }
}

/// The failures among the cases, with what they printed.
fn failed(cases: &[Case]) -> Vec<String> {
    cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail)
        .map(|case| format!("{}: {}", case.full_name(), case.detail))
        .collect()
}

/// `7 cases (2 skipped)`.
fn counted(cases: &[Case]) -> String {
    let skipped = cases
        .iter()
        .filter(|case| case.verdict == Verdict::Skip)
        .count();
    if skipped == 0 {
        format!("{} cases", cases.len())
    } else {
        format!("{} cases ({skipped} skipped)", cases.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cases: &[(&str, &str, Verdict)]) -> Run {
        Run {
            cases: cases
                .iter()
                .map(|&(group, name, verdict)| Case {
                    group: group.to_owned(),
                    name: name.to_owned(),
                    verdict,
                    detail: String::new(),
                })
                .collect(),
            trouble: None,
            complaints: Vec::new(),
            log: PathBuf::from("log"),
        }
    }

    #[test]
    fn another_verdict_than_the_known_one_is_a_failure() {
        let own = "filesystems/mayexec:x".to_owned();
        let known = run(&[
            (&own, "a", Verdict::Pass),
            (&own, "b", Verdict::Skip),
            ("old", "c", Verdict::Fail),
        ]);
        let failures = |other: &Run| {
            let mut found = Found::default();
            found.compared(&known, other, "there");
            assert_eq!(found.tried.len(), 1);
            found.failures.len()
        };
        assert_eq!(failures(&known), 0);
        // Neither a new skip nor a lost case passes as one of the known.
        let skips = run(&[
            (&own, "a", Verdict::Skip),
            (&own, "b", Verdict::Skip),
            ("old", "c", Verdict::Fail),
        ]);
        assert_eq!(failures(&skips), 2);
        assert_eq!(failures(&run(&[(&own, "a", Verdict::Pass)])), 2);
        let fails = run(&[
            (&own, "a", Verdict::Pass),
            (&own, "b", Verdict::Fail),
            ("old", "c", Verdict::Fail),
        ]);
        assert_eq!(failures(&fails), 2);
        let trouble = Run {
            trouble: Some("no plan".to_owned()),
            ..run(&[
                (&own, "a", Verdict::Pass),
                (&own, "b", Verdict::Skip),
                ("old", "c", Verdict::Fail),
            ])
        };
        assert_eq!(failures(&trouble), 1);
    }

    #[test]
    fn user_mode_linux_prints_what_kunit_printed() {
        let good = "Linux version\nKTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: rust_mayexec\n    1..2\n    ok 1 a\n    ok 2 b # SKIP no\nok 1 rust_mayexec\nreboot: System halted\n";
        let count = |text: &str| {
            let mut found = Found::default();
            found.kunit_output(text, Path::new("log"));
            (found.failures.len(), found.tried.join(""))
        };
        assert_eq!(count(good), (0, "2 cases (1 skipped) of KUnit".to_owned()));
        assert_eq!(count(&good.replace("ok 1 a", "not ok 1 a")).0, 1);
        assert_eq!(count(&good.replace("rust_mayexec", "other")).0, 1);
        // A kernel that dies half-way, and one that printed nothing.
        assert!(count(good.split_once("    ok 2").unwrap().0).0 > 0);
        assert!(count("").0 > 0);
    }

    #[test]
    fn only_warnings_about_the_series_files_count() {
        let warnings = BTreeSet::from([
            "fs/open.c: warning: unused variable 'x'".to_owned(),
            "fs/open.o: warning: objtool: x".to_owned(),
            "fs/openother.c: warning: x".to_owned(),
            "warning: a lint".to_owned(),
        ]);
        let files = ["fs/namei.c", "fs/open.c"].map(str::to_owned);
        assert_eq!(warnings_in(&warnings, &files).len(), 2);
        assert!(warnings_in(&warnings, &files[..1]).is_empty());
    }
}
