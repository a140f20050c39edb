// SPDX-License-Identifier: GPL-2.0

//! KUnit, which runs while the kernel boots.

use anyhow::Result;

use crate::guest::{Boot, complaints};
use crate::report::Report;
use crate::session::Session;
use crate::tap;

/// Boots the series' kernel with KUnit on and counts its cases.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let kernel = session.tip_kernel()?;
    let outcome = Boot::new(session.ctx, kernel, "kunit", &["/bin/true"]).run()?;
    let (cases, trouble) = tap::kunit(&outcome.console);
    report.cases("", &cases, &outcome.console_log);
    if let Some(trouble) = trouble {
        report.fail("KUnit ran to its end", &trouble, Some(&outcome.console_log));
    }
    let own = cases
        .iter()
        .filter(|case| case.group.contains(tap::OWN))
        .count();
    if own == 0 {
        report.fail(
            "the series' own KUnit suite ran",
            &format!(
                "no suite has `{}` in its name: is CONFIG_OPEN_MAYEXEC_KUNIT_TEST=y?",
                tap::OWN
            ),
            Some(&outcome.console_log),
        );
    }
    report.check(
        "the kernel did not complain",
        &complaints(&outcome.console),
        Some(&outcome.console_log),
    );
    Ok(())
}
