// SPDX-License-Identifier: GPL-2.0

//! The meaning of an execution policy.
//!
//! This file does not use the `kernel` crate, so that user space can compile it and try every
//! input.

/// The error of a refusal, unless the check for execute permission has its own.
pub(crate) const EACCES: i32 = -13;

/// A set of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checks(u32);

impl Checks {
    /// No check.
    pub(crate) const NONE: Self = Self(0);

    /// The mount and the superblock must allow the execution of files.
    pub(crate) const MOUNT: Self = Self(1);

    /// The caller must have the permission to execute the file.
    pub(crate) const FILE: Self = Self(2);

    /// The file must be a regular file. This check goes with any of the others.
    pub(crate) const TYPE: Self = Self(4);

    /// Creates a set from the bits of [`MOUNT`](Self::MOUNT) and [`FILE`](Self::FILE). Other bits
    /// are dropped.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::MOUNT.union(Self::FILE).0)
    }

    /// Returns the bits of the set.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the checks that are in one set or in the other.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the set contains every check of `checks`.
    pub(crate) const fn has(self, checks: Self) -> bool {
        self.0 & checks.0 == checks.0
    }
}

/// What is in force for one open. At least one of the two sets is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The checks that refuse a file.
    pub(crate) enforced: Checks,

    /// The checks that are made and change nothing.
    pub(crate) logged: Checks,
}

impl Policy {
    /// How far above the enforced checks C carries the logged ones.
    pub(crate) const LOGGED_SHIFT: u32 = 8;

    /// The bit of the sysctl that moves its checks from the enforced to the logged ones.
    pub(crate) const LOG_ONLY: u32 = 4;

    /// Returns the policy for a value of the sysctl, and a caller whose securebit is enforced or
    /// not.
    ///
    /// The securebit enforces all checks, so `LOG_ONLY` cannot weaken them.
    ///
    /// C has a copy, `mayexec_policy()`, because it must know whether [`Checks::FILE`] is enforced
    /// before there is a file to ask about. Tests compare the two over all inputs.
    #[cfg(any(test, CONFIG_OPEN_MAYEXEC_KUNIT_TEST))]
    pub(crate) const fn in_force(system: u32, restricted: bool) -> Self {
        let checks = Checks::from_bits(system);
        let all = Checks::MOUNT.union(Checks::FILE);

        match (restricted, system & Self::LOG_ONLY != 0) {
            (true, _) => Self {
                enforced: all,
                logged: Checks::NONE,
            },
            (false, false) => Self {
                enforced: checks,
                logged: Checks::NONE,
            },
            (false, true) => Self {
                enforced: Checks::NONE,
                logged: checks,
            },
        }
    }

    /// Creates a policy from what C carries.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self {
            enforced: Checks::from_bits(bits),
            logged: Checks::from_bits(bits >> Self::LOGGED_SHIFT),
        }
    }

    /// Returns the checks that are made.
    pub(crate) const fn checks(self) -> Checks {
        self.enforced.union(self.logged)
    }

    /// Returns whether a denial refuses the file.
    pub(crate) fn is_enforced(self) -> bool {
        self.enforced != Checks::NONE
    }
}

/// What the checks say of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The checks that deny.
    pub(crate) denied: Checks,

    /// The error of the first check that denies, a negative errno, or 0.
    pub(crate) error: i32,
}

/// Makes the checks of `policy` on a file that the caller opens to execute.
///
/// `is_noexec` and `may_exec` answer the questions of the two checks; `may_exec` returns 0 or an
/// error. A question can be expensive, and security modules log what they refuse. Where the policy
/// is enforced, the first denial therefore ends the checks. Where it is only logged, all checks are
/// made: whoever prepares a policy wants to see all that is to be mended.
pub(crate) fn decide(
    policy: Policy,
    is_regular: bool,
    is_noexec: impl FnOnce() -> bool,
    may_exec: impl FnOnce() -> i32,
) -> Verdict {
    let checks = policy.checks();
    let verdict = |denied, error| Verdict { denied, error };

    if checks == Checks::NONE {
        return verdict(Checks::NONE, 0);
    }
    // Programs execute regular files only. The other checks are about these.
    if !is_regular {
        return verdict(Checks::TYPE, EACCES);
    }

    let noexec = checks.has(Checks::MOUNT) && is_noexec();
    if noexec && policy.is_enforced() {
        return verdict(Checks::MOUNT, EACCES);
    }
    let error = if checks.has(Checks::FILE) {
        may_exec()
    } else {
        0
    };

    match (noexec, error) {
        (false, 0) => verdict(Checks::NONE, 0),
        (false, error) => verdict(Checks::FILE, error),
        (true, 0) => verdict(Checks::MOUNT, EACCES),
        (true, _) => verdict(Checks::MOUNT.union(Checks::FILE), EACCES),
    }
}
