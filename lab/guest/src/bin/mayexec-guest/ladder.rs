// SPDX-License-Identifier: GPL-2.0

//! The ladder's rungs, for Rust and for C.

use std::process::Command;

use anyhow::{Context, Result, anyhow};
use mayexec::{Guarantee, Open, Why};
use rustix::process::{WaitOptions, waitpid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

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
    if guarantee == Guarantee::Kernel {
        cost(scene, checks)?;
    }
    c_program(scene, guarantee, checks)
}

/// Where the kernel has the flag and no policy is in force, an open calls openat2(2) and
/// prctl(2) and nothing else: each other call ends the child.
fn cost(scene: &Scene, checks: &mut Checks) -> Result<()> {
    let allowed = [
        libc::SYS_openat2,
        libc::SYS_prctl,
        libc::SYS_close,
        // What the child needs besides: memory, and its end, at which std gives a stack back.
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_sigaltstack,
        libc::SYS_exit_group,
    ];
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(|_| anyhow!("seccomp knows this architecture"))?;
    let filter: BpfProgram = SeccompFilter::new(
        allowed.map(|call| (call, vec![])).into(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        architecture,
    )?
    .try_into()?;
    let path = scene.exec.join("755");
    let Some(child) = uapi::fork()? else {
        // The first open asks the kernel what there is.
        let first = mayexec::open(&path).is_ok() && seccompiler::apply_filter(&filter).is_ok();
        std::process::exit(i32::from(!(first && mayexec::open(&path).is_ok())));
    };
    let end = waitpid(Some(child), WaitOptions::empty())?.context("the child has ended")?;
    checks.equal(
        "an open calls openat2(2) and prctl(2) alone",
        (end.1.exit_status(), end.1.terminating_signal()),
        (Some(0), None),
    );
    Ok(())
}

/// The example of the C API, compiled on the host.
fn c_program(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let runner = scene.mayexec.with_file_name("runner");
    let policies = match guarantee {
        Guarantee::Kernel => vec![Policy::Sysctl(0), Policy::Sysctl(3), Policy::Securebit],
        Guarantee::Securebits => vec![Policy::Sysctl(0), Policy::Securebit],
        _ => vec![Policy::Sysctl(0)],
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
                let reason = if noexec {
                    "on a noexec mount"
                } else {
                    "no execute permission"
                };
                let message = if denied {
                    format!("runner: {}: {reason}\n", path.display())
                } else {
                    String::new()
                };
                checks.equal(
                    &format!("{policy:?}, {}: its message", path.display()),
                    String::from_utf8_lossy(&output.stderr).into_owned(),
                    message,
                );
            }
        }
    }
    Ok(())
}
