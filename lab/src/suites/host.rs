// SPDX-License-Identifier: GPL-2.0

//! Tests that need no kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::ctx::Ctx;
use crate::guest::HostFault;
use crate::proc;
use crate::report::Report;
use crate::tap::{self, Case, Run, Stream, Verdict};
use crate::ui;

/// The mirrored file that the kernel and the host both compile.
pub(crate) const POLICY: &str = "fs/mayexec/policy.rs";

/// Reads the cases in what a command printed.
pub(crate) type Read = fn(&str) -> Stream;

/// Runs the workspace's tests.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let nextest = "nextest run --locked --workspace --no-fail-fast --color=never";
    let nextest = cargo(ctx, nextest);
    // nextest does not run these.
    let examples = cargo(ctx, "test --doc --locked --workspace");
    let header = open_code(ctx, &ctx.root, "check");
    let all: [(_, _, Read); 3] = [
        ("the tests on the host", nextest, cargo_cases),
        ("the examples of the documentation", examples, cargo_cases),
        ("the header for interpreters", header, header_cases),
    ];
    for (what, mut cmd, read) in all {
        let log = ctx.fresh_log(&format!("host {what}"))?;
        match tests(what, &log, &mut cmd, read) {
            Ok(run) => report.run("", &format!("of {what}"), &run),
            Err(error) => report.fail(what, &format!("{error:#}"), Some(&log)),
        }
    }
    Ok(())
}

/// make with a target of the header for interpreters, which may be that of another checkout.
pub(crate) fn open_code(ctx: &Ctx, root: &Path, target: &str) -> Command {
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(root.join("userspace/open_code"))
        .args(["-sB", "CLANG=clang-19", "CLANGXX=clang++-19"])
        .arg(format!("O={}", open_code_dir(ctx).display()))
        .arg(target);
    make
}

/// The cases of the header for interpreters, which is compiled before, as strictly as nothing else.
pub(crate) fn header_cases(text: &str) -> Stream {
    let (mut cases, trouble) = tap::program("open_code.h", text);
    if cases.is_empty() {
        cases.push(Case::new("open_code.h", "compile", Verdict::Fail, text));
    }
    (cases, trouble)
}

/// Where [`open_code`] puts what it builds.
pub(crate) fn open_code_dir(ctx: &Ctx) -> PathBuf {
    ctx.build.join("open_code")
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

/// Runs a command that tests. That no test ran is an error, and not of what is tested.
pub(crate) fn tests(what: &str, log: &Path, cmd: &mut Command, read: Read) -> Result<Run> {
    let (status, text) = ui::attempt(what, log, 1200, cmd)?;
    let stream = read(&text);
    if stream.0.is_empty() {
        let failed = proc::succeeded(what, log, status);
        let failed = failed.and_then(|()| bail!("no test ran\n  log: {}", log.display()));
        return failed.context(HostFault(what.to_owned()));
    }
    let code = status.code().unwrap_or(-1);
    Ok(Run::of_job(stream, code, log.to_owned()))
}

/// The cases of `cargo nextest`, "PASS [ 0.1s] (1/3) crate name", and of `cargo test`, "test file
/// name ... ok".
pub(crate) fn cargo_cases(text: &str) -> Stream {
    let pattern = r"^(?: *([A-Z-]+) \[.*?\] +(?:\(.*?\) +)?|test )(\S+) (.*?)(?: \.\.\. (\w+))?$";
    let pattern = Regex::new(pattern).unwrap();
    // What follows the summary repeats failures.
    let lines = text.lines().take_while(|line| !line.contains(" Summary ["));
    let cases = lines.filter_map(|line| {
        let found = pattern.captures(line)?;
        let word = found.get(1).or(found.get(4))?.as_str();
        let verdict = match word {
            "SLOW" => return None,
            "PASS" | "LEAK" | "ok" => Verdict::Pass,
            "ignored" => Verdict::Skip,
            _ => Verdict::Fail,
        };
        Some(Case::new(&found[2], &found[3], verdict, word))
    });
    let mut cases: Vec<Case> = cases.collect();
    cases.sort_by(|one, other| one.group.cmp(&other.group));
    (cases, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_tests() {
        let text = "        PASS [   0.557s] (1/3) lab a::b\n        SLOW [> 60.000s] lab c\n        \
            FAIL [   0.0s] (3/3) cli x\n     SIGSEGV [   0.0s] (2/3) cli y\n------------\n     \
            Summary [   0.5s] 3 tests run: 1 passed, 2 failed, 0 skipped\n        FAIL [   0.0s] \
            (1/3) cli x\n";
        let doctest =
            "test src/lib.rs - open (line 12) ... ok\ntest result: ok. 1 passed; 0 failed\n";
        let brief = |text: &str| tap::tests::brief(&cargo_cases(text).0);
        assert_eq!(brief(text), "cli x: Fail, cli y: Fail, lab a::b: Pass");
        assert_eq!(brief(doctest), "src/lib.rs - open (line 12): Pass");
        assert_eq!(brief("error: could not compile `lab`"), "");
    }
}
