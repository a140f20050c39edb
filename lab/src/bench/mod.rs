// SPDX-License-Identifier: GPL-2.0

//! `make bench`: what an open costs, with the series and without, in instructions.

mod code;
mod figures;
mod page;
mod targets;

use fs_err as fs;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use guest::bench::Line;
use regex::Regex;

use self::figures::{CONFIGS, Comparison, Results};
use self::targets::targets;
use crate::ctx::{Ctx, write_whole};
use crate::git::Git;
use crate::guest::{Boot, static_program};
use crate::kernel::Kernel;
use crate::proc;
use crate::report::more;
use crate::results::{self, Clock};
use crate::session::Session;
use crate::variants::{BPF, REALISTIC, REALISTIC_OFF};

const DIR: &str = "docs/bench";

/// The kernel's command line: no address is random.
const CMDLINE: [&str; 3] = ["kunit.enable=0", "nokaslr", "norandmaps"];

/// The name of the row in docs/results.md.
pub(crate) const NAME: &str = "instructions of opens";

/// Measures everything, writes docs/bench/ and compares it with what is committed; whether
/// nothing got worse.
pub(crate) fn run(ctx: &Ctx) -> Result<bool> {
    let clock = Clock::start();
    let session = Session::open(ctx)?;
    let (base, tip) = (session.tree.base.clone(), session.tip().to_owned());
    let minimal = [&session.base_kernel()?, &session.tip_kernel()?];
    let program = static_program(ctx, "bench");

    let mut results = Results {
        versions: versions(&session.tools()?.versions)?,
        ..Results::default()
    };
    // What can be measured is, before the kernels that take longest are built.
    let measure = |results: &mut Results, config: &str, kernels: [&Kernel; 2]| -> Result<()> {
        // The files for git are the same in each run.
        let tree = session.at(&tip)?.dir().join("fs");
        for (side, kernel) in ["base", "series"].into_iter().zip(kernels) {
            let name = format!("count {config} {side}");
            let args = ["count", "--tree", &tree.to_string_lossy()];
            let count = Boot {
                counted: true,
                ..Boot::new(ctx, kernel, &name, &args).program(&program)
            };
            counts(results, config, side, boot(count)?)?;
        }
        Ok(())
    };
    measure(&mut results, CONFIGS[0], minimal)?;
    // The kernel for BPF programs has the function tracer.
    let traced = session.kernel("the kernel with BPF", &tip, &BPF)?;
    let traces = boot(Boot::new(ctx, &traced, "trace", &["trace"]).program(&program))?;
    tracing(&mut results, &traces)?;

    let plain = session.kernel("the base, realistic", &base, &REALISTIC)?;
    let series = session.kernel("the series, realistic", &tip, &REALISTIC)?;
    let off = session.kernel("the series, realistic, not enabled", &tip, &REALISTIC_OFF)?;
    let first = session.first_posting();
    let first = session.kernel("the first posting, realistic", first, &REALISTIC)?;
    measure(&mut results, CONFIGS[1], [&plain, &series])?;
    let threads = Boot {
        cpus: 8,
        ..Boot::new(ctx, &series, "threads", &["threads"]).program(&program)
    };
    for line in boot(threads)? {
        if let Line::Ratio(ratio) = line {
            #[expect(clippy::cast_possible_truncation, reason = "a few hundred at most")]
            let percent = ratio.runs.iter().map(|run| (run * 100.0).round() as i64);
            results.threads.insert(ratio.threads, percent.collect());
        }
    }
    code_figures(&mut results, [&plain, &series, &first, &off])?;
    let met = publish(ctx, &results)?;
    let found = compare(ctx, &results)?;
    let [worse, better] = [&found.worse, &found.better].map(|lines| lines.len().to_string());
    let cells = [&[met, worse, better][..], &clock.cells()].concat();
    results::record(ctx, "bench", NAME, &cells)?;
    Ok(found.worse.is_empty())
}

/// Figures of the code itself.
fn code_figures(results: &mut Results, kernels: [&Kernel; 4]) -> Result<()> {
    let mut keep = |name: &str, value| {
        results.figures.insert(format!("code/{name}"), vec![value]);
    };
    let bytes =
        |kernel: &Kernel| code::text_bytes(&fs::read_to_string(kernel.dir.join("System.map"))?);
    for (kernel, name) in kernels[1..].iter().zip(["enabled", "first", "off"]) {
        keep(&format!("text-{name}"), bytes(kernel)? - bytes(kernels[0])?);
    }
    let mut objdump = Command::new(format!("llvm-objdump{}", crate::toolchain::LLVM));
    objdump
        .args(["--disassemble", "--no-show-raw-insn", "--print-imm-hex"])
        .arg(kernels[1].dir.join("mayexec.o"));
    let text = proc::capture(&mut objdump)?;
    // The policy's entry point.
    keep("stack", code::stack_bytes(&text, "mayexec_permission")?);
    Ok(())
}

