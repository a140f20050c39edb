// SPDX-License-Identifier: GPL-2.0

//! What the semantics table says, written from the table and not from the code.

use uapi::{ENFORCE_FILE, ENFORCE_MOUNT};

use crate::epoch::States;

/// The policy that SECBIT_EXEC_RESTRICT_FILE puts in force.
pub(crate) const ALL: u8 = (ENFORCE_MOUNT | ENFORCE_FILE) as u8;

/// Whether `policy` lets a caller open a file to execute it.
pub(crate) fn allows(policy: u8, regular: bool, noexec: bool, executable: bool) -> bool {
    let policy = u32::from(policy);
    policy == 0
        || (regular
            && (policy & ENFORCE_MOUNT == 0 || !noexec)
            && (policy & ENFORCE_FILE == 0 || executable))
}

/// The answers that are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Answers {
    /// An open may succeed.
    pub(crate) opened: bool,
    /// An open may be denied.
    pub(crate) denied: bool,
}

impl Answers {
    /// What may come of opening a regular file: the kernel reads each of the three
    /// variables at some moment of the call, so every combination is possible.
    pub(crate) fn of(policies: States, noexec: States, executable: States) -> Self {
        let mut answers = Self::default();
        for policy in policies.values() {
            for noexec in noexec.values() {
                for executable in executable.values() {
                    if allows(policy, true, noexec != 0, executable != 0) {
                        answers.opened = true;
                    } else {
                        answers.denied = true;
                    }
                }
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        // Regular, noexec, executable; then the answers under 0, 1, 2 and 3.
        let rows = [
            (true, false, true, [true, true, true, true]),
            (true, false, false, [true, true, false, false]),
            (true, true, true, [true, false, true, false]),
            (true, true, false, [true, false, false, false]),
            (false, false, true, [true, false, false, false]),
        ];
        for (regular, noexec, executable, answers) in rows {
            for (policy, answer) in (0..).zip(answers) {
                assert_eq!(allows(policy, regular, noexec, executable), answer);
            }
        }
    }

    #[test]
    fn answers_are_those_of_every_combination() {
        let (no, yes) = (States::one(0), States::one(1));
        let both = no.or(yes);
        let answers = |opened, denied| Answers { opened, denied };
        assert_eq!(Answers::of(States::one(3), no, yes), answers(true, false));
        assert_eq!(Answers::of(States::one(3), both, no), answers(false, true));
        assert_eq!(Answers::of(States::one(1), both, yes), answers(true, true));
        let (one, three) = (States::one(1), States::one(3));
        assert_eq!(Answers::of(one.or(three), yes, no), answers(false, true));
    }
}
