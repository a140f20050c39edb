// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests, with the series and without.

use std::path::PathBuf;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::guest::{Boot, beside};
use crate::kernel::{Kernel, Variant};
use crate::report::Report;
use crate::selftests::{self, Flavour, Plan, is_own};
use crate::session::Session;
use crate::tap::{Case, Run, Verdict};
use crate::variants::{NO_RUST, OFF, STATIC, STATIC_MOUNT, STATIC_MOUNT_VALUE, STATIC_VALUE};

/// Runs the same selftests on both kernels, and the series' own on its variants.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let base_kernel = session.base_kernel()?;
    let tip_kernel = session.tip_kernel()?;
    let bundle = session.selftests()?;

    let all = |name| Plan::all(name, &bundle);
    report.start();
    let (base, tip) = beside(
        || selftests::run(ctx, base_kernel, all("selftests on the base").quiet()),
        || selftests::run(ctx, tip_kernel, all("selftests")),
    )?;
    let name = "the run on the base is complete and the kernel did not complain";
    report.check(name, &base.trouble, Some(&base.log));
    let cases = excuse(&tip.cases, &base.cases);
    let excused = Run {
        cases,
        ..tip.clone()
    };
    report.run("", "with the series", &excused);

    let [old, new] = [&base, &tip].map(|run| run.of(|program| !is_own(program)).cases);
    let compared = old.len();
    let mut differing = selftests::unequal((&old, "on the base"), (&new, "with the series"));
    if compared == 0 {
        differing.push("no test ran on the base".to_owned());
    }
    let name = format!("{compared} cases of the kernel's own tests end as on the base");
    report.check(&name, &differing, Some(&base.log));
    let own = selftests::own(&bundle)?;
    // Its kernel has no fanotify.
    let name = "the series' tests skip on the base";
    without_the_flag(report, name, Verdict::Skip, &base);

    for (fixed, value) in [(STATIC, STATIC_VALUE), (STATIC_MOUNT, STATIC_MOUNT_VALUE)] {
        let how = format!("CONFIG_OPEN_MAYEXEC_STATIC=y, value {value}");
        let kernel = session.kernel(&how, session.tip(), &fixed)?;
        let names = ["sysctl", "selftests"].map(|what| format!("{what} {}", fixed.name));
        let name = format!("{how}: the sysctl says so");
        sysctl((session, report), &kernel, (&names[0], &name), (&[], value))?;
        variant(
            session,
            report,
            &kernel,
            &how,
            Plan::all(&names[1], &bundle).only(&own),
        )?;
    }

    let parameter = ["sysctl.fs.open_mayexec_enforce=2"];
    let names = ("boot parameter", "the boot parameter sets the sysctl");
    sysctl((session, report), tip_kernel, names, (&parameter, "2"))?;
    let plan = Plan {
        cmdline: &parameter,
        ..all("selftests boot parameter").only(&own)
    };
    let how = "booted with the sysctl at 2";
    variant(session, report, tip_kernel, how, plan)?;

    if session.first_posting() != session.tip() {
        let how = "the first posting alone";
        let first = session.first_posting();
        let kernel = session.kernel(how, first, &Variant::PLAIN)?;
        let bundle = session.selftests_at(first, Flavour::SERIES)?;
        let own = selftests::own(&bundle)?;
        let plan = Plan::all("selftests first posting", &bundle).only(&own);
        variant(session, report, &kernel, how, plan)?;
    }

    for (how, without) in [("CONFIG_OPEN_MAYEXEC=n", OFF), ("CONFIG_RUST=n", NO_RUST)] {
        let kernel = session.kernel(how, session.tip(), &without)?;
        let boot = format!("selftests {}", without.name);
        let run = selftests::run(ctx, &kernel, Plan::all(&boot, &bundle).only(&own))?;
        let name = format!("{how}: the series' tests skip, and execve(2) raises its events");
        without_the_flag(report, &name, Verdict::Pass, &run);
    }
    Ok(())
}

