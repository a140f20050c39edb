//! The kernel's selftests, with the series and without.

use anyhow::Result;

use super::Session;
use super::build::{OFF, STATIC};
use super::patches::checked_out;
use crate::git::Git;
use crate::kernel::Kernel;
use crate::report::Report;
use crate::selftests::{self, OWN, Run, differences};
use crate::tap::{Case, Verdict};

/// Runs the same selftests on both kernels, and the series' own on its variants.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let base_kernel = session.base_kernel()?;
    let tip_kernel = session.tip_kernel()?;
    let tip = Git::at(checked_out(session)?);
    let bundle = selftests::bundle(ctx, session.tools()?, &tip, &session.builder()?.obj)?;

    report.start();
    let base = selftests::run(
        ctx,
        base_kernel,
        "selftests on the base",
        &bundle,
        &[],
        None,
    )?;
    sound(report, "on the base", &base);
    let tip = selftests::run(ctx, tip_kernel, "selftests", &bundle, &[], None)?;
    report.cases("", &excuse(&tip.cases, &base.cases), &tip.log);
    sound(report, "with the series", &tip);

    let compared = base.cases.iter().filter(|case| case.group != OWN).count();
    let mut differing = differences(&base.cases, &tip.cases);
    if compared == 0 {
        differing.push("no test ran on the base".to_owned());
    }
    report.check(
        &format!("{compared} cases of the kernel's own tests end as on the base"),
        &differing,
        Some(&base.log),
    );
    all_skip(report, "mayexec_test skips on the base", &base);

    let static_kernel = session.kernel("CONFIG_OPEN_MAYEXEC_STATIC=y", session.tip(), &STATIC)?;
    own(
        session,
        report,
        &static_kernel,
        "static",
        "mayexec_test with CONFIG_OPEN_MAYEXEC_STATIC=y",
        &bundle,
        &[],
    )?;
    let parameter = ["sysctl.fs.open_mayexec_enforce=2"];
    own(
        session,
        report,
        tip_kernel,
        "parameter",
        &format!("mayexec_test after booting with {}", parameter[0]),
        &bundle,
        &parameter,
    )?;
    let off_kernel = session.kernel("CONFIG_OPEN_MAYEXEC=n", session.tip(), &OFF)?;
    let off = selftests::run(ctx, &off_kernel, "selftests off", &bundle, &[], Some(OWN))?;
    all_skip(
        report,
        "mayexec_test skips with CONFIG_OPEN_MAYEXEC=n",
        &off,
    );
    Ok(())
}

/// The series' cases, with those that fail without it as well counted as skipped:
/// they say something about the guest, not about the series.
fn excuse(tip: &[Case], base: &[Case]) -> Vec<Case> {
    let fails_on_base = |case: &Case| {
        base.iter()
            .any(|old| old.full_name() == case.full_name() && old.verdict == Verdict::Fail)
    };
    tip.iter()
        .cloned()
        .map(|mut case| {
            if case.verdict == Verdict::Fail && case.group != OWN && fails_on_base(&case) {
                case.verdict = Verdict::Skip;
                case.detail = "fails on the base as well".to_owned();
            }
            case
        })
        .collect()
}

fn own(
    session: &Session<'_>,
    report: &mut Report,
    kernel: &Kernel,
    short: &str,
    name: &str,
    bundle: &std::path::Path,
    cmdline: &[&str],
) -> Result<()> {
    let run = selftests::run(
        session.ctx,
        kernel,
        &format!("selftests {short}"),
        bundle,
        cmdline,
        Some(OWN),
    )?;
    report.cases(&format!("{name}: "), &run.cases, &run.log);
    sound(report, name, &run);
    if !run.cases.iter().any(|case| case.verdict == Verdict::Pass) {
        report.fail(name, "no case passed", Some(&run.log));
    }
    Ok(())
}

/// The run as a whole: complete, and without complaints by the kernel.
fn sound(report: &mut Report, what: &str, run: &Run) {
    let mut problems: Vec<String> = run.trouble.iter().cloned().collect();
    problems.extend(run.complaints.iter().cloned());
    report.check(
        &format!("the run {what} is complete and the kernel did not complain"),
        &problems,
        Some(&run.log),
    );
}

fn all_skip(report: &mut Report, name: &str, run: &Run) {
    let own: Vec<_> = run.cases.iter().filter(|case| case.group == OWN).collect();
    let mut problems: Vec<String> = own
        .iter()
        .filter(|case| case.verdict != Verdict::Skip)
        .map(|case| format!("{}: {:?}", case.full_name(), case.verdict))
        .collect();
    if own.is_empty() {
        problems.push(format!("{OWN} is not in the bundle"));
    }
    report.check(name, &problems, Some(&run.log));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_failures_are_excused() {
        let case = |group: &str, name: &str, verdict| Case {
            group: group.to_owned(),
            name: name.to_owned(),
            verdict,
            detail: String::new(),
        };
        let base = [
            case("old", "a", Verdict::Fail),
            case("old", "b", Verdict::Pass),
            case(OWN, "c", Verdict::Fail),
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
