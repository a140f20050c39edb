// SPDX-License-Identifier: GPL-2.0

//! The series elsewhere: on arm64 and riscv64, compiled by GCC, under 32-bit programs,
//! and in user-mode Linux.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::kernel::{Builder, Kernel, Variant};
use crate::report::Check;
use crate::selftests::{self, Flavour, is_own};
use crate::session::Session;
use crate::suites::kunit;
use crate::tap::{MAY_SKIP, Run};
use crate::toolchain::{Arch, By, Toolchain, X86};
use crate::ui;

/// What kunit.py keeps of the kernel's output, in its build directory.
const TEST_LOG: &str = "test.log";

/// A race of the kernel's own against a clock, which a busy host loses.
const RACE: &str = "filesystems/openat2:rename_attack_test";

/// Cases that another architecture cannot have: of system calls of old ones, and of host programs.
const ONLY_HERE: [&str; 4] = [
    "legacy.creat_ignores_it",
    "legacy.open_ignores_it",
    "tracers.perf_trace_shows_the_tracepoint",
    "tracers.strace_shows_flag_and_error",
];

/// Cross-built by LLVM and booted: KUnit passes, and every selftest ends as on x86.
pub(crate) fn cross(session: &Session<'_>, arch: Arch) -> Result<Check> {
    let tools = session.tools()?.of(arch, By::Llvm)?;
    let (name, walk) = (arch.debian, session.at(session.tip())?);
    let check = Check::new(&format!("the series works on {name}"));
    let (check, kernel) = compiled(session, check, &tools, name)?;
    let obj = obj(session, name);
    let bundle = selftests::build(session.ctx, &tools, &walk, &obj, Flavour::STATIC)?;
    selftests(session, check, (&kernel, name), &bundle, &ONLY_HERE)
}

/// Compiled by GCC, with Rust.
pub(crate) fn gcc(session: &Session<'_>) -> Result<Check> {
    let check = Check::new("the series works when GCC compiles the kernel");
    let (check, kernel) = compiled(session, check, &session.tools()?.of(X86, By::Gcc)?, "gcc")?;
    selftests(session, check, (&kernel, "gcc"), &session.selftests()?, &[])
}

/// i386 programs on the x86_64 kernel: every selftest ends as a 64-bit one.
pub(crate) fn compat(session: &Session<'_>) -> Result<Check> {
    let check = Check::new("32-bit programs meet what 64-bit ones do");
    let bundle = session.selftests_at(session.tip(), Flavour::COMPAT)?;
    let kernel = &session.tip_kernel()?;
    selftests(session, check, (kernel, "i386"), &bundle, &[])
}

/// kunit.py, as a newcomer runs it, but strict: this kernel of the series has no tracepoints.
pub(crate) fn uml(session: &Session<'_>) -> Result<Check> {
    let dir = obj(session, "uml");
    // A result of an earlier run is none of this one.
    let result = dir.join(TEST_LOG);
    let _ = fs_err::remove_file(&result);
    let log = session.ctx.fresh_log("kunit-py")?;
    let mut cmd = Command::new("python3");
    cmd.args(["tools/testing/kunit/kunit.py", "run"])
        .arg("--make_options=KRUSTFLAGS=-Dwarnings")
        .arg(format!("--build_dir={}", dir.display()))
        .arg("--kunitconfig")
        .arg(session.ctx.root.join("scripts/config/uml.config"))
        .current_dir(session.at(session.tip())?.dir());
    session.tools()?.environment(&mut cmd);
    let ran = ui::step("run kunit.py", &log, 3600, &mut cmd);
    let output = fs_err::read(&result).unwrap_or_default();
    let mut run = kunit::read(&String::from_utf8_lossy(&output), &log);
    run.trouble
        .extend(ran.err().map(|error| format!("{error:#}")));
    Ok(Check::new("kunit.py passes in user-mode Linux").also_run(&run, &MAY_SKIP, " of KUnit"))
}

/// Objects that no other kernel of the session shares.
fn obj(session: &Session<'_>, name: &str) -> PathBuf {
    session.ctx.slot.join(format!("walk/obj-{name}"))
}

/// Builds the whole series by `tools`, where no warning may come, and runs KUnit.
fn compiled(
    session: &Session<'_>,
    check: Check,
    tools: &Toolchain,
    name: &str,
) -> Result<(Check, Kernel)> {
    let builder = Builder {
        tools,
        obj: obj(session, name),
        ..session.builder(&Variant::PLAIN)?
    };
    session.at(session.tip())?;
    let what = format!("the series' kernel ({name})");
    let kernel = builder.build(&what, &Variant::PLAIN)?;
    let run = kunit::boot(session.ctx, &kernel, &format!("kunit {name}"))?;
    Ok((check.also_run(&run, &MAY_SKIP, " of KUnit"), kernel))
}

/// Runs a bundle's programs on a kernel, and the host's of the same names on the known kernel
/// beside it, and adds what they have not in common. The cases `absent` do not count.
fn selftests(
    session: &Session<'_>,
    check: Check,
    (kernel, name): (&Kernel, &str),
    bundle: &Path,
    absent: &[&str],
) -> Result<Check> {
    let mut only = selftests::programs(bundle)?;
    only.retain(|program| program != RACE);
    let label = format!("selftests beside {name}");
    let (known, bundle_there) = (&session.tip_kernel()?, session.selftests()?);
    let beside_it = selftests::boot(session.ctx, known, &label, &bundle_there);
    let boot = selftests::boot(session.ctx, kernel, &format!("selftests {name}"), bundle);
    let (known, run) = rayon::join(
        || selftests::run(beside_it, &only),
        || selftests::run(boot, &only),
    );
    let (mut known, mut run) = (known?, run?);
    let tried = format!("{} of the selftests", run.counted());
    for run in [&mut known, &mut run] {
        run.cases.retain(|case| !absent.contains(&&*case.name));
    }
    Ok(check.also(&tried, compared(&known, &run, name), &run.log))
}

/// What a run has not in common with the known one.
fn compared(known: &Run, run: &Run, name: &str) -> Vec<String> {
    // What fails in both says something about the guest, unless it is the series'.
    let mut problems = run.of(is_own).problems(&MAY_SKIP);
    problems.extend_from_slice(&known.trouble);
    let known = (&known.cases[..], "on the known kernel");
    problems.extend(selftests::unequal(known, (&run.cases, name)));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Verdict;
    use crate::tap::tests::case;

    fn run(cases: &[(&str, &str, Verdict)]) -> Run {
        let cases = cases.iter();
        let cases = cases.map(|&(group, name, end)| case(group, name, end));
        Run::of_job((cases.collect(), Vec::new()), 0, PathBuf::new())
    }

    #[test]
    fn another_verdict_than_the_known_one_is_a_failure() {
        const OWN: &str = "filesystems/mayexec:x";
        let cases = |a, b, c| run(&[(OWN, "a", a), (OWN, "b", b), ("old", "c", c)]);
        let (pass, skip, fail) = (Verdict::Pass, Verdict::Skip, Verdict::Fail);
        let known = cases(pass, skip, fail);
        let problems = |other: &Run| compared(&known, other, "there").len();
        assert_eq!(problems(&known), 0);
        // Neither a new skip nor a lost case passes as one of the known.
        assert_eq!(problems(&cases(skip, skip, fail)), 2);
        assert_eq!(problems(&run(&[(OWN, "a", pass)])), 2);
        assert_eq!(problems(&cases(pass, fail, fail)), 2);
        let mut trouble = known.clone();
        trouble.trouble.push("no plan".to_owned());
        assert_eq!(problems(&trouble), 1);
    }
}
