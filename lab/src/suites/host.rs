// SPDX-License-Identifier: GPL-2.0

//! Tests that need no kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::Deserialize;

use crate::ctx::Ctx;
use crate::proc::Logged;
use crate::report::Report;
use crate::tap::{self, Run, Verdict};
use crate::ui::Stage;

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
    let stage = Stage::begin("the header for interpreters", Some(&log));
    let status = Logged::new("make check", &log)
        .limit(Duration::from_secs(300))
        .status(&mut open_code(ctx, &ctx.root, "check"), |_| stage.at(""))?;
    stage.done("");
    let text = fs::read_to_string(&log)?;
    let (cases, trouble) = tap::program(HEADER, &text);
    let mut trouble = Vec::from_iter(trouble);
    if !status.success() && cases.iter().all(|case| case.verdict != Verdict::Fail) {
        trouble.push(crate::proc::tail(&text, 20));
    }
    report.run(
        "",
        &format!("of {HEADER}'s tests"),
        &Run {
            cases,
            trouble,
            log,
        },
    );
    Ok(())
}

/// cargo with a command for the workspace of the tools.
pub(crate) fn cargo(ctx: &Ctx, command: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(command)
        .arg("--manifest-path")
        .arg(ctx.root.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", ctx.build.join("cargo"));
    cargo
}

fn tests(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let log = ctx.fresh_log("nextest")?;
    let name = "cargo nextest";
    let outcome = nextest(
        "tests on the host",
        &log,
        cargo(ctx, &["nextest", "run"]).args([
            "--locked",
            "--workspace",
            "--no-fail-fast",
            "--color=never",
        ]),
    );
    match outcome {
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
    let stage = Stage::begin("examples of the documentation", Some(&log));
    let status = Logged::new("cargo test --doc", &log)
        .limit(Duration::from_secs(600))
        .status(
            cargo(ctx, &["test", "--doc"]).args(["--locked", "--workspace"]),
            |_| stage.at(""),
        )?;
    stage.done("");
    let text = fs::read_to_string(&log)?;
    let ran = text
        .lines()
        .any(|line| line.starts_with("test ") && line.ends_with("... ok"));
    match status.success() && ran {
        true => report.pass(name),
        false => report.fail(name, &crate::proc::tail(&text, 20), Some(&log)),
    }
    Ok(())
}

/// Runs nextest; how many tests passed, or which failed. That none ran is an error.
pub(crate) fn nextest(
    what: &str,
    log: &Path,
    cmd: &mut Command,
) -> Result<Result<usize, Vec<String>>> {
    let stage = Stage::begin(what, Some(log));
    let mut text = String::new();
    let status = Logged::new("cargo nextest", log)
        .limit(Duration::from_secs(1200))
        .status(cmd, |line| {
            text.push_str(line);
            text.push('\n');
            stage.at("");
        })?;
    stage.done("");
    match summary(&text) {
        Some(summary) if status.success() && summary.passed > 0 => Ok(Ok(summary.passed)),
        Some(summary) if !summary.failures.is_empty() => Ok(Err(summary.failures)),
        _ => bail!(
            "{what}: {status}\n  log: {}\n{}",
            log.display(),
            crate::proc::file_tail(log, 20)
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Summary {
    passed: usize,
    failures: Vec<String>,
}

/// Reads nextest's closing lines.
fn summary(text: &str) -> Option<Summary> {
    // Cannot fail: the pattern is a constant, and a test uses it.
    #[expect(clippy::unwrap_used, reason = "constant pattern")]
    let pattern =
        Regex::new(r"(?m)^\s*Summary \[.*?\]\s+\d+(?:/\d+)? tests? run: (\d+) passed").unwrap();
    let found = pattern.captures(text)?;
    let end = found.get(0)?.end();
    let mut failures: Vec<String> = text[end..]
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV [", "ABORT ["]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .map(|line| {
            line.split_once(']')
                .map_or(line, |(_, name)| name.trim())
                .to_owned()
        })
        .collect();
    failures.dedup();
    Some(Summary {
        passed: found[1].parse().ok()?,
        failures,
    })
}

/// What cargo-mutants writes to outcomes.json.
#[derive(Debug, Deserialize)]
struct Outcomes {
    total_mutants: usize,
    missed: usize,
    caught: usize,
    timeout: usize,
    #[serde(default)]
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    summary: String,
    scenario: serde_json::Value,
}

impl Outcomes {
    /// Mutants that no test noticed, by name.
    fn alive(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.summary.as_str(), "MissedMutant" | "Timeout"))
            .map(|outcome| {
                let name = outcome
                    .scenario
                    .pointer("/Mutant/name")
                    .and_then(|name| name.as_str());
                format!("{}: {}", outcome.summary, name.unwrap_or("(unnamed)"))
            })
            .collect()
    }
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
    let step = Stage::begin("mutate policy.rs", Some(&log));
    // It works on a copy of what git does not ignore. Mutants that live give exit status 2; outcomes.json says which.
    let args = "mutants --gitignore=true --no-shuffle --colors=never --test-tool=nextest --timeout=60 --package=policy";
    Logged::new("cargo mutants", &log)
        .limit(Duration::from_secs(1800))
        .status(
            Command::new("cargo")
                .args(args.split(' '))
                .arg("--output")
                .arg(&out)
                .arg("--dir")
                .arg(&ctx.root)
                .env("CARGO_TARGET_DIR", target),
            |line| step.at(line),
        )?;
    step.done("");
    let verdict = out.join("mutants.out/outcomes.json");
    let bytes = fs::read(&verdict).with_context(|| {
        format!(
            "cargo mutants left no outcomes; log: {}\n{}",
            log.display(),
            crate::proc::file_tail(&log, 20)
        )
    })?;
    let outcomes: Outcomes = serde_json::from_slice(&bytes)
        .with_context(|| format!("cannot read {}", verdict.display()))?;
    let alive = outcomes.alive();
    if outcomes.total_mutants == 0 || outcomes.caught == 0 {
        report.fail(
            name,
            "cargo mutants made no mutant of policy.rs, or none was caught",
            Some(&log),
        );
    } else if outcomes.missed + outcomes.timeout > 0 || !alive.is_empty() {
        report.fail(
            name,
            &format!(
                "{} of {} mutants live:\n{}",
                outcomes.missed + outcomes.timeout,
                outcomes.total_mutants,
                alive.join("\n")
            ),
            Some(&verdict),
        );
    } else {
        report.pass(&format!("{name} ({} caught)", outcomes.caught));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_s_summary() {
        let text = "        PASS [   0.1s] lab a\n------------\n     Summary [   0.557s] 40 tests run: 40 passed, 0 skipped\n";
        assert_eq!(
            summary(text),
            Some(Summary {
                passed: 40,
                failures: Vec::new()
            })
        );
        let text = "     Summary [   0.5s] 3 tests run: 1 passed, 2 failed, 0 skipped\n        FAIL [   0.0s] (1/3) lab tests::x\n     TIMEOUT [  60.0s] lab tests::y\n";
        assert_eq!(
            summary(text).unwrap().failures,
            ["(1/3) lab tests::x", "lab tests::y"]
        );
        assert_eq!(summary("error: could not compile"), None);
    }

    #[test]
    fn living_mutants_are_named() {
        let text = r#"{"outcomes":[{"scenario":"Baseline","summary":"Success"},
            {"scenario":{"Mutant":{"name":"policy.rs:1: replace x"}},"summary":"MissedMutant"},
            {"scenario":{"Mutant":{"name":"y"}},"summary":"CaughtMutant"}],
            "total_mutants":2,"missed":1,"caught":1,"timeout":0,"unviable":0,"success":0}"#;
        let outcomes: Outcomes = serde_json::from_str(text).unwrap();
        assert_eq!(outcomes.alive(), ["MissedMutant: policy.rs:1: replace x"]);
        assert!(serde_json::from_str::<Outcomes>("{}").is_err());
    }
}
