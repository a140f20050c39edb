// SPDX-License-Identifier: GPL-2.0

//! Opens by several threads at once. Time, not instructions: only the ratio of two
//! kinds of opens that take turns in one run means something.

use std::ffi::CString;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use guest::bench::{Line, REPEATS, Ratio};
use uapi::{O_MAYEXEC, Policy};

use crate::fixture::{self, ROOT, c_path, file, openat2, opens};
use crate::tell;

/// How many threads there are.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Opens of one thread in one turn: few, so that some turns are not disturbed.
const OPENS: usize = 200;

/// How often each kind has its turn; the fastest of each counts.
const TURNS: usize = 50;

/// How long all threads need to open one file each, again and again: from the first
/// open to the last.
fn turn(paths: &[CString], flags: u64) -> Result<Duration> {
    let barrier = Barrier::new(paths.len());
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = paths
            .iter()
            .map(|path| {
                let barrier = &barrier;
                scope.spawn(move || -> Result<(Instant, Instant)> {
                    barrier.wait();
                    let start = Instant::now();
                    (0..OPENS).try_for_each(|_| opens(openat2(path, flags)))?;
                    Ok((start, Instant::now()))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<_>>>()
    })?;
    let start = times.iter().map(|(start, _)| *start).min();
    let end = times.iter().map(|(_, end)| *end).max();
    let (start, end) = start.zip(end).context("no thread")?;
    Ok(end - start)
}

/// Tells the ratio for each number of threads.
pub(crate) fn run() -> Result<()> {
    fixture::make()?;
    fixture::enforce(Policy::system(3))?;
    for threads in THREADS {
        let paths: Vec<CString> = (0..threads)
            .map(|at| {
                let path = format!("{ROOT}/tmpfs/{at}");
                file(&path, 0o755)?;
                c_path(path)
            })
            .collect::<Result<_>>()?;
        turn(&paths, 0)?;
        let runs = (0..REPEATS)
            .map(|_| {
                let (mut plain, mut flagged) = (Duration::MAX, Duration::MAX);
                for _ in 0..TURNS {
                    plain = plain.min(turn(&paths, 0)?);
                    flagged = flagged.min(turn(&paths, O_MAYEXEC)?);
                }
                Ok(flagged.as_secs_f64() / plain.as_secs_f64())
            })
            .collect::<Result<_>>()?;
        tell(&Line::Ratio(Ratio { threads, runs }))?;
    }
    Ok(())
}
