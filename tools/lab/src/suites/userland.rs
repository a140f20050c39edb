//! The library and the command `mayexec` on kernels with the flag and without.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Session, consumers};
use crate::ctx::Ctx;
use crate::guest::{Boot, complaints, sibling};
use crate::kernel::Kernel;
use crate::proc;
use crate::report::Report;

/// The walk through a rollout starts interpreters and package managers by the dozen.
const LIMIT: Duration = Duration::from_secs(1200);

/// Runs the tests where the kernel applies the policy, where the program has to, where
/// opens can be traced, and where there is no check at all; then walks the guide to a
/// rollout.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let bundle = bundle(session.ctx)?;
    let mut boot = |kernel: &Kernel, what: &str, words: &[&str]| {
        boot(session, report, bundle.path(), kernel, what, words)
    };
    let (tip, base) = (session.tip_kernel()?, session.base_kernel()?);
    let traced = consumers::kernel(session)?;
    boot(tip, "with the series", &["kernel"])?;
    boot(base, "on the base", &["securebits"])?;
    boot(&traced, "with tracing", &["kernel"])?;
    let debian = crate::debian::kernel(session.ctx)?;
    boot(&debian, "on Debian's kernel", &["plain"])?;
    boot(&traced, "rollout", &["kernel", "rollout"])?;
    boot(base, "rollout on the base", &["securebits", "rollout"])
}

/// The programs for the guests, and what they test.
fn bundle(ctx: &Ctx) -> Result<tempfile::TempDir> {
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
        let program = sibling(name)?;
        fs::copy(&program, bundle.path().join(name))
            .with_context(|| format!("cannot copy {}", program.display()))?;
    }
    runner(ctx, &bundle.path().join("runner"))?;
    Ok(bundle)
}

/// Runs the tests once and takes their word for it, line by line.
fn boot(
    session: &Session<'_>,
    report: &mut Report,
    bundle: &Path,
    kernel: &Kernel,
    what: &str,
    words: &[&str],
) -> Result<()> {
    let ctx = session.ctx;
    let argv = [&["./mayexec-guest"], words].concat();
    let outcome = Boot::new(ctx, kernel, &format!("userland {what}"), &argv)
        .bundle(bundle)
        .cmdline(&["kunit.enable=0"])
        .limit(LIMIT)
        .run()?;
    let (passed, mut problems) = read(&outcome.output);
    if outcome.code != 0 && problems.is_empty() {
        problems.push(format!("the tests exited with {}", outcome.code));
    }
    problems.extend(complaints(&outcome.console));
    let name = format!("userland {what}");
    if problems.is_empty() {
        report.pass_many(&name, passed);
    } else {
        report.check(&name, &problems, Some(&outcome.output_log));
    }
    Ok(())
}

/// Compiles the example of the C API.
fn runner(ctx: &Ctx, program: &Path) -> Result<()> {
    let api = ctx.root.join("tools/mayexec-capi");
    proc::capture(
        Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-I"])
            .arg(api.join("include"))
            .arg("-o")
            .arg(program)
            .arg(api.join("examples/runner.c"))
            .arg(sibling("libmayexec.a")?)
            // What mayexec.pc.in says of a static library.
            .args(["-lpthread", "-ldl", "-lm"]),
    )?;
    Ok(())
}

/// How many checks passed, and the others; a list that is cut off is a problem.
fn read(output: &str) -> (usize, Vec<String>) {
    let passed = output
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    let mut problems: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("not ok "))
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
