// SPDX-License-Identifier: GPL-2.0

//! Counts in the guest the instructions that opens take. The host boots qemu with
//! `-icount shift=0`, where the time stamp counter counts instructions.

mod count;
mod fixture;
mod growth;
mod meter;
mod start;
mod threads;
mod trace;
mod whole;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use guest::bench::Line;

/// Count in a guest the instructions that opens take.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Instructions of opens, of what there is instead, and of whole programs
    Count {
        /// A directory with many files for git, from the host
        #[arg(long)]
        tree: Option<PathBuf>,
        /// Only figures whose name begins with this
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Opens by several threads at once, in time
    Threads,
    /// Functions that an open calls, and memory that it allocates
    Trace,
}

fn main() -> Result<()> {
    guest::require()?;
    match Args::parse().what {
        What::Count { tree, only } => count::run(&only, tree.as_deref()),
        What::Threads => threads::run(),
        What::Trace => trace::run(),
    }
}

/// Prints a line for the host.
fn tell(line: &Line) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(line)?).context("cannot write to the host")
}
