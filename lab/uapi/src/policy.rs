// SPDX-License-Identifier: GPL-2.0

//! The policies that the programs put in force, and what the semantics table says of
//! them.

use std::fmt;

use crate::{ENFORCE_FILE, ENFORCE_MOUNT, LOG_ONLY, SYSCTL};

/// What is in force when somebody opens with [`O_MAYEXEC`](crate::O_MAYEXEC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The value of the sysctl.
    pub system: u32,
    /// Whether the caller has a SECBIT_EXEC_RESTRICT_FILE that the kernel enforces: the
    /// caller set the bit with CAP_SETPCAP or under no_new_privs.
    pub securebit: bool,
}

impl Policy {
    /// No policy.
    pub const NONE: Self = Self::system(0);
    /// Both checks, for the caller alone.
    pub const SECUREBIT: Self = Self {
        system: 0,
        securebit: true,
    };
    /// One of each kind.
    pub const EVERY: [Self; 6] = [
        Self::NONE,
        Self::system(ENFORCE_MOUNT),
        Self::system(ENFORCE_FILE),
        Self::system(ENFORCE_MOUNT | ENFORCE_FILE),
        Self::system(ENFORCE_MOUNT | ENFORCE_FILE | LOG_ONLY),
        Self::SECUREBIT,
    ];

    /// A policy of the system alone.
    #[must_use]
    pub const fn system(value: u32) -> Self {
        Self {
            system: value,
            securebit: false,
        }
    }

    /// The checks that may refuse an open.
    #[must_use]
    pub const fn enforced(self) -> u32 {
        let system = if self.system & LOG_ONLY == 0 {
            self.system
        } else {
            0
        };
        let own = if self.securebit {
            ENFORCE_MOUNT | ENFORCE_FILE
        } else {
            0
        };
        system | own
    }

    /// Whether a caller may open a file to execute it: one that is `regular` or not, on a
    /// mount that is `noexec` or not, and that the caller may execute or not.
    #[must_use]
    pub const fn allows(self, regular: bool, noexec: bool, executable: bool) -> bool {
        let checks = self.enforced();
        checks == 0
            || regular
                && (checks & ENFORCE_MOUNT == 0 || !noexec)
                && (checks & ENFORCE_FILE == 0 || executable)
    }

    /// Puts the system's part in force.
    ///
    /// # Errors
    ///
    /// The sysctl cannot be written.
    pub fn set_system(self) -> std::io::Result<()> {
        std::fs::write(SYSCTL, self.system.to_string()).map_err(|error| {
            let what = format!("cannot set {SYSCTL} to {}: {error}", self.system);
            std::io::Error::new(error.kind(), what)
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.system, self.securebit) {
            (0, true) => f.pad("securebit"),
            (system, true) => f.pad(&format!("{system} and the securebit")),
            (system, false) => f.pad(&system.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        // Regular, noexec, executable; then the answers under 0, 1, 2, 3, 7 and the securebit.
        let rows = [
            (true, false, true, [true, true, true, true, true, true]),
            (true, false, false, [true, true, false, false, true, false]),
            (true, true, true, [true, false, true, false, true, false]),
            (true, true, false, [true, false, false, false, true, false]),
            (false, false, true, [true, false, false, false, true, false]),
        ];
        for (regular, noexec, executable, answers) in rows {
            for (policy, answer) in Policy::EVERY.into_iter().zip(answers) {
                let allowed = policy.allows(regular, noexec, executable);
                assert_eq!(allowed, answer, "{policy}: {regular} {noexec} {executable}");
            }
        }
    }

    #[test]
    fn what_is_only_logged_is_not_enforced_and_leaves_the_securebit_alone() {
        for value in 4..8 {
            assert_eq!(Policy::system(value).enforced(), 0);
        }
        for system in 0..8 {
            let both = Policy {
                system,
                securebit: true,
            };
            assert_eq!(both.enforced(), ENFORCE_MOUNT | ENFORCE_FILE);
        }
    }

    #[test]
    fn a_policy_has_a_name() {
        assert_eq!(Policy::EVERY[4].to_string(), "7");
        assert_eq!(format!("{:>10}", Policy::SECUREBIT), " securebit");
        let both = Policy {
            system: 7,
            securebit: true,
        };
        assert_eq!(both.to_string(), "7 and the securebit");
    }
}
