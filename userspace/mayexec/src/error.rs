// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a file was not opened.

use std::fmt;

use rustix::io::Errno;

use crate::policy::Policy;
use crate::support::Guarantee;

/// Why, as far as user space can know. The explanation is found after the fact: it
/// may be wrong if the file has changed meanwhile, the refusal is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It could not be opened by an ordinary open either.
    Open,
    /// It is not a regular file.
    NotRegular,
    /// It is on a noexec mount.
    Noexec,
    /// The caller has no execute permission on it.
    NotExecutable,
    /// Somebody has it open for writing (`AT_EXECVE_CHECK` only).
    Busy,
    /// None of these, as far as can be seen: a security module or a fanotify listener, as
    /// a rule.
    Other,
    /// The kernel cannot give the guarantee that was demanded.
    Guarantee {
        /// What was demanded.
        needed: Guarantee,
        /// What the kernel has.
        had: Guarantee,
    },
    /// The policy demands a check that a seccomp filter keeps the program from making.
    Filtered,
    /// RESOLVE_* flags need openat2(2).
    Unresolved,
}

impl Why {
    /// What is said of a file that was refused as code, in a few words; none if it was not
    /// opened for another reason.
    #[must_use]
    pub fn denial(self) -> Option<&'static str> {
        Some(match self {
            Self::NotRegular => "not a regular file",
            Self::Noexec => "on a noexec mount",
            Self::NotExecutable => "no execute permission",
            Self::Busy => "open for writing by somebody",
            Self::Other => "refused, perhaps by a security module or a fanotify listener",
            Self::Open | Self::Guarantee { .. } | Self::Filtered | Self::Unresolved => return None,
        })
    }
}

/// A file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The reason.
    pub why: Why,
    /// What the kernel answered, or would have.
    pub errno: Errno,
    /// The policy in force.
    pub policy: Policy,
}

impl Error {
    /// Whether the file was refused as code, rather than not opened for another reason.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.why.denial().is_some()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Guarantee { needed, had } => write!(
                f,
                "the guarantee demanded is {}, possible is {}",
                needed.describe(),
                had.describe()
            ),
            Why::Filtered => f.write_str(
                "the policy demands a check, but a seccomp filter answers for execveat(2)",
            ),
            Why::Unresolved => f.write_str("RESOLVE_* flags need openat2(2)"),
            why => match why.denial() {
                // Then it is not the policy that has asked for the check.
                Some(reason) if self.policy.enforced() == 0 => f.write_str(reason),
                Some(reason) => write!(f, "{reason} ({})", self.policy),
                None => f.write_str(&message(self.errno)),
            },
        }
    }
}

/// What an errno means, without the number that the standard library adds.
#[must_use]
pub fn message(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    /// Keeps the errno, as `raw_os_error()`, and loses the reason: the standard library has no
    /// place for both.
    fn from(error: Error) -> Self {
        error.errno.into()
    }
}
