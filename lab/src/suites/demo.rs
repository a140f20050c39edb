// SPDX-License-Identifier: GPL-2.0

//! The scene that `make demo` plays.

use crate::ctx::Ctx;
use crate::guest::{Boot, sibling};
use crate::kernel::Kernel;
use crate::report::Report;
use crate::results;

pub(crate) fn demo(ctx: &Ctx, kernel: &Kernel, report: &mut Report) {
    let name = "the scene shows what the semantics table says";
    let outcome = sibling("demo").and_then(|program| {
        let boot = Boot {
            stream: true,
            ..Boot::new(ctx, kernel, "the scene", &[]).program(&program)
        };
        boot.run()
    });
    match outcome {
        Ok(outcome) if outcome.code == 0 => {
            report.pass(name);
            // Without it, `make results` has the picture that it had.
            let _ = results::record_scene(ctx, &outcome.output);
        }
        Ok(outcome) => report.fail(
            name,
            &format!("the scene exited with {}", outcome.code),
            Some(&outcome.output_log),
        ),
        Err(error) => report.fail(name, &format!("{error:#}"), None),
    }
}
