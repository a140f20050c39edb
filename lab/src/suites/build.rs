// SPDX-License-Identifier: GPL-2.0

//! The series builds without warnings and boots, in each configuration.

use std::path::PathBuf;

use anyhow::Result;

use crate::guest::{Boot, complaints};
use crate::kernel::Variant;
use crate::report::{Check, Report};
use crate::rows;
use crate::session::Session;
use crate::variants::{NO_RUST, OFF, STATIC};

/// What is built, of which commit, and how.
type Job<'a> = (&'a str, &'a str, Variant);

/// What the kernel of a job says of itself, and the log.
fn boot(session: &Session<'_>, (what, commit, of): Job<'_>) -> Result<(Vec<String>, PathBuf)> {
    let kernel = session.kernel(what, commit, &of)?;
    let outcome = Boot::new(session.ctx, &kernel, what, &["/bin/true"]).succeed()?;
    Ok((complaints(&outcome.console), outcome.console_log))
}

/// Builds each of the two parts of the series, and the configurations.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    for job in [
        ("the first posting", session.first_posting(), Variant::PLAIN),
        ("the series", session.tip(), Variant::PLAIN),
        ("CONFIG_OPEN_MAYEXEC_STATIC=y", session.tip(), STATIC),
        ("CONFIG_OPEN_MAYEXEC=n", session.tip(), OFF),
        ("CONFIG_RUST=n", session.tip(), NO_RUST),
    ] {
        let name = format!("{} builds without warnings and boots", job.0);
        let made = |(problems, log): (_, PathBuf)| Check::new(&name).also("a boot", problems, &log);
        report.add(&rows::made(&name, boot(session, job).map(made)));
    }
    Ok(())
}

/// The row of each patch, on top of those before it.
pub(crate) fn each_patch(session: &Session<'_>) -> Result<Check> {
    let mut check = Check::new("each patch builds without warnings and boots");
    for (index, commit) in session.commits.iter().enumerate() {
        let what = format!("patch {}/{}", index + 1, session.commits.len());
        let (problems, log) = boot(session, (&what, commit, Variant::PLAIN))?;
        check = check.also(&what, problems, &log);
    }
    Ok(check)
}