/// The value of the sysctl after a boot, and where the guest's output is.
pub(crate) fn sysctl_value(
    ctx: &Ctx,
    kernel: &Kernel,
    boot: &str,
    cmdline: &[&str],
) -> Result<(String, PathBuf)> {
    let mut boot = Boot::new(ctx, kernel, boot, &["/bin/cat", uapi::SYSCTL]);
    boot.cmdline.extend(cmdline);
    let outcome = boot.run()?;
    Ok((outcome.output.trim().to_owned(), outcome.output_log))
}

/// Checks the value of the sysctl after a boot with words on the command line.
fn sysctl(
    (session, report): (&Session<'_>, &mut Report),
    kernel: &Kernel,
    (boot, name): (&str, &str),
    (cmdline, expected): (&[&str], &str),
) -> Result<()> {
    let (found, log) = sysctl_value(session.ctx, kernel, boot, cmdline)?;
    let wrong = format!("{}: `{found}` instead of `{expected}`", uapi::SYSCTL);
    let problems = Vec::from_iter((found != expected).then_some(wrong));
    report.check(name, &problems, Some(&log));
    Ok(())
}

/// The series' cases, with those that fail without it as well counted as skipped:
/// they say something about the guest, not about the series.
fn excuse(tip: &[Case], base: &[Case]) -> Vec<Case> {
    let fails_on_base = |case: &Case| {
        let same = |old: &Case| old.full_name() == case.full_name();
        let mut failed = base.iter().filter(|old| old.verdict == Verdict::Fail);
        !is_own(&case.group) && failed.any(same)
    };
    let mut cases = tip.to_vec();
    for case in &mut cases {
        if case.verdict == Verdict::Fail && fails_on_base(case) {
            case.verdict = Verdict::Skip;
            case.detail = "fails on the base as well".to_owned();
        }
    }
    cases
}

/// The series' tests on another kernel or after another boot.
fn variant(
    session: &Session<'_>,
    report: &mut Report,
    kernel: &Kernel,
    how: &str,
    plan: Plan<'_>,
) -> Result<()> {
    let run = selftests::run(session.ctx, kernel, plan)?;
    report.run(&format!("{how}: "), how, &run);
    if !run.cases.iter().any(|case| case.verdict == Verdict::Pass) {
        let name = format!("{how}: some case passes");
        report.fail(&name, "none did", Some(&run.log));
    }
    Ok(())
}

/// Checks that the series' tests of the flag skip in a run without the feature, and that the
/// series' tests of execve(2) end as they are `to_end`.
fn without_the_flag(report: &mut Report, name: &str, to_end: Verdict, run: &Run) {
    report.check(name, &not_without_the_flag(to_end, run), Some(&run.log));
}

/// What a kernel without the feature does not do.
pub(crate) fn not_without_the_flag(to_end: Verdict, run: &Run) -> Vec<String> {
    let own = run.of(is_own);
    let mut problems = Vec::new();
    for (of_execve, verdict) in [(false, Verdict::Skip), (true, to_end)] {
        let mut part = own.clone();
        part.cases
            .retain(|case| case.name.starts_with("execve.") == of_execve);
        if part.cases.is_empty() {
            problems.push(format!("no case that is to end as {verdict:?} ran"));
        }
        problems.extend(part.wrong(&[verdict]));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::tests::case;

    #[test]
    fn only_old_failures_are_excused() {
        let base = [
            case("old", "a", Verdict::Fail),
            case("old", "b", Verdict::Pass),
            case("filesystems/mayexec:x", "c", Verdict::Fail),
        ];
        let tip = base.clone().map(|mut case| {
            case.verdict = Verdict::Fail;
            case
        });
        let verdicts: Vec<Verdict> = excuse(&tip, &base)
            .iter()
            .map(|case| case.verdict)
            .collect();
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Fail, Verdict::Fail]);
    }
}
