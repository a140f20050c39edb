// SPDX-License-Identifier: GPL-2.0

//! What `O_MAYEXEC` allows: the decision, and nothing of the kernel around it.
//!
//! This file is also compiled in user space, where every input is tried; it must not depend on
//! the `kernel` crate.

/// The checks that are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy(u32);

impl Policy {
    /// No check: `O_MAYEXEC` has no effect.
    pub(crate) const NONE: Self = Self(0);

    /// The mount and its superblock must allow execution.
    pub(crate) const MOUNT: Self = Self(1);

    /// The caller must have execute permission on the file.
    pub(crate) const FILE: Self = Self(2);

    /// Both checks.
    pub(crate) const ALL: Self = Self::MOUNT.union(Self::FILE);

    /// Creates a policy from `OPEN_MAYEXEC_ENFORCE_*` bits; other bits have no meaning.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Returns the policy as `OPEN_MAYEXEC_ENFORCE_*` bits.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the checks that are in force in one policy or the other.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether every check of `checks` is in force.
    pub(crate) const fn has(self, checks: Self) -> bool {
        self.0 & checks.0 == checks.0
    }
}

/// A file that is about to be opened, and what a policy may want to know about it.
///
/// The answers can be expensive, and a security module may log the question: each is asked for
/// only if the decision depends on it.
pub(crate) trait Candidate {
    /// Why the caller may not execute the file.
    type Error;

    /// Returns whether this is a regular file.
    fn is_regular(&self) -> bool;

    /// Returns whether the mount or the superblock forbids executing files.
    fn is_noexec(&self) -> bool;

    /// Returns an error if the caller has no execute permission on the file.
    fn may_execute(&self) -> Result<(), Self::Error>;
}

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial<E> {
    /// Only regular files are executed.
    NotRegular,
    /// [`Policy::MOUNT`] is in force and the mount is noexec.
    Noexec,
    /// [`Policy::FILE`] is in force and the file not executable, for this reason.
    NotExecutable(E),
}

/// Decides whether the policy lets the caller open `file` to execute it.
pub(crate) fn decide<F: Candidate>(policy: Policy, file: &F) -> Result<(), Denial<F::Error>> {
    if policy == Policy::NONE {
        return Ok(());
    }
    if !file.is_regular() {
        return Err(Denial::NotRegular);
    }
    if policy.has(Policy::MOUNT) && file.is_noexec() {
        return Err(Denial::Noexec);
    }
    if policy.has(Policy::FILE) {
        file.may_execute().map_err(Denial::NotExecutable)?;
    }
    Ok(())
}

/// Decides as under [`Policy::ALL`], when `policy` has led to `decision`: for those who only want
/// to know.
///
/// What `decision` tells of the answer to [`Candidate::may_execute`] holds; `file` is asked only
/// if it tells nothing, and may estimate.
pub(crate) fn decide_strictly<F: Candidate>(
    policy: Policy,
    decision: Result<(), Denial<F::Error>>,
    file: &F,
) -> Result<(), Denial<F::Error>> {
    if policy.has(Policy::FILE) {
        decide(Policy::MOUNT, file).and(decision)
    } else {
        decide(Policy::ALL, file)
    }
}
