//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.
//!
//! The suite `proof` of `make test` makes the first rows with less of everything.

mod fuzz;
mod ports;
mod stress;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::kernel::Kernel;
use crate::report::Report;
use crate::rows::{self, Row};
use crate::selftests::{self, OWN, Plan, Run};
use crate::suites::Session;
use crate::tap::Verdict;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Minutes, as part of `make test`.
    Short,
    /// What `make verify` takes its time for.
    Long,
}

/// Makes every row, or those that are named, and prints the table; whether nothing failed.
pub(crate) fn verify(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let wanted = rows::named(&ROWS, names)?;
    let session = Session::open(ctx)?;
    Ok(rows::print(&wanted, &|make| make(&session, Extent::Long)))
}

/// Makes the rows of `make test`.
pub(crate) fn shortened(session: &Session<'_>, report: &mut Report) {
    for (name, make) in &ROWS[..SHORT] {
        rows::check(report, &rows::made(name, make(session, Extent::Short)));
    }
}

/// How a row is made.
type Make = fn(&Session<'_>, Extent) -> Result<Row>;

/// The rows, in order, by the names under which `make verify` takes them.
const ROWS: [(&str, Make); 12] = [
    ("opens without the flag", |session, extent| {
        let (base, tip) = (session.base_kernel()?, session.tip_kernel()?);
        fuzz::differential(session.ctx, base, tip, extent)
    }),
    ("opens with the flag", |session, extent| {
        fuzz::oracle(session.ctx, session.tip_kernel()?, extent)
    }),
    ("races", |session, extent| {
        stress::races(session.ctx, session.tip_kernel()?, extent)
    }),
    ("attacks", |session, _| attacks(session)),
    ("debug: selftests", |session, _| {
        debugged(session, &debug_kernel(session)?)
    }),
    ("debug: opens with the flag", |session, _| {
        fuzz::oracle(session.ctx, &debug_kernel(session)?, Extent::Short)
    }),
    ("debug: races", |session, _| {
        stress::races(session.ctx, &debug_kernel(session)?, Extent::Short)
    }),
    ("debug: faults", |session, _| {
        stress::faults(session.ctx, &debug_kernel(session)?)
    }),
    ("uml", |session, _| ports::uml(session)),
    ("i386", |session, _| ports::compat(session)),
    ("arm64", |session, _| ports::arm64(session)),
    ("gcc", |session, _| ports::gcc(session)),
];

/// How many of them `make test` has.
const SHORT: usize = 4;

/// The kernel of the rows that look for its own mistakes.
fn debug_kernel(session: &Session<'_>) -> Result<Kernel> {
    session.kernel("the debug kernel", session.tip(), &stress::DEBUG)
}

/// The selftests that attack: what they get hold of without the flag, and not with it.
fn attacks(session: &Session<'_>) -> Result<Row> {
    let bundle = session.selftests()?;
    let only = [format!("{OWN}attack_test")];
    let plan = Plan {
        only: &only,
        ..Plan::all("attacks", &bundle)
    };
    let run = selftests::run(session.ctx, session.tip_kernel()?, plan)?;
    Ok(row_of(
        "the attacks of the catalogue fail",
        run,
        &[Verdict::Pass],
    ))
}

/// The series' selftests on a kernel that looks for its own mistakes. Those of what it
/// lacks skip.
fn debugged(session: &Session<'_>, kernel: &Kernel) -> Result<Row> {
    let bundle = session.selftests()?;
    let plan = Plan {
        only: &selftests::own(&bundle)?,
        ..Plan::all("selftests debug", &bundle)
    };
    let run = selftests::run(session.ctx, kernel, plan)?;
    Ok(row_of(
        "the selftests pass under sanitizers and lockdep, which stay silent",
        run,
        &[Verdict::Pass, Verdict::Skip],
    ))
}

/// A run of selftests as a row.
fn row_of(claim: &str, run: Run, fine: &[Verdict]) -> Row {
    let count = |verdict| {
        run.cases
            .iter()
            .filter(|case| case.verdict == verdict)
            .count()
    };
    let (passed, skipped) = (count(Verdict::Pass), count(Verdict::Skip));
    let mut failures: Vec<String> = run
        .cases
        .iter()
        .filter(|case| !fine.contains(&case.verdict))
        .map(|case| format!("{}: {}", case.full_name(), case.detail))
        .collect();
    failures.extend(run.trouble);
    failures.extend(run.complaints);
    if passed == 0 {
        failures.push("no case passed".to_owned());
    }
    Row {
        claim: claim.to_owned(),
        tried: format!("{} selftest cases, {skipped} skipped", run.cases.len()),
        failures,
        log: Some(run.log),
    }
}
