// SPDX-License-Identifier: GPL-2.0

//! Tests of `fs/mayexec/policy.rs`, the kernel's decision on an `O_MAYEXEC` open, compiled here
//! as it is there.
//!
//! [`tests`](self) compares it with the semantics table of the README, written down once more as
//! data, for every input there is.
#![cfg(test)]

#[path = "../../../fs/mayexec/policy.rs"]
mod policy;

use std::cell::RefCell;

use policy::{Candidate, Denial, Policy, decide, decide_strictly};
use proptest::prelude::*;

/// A question that the decision may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    IsRegular,
    IsNoexec,
    MayExecute,
}

/// A file described by its answers, which records what it was asked.
#[derive(Clone, Debug)]
struct File {
    regular: bool,
    noexec: bool,
    execute: Result<(), i32>,
    asked: RefCell<Vec<Question>>,
}

impl File {
    fn new(regular: bool, noexec: bool, execute: Result<(), i32>) -> Self {
        Self {
            regular,
            noexec,
            execute,
            asked: RefCell::default(),
        }
    }
}

impl Candidate for File {
    type Error = i32;

    fn is_regular(&self) -> bool {
        self.asked.borrow_mut().push(Question::IsRegular);
        self.regular
    }

    fn is_noexec(&self) -> bool {
        self.asked.borrow_mut().push(Question::IsNoexec);
        self.noexec
    }

    fn may_execute(&self) -> Result<(), i32> {
        self.asked.borrow_mut().push(Question::MayExecute);
        self.execute
    }
}

/// What a row of the table says of the file.
#[derive(Clone, Copy)]
enum Is {
    Anything,
    Irregular,
    OnNoexec,
    NotExecutable,
}

/// What a row of the table says of the policy: the `OPEN_MAYEXEC_ENFORCE_*` bits that it needs.
#[derive(Clone, Copy)]
enum Needs {
    None,
    Any,
    Bit(u32),
}

const EACCES: i32 = 13;
const EIO: i32 = 5;

/// The rows that deny, in the order in which they are read; a file that is in none is opened. The
/// error of the last is the file's own.
const DENIED: [(Needs, Is); 4] = [
    (Needs::None, Is::Anything),
    (Needs::Any, Is::Irregular),
    (Needs::Bit(1), Is::OnNoexec),
    (Needs::Bit(2), Is::NotExecutable),
];

/// The answer of the table, as an errno.
fn expected(bits: u32, file: &File) -> Result<(), i32> {
    for (needs, is) in DENIED {
        let in_force = match needs {
            // The first row: no policy, no effect.
            Needs::None => {
                if bits & 3 == 0 {
                    return Ok(());
                }
                false
            }
            Needs::Any => true,
            Needs::Bit(bit) => (bits / bit) % 2 == 1,
        };
        match is {
            Is::Irregular if in_force && !file.regular => return Err(EACCES),
            Is::OnNoexec if in_force && file.noexec => return Err(EACCES),
            Is::NotExecutable if in_force => file.execute?,
            _ => {}
        }
    }
    Ok(())
}

/// The answer of the kernel, as an errno.
fn actual(bits: u32, file: &File) -> Result<(), i32> {
    decide(Policy::from_bits(bits), file).map_err(|denial| match denial {
        Denial::NotRegular | Denial::Noexec => EACCES,
        Denial::NotExecutable(errno) => errno,
    })
}

/// Every file there is, with errors that a permission check gives.
fn files() -> impl Iterator<Item = File> {
    [true, false].into_iter().flat_map(|regular| {
        [true, false].into_iter().flat_map(move |noexec| {
            [Ok(()), Err(EACCES), Err(EIO)]
                .into_iter()
                .map(move |execute| File::new(regular, noexec, execute))
        })
    })
}

#[test]
fn every_input_follows_the_table() {
    let mut inputs = 0;
    for bits in 0..4 {
        for file in files() {
            assert_eq!(
                actual(bits, &file),
                expected(bits, &file),
                "{bits} {file:?}"
            );
            inputs += 1;
        }
    }
    assert_eq!(inputs, 4 * 2 * 2 * 3);
}

