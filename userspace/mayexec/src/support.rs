// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel, and a seccomp filter before it, let this thread use.

use std::cell::Cell;
use std::os::fd::{IntoRawFd, RawFd};

use rustix::io::Errno;

use crate::Policy;
use crate::kernel::{self, O_MAYEXEC};
use crate::sys::{self, O_EMPTYPATH};

/// How a file was looked at before it was handed out, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Guarantee {
    /// Not at all: an ordinary open.
    Plain,
    /// The library has made the checks itself: those of the securebit, by `AT_EXECVE_CHECK`
    /// (Linux 6.14), and those of the sysctl where something hides `O_MAYEXEC`.
    Securebits,
    /// The kernel has applied the policy in force: `O_MAYEXEC`.
    Kernel,
}

impl Guarantee {
    /// The guarantee in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Plain => "an ordinary open, nothing is checked",
            Self::Securebits => "the checks that the program makes itself, with AT_EXECVE_CHECK",
            Self::Kernel => "the policy, enforced by the kernel with O_MAYEXEC",
        }
    }
}

/// Whether execveat(2) with `AT_EXECVE_CHECK` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecveCheck {
    /// The kernel answers.
    Works,
    /// The kernel is older than Linux 6.14.
    Missing,
    /// A seccomp filter answers in place of the kernel, as sudo's NOEXEC does.
    Filtered,
}

/// What can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// openat2(2), which RESOLVE_* flags need.
    pub openat2: bool,
    /// `O_MAYEXEC` of openat2(2).
    pub mayexec: bool,
    /// `O_EMPTYPATH` of openat2(2).
    pub emptypath: bool,
    /// Whether openat2(2) takes any flag, as an emulator does that drops what it does not
    /// know. Such an answer is no sign of `O_MAYEXEC`.
    pub emulated: bool,
}

thread_local! {
    /// What was found. Of the thread, as filters are: what one thread is refused says
    /// nothing of the others.
    static FOUND: Cell<Option<Support>> = const { Cell::new(None) };
}

impl Support {
    /// Asks the kernel, once for the life of the thread.
    #[must_use]
    pub fn get() -> Self {
        FOUND.get().unwrap_or_else(Self::renew)
    }

    /// Asks the kernel again, for later calls of [`Support::get`] too. Where it has no memory to
    /// answer, what was known before holds.
    pub(crate) fn renew() -> Self {
        match Self::ask() {
            Some(found) => {
                FOUND.set(Some(found));
                found
            }
            None => FOUND.get().unwrap_or(Self::NONE),
        }
    }

    /// Asks the kernel. No file is touched, so no file system has a say.
    #[must_use]
    pub fn probe() -> Self {
        Self::ask().unwrap_or(Self::NONE)
    }

    const NONE: Self = Self {
        openat2: false,
        mayexec: false,
        emptypath: false,
        emulated: false,
    };

    /// What the kernel answers; none if it has no memory to do so.
    fn ask() -> Option<Self> {
        let known = |flags| takes(libc::AT_FDCWD, flags, Errno::NOENT);
        let mayexec = known(O_MAYEXEC)?;
        let emulated = mayexec && openat2(libc::AT_FDCWD, IMPOSSIBLE) != Some(Errno::INVAL);
        Some(Self {
            openat2: mayexec || known(0)?,
            mayexec: mayexec && !emulated,
            // Without a directory, no file is found.
            emptypath: !emulated && takes(-1, O_EMPTYPATH, Errno::BADF)?,
            emulated,
        })
    }

    /// Asks whether `AT_EXECVE_CHECK` works. Some filters kill whoever calls execveat(2), so
    /// that an open asks only where the policy needs the check.
    #[must_use]
    pub fn execve_check(self) -> ExecveCheck {
        // No filter answers EBADF by chance, and the kernel says it only after it has
        // accepted the flag.
        match sys::execve_check(-1) {
            Err(Errno::BADF) => ExecveCheck::Works,
            Err(Errno::INVAL) => ExecveCheck::Missing,
            _ => ExecveCheck::Filtered,
        }
    }

