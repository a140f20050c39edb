//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.
//!
//! The suite `proof` of `make test` makes the first rows with less of everything.

mod fuzz;
mod ports;
mod stress;

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

/// Makes one wanted row after the other.
fn each(
    session: &Session<'_>,
    extent: Extent,
    wanted: &dyn Fn(&str) -> bool,
    done: &mut dyn FnMut(Row),
) {
    let rows = match extent {
        Extent::Short => &ROWS[..SHORT],
        Extent::Long => &ROWS[..],
    };
    for (name, make) in rows.iter().filter(|(name, _)| wanted(name)) {
        done(make(session, extent).unwrap_or_else(|error| untried(name, &error)));
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
