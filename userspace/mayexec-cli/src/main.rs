// SPDX-License-Identifier: GPL-2.0

//! `mayexec`: what the execution policy says and would say, and scripts run under it.

mod check;
mod facts;
mod interpreter;
mod probe;
mod run;
mod scan;
mod show;
mod status;
mod tracefs;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};

/// Everything was done, and nothing is or would be denied.
const FINE: u8 = 0;
/// Something is or would be denied.
const DENIED: u8 = 1;
/// Something could not be examined or done.
const TROUBLE: u8 = 3;
/// `run`: there is no telling what the script is, or what was demanded is impossible.
const RUN_FAILED: u8 = 125;
/// `run`: the script or the interpreter may not be executed.
const RUN_DENIED: u8 = 126;
/// `run`: the script or the interpreter does not exist.
const RUN_MISSING: u8 = 127;

const EXIT_CODES: &str = "Exit codes:
  0    done; nothing is or would be denied
  1    check, scan: something is or would be denied
       status: what --require demands is not there
  2    wrong usage
  3    something could not be examined or done
  125  run: it cannot be told what the script is, or --strict asks for the impossible
  126  run: the script is denied, or the interpreter cannot be executed
  127  run: the script or the interpreter does not exist
  run otherwise ends as the interpreter does.";

/// Status, checks, scans and a watch of the execution policy of openat2(2) with O_MAYEXEC,
/// and scripts run under it
#[derive(Debug, Parser)]
#[command(name = "mayexec", version, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what the kernel has and which policy is in force
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// End with 1 unless this is there: `kernel:1` for O_MAYEXEC and a sysctl that
        /// enforces MOUNT, `:2` FILE, `:3` both; `securebits:3` takes the program's own checks
        #[arg(long, value_name = "GUARANTEE[:CHECKS]")]
        require: Option<status::Demand>,
    },
    /// Say whether this caller may open files to execute them, under which policy, and why
    ///
    /// The answer under the policy in force is the kernel's. The others are estimated from
    /// the type, the mount, the mode, the ACL and the capabilities, except that
    /// AT_EXECVE_CHECK is asked where both checks apply.
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// What to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Open a script with O_MAYEXEC and have an interpreter run what was opened
    ///
    /// The interpreter gets the script as /dev/fd/N and does not look the path up again.
    /// Known are sh, dash, bash, perl, python, awk (-f) and lua, by their names. For another
    /// interpreter put `--` before the script: mayexec run other -x -- script arguments.
    /// A script alone, as a path with a slash, is run by the interpreter of its #! line.
    /// In shells, $0 is the script's path; in the others, and in shells that are restricted
    /// or have -n, -t, -v or -D, it is /dev/fd/N. A script that asks bash for BASH_SOURCE is
    /// refused, as bash could not answer right: it needs a bash that opens with O_MAYEXEC.
    #[command(after_help = EXIT_CODES)]
    Run {
        /// Apply both checks whatever the policy is, and fail where the kernel has none
        #[arg(long)]
        strict: bool,
        /// The interpreter, its options, the script, and its arguments
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "INTERPRETER [ARGS] SCRIPT [ARGS]"
        )]
        words: Vec<OsString>,
    },
    /// List the code in directories that would be denied with both checks in force
    ///
    /// Code is what starts with #!, ELF programs and shared objects, and what is named as
    /// a module or a script. Symbolic links are not followed.
    Scan(scan::Options),
    /// Show what is denied, or would be, as it is opened, until interrupted
    ///
    /// The kernel reports opens only while a policy makes checks: while
    /// fs.open_mayexec_enforce is not 0 or 4, or the opener has a securebit that counts.
    /// 5, 6 and 7 log what 1, 2 and 3 would deny, and deny nothing.
    ///
    /// Opens that came too fast and are lost, and lines of the trace that are not understood,
    /// are said on standard error, and make the exit code 3. With --json they are objects of
    /// their own: "lost" opens at least, "unread" lines, and the first such "line".
    /// A second interruption ends it at once; the tracing instance mayexec-watch-PID is left.
    Watch(watch::Options),
    /// Write the manual pages and the completions of shells to a directory
    #[command(hide = true)]
    Generate {
        /// The directory, which must exist
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().verb {
        Verb::Status { json, require } => status::status(json, require),
        Verb::Check { json, files } => check::check(&files, json),
        Verb::Run { strict, words } => Ok(run::run(strict, &words)),
        Verb::Scan(options) => scan::scan(&options),
        Verb::Watch(options) => watch::watch(&options),
        Verb::Generate { dir } => generate(&dir).map(|()| FINE),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(TROUBLE),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "mayexec: {error:#}");
            ExitCode::from(TROUBLE)
        }
    }
}

/// Whether the reader of the output has gone; nobody is left to tell.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Manual pages and completions, made of what `Args` says.
fn generate(dir: &std::path::Path) -> Result<()> {
    let mut command = Args::command();
    clap_mangen::generate_to(command.clone(), dir)
        .with_context(|| format!("cannot write to {}", dir.display()))?;
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
    ] {
        clap_complete::generate_to(shell, &mut command, "mayexec", dir)
            .with_context(|| format!("cannot write to {}", dir.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
