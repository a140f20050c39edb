// SPDX-License-Identifier: GPL-2.0

//! The policy against the semantics table of the README, written down once more as data, for every
//! input there is.

use std::cell::RefCell;

use crate::policy::{self, Checks, Policy, Verdict, decide};
use proptest::prelude::*;

const EACCES: i32 = -13;
const EIO: i32 = -5;

/// A file described by its answers.
#[derive(Clone, Copy, Debug)]
struct File {
    regular: bool,
    noexec: bool,
    /// What the check for execute permission returns.
    execute: i32,
}

/// A reason to deny a file: a row of the table.
struct Row {
    /// How `denied` shows it.
    bit: u32,
    /// The checks of the policy that it belongs to: one of them must be in force.
    checks: u32,
    /// The error with which it denies a file, or 0.
    denies: fn(&File) -> i32,
    /// What has to be asked to know that.
    question: Option<Question>,
}

/// A question that costs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Noexec,
    Execute,
}

/// The reasons, in the order in which they count. All but the first are about regular files.
const TABLE: [Row; 3] = [
    Row {
        bit: 4,
        checks: 3,
        denies: |file| if file.regular { 0 } else { EACCES },
        question: None,
    },
    Row {
        bit: 1,
        checks: 1,
        denies: |file| if file.noexec { EACCES } else { 0 },
        question: Some(Question::Noexec),
    },
    Row {
        bit: 2,
        checks: 2,
        denies: |file| file.execute,
        question: Some(Question::Execute),
    },
];

/// What the kernel does and says.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The checks in force, enforced or logged.
    checks: u32,
    /// Whether a denial refuses the file.
    enforced: bool,
    /// The reasons to deny the file.
    denied: u32,
    /// The error of the first reason, or 0.
    error: i32,
    /// What the open is told.
    answer: i32,
    /// What was asked.
    asked: Vec<Question>,
}

/// What is in force by the design: the securebit enforces both checks whatever the sysctl says,
/// and from 4 on the sysctl's checks are only logged.
const fn in_force(system: u32, securebit: bool) -> (u32, bool) {
    match (securebit, system) {
        (true, _) => (3, true),
        (false, 4..) => (system - 4, false),
        (false, _) => (system, true),
    }
}

/// The table's answer.
fn expected(system: u32, securebit: bool, file: &File) -> Outcome {
    let (checks, enforced) = in_force(system, securebit);
    let mut outcome = Outcome {
        checks,
        enforced: enforced && checks != 0,
        denied: 0,
        error: 0,
        answer: 0,
        asked: Vec::new(),
    };
    for row in TABLE.iter().filter(|row| row.checks & checks != 0) {
        outcome.asked.extend(row.question);
        let error = (row.denies)(file);
        if error == 0 {
            continue;
        }
        outcome.denied += row.bit;
        if outcome.error == 0 {
            outcome.error = error;
        }
        // Nobody executes what is no regular file, and one reason is enough to refuse.
        if row.bit == 4 || enforced {
            break;
        }
    }
    if enforced {
        outcome.answer = outcome.error;
    }
    outcome
}

/// The kernel's answer.
fn actual(policy: Policy, file: &File) -> Outcome {
    let asked = RefCell::new(Vec::new());
    let ask = |question| asked.borrow_mut().push(question);
    let Verdict {
        denied,
        error,
        answer,
    } = decide(
        policy,
        || file.regular,
        || {
            ask(Question::Noexec);
            file.noexec
        },
        || {
            ask(Question::Execute);
            file.execute
        },
    );
    Outcome {
        checks: [Checks::MOUNT, Checks::FILE]
            .into_iter()
            .filter(|&check| policy.makes(check))
            .map(Checks::bits)
            .sum(),
        enforced: policy.is_enforced(),
        denied: denied.bits(),
        error,
        answer,
        asked: asked.into_inner(),
    }
}

/// Every file there is, with answers that a permission check gives; the last is a filesystem's
/// mistake.
fn files() -> impl Iterator<Item = File> {
    [true, false].into_iter().flat_map(|regular| {
        [true, false].into_iter().flat_map(move |noexec| {
            [0, EACCES, EIO, 1].into_iter().map(move |execute| File {
                regular,
                noexec,
                execute,
            })
        })
    })
}

/// Every policy there is: the sysctl, and whether a securebit of the caller is enforced.
fn policies() -> impl Iterator<Item = (u32, bool)> {
    (0..8).flat_map(|system| [(system, false), (system, true)])
}

#[test]
fn every_input_follows_the_table() {
    let mut inputs = 0;
    for (system, securebit) in policies() {
        for file in files() {
            assert_eq!(
                actual(Policy::in_force(system, securebit), &file),
                expected(system, securebit, &file),
                "{system} {securebit} {file:?}"
            );
            inputs += 1;
        }
    }
    assert_eq!(inputs, 8 * 2 * 2 * 2 * 4);
}

/// The kernel's C code carries a policy as a number.
#[test]
fn a_policy_survives_being_carried() {
    for (system, securebit) in policies() {
        let (checks, enforced) = in_force(system, securebit);
        let carried = if enforced { checks } else { checks << 8 };
        assert_eq!(
            Policy::from_bits(carried),
            Policy::in_force(system, securebit),
            "{system} {securebit}"
        );
    }
}

#[test]
fn sets_have_the_bits_of_the_sysctl() {
    let sets = [
        Checks::NONE,
        Checks::MOUNT,
        Checks::FILE,
        Checks::ALL,
        Checks::TYPE,
    ];
    assert_eq!(sets.map(Checks::bits), [0, 1, 2, 3, 4]);
    // What both sets have stays.
    assert_eq!(Checks::FILE.union(Checks::ALL), Checks::ALL);
    assert_eq!((policy::EACCES, Policy::LOG_ONLY), (EACCES, 4));
}

fn any_file() -> impl Strategy<Value = File> {
    let execute = prop_oneof![Just(0), -4095..0];

    (any::<bool>(), any::<bool>(), execute).prop_map(|(regular, noexec, execute)| File {
        regular,
        noexec,
        execute,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The sysctl holds no other bits; should one come in, it means nothing.
    #[test]
    fn other_bits_have_no_meaning(bits: u32, securebit: bool, file in any_file()) {
        prop_assert_eq!(
            actual(Policy::in_force(bits, securebit), &file),
            expected(bits % 8, securebit, &file)
        );
        prop_assert_eq!(Policy::from_bits(bits), Policy::from_bits(bits & 0x303));
    }

    /// A stricter policy allows nothing that a laxer one refuses.
    #[test]
    fn more_checks_never_allow_more(a in 0..4_u32, b in 0..4_u32, file in any_file()) {
        let refuses = |system| actual(Policy::in_force(system, false), &file).error != 0;
        prop_assert!(!refuses(a) || refuses(a | b));
    }

    /// What the kernel logs under a policy is what it would refuse under it.
    #[test]
    fn logging_rehearses_enforcing(system in 0..4_u32, file in any_file()) {
        let logged = actual(Policy::in_force(system + Policy::LOG_ONLY, false), &file);
        let enforced = actual(Policy::in_force(system, false), &file);
        prop_assert!(!logged.enforced);
        prop_assert_eq!(logged.error, enforced.error);
        prop_assert_eq!(logged.denied & enforced.denied, enforced.denied);
    }
}
