// SPDX-License-Identifier: GPL-2.0

//! The library and the command `mayexec` on kernels with the flag and without.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{consumers, host};
use crate::ctx::Ctx;
use crate::guest::{Boot, complaints, sibling};
use crate::kernel::Kernel;
use crate::proc;
use crate::report::Report;
use crate::session::Session;
use crate::tap::{self, Case, Run, Verdict};

/// The walk through a rollout starts interpreters and package managers by the dozen.
const LIMIT: Duration = Duration::from_secs(1200);

/// The tests of the header for interpreters, as a program.
const HEADER_TEST: &str = "open_code_test";

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
        let run = boot(ctx, bundle.path(), &name, (&kernel, words), false)?;
        report.run(&format!("{what}: "), what, &run);
    }
    header(session, report, bundle.path())
}

/// Runs the tests of the header for interpreters where the kernel has the flag, and where
/// the header must do without.
fn header(session: &Session<'_>, report: &mut Report, bundle: &Path) -> Result<()> {
    for (what, kernel) in [
        ("open_code.h with the series", session.tip_kernel()?),
        ("open_code.h on the base", session.base_kernel()?),
    ] {
        let outcome = Boot::new(session.ctx, kernel, what, &[&format!("./{HEADER_TEST}")])
            .bundle(bundle)
            .cmdline(&["kunit.enable=0"])
            .limit(LIMIT)
            .run()?;
        let (cases, trouble) = tap::program(host::HEADER, &outcome.output);
        let mut trouble = Vec::from_iter(trouble);
        trouble.extend(complaints(&outcome.console));
        let run = Run {
            cases,
            trouble,
            log: outcome.output_log,
        };
        report.run(&format!("{what}: "), what, &run);
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
    proc::capture(&mut host::open_code(ctx, root, "all"))?;
    fs::copy(
        host::open_code_dir(ctx).join(HEADER_TEST),
        bundle.path().join(HEADER_TEST),
    )
    .context("cannot copy the tests of open_code.h")?;
    runner(root, &bundle.path().join("runner"))?;
    for (source, name) in [("swap.c", "libswap.so"), ("module.c", "shared.so")] {
        shared(
            &root.join("lab/guest/src/bin/mayexec-guest").join(source),
            &bundle.path().join(name),
        )?;
    }
    Ok(bundle)
}

/// Runs the tests once, on a kernel and with words of a turn, and takes their word for it,
/// line by line. If asked to, the first failure ends the run, as an error.
pub(crate) fn boot(
    ctx: &Ctx,
    bundle: &Path,
    name: &str,
    (kernel, words): (&Kernel, &[&str]),
    first_failure: bool,
) -> Result<Run> {
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
    let (cases, mut trouble) = read(&outcome.output);
    if outcome.code != 0 && cases.iter().all(|case| case.verdict == Verdict::Pass) {
        trouble.push(format!("the tests exited with {}", outcome.code));
    }
    trouble.extend(complaints(&outcome.console));
    Ok(Run {
        cases,
        trouble,
        log: outcome.output_log,
    })
}

/// Compiles the example of the C API, with the library in it.
fn runner(root: &Path, program: &Path) -> Result<()> {
    let userspace = root.join("userspace");
    let api = userspace.join("mayexec-capi");
    proc::capture(
        cc(program)
            .arg("-I")
            .arg(api.join("include"))
            .arg("-I")
            .arg(userspace.join("open_code"))
            .arg(api.join("examples/runner.c"))
            .arg(api.join("mayexec.c")),
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

/// The checks, one a line; a list that is cut off is trouble.
fn read(output: &str) -> (Vec<Case>, Vec<String>) {
    let case = |(name, verdict): (&str, Verdict)| Case {
        group: "userland".to_owned(),
        name: name.to_owned(),
        verdict,
        detail: String::new(),
    };
    fn result(line: &str) -> Option<(&str, Verdict)> {
        let failed = line.strip_prefix(FAILED).map(|name| (name, Verdict::Fail));
        failed.or(line.strip_prefix("ok ").map(|name| (name, Verdict::Pass)))
    }
    let cases: Vec<Case> = output.lines().filter_map(result).map(case).collect();
    let passed = |case: &&Case| case.verdict == Verdict::Pass;
    let passed = cases.iter().filter(passed).count();
    let closing = format!("{passed} passed, {} failed", cases.len() - passed);
    let cut = passed == 0 || output.lines().last() != Some(closing.as_str());
    let trouble = cut.then(|| "the tests did not come to their end".to_owned());
    (cases, Vec::from_iter(trouble))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_counts() {
        let count = |output: &str| {
            let (cases, trouble) = read(output);
            let failed = cases.iter().filter(|case| case.verdict == Verdict::Fail);
            (cases.len(), failed.count(), trouble.len())
        };
        assert_eq!(count("ok a\nok b\n2 passed, 0 failed\n"), (2, 0, 0));
        assert_eq!(
            count("ok a\nnot ok b: 1 instead of 2\n1 passed, 1 failed\n"),
            (2, 1, 0)
        );
        for cut in [
            "",
            "ok a\n",
            "0 passed, 0 failed\n",
            "ok a\n2 passed, 0 failed\n",
        ] {
            assert_eq!(count(cut).2, 1, "{cut}");
        }
    }
}
