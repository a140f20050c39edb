//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.
//!
//! The suite `proof` of `make test` makes the same rows with less of everything.

mod ports;

use std::path::PathBuf;

use crate::report::Report;

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
