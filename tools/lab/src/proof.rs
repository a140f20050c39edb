//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.
//!
//! The suite `proof` of `make test` makes the first rows with less of everything.

pub(crate) mod stress;

pub(crate) mod fuzz;

mod ports;

use std::path::PathBuf;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::kernel::Kernel;
use crate::report::Report;
use crate::selftests::{self, Plan};
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

/// Makes every row, prints the table; whether nothing failed.
pub(crate) fn verify(ctx: &Ctx) -> Result<bool> {
    let session = Session::open(ctx)?;
    let mut report = Report::new();
    let mut rows = Vec::new();
    each(&session, Extent::Long, &mut |row| {
        check(&mut report, &row);
        rows.push(row);
    });
    println!("\n{}", table(&rows));
    Ok(report.close())
}

/// Makes the rows of `make test`.
pub(crate) fn shortened(session: &Session<'_>, report: &mut Report) {
    each(session, Extent::Short, &mut |row| check(report, &row));
}

/// Makes one row after the other.
fn each(session: &Session<'_>, extent: Extent, done: &mut dyn FnMut(Row)) {
    done(untried(
        "the attacks of the catalogue fail",
        attacks(session),
    ));
}

/// A row that could not be tried refutes nothing, and shows nothing either.
fn untried(claim: &str, row: Result<Row>) -> Row {
    row.unwrap_or_else(|error| Row {
        claim: claim.to_owned(),
        tried: "not tried".to_owned(),
        failures: vec![format!("{error:#}")],
        log: None,
    })
}

/// The selftests that attack: what they get hold of without the flag, and not with it.
fn attacks(session: &Session<'_>) -> Result<Row> {
    const PROGRAM: &str = "filesystems/openat2:mayexec_attack_test";
    let bundle = session.selftests()?;
    let only = [PROGRAM.to_owned()];
    row_of_selftests(
        session.ctx,
        session.tip_kernel()?,
        "the attacks of the catalogue fail",
        Plan {
            only: &only,
            ..Plan::all("attacks", &bundle)
        },
    )
}

/// A run of selftests as a row: what fails and what is skipped refutes the claim.
fn row_of_selftests(ctx: &Ctx, kernel: &Kernel, claim: &str, plan: Plan<'_>) -> Result<Row> {
    let run = selftests::run(ctx, kernel, plan)?;
    let mut failures: Vec<String> = run
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Pass)
        .map(|case| format!("{}: {}", case.full_name(), case.detail))
        .collect();
    failures.extend(run.trouble);
    failures.extend(run.complaints);
    if run.cases.is_empty() {
        failures.push("no case ran".to_owned());
    }
    Ok(Row {
        claim: claim.to_owned(),
        tried: format!("{} selftest cases", run.cases.len()),
        failures,
        log: Some(run.log),
    })
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
