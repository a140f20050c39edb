// SPDX-License-Identifier: GPL-2.0

//! The process that opens: this program started again, as the caller in question.
//!
//! Credentials, securebits and a call that might block belong in a process of
//! their own.

use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use uapi::OpenHow;

use crate::model::{Answer, Caller};

/// A flag that no kernel has, for comparison.
pub(crate) const UNKNOWN_FLAG: u64 = 1 << 62;

/// A uid without rights.
const NOBODY: u32 = 65534;
/// An open that takes longer waits for something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file's content or the errno of the call that would have given it.
pub(crate) type Opened = std::result::Result<std::fs::File, i32>;

/// openat2(2).
pub(crate) fn openat2(path: &Path, flags: u64) -> Opened {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Err(libc::EINVAL);
    };
    // The kernel wants a mode with flags that create a file, and 0 without.
    let creates = flags & (libc::O_CREAT as u64) != 0
        || flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64;
    let how = OpenHow {
        flags,
        mode: if creates { 0o600 } else { 0 },
        resolve: 0,
    };
    uapi::openat2(libc::AT_FDCWD, &path, how)
        .map(std::fs::File::from)
        .map_err(rustix::io::Errno::raw_os_error)
}

/// Sets SECBIT_EXEC_RESTRICT_FILE on the calling process, so that the kernel enforces it.
fn restrict_file() -> Result<()> {
    // Of root, who has CAP_SETPCAP, the bit counts as it is.
    if !rustix::process::geteuid().is_root() {
        rustix::thread::set_no_new_privs(true).context("prctl(PR_SET_NO_NEW_PRIVS)")?;
    }
    uapi::set_securebits(uapi::SECBIT_EXEC_RESTRICT_FILE).context("prctl(PR_SET_SECUREBITS)")
}

/// Starts this program again for one part of the scene.
#[derive(Debug)]
pub(crate) struct Opener {
    program: PathBuf,
}

impl Opener {
    /// `program` must be where an unprivileged user can execute it.
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// This program, to be started as `caller` with `args`.
    pub(crate) fn command(&self, caller: Caller, args: &[&str]) -> Command {
        let mut cmd = Command::new(&self.program);
        cmd.args(args);
        if caller == Caller::User {
            // uid() also drops the supplementary groups when it can.
            cmd.uid(NOBODY).gid(NOBODY);
        }
        cmd
    }

    /// Opens `path` as `caller`, under the securebit if asked.
    pub(crate) fn open(
        &self,
        caller: Caller,
        securebit: bool,
        path: &Path,
        flags: u64,
    ) -> Result<Answer> {
        let path = path.to_string_lossy().into_owned();
        let bit = if securebit { "securebit" } else { "-" };
        let mut child = self
            .command(caller, &["open", bit, &flags.to_string(), &path])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the opening process")?;
        let started = Instant::now();
        while child.try_wait()?.is_none() {
            if started.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Ok(Answer::Blocked);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("the opening process failed ({}): {text}", output.status);
        }
        parse(text.trim())
    }
}

/// The opening process: opens once and prints how it went.
pub(crate) fn act(args: &[String]) -> Result<()> {
    let [bit, flags, path] = args else {
        bail!("usage: demo open securebit|- FLAGS PATH");
    };
    if bit == "securebit" {
        restrict_file()?;
    }
    match openat2(
        Path::new(path),
        flags.parse().context("FLAGS is not a number")?,
    ) {
        Ok(_) => println!("opened"),
        Err(errno) => println!("{errno}"),
    }
    Ok(())
}

fn parse(text: &str) -> Result<Answer> {
    if text == "opened" {
        return Ok(Answer::Opened);
    }
    match text.parse() {
        Ok(errno) => Ok(Answer::Errno(errno)),
        Err(_) => bail!("the opening process printed `{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_back() {
        assert_eq!(parse("opened").unwrap(), Answer::Opened);
        assert_eq!(parse("13").unwrap(), Answer::Errno(libc::EACCES));
        assert!(parse("").is_err());
    }

    #[test]
    fn openat2_opens_and_reports_errno() {
        assert!(openat2(Path::new("/dev/null"), 0).is_ok());
        assert_eq!(
            openat2(Path::new("/no/such/file"), 0).unwrap_err(),
            libc::ENOENT
        );
        assert_eq!(
            openat2(Path::new("/dev/null"), UNKNOWN_FLAG).unwrap_err(),
            libc::EINVAL
        );
    }
}