    /// The best that [`Open::require`](crate::Open::require) can demand. Where that is
    /// [`Guarantee::Plain`], `AT_EXECVE_CHECK` is impossible, or nobody can read the policy that
    /// asks for it. An open still makes the sysctl's check of mounts itself, and refuses every
    /// file for which the policy asks for an impossible check. This calls execveat(2) where there
    /// is no `O_MAYEXEC`.
    #[must_use]
    pub fn guarantee(self) -> Guarantee {
        self.best(self.policy())
    }

    /// The policy that an open applies by itself. A kernel with the flag applies its own, which is
    /// read to explain a refusal only.
    pub(crate) fn policy(self) -> Policy {
        if self.mayexec {
            Policy::default()
        } else {
            Policy::read()
        }
    }

    /// As [`Support::guarantee`], with what [`Support::policy`] has read.
    pub(crate) fn best(self, policy: Policy) -> Guarantee {
        if self.mayexec {
            Guarantee::Kernel
        } else if self.execve_check() == ExecveCheck::Works && !policy.unknown {
            Guarantee::Securebits
        } else {
            Guarantee::Plain
        }
    }
}

/// A flag that no kernel has.
const IMPOSSIBLE: u64 = 1 << 62;

/// Whether openat2(2) takes these flags; none if a lack of memory keeps it from saying so. The
/// kernel checks them before it looks for a free descriptor, and only then for the file, which is
/// not there.
fn takes(dir: RawFd, flags: u64, missing: Errno) -> Option<bool> {
    let errno = openat2(dir, flags);
    let known = errno.is_some_and(|errno| [missing, Errno::MFILE, Errno::NFILE].contains(&errno));
    (errno != Some(Errno::NOMEM)).then_some(known)
}

/// The error of openat2(2) on an empty path.
fn openat2(dir: RawFd, flags: u64) -> Option<Errno> {
    match kernel::openat2(dir, c"", flags | libc::O_CLOEXEC as u64, 0) {
        Err(errno) => Some(errno),
        // No file has an empty path: a filter has made the number up, and whoever has opened
        // the descriptor of that number still needs it.
        Ok(fd) => {
            let _ = fd.into_raw_fd();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{apart, fake, filtered};

    #[test]
    fn the_ladder_is_ordered() {
        assert!(Guarantee::Plain < Guarantee::Securebits);
        assert!(Guarantee::Securebits < Guarantee::Kernel);
        let all = Support {
            openat2: true,
            mayexec: true,
            emptypath: true,
            emulated: false,
        };
        assert_eq!(all.guarantee(), Guarantee::Kernel);
    }

    #[test]
    fn the_flag_and_the_sysctl_come_together() {
        assert_eq!(
            Support::probe().mayexec,
            std::path::Path::new(kernel::SYSCTL).exists()
        );
    }

    #[test]
    fn a_filter_that_refuses_executions_is_no_kernel_that_checks() {
        for errno in [Errno::ACCESS, Errno::NOSYS, Errno::PERM] {
            filtered(&[libc::SYS_execveat], errno, || {
                let found = Support::probe().execve_check();
                assert_eq!(found, ExecveCheck::Filtered, "{errno}");
            });
        }
    }

    #[test]
    fn an_answer_to_every_flag_is_no_sign_of_the_flag() {
        // What an emulator without checks answers to an empty path.
        filtered(&[libc::SYS_openat2], Errno::NOENT, || {
            let found = Support::probe();
            assert!(found.emulated && !found.mayexec, "{found:?}");
        });
    }

    #[test]
    fn a_full_table_of_descriptors_hides_nothing() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            filtered(&[libc::SYS_openat2], errno, || {
                assert!(Support::probe().openat2, "{errno}");
            });
        }
    }

    #[test]
    fn a_lack_of_memory_hides_nothing_for_long() {
        filtered(&[libc::SYS_openat2], Errno::NOMEM, || {
            assert_eq!(Support::get(), Support::NONE);
            assert_eq!(FOUND.get(), None);
            let known = Support {
                openat2: true,
                ..Support::NONE
            };
            FOUND.set(Some(known));
            assert_eq!(Support::renew(), known);
        });
    }

    #[test]
    fn a_descriptor_that_a_filter_makes_up_is_left_alone() {
        apart(|| {
            fake(&[libc::SYS_openat2]);
            let found = Support::probe();
            assert!(!found.mayexec && !found.openat2, "{found:?}");
        });
        rustix::fs::fstat(std::io::stdin()).unwrap();
    }
}
