// SPDX-License-Identifier: GPL-2.0

//! What the semantics table says, written from the table and not from the code.

use std::fmt;

/// The value of a system call: success or an errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The call succeeded.
    Opened,
    /// The call failed with this errno.
    Errno(i32),
    /// The call did not return in time.
    Blocked,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.pad("opened"),
            Self::Errno(libc::EACCES) => f.pad("EACCES"),
            Self::Errno(libc::EINVAL) => f.pad("EINVAL"),
            Self::Errno(libc::EPERM) => f.pad("EPERM"),
            Self::Errno(other) => f.pad(&format!("errno {other}")),
            Self::Blocked => f.pad("blocked"),
        }
    }
}

/// Where the policy in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The value of the sysctl `fs.open_mayexec_enforce`.
    Sysctl(u8),
    /// SECBIT_EXEC_RESTRICT_FILE on the caller, with the sysctl at 0.
    Securebit,
}

impl Policy {
    /// Every policy of the table.
    pub(crate) const ALL: [Self; 5] = [
        Self::Sysctl(0),
        Self::Sysctl(1),
        Self::Sysctl(2),
        Self::Sysctl(3),
        Self::Securebit,
    ];

    /// The value that the sysctl must have.
    pub(crate) fn sysctl(self) -> u8 {
        match self {
            Self::Sysctl(value) => value,
            Self::Securebit => 0,
        }
    }

    fn checks_mount(self) -> bool {
        matches!(self, Self::Sysctl(1 | 3) | Self::Securebit)
    }

    fn checks_file(self) -> bool {
        matches!(self, Self::Sysctl(2 | 3) | Self::Securebit)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl(0) => f.pad("0 (none)"),
            Self::Sysctl(1) => f.pad("1 (MOUNT)"),
            Self::Sysctl(2) => f.pad("2 (FILE)"),
            Self::Sysctl(value) => f.pad(&format!("{value} (MOUNT and FILE)")),
            Self::Securebit => f.pad("securebit"),
        }
    }
}

/// Who opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// uid 0 with every capability; owns the files.
    Root,
    /// uid 65534 without capabilities.
    User,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "root",
            Self::User => "user",
        })
    }
}

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether it is a regular file.
    pub regular: bool,
    /// Whether its mount is noexec.
    pub noexec: bool,
    /// Its permission bits; root owns it.
    pub mode: u32,
}

impl Target {
    /// Whether the file's mode lets the caller execute it.
    ///
    /// CAP_DAC_OVERRIDE stands in for a missing x bit only if some x bit is set.
    fn may_execute(self, caller: Caller) -> bool {
        match caller {
            Caller::Root => self.mode & 0o111 != 0,
            Caller::User => self.mode & 0o001 != 0,
        }
    }
}

/// The answer to openat2(2) with O_MAYEXEC for a file that the caller may read.
pub(crate) fn table(policy: Policy, target: Target, caller: Caller) -> Answer {
    let denied = Answer::Errno(libc::EACCES);
    if !policy.checks_mount() && !policy.checks_file() {
        return Answer::Opened;
    }
    if !target.regular {
        return denied;
    }
    if policy.checks_mount() && target.noexec {
        return denied;
    }
    if policy.checks_file() && !target.may_execute(caller) {
        return denied;
    }
    Answer::Opened
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACCES: Answer = Answer::Errno(libc::EACCES);

    fn regular(noexec: bool, mode: u32) -> Target {
        Target {
            regular: true,
            noexec,
            mode,
        }
    }

    #[test]
    fn each_bit_checks_its_own_thing() {
        let good = regular(false, 0o755);
        let bad_mount = regular(true, 0o755);
        let bad_file = regular(false, 0o644);
        for caller in [Caller::Root, Caller::User] {
            for policy in Policy::ALL {
                assert_eq!(table(policy, good, caller), Answer::Opened);
            }
            let answers = |target| Policy::ALL.map(|policy| table(policy, target, caller));
            let opened = Answer::Opened;
            assert_eq!(answers(bad_mount), [opened, EACCES, opened, EACCES, EACCES]);
            assert_eq!(answers(bad_file), [opened, opened, EACCES, EACCES, EACCES]);
        }
    }

    #[test]
    fn what_is_not_regular_is_denied_under_any_policy() {
        let fifo = Target {
            regular: false,
            noexec: false,
            mode: 0o755,
        };
        assert_eq!(table(Policy::Sysctl(0), fifo, Caller::Root), Answer::Opened);
        for policy in &Policy::ALL[1..] {
            assert_eq!(table(*policy, fifo, Caller::Root), EACCES);
        }
    }

    #[test]
    fn root_needs_some_x_bit() {
        let owner_only = regular(false, 0o744);
        assert_eq!(
            table(Policy::Sysctl(2), owner_only, Caller::Root),
            Answer::Opened
        );
        assert_eq!(table(Policy::Sysctl(2), owner_only, Caller::User), EACCES);
    }

    #[test]
    fn answers_read_as_errno_names() {
        assert_eq!(format!("{:<8}|", EACCES), "EACCES  |");
        assert_eq!(Answer::Errno(libc::EINVAL).to_string(), "EINVAL");
        assert_eq!(Answer::Errno(5).to_string(), "errno 5");
    }
}
