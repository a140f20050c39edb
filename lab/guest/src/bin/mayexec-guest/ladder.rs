// SPDX-License-Identifier: GPL-2.0

//! The ladder's rungs, for Rust and for C.

use std::process::Command;

use anyhow::{Context, Result};
use mayexec::{Guarantee, Open, Why};

use crate::Checks;
use crate::scene::{Policy, Scene, digest, table};

/// What is demanded is given, or the open fails; and a C program gets the same answers.
pub(crate) fn all(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let path = scene.exec.join("755");
    for needed in [Guarantee::Plain, Guarantee::Securebits, Guarantee::Kernel] {
        let outcome = Open::new().require(needed).open(&path);
        let right = if guarantee == Guarantee::Kernel {
            Ok(guarantee)
        } else if needed <= guarantee {
            // Nothing is in force, so that nothing more is done.
            Ok(needed)
        } else {
            Err(Why::Guarantee {
                needed,
                had: guarantee,
            })
        };
        checks.equal(
            &format!("{needed:?} is demanded"),
            outcome
                .map(|opened| opened.guarantee)
                .map_err(|error| error.why),
            right,
        );
    }
    c_program(scene, guarantee, checks)
}

/// The example of the C API, compiled on the host.
fn c_program(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let runner = scene.mayexec.with_file_name("runner");
    let policies = match guarantee {
        Guarantee::Plain => vec![Policy::Sysctl(0)],
        Guarantee::Securebits => vec![Policy::Sysctl(0), Policy::Securebit],
        Guarantee::Kernel => vec![Policy::Sysctl(0), Policy::Sysctl(3), Policy::Securebit],
    };
    for policy in policies {
        for (dir, noexec) in [(&scene.exec, false), (&scene.noexec, true)] {
            for mode in [0o755, 0o644] {
                let path = dir.join(format!("{mode:o}"));
                let output = scene
                    .under(policy, || Command::new(&runner).arg(&path).output())?
                    .with_context(|| format!("cannot start {}", runner.display()))?;
                let denied = table(policy.bits(), noexec, mode).is_some();
                let text = if denied {
                    String::new()
                } else {
                    std::fs::read_to_string(&path)?
                };
                checks.equal(
                    &format!("{policy:?}, {}: a C program", path.display()),
                    digest(&output),
                    (text, if denied { 126 } else { 0 }),
                );
                let reason = String::from_utf8_lossy(&output.stderr);
                let right = match (denied, noexec) {
                    (false, _) => "",
                    (true, true) => "on a noexec mount",
                    (true, false) => "no execute permission",
                };
                checks.equal(
                    &format!("{policy:?}, {}: its message", path.display()),
                    reason.split(" (").next().unwrap_or_default(),
                    right,
                );
            }
        }
    }
    Ok(())
}
