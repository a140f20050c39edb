// SPDX-License-Identifier: GPL-2.0

//! How much longer than find(1) `mayexec scan` takes for a tree that is in the page cache, by
//! default /usr: `cargo bench -p mayexec-cli -- DIRECTORY`. It fails beyond twice as long.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The runs of each program, one after the other in turn, of which the shortest counts:
/// whatever else the machine does makes runs longer.
const RUNS: usize = 15;

/// How many times as long as find a scan may take.
const LIMIT: f64 = 2.0;

fn once(command: &mut Command) -> Duration {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok(), "{command:?} cannot be started");
    started.elapsed()
}

fn main() -> ExitCode {
    // cargo passes --bench.
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let dir = dir.unwrap_or_else(|| "/usr".to_owned());
    let mut find = Command::new("find");
    find.args([&dir, "-xdev"]);
    let mut scan = Command::new(env!("CARGO_BIN_EXE_mayexec"));
    scan.args(["scan", "-x", &dir]);
    let mut best = [Duration::MAX; 2];
    for _ in 0..RUNS {
        best[0] = best[0].min(once(&mut find));
        best[1] = best[1].min(once(&mut scan));
    }
    let [find, scan] = best.map(|time| time.as_secs_f64());
    let ratio = scan / find;
    println!("{dir}: find {find:.3} s, mayexec scan {scan:.3} s, {ratio:.2} times as long");
    ExitCode::from(u8::from(ratio > LIMIT))
}
