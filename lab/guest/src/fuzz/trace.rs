// SPDX-License-Identifier: GPL-2.0

//! The compact record of a run: a few bytes for a call.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How many calls a block has.
pub const BLOCK: u64 = 1000;

/// What is recorded of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number; block `n` starts with call `n * BLOCK`.
    pub number: u64,
    /// How many calls were made.
    pub calls: u64,
    /// How many of them opened something.
    pub opened: u64,
    /// How many of them changed the tree.
    pub changed: u64,
    /// What was observed of each call, as [`short_digest`]; at last, what had changed in
    /// the end.
    pub seen: Vec<u32>,
}

/// Few enough bytes for a million calls, and enough to tell two observations apart.
#[must_use]
pub fn short_digest(text: &str) -> u32 {
    let digest = Sha256::digest(text);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// All blocks of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What the calls were made from.
    pub seed: u64,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
}

impl Trace {
    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.blocks.iter().map(|block| block.calls).sum()
    }

    /// How many calls opened something.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.blocks.iter().map(|block| block.opened).sum()
    }

    /// How many calls changed the tree.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.blocks.iter().map(|block| block.changed).sum()
    }
}

/// How the oracle's run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls with the flag.
    pub calls: u64,
    /// Those that opened something.
    pub opened: u64,
    /// Those that a policy refused, though the plain call opened.
    pub denied: u64,
    /// Those that a policy refused before the plain call's error in ->open().
    pub preempted: u64,
    /// Those with a combination that makes no sense.
    pub invalid: u64,
    /// Those that failed as the plain call did.
    pub failed: u64,
    /// Those of which the observations tell two possible answers.
    pub undecided: u64,
    /// What was not as predicted, in words, each with the call that shows it.
    pub surprises: Vec<String>,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.opened += other.opened;
        self.denied += other.denied;
        self.preempted += other.preempted;
        self.invalid += other.invalid;
        self.failed += other.failed;
        self.undecided += other.undecided;
        self.surprises.extend(other.surprises);
    }
}

/// A block that differs, and the first of its calls that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing {
    /// The number of the block.
    pub block: u64,
    /// The number of the call; after the last one, it is what had changed in the end.
    pub call: u64,
}

/// The blocks that differ, or why the traces cannot be compared.
///
/// # Errors
///
/// If the traces are not of the same calls.
pub fn differing_blocks(one: &Trace, other: &Trace) -> Result<Vec<Differing>, String> {
    if one.seed != other.seed {
        return Err(format!("seed {} beside seed {}", one.seed, other.seed));
    }
    if one.blocks.len() != other.blocks.len() {
        return Err(format!(
            "{} blocks beside {}",
            one.blocks.len(),
            other.blocks.len()
        ));
    }
    Ok(one
        .blocks
        .iter()
        .zip(&other.blocks)
        .filter(|(one, other)| one != other)
        .map(|(one, other)| {
            let both = one.seen.iter().zip(&other.seen);
            let equal = both.take_while(|(one, other)| one == other).count();
            Differing {
                block: one.number,
                call: one.number * BLOCK + equal as u64,
            }
        })
        .collect())
}

/// The first line in which two verbose records differ, as text to read.
#[must_use]
pub fn first_difference(one: (&str, &str), other: (&str, &str)) -> Option<String> {
    let (mut ones, mut others) = (one.1.lines(), other.1.lines());
    loop {
        let (left, right) = (ones.next(), others.next());
        if left.is_none() && right.is_none() {
            return None;
        }
        if left == right {
            continue;
        }
        let mut text = String::new();
        for (name, line) in [(one.0, left), (other.0, right)] {
            let _ = writeln!(text, "{name}: {}", line.unwrap_or("(nothing more)"));
        }
        return Some(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seen: &[&[&str]]) -> Trace {
        Trace {
            seed: 1,
            blocks: (0..)
                .zip(seen)
                .map(|(number, seen)| Block {
                    number,
                    calls: BLOCK,
                    opened: 2,
                    changed: 1,
                    seen: seen.iter().map(|text| short_digest(text)).collect(),
                })
                .collect(),
        }
    }

    #[test]
    fn only_differing_blocks_are_named_with_the_first_call() {
        let differing = |block, call| Differing { block, call };
        let one = trace(&[&["a", "a"], &["b", "c", "d"], &["e"]]);
        assert_eq!(differing_blocks(&one, &one), Ok(vec![]));
        let other = trace(&[&["a", "a"], &["b", "x", "y"], &["f"]]);
        assert_eq!(
            differing_blocks(&one, &other),
            Ok(vec![differing(1, BLOCK + 1), differing(2, 2 * BLOCK)])
        );
        let mut counted = one.clone();
        counted.blocks[0].opened = 3;
        assert_eq!(differing_blocks(&one, &counted), Ok(vec![differing(0, 2)]));
        assert_eq!((one.calls(), one.opened(), one.changed()), (3000, 6, 3));
    }

    #[test]
    fn other_calls_are_not_compared() {
        let one = trace(&[&["a"]]);
        assert!(differing_blocks(&one, &trace(&[&["a"], &["b"]])).is_err());
        let mut other = one.clone();
        other.seed = 2;
        assert!(differing_blocks(&one, &other).is_err());
    }

    #[test]
    fn the_first_differing_line_is_shown() {
        assert_eq!(
            first_difference(("base", "a\nb\n"), ("tip", "a\nb\n")),
            None
        );
        assert_eq!(
            first_difference(("base", "a\nb\nc"), ("tip", "a\nx\ny")).unwrap(),
            "base: b\ntip: x\n"
        );
        assert_eq!(
            first_difference(("base", "a"), ("tip", "a\nb")).unwrap(),
            "base: (nothing more)\ntip: b\n"
        );
    }
}
