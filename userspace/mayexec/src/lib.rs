// SPDX-License-Identifier: MIT OR Apache-2.0

#![doc = include_str!("../README.md")]

mod error;
#[cfg(test)]
#[path = "../tests/filter/mod.rs"]
mod filter;
mod kernel;
mod open;
mod policy;
mod support;
mod sys;

use std::path::Path;

pub use error::{Error, Why, message};
pub use open::{Open, Opened};
pub use policy::{LOG_ONLY, Policy};
pub use support::{ExecveCheck, Guarantee, Support};

/// Opens a script, a module or a library that is about to be executed, under the policy
/// in force and with whatever guarantee the kernel can give.
///
/// ```
/// match mayexec::open("/no/such/script") {
///     Ok(opened) => println!("opened: {}", opened.guarantee.describe()),
///     Err(error) => println!("not opened: {error}"),
/// }
/// ```
///
/// # Errors
///
/// As [`Open::open`].
pub fn open(path: impl AsRef<Path>) -> Result<Opened, Error> {
    Open::new().open(path)
}
