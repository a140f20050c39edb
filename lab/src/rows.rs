// SPDX-License-Identifier: GPL-2.0

//! Tables of evidence, a row a name: what was tried, how often, what failed.

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::report::{Check, Report};
use crate::results::{self, Clock};

/// The rows with one of the words in their names; all, without words.
pub(crate) fn named<'a, M>(
    rows: &'a [(&'static str, M)],
    words: &[String],
) -> Result<Vec<&'a (&'static str, M)>> {
    for word in words {
        if !rows.iter().any(|(name, _)| name.contains(word.as_str())) {
            let names = names(rows).join(", ");
            bail!("no row has \"{word}\" in its name: {names}");
        }
    }
    let wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    Ok(rows.iter().filter(|(name, _)| wanted(name)).collect())
}

pub(crate) fn names<M>(rows: &[(&'static str, M)]) -> Vec<String> {
    rows.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Makes one row after the other, prints each and leaves it for docs/results.md; whether nothing
/// failed. What earlier runs left of a row that is skipped stays.
pub(crate) fn print<M>(
    (ctx, verb): (&Ctx, &str),
    wanted: &[&(&'static str, M)],
    make: &dyn Fn(&str, &M) -> Result<Check>,
) -> Result<bool> {
    let mut report = Report::default();
    for (name, how) in wanted {
        let clock = Clock::start();
        let row = made(name, make(name, how));
        if let Some(needs) = &row.needs {
            report.skip(name, &format!("SKIP needs {needs}"));
            continue;
        }
        report.add(&row);
        let cells = [row.name, row.tried, row.problems.len().to_string()];
        results::record(ctx, verb, name, &[&cells[..], &clock.cells()].concat())?;
    }
    Ok(report.close())
}

/// A row that could not be tried refutes nothing, and shows nothing either.
pub(crate) fn made(name: &str, outcome: Result<Check>) -> Check {
    outcome.unwrap_or_else(|error| Check {
        tried: "not tried".to_owned(),
        problems: vec![format!("{error:#}")],
        ..Check::new(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let make = |_: &str, fine: &bool| -> Result<Check> {
            anyhow::ensure!(fine, "no tool");
            Ok(Check::new("a"))
        };
        let dir = tempfile::tempdir().unwrap();
        let to = (&crate::ctx::tests::at(dir.path()), "verify");
        assert!(print(to, &named(&rows[..1], &[]).unwrap(), &make).unwrap());
        assert!(!print(to, &named(&rows, &[]).unwrap(), &make).unwrap());
        let left = crate::ctx::tests::names(&to.0.build.join("results/verify"));
        assert_eq!(left.len(), 2);
    }
}
