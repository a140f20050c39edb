// SPDX-License-Identifier: GPL-2.0

//! Runs in the guest: makes random calls that open, without O_MAYEXEC to compare two
//! kernels, with it to compare the answers with what the table says.

mod caller;
mod fixture;
mod opener;
mod oracle;
mod run;

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use guest::fuzz::call::{Call, Generator};
use guest::fuzz::trace::BLOCK;
use serde::Serialize;

use caller::Caller;
use fixture::{Fixture, PROGRAM};
use run::{Policy, Securebit};

/// Random opens, in a guest.
#[derive(Debug, Parser)]
#[command(name = "fuzz")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes calls without O_MAYEXEC and writes digests of what is observed.
    Differential {
        /// What the calls are made from.
        #[arg(long)]
        seed: u64,
        /// How many calls.
        #[arg(long)]
        calls: u64,
        /// The file for the trace.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes the calls of a block again and writes what is observed, in words.
    Replay {
        /// What the calls are made from.
        #[arg(long)]
        seed: u64,
        /// The block.
        #[arg(long)]
        block: u64,
        /// The number of the block's last call to make.
        #[arg(long)]
        until: Option<u64>,
        /// The file for the words.
        #[arg(long, default_value = "/dev/stdout")]
        out: PathBuf,
    },
    /// Makes calls with O_MAYEXEC and compares the answers with the table.
    Oracle {
        /// What the calls are made from.
        #[arg(long)]
        seed: u64,
        /// The number of the first call.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// How many calls.
        #[arg(long)]
        calls: u64,
        /// The file for the tally.
        #[arg(long)]
        out: PathBuf,
    },
    /// Makes one call with O_MAYEXEC and compares the answer with the table.
    One {
        /// Who calls.
        #[arg(long)]
        caller: Caller,
        /// The sysctl's value.
        #[arg(long)]
        policy: u32,
        /// How the caller gets SECBIT_EXEC_RESTRICT_FILE.
        #[arg(long, default_value = "no")]
        securebit: Securebit,
        /// The call, as a surprise shows it.
        call: String,
    },
}

fn main() -> ExitCode {
    match act(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Writes a report for the host, in few pieces: each crosses the file system that is shared.
fn write(path: &Path, report: &impl Serialize) -> Result<()> {
    fs::write(path, serde_json::to_vec(report)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn act(args: &Args) -> Result<bool> {
    guest::require()?;
    if std::env::current_exe()? != Path::new(PROGRAM) {
        fixture::prepare()?;
        // A copy of the program is part of the tree; this process becomes it.
        let error = Command::new(PROGRAM)
            .args(std::env::args_os().skip(1))
            .exec();
        return Err(error).context("cannot start the copy of this program");
    }
    let fixture = Fixture::build()?;
    let started = Instant::now();
    let fine = match &args.verb {
        Verb::Differential { seed, calls, out } => {
            let trace = run::differential(&fixture, *seed, *calls)?;
            println!(
                "seed {seed}: {} calls, {} opened, {} changed the tree",
                trace.calls(),
                trace.opened(),
                trace.changed()
            );
            write(out, &trace)?;
            true
        }
        Verb::Replay {
            seed,
            block,
            until,
            out,
        } => {
            let generator = Generator::differential(*seed);
            let end = until.map_or((block + 1) * BLOCK, |last| last + 1);
            // Opened before the callers lose the right to.
            let record = File::options().append(true).create(true).open(out)?;
            run::differential_block(&fixture, &generator, *block, end, Some(&record))?;
            true
        }
        Verb::Oracle {
            seed,
            first,
            calls,
            out,
        } => {
            if !oracle::kernel_knows_the_flag()? {
                bail!("this kernel does not know O_MAYEXEC");
            }
            let tally = run::oracle(&fixture, *seed, *first, *calls)?;
            println!(
                "seed {seed}: {} calls: {} opened, {} denied, {} denied before ->open() fails, \
                 {} invalid, {} failed, {} undecided, {} surprises",
                tally.calls,
                tally.opened,
                tally.denied,
                tally.preempted,
                tally.invalid,
                tally.failed,
                tally.undecided,
                tally.surprises.len()
            );
            for surprise in &tally.surprises {
                println!("{surprise}");
            }
            write(out, &tally)?;
            tally.surprises.is_empty()
        }
        Verb::One {
            caller,
            policy,
            securebit,
            call,
        } => {
            let call: Call = serde_json::from_str(call).context("CALL")?;
            let policy = Policy {
                system: *policy,
                securebit: *securebit,
            };
            let wrong = run::one(&fixture, *caller, policy, &call)?;
            println!("{call}: {}", wrong.as_deref().unwrap_or("as predicted"));
            wrong.is_none()
        }
    };
    println!("{} s", started.elapsed().as_secs());
    Ok(fine)
}
