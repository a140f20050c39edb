// SPDX-License-Identifier: GPL-2.0

//! Makes a failing call smaller while it goes on failing.

use crate::fuzz::call::{Call, Entry};
use crate::fuzz::tree;

/// The smallest call that can be reached from `call` in steps that each still fail.
///
/// `fails` is asked of calls that differ from the one before in one thing.
pub fn shrink(call: Call, mut fails: impl FnMut(&Call) -> bool) -> Call {
    let mut best = call;
    while let Some(next) = simpler(&best).into_iter().find(&mut fails) {
        best = next;
    }
    best
}

/// Calls that are simpler than `call` in one thing. Each is smaller in some measure
/// and larger in none, so that shrinking ends.
fn simpler(call: &Call) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut with = |change: &dyn Fn(&mut Call)| {
        let mut next = call.clone();
        change(&mut next);
        if next != *call {
            calls.push(next);
        }
    };
    if call.entry == Entry::Uring {
        with(&|next| next.entry = Entry::Openat2);
    }
    if call.entry == Entry::Openat2 {
        with(&|next| {
            next.size = Call::SIZE;
            next.tail = false;
        });
    }
    for bit in (0..64).map(|bit| 1 << bit) {
        with(&|next| next.flags &= !bit);
    }
    for bit in (0..64).map(|bit| 1 << bit) {
        with(&|next| next.resolve &= !bit);
    }
    with(&|next| next.mode = 0);
    with(&|next| next.dir = libc::AT_FDCWD);
    if call.dir != tree::FIRST_FD && call.dir != libc::AT_FDCWD {
        with(&|next| next.dir = tree::FIRST_FD);
    }
    let parts: Vec<&str> = call.path.split('/').collect();
    for gone in 0..parts.len() {
        with(&|next| {
            let mut parts = parts.clone();
            parts.remove(gone);
            next.path = parts.join("/");
        });
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::call::Generator;

    #[test]
    fn what_does_not_matter_goes() {
        let call = Call {
            entry: Entry::Uring,
            dir: 103,
            path: "./d755/../m-noexec//x755".to_owned(),
            flags: 0o2_404_000 | 1 << 33,
            mode: 0o777,
            resolve: 0x2b,
            size: Call::SIZE,
            tail: false,
        };
        let small = shrink(call, |call| {
            call.path.contains("x755") && call.flags & 1 << 33 != 0 && call.resolve & 8 != 0
        });
        assert_eq!(
            small,
            Call {
                entry: Entry::Openat2,
                dir: libc::AT_FDCWD,
                path: "x755".to_owned(),
                flags: 1 << 33,
                mode: 0,
                resolve: 8,
                size: Call::SIZE,
                tail: false,
            }
        );
    }

    #[test]
    fn shrinking_ends_and_keeps_the_failure() {
        let generator = Generator::oracle(3);
        for number in 0..500 {
            let call = generator.call(number);
            // Something arbitrary that many calls have.
            let fails = |call: &Call| call.path.len() % 3 == call.path.len() % 2;
            if fails(&call) {
                assert!(fails(&shrink(call, fails)));
            }
        }
    }

    #[test]
    fn a_minimal_call_stays() {
        let call = Generator::oracle(3).call(7);
        let small = shrink(call, |_| true);
        assert_eq!(shrink(small.clone(), |_| true), small);
        assert_eq!((small.flags, small.path.as_str()), (0, ""));
    }
}
