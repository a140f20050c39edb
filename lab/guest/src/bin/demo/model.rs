// SPDX-License-Identifier: GPL-2.0

//! What the semantics table says, written from the table and not from the code.

use std::fmt;

use uapi::Policy;

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

/// What a policy is called on the screen.
pub(crate) fn name(policy: Policy) -> String {
    let what = match (policy.system, policy.securebit) {
        (0, false) => "none",
        (1, false) => "MOUNT",
        (2, false) => "FILE",
        (3, false) => "MOUNT and FILE",
        (7, false) => "LOG_ONLY",
        _ => return policy.to_string(),
    };
    format!("{policy} ({what})")
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
    if policy.allows(target.regular, target.noexec, target.may_execute(caller)) {
        Answer::Opened
    } else {
        Answer::Errno(libc::EACCES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACCES: Answer = Answer::Errno(libc::EACCES);

    #[test]
    fn who_opens_matters_to_file_alone() {
        let owner_only = Target {
            regular: true,
            noexec: false,
            mode: 0o744,
        };
        for policy in Policy::EVERY {
            assert_eq!(table(policy, owner_only, Caller::Root), Answer::Opened);
            let file = matches!(policy, Policy::SECUREBIT) || [2, 3].contains(&policy.system);
            let user = if file { EACCES } else { Answer::Opened };
            assert_eq!(table(policy, owner_only, Caller::User), user, "{policy}");
        }
    }

    #[test]
    fn root_needs_some_x_bit() {
        let nobody = Target {
            regular: true,
            noexec: false,
            mode: 0o644,
        };
        assert_eq!(table(Policy::system(2), nobody, Caller::Root), EACCES);
    }

    #[test]
    fn policies_are_called_by_their_value() {
        let names = Policy::EVERY.map(name);
        assert_eq!(
            names,
            [
                "0 (none)",
                "1 (MOUNT)",
                "2 (FILE)",
                "3 (MOUNT and FILE)",
                "7 (LOG_ONLY)",
                "securebit"
            ]
        );
    }

    #[test]
    fn answers_read_as_errno_names() {
        assert_eq!(format!("{:<8}|", EACCES), "EACCES  |");
        assert_eq!(Answer::Errno(libc::EINVAL).to_string(), "EINVAL");
        assert_eq!(Answer::Errno(5).to_string(), "errno 5");
    }
}
