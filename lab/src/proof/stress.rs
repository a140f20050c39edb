// SPDX-License-Identifier: GPL-2.0

//! Races and faults: the program `stress` in a guest, and what the kernel says meanwhile.

use std::time::Duration;

use anyhow::Result;

use super::fuzz::{Extent, seed};
use crate::guest::{Boot, sibling};
use crate::kernel::Kernel;
use crate::report::Check;
use crate::session::Session;
use crate::tap::{self, Verdict};

/// CPUs of the guest in which threads race; a kernel with fewer NR_CPUS uses those.
const CPUS: usize = 4;

/// Threads that open: one CPU is left to those that change something.
const THREADS: usize = CPUS - 1;

/// For every boot: no tests of its own, and no stall where only the host is slow.
const CMDLINE: [&str; 2] = ["kunit.enable=0", "rcupdate.rcu_cpu_stall_timeout=300"];

/// Opens while other threads change modes, mounts, names and the policy.
pub(crate) fn races(session: &Session<'_>, kernel: &Kernel, extent: Extent) -> Result<Check> {
    let (seconds, seed) = (extent.seconds, seed()?);
    let words = format!("races --seconds {seconds} --threads {THREADS} --seed {seed}");
    let claim = "no answer under races that no order of events allows";
    row(session, kernel, claim, &words, (CPUS, 2 * seconds + 300))
}

/// Opens while allocations and copies from user space fail; `debug_kernel` is that of
/// [`crate::variants::DEBUG`].
pub(crate) fn faults(session: &Session<'_>, debug_kernel: &Kernel, _: Extent) -> Result<Check> {
    let claim = "no failure inside an open makes a file descriptor of a denial, or leaks";
    row(session, debug_kernel, claim, "faults", (1, 900))
}

/// Opens by many threads of many files below many mounts, while the policy changes.
pub(crate) fn scale(session: &Session<'_>) -> Result<Check> {
    let words = format!("scale --seconds 180 --seed {}", seed()?);
    let claim = "64 threads, a million files: right answers, no leak";
    row(session, &session.tip_kernel()?, claim, &words, (CPUS, 3600))
}

/// The row of one boot of the program with these words, on so many CPUs, for so many seconds at
/// most. The program's last case says what was tried.
fn row(
    session: &Session<'_>,
    kernel: &Kernel,
    claim: &str,
    words: &str,
    (cpus, seconds): (usize, u64),
) -> Result<Check> {
    let argv = Vec::from_iter(words.split(' '));
    let boot = Boot {
        cmdline: CMDLINE.to_vec(),
        cpus,
        limit: Duration::from_secs(seconds),
        ..Boot::new(session.ctx, kernel, argv[0], &argv).program(&sibling("stress")?)
    };
    let run = boot.tests(|output| tap::program("stress", output))?;
    let tried = run.cases.last().map_or("nothing", |case| &case.name);
    Ok(Check::new(claim).also(tried, run.problems(&[Verdict::Pass]), &run.log))
}
