// SPDX-License-Identifier: GPL-2.0

//! The checks of a test run: printed as they finish, counted for the closing line.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::proc::{self, tail};
use crate::tap::{Case, Run, Verdict};

/// How many lines of a failure are printed; the log has all.
const DETAIL: usize = 25;

/// One claim and what came of trying to refute it.
#[derive(Debug, Default)]
pub(crate) struct Check {
    pub(crate) name: String,
    /// What was tried, with its count: "1000000 calls, seed 7".
    pub(crate) tried: String,
    /// What refutes the claim; a check that could not be made has its reason here.
    pub(crate) problems: Vec<String>,
    pub(crate) log: Option<PathBuf>,
    /// What is missing, and may be missing; nothing was tried then.
    pub(crate) needs: Option<String>,
}

impl Check {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Something more that was tried. The check's log is that of the first problem.
    pub(crate) fn also(mut self, tried: &str, problems: Vec<String>, log: &Path) -> Self {
        if !self.tried.is_empty() {
            self.tried.push_str(", ");
        }
        self.tried.push_str(tried);
        if self.problems.is_empty() {
            self.log = Some(log.to_owned());
        }
        self.problems.extend(problems);
        self
    }

    /// As [`Check::also`], of tests: how they may end, and whose they are.
    pub(crate) fn also_run(self, run: &Run, fine: &[Verdict], whose: &str) -> Self {
        let tried = format!("{}{whose}", run.counted());
        self.also(&tried, run.problems(fine), &run.log)
    }
}

/// What `longer` holds more often than `shorter`, in its order; lines with the same `text` are one.
pub(crate) fn more<'a>(
    shorter: impl IntoIterator<Item = &'a String>,
    longer: impl IntoIterator<Item = &'a String>,
    text: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut left = Vec::from_iter(shorter.into_iter().map(|line| text(line)));
    let mut more = Vec::from_iter(longer.into_iter().cloned());
    more.retain(|line| {
        let at = left.iter().position(|old| *old == text(line));
        at.map(|at| left.swap_remove(at)).is_none()
    });
    more
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    skipped: usize,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn pass(&mut self, name: &str) {
        self.passed += 1;
        println!("ok   {name}");
    }

    pub(crate) fn fail(&mut self, name: &str, detail: &str, log: Option<&Path>) {
        self.failures.push(name.to_owned());
        println!("FAIL {name}");
        if !detail.trim().is_empty() {
            println!("{}", tail(detail.trim_end(), DETAIL));
        }
        if let Some(log) = log {
            println!("  log: {}", log.display());
        }
    }

    /// A check that could not be made, for a reason that is no fault.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        println!("skip {name} ({reason})");
    }

    pub(crate) fn check(&mut self, name: &str, problems: &[String], log: Option<&Path>) {
        if problems.is_empty() {
            self.pass(name);
        } else {
            self.fail(name, &problems.join("\n"), log);
        }
    }

    pub(crate) fn add(&mut self, check: &Check) {
        let name = format!("{} ({})", check.name, check.tried);
        self.check(&name, &check.problems, check.log.as_deref());
    }

    /// A check that a command succeeds, whose output goes to the end of a log.
    pub(crate) fn command(&mut self, name: &str, log: &Path, cmd: &mut Command) {
        let ran = proc::run(name, log, cmd, |_| {});
        self.outcome(name, ran.map(|_| Vec::new()));
    }

    /// The cases of a run, and the run as a whole.
    pub(crate) fn run(&mut self, prefix: &str, what: &str, run: &Run) {
        self.cases(prefix, &run.cases, &run.log);
        let name = format!("the run {what} is complete and nobody complained");
        self.check(&name, &run.whole(), Some(&run.log));
    }

    /// A check that was computed; an error counts as a failure.
    pub(crate) fn outcome(&mut self, name: &str, outcome: Result<Vec<String>>) {
        match outcome {
            Ok(problems) => self.check(name, &problems, None),
            Err(error) => self.fail(name, &format!("{error:#}"), None),
        }
    }

    /// The cases of a TAP stream: one line per program or suite, one per failure.
    fn cases(&mut self, prefix: &str, cases: &[Case], log: &Path) {
        for group in cases.chunk_by(|one, next| one.group == next.group) {
            let of = |verdict| group.iter().filter(move |case| case.verdict == verdict);
            let (passed, skipped) = (of(Verdict::Pass).count(), of(Verdict::Skip).count());
            self.passed += passed;
            self.skipped += skipped;
            for case in of(Verdict::Fail) {
                let name = format!("{prefix}{}", case.full_name());
                self.fail(&name, &case.detail, Some(log));
            }
            let word = match (passed, group.len() - skipped - passed) {
                (0, 0) => "skip",
                (_, 0) => "ok",
                _ => "",
            };
            let reason = of(Verdict::Skip).find(|case| !case.detail.is_empty());
            let reason = reason.map_or("", |case| case.detail.as_str());
            let skips = match skipped {
                0 => String::new(),
                _ => format!(", {skipped} skipped: {reason}"),
            };
            let (name, count) = (&group[0].group, group.len());
            println!("{word:<4} {prefix}{name}: {passed} of {count} cases passed{skips}");
        }
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(crate) fn counts(&self) -> [usize; 3] {
        [self.passed, self.failures.len(), self.skipped]
    }

    /// Prints what failed and the closing line; whether everything passed.
    pub(crate) fn close(&self) -> bool {
        if !self.failures.is_empty() {
            println!("\nfailed:");
            for name in &self.failures {
                println!("  {name}");
            }
        }
        println!("\n{}", self.closing_line());
        // A run that checked nothing has shown nothing.
        self.failures.is_empty() && self.passed > 0
    }

    /// `3 passed, 0 failed, 1 skipped`.
    pub(crate) fn closing_line(&self) -> String {
        let [passed, failed, skipped] = self.counts();
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::tests::case;

    #[test]
    fn cases_are_counted_one_by_one() {
        let mut report = Report::default();
        report.pass("a");
        report.skip("b", "because");
        report.fail("c", "wrong", None);
        let cases = [
            case("g", "1", Verdict::Pass),
            case("g", "2", Verdict::Pass),
            case("h", "1", Verdict::Fail),
            case("h", "2", Verdict::Fail),
            case("h", "3", Verdict::Skip),
        ];
        report.cases("guest ", &cases, Path::new("log"));
        assert_eq!(report.closing_line(), "3 passed, 3 failed, 2 skipped");
        assert!(!report.close());
    }

    #[test]
    fn the_log_is_that_of_the_first_problem() {
        for (first, log) in [(vec!["x".to_owned()], "one"), (Vec::new(), "two")] {
            let check = Check::new("claim").also("one", first, Path::new("one"));
            let check = check.also("two", vec!["y".to_owned()], Path::new("two"));
            assert_eq!(check.tried, "one, two");
            assert_eq!(check.log.as_deref(), Some(Path::new(log)));
        }
    }

    #[test]
    fn a_run_without_checks_is_no_success() {
        let mut report = Report::default();
        assert!(!report.close());
        report.cases("", &[case("g", "1", Verdict::Skip)], Path::new("log"));
        assert!(!report.close());
        report.pass("b");
        assert!(report.close());
    }
}
