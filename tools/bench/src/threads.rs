//! Opens by several threads at once. Time, not instructions: only the ratio of two
//! kinds of opens that take turns in one run means something.

use std::ffi::CString;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bench::{Line, Ratio};
use uapi::O_MAYEXEC;

use crate::count::opens;
use crate::fixture::{self, Policy, ROOT, c_path, file, openat2};
use crate::tell;

/// How many threads there are.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Opens of one thread in one turn.
const OPENS: usize = 3_000;

/// How often each kind has its turn.
const TURNS: usize = 9;

/// How long all threads need to open one file each, again and again.
fn turn(paths: &[CString], flags: u64) -> Result<Duration> {
    let barrier = Barrier::new(paths.len() + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = paths
            .iter()
            .map(|path| {
                let barrier = &barrier;
                scope.spawn(move || -> Result<()> {
                    barrier.wait();
                    (0..OPENS).try_for_each(|_| opens(openat2(path, flags)))
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        for thread in threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(start.elapsed())
    })
}

/// Tells the ratio for each number of threads.
pub(crate) fn run() -> Result<()> {
    fixture::make()?;
    Policy::System(3).enforce()?;
    for threads in THREADS {
        let paths: Vec<CString> = (0..threads)
            .map(|at| {
                let path = format!("{ROOT}/tmpfs/{at}");
                file(&path, 0o755)?;
                c_path(path)
            })
            .collect::<Result<_>>()?;
        turn(&paths, 0)?;
        let runs = (0..TURNS)
            .map(|_| {
                let plain = turn(&paths, 0)?;
                Ok(turn(&paths, O_MAYEXEC)?.as_secs_f64() / plain.as_secs_f64())
            })
            .collect::<Result<_>>()?;
        tell(&Line::Ratio(Ratio { threads, runs }))?;
    }
    Ok(())
}
