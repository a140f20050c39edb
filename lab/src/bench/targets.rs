// SPDX-License-Identifier: GPL-2.0

//! What the figures should be.

use super::figures::{CONFIGS, Results, spread};

pub(crate) struct Target {
    pub(crate) what: String,
    /// What it should be at most, or at least.
    pub(crate) aim: String,
    pub(crate) found: String,
    pub(crate) met: bool,
}

impl Target {
    /// What there is one for with the found figure; without, it is missed.
    fn new(what: String, aim: String, found: Option<(String, bool)>) -> Self {
        let (found, met) = found.unwrap_or_else(|| ("not measured".to_owned(), false));
        Self {
            what,
            aim,
            found,
            met,
        }
    }

    fn at_most(what: String, most: i64, found: Option<i64>) -> Self {
        let found = found.map(|found| (found.to_string(), found <= most));
        Self::new(what, format!("at most {most}"), found)
    }
}

/// The targets that the series has been given.
pub(super) fn targets(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    // What they are on the smallest kernel and on a usual one, both checks and the ratio.
    for (config, both, times) in [(CONFIGS[0], 175, 290), (CONFIGS[1], 360, 140)] {
        let below = |prefix: &str| -> Vec<i64> {
            let mut all = results.differences();
            all.retain(|name, _| name.starts_with(&format!("{config}/{prefix}/")));
            all.values().map(|difference| difference.value).collect()
        };
        let flag =
            |policy: &str| results.difference(&format!("{config}/flag/flagged/{policy}/allowed"));
        let growth = |what: &str| {
            let costs = below(&format!("flag/growth/{what}"));
            (costs.len() > 1).then(|| spread(&costs))
        };
        let over = |more: &str, less: &str| {
            let [more, less] = [more, less].map(|name| format!("{config}/series/{name}"));
            results.minus(&more, &less)
        };
        #[rustfmt::skip]
        let limits = [
            ("an open without the flag, over the base's", 3, below("added/unflagged").into_iter().max()),
            ("O_MAYEXEC under policy-0, over a plain open", 20, flag("policy-0")),
            ("O_MAYEXEC under policy-1, over a plain open", 60, flag("policy-1")),
            ("O_MAYEXEC under policy-3, over a plain open", both, flag("policy-3")),
            ("O_MAYEXEC under policy-3, over open, fstat, fstatvfs and faccessat2", 0, over("flagged/policy-3/allowed", "today/access")),
            ("growth of the flag's cost with the depth of the path", 0, growth("depth")),
            ("growth of the flag's cost with the number of mounts", 0, growth("mounts")),
            ("growth of the flag's cost with the entries of the directory", 0, growth("entries")),
        ];
        let limits = limits
            .map(|(what, most, found)| Target::at_most(format!("{config}: {what}"), most, found));
        targets.extend(limits);
        let ratio = over("today/execve-check", "unflagged/openat2").zip(flag("policy-3"));
        let ratio = ratio.map(|(check, flag)| check / flag.max(1));
        targets.push(Target::new(
            format!("{config}: what AT_EXECVE_CHECK adds to a plain open, over what O_MAYEXEC adds under policy-3"),
            format!("at least {times} times"),
            ratio.map(|ratio| (format!("{ratio} times"), ratio >= times)),
        ));
    }
    #[rustfmt::skip]
    let code = [
        ("text that the first posting adds, in bytes", 1792, results.get("code/text-first")),
        ("text that the series adds with CONFIG_OPEN_MAYEXEC=n, in bytes", 0, results.get("code/text-off")),
        ("allocations of a flagged open, over a plain one", 0, results.difference("tracing/allocations")),
        ("locks of a flagged open, over a plain one", 0, results.difference("tracing/locks")),
    ];
    targets.extend(code.map(|(what, most, found)| Target::at_most(what.to_owned(), most, found)));
    targets
}
