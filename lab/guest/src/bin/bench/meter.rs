// SPDX-License-Identifier: GPL-2.0

//! Counting the instructions of an operation.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use guest::bench::{Count, Line, REPEATS, median};
use uapi::time_stamp;

use crate::tell;

/// Operations before the first that counts: caches of the kernel fill.
const WARM_UP: usize = 32;

/// Operations of one repeat. The timer interrupts a few of them; the median is of one
/// that it left alone.
const SAMPLES: usize = 101;

/// Operations of one repeat where there are many kinds of them.
const FEW: usize = 25;

/// Before each figure: what the one before it left to RCU and to kernel threads is done.
/// The guest's clock does not wait for it.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes figures whose names begin with what the host asked for.
pub(crate) struct Meter<'a> {
    only: &'a str,
    empty: u64,
}

impl<'a> Meter<'a> {
    /// A meter that knows what it costs itself.
    pub(crate) fn new(only: &'a str) -> Result<Self> {
        let mut meter = Self { only, empty: 0 };
        meter.empty = meter.repeat(SAMPLES, &mut || Ok(()))?;
        Ok(meter)
    }

    /// Whether figures of this name are wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.starts_with(self.only) || self.only.starts_with(name)
    }

    /// The median of some operations.
    fn repeat(&self, samples: usize, operation: &mut impl FnMut() -> Result<()>) -> Result<u64> {
        let mut counts = Vec::with_capacity(samples);
        for _ in 0..samples {
            let start = time_stamp();
            operation()?;
            counts.push(time_stamp() - start);
        }
        Ok(median(&counts).saturating_sub(self.empty))
    }

    /// Takes a figure and tells the host.
    pub(crate) fn count(&self, name: &str, operation: impl FnMut() -> Result<()>) -> Result<()> {
        self.count_each(name, 1, WARM_UP, SAMPLES, operation)
    }

    /// Takes a figure of an operation that stands for `each`, after `warm_up`.
    pub(crate) fn count_each(
        &self,
        name: &str,
        each: u64,
        warm_up: usize,
        samples: usize,
        mut operation: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        self.figure(name, || {
            for _ in 0..warm_up {
                operation()?;
            }
            (0..REPEATS)
                .map(|_| Ok(self.repeat(samples, &mut operation)? / each))
                .collect()
        })
    }

    /// Takes the sum of an operation's figures for each of `items`.
    pub(crate) fn count_sum<T>(
        &self,
        name: &str,
        items: &[T],
        operation: impl Fn(&T) -> Result<()>,
    ) -> Result<()> {
        self.figure(name, || {
            (0..REPEATS)
                .map(|_| Ok(self.each(items, &operation)?.iter().sum()))
                .collect()
        })
    }

    /// Takes the median of an operation's figures for each of `items`: where addresses
    /// decide how far the kernel has to look, one item says little.
    pub(crate) fn count_typical<T>(
        &self,
        name: &str,
        items: &[T],
        operation: impl Fn(&T) -> Result<()>,
    ) -> Result<()> {
        self.figure(name, || {
            (0..REPEATS)
                .map(|_| Ok(median(&self.each(items, &operation)?)))
                .collect()
        })
    }

    /// The medians of an operation for each of `items`.
    fn each<T>(&self, items: &[T], operation: &impl Fn(&T) -> Result<()>) -> Result<Vec<u64>> {
        let figure = |item| {
            let mut one = || operation(item);
            one()?;
            self.repeat(FEW, &mut one)
        };
        items.iter().map(figure).collect()
    }

    /// Tells the host the runs of a figure, if it is wanted.
    fn figure(&self, name: &str, take: impl FnOnce() -> Result<Vec<u64>>) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        sleep(PAUSE);
        let runs = take().with_context(|| name.to_owned())?;
        tell(&Line::Count(Count {
            name: name.to_owned(),
            runs,
        }))
    }
}
