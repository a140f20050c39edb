//! Tests of the library and of the command `mayexec` in a guest, as root.
//!
//! `mayexec-guest kernel|securebits|plain` names the guarantee that the guest's kernel
//! must give. The command is the program `mayexec` beside this one. Each check prints a
//! line, `ok NAME` or `not ok NAME: DETAIL`, and the last line counts them.

mod interpreters;
mod scene;
mod tests;

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
    let arg = std::env::args().nth(1).unwrap_or_default();
    let guarantee = match arg.as_str() {
        "plain" => Guarantee::Plain,
        "securebits" => Guarantee::Securebits,
        "kernel" => Guarantee::Kernel,
        _ => bail!("usage: mayexec-guest plain|securebits|kernel"),
    };
    let scene = scene::Scene::set()?;
    let mut checks = Checks::default();
    tests::all(&scene, guarantee, &mut checks)?;
    Ok(checks)
}

fn main() -> ExitCode {
    match run() {
        Ok(checks) => {
            println!("{} passed, {} failed", checks.passed, checks.failed);
            ExitCode::from(u8::from(checks.failed > 0))
        }
        Err(error) => {
            println!("not ok the tests ran to their end: {error:#}");
            ExitCode::FAILURE
        }
    }
}
