// SPDX-License-Identifier: GPL-2.0

//! KUnit, which runs while the kernel boots.

use std::path::Path;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::guest::{Boot, complaints};
use crate::kernel::Kernel;
use crate::report::Report;
use crate::session::Session;
use crate::tap::{self, Run};

/// Part of the name of every suite that the series adds.
const OWN: &str = "mayexec";

/// Boots the series' kernel with KUnit on and counts its cases.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let run = boot(session.ctx, &session.tip_kernel()?, "kunit")?;
    report.run("", "of KUnit", &run);
    Ok(())
}

pub(crate) fn boot(ctx: &Ctx, kernel: &Kernel, name: &str) -> Result<Run> {
    let boot = Boot {
        cmdline: Vec::new(),
        ..Boot::new(ctx, kernel, name, &["/bin/true"])
    };
    let outcome = boot.run()?;
    let mut run = read(&outcome.console, &outcome.console_log);
    run.trouble.extend(complaints(&outcome.console));
    Ok(run)
}

/// KUnit's results in a kernel's messages, among which must be those of the series.
pub(crate) fn read(console: &str, log: &Path) -> Run {
    let (cases, mut trouble) = tap::kunit(console);
    if !cases.iter().any(|case| case.group.contains(OWN)) {
        trouble.push(format!(
            "no suite has `{OWN}` in its name: is CONFIG_OPEN_MAYEXEC_KUNIT_TEST=y?"
        ));
    }
    Run::of_job((cases, trouble), 0, log.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::MAY_SKIP;

    #[test]
    fn the_series_own_suite_must_be_there() {
        let good = "KTAP version 1\n1..1\n    # Subtest: rust_mayexec\n    1..1\n    ok 1 a\n\
                    ok 1 rust_mayexec\n";
        let problems = |text: &str| read(text, Path::new("log")).problems(&MAY_SKIP).len();
        assert_eq!(problems(good), 0);
        assert_eq!(problems(&good.replace("rust_mayexec", "other")), 1);
    }
}
