// SPDX-License-Identifier: GPL-2.0

//! Every patch builds without warnings and boots; so does every configuration.

use std::path::PathBuf;

use anyhow::Result;

use crate::guest::{Boot, complaints};
use crate::kernel::{Kernel, Variant};
use crate::report::Report;
use crate::rows;
use crate::session::Session;
use crate::submit_check::builds;
use crate::variants::{NO_RUST, OFF, STATIC};

/// Builds the base, each patch on top of the one before, and the configurations.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    session.base_kernel()?;
    report.pass("the base builds");
    let total = session.commits.len();
    let judge = |report: &mut Report, what: &str, patch: &str, commit: &str, variant: &Variant| {
        let name = format!("{what} builds without warnings and boots{patch}");
        let kernel = session.kernel(what, commit, variant);
        match kernel.and_then(|kernel| booted(session, what, &kernel)) {
            Ok((problems, log)) => report.check(&name, &problems, Some(&log)),
            Err(error) => report.fail(&name, &format!("{error:#}"), None),
        }
    };
    for (index, commit) in session.commits.iter().enumerate() {
        let patch = format!(": {}", session.patch_name(index));
        let what = format!("patch {}/{total}", index + 1);
        judge(report, &what, &patch, commit, &Variant::PLAIN);
    }
    // Before another configuration takes the place of this one's objects.
    report.add(&rows::made("W=1", builds::guests(session)));
    for (variant, what) in [
        (STATIC, "CONFIG_OPEN_MAYEXEC_STATIC=y"),
        (OFF, "CONFIG_OPEN_MAYEXEC=n"),
        (NO_RUST, "CONFIG_RUST=n"),
    ] {
        judge(report, what, "", session.tip(), &variant);
    }
    Ok(())
}

/// What is wrong with a kernel's boot, and the boot's log.
fn booted(session: &Session<'_>, what: &str, kernel: &Kernel) -> Result<(Vec<String>, PathBuf)> {
    let outcome = Boot::new(session.ctx, kernel, what, &["/bin/true"]).succeed()?;
    Ok((complaints(&outcome.console), outcome.console_log))
}
