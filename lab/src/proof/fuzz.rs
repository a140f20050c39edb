// SPDX-License-Identifier: GPL-2.0

//! Random opens: without the flag nothing changes, with it the table holds.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use guest::fuzz::trace::{BLOCK, Differing, Tally, Trace, differing_blocks, first_difference};

use crate::ctx::Ctx;
use crate::guest::{Boot, Outcome, complaints, sibling};
use crate::kernel::Kernel;
use crate::report::Check;
use crate::session::Session;

/// How much is tried.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// Random calls.
    calls: u64,
    /// Seconds of races.
    pub(super) seconds: u64,
}

/// Minutes, for `make breaks` and on the debug kernel.
pub(super) const SHORT: Extent = Extent {
    calls: 50_000,
    seconds: 45,
};

/// What `make verify` takes its time for.
pub(super) const LONG: Extent = Extent {
    calls: 1_000_000,
    seconds: 300,
};

/// What the calls are made from, unless the environment's `SEED` says otherwise.
const SEED: u64 = 20_261_125;
const OUT: &str = "fuzz.out";
const LIMIT: Duration = Duration::from_secs(3600);
/// How many of the blocks that differ are looked at.
const LOOKED_AT: usize = 3;

/// The seed of what is random in the guests.
pub(super) fn seed() -> Result<u64> {
    match std::env::var("SEED").unwrap_or_default().as_str() {
        "" => Ok(SEED),
        text => text
            .parse()
            .with_context(|| format!("SEED={text} is not a number")),
    }
}

/// Makes the same calls, without the flag, on both kernels.
pub(crate) fn differential(session: &Session<'_>, tip: &Kernel, extent: Extent) -> Result<Check> {
    let (ctx, base) = (session.ctx, &session.base_kernel()?);
    let (seed, calls) = (seed()?, extent.calls);
    let args = format!("differential --seed {seed} --calls {calls}");
    let (on_base, on_tip) = rayon::join(
        || run(ctx, base, "random opens on the base", &args),
        || run(ctx, tip, "random opens", &args),
    );
    let (on_base, on_tip) = (on_base?, on_tip?);
    let mut failures = Vec::new();
    for (name, outcome) in [("base", &on_base), ("series", &on_tip)] {
        failures.extend(unsound(name, outcome));
    }
    let (one, other): (Trace, Trace) = (read(&on_base)?, read(&on_tip)?);
    let counts = [
        ("were made", one.calls(), 1),
        ("opened something", one.opened(), 10),
        ("changed the tree", one.changed(), 1000),
    ];
    failures.extend(few(calls, &counts));
    let blocks = differing_blocks(&one, &other).map_err(|why| anyhow!(why))?;
    if blocks.len() > LOOKED_AT {
        let (differ, all) = (blocks.len(), one.blocks.len());
        failures.push(format!("{differ} of {all} blocks of {BLOCK} calls differ"));
    }
    let mut once = String::new();
    for differing in blocks.into_iter().take(LOOKED_AT) {
        match look_at(ctx, base, tip, seed, differing)? {
            Err(difference) => failures.push(difference),
            Ok(call) => once += &format!("; differed once and not again: {call}"),
        }
    }
    let (calls, opened, changed) = (one.calls(), one.opened(), one.changed());
    let tried =
        format!("{calls} calls, {opened} opened, {changed} changed the tree, seed {seed}{once}");
    let check = Check::new("opens without the flag answer and act as on the base");
    Ok(check.also(&tried, failures, &on_tip.output_log))
}

/// What happened less often than once in so many calls, so that it proves little.
fn few(calls: u64, counts: &[(&str, u64, u64)]) -> Vec<String> {
    let rare = counts.iter().filter(|(_, count, per)| count * per < calls);
    let say = |(what, count, _): &(_, _, _)| format!("of {calls} calls, only {count} {what}");
    rare.map(say).collect()
}

