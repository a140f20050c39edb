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

    /// The checks that a policy can have.
    pub(crate) const ALL: Self = Self::MOUNT.union(Self::FILE);

    /// Returns the bits of the set.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the checks that are in one set or in the other.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is in force for one open, as C carries it: the enforced checks, and above them the logged
/// ones. At least one of the two sets is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy(u32);

impl Policy {
    /// How far above the enforced checks the logged ones are.
    pub(crate) const LOGGED_SHIFT: u32 = 8;

    /// The product of a set and this has the set in both places.
    const BOTH_PLACES: u32 = (1 << Self::LOGGED_SHIFT) + 1;

    /// The bit of the sysctl that moves its checks from the enforced to the logged ones.
    pub(crate) const LOG_ONLY: u32 = 4;

    /// Returns the policy for a value of the sysctl, and a caller whose securebit is enforced or
    /// not.
    ///
    /// The securebit enforces all checks, so `LOG_ONLY` cannot weaken them.
    ///
    /// The kernel uses C's `mayexec_policy()`, because it must know whether [`Checks::FILE`] is
    /// enforced before there is a file to ask about. Tests compare the two over all inputs.
    #[cfg(any(test, CONFIG_OPEN_MAYEXEC_KUNIT_TEST))]
    pub(crate) const fn in_force(system: u32, restricted: bool) -> Self {
        let checks = system & Checks::ALL.0;

        match (restricted, system & Self::LOG_ONLY != 0) {
            (true, _) => Self(Checks::ALL.0),
            (false, false) => Self(checks),
            (false, true) => Self(checks << Self::LOGGED_SHIFT),
        }
    }

    /// Creates a policy from what C carries. Other bits are dropped.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & (Checks::ALL.0 * Self::BOTH_PLACES))
    }

    /// Returns whether any check of `checks` is made, enforced or logged.
    pub(crate) const fn makes(self, checks: Checks) -> bool {
        self.0 & (checks.0 * Self::BOTH_PLACES) != 0
    }

    /// Returns whether a denial refuses the file.
    pub(crate) const fn is_enforced(self) -> bool {
        self.0 & Checks::ALL.0 != 0
    }
}

/// What the checks say of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The checks that deny.
    pub(crate) denied: Checks,

    /// The error of the first check that denies, a negative errno, or 0.
    pub(crate) error: i32,

    /// The answer to the open: `error` if the policy is enforced, otherwise 0.
    pub(crate) answer: i32,
}

/// Makes the checks of `policy` on a file that the caller opens to execute.
///
/// `is_regular`, `is_noexec` and `may_exec` answer the questions of the checks; `may_exec` returns
/// 0 or an error. A question can be expensive, and security modules log what they refuse. Where the
/// policy is enforced, the first denial therefore ends the checks. Where it is only logged, all
/// checks of a regular file are made: whoever prepares a policy wants to see all that is to be
/// mended.
pub(crate) fn decide(
    policy: Policy,
    is_regular: impl FnOnce() -> bool,
    is_noexec: impl FnOnce() -> bool,
    may_exec: impl FnOnce() -> i32,
) -> Verdict {
    let verdict = |denied, error| Verdict {
        denied,
        error,
        answer: if policy.is_enforced() { error } else { 0 },
    };

    if !policy.makes(Checks::ALL) {
        return verdict(Checks::NONE, 0);
    }
    // Programs execute regular files only. The other checks are about these.
    if !is_regular() {
        return verdict(Checks::TYPE, EACCES);
    }
    if policy.makes(Checks::MOUNT) && is_noexec() {
        if !policy.is_enforced() && policy.makes(Checks::FILE) && may_exec() != 0 {
            return verdict(Checks::MOUNT.union(Checks::FILE), EACCES);
        }
        return verdict(Checks::MOUNT, EACCES);
    }
    if !policy.makes(Checks::FILE) {
        return verdict(Checks::NONE, 0);
    }
    match may_exec() {
        0 => verdict(Checks::NONE, 0),
        error => verdict(Checks::FILE, error),
    }
}
