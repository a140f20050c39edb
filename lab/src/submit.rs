// SPDX-License-Identifier: GPL-2.0

//! From patches/ to the lists: what b4 makes of the series.

mod prep;
mod trailers;

pub(crate) use prep::{dry_run, place, prep, range_diff, send, unsaved};
