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
    fn at_most(what: impl Into<String>, most: i64, found: Option<i64>) -> Self {
        Self {
            what: what.into(),
            aim: format!("at most {most}"),
            found: found.map_or("not measured".to_owned(), |found| found.to_string()),
            met: found.is_some_and(|found| found <= most),
        }
    }
}

/// The targets that the series has been given.
pub(super) fn targets(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let difference = |name: &str| results.difference(name);
    let below = |prefix: &str| -> Vec<i64> {
        let all = results.differences().into_iter();
        all.filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, difference)| difference.value)
            .collect()
    };
    // What they are on the smallest kernel and on a usual one, both checks and the ratio.
    for (config, both, times) in [(CONFIGS[0], 175, 290), (CONFIGS[1], 360, 140)] {
        targets.push(Target::at_most(
            format!("{config}: an open without the flag, over the base's"),
            3,
            below(&format!("{config}/added/unflagged/"))
                .into_iter()
                .max(),
        ));
        let flag = |policy: &str| difference(&format!("{config}/flag/flagged/{policy}/allowed"));
        for (policy, most) in [("policy-0", 20), ("policy-1", 60), ("policy-3", both)] {
            let what = format!("{config}: O_MAYEXEC under {policy}, over a plain open");
            targets.push(Target::at_most(what, most, flag(policy)));
        }
        let own = |name: &str| format!("{config}/series/{name}");
        let ratio = results
            .minus(&own("today/execve-check"), &own("unflagged/openat2"))
            .zip(flag("policy-3"))
            .map(|(check, flag)| check / flag.max(1));
        targets.push(Target {
            what: format!(
                "{config}: what AT_EXECVE_CHECK adds to a plain open, over what O_MAYEXEC adds under policy-3"
            ),
            aim: format!("at least {times} times"),
            found: ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio} times")),
            met: ratio.is_some_and(|ratio| ratio >= times),
        });
        targets.push(Target::at_most(
            format!(
                "{config}: O_MAYEXEC under policy-3, over open, fstat, fstatvfs and faccessat2"
            ),
            0,
            results.minus(&own("flagged/policy-3/allowed"), &own("today/access")),
        ));
        for (what, of) in [
            ("depth", "the depth of the path"),
            ("mounts", "the number of mounts"),
            ("entries", "the entries of the directory"),
        ] {
            let costs = below(&format!("{config}/flag/growth/{what}/"));
            let growth = (costs.len() > 1).then(|| spread(&costs));
            let what = format!("{config}: growth of the flag's cost with {of}");
            targets.push(Target::at_most(what, 0, growth));
        }
    }
    let (first, off) = (results.get("code/text-first"), results.get("code/text-off"));
    let (allocated, locked) = (
        difference("tracing/allocations"),
        difference("tracing/locks"),
    );
    targets.extend([
        Target::at_most("text that the first posting adds, in bytes", 1792, first),
        Target::at_most(
            "text that the series adds with CONFIG_OPEN_MAYEXEC=n, in bytes",
            0,
            off,
        ),
        Target::at_most(
            "allocations of a flagged open, over a plain one",
            0,
            allocated,
        ),
        Target::at_most("locks of a flagged open, over a plain one", 0, locked),
    ]);
    targets
}
