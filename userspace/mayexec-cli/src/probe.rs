// SPDX-License-Identifier: GPL-2.0

//! Questions that change whoever asks them, or can kill it: a child asks.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use mayexec::{ExecveCheck, Open, Policy, Support, Why};
use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::{CapabilitiesSecureBits, capabilities_secure_bits};

use crate::{kernel, sys};

/// Has a child do something, and reads what it writes: nothing of what it has not written
/// when a filter kills it. None if there is no child, as there are other threads, in tests.
fn apart(work: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Option<Vec<u8>> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
    match sys::fork().ok()? {
        Some(child) => {
            drop(write);
            let mut answer = Vec::new();
            let _ = File::from(read).read_to_end(&mut answer);
            let _ = waitpid(Some(child), WaitOptions::empty());
            Some(answer)
        }
        None => {
            let mut write = File::from(write);
            work(&mut |bytes| {
                let _ = write.write_all(bytes);
            });
            std::process::exit(0)
        }
    }
}

/// Whether `AT_EXECVE_CHECK` works here. Some filters kill for execveat(2).
pub(crate) fn execve_check() -> ExecveCheck {
    let ask = || Support::get().execve_check();
    let answer = apart(|write| {
        write(match ask() {
            ExecveCheck::Works => b"w",
            ExecveCheck::Missing => b"m",
            _ => b"f",
        });
    });
    match answer.as_deref() {
        Some(b"w") => ExecveCheck::Works,
        Some(b"m") => ExecveCheck::Missing,
        Some(_) => ExecveCheck::Filtered,
        // Nothing filters the threads of tests.
        None => ask(),
    }
}

/// What was answered when a file was opened; an errno for a refusal.
pub(crate) type Answer = Result<(), Errno>;

/// What the kernel says of a file with both checks in force; none where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Both {
    /// To O_MAYEXEC under a securebit that counts.
    pub(crate) flag: Option<Answer>,
    /// To AT_EXECVE_CHECK, which also minds writers: ETXTBSY.
    pub(crate) execve: Option<Answer>,
}

/// Asks of files that are open, by O_PATH as a rule. `check`: whether AT_EXECVE_CHECK works.
pub(crate) fn both(files: &[&OwnedFd], check: ExecveCheck) -> Vec<Both> {
    let flag = Support::get().mayexec && !Policy::read().securebit;
    let works = check == ExecveCheck::Works;
    let answers = apart(|write| {
        for file in files {
            write(&[encode(works.then(|| execve(file)).flatten())]);
        }
        let restricted = flag && restrict().is_ok();
        for file in files {
            let ask = || sys::open_mayexec(file).map(drop);
            write(&[encode(restricted.then(ask))]);
        }
    });
    let mut found = vec![Both::default(); files.len()];
    match answers {
        Some(answers) => {
            let (first, second) = answers.split_at(answers.len().min(files.len()));
            for (both, code) in found.iter_mut().zip(first) {
                both.execve = decode(*code);
            }
            for (both, code) in found.iter_mut().zip(second) {
                both.flag = decode(*code);
            }
        }
        // A thread of a test does not restrict itself.
        None if works => {
            for (both, file) in found.iter_mut().zip(files) {
                both.execve = execve(file);
            }
        }
        None => {}
    }
    found
}

/// Puts both checks in force for this process: the kernel counts a securebit that was set
/// under no_new_privs.
fn restrict() -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let bits = capabilities_secure_bits()?.bits() | kernel::SECBIT_EXEC_RESTRICT_FILE;
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::from_bits_retain(bits))
}

/// What AT_EXECVE_CHECK says; none if the file cannot be opened to ask.
fn execve(file: &OwnedFd) -> Option<Answer> {
    match Open::new().check_always().reopen(file) {
        Ok(_) => Some(Ok(())),
        Err(error) if error.is_denial() || error.why == Why::Busy => Some(Err(error.errno)),
        Err(_) => None,
    }
}

/// An answer as a byte, which all errnos that files cause fit into.
fn encode(answer: Option<Answer>) -> u8 {
    const NONE: u8 = u8::MAX;
    match answer {
        None => NONE,
        Some(Ok(())) => 0,
        Some(Err(errno)) => u8::try_from(errno.raw_os_error()).unwrap_or(NONE),
    }
}

fn decode(code: u8) -> Option<Answer> {
    match code {
        u8::MAX => None,
        0 => Some(Ok(())),
        code => Some(Err(Errno::from_raw_os_error(code.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back() {
        for answer in [
            None,
            Some(Ok(())),
            Some(Err(Errno::ACCESS)),
            Some(Err(Errno::TXTBSY)),
        ] {
            assert_eq!(decode(encode(answer)), answer);
        }
    }
}
