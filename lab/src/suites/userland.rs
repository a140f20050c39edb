// SPDX-License-Identifier: GPL-2.0

//! The library and the command `mayexec` on kernels with the flag and without, three
//! interpreters that open with it, and a short boot of a whole system with one of them.

use fs_err as fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{consumers, host};
use crate::ctx::Ctx;
use crate::guest::{Boot, complaints, sibling};
use crate::kernel::Kernel;
use crate::proc;
use crate::projects;
use crate::report::Report;
use crate::selftests::is_failure;
use crate::session::Session;
use crate::system;
use crate::tap::{self, Run, Verdict};

/// The walk through a rollout starts interpreters and package managers by the dozen.
const LIMIT: Duration = Duration::from_secs(1200);

/// The tests of the header for interpreters, as a program.
const HEADER_TEST: &str = "open_code_test";

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
    header(session, report, bundle.path())?;
    projects::part(ctx, report, session.tip_kernel()?);
    let disk = system::short_disk(ctx, &ctx.root)?;
    let run = system::short(ctx, &consumers::kernel(session)?, disk)?;
    report.run("a short boot: ", "of a short boot", &run);
    Ok(())
}

/// Runs the tests of the header for interpreters where the kernel has the flag, and where
/// the header must do without.
fn header(session: &Session<'_>, report: &mut Report, bundle: &Path) -> Result<()> {
    for (what, kernel) in [
        ("open_code.h with the series", session.tip_kernel()?),
        ("open_code.h on the base", session.base_kernel()?),
    ] {
        let argv = format!("./{HEADER_TEST}");
        let boot = Boot::new(session.ctx, kernel, what, &[&argv]).bundle(bundle);
        let run = cases(boot, host::HEADER)?;
        report.run(&format!("{what}: "), what, &run);
    }
    Ok(())
}

/// The cases of a program that writes KTAP, in a guest.
fn cases(boot: Boot<'_>, group: &str) -> Result<Run> {
    let outcome = Boot {
        limit: LIMIT,
        ..boot
    }
    .run()?;
    let (cases, trouble) = tap::program(group, &outcome.output);
    let mut trouble = Vec::from_iter(trouble);
    if outcome.code != 0 && cases.iter().all(|case| case.verdict != Verdict::Fail) {
        trouble.push(format!("the tests exited with {}", outcome.code));
    }
    trouble.extend(complaints(&outcome.console));
    Ok(Run {
        cases,
        trouble,
        log: outcome.output_log,
    })
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

/// Runs the tests once, on a kernel and with words of a turn. If asked to, the first failure
/// ends the run, as an error.
pub(crate) fn boot(
    ctx: &Ctx,
    bundle: &Path,
    name: &str,
    (kernel, words): (&Kernel, &[&str]),
    first_failure: bool,
) -> Result<Run> {
    let argv = [&["./mayexec-guest"], words].concat();
    let boot = Boot {
        until: first_failure.then_some(is_failure),
        ..Boot::new(ctx, kernel, name, &argv).bundle(bundle)
    };
    cases(boot, "userland")
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
