// SPDX-License-Identifier: GPL-2.0

//! From patches/ to the lists: which kernels the series applies to, and what b4 makes of it.

mod bases;
mod prep;
mod trailers;

pub(crate) use bases::run as bases;
pub(crate) use prep::{dry_run, place, prep, range_diff, send, unsaved};
