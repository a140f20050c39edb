// SPDX-License-Identifier: GPL-2.0

//! The figures of a run, kept in docs/bench/results.json, and how two runs differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The configurations that are measured.
pub(crate) const CONFIGS: [&str; 2] = ["minimal", "realistic"];

/// How much worse than before a figure may be: a hundredth.
const TOLERATED: i64 = 100;

/// What a difference of two figures may always grow by: one instruction on each side.
const SLACK: i64 = 2;

/// What one dentry more in a hash chain takes (76 are seen); the boot decides who is in it.
const LINK: i64 = 100;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What the figures depend on and the repository does not have: compilers, qemu,
    /// programs of the host.
    pub(crate) versions: BTreeMap<String, String>,
    /// What is measured; each at least once. Less is better.
    pub(crate) figures: BTreeMap<String, Vec<i64>>,
    /// Ratios of times, in percent, by the number of threads; no two runs are alike.
    pub(crate) threads: BTreeMap<usize, Vec<i64>>,
    /// The functions that a plain open does not call.
    pub(crate) functions: Vec<String>,
}

/// What a figure is over another one.
pub(crate) struct Difference {
    pub(crate) value: i64,
    /// What it may always grow by.
    slack: i64,
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

    /// What the series costs opens without the flag (`added`), and the flag those with it (`flag`).
    pub(crate) fn differences(&self) -> BTreeMap<String, Difference> {
        let difference = |more: &String| {
            let (name, less) = sides(more)?;
            // Opens of one file in a row are counted to the instruction; others hang on the boot.
            let boots = less.contains("/base/") && !less.contains("/unflagged/");
            let varies = boots || name.ends_with("/ring") || name.ends_with("/start");
            let whole = self.get(more).filter(|_| varies).unwrap_or_default();
            let slack = if varies { LINK } else { SLACK }.max(whole / TOLERATED);
            let value = self.minus(more, &less)?;
            Some((name, Difference { value, slack }))
        };
        self.figures.keys().filter_map(difference).collect()
    }

    pub(crate) fn difference(&self, name: &str) -> Option<i64> {
        Some(self.differences().get(name)?.value)
    }

    pub(crate) fn compare(&self, old: &Self) -> Comparison {
        let mut found = Comparison::default();
        for (name, runs) in &old.figures {
            let Some(was) = median(runs) else { continue };
            let now = self.figures.get(name).map(Vec::as_slice);
            let chained = if name.contains("/growth/") { LINK } else { 0 };
            let noise = spread(runs).max(spread(now.unwrap_or_default()));
            found.figure(name, was, now.and_then(median), noise.max(chained));
        }
        let now = self.differences();
        for (name, was) in old.differences() {
            let now = now.get(&name).map(|now| now.value);
            found.figure(&name, was.value, now, was.slack);
        }
        for name in BTreeSet::from_iter(self.versions.keys().chain(old.versions.keys())) {
            let (was, now) = (old.versions.get(name), self.versions.get(name));
            if was != now {
                let [now, was] = [now, was].map(|what| what.map_or("none", String::as_str));
                found.versions.push(format!("{name}: {now}, was {was}"));
            }
        }
        found
    }
}

/// The name of what a figure is over another one, and that one's name.
fn sides(more: &str) -> Option<(String, String)> {
    if let Some(what) = more.strip_prefix("tracing/flagged/") {
        return Some((format!("tracing/{what}"), format!("tracing/plain/{what}")));
    }
    let (config, what) = more.split_once("/series/")?;
    let (name, less) = if what.starts_with("unflagged/") || what.ends_with("/plain") {
        (format!("added/{what}"), format!("base/{what}"))
    } else if what.starts_with("flagged/") && what.ends_with("/allowed") {
        let plain = "series/unflagged/openat2";
        (format!("flag/{what}"), plain.to_owned())
    } else {
        let what = what.strip_suffix("/flagged")?;
        (format!("flag/{what}"), format!("series/{what}/plain"))
    };
    Some((format!("{config}/{name}"), format!("{config}/{less}")))
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

    fn results(figures: &[(&str, &[i64])]) -> Results {
        let owned = |(name, runs): &(&str, &[i64])| ((*name).to_owned(), runs.to_vec());
        Results {
            figures: figures.iter().map(owned).collect(),
            ..Results::default()
        }
    }

    #[test]
    fn more_than_a_hundredth_and_than_the_repeats_differ_is_worse() {
        let cases: [(&[i64], &[i64], &str); 8] = [
            (&[4000, 4000, 4001], &[4000; 3], ""),
            (&[4000; 3], &[4040; 3], ""),
            (&[4000; 3], &[4041; 3], "worse: f: 4041, was 4000 (+1.0%)"),
            (&[4000; 3], &[3900; 3], "better: f: 3900, was 4000 (-2.5%)"),
            (&[10, 11, 12], &[13; 3], ""),
            (&[10, 11, 12], &[14; 3], "worse: f: 14, was 11 (+27.3%)"),
            (&[0], &[1], "worse: f: 1, was 0"),
            (&[100], &[], "worse: f: no longer measured, was 100"),
        ];
        for (old, new, shown) in cases {
            let found = results(&[("f", new)]).compare(&results(&[("f", old)]));
            let worse = found.worse.iter().map(|line| format!("worse: {line}"));
            let better = found.better.iter().map(|line| format!("better: {line}"));
            assert_eq!(Vec::from_iter(worse.chain(better)).join("\n"), shown);
        }
    }

    #[test]
    fn costs_are_differences_with_the_room_that_they_need() {
        #[rustfmt::skip]
        let costs = [
            ("m/series/unflagged/a m/base/unflagged/a m/added/unflagged/a", 2),
            ("m/series/growth/x/plain m/base/growth/x/plain m/added/growth/x/plain", 100),
            ("m/series/x/1/flagged m/series/x/1/plain m/flag/x/1", 2),
            ("m/series/start/flagged m/series/start/plain m/flag/start", 100),
            ("tracing/flagged/locks tracing/plain/locks tracing/locks", 2),
        ];
        for (names, room) in costs {
            let [more, less, name] = Vec::from_iter(names.split(' '))[..] else {
                panic!("{names}");
            };
            let with = |now: i64| results(&[(more, &[now; 3]), (less, &[7900; 3])]);
            let old = with(8000);
            assert_eq!(old.difference(name), Some(100));
            for (now, is_worse) in [(8000 + room, false), (8001 + room, true)] {
                let mut worse = with(now).compare(&old).worse.into_iter();
                let found = worse.any(|of| of.starts_with(name) || of.contains("/growth/"));
                assert_eq!(found, is_worse, "{name}: {now}");
            }
            assert_eq!(results(&[(more, &[1])]).difference(name), None);
        }
    }

    #[test]
    fn other_compilers_are_named() {
        let mut old = Results::default();
        old.versions.insert("clang".to_owned(), "19".to_owned());
        let mut new = Results::default();
        new.versions.insert("clang".to_owned(), "20".to_owned());
        new.versions.insert("git".to_owned(), "2".to_owned());
        let versions = new.compare(&old).versions;
        assert_eq!(versions, ["clang: 20, was 19", "git: 2, was none"]);
    }
}
