// SPDX-License-Identifier: GPL-2.0

//! The figures of a run, kept in docs/bench/results.json, and how two runs differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The configurations that are measured.
pub(crate) const CONFIGS: [&str; 2] = ["minimal", "realistic"];

/// How much worse than before a figure may be: a hundredth.
const TOLERATED: i64 = 100;

/// What a figure that is the difference of two others may always grow by: one
/// instruction on each side.
const SLACK: i64 = 2;

/// By which part of itself a figure may differ from boot to boot.
const VARIES: i64 = 200;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What the figures depend on and the repository does not have: compilers, qemu,
    /// programs of the host.
    pub(crate) versions: BTreeMap<String, String>,
    /// What is measured; each at least once. Less is better.
    pub(crate) figures: BTreeMap<String, Vec<i64>>,
    /// What is computed from those, as a difference.
    pub(crate) differences: BTreeMap<String, i64>,
    /// Ratios of times, in percent, by the number of threads; no two runs are alike.
    pub(crate) threads: BTreeMap<usize, Vec<i64>>,
    /// The functions that a plain open does not call.
    pub(crate) functions: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Figures that are worse, or gone.
    pub(crate) worse: Vec<String>,
    /// Figures that are better by as much.
    pub(crate) better: Vec<String>,
    pub(crate) versions: Vec<String>,
}

/// The middle of some numbers, the lower one of two.
pub(crate) fn median(numbers: &[i64]) -> Option<i64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

pub(crate) fn spread(numbers: &[i64]) -> i64 {
    match (numbers.iter().max(), numbers.iter().min()) {
        (Some(max), Some(min)) => max - min,
        _ => 0,
    }
}

impl Results {
    pub(crate) fn get(&self, name: &str) -> Option<i64> {
        median(self.figures.get(name)?)
    }

    pub(crate) fn minus(&self, more: &str, less: &str) -> Option<i64> {
        Some(self.get(more)? - self.get(less)?)
    }

    /// What a difference may always grow by. Opens of one file in a row are counted to
    /// the instruction. Others depend on where their memory happens to lie, as chains of
    /// hashes do, and that on the boot: each of the two by a two-hundredth of what it takes.
    fn slack(&self, name: &str) -> i64 {
        let of = match (name.split_once("/added/"), name.split_once("/flag/")) {
            (Some((config, what)), _) if !what.starts_with("unflagged/") => {
                format!("{config}/series/{what}")
            }
            (_, Some((config, what @ ("ring" | "start")))) => {
                format!("{config}/series/{what}/flagged")
            }
            _ => return SLACK,
        };
        let whole = self.get(&of).unwrap_or_default();
        SLACK.max(2 * whole / VARIES)
    }

    pub(crate) fn compare(&self, old: &Self) -> Comparison {
        let mut found = Comparison::default();
        for (name, runs) in &old.figures {
            let Some(was) = median(runs) else { continue };
            let now = self.figures.get(name).map(Vec::as_slice);
            let noise = spread(runs).max(spread(now.unwrap_or_default()));
            found.figure(name, was, now.and_then(median), noise);
        }
        for (name, &was) in &old.differences {
            let now = self.differences.get(name).copied();
            found.figure(name, was, now, self.slack(name));
        }
        let names: BTreeSet<&String> = self.versions.keys().chain(old.versions.keys()).collect();
        for name in names {
            let (was, now) = (old.versions.get(name), self.versions.get(name));
            if was != now {
                let [now, was] = [now, was].map(|what| what.map_or("none", String::as_str));
                found.versions.push(format!("{name}: {now}, was {was}"));
            }
        }
        found
    }
}

impl Comparison {
    fn figure(&mut self, name: &str, was: i64, now: Option<i64>, noise: i64) {
        let Some(now) = now else {
            let line = format!("{name}: no longer measured, was {was}");
            return self.worse.push(line);
        };
        // More than a hundredth, so that a figure of 0 has no room.
        let room = noise.max(was.abs() / TOLERATED);
        let percent = if was == 0 {
            String::new()
        } else {
            #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
            let change = (now - was) as f64 * 100.0 / was.abs() as f64;
            format!(" ({change:+.1}%)")
        };
        let line = format!("{name}: {now}, was {was}{percent}");
        if now - was > room {
            self.worse.push(line);
        } else if was - now > room {
            self.better.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(figures: &[(&str, &[i64])], differences: &[(&str, i64)]) -> Results {
        let figures = figures
            .iter()
            .map(|(name, runs)| ((*name).to_owned(), runs.to_vec()));
        let differences = differences
            .iter()
            .map(|(name, by)| ((*name).to_owned(), *by));
        Results {
            figures: figures.collect(),
            differences: differences.collect(),
            ..Results::default()
        }
    }

    #[test]
    fn more_than_a_hundredth_is_worse() {
        let old = results(&[("open", &[4000, 4000, 4001])], &[]);
        let found = |now| results(&[("open", &[now; 3])], &[]).compare(&old);
        for now in [4000, 4040, 3000] {
            assert_eq!(found(now).worse, [""; 0]);
        }
        assert_eq!(found(4041).worse.len(), 1);
        assert_eq!(found(4100).worse, ["open: 4100, was 4000 (+2.5%)"]);
        assert_eq!(found(3900).better, ["open: 3900, was 4000 (-2.5%)"]);
    }

    #[test]
    fn what_the_repeats_differ_by_is_not_worse() {
        let old = results(&[("git", &[1000, 1100, 1200])], &[]);
        for (now, worse) in [(1300, 0), (1301, 1)] {
            let found = results(&[("git", &[now; 3])], &[]).compare(&old);
            assert_eq!(found.worse.len(), worse);
        }
    }

    #[test]
    fn nothing_may_become_something_or_vanish() {
        let old = results(&[("locks", &[0])], &[("unflagged", 0), ("flag", 100)]);
        let new = results(&[("locks", &[1])], &[("unflagged", 3)]);
        let worse = "locks: 1, was 0\nflag: no longer measured, was 100\nunflagged: 3, was 0";
        assert_eq!(new.compare(&old).worse.join("\n"), worse);
        let new = results(&[("locks", &[0])], &[("unflagged", 2), ("flag", 102)]);
        assert_eq!(new.compare(&old), Comparison::default());
    }

    #[test]
    fn differences_of_two_boots_vary() {
        let figures: [(&str, &[i64]); 2] = [
            ("minimal/series/growth/depth/8/plain", &[8000; 3]),
            ("minimal/series/unflagged/open", &[8000; 3]),
        ];
        let [depth, open] = [
            "minimal/added/growth/depth/8/plain",
            "minimal/added/unflagged/open",
        ];
        let old = results(&figures, &[(depth, -6), (open, 1)]);
        for (now, worse) in [(74, None), (75, Some(depth))] {
            let found = results(&figures, &[(depth, now), (open, 3)]).compare(&old);
            assert_eq!(found.worse.len(), usize::from(worse.is_some()), "{found:?}");
        }
        let found = results(&figures, &[(depth, -6), (open, 4)]).compare(&old);
        assert_eq!(found.worse, [format!("{open}: 4, was 1 (+300.0%)")]);
    }

    #[test]
    fn other_compilers_are_named() {
        let mut old = Results::default();
        old.versions.insert("clang".to_owned(), "19".to_owned());
        let mut new = Results::default();
        new.versions.insert("clang".to_owned(), "20".to_owned());
        new.versions.insert("git".to_owned(), "2".to_owned());
        assert_eq!(
            new.compare(&old).versions,
            ["clang: 20, was 19", "git: 2, was none"]
        );
    }
}
