// SPDX-License-Identifier: GPL-2.0

//! The policy in force, and who has set it.

use std::fmt;

use uapi::{ENFORCE_FILE, ENFORCE_MOUNT, SECBIT_EXEC_RESTRICT_FILE};

/// What the system and the process ask for. The union of both is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `fs.open_mayexec_enforce`; none where the kernel has no such sysctl.
    pub system: Option<u32>,
    /// Whether `SECBIT_EXEC_RESTRICT_FILE` is set for the calling thread.
    pub securebit: bool,
}

impl Policy {
    /// Reads the policy of the calling thread.
    ///
    /// If the securebits cannot be read, they count as set: the strict side.
    #[must_use]
    pub fn read() -> Self {
        let system = std::fs::read_to_string(uapi::SYSCTL)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let bits = uapi::securebits().unwrap_or(u32::MAX);
        Self {
            system,
            securebit: bits & SECBIT_EXEC_RESTRICT_FILE != 0,
        }
    }

    /// Whether the check of mounts is in force.
    #[must_use]
    pub fn mount(&self) -> bool {
        self.bits() & ENFORCE_MOUNT != 0
    }

    /// Whether the check of files is in force.
    #[must_use]
    pub fn file(&self) -> bool {
        self.bits() & ENFORCE_FILE != 0
    }

    /// The checks in force as the sysctl's value would be.
    #[must_use]
    pub fn bits(&self) -> u32 {
        let own = if self.securebit {
            ENFORCE_MOUNT | ENFORCE_FILE
        } else {
            0
        };
        self.system.unwrap_or(0) | own
    }
}

impl fmt::Display for Policy {
    /// Names the sources that ask for something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.system.filter(|&bits| bits != 0), self.securebit) {
            (None, false) => f.write_str("no policy"),
            (Some(bits), false) => write!(f, "fs.open_mayexec_enforce={bits}"),
            (None, true) => f.write_str("SECBIT_EXEC_RESTRICT_FILE"),
            (Some(bits), true) => write!(
                f,
                "fs.open_mayexec_enforce={bits} and SECBIT_EXEC_RESTRICT_FILE"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_is_in_force() {
        for (system, securebit, bits, text) in [
            (None, false, 0, "no policy"),
            (Some(0), false, 0, "no policy"),
            (Some(1), false, 1, "fs.open_mayexec_enforce=1"),
            (None, true, 3, "SECBIT_EXEC_RESTRICT_FILE"),
            (
                Some(2),
                true,
                3,
                "fs.open_mayexec_enforce=2 and SECBIT_EXEC_RESTRICT_FILE",
            ),
        ] {
            let policy = Policy { system, securebit };
            assert_eq!(policy.bits(), bits);
            assert_eq!(policy.mount(), bits & 1 != 0);
            assert_eq!(policy.file(), bits & 2 != 0);
            assert_eq!(policy.to_string(), text);
        }
    }
}