/// What tracing is told that policy 3 would decide, found without asking anything twice.
///
/// The answers that the decision rests on win over those of the file that is asked for an
/// estimate: here, one that knows no better than the opposite.
#[test]
fn the_strict_decision_is_that_of_policy_3() {
    for bits in 0..4 {
        for file in files() {
            let policy = Policy::from_bits(bits);
            let decision = decide(policy, &file);
            let asked = file.asked.take();
            let estimate = if asked.contains(&Question::MayExecute) {
                let opposite = file.execute.map_or(Ok(()), |()| Err(EIO));
                File::new(file.regular, file.noexec, opposite)
            } else {
                file.clone()
            };

            assert_eq!(
                decide_strictly(policy, decision, &estimate),
                decide(Policy::ALL, &file),
                "{bits} {file:?}"
            );

            let mut questions = vec![Question::IsRegular];
            if file.regular {
                questions.push(Question::IsNoexec);
                if !file.noexec && !policy.has(Policy::FILE) {
                    questions.push(Question::MayExecute);
                }
            }
            assert_eq!(*estimate.asked.borrow(), questions, "{bits} {file:?}");
        }
    }
}

/// The reason decides what user space and tracing are told, beside the errno.
#[test]
fn every_denial_has_its_reason() {
    for file in files() {
        let reason = decide(Policy::ALL, &file).err();
        let expected = if !file.regular {
            Some(Denial::NotRegular)
        } else if file.noexec {
            Some(Denial::Noexec)
        } else {
            file.execute.err().map(Denial::NotExecutable)
        };
        assert_eq!(reason, expected, "{file:?}");
    }
}

/// A permission check can be slow, and a security module may log it: an answer that the decision
/// does not need is not asked for, and none twice.
#[test]
fn only_what_matters_is_asked() {
    for bits in 0..4 {
        for file in files() {
            let decision = actual(bits, &file);
            let mount = bits & 1 != 0;
            let mut questions = Vec::new();
            if bits != 0 {
                questions.push(Question::IsRegular);
                if file.regular {
                    if mount {
                        questions.push(Question::IsNoexec);
                    }
                    if bits & 2 != 0 && !(mount && file.noexec) {
                        questions.push(Question::MayExecute);
                    }
                }
            }
            assert_eq!(*file.asked.borrow(), questions, "{bits} {decision:?}");
        }
    }
}

#[test]
fn policies_combine() {
    for a in 0..4 {
        for b in 0..4 {
            assert_eq!(
                Policy::from_bits(a).union(Policy::from_bits(b)),
                Policy::from_bits(a | b)
            );
            assert_eq!(Policy::from_bits(a).has(Policy::from_bits(b)), a & b == b);
        }
        assert_eq!(Policy::from_bits(a).bits(), a);
    }
    assert_eq!(Policy::from_bits(0), Policy::NONE);
    assert_eq!(Policy::from_bits(1), Policy::MOUNT);
    assert_eq!(Policy::from_bits(2), Policy::FILE);
    assert_eq!(Policy::from_bits(3), Policy::ALL);
}

fn any_file() -> impl Strategy<Value = File> {
    let execute = prop_oneof![Just(Ok(())), (1..4096).prop_map(Err)];

    (any::<bool>(), any::<bool>(), execute)
        .prop_map(|(regular, noexec, execute)| File::new(regular, noexec, execute))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The sysctl holds no other bits; should one come in, it means nothing.
    #[test]
    fn other_bits_have_no_meaning(bits: u32, file in any_file()) {
        prop_assert_eq!(Policy::from_bits(bits), Policy::from_bits(bits % 4));
        prop_assert_eq!(actual(bits, &file), expected(bits, &file));
    }

    /// A stricter policy allows nothing that a laxer one refuses.
    #[test]
    fn more_checks_never_allow_more(a: u32, b: u32, file in any_file()) {
        if actual(a, &file).is_err() {
            prop_assert!(actual(a | b, &file).is_err());
        }
    }

    /// The error of the permission check is passed on as it is.
    #[test]
    fn the_error_is_the_check_s(errno in 1..4096) {
        let file = File::new(true, false, Err(errno));
        prop_assert_eq!(actual(2, &file), Err(errno));
        prop_assert_eq!(actual(3, &file), Err(errno));
    }
}
