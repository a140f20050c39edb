// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests, with the flag and without.

use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::kernel::Variant;
use crate::report::Report;
use crate::selftests::{self, Flavour, is_own};
use crate::session::Session;
use crate::tap::{Run, Verdict};
use crate::variants::{NO_RUST, OFF, STATIC, STATIC_VALUE};

/// Runs the same selftests with the flag and without, and the series' own on other kernels.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let series = &session.tip_kernel()?;
    let (tip, first) = (session.tip(), session.first_posting());
    let of = |what: &str, variant| session.kernel(what, tip, variant);
    let fixed = of("the kernel with a fixed policy", &STATIC)?;
    let off = of("the kernel without the flag", &OFF)?;
    let no_rust = of("the kernel without Rust", &NO_RUST)?;
    let posted = session.kernel("the first posting alone", first, &Variant::PLAIN)?;
    let bundle = session.selftests()?;
    let mut own = selftests::own(&bundle)?;
    // The rest of lab/selftests runs with the series; what execve(2) does is asked of each kernel,
    // and who changes the policy.
    own.retain(|program| {
        let (group, test) = program.split_once(':').unwrap_or_default();
        group != selftests::OWN[1] || ["marks_test", "setters_test"].contains(&test)
    });
    let mut all = selftests::programs(&bundle)?;
    // It renames for minutes, and the series does not touch how a path is walked.
    all.retain(|program| !program.ends_with(":rename_attack_test"));
    let posted_bundle = session.selftests_at(first, Flavour::SERIES)?;

    let boot = |kernel, name, bundle| selftests::boot(session.ctx, kernel, name, bundle);
    let with = |kernel, name, value| {
        let mut boot = boot(kernel, name, &bundle);
        boot.before += &expect_sysctl(value);
        boot
    };
    let mut by_parameter = with(series, "selftests boot parameter", "2");
    let parameter = "sysctl.fs.open_mayexec_enforce=2";
    by_parameter.cmdline.push(parameter);
    #[rustfmt::skip]
    let jobs = [
        ("CONFIG_OPEN_MAYEXEC=n", boot(&off, "selftests off", &bundle), &all),
        ("with the series", boot(series, "selftests", &bundle), &all),
        ("CONFIG_OPEN_MAYEXEC_STATIC=y, value 3", with(&fixed, "selftests static", STATIC_VALUE), &own),
        ("booted with the sysctl at 2", by_parameter, &own),
        ("the first posting alone", boot(&posted, "selftests first posting", &posted_bundle), &selftests::own(&posted_bundle)?),
        ("CONFIG_RUST=n", boot(&no_rust, "selftests no-rust", &bundle), &own),
    ];
    let runs = jobs.into_par_iter().with_max_len(1);
    let runs = runs.map(|(how, boot, only)| Ok((how, selftests::run(boot, only)?)));
    let runs: Vec<_> = runs.collect::<Result<_>>()?;
    let [off, (_, series), variants @ .., no_rust] = &runs[..] else {
        bail!("a job has no run");
    };

    let how = off.0;
    report.run("", "with the series", &series.of(is_own));
    let (count, differing) = differing((how, &off.1), series);
    let name = format!("{count} cases of the kernel's own tests end as with {how}");
    report.check(&name, &differing, Some(&off.1.log));
    for (how, run) in variants {
        report.run(&format!("{how}: "), how, run);
    }
    for (how, run) in [off, no_rust] {
        let name = format!("{how}: whole, the series' tests skip, execve(2) raises its events");
        let problems = not_without_the_flag(run);
        report.check(&name, &problems, Some(&run.log));
    }
    Ok(())
}

/// How many tests of the kernel's own there are in a run, and which end otherwise with the series.
/// What fails in both says something about the guest, not about the series.
pub(crate) fn differing((how, run): (&str, &Run), series: &Run) -> (usize, Vec<String>) {
    let [old, new] = [run, series].map(|run| run.of(|program| !is_own(program)).cases);
    let mut differing = selftests::unequal((&old, how), (&new, "with the series"));
    if old.is_empty() {
        differing.push(format!("no test ran {how}"));
    }
    (old.len(), differing)
}

/// What ends a job with an error if the sysctl has another value.
pub(crate) fn expect_sysctl(value: &str) -> String {
    let path = uapi::SYSCTL;
    let wrong = format!("echo \"{path}: $found instead of {value}\"; exit 1");
    format!("found=$(cat {path})\n[ \"$found\" = {value} ] || {{ {wrong}; }}\n")
}

/// What is wrong with a run without the feature, in which the series' tests of the flag skip and
/// its tests of execve(2) pass.
pub(crate) fn not_without_the_flag(run: &Run) -> Vec<String> {
    let own = run.of(is_own);
    let mut problems = run.trouble.clone();
    for (of_execve, verdict) in [(false, Verdict::Skip), (true, Verdict::Pass)] {
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

#[test]
fn a_kernel_that_complains_is_heard_without_the_flag() {
    let case = |name, verdict| crate::tap::tests::case("filesystems/mayexec:a", name, verdict);
    let cases = vec![case("a.a", Verdict::Skip), case("execve.a", Verdict::Pass)];
    let run = Run::of_job((cases, vec!["BUG: a".to_owned()]), 0, "log".into());
    assert_eq!(not_without_the_flag(&run), ["BUG: a"]);
}
