// SPDX-License-Identifier: GPL-2.0

//! The scene that `make demo` plays.

use anyhow::bail;

use crate::ctx::Ctx;
use crate::guest::{Boot, sibling};
use crate::kernel::Kernel;
use crate::report::Report;
use crate::results;

pub(crate) fn demo(ctx: &Ctx, kernel: &Kernel, report: &mut Report) {
    let name = "the scene shows what the semantics table says";
    let played = sibling("demo").and_then(|program| {
        let boot = Boot {
            stream: true,
            ..Boot::new(ctx, kernel, "the scene", &[]).program(&program)
        };
        let outcome = boot.run()?;
        if outcome.code != 0 {
            let log = outcome.output_log.display();
            bail!("the scene exited with {}\n  log: {log}", outcome.code);
        }
        // Without it, `make results` has the picture that it had.
        let _ = results::record_scene(ctx, &outcome.output);
        Ok(Vec::new())
    });
    report.outcome(name, played);
}
