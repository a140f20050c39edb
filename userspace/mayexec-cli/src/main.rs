// SPDX-License-Identifier: GPL-2.0

//! `mayexec`: what the execution policy says and would say, and scripts run under it.

mod check;
mod elf;
mod facts;
mod interpreter;
#[path = "../../mayexec/src/kernel.rs"]
mod kernel;
mod packages;
mod pages;
mod places;
mod probe;
mod run;
mod scan;
mod show;
mod status;
mod sys;
mod tracefs;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use rustix::io::Errno;

/// Everything was done, and nothing is or would be denied.
const FINE: u8 = 0;
/// Something is or would be denied.
const DENIED: u8 = 1;
/// The command line is wrong.
const WRONG: u8 = 2;
/// Something could not be examined or done.
const TROUBLE: u8 = 3;
/// `run`: there is no telling what the script is, or what was demanded is impossible.
const RUN_FAILED: u8 = 125;
/// `run`: the script or the interpreter may not be executed.
const RUN_DENIED: u8 = 126;
/// `run`: the script or the interpreter does not exist.
const RUN_MISSING: u8 = 127;

const STATUS_CODES: &str = "Exit codes:
  0  done, and what --require demands is there
  1  what --require demands is not there
  2  wrong usage
  3  something could not be done";

const CHECK_CODES: &str = "Exit codes:
  0  the policy in force denies none of the files
  1  it denies a file
  2  wrong usage
  3  a file could not be opened or examined";

const RUN_CODES: &str = "Exit codes:
  2    wrong usage
  125  it cannot be told what the script is, the interpreter cannot run it right, or
       --strict asks for the impossible
  126  the script is denied, or the interpreter cannot be executed
  127  the script or the interpreter does not exist
  otherwise as the interpreter ends; but bash ends with 127, and not with 1, where an
       expansion fails, as under set -u";

const SCAN_CODES: &str = "Exit codes:
  0  nothing would be denied; with --apply, nothing would be any longer
  1  something would be denied; with --apply, it still would be
  2  wrong usage
  3  something could not be examined or changed";

const WATCH_CODES: &str = "Exit codes:
  0  interrupted, or --count is reached
  2  wrong usage
  3  the kernel cannot be watched, or opens are missing from what was shown";