/// Runs a block that differs on both kernels again: an error is the first call that differs, as what
/// the kernels do differently, they do again; without, the call that differed before.
fn look_at(
    ctx: &Ctx,
    base: &Kernel,
    tip: &Kernel,
    seed: u64,
    Differing { block, call }: Differing,
) -> Result<Result<String, String>> {
    let again = format!("replay --seed {seed} --block {block}");
    let name = format!("block {block}");
    let (on_base, on_tip) = rayon::join(
        || run(ctx, base, &format!("{name} on the base"), &again),
        || run(ctx, tip, &name, &again),
    );
    let (on_base, on_tip) = (on_base?, on_tip?);
    let (one, other) = (result(&on_base)?, result(&on_tip)?);
    let [one, other] = [&one, &other].map(|words| String::from_utf8_lossy(words));
    Ok(match first_difference(("base", &one), ("series", &other)) {
        Some(difference) => Err(format!("{difference}again, in a guest: fuzz {again}")),
        None => {
            let start = format!("{call} ");
            let words = one.lines().find(|line| line.starts_with(&start));
            Ok(words.map_or(format!("the tree before call {call}"), str::to_owned))
        }
    })
}

/// Makes calls with the flag, half of them in each of two guests.
pub(crate) fn oracle(session: &Session<'_>, tip: &Kernel, extent: Extent) -> Result<Check> {
    let (seed, calls) = (seed()?, extent.calls);
    let half = calls / 2 / BLOCK * BLOCK;
    let part = |name: &str, first: u64, calls: u64| {
        let args = format!("oracle --seed {seed} --first {first} --calls {calls}");
        run(session.ctx, tip, name, &args)
    };
    let (one, other) = rayon::join(
        || part("flagged opens, first half", 0, half),
        || part("flagged opens", half, calls - half),
    );
    let (one, other) = (one?, other?);
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for outcome in [&one, &other] {
        failures.extend(unsound("series", outcome));
        tally.add(read(outcome)?);
    }
    let counts = [
        ("were made", tally.calls, 1),
        ("opened", tally.opened, 20),
        ("were denied", tally.denied, 20),
        ("were invalid", tally.invalid, 20),
        ("failed", tally.failed, 20),
        ("were denied where ->open() fails", tally.preempted, calls),
    ];
    failures.extend(few(calls, &counts));
    if tally.undecided * 100 > calls {
        failures.push(format!("{} calls were not decided", tally.undecided));
    }
    let denied = tally.denied + tally.preempted;
    let (calls, opened) = (tally.calls, tally.opened);
    let tried =
        format!("{calls} calls under every policy, {opened} opened, {denied} denied, seed {seed}");
    failures.extend(tally.surprises);
    let check = Check::new("opens with the flag answer as the table says");
    Ok(check.also(&tried, failures, &other.output_log))
}

fn run(ctx: &Ctx, kernel: &Kernel, name: &str, args: &str) -> Result<Outcome> {
    let out = format!("{}/{OUT}", guest::SHARE);
    let argv: Vec<&str> = args.split(' ').chain(["--out", &out]).collect();
    let boot = Boot {
        limit: LIMIT,
        ..Boot::new(ctx, kernel, name, &argv).program(&sibling("fuzz")?)
    };
    let outcome = boot.run()?;
    // 1 is a run with surprises.
    if !matches!(outcome.code, 0 | 1) {
        bail!("{name}: {}", outcome.output.trim());
    }
    Ok(outcome)
}

/// What the kernel said of itself meanwhile.
fn unsound(name: &str, outcome: &Outcome) -> Vec<String> {
    let lines = complaints(&outcome.console).into_iter();
    lines.map(|line| format!("{name}: {line}")).collect()
}

/// The file that the program has left.
fn result(outcome: &Outcome) -> Result<Vec<u8>> {
    let result = fs_err::read(outcome.share.path().join(OUT));
    result.with_context(|| format!("no result: {}", outcome.output_log.display()))
}

fn read<T: serde::de::DeserializeOwned>(outcome: &Outcome) -> Result<T> {
    let read = serde_json::from_slice(&result(outcome)?);
    read.with_context(|| format!("unreadable result: {}", outcome.output_log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_too_rarely_is_told() {
        let told = |made, opened, preempted| {
            let counts = [
                ("were made", made, 1),
                ("opened", opened, 20),
                ("x", preempted, 1000),
            ];
            few(1000, &counts)
        };
        assert_eq!(told(1000, 50, 1), [""; 0]);
        assert_eq!(told(1000, 49, 1), ["of 1000 calls, only 49 opened"]);
        assert_eq!(told(999, 50, 0).len(), 2);
    }
}
