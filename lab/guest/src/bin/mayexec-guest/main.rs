// SPDX-License-Identifier: GPL-2.0

//! Tests of the library and of the command `mayexec` in a guest, as root.
//!
//! `mayexec-guest kernel|securebits|plain` names the guarantee that the guest's kernel
//! must give; with the word `rollout` after it, the guide to a rollout is walked
//! instead. The command is the program `mayexec` beside this one, `runner` the example
//! of the C API. Each check prints a line of KTAP, `ok NAME` or `not ok NAME: DETAIL`, and the
//! last line is the plan.

mod agree;
mod debian;
mod interpreters;
mod ladder;
mod rollout;
mod scene;
mod tests;
mod watch;

use std::process::ExitCode;

use anyhow::{Result, bail};
use mayexec::Guarantee;

/// The checks made so far.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    /// Compares what was found with what is right.
    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, found: T, right: T) {
        if found == right {
            self.passed += 1;
            println!("ok {name}");
        } else {
            self.failed += 1;
            println!("not ok {name}: {found:?} instead of {right:?}");
        }
    }
}

fn run() -> Result<Checks> {
    const USAGE: &str = "usage: mayexec-guest plain|securebits|kernel [rollout]";
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rollout = match args.get(1).map(String::as_str) {
        None => false,
        Some("rollout") => true,
        Some(_) => bail!(USAGE),
    };
    let guarantee = match args.first().map_or("", String::as_str) {
        "plain" => Guarantee::Plain,
        "securebits" => Guarantee::Securebits,
        "kernel" => Guarantee::Kernel,
        _ => bail!(USAGE),
    };
    guest::require()?;
    let scene = scene::Scene::set()?;
    let mut checks = Checks::default();
    if rollout {
        rollout::all(&scene, guarantee, &mut checks)?;
    } else {
        tests::all(&scene, guarantee, &mut checks)?;
        ladder::all(&scene, guarantee, &mut checks)?;
        agree::all(&scene, guarantee, &mut checks)?;
    }
    Ok(checks)
}

fn main() -> ExitCode {
    match run() {
        Ok(checks) => {
            println!("1..{}", checks.passed + checks.failed);
            ExitCode::from(u8::from(checks.failed > 0))
        }
        Err(error) => {
            println!("not ok the tests ran to their end: {error:#}");
            ExitCode::FAILURE
        }
    }
}
