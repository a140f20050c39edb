// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests, with the series and without.

use anyhow::Result;

use crate::guest::beside;
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
    let ctx = session.ctx;
    let base_kernel = session.base_kernel()?;
    let tip_kernel = session.tip_kernel()?;
    let bundle = session.selftests()?;
    let own = selftests::own(&bundle)?;

    let on_base = selftests::boot(ctx, base_kernel, "selftests on the base", &bundle);
    let on_tip = selftests::boot(ctx, tip_kernel, "selftests", &bundle);
    let (base, tip) = beside(
        || selftests::run(on_base, &[]),
        || selftests::run(on_tip, &[]),
    )?;
    let name = "the run on the base is complete and the kernel did not complain";
    report.check(name, &base.trouble, Some(&base.log));
    report.run("", "with the series", &tip.of(is_own));
    // What fails on both kernels says something about the guest, not about the series.
    let [old, new] = [&base, &tip].map(|run| run.of(|program| !is_own(program)).cases);
    let compared = old.len();
    let mut differing = selftests::unequal((&old, "on the base"), (&new, "with the series"));
    if compared == 0 {
        differing.push("no test ran on the base".to_owned());
    }
    let name = format!("{compared} cases of the kernel's own tests end as on the base");
    report.check(&name, &differing, Some(&base.log));
    // Its kernel has no fanotify.
    let problems = not_without_the_flag(Verdict::Skip, &base);
    report.check(
        "the series' tests skip on the base",
        &problems,
        Some(&base.log),
    );

    let fixed = |variant| session.kernel("the series' kernel, static", session.tip(), variant);
    #[rustfmt::skip]
    let policies = [
        ("CONFIG_OPEN_MAYEXEC_STATIC=y, value 3", "static", &fixed(&STATIC)?, None, STATIC_VALUE),
        ("CONFIG_OPEN_MAYEXEC_STATIC=y, value 1", "static-mount", &fixed(&STATIC_MOUNT)?, None, "1"),
        ("booted with the sysctl at 2", "boot parameter", tip_kernel, Some(PARAMETER), "2"),
    ];
    for (how, name, kernel, word, value) in policies {
        let mut boot = selftests::boot(ctx, kernel, &format!("selftests {name}"), &bundle);
        boot.cmdline.extend(word);
        boot.before += &expect_sysctl(value);
        report.run(&format!("{how}: "), how, &selftests::run(boot, &own)?);
    }

    if session.first_posting() != session.tip() {
        let how = "the first posting alone";
        let first = session.first_posting();
        let kernel = session.kernel(how, first, &Variant::PLAIN)?;
        let bundle = session.selftests_at(first, Flavour::SERIES)?;
        let boot = selftests::boot(ctx, &kernel, "selftests first posting", &bundle);
        let run = selftests::run(boot, &selftests::own(&bundle)?)?;
        report.run(&format!("{how}: "), how, &run);
    }

    for (how, without) in [("CONFIG_OPEN_MAYEXEC=n", OFF), ("CONFIG_RUST=n", NO_RUST)] {
        let kernel = session.kernel(how, session.tip(), &without)?;
        let name = format!("selftests {}", without.name);
        let run = selftests::run(selftests::boot(ctx, &kernel, &name, &bundle), &own)?;
        let name = format!("{how}: the series' tests skip, and execve(2) raises its events");
        let problems = not_without_the_flag(Verdict::Pass, &run);
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
