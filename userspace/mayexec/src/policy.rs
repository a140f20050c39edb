// SPDX-License-Identifier: MIT OR Apache-2.0

//! The policy in force, and who has set it.

use std::fmt;

use rustix::io::Errno;

use crate::kernel::{ENFORCE_FILE, ENFORCE_MOUNT, SECBIT_EXEC_RESTRICT_FILE, SYSCTL};

/// `include/uapi/linux/securebits.h`: code that no file holds is refused.
const SECBIT_EXEC_DENY_INTERACTIVE: u32 = 1 << 10;
/// The sysctl's bit that moves its checks from enforced to logged.
pub const LOG_ONLY: u32 = 4;

/// What the system and the thread ask for. The union of both is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Policy {
    /// `fs.open_mayexec_enforce`; none where the kernel has no such sysctl.
    pub system: Option<u32>,
    /// Whether there may be a sysctl that cannot be read: /proc is missing, covered or masked;
    /// or whether the securebits cannot be read.
    pub unknown: bool,
    /// Whether `SECBIT_EXEC_RESTRICT_FILE` is set for the calling thread.
    ///
    /// The kernel enforces the bit only if somebody set it with CAP_SETPCAP or under
    /// no_new_privs, and does not say which it was. The library obeys the bit whoever set it.
    pub securebit: bool,
    /// Whether `SECBIT_EXEC_DENY_INTERACTIVE` is set for the calling thread: the library refuses a
    /// pipe or a terminal then, by whatever name it is opened.
    pub deny_interactive: bool,
}

impl Policy {
    /// Reads the policy of the calling thread.
    ///
    /// If the securebits cannot be read, they count as not set, and the policy as unknown.
    #[must_use]
    pub fn read() -> Self {
        let (system, unknown) = system();
        let bits = securebits();
        let [securebit, deny_interactive] = bits.unwrap_or_default();
        Self {
            system,
            unknown: unknown || bits.is_err(),
            securebit,
            deny_interactive,
        }
    }

    /// Whether the check of mounts is enforced.
    #[must_use]
    pub fn mount(&self) -> bool {
        self.enforced() & ENFORCE_MOUNT != 0
    }

    /// Whether the check of files is enforced.
    #[must_use]
    pub fn file(&self) -> bool {
        self.enforced() & ENFORCE_FILE != 0
    }

    /// The checks that may refuse an open, as the sysctl's value would be.
    #[must_use]
    pub fn enforced(&self) -> u32 {
        let own = if self.securebit { CHECKS } else { 0 };
        self.system_enforces() | own
    }

    /// The checks of the sysctl that may refuse an open.
    #[must_use]
    pub fn system_enforces(&self) -> u32 {
        match self.system {
            Some(value) if value & LOG_ONLY == 0 => value & CHECKS,
            _ => 0,
        }
    }

    /// The checks that the kernel makes only to log what they would refuse.
    #[must_use]
    pub fn logged(&self) -> u32 {
        match self.system {
            Some(value) if value & LOG_ONLY != 0 => value & CHECKS & !self.enforced(),
            _ => 0,
        }
    }
}

/// Whether the calling thread has the securebit, and the one against interactive code.
pub(crate) fn securebits() -> Result<[bool; 2], Errno> {
    let bits = rustix::thread::capabilities_secure_bits()?.bits();
    Ok([SECBIT_EXEC_RESTRICT_FILE, SECBIT_EXEC_DENY_INTERACTIVE].map(|bit| bits & bit != 0))
}

/// The sysctl's value, and whether that it is not there proves nothing.
fn system() -> (Option<u32>, bool) {
    let text = match std::fs::read_to_string(SYSCTL) {
        Ok(text) => text,
        Err(error) => {
            // Nothing is free to ask with, as the open itself will find: both checks hold.
            let full = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
            if Errno::from_io_error(&error).is_some_and(|errno| full.contains(&errno)) {
                return (Some(CHECKS), false);
            }
            // ProcSubset=pid hides the directory as well.
            let is_proc = rustix::fs::statfs("/proc/sys/fs")
                .is_ok_and(|found| i128::from(found.f_type) == i128::from(PROC));
            let absent = error.kind() == std::io::ErrorKind::NotFound && is_proc;
            return (None, !absent);
        }
    };
    let value = text.trim().parse().ok();
    (value, value.is_none())
}

/// `PROC_SUPER_MAGIC`.
const PROC: u32 = 0x9fa0;

/// Both checks.
const CHECKS: u32 = ENFORCE_MOUNT | ENFORCE_FILE;

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
    fn what_no_descriptor_is_free_to_ask_for_holds() {
        let open = [libc::SYS_openat];
        crate::filter::filtered(&open, Errno::MFILE, || {
            let policy = Policy::read();
            assert!(policy.mount() && policy.file() && !policy.unknown);
        });
    }

    #[test]
    fn the_union_is_in_force() {
        for (system, securebit, enforced, logged, text) in [
            (None, false, 0, 0, "no policy"),
            (Some(0), false, 0, 0, "no policy"),
            (Some(1), false, 1, 0, "fs.open_mayexec_enforce=1"),
            (None, true, 3, 0, "SECBIT_EXEC_RESTRICT_FILE"),
            (Some(4), false, 0, 0, "fs.open_mayexec_enforce=4"),
            (Some(5), false, 0, 1, "fs.open_mayexec_enforce=5"),
            (Some(7), false, 0, 3, "fs.open_mayexec_enforce=7"),
            (
                Some(7),
                true,
                3,
                0,
                "fs.open_mayexec_enforce=7 and SECBIT_EXEC_RESTRICT_FILE",
            ),
            (
                Some(2),
                true,
                3,
                0,
                "fs.open_mayexec_enforce=2 and SECBIT_EXEC_RESTRICT_FILE",
            ),
        ] {
            let policy = Policy {
                system,
                securebit,
                ..Policy::default()
            };
            assert_eq!((policy.enforced(), policy.logged()), (enforced, logged));
            assert_eq!(policy.mount(), enforced & 1 != 0);
            assert_eq!(policy.file(), enforced & 2 != 0);
            assert_eq!(policy.to_string(), text);
        }
    }
}