/// Status, checks, scans and a watch of the execution policy of openat2(2) with O_MAYEXEC,
/// and scripts run under it
///
/// A program passes O_MAYEXEC to openat2(2) when it opens a file to execute it. The kernel
/// then makes the checks of the sysctl fs.open_mayexec_enforce: MOUNT (1) refuses a file on a
/// noexec mount, FILE (2) refuses a file that the caller may not execute, and both refuse what
/// is no regular file. LOG_ONLY (4) makes the kernel log what the checks would refuse, and
/// refuse nothing. The securebit EXEC_RESTRICT_FILE puts MOUNT and FILE in force for one
/// thread and for what that thread starts.
#[derive(Debug, Parser)]
#[command(name = "mayexec", version, override_usage = "mayexec COMMAND")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what the kernel has and which policy is in force
    ///
    /// The last line says who makes the checks when this process opens a file to execute it:
    /// the kernel, the program itself, or nobody; or that it is refused, as a check is impossible.
    #[command(after_help = STATUS_CODES)]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Say on standard error what of this is not there, and end with 1, if something is
        /// not: kernel (O_MAYEXEC) or securebits (AT_EXECVE_CHECK, which programs call
        /// themselves); with :1, that MOUNT is enforced, with :2 FILE, with :3 both. With
        /// kernel, only the sysctl counts: the kernel does not say whether it obeys a securebit
        #[arg(long, value_name = "GUARANTEE[:CHECKS]")]
        require: Option<status::Demand>,
    },
    /// Say whether this caller may open files to execute them, under which policy, and why
    ///
    /// Each line says what one policy says of the file; * marks the value that the sysctl has.
    /// The answers under the policy in force and, on a kernel with O_MAYEXEC, under both
    /// checks are the kernel's: a child that restricts itself opens the file. What MOUNT or
    /// FILE alone would say is an estimate from the type, the mount, the mode, the ACL and the
    /// capabilities. "cannot tell" stands where a server or a daemon decides (NFS, SMB, FUSE),
    /// and where the kernel refuses a file for a reason that cannot be seen.
    ///
    /// In JSON, a name is a string; beside one that is not UTF-8, "file_bytes" has its bytes
    /// in hexadecimal.
    #[command(after_help = CHECK_CODES)]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// What to check
        #[arg(required = true, value_hint = clap::ValueHint::AnyPath)]
        files: Vec<OsString>,
    },
    /// Open a script with O_MAYEXEC and have an interpreter run what was opened
    ///
    /// The interpreter gets what was opened and does not look the path up again.
    /// Known are sh, dash, bash, perl, python, awk (-f) and lua, by their names. For another
    /// interpreter put -- before the script: mayexec run other -x -- script arguments.
    /// A script in the first place, as a path with a slash, is run by the interpreter of its #!
    /// line. An interpreter that is a script itself must therefore be named without a slash.
    /// In shells, $0 is the script's path. It is /dev/fd/N in the others, in shells that are
    /// restricted or have -n, -t, -v or -D, and in a shell script of more than 1 MiB or with a
    /// NUL byte in it, as programs that unpack themselves are.
    ///
    /// This is for interpreters that do not open with O_MAYEXEC themselves, and opens the script
    /// alone: what the script loads is not opened with O_MAYEXEC. A script is refused that its
    /// interpreter could not run right from /dev/fd: with bash one that asks for BASH_SOURCE,
    /// with python one that uses multiprocessing or ProcessPoolExecutor, with perl one that uses
    /// FindBin. Such a script needs an interpreter that opens with O_MAYEXEC.
    #[command(
        after_help = RUN_CODES,
        override_usage = "mayexec run [--strict] INTERPRETER [OPTION]... SCRIPT [ARGUMENT]...\n       \
                          mayexec run [--strict] ./SCRIPT [ARGUMENT]..."
    )]
    Run {
        /// Apply MOUNT and FILE whatever the policy is; fail on a kernel without AT_EXECVE_CHECK
        #[arg(long)]
        strict: bool,
        /// The interpreter, its options, the script and its arguments; or the script, as a path
        /// with a slash, and its arguments
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "COMMAND",
            value_hint = clap::ValueHint::CommandWithArguments
        )]
        words: Vec<OsString>,
    },
    /// List the code in directories that would be denied with both checks in force
    ///
    /// Code is what starts with #!, ELF programs and shared objects, what is named as a module
    /// or a script, and what an interpreter reads by its place, such as /etc/profile. Debug
    /// information, code for web browsers, documentation and Python's caches are counted apart.
    /// Symbolic links are not followed. The last line says how many files were looked at, how
    /// many of them are code that may be executed, and how many would be denied.
    ///
    /// Nothing is changed without --apply. --fix leaves set-user-ID and set-group-ID files, files
    /// with capabilities, rc.local, and files in directories of which a program starts what is executable (cron.daily and
    /// its like, git's hooks, directories named *.d): somebody may have turned these files off.
    ///
    /// Files are printed as they are found, unless all must be known first: with --fix, with
    /// --by-package and with --json.
    #[command(after_help = SCAN_CODES)]
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
    #[command(after_help = WATCH_CODES)]
    Watch(watch::Options),
    /// Write the manual pages and the completions of shells to a directory
    #[command(hide = true)]
    Generate {
        /// The directory, which must exist
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match outcome() {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(TROUBLE),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "mayexec: {}", text(&error));
            ExitCode::from(TROUBLE)
        }
    }
}

/// Refuses an option of `run` that there is not: no interpreter has such a name.
fn usable(args: Args) -> Result<Args, clap::Error> {
    match &args.verb {
        Verb::Run { words, .. } if words[0].as_bytes().starts_with(b"-") => {
            let why = format!("unexpected argument '{}' found", words[0].to_string_lossy());
            Err(Args::command().error(ErrorKind::UnknownArgument, why))
        }
        _ => Ok(args),
    }
}

/// Does what the command line asks for.
fn outcome() -> Result<u8> {
    let args = match Args::try_parse().and_then(usable) {
        Ok(args) => args,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(TROUBLE);
            if error.use_stderr() {
                let _ = error.print();
            } else {
                readable()?;
                error.print()?;
                std::io::stdout().flush()?;
            }
            return Ok(code);
        }
    };
    if !matches!(args.verb, Verb::Run { .. }) {
        readable()?;
    }
    match args.verb {
        Verb::Status { json, require } => status::status(json, require),
        Verb::Check { json, files } => check::check(&files, json),
        Verb::Run { strict, words } => Ok(run::run(strict, &words)),
        Verb::Scan(options) => scan::scan(&options),
        Verb::Watch(options) => watch::watch(&options),
        Verb::Generate { dir } => pages::generate(&Args::command(), &dir).map(|()| FINE),
    }
}

/// Fails where nobody can read what would be said.
fn readable() -> Result<()> {
    if sys::stdout_is_closed() {
        bail!("standard output is closed");
    }
    Ok(())
}

/// An error and its causes, without the numbers that the standard library adds to errnos.
fn text(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| {
        let errno = cause.downcast_ref().and_then(Errno::from_io_error);
        errno.map_or_else(|| cause.to_string(), mayexec::message)
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// Whether the reader of the output has gone; nobody is left to tell.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
