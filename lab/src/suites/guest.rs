// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests, with the series and without.

use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::kernel::Variant;
use crate::report::Report;
use crate::selftests::{self, Flavour, is_own};
use crate::session::Session;
use crate::tap::{Run, Verdict};
use crate::variants::{NO_RUST, OFF, STATIC, STATIC_MOUNT, STATIC_VALUE};

/// What a kernel's command line says to set the policy.
const PARAMETER: &str = "sysctl.fs.open_mayexec_enforce=2";

/// Runs the same selftests on both kernels, and the series' own on its variants.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let (base, series) = (&session.base_kernel()?, &session.tip_kernel()?);
    let (tip, first) = (session.tip(), session.first_posting());
    let of =
        |what: &str, variant| session.kernel(&format!("the series' kernel, {what}"), tip, variant);
    let fixed = of("static", &STATIC)?;
    let fixed_mount = of("static with MOUNT", &STATIC_MOUNT)?;
    let (off, no_rust) = (of("without the flag", &OFF)?, of("without Rust", &NO_RUST)?);
    let posted = session.kernel("the first posting alone", first, &Variant::PLAIN)?;
    let bundle = session.selftests()?;
    let own = selftests::own(&bundle)?;
    let posted_bundle = session.selftests_at(first, Flavour::SERIES)?;
    let posted_own = selftests::own(&posted_bundle)?;

    let boot = |kernel, name: &str| {
        selftests::boot(session.ctx, kernel, &format!("selftests {name}"), &bundle)
    };
    let with = |kernel, name, value| {
        let mut boot = boot(kernel, name);
        boot.before += &expect_sysctl(value);
        boot
    };
    let mut by_parameter = with(series, "boot parameter", "2");
    by_parameter.cmdline.push(PARAMETER);
    let of_first = selftests::boot(
        session.ctx,
        &posted,
        "selftests first posting",
        &posted_bundle,
    );
    #[rustfmt::skip]
    let jobs = [
        ("on the base", boot(base, "on the base"), &[][..]),
        ("with the series", boot(series, "with the series"), &[]),
        ("CONFIG_OPEN_MAYEXEC_STATIC=y, value 3", with(&fixed, "static", STATIC_VALUE), &own),
        ("CONFIG_OPEN_MAYEXEC_STATIC=y, value 1", with(&fixed_mount, "static-mount", "1"), &own),
        ("booted with the sysctl at 2", by_parameter, &own),
        ("the first posting alone", of_first, &posted_own),
        ("CONFIG_OPEN_MAYEXEC=n", boot(&off, "off"), &own),
        ("CONFIG_RUST=n", boot(&no_rust, "no-rust"), &own),
    ];
    // A guest of one CPU keeps one core busy.
    let runs = jobs.into_par_iter().with_max_len(1);
    let runs = runs.map(|(how, boot, only)| Ok((how, selftests::run(boot, only)?)));
    let runs: Vec<_> = runs.collect::<Result<_>>()?;
    let [(_, base), (_, series), variants @ .., off, no_rust] = &runs[..] else {
        bail!("a job has no run");
    };

    let name = "the run on the base is complete and the kernel did not complain";
    report.check(name, &base.trouble, Some(&base.log));
    report.run("", "with the series", &series.of(is_own));
    // What fails on both kernels says something about the guest, not about the series.
    let [old, new] = [base, series].map(|run| run.of(|program| !is_own(program)).cases);
    let compared = old.len();
    let mut differing = selftests::unequal((&old, "on the base"), (&new, "with the series"));
    if compared == 0 {
        differing.push("no test ran on the base".to_owned());
    }
    let name = format!("{compared} cases of the kernel's own tests end as on the base");
    report.check(&name, &differing, Some(&base.log));
    // Its kernel has no fanotify.
    let problems = not_without_the_flag(Verdict::Skip, base);
    report.check(
        "the series' tests skip on the base",
        &problems,
        Some(&base.log),
    );
    for (how, run) in variants {
        report.run(&format!("{how}: "), how, run);
    }
    for (how, run) in [off, no_rust] {
        let name = format!("{how}: the series' tests skip, and execve(2) raises its events");
        let problems = not_without_the_flag(Verdict::Pass, run);
        report.check(&name, &problems, Some(&run.log));
    }
    Ok(())
}

/// What ends a job with an error if the sysctl has another value.
pub(crate) fn expect_sysctl(value: &str) -> String {
    let path = uapi::SYSCTL;
    let wrong = format!("echo \"{path}: $found instead of {value}\"; exit 1");
    format!("found=$(cat {path})\n[ \"$found\" = {value} ] || {{ {wrong}; }}\n")
}

/// What a kernel without the feature does not do: the series' tests of the flag skip in such a
/// run, and the series' tests of execve(2) end as they are `to_end`.
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
