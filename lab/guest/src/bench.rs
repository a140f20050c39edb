// SPDX-License-Identifier: GPL-2.0

//! What the bench program in the guest tells the host, one JSON object a line.

use serde::{Deserialize, Serialize};

/// How often each figure is taken.
pub const REPEATS: usize = 3;

/// A line of the program's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Instructions of one operation.
    Count(Count),
    /// What tracing saw of one open.
    Trace(Trace),
    /// How much longer opens take with the flag than without.
    Ratio(Ratio),
    /// A program or a number that a figure depends on: "git", "git version 2.39.5".
    Fact(String, String),
}

/// How many instructions an operation takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The operation: "unflagged/openat2".
    pub name: String,
    /// One figure a repeat: the median of its samples.
    pub runs: Vec<u64>,
}

/// The functions and allocations of one open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The open: "plain" or "flagged".
    pub name: String,
    /// Functions in the order of their calls.
    pub functions: Vec<String>,
    /// Memory that was allocated, by tracepoint and caller.
    pub allocations: Vec<String>,
}

/// The time of a thread's opens with the flag over those without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many threads opened at once.
    pub threads: usize,
    /// The ratio, one a repeat.
    pub runs: Vec<f64>,
}

/// The middle of some numbers, the lower one of two; 0 of none.
#[must_use]
pub fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_a_disturbed_sample() {
        assert_eq!(median(&[5, 5, 900, 5, 4]), 5);
        assert_eq!(median(&[1, 2]), 1);
        assert_eq!(median(&[]), 0);
    }

    #[test]
    fn a_line_comes_back() {
        let line = Line::Count(Count {
            name: "a/b".to_owned(),
            runs: vec![1, 2, 3],
        });
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"count":{"name":"a/b","runs":[1,2,3]}}"#);
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
