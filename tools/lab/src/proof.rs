//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.
//!
//! The suite `proof` of `make test` makes the first rows with less of everything.

mod fuzz;
mod ports;
mod stress;

pub(crate) use stress::DEBUG;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::kernel::Kernel;
use crate::report::Report;
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

/// One claim and what came of trying to refute it.
#[derive(Debug)]
pub(crate) struct Row {
    /// The claim.
    pub(crate) claim: String,
    /// What was tried, with its count: "1000000 calls, seed 7".
    pub(crate) tried: String,
    /// What refutes the claim; a row that could not be tried has its reason here.
    pub(crate) failures: Vec<String>,
    /// Where to read on.
    pub(crate) log: Option<PathBuf>,
}

impl Row {
    /// The row's line in the table.
    fn line(&self) -> String {
        format!(
            "| {} | {} | {} |",
            self.claim,
            self.tried,
            self.failures.len()
        )
    }
}

/// Makes every row, or those that are named, and prints the table; whether nothing failed.
pub(crate) fn verify(ctx: &Ctx, names: &[String]) -> Result<bool> {
    for name in names {
        if !ROWS.iter().any(|(row, _)| row.contains(name.as_str())) {
            let rows = ROWS.map(|(row, _)| row).join(", ");
            bail!("no row has \"{name}\" in its name: {rows}");
        }
    }
    let session = Session::open(ctx)?;
    let mut report = Report::new();
    let mut rows = Vec::new();
    let wanted = |row: &str| names.is_empty() || names.iter().any(|name| row.contains(name));
    each(&session, Extent::Long, &wanted, &mut |row| {
        check(&mut report, &row);
        rows.push(row);
    });
    println!("\n{}", table(&rows));
    Ok(report.close())
}

/// Makes the rows of `make test`.
pub(crate) fn shortened(session: &Session<'_>, report: &mut Report) {
    each(session, Extent::Short, &|_| true, &mut |row| {
        check(report, &row);
    });
}

/// How a row is made, and of which kernel.
#[derive(Clone, Copy)]
enum Make {
    /// Of the one that the guests' suites use; `make test` has these rows, shortened.
    Series(fn(&Session<'_>, &Kernel, Extent) -> Result<Row>),
    /// Of one that looks for its own mistakes.
    Debug(fn(&Session<'_>, &Kernel) -> Result<Row>),
    /// Of one that no other row uses.
    Other(fn(&Session<'_>) -> Result<Row>),
}

/// The rows, in order, by the names under which `make verify` takes them.
const ROWS: [(&str, Make); 12] = [
    (
        "opens without the flag",
        Make::Series(|session, kernel, extent| {
            fuzz::differential(session.ctx, session.base_kernel()?, kernel, extent)
        }),
    ),
    (
        "opens with the flag",
        Make::Series(|session, kernel, extent| fuzz::oracle(session.ctx, kernel, extent)),
    ),
    (
        "races",
        Make::Series(|session, kernel, extent| stress::races(session.ctx, kernel, extent)),
    ),
    (
        "attacks",
        Make::Series(|session, kernel, _| attacks(session, kernel)),
    ),
    ("debug: selftests", Make::Debug(debugged)),
    (
        "debug: opens with the flag",
        Make::Debug(|session, kernel| fuzz::oracle(session.ctx, kernel, Extent::Short)),
    ),
    (
        "debug: races",
        Make::Debug(|session, kernel| stress::races(session.ctx, kernel, Extent::Short)),
    ),
    (
        "debug: faults",
        Make::Debug(|session, kernel| stress::faults(session.ctx, kernel)),
    ),
    ("uml", Make::Other(ports::uml)),
    ("i386", Make::Other(ports::compat)),
    ("arm64", Make::Other(ports::arm64)),
    ("gcc", Make::Other(ports::gcc)),
];

/// What the shortened rows, or those of the debug kernel, hold against a kernel that is
/// broken on purpose: a row's name, and its first failure if it has one.
pub(crate) fn notice(
    session: &Session<'_>,
    kernel: &Kernel,
    debug: bool,
) -> Vec<(&'static str, Option<String>)> {
    let made = ROWS.iter().filter_map(|&(name, make)| {
        let row = match make {
            Make::Series(make) if !debug => make(session, kernel, Extent::Short),
            Make::Debug(make) if debug => make(session, kernel),
            _ => return None,
        };
        let failure = match row {
            Ok(row) => row.failures.into_iter().next(),
            Err(error) => Some(format!("{error:#}")),
        };
        Some((name, failure))
    });
    made.collect()
}

/// The kernel of the rows that look for its own mistakes.
fn debug_kernel(session: &Session<'_>) -> Result<Kernel> {
    session.kernel("the debug kernel", session.tip(), &DEBUG)
}

/// Makes one wanted row after the other.
fn each(
    session: &Session<'_>,
    extent: Extent,
    wanted: &dyn Fn(&str) -> bool,
    done: &mut dyn FnMut(Row),
) {
    for &(name, make) in ROWS.iter().filter(|(name, _)| wanted(name)) {
        let row = match (make, extent) {
            (Make::Series(make), _) => session
                .tip_kernel()
                .and_then(|kernel| make(session, kernel, extent)),
            (_, Extent::Short) => continue,
            (Make::Debug(make), Extent::Long) => {
                debug_kernel(session).and_then(|kernel| make(session, &kernel))
            }
            (Make::Other(make), Extent::Long) => make(session),
        };
        done(row.unwrap_or_else(|error| untried(name, &error)));
    }
}

/// A row that could not be tried refutes nothing, and shows nothing either.
fn untried(claim: &str, error: &anyhow::Error) -> Row {
    Row {
        claim: claim.to_owned(),
        tried: "not tried".to_owned(),
        failures: vec![format!("{error:#}")],
        log: None,
    }
}

/// The selftests that attack: what they get hold of without the flag, and not with it.
fn attacks(session: &Session<'_>, kernel: &Kernel) -> Result<Row> {
    let bundle = session.selftests()?;
    let only = [format!("{OWN}attack_test")];
    let plan = Plan {
        only: &only,
        ..Plan::all("attacks", &bundle)
    };
    let run = selftests::run(session.ctx, kernel, plan)?;
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

/// The table of all rows, in Markdown, as the README has it.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| claim | tried | failures |\n|---|---|---|\n");
    for row in rows {
        text.push_str(&row.line());
        text.push('\n');
    }
    text
}

/// Counts a row as one check.
pub(crate) fn check(report: &mut Report, row: &Row) {
    report.check(
        &format!("{} ({})", row.claim, row.tried),
        &row.failures,
        row.log.as_deref(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_failures() {
        let rows = [Row {
            claim: "nothing changes".to_owned(),
            tried: "10 calls, seed 1".to_owned(),
            failures: vec!["one".to_owned()],
            log: None,
        }];
        assert_eq!(
            table(&rows).lines().last(),
            Some("| nothing changes | 10 calls, seed 1 | 1 |")
        );
    }
}
