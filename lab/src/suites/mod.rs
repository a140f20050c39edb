// SPDX-License-Identifier: GPL-2.0

//! The suites of `make test`.

pub(crate) mod build;
pub(crate) mod consumers;
pub(crate) mod filesystems;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod kunit;
mod others;
pub(crate) mod patches;
pub(crate) mod style;
pub(crate) mod userland;

use anyhow::{Result, anyhow};

use crate::breaks;
use crate::ctx::Ctx;
use crate::guest::{Boot, sibling};
use crate::kernel::Kernel;
use crate::report::Report;
use crate::results::{self, Clock};
use crate::rows;
use crate::session::Session;

/// What a suite tests.
enum Suite {
    /// The checkout, so that it runs although the series does not apply.
    Checkout(fn(&Ctx, &mut Report) -> Result<()>),
    /// The applied series.
    Series(fn(&Session<'_>, &mut Report) -> Result<()>),
}

/// The suites in the order of their cost, by the names under which `make test` takes them;
/// CONTRIBUTING.md says what each shows.
const SUITES: [(&str, Suite); 11] = [
    ("series", Suite::Series(series)),
    ("style", Suite::Series(style::run)),
    ("host", Suite::Checkout(host::run)),
    ("others", Suite::Checkout(others::run)),
    ("build", Suite::Series(build::run)),
    ("kunit", Suite::Series(kunit::run)),
    ("guest", Suite::Series(guest::run)),
    ("consumers", Suite::Series(consumers::run)),
    ("filesystems", Suite::Series(filesystems::run)),
    ("userland", Suite::Series(userland::run)),
    ("demo", Suite::Series(scene)),
];

pub(crate) fn names() -> Vec<String> {
    rows::names(&SUITES)
}

fn series(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let name = "each of the breaks applies to what it breaks";
    report.outcome(name, breaks::stale(session));
    patches::run(session, report)
}

fn scene(session: &Session<'_>, report: &mut Report) -> Result<()> {
    demo(session.ctx, &session.tip_kernel()?, report);
    Ok(())
}

/// Plays the scene of `make demo`.
pub(crate) fn demo(ctx: &Ctx, kernel: &Kernel, report: &mut Report) {
    let name = "the scene shows what the semantics table says";
    let played = sibling("demo").and_then(|program| {
        let boot = Boot {
            stream: true,
            ..Boot::new(ctx, kernel, "the scene", &[]).program(&program)
        };
        let outcome = boot.succeed()?;
        // Without it, `make results` has the picture that it had.
        let _ = results::record_scene(ctx, &outcome.output);
        Ok(Vec::new())
    });
    report.outcome(name, played);
}

/// Runs the suites with one of the words in their names, all without words; whether everything
/// passed.
pub(crate) fn run(ctx: &Ctx, words: &[String]) -> Result<bool> {
    let mut report = Report::default();
    let mut opened = None;
    for (name, suite) in rows::named(&SUITES, words)? {
        println!("\n{name}");
        let (clock, before) = (Clock::start(), report.counts());
        let outcome = match suite {
            Suite::Checkout(run) => run(ctx, &mut report),
            Suite::Series(run) => match opened.get_or_insert_with(|| Session::open(ctx)) {
                Ok(session) => run(session, &mut report),
                Err(error) => Err(anyhow!("{error:#}")),
            },
        };
        if let Err(error) = outcome {
            let claim = format!("{name}: the suite ran to its end");
            report.fail(&claim, &format!("{error:#}"), None);
        }
        let after = report.counts();
        let counted = [0, 1, 2].map(|at| (after[at] - before[at]).to_string());
        results::record(ctx, "test", name, &[&counted[..], &clock.cells()].concat())?;
    }
    Ok(report.close())
}
