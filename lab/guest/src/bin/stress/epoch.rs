// SPDX-License-Identifier: GPL-2.0

//! Which values a variable of the kernel may have had during a call, told by the
//! thread that changes it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A set of values from 0 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct States(u8);

impl States {
    /// Whatever a policy can be.
    pub(crate) const POLICIES: Self = Self(0xff);
    /// Yes or no.
    pub(crate) const EITHER: Self = Self(0b11);

    /// One value.
    pub(crate) const fn one(value: u8) -> Self {
        Self(1 << (value & 7))
    }

    /// The values of both sets.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The values.
    pub(crate) fn values(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |value| self.0 & 1 << value != 0)
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values().map(|value| value.to_string()).collect();
        f.write_str(&values.join(" or "))
    }
}

/// A variable with one writer.
///
/// The writer says before each change that it begins and after it that it has been
/// made. The word has a sequence number, which every step increments, and the values
/// before and after the latest change.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU64);

/// What a reader saw of an [`Epoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    fn new(step: u64, from: u8, to: u8) -> Self {
        Self(step << 6 | u64::from(from & 7) << 3 | u64::from(to & 7))
    }

    fn step(self) -> u64 {
        self.0 >> 6
    }

    fn from(self) -> u8 {
        (self.0 >> 3 & 7) as u8
    }

    fn to(self) -> u8 {
        (self.0 & 7) as u8
    }

    /// Whether no change was under way: each is two steps.
    fn settled(self) -> bool {
        self.step().is_multiple_of(2)
    }

    /// The values that the variable may have had until `later`, or nothing if it may have
    /// had more than the two moments tell of.
    pub(crate) fn until(self, later: Self) -> Option<States> {
        let first = States::one(self.to());
        if self == later && self.settled() {
            return Some(first);
        }
        if later.step() - self.step() > 3 {
            return None;
        }
        let first = if self.settled() {
            first
        } else {
            first.or(States::one(self.from()))
        };
        Some(
            first
                .or(States::one(later.from()))
                .or(States::one(later.to())),
        )
    }
}

impl Epoch {
    /// A variable that has `value`.
    pub(crate) fn new(value: u8) -> Self {
        Self(AtomicU64::new(Moment::new(0, value, value).0))
    }

    /// Looks.
    ///
    /// What a writer had done before it published the moment that is seen here is seen
    /// by all that the reader does next: both sides are sequentially consistent.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.0.load(SeqCst))
    }

    /// The value, for the only writer.
    pub(crate) fn value(&self) -> u8 {
        self.now().to()
    }

    /// Makes a change to `value` by `change`, which must be one change to the kernel.
    pub(crate) fn change<E>(
        &self,
        value: u8,
        change: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let old = self.now();
        let step = old.step();
        self.0
            .store(Moment::new(step + 1, old.to(), value).0, SeqCst);
        change()?;
        self.0
            .store(Moment::new(step + 2, old.to(), value).0, SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[u8]) -> Option<States> {
        Some(
            values
                .iter()
                .fold(States(0), |set, &value| set.or(States::one(value))),
        )
    }

    #[test]
    fn only_what_a_variable_may_have_been_is_possible() {
        let epoch = Epoch::new(1);
        let mut seen = vec![epoch.now()];
        for value in [7, 0, 4] {
            epoch
                .change(value, || {
                    seen.push(epoch.now());
                    Ok::<(), ()>(())
                })
                .unwrap();
            seen.push(epoch.now());
        }
        assert_eq!(epoch.value(), 4);
        // Settled on 1, changing to 7, settled on 7, changing to 0, ...
        assert_eq!(seen[0].until(seen[0]), set(&[1]));
        assert_eq!(seen[0].until(seen[1]), set(&[1, 7]));
        assert_eq!(seen[1].until(seen[1]), set(&[1, 7]));
        assert_eq!(seen[1].until(seen[2]), set(&[1, 7]));
        assert_eq!(seen[0].until(seen[2]), set(&[1, 7]));
        assert_eq!(seen[2].until(seen[2]), set(&[7]));
        assert_eq!(seen[0].until(seen[3]), set(&[1, 7, 0]));
        assert_eq!(seen[1].until(seen[4]), set(&[1, 7, 0]));
        assert_eq!(seen[2].until(seen[5]), set(&[7, 0, 4]));
        assert_eq!(seen[0].until(seen[4]), None);
        assert_eq!(seen[1].until(seen[5]), None);
    }

    #[test]
    fn a_change_that_fails_stays_under_way() {
        let epoch = Epoch::new(0);
        assert!(epoch.change(1, || Err(())).is_err());
        assert_eq!(epoch.now().until(epoch.now()), set(&[0, 1]));
    }

    #[test]
    fn a_set_has_its_values() {
        let one_or_seven = set(&[1, 7]).unwrap();
        assert_eq!(one_or_seven.values().collect::<Vec<_>>(), [1, 7]);
        assert_eq!(one_or_seven.to_string(), "1 or 7");
        assert_eq!(States::POLICIES.values().count(), 8);
    }
}