/// Writes docs/bench/, says which targets are met, and returns how many.
fn publish(ctx: &Ctx, results: &Results) -> Result<String> {
    let dir = ctx.root.join(DIR);
    let targets = targets(results);
    let filled = |template| page::filled(template, results, &targets);
    let figures = serde_json::to_string_pretty(results)?;
    for (file, text) in [
        ("README.md", filled(page::PAGE)),
        ("opens.svg", filled(page::PLOT)),
        ("results.json", figures + "\n"),
    ] {
        if results::are_kept(ctx) {
            write_whole(&dir.join(file), text.as_bytes())?;
            println!("{}", ctx.show(&dir.join(file)));
        }
    }
    for target in &targets {
        let met = if target.met { "ok    " } else { "MISSED" };
        let (what, found, aim) = (&target.what, &target.found, &target.aim);
        println!("{met} {what}: {found}, target: {aim}");
    }
    let met = targets.iter().filter(|target| target.met).count();
    Ok(format!("{met} of {}", targets.len()))
}

/// Compares with the figures of the last commit and says what differs.
fn compare(ctx: &Ctx, results: &Results) -> Result<Comparison> {
    let committed = format!("HEAD:./{DIR}/results.json");
    let committed = Git::at(&ctx.root).run(["show", &committed])?;
    let old: Results =
        serde_json::from_str(&committed).context("the committed figures cannot be read")?;
    let found = results.compare(&old);
    for (what, lines) in [
        ("other tools than before", &found.versions),
        ("better", &found.better),
        ("WORSE", &found.worse),
    ] {
        lines.iter().for_each(|line| println!("{what}: {line}"));
    }
    println!(
        "{} figures compared with the committed ones: {} worse by more than 1%, {} better",
        old.figures.len() + old.differences().len(),
        found.worse.len(),
        found.better.len()
    );
    Ok(found)
}

/// What the figures depend on.
fn versions(compilers: &str) -> Result<BTreeMap<String, String>> {
    let qemu = results::version("qemu-system-x86_64")?;
    let known =
        |line: &&str| line.contains("clang") || line.contains("LLD") || line.starts_with("rustc");
    let compilers = Vec::from_iter(compilers.lines().filter(known)).join(", ");
    let versions = [("compilers", compilers), ("qemu", qemu)];
    Ok(versions.map(|(of, is)| (of.to_owned(), is)).into())
}

/// Runs the program in a guest; what it says.
fn boot(boot: Boot<'_>) -> Result<Vec<Line>> {
    let boot = Boot {
        cmdline: CMDLINE.to_vec(),
        limit: Duration::from_secs(1200),
        ..boot
    };
    lines(&boot.succeed()?.output)
}

/// The lines of the program's output that are for this one.
fn lines(output: &str) -> Result<Vec<Line>> {
    let own = output.lines().filter(|line| line.starts_with('{'));
    own.map(|line| serde_json::from_str(line).with_context(|| format!("not a figure: {line}")))
        .collect()
}

/// Keeps the figures of one kernel.
fn counts(results: &mut Results, config: &str, side: &str, lines: Vec<Line>) -> Result<()> {
    for line in lines {
        match line {
            Line::Count(count) => {
                let name = format!("{config}/{side}/{}", count.name);
                let runs: Result<_, _> = count.runs.into_iter().map(i64::try_from).collect();
                results.figures.insert(name, runs?);
            }
            Line::Fact(name, value) if name == "has the flag" => {
                if value != (side == "series").to_string() {
                    bail!("{config}: the kernel of the {side} is not what it should be");
                }
            }
            Line::Fact(name, value) => {
                results.versions.insert(name, value);
            }
            Line::Trace(_) | Line::Ratio(_) => bail!("not a count: {line:?}"),
        }
    }
    Ok(())
}

