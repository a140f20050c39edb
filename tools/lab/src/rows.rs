// SPDX-License-Identifier: GPL-2.0

//! Tables of evidence, a row a claim: what was tried, how often, what failed.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::report::Report;

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

/// The rows with one of the words in their names; all, without words.
pub(crate) fn named<'a, M>(
    rows: &'a [(&'static str, M)],
    words: &[String],
) -> Result<Vec<&'a (&'static str, M)>> {
    for word in words {
        if !rows.iter().any(|(name, _)| name.contains(word.as_str())) {
            let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
            bail!("no row has \"{word}\" in its name: {}", names.join(", "));
        }
    }
    let wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    Ok(rows.iter().filter(|(name, _)| wanted(name)).collect())
}

/// Makes one row after the other and prints the table; whether nothing failed.
pub(crate) fn print<M>(wanted: &[&(&'static str, M)], make: &dyn Fn(&M) -> Result<Row>) -> bool {
    let mut report = Report::new();
    let mut rows = Vec::new();
    for (name, how) in wanted {
        let row = made(name, make(how));
        check(&mut report, &row);
        rows.push(row);
    }
    println!("\n{}", table(&rows));
    report.close()
}

/// A row that could not be tried refutes nothing, and shows nothing either.
pub(crate) fn made(name: &str, outcome: Result<Row>) -> Row {
    outcome.unwrap_or_else(|error| Row {
        claim: name.to_owned(),
        tried: "not tried".to_owned(),
        failures: vec![format!("{error:#}")],
        log: None,
    })
}

/// The findings of `new` that `old` has not, or has fewer of.
pub(crate) fn added(old: &[String], new: Vec<String>) -> Vec<String> {
    let mut known = old.to_vec();
    new.into_iter()
        .filter(|text| match known.iter().position(|old| old == text) {
            Some(at) => {
                known.swap_remove(at);
                false
            }
            None => true,
        })
        .collect()
}

/// The table of all rows, in Markdown, as the README has it.
fn table(rows: &[Row]) -> String {
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

    #[test]
    fn rows_are_named_by_words() {
        let rows = [("a b", 1), ("b c", 2)];
        assert_eq!(named(&rows, &[]).unwrap().len(), 2);
        assert_eq!(named(&rows, &["c".to_owned()]).unwrap(), [&("b c", 2)]);
        let error = named(&rows, &["d".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("a b, b c"), "{error}");
    }

    #[test]
    fn a_row_that_could_not_be_made_fails() {
        let rows = [("a", true), ("b", false)];
        let make = |fine: &bool| -> Result<Row> {
            if !fine {
                bail!("no tool");
            }
            Ok(Row {
                claim: "a".to_owned(),
                tried: "1 file".to_owned(),
                failures: Vec::new(),
                log: None,
            })
        };
        assert!(print(&named(&rows[..1], &[]).unwrap(), &make));
        assert!(!print(&named(&rows, &[]).unwrap(), &make));
    }
}
