// SPDX-License-Identifier: GPL-2.0

//! The library and the command `mayexec` on kernels with the flag and without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::consumers;
use crate::ctx::Ctx;
use crate::guest::{Boot, complaints, sibling};
use crate::kernel::Kernel;
use crate::proc;
use crate::report::Report;
use crate::session::Session;

/// The walk through a rollout starts interpreters and package managers by the dozen.
const LIMIT: Duration = Duration::from_secs(1200);

/// What the line of a check that failed starts with.
const FAILED: &str = "not ok ";

/// A boot: what it shows, on which kernel, and the words that tell the tests.
type Turn = (&'static str, Kernel, &'static [&'static str]);

/// Where the kernel applies the policy, where the program has to, where opens can be
/// traced, and where there is no check at all; then the guide to a rollout.
pub(crate) fn turns(session: &Session<'_>) -> Result<[Turn; 6]> {
    let (tip, base) = (session.tip_kernel()?, session.base_kernel()?);
    let traced = consumers::kernel(session)?;
    let debian = crate::debian::kernel(session.ctx)?;
    Ok([
        ("with the series", tip.clone(), &["kernel"]),
        ("on the base", base.clone(), &["securebits"]),
        ("with tracing", traced.clone(), &["kernel"]),
        ("on Debian's kernel", debian, &["plain"]),
        ("rollout", traced, &["kernel", "rollout"]),
        (
            "rollout on the base",
            base.clone(),
            &["securebits", "rollout"],
        ),
    ])
}

/// Runs the tests.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let program = sibling("mayexec")?;
    let programs = program.parent().context("a program without a directory")?;
    let bundle = bundle(ctx, programs, &ctx.root)?;
    for (what, kernel, words) in turns(session)? {
        let name = format!("userland {what}");
        let outcome = boot(ctx, bundle.path(), &name, (&kernel, words), false)?;
        if outcome.problems.is_empty() {
            report.pass_many(&name, outcome.passed);
        } else {
            report.check(&name, &outcome.problems, Some(&outcome.log));
        }
    }
    Ok(())
}

/// The programs for the guests, and what they test: those in `programs`, built from the
/// checkout at `root`.
pub(crate) fn bundle(ctx: &Ctx, programs: &Path, root: &Path) -> Result<tempfile::TempDir> {
    let bundle = tempfile::Builder::new()
        .prefix(".userland-")
        .tempdir_in(&ctx.build)?;
    for name in [
        "mayexec",
        "mayexec-guest",
        "mayexec-lua",
        "mayexec-python",
        "libmayexec_python.so",
        "libmayexec_rtld.so",
    ] {
        let program = programs.join(name);
        fs::copy(&program, bundle.path().join(name))
            .with_context(|| format!("cannot copy {}", program.display()))?;
    }
    let tools = root.join("tools");
    runner(&tools, programs, &bundle.path().join("runner"))?;
    for (source, name) in [("swap.c", "libswap.so"), ("module.c", "shared.so")] {
        shared(
            &tools.join("mayexec-guest/src").join(source),
            &bundle.path().join(name),
        )?;
    }
    Ok(bundle)
}

/// What a boot has shown.
pub(crate) struct Outcome {
    passed: usize,
    /// What did not pass.
    pub(crate) problems: Vec<String>,
    log: PathBuf,
}

/// Runs the tests once, on a kernel and with words of a turn, and takes their word for it,
/// line by line. If asked to, the first failure ends the run, as an error.
pub(crate) fn boot(
    ctx: &Ctx,
    bundle: &Path,
    name: &str,
    (kernel, words): (&Kernel, &[&str]),
    first_failure: bool,
) -> Result<Outcome> {
    let argv = [&["./mayexec-guest"], words].concat();
    let mut boot = Boot::new(ctx, kernel, name, &argv);
    if first_failure {
        boot = boot.until(|line| line.starts_with(FAILED));
    }
    let outcome = boot
        .bundle(bundle)
        .cmdline(&["kunit.enable=0"])
        .limit(LIMIT)
        .run()?;
    let (passed, mut problems) = read(&outcome.output);
    if outcome.code != 0 && problems.is_empty() {
        problems.push(format!("the tests exited with {}", outcome.code));
    }
    problems.extend(complaints(&outcome.console));
    Ok(Outcome {
        passed,
        problems,
        log: outcome.output_log,
    })
}

/// Compiles the example of the C API.
fn runner(tools: &Path, programs: &Path, program: &Path) -> Result<()> {
    let api = tools.join("mayexec-capi");
    proc::capture(
        cc(program)
            .arg("-I")
            .arg(api.join("include"))
            .arg(api.join("examples/runner.c"))
            .arg(programs.join("libmayexec.a"))
            // What mayexec.pc.in says of a static library.
            .args(["-lpthread", "-ldl", "-lm"]),
    )?;
    Ok(())
}

/// Compiles a shared object.
fn shared(source: &Path, library: &Path) -> Result<()> {
    proc::capture(cc(library).args(["-shared", "-fPIC"]).arg(source))?;
    Ok(())
}

/// The compiler, to write `output`.
fn cc(output: &Path) -> Command {
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(output);
    cc
}

/// How many checks passed, and the others; a list that is cut off is a problem.
fn read(output: &str) -> (usize, Vec<String>) {
    let passed = output
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    let mut problems: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix(FAILED))
        .map(str::to_owned)
        .collect();
    let closing = format!("{passed} passed, {} failed", problems.len());
    if passed == 0 || output.lines().last() != Some(closing.as_str()) {
        problems.push("the tests did not come to their end".to_owned());
    }
    (passed, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts() {
        let (passed, problems) = read("ok a\nok b\n2 passed, 0 failed\n");
        assert_eq!((passed, problems), (2, vec![]));
        let (_, problems) = read("ok a\nnot ok b: 1 instead of 2\n1 passed, 1 failed\n");
        assert_eq!(problems, ["b: 1 instead of 2"]);
        for cut in [
            "",
            "ok a\n",
            "0 passed, 0 failed\n",
            "ok a\n2 passed, 0 failed\n",
        ] {
            assert_eq!(read(cut).1.len(), 1, "{cut}");
        }
    }
}
