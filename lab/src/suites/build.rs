// SPDX-License-Identifier: GPL-2.0

//! Every patch builds without warnings and boots; so does every configuration.

use anyhow::Result;

use crate::guest::{Boot, complaints};
use crate::kernel::Variant;
use crate::report::{Check, Report};
use crate::rows;
use crate::series;
use crate::session::Session;
use crate::variants::{NO_RUST, OFF, STATIC};

/// Builds the base, each patch on top of the one before, and the configurations.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    session.base_kernel()?;
    report.pass("the base builds");
    let total = session.commits.len();
    let judge = |report: &mut Report, what: &str, patch: &str, commit: &str, variant: &Variant| {
        let name = format!("{what} builds without warnings and boots{patch}");
        let check = session.kernel(what, commit, variant).and_then(|kernel| {
            let outcome = Boot::new(session.ctx, &kernel, what, &["/bin/true"]).succeed()?;
            let problems = complaints(&outcome.console);
            Ok(Check::new(&name).also("a boot", problems, &outcome.console_log))
        });
        report.add(&rows::made(&name, check));
    };
    for (index, (commit, file)) in session.commits.iter().zip(&session.files).enumerate() {
        let patch = format!(": {}", series::name(&file.with_extension("")));
        let what = format!("patch {}/{total}", index + 1);
        judge(report, &what, &patch, commit, &Variant::PLAIN);
    }
    for (variant, what) in [
        (STATIC, "CONFIG_OPEN_MAYEXEC_STATIC=y"),
        (OFF, "CONFIG_OPEN_MAYEXEC=n"),
        (NO_RUST, "CONFIG_RUST=n"),
    ] {
        judge(report, what, "", session.tip(), &variant);
    }
    Ok(())
}
