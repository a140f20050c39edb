// SPDX-License-Identifier: GPL-2.0

//! The library and the command `mayexec` on kernels with the flag and without, an
//! interpreter that opens with it, and a short boot of a whole system with that one.

use fs_err as fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::{consumers, host};
use crate::ctx::Ctx;
use crate::guest::{Boot, sibling};
use crate::kernel::{self, Kernel};
use crate::proc;
use crate::projects;
use crate::report::Report;
use crate::session::Session;
use crate::system;
use crate::tap::{self, Run};
use crate::variants::OFF;

/// The walk through a rollout starts interpreters and package managers by the dozen.
const LIMIT: Duration = Duration::from_secs(1200);

/// The tests of the header for interpreters, as a program.
const HEADER_TEST: &str = "./open_code_test";

/// A guest's kernel and what runs in it, with what the two are called.
type Job = (&'static str, Kernel, &'static str);

/// Where the kernel applies the policy, where the program has to, where opens can be
/// traced, and where there is no check at all; then the guide to a rollout, and the tests of
/// the header for interpreters.
#[rustfmt::skip]
pub(crate) fn jobs(session: &Session<'_>) -> Result<[Job; 8]> {
    let tip = session.tip_kernel()?;
    let off = session.kernel("the kernel without the flag", session.tip(), &OFF)?;
    let traced = consumers::kernel(session)?;
    let debian = kernel::of_debian(session.ctx)?;
    Ok([
        ("with the series", tip.clone(), "./mayexec-guest kernel"),
        ("without the flag", off.clone(), "./mayexec-guest securebits"),
        ("with tracing", traced.clone(), "./mayexec-guest kernel"),
        ("on Debian's kernel", debian, "./mayexec-guest plain"),
        ("rollout", traced, "./mayexec-guest kernel rollout"),
        ("rollout without the flag", off.clone(), "./mayexec-guest securebits rollout"),
        ("open_code.h with the series", tip, HEADER_TEST),
        ("open_code.h without the flag", off, HEADER_TEST),
    ])
}

/// Boots a guest of this name for a job. If asked to, the first failure ends its run, as an error.
pub(crate) fn run_job(
    ctx: &Ctx,
    bundle: &Path,
    name: &str,
    first_failure: bool,
    (what, kernel, words): &Job,
) -> Result<Run> {
    let argv: Vec<&str> = words.split(' ').collect();
    let boot = Boot::new(ctx, kernel, &format!("{name} {what}"), &argv);
    let boot = Boot {
        limit: LIMIT,
        first_failure,
        ..boot.bundle(bundle)
    };
    boot.tests(|output| tap::program(argv[0].trim_start_matches("./"), output))
}

pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let program = sibling("mayexec")?;
    let programs = program.parent().context("a program without a directory")?;
    let bundle = bundle(ctx, programs, &ctx.root)?;
    let jobs = jobs(session)?;
    // A guest of one CPU keeps one core busy.
    let runs = jobs.par_iter().with_max_len(1);
    let runs = runs.map(|job| (job.0, run_job(ctx, bundle.path(), "userland", false, job)));
    for (what, run) in runs.collect::<Vec<_>>() {
        report.run(&format!("{what}: "), what, &run?);
    }
    projects::part(ctx, report, &session.tip_kernel()?);
    let disk = system::short_disk(ctx, &ctx.root)?;
    let run = system::short(ctx, &consumers::kernel(session)?, disk)?;
    report.run("a short boot: ", "of a short boot", &run);
    Ok(())
}

/// What the bundle has of the workspace's programs and libraries.
const PROGRAMS: &str = "mayexec mayexec-guest mayexec-lua mayexec-python libmayexec_python.so \
    libmayexec_rtld.so";

/// The programs for the guests, and what they test: those in `programs`, built from the
/// checkout at `root`.
pub(crate) fn bundle(ctx: &Ctx, programs: &Path, root: &Path) -> Result<tempfile::TempDir> {
    let bundle = ctx.scratch()?;
    proc::capture(&mut host::open_code(ctx, root, "all"))?;
    let tests = host::open_code_dir(ctx);
    let copy = |from: &Path, name: &str| fs::copy(from.join(name), bundle.path().join(name));
    copy(&tests, HEADER_TEST)?;
    for name in PROGRAMS.split_whitespace() {
        copy(programs, name)?;
    }
    cc(root, RUNNER, &bundle.path().join("runner"))?;
    for (source, name) in [("swap.c", "libswap.so"), ("module.c", "shared.so")] {
        let words = format!("-shared -fPIC lab/guest/src/bin/mayexec-guest/{source}");
        cc(root, &words, &bundle.path().join(name))?;
    }
    Ok(bundle)
}

/// Compiles files of the checkout at `root`, which the words name after the options.
fn cc(root: &Path, words: &str, output: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror"])
        .args(words.split(' '))
        .arg("-o")
        .arg(output)
        .current_dir(root);
    proc::capture(&mut cc).map(|_| ())
}

/// The example of the C API, with the library in it.
const RUNNER: &str = "-Iuserspace/mayexec-capi/include -Iuserspace/open_code \
    userspace/mayexec-capi/examples/runner.c userspace/mayexec-capi/mayexec.c";
