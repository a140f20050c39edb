// SPDX-License-Identifier: GPL-2.0

//! Races and faults: the program `stress` in a guest, and what the kernel says meanwhile.

use std::time::Duration;

use anyhow::Result;

use super::fuzz::{Extent, given_seed};
use crate::guest::{Boot, Outcome, complaints, sibling};
use crate::kernel::Kernel;
use crate::report::Check;
use crate::session::Session;

/// CPUs of the guest in which threads race; a kernel with fewer NR_CPUS uses those.
const CPUS: usize = 4;

/// Threads that open: one CPU is left to those that change something.
const THREADS: usize = CPUS - 1;

/// What the program prints before what it has tried.
const TRIED: &str = "tried: ";

/// What the program prints before a failure.
const FAIL: &str = "FAIL ";

/// What the program prints when kmemleak has looked and found nothing.
const NO_LEAK: &str = "kmemleak: 0 leaks";

/// For every boot: no tests of its own, and no stall where only the host is slow.
const CMDLINE: [&str; 2] = ["kunit.enable=0", "rcupdate.rcu_cpu_stall_timeout=300"];

/// Opens while other threads change modes, mounts, names and the policy.
pub(crate) fn races(session: &Session<'_>, kernel: &Kernel, extent: Extent) -> Result<Check> {
    let seconds: u64 = if extent == Extent::Short { 45 } else { 300 };
    let seed = given_seed()?;
    let words = format!("races --seconds {seconds} --threads {THREADS} --seed {seed}");
    let argv: Vec<&str> = words.split(' ').collect();
    let boot = Boot {
        cmdline: CMDLINE.to_vec(),
        cpus: CPUS,
        limit: Duration::from_secs(2 * seconds + 300),
        ..Boot::new(session.ctx, kernel, "races", &argv).program(&sibling("stress")?)
    };
    let claim = "no answer under races that no order of events allows";
    Ok(row(claim, boot.run(), None))
}

/// Opens while allocations and copies from user space fail; `debug_kernel` is that of
/// [`crate::variants::DEBUG`].
pub(crate) fn faults(session: &Session<'_>, debug_kernel: &Kernel, _: Extent) -> Result<Check> {
    let boot = Boot {
        cmdline: CMDLINE.to_vec(),
        limit: Duration::from_secs(900),
        ..Boot::new(session.ctx, debug_kernel, "faults", &["faults"]).program(&sibling("stress")?)
    };
    let claim = "no failure inside an open makes a file descriptor of a denial, or leaks";
    Ok(row(claim, boot.run(), Some(NO_LEAK)))
}

/// The row of one boot, which must have printed the line `wanted`.
fn row(claim: &str, outcome: Result<Outcome>, wanted: Option<&str>) -> Check {
    let (tried, failures, log) = match outcome {
        Ok(outcome) => {
            let (tried, failures) = read(&outcome.output, &outcome.console, outcome.code, wanted);
            (tried, failures, Some(outcome.output_log))
        }
        // A kernel that has panicked is a result too.
        Err(error) => (None, vec![format!("{error:#}")], None),
    };
    Check {
        name: claim.to_owned(),
        tried: tried.unwrap_or_else(|| "nothing".to_owned()),
        problems: failures,
        log,
    }
}

/// What was tried, and what has failed.
fn read(
    output: &str,
    console: &str,
    code: i32,
    wanted: Option<&str>,
) -> (Option<String>, Vec<String>) {
    let after = |prefix| {
        let lines = output
            .lines()
            .filter_map(move |line| line.strip_prefix(prefix));
        lines.map(str::to_owned)
    };
    let tried = after(TRIED).next();
    let mut failures: Vec<String> = after(FAIL).collect();
    if tried.is_none() {
        failures.push("the program has not come to its end".to_owned());
    }
    if let Some(wanted) = wanted
        && !output.lines().any(|line| line == wanted)
    {
        failures.push(format!("the program has not said `{wanted}`"));
    }
    if code != 0 && failures.is_empty() {
        failures.push(format!("the program exited with {code}"));
    }
    let said = complaints(console).into_iter();
    failures.extend(said.map(|line| format!("the kernel says: {line}")));
    (tried, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "a file: 2 calls\nkmemleak: 0 leaks\ntried: 2 calls, 1 faults\n";

    #[test]
    fn what_was_tried_is_read() {
        let (tried, failures) = read(OUTPUT, "Linux", 0, Some(NO_LEAK));
        assert_eq!(tried.as_deref(), Some("2 calls, 1 faults"));
        assert!(failures.is_empty(), "{failures:?}");
    }

    #[test]
    fn every_failure_is_read() {
        let failures = |output: &str, console, code| read(output, console, code, Some(NO_LEAK)).1;
        assert_eq!(failures(OUTPUT, "BUG: KASAN: x", 0).len(), 1);
        assert_eq!(failures(OUTPUT, "", 1), ["the program exited with 1"]);
        let failed = format!("FAIL a file: opened\n{OUTPUT}");
        assert_eq!(failures(&failed, "", 1), ["a file: opened"]);
        let leak = OUTPUT.replace("0 leaks", "1 leaks");
        assert_eq!(failures(&leak, "", 0).len(), 1);
        assert_eq!(failures("", "", 0).len(), 2);
    }

    #[test]
    fn a_boot_that_fails_is_a_failure() {
        let row = row("claim", Err(anyhow::anyhow!("it panicked")), None);
        assert_eq!(row.tried, "nothing");
        assert_eq!(row.problems, ["it panicked"]);
    }
}