/// What a flagged open calls and allocates more than a plain one.
fn tracing(results: &mut Results, lines: &[Line]) -> Result<()> {
    let find = |wanted: &str| {
        let found = lines.iter().find_map(|line| match line {
            Line::Trace(trace) if trace.name == wanted => Some(trace),
            _ => None,
        });
        found.with_context(|| format!("the guest has traced no {wanted} open"))
    };
    let (plain, flagged) = (find("plain")?, find("flagged")?);
    let lock = Regex::new(r"(^|_)(try)?lock(_|$)|^lockref_|^down_(read|write)|^contention_begin")?;
    let is_lock = |name: &&String| {
        lock.is_match(name) && !name.contains("rcu_read") && !name.contains("unlock")
    };
    for (side, trace) in [("plain", plain), ("flagged", flagged)] {
        let locks = trace.functions.iter().filter(is_lock).count();
        for (what, count) in [("allocations", trace.allocations.len()), ("locks", locks)] {
            let name = format!("tracing/{side}/{what}");
            results.figures.insert(name, vec![i64::try_from(count)?]);
        }
    }
    results.functions = more(&plain.functions, &flagged.functions, str::to_owned);
    if results.functions.is_empty() {
        bail!("the trace of a flagged open shows no function that a plain one does not call");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use guest::bench::{Count, Trace};

    use super::*;

    fn count(name: &str, runs: &[u64]) -> Line {
        Line::Count(Count {
            name: name.to_owned(),
            runs: runs.to_vec(),
        })
    }

    fn measured(flagged: u64) -> Results {
        let mut results = Results::default();
        let base = vec![count("unflagged/openat2", &[4000; 3])];
        counts(&mut results, "minimal", "base", base).unwrap();
        let series = vec![
            count("unflagged/openat2", &[4001; 3]),
            count("flagged/policy-0/allowed", &[flagged; 3]),
            count("today/execve-check", &[54_000, 54_001, 54_002]),
            count("growth/depth/1/plain", &[10; 3]),
            count("growth/depth/1/flagged", &[12; 3]),
            count("growth/depth/2/plain", &[20; 3]),
            count("growth/depth/2/flagged", &[23; 3]),
        ];
        counts(&mut results, "minimal", "series", series).unwrap();
        results
    }

    #[test]
    fn output_is_read_between_other_lines() {
        let text = "noise\n{\"fact\":[\"git\",\"2\"]}\n";
        let fact = Line::Fact("git".to_owned(), "2".to_owned());
        assert_eq!(lines(text).unwrap(), [fact]);
        assert!(lines("{\"unknown\":1}\n").is_err());
    }

    #[test]
    fn a_kernel_that_is_another_is_noticed() {
        let line = |flag: bool| Line::Fact("has the flag".to_owned(), flag.to_string());
        let mut results = Results::default();
        assert!(counts(&mut results, "minimal", "base", vec![line(false)]).is_ok());
        assert!(counts(&mut results, "minimal", "base", vec![line(true)]).is_err());
        assert!(counts(&mut results, "minimal", "series", vec![line(false)]).is_err());
    }

    #[test]
    fn targets_are_met_or_missed() {
        let met = |results: &Results, what: &str| {
            let targets = targets(results);
            let mut named = targets.iter().filter(|target| target.what.contains(what));
            named.next().unwrap().met
        };
        let fine = measured(4021);
        assert!(met(&fine, "minimal: an open without"));
        assert!(met(&fine, "minimal: O_MAYEXEC under policy-0"));
        assert!(!met(&measured(4022), "minimal: O_MAYEXEC under policy-0"));
        // It grows by 1, and what is not measured is not met.
        assert!(!met(&fine, "growth of the flag's cost with the depth"));
        assert!(!met(&fine, "minimal: O_MAYEXEC under policy-3"));
        assert!(!met(&fine, "realistic: an open without"));
    }

    #[test]
    fn a_trace_shows_what_is_more() {
        let trace = |name: &str, functions: &str, allocations: &str| {
            let owned = |words: &str| words.split(' ').map(str::to_owned).collect();
            Line::Trace(Trace {
                name: name.to_owned(),
                functions: owned(functions),
                allocations: owned(allocations),
            })
        };
        let plain = trace("plain", "do_open _raw_spin_lock", "a");
        let functions = "do_open mayexec_permission __rcu_read_lock _raw_spin_unlock _raw_spin_lock _raw_spin_lock";
        let flagged = trace("flagged", functions, "a b");
        let mut results = Results::default();
        tracing(&mut results, &[plain.clone(), flagged]).unwrap();
        assert_eq!(results.difference("tracing/locks"), Some(1));
        assert_eq!(results.difference("tracing/allocations"), Some(1));
        let own = "mayexec_permission __rcu_read_lock _raw_spin_unlock _raw_spin_lock";
        assert_eq!(results.functions.join(" "), own);
        assert!(tracing(&mut results, std::slice::from_ref(&plain)).is_err());
    }
}
