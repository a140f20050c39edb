// SPDX-License-Identifier: GPL-2.0

//! Opens with O_MAYEXEC under conditions in which a mistake in the kernel would show:
//! `races` while other threads change everything that the answer depends on, `faults`
//! while the kernel's allocations and copies fail, `scale` by many threads of many files.
//! Runs in the guest, and prints KTAP: a case a scenario, and one that says what was tried
//! altogether.

mod epoch;
mod faults;
mod model;
mod races;
mod scale;
mod scene;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// How many failures of one scenario are told; the rest is only counted.
const TOLD: usize = 5;

/// Open with O_MAYEXEC while everything around changes or fails; for the guest only
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Open while modes, mounts, names and the policy change; no answer may be one that
    /// no order of events allows
    Races(races::Args),
    /// Open while allocations and copies from user space fail; a failure may make no
    /// file descriptor of a denial
    Faults,
    /// Open many files below many mounts by many threads; nothing may leak
    Scale(scale::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Races(args) => races::run(&args),
        Verb::Faults => faults::run(),
        Verb::Scale(args) => scale::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("not ok - {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Failures of one scenario.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    /// The first ones.
    told: Vec<String>,
}

impl Failures {
    fn add(&mut self, failure: String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(failure);
        }
    }

    fn extend(&mut self, other: Self) {
        self.count += other.count;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(other.told.into_iter().take(room));
    }

    /// Prints them with the case that they are failures of, and returns whether there were none.
    fn tell(&self, what: &str) -> bool {
        for failure in &self.told {
            println!("# {failure}");
        }
        let rest = self.count - self.told.len() as u64;
        if rest > 0 {
            println!("# and {rest} more");
        }
        let verdict = if self.count == 0 { "ok" } else { "not ok" };
        println!("{verdict} - {what}");
        self.count == 0
    }
}

/// How many descriptors this process has open, one for the counting included.
fn descriptors() -> Result<usize> {
    let dir = fs::read_dir("/proc/self/fd").context("cannot read /proc/self/fd")?;
    Ok(dir.count())
}
