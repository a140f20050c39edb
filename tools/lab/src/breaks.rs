//! Breaking the code on purpose.

use anyhow::{Result, bail};

use crate::ctx::Ctx;

/// Applies each break in turn and reports which suites notice it.
pub(crate) fn run(_ctx: &Ctx, _names: &[String]) -> Result<bool> {
    bail!("not yet")
}
