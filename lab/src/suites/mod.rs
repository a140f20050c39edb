// SPDX-License-Identifier: GPL-2.0

//! The suites of `make test`, in the order of their cost.

pub(crate) mod build;
pub(crate) mod consumers;
pub(crate) mod demo;
pub(crate) mod filesystems;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod kunit;
mod others;
pub(crate) mod patches;
pub(crate) mod style;
pub(crate) mod userland;

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use clap::ValueEnum;

use self::demo::demo;
use crate::breaks;
use crate::ctx::Ctx;
use crate::proof;
use crate::report::Report;
use crate::results::{self, Clock};
use crate::session::Session;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Suite {
    /// The patches: they apply, agree with the mirror, and pass checkpatch
    Series,
    /// Formatting and lints of scripts, tools and the series' Rust
    Style,
    /// The policy's and the tools' tests on the host, and mutations of the policy
    Host,
    /// The patches for other projects: they apply, and do there what they say
    Others,
    /// Each patch and each configuration builds without new warnings and boots
    Build,
    /// KUnit in a booted kernel
    Kunit,
    /// The kernel's selftests in guests, compared with the base kernel
    Guest,
    /// What security modules, integrity, fanotify, audit and tracing make of the flag
    Consumers,
    /// Each filesystem that compiles fast, on disks and by servers, against an oracle
    Filesystems,
    /// A short form of `make verify`: fuzzers, races and attacks
    Proof,
    /// The library and the command mayexec, with the series, without it, with tracing, and on
    /// Debian's own kernel
    Userland,
    /// The scene of `make demo`
    Demo,
}

impl Suite {
    /// The name under which `make test` takes it.
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_owned())
    }
}

pub(crate) fn names() -> Vec<String> {
    let suites = Suite::value_variants().iter();
    suites.map(|suite| suite.name()).collect()
}

/// Runs the suites, all if none is named; whether everything passed.
pub(crate) fn run(ctx: &Ctx, wanted: &[Suite]) -> Result<bool> {
    let suites = match wanted {
        [] => Suite::value_variants(),
        wanted => wanted,
    };
    let suites: BTreeSet<Suite> = suites.iter().copied().collect();
    let mut report = Report::new();
    let without = |suite: &Suite| matches!(suite, Suite::Host | Suite::Others);
    let session = match suites.iter().all(without) {
        true => Err(anyhow!("no suite that runs needs the series")),
        false => Session::open(ctx),
    };
    for suite in suites {
        let name = suite.name();
        println!("\n{name}");
        let (clock, before) = (Clock::start(), report.counts());
        // Those that need no kernel tree still run when there is none.
        let outcome = match (suite, &session) {
            (Suite::Host, _) => host::run(ctx, &mut report),
            (Suite::Others, _) => {
                others::run(ctx, &mut report);
                Ok(())
            }
            (_, Err(error)) => Err(anyhow!("{error:#}")),
            (Suite::Series, Ok(session)) => {
                let name = "each of the breaks applies to what it breaks";
                report.outcome(name, breaks::stale(session));
                patches::run(session, &mut report)
            }
            (Suite::Style, Ok(session)) => style::run(session, &mut report),
            (Suite::Build, Ok(session)) => build::run(session, &mut report),
            (Suite::Kunit, Ok(session)) => kunit::run(session, &mut report),
            (Suite::Guest, Ok(session)) => guest::run(session, &mut report),
            (Suite::Consumers, Ok(session)) => consumers::run(session, &mut report),
            (Suite::Filesystems, Ok(session)) => filesystems::run(session, &mut report),
            (Suite::Proof, Ok(session)) => proof::shortened(session, &mut report),
            (Suite::Userland, Ok(session)) => userland::run(session, &mut report),
            (Suite::Demo, Ok(session)) => session
                .tip_kernel()
                .map(|kernel| demo(ctx, kernel, &mut report)),
        };
        if let Err(error) = outcome {
            let claim = format!("{name}: the suite ran to its end");
            report.fail(&claim, &format!("{error:#}"), None);
        }
        let after = report.counts();
        let counted = [0, 1, 2].map(|at| (after[at] - before[at]).to_string());
        results::record(ctx, "test", &name, &[&counted[..], &clock.cells()].concat())?;
    }
    Ok(report.close())
}
