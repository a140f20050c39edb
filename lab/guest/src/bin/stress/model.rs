// SPDX-License-Identifier: GPL-2.0

//! What the semantics table says, written from the table and not from the code.

use uapi::Policy;

use crate::epoch::States;

/// The answers that are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Answers {
    /// An open may succeed.
    pub(crate) opened: bool,
    /// An open may be denied.
    pub(crate) denied: bool,
}

impl Answers {
    /// What may come of opening a regular file under `policies`, values of the sysctl, by
    /// a caller whose securebit counts or not: the kernel reads each of the three variables
    /// at some moment of the call, so every combination is possible.
    pub(crate) fn of(
        policies: States,
        securebit: bool,
        noexec: States,
        executable: States,
    ) -> Self {
        let mut answers = Self::default();
        for policy in policies.values() {
            let policy = Policy {
                system: policy.into(),
                securebit,
            };
            for noexec in noexec.values() {
                for executable in executable.values() {
                    if policy.allows(true, noexec != 0, executable != 0) {
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
    fn answers_are_those_of_every_combination() {
        let (no, yes) = (States::one(0), States::one(1));
        let both = no.or(yes);
        let answers = |opened, denied| Answers { opened, denied };
        let of = |policies, noexec, executable| Answers::of(policies, false, noexec, executable);
        assert_eq!(of(States::one(3), no, yes), answers(true, false));
        assert_eq!(of(States::one(3), both, no), answers(false, true));
        assert_eq!(of(States::one(1), both, yes), answers(true, true));
        let (one, three, logged) = (States::one(1), States::one(3), States::one(7));
        assert_eq!(of(one.or(three), yes, no), answers(false, true));
        assert_eq!(of(logged, yes, no), answers(true, false));
        assert_eq!(of(three.or(logged), yes, no), answers(true, true));
        assert_eq!(
            Answers::of(three.or(logged), true, yes, no),
            answers(false, true)
        );
    }
}
