// SPDX-License-Identifier: GPL-2.0

//! The kernel's other subsystems as consumers of the flag, in guests.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::guest::Boot;
use crate::kernel::{self, Kernel};
use crate::report::{Check, Report};
use crate::selftests;
use crate::session::Session;
use crate::tap::{MAY_SKIP, Run, Verdict};
use crate::variants::{BPF, CONSUMERS};

/// Turns on what a boot decides.
const CMDLINE: [&str; 3] = ["lsm=landlock,apparmor,ipe", "audit=1", "ipe.enforce=0"];

/// Whose tests run here, wherever they are. Those that are nowhere are missed.
const NAMES: [&str; 11] = [
    "apparmor",
    "audit",
    "fanotify",
    "fapolicyd",
    "ima",
    "ipe",
    "landlock",
    "marks",
    "signature",
    "trace",
    "tracers",
];

/// The consumers that exclude another one, or mediate everything that a guest does: each
/// has a boot of its own.
const ALONE: [(&str, &[&str]); 3] = [
    ("selinux", &["lsm=selinux", "audit=1"]),
    ("smack", &["lsm=smack", "audit=1"]),
    ("tomoyo", &["lsm=tomoyo"]),
];

/// The series' kernel with all consumers.
pub(crate) fn kernel(session: &Session<'_>) -> Result<Kernel> {
    session.kernel("the kernel with all consumers", session.tip(), &CONSUMERS)
}

/// Runs the tests of those consumers that the bundle has tests of.
fn tests(tools: &Path, bundle: &Path, boot: Boot<'_>) -> Result<Run> {
    let (there, _) = wanted(bundle)?;
    let mut boot = boot.tools(tools);
    boot.cmdline.extend(CMDLINE);
    selftests::run(boot, &there)
}

/// The row of BPF programs that are security modules; no suite has their kernel.
pub(crate) fn of_bpf(session: &Session<'_>) -> Result<Check> {
    let kernel = session.kernel("the kernel with BPF", session.tip(), &BPF)?;
    let bundle = session.selftests()?;
    let run = bpf(
        &bundle,
        selftests::boot(session.ctx, &kernel, "bpf", &bundle),
    )?;
    let claim = "BPF programs in hooks of security modules see the flag";
    Ok(Check::new(claim).also_run(&run, &[Verdict::Pass], ""))
}

/// Runs their tests.
pub(crate) fn bpf(bundle: &Path, mut boot: Boot<'_>) -> Result<Run> {
    boot.cmdline.push("lsm=landlock,bpf");
    selftests::run(boot, &selftests::testing(bundle, &["bpf"])?)
}

/// Runs the program of one consumer of [`ALONE`] in its boot.
fn alone(
    tools: &Path,
    program: &String,
    (name, cmdline): (&str, &[&'static str]),
    boot: &Boot<'_>,
) -> Result<Run> {
    let mut boot = boot.clone().tools(tools);
    boot.name += &format!(" {name}");
    boot.cmdline.extend(cmdline);
    selftests::run(boot, std::slice::from_ref(program))
}

/// As [`tests`]; those with a boot of their own follow if nothing is wrong before.
pub(crate) fn all_tests(session: &Session<'_>, bundle: &Path, boot: &Boot<'_>) -> Result<Run> {
    let own = selftests::own(bundle)?;
    let tools = tools(session)?;
    let mut run = tests(&tools, bundle, boot.clone())?;
    for consumer in ALONE {
        if !run.problems(&MAY_SKIP).is_empty() {
            break;
        }
        if let Ok(program) = selftests::program_of(&own, consumer.0) {
            run = alone(&tools, program, consumer, boot)?;
        }
    }
    Ok(run)
}

/// The programs that are there, and the consumers without one.
fn wanted(bundle: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let own = selftests::own(bundle)?;
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for name in NAMES {
        match selftests::program_of(&own, name) {
            Ok(program) => there.push(program.clone()),
            Err(error) => missing.push(error.to_string()),
        }
    }
    Ok((there, missing))
}

/// Runs the tests of all consumers, of which none may be missing nor skip.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let kernel = kernel(session)?;
    let bundle = session.selftests()?;
    let (_, missing) = wanted(&bundle)?;
    report.check("every consumer has its test", &missing, None);
    report.outcome(
        "the kernel has what the selftests' config asks for",
        unmet(session, &kernel, &bundle),
    );
    let boot = selftests::boot(session.ctx, &kernel, "consumers", &bundle);
    let (own, tools) = (selftests::own(&bundle)?, tools(session)?);
    // A guest of one CPU keeps one core busy.
    let (run, others) = rayon::join(
        || tests(&tools, &bundle, boot.clone()),
        || {
            ALONE.map(|consumer| {
                let program = selftests::program_of(&own, consumer.0);
                let run = program.and_then(|program| alone(&tools, program, consumer, &boot));
                (consumer.0, run)
            })
        },
    );
    for (name, run) in [("all consumers", run)].into_iter().chain(others) {
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                report.fail(name, &format!("{error:#}"), None);
                continue;
            }
        };
        report.run("", &format!("with {name}"), &run);
        let skipped = run.wrong(&[Verdict::Pass, Verdict::Fail]);
        report.check(
            &format!("with {name}, none is missing"),
            &skipped,
            Some(&run.log),
        );
    }
    Ok(())
}

/// The options that a collection of the bundle wants and neither the kernel has nor one of those of
/// `make verify`.
fn unmet(session: &Session<'_>, kernel: &Kernel, bundle: &Path) -> Result<Vec<String>> {
    let others = ["bpf.config", "filesystems.config"];
    let others = kernel::fragment(session.ctx, others, &[])?;
    let config = fs::read_to_string(kernel.dir.join("config"))? + &others;
    let mut unmet = Vec::new();
    for collection in selftests::OWN {
        // The kernel's rules install it beside the programs.
        let wanted = fs::read_to_string(bundle.join(collection).join("config"))?;
        let missing = kernel::unmet(&wanted, &config);
        unmet.extend(missing.iter().map(|line| format!("{collection}: {line}")));
    }
    Ok(unmet)
}

/// What scripts/setup.sh has unpacked: daemons that nobody wants on the host.
pub(crate) fn tools(session: &Session<'_>) -> Result<PathBuf> {
    let dir = session.ctx.build.join("guest-tools");
    if !dir.is_dir() {
        bail!(
            "{} is missing: scripts/setup.sh test makes it",
            dir.display()
        );
    }
    Ok(dir)
}
