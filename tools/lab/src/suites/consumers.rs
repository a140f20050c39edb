// SPDX-License-Identifier: GPL-2.0

//! The kernel's other subsystems as consumers of the flag, in one guest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Session;
use crate::kernel::{Kernel, Variant};
use crate::report::Report;
use crate::selftests::{self, OWN, Plan, Run};
use crate::tap::Verdict;

/// A kernel with everything that looks at opens.
pub(crate) const CONSUMERS: Variant = Variant {
    name: "consumers",
    fragment: Some("consumers.config"),
    lines: &[],
};

/// Turns on what a boot decides.
const CMDLINE: [&str; 3] = ["lsm=landlock,apparmor,ipe,bpf", "audit=1", "ipe.enforce=0"];

/// Whose tests run here. Those of a consumer that has lost its patch are missed.
const NAMES: [&str; 8] = [
    "apparmor", "audit", "bpf", "fanotify", "ima", "ipe", "landlock", "trace",
];

/// The series' kernel with all consumers.
pub(crate) fn kernel(session: &Session<'_>) -> Result<Kernel> {
    session.kernel("the kernel with all consumers", session.tip(), &CONSUMERS)
}

/// Runs the tests of those consumers that the bundle has tests of, otherwise as planned.
pub(crate) fn tests(session: &Session<'_>, kernel: &Kernel, plan: Plan<'_>) -> Result<Run> {
    let (there, _) = wanted(plan.bundle)?;
    let plan = Plan {
        cmdline: &CMDLINE,
        only: &there,
        tools: Some(&tools(session)?),
        ..plan
    };
    selftests::run(session.ctx, kernel, plan)
}

/// The programs that are there, and those that are missing.
fn wanted(bundle: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let own = selftests::own(bundle)?;
    Ok(NAMES
        .iter()
        .map(|name| program_of(name))
        .partition(|test| own.contains(test)))
}

/// The last commit without any of the consumers' patches, and the names of those whose
/// patch changes the kernel and not only its tests.
pub(crate) fn without_patches(session: &Session<'_>) -> Result<(String, Vec<&'static str>)> {
    let git = &session.tree.git;
    let mut first = None;
    let mut patched = Vec::new();
    for commit in &session.commits {
        let files = git.run(["diff-tree", "-r", "--no-commit-id", "--name-only", commit])?;
        let Some(name) = NAMES
            .into_iter()
            .find(|name| files.lines().any(|file| file.ends_with(&test_of(name))))
        else {
            continue;
        };
        if first.is_none() {
            first = git.commit(&format!("{commit}^"))?;
        }
        if files
            .lines()
            .any(|file| !file.starts_with("tools/testing/"))
        {
            patched.push(name);
        }
    }
    Ok((first.context("no patch adds a consumer's test")?, patched))
}

/// The source of a consumer's test.
fn test_of(name: &str) -> String {
    format!("/mayexec_{name}_test.c")
}

/// The program that [`test_of`] becomes.
pub(crate) fn program_of(name: &str) -> String {
    format!("{OWN}{name}_test")
}

/// Runs the tests of all consumers, of which none may be missing nor skip.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let kernel = kernel(session)?;
    let bundle = session.selftests()?;
    let (_, missing) = wanted(&bundle)?;
    report.check("every consumer has its test", &missing, None);
    let run = tests(session, &kernel, Plan::all("consumers", &bundle))?;
    report.cases("", &run.cases, &run.log);
    super::guest::sound(report, "with all consumers", &run);
    let skipped: Vec<String> = run
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Skip)
        .map(|case| format!("{}: {}", case.full_name(), case.detail))
        .collect();
    report.check("no consumer is missing", &skipped, Some(&run.log));
    Ok(())
}

/// What scripts/setup.sh has unpacked: daemons that nobody wants on the host.
fn tools(session: &Session<'_>) -> Result<PathBuf> {
    let dir = session.ctx.build.join("guest-tools");
    if !dir.is_dir() {
        bail!(
            "{} is missing: scripts/setup.sh test makes it",
            dir.display()
        );
    }
    Ok(dir)
}
