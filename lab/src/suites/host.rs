// SPDX-License-Identifier: GPL-2.0

//! Tests that need no kernel.

use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::ctx::Ctx;
use crate::proc;
use crate::report::Report;
use crate::tap::{self, Run, Verdict};
use crate::ui;

/// The mirrored file that the kernel and the host both compile.
pub(crate) const POLICY: &str = "fs/mayexec/policy.rs";

/// The header for interpreters.
pub(crate) const HEADER: &str = "open_code.h";

/// Runs the workspace's tests, then mutates the policy under its own.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    tests(ctx, report)?;
    examples(ctx, report)?;
    header(ctx, report)?;
    mutants(ctx, report)
}

/// make with a target of the header for interpreters.
pub(crate) fn open_code(ctx: &Ctx, root: &Path, target: &str) -> Command {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(root.join("userspace/open_code"))
        .args(["-s", "CLANG=clang-19", "CLANGXX=clang++-19"])
        .arg(format!("O={}", open_code_dir(ctx).display()))
        .arg(target);
    make
}

/// Where [`open_code`] puts what it builds.
pub(crate) fn open_code_dir(ctx: &Ctx) -> PathBuf {
    ctx.build.join("open_code")
}

/// Compiles the header for interpreters as strict C and C++, and runs its tests.
fn header(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let log = ctx.fresh_log("open-code")?;
    let mut make = open_code(ctx, &ctx.root, "check");
    let (status, text) = ui::attempt("the header for interpreters", &log, 300, &mut make)?;
    let (cases, trouble) = tap::program(HEADER, &text);
    let mut trouble = Vec::from_iter(trouble);
    if !status.success() && cases.iter().all(|case| case.verdict != Verdict::Fail) {
        trouble.push(proc::tail(&text, 20));
    }
    let run = Run {
        cases,
        trouble,
        log,
    };
    report.run("", &format!("of {HEADER}'s tests"), &run);
    Ok(())
}

/// cargo for the workspace of the tools.
pub(crate) fn cargo(ctx: &Ctx, words: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(words.split(' '))
        .current_dir(&ctx.root)
        .env("CARGO_TARGET_DIR", ctx.build.join("cargo"));
    cargo
}

fn tests(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let log = ctx.fresh_log("nextest")?;
    let name = "cargo nextest";
    let words = "nextest run --locked --workspace --no-fail-fast --color=never";
    match nextest("tests on the host", &log, &mut cargo(ctx, words)) {
        Ok(Ok(passed)) => report.pass_many(name, passed),
        Ok(Err(failures)) => {
            for failure in &failures {
                report.fail(&format!("{name} {failure}"), "", Some(&log));
            }
        }
        Err(error) => report.fail(name, &format!("{error:#}"), Some(&log)),
    }
    Ok(())
}

/// Runs the examples in the documentation of the crates, which nextest does not.
fn examples(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let log = ctx.fresh_log("doctests")?;
    let name = "cargo test --doc: the examples of the documentation";
    let mut test = cargo(ctx, "test --doc --locked --workspace");
    let (status, text) = ui::attempt("examples of the documentation", &log, 600, &mut test)?;
    let passed = |line: &str| line.starts_with("test ") && line.ends_with("... ok");
    let ran = text.lines().any(passed);
    match status.success() && ran {
        true => report.pass(name),
        false => report.fail(name, &proc::tail(&text, 20), Some(&log)),
    }
    Ok(())
}

/// Runs nextest; how many tests passed, or which failed. That none ran is an error.
pub(crate) fn nextest(
    what: &str,
    log: &Path,
    cmd: &mut Command,
) -> Result<Result<usize, Vec<String>>> {
    let (status, text) = ui::attempt(what, log, 1200, cmd)?;
    match summary(&text) {
        Some((passed, _)) if status.success() && passed > 0 => Ok(Ok(passed)),
        Some((_, failures)) if !failures.is_empty() => Ok(Err(failures)),
        _ => {
            proc::succeeded(what, log, status)?;
            bail!("{what}: no test ran\n  log: {}", log.display())
        }
    }
}

/// Reads nextest's closing lines: how many tests passed, and which failed.
fn summary(text: &str) -> Option<(usize, Vec<String>)> {
    let [sum, failed] = [
        r"(?m)^\s*Summary \[.*?\]\s+\d+(?:/\d+)? tests? run: (\d+) passed",
        r"(?m)^\s*(?:FAIL|TIMEOUT|SIGABRT|SIGSEGV|ABORT) \[.*?\]\s*(.*)$",
    ]
    .map(|pattern| Regex::new(pattern).unwrap());
    let found = sum.captures(text)?;
    let end = found.get(0)?.end();
    let failures = failed.captures_iter(&text[end..]);
    let mut failures: Vec<String> = failures.map(|found| found[1].to_owned()).collect();
    failures.dedup();
    Some((found[1].parse().ok()?, failures))
}

fn mutants(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let name = "cargo mutants: the tests notice every change to policy.rs";
    let log = ctx.fresh_log("mutants")?;
    let dir = ctx.build.join("mutants");
    let (out, target) = (dir.join("out"), dir.join("target"));
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    // It works on a copy of what git does not ignore. Mutants that live give exit status 2; lists say which.
    let args = "mutants --gitignore=true --no-shuffle --colors=never --test-tool=nextest --timeout=60 --package=policy";
    let mut mutants = Command::new("cargo");
    mutants
        .args(args.split(' '))
        .arg("--output")
        .arg(&out)
        .arg("--dir")
        .arg(&ctx.root)
        .env("CARGO_TARGET_DIR", target);
    ui::attempt("mutate policy.rs", &log, 1800, &mut mutants)?;
    let list = |name: &str| -> Result<Vec<String>> {
        let text = fs::read_to_string(out.join("mutants.out").join(name));
        let text = text.with_context(|| {
            let (log, tail) = (log.display(), proc::file_tail(&log, 20));
            format!("cargo mutants left no {name}; log: {log}\n{tail}")
        })?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let caught = list("caught.txt")?.len();
    let mut alive = [list("missed.txt")?, list("timeout.txt")?].concat();
    if caught == 0 {
        alive.push("cargo mutants made no mutant of policy.rs, or none was caught".to_owned());
    }
    report.check(&format!("{name} ({caught} caught)"), &alive, Some(&log));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_s_summary() {
        let text = "        PASS [   0.1s] lab a\n------------\n     Summary [   0.557s] 40 tests run: 40 passed, 0 skipped\n";
        assert_eq!(summary(text), Some((40, Vec::new())));
        let text = "     Summary [   0.5s] 3 tests run: 1 passed, 2 failed, 0 skipped\n        FAIL [   0.0s] (1/3) lab tests::x\n     TIMEOUT [  60.0s] lab tests::y\n";
        assert_eq!(
            summary(text).unwrap().1,
            ["(1/3) lab tests::x", "lab tests::y"]
        );
        assert_eq!(summary("error: could not compile"), None);
    }
}
