// SPDX-License-Identifier: GPL-2.0

//! What the kernel, and a seccomp filter before it, let this thread use.

use std::cell::Cell;

use rustix::io::Errno;
use uapi::{O_EMPTYPATH, O_MAYEXEC, OpenHow};

/// How a file was looked at before it was handed out, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Not at all: an ordinary open.
    Plain,
    /// This library has obeyed the securebits, by `AT_EXECVE_CHECK` (Linux 6.14). The
    /// system's policy, if there is one, had no say.
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
            Self::Securebits => "the securebits, obeyed by the program with AT_EXECVE_CHECK",
            Self::Kernel => "the policy, enforced by the kernel with O_MAYEXEC",
        }
    }
}

/// What can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// openat2(2), which RESOLVE_* flags need.
    pub openat2: bool,
    /// `O_MAYEXEC` of openat2(2).
    pub mayexec: bool,
    /// `O_EMPTYPATH` of openat2(2).
    pub emptypath: bool,
    /// `AT_EXECVE_CHECK` of execveat(2).
    pub execve_check: bool,
}

thread_local! {
    /// What was found. Of the thread, as filters are: what one thread is refused says
    /// nothing of the others.
    static FOUND: Cell<Option<Support>> = const { Cell::new(None) };
}

impl Support {
    /// Asks the kernel, once for the life of the thread. A no to `O_MAYEXEC` is not kept:
    /// each call then asks again, by one openat2(2) that fails before it looks at a path.
    #[must_use]
    pub fn get() -> Self {
        match FOUND.get() {
            Some(found) if found.mayexec || !known(O_MAYEXEC) => found,
            _ => Self::renew(),
        }
    }

    /// Asks the kernel again, for later calls of [`Support::get`] too.
    pub(crate) fn renew() -> Self {
        let found = Self::probe();
        FOUND.set(Some(found));
        found
    }

    /// Asks the kernel. No file is touched, so no file system has a say.
    #[must_use]
    pub fn probe() -> Self {
        let openat2_works = known(0);
        Self {
            openat2: openat2_works,
            mayexec: openat2_works && known(O_MAYEXEC),
            emptypath: openat2_works && openat2(c"", O_PATH | O_EMPTYPATH).is_none(),
            // A directory is never executed; a kernel without the flag says EINVAL, a
            // filter something else.
            execve_check: uapi::execve_check(libc::AT_FDCWD, c"/", 0) == Err(Errno::ACCESS),
        }
    }

    /// The best that an open can get.
    #[must_use]
    pub fn guarantee(self) -> Guarantee {
        if self.mayexec {
            Guarantee::Kernel
        } else if self.execve_check {
            Guarantee::Securebits
        } else {
            Guarantee::Plain
        }
    }
}

const O_PATH: u64 = libc::O_PATH as u64;

/// Whether openat2(2) takes these flags. They are checked before the path: an empty one is
/// ENOENT if they are known.
fn known(flags: u64) -> bool {
    openat2(c"", flags) == Some(Errno::NOENT)
}

/// The error of openat2(2) on `path` seen from the working directory.
fn openat2(path: &std::ffi::CStr, flags: u64) -> Option<Errno> {
    let how = OpenHow {
        flags: flags | libc::O_CLOEXEC as u64,
        ..OpenHow::default()
    };
    uapi::openat2(libc::AT_FDCWD, path, how).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_ordered() {
        assert!(Guarantee::Plain < Guarantee::Securebits);
        assert!(Guarantee::Securebits < Guarantee::Kernel);
        let none = Support {
            openat2: true,
            mayexec: false,
            emptypath: false,
            execve_check: false,
        };
        assert_eq!(none.guarantee(), Guarantee::Plain);
        let check = Support {
            execve_check: true,
            ..none
        };
        assert_eq!(check.guarantee(), Guarantee::Securebits);
        let both = Support {
            mayexec: true,
            ..check
        };
        assert_eq!(both.guarantee(), Guarantee::Kernel);
    }

    #[test]
    fn the_flag_and_the_sysctl_come_together() {
        assert_eq!(
            Support::probe().mayexec,
            std::path::Path::new(uapi::SYSCTL).exists()
        );
    }
}
