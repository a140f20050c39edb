//! `mayexec check`.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mayexec::facts::{Facts, Who};
use mayexec::{Policy, Support, Why};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::show;
use crate::status::policy_name;
use crate::{DENIED, FINE, TROUBLE};

/// What would be said of a file under some policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    allowed: bool,
    /// Why not.
    why: Option<&'static str>,
    /// The kernel has said so; otherwise it is an estimate.
    exact: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(serialize_with = "show::serialize")]
    file: PathBuf,
    /// Why nothing can be said.
    error: Option<String>,
    in_force: Option<Answer>,
    /// Under the sysctl at 0, 1, 2 and 3.
    policies: Vec<Answer>,
    securebit: Option<Answer>,
}

/// A reason in a few words.
fn words(why: Why) -> &'static str {
    match why {
        Why::NotRegular => "not a regular file",
        Why::Noexec => "on a noexec mount",
        Why::NotExecutable => "no execute permission",
        Why::Busy => "open for writing by somebody",
        Why::Open => "an ordinary open fails too",
        Why::Guarantee { .. } | Why::Filtered | Why::Unresolved => "the check cannot be made",
        _ => "refused by a security module or a fanotify listener",
    }
}

impl Answer {
    fn new(why: Option<Why>, exact: bool) -> Self {
        Self {
            allowed: why.is_none(),
            why: why.map(words),
            exact,
        }
    }
}

/// What the type, the mount and the permissions say under the policy `bits`.
fn estimate(facts: &Facts, bits: u32) -> Option<Why> {
    if bits != 0 && !facts.is_regular() {
        Some(Why::NotRegular)
    } else if bits & uapi::ENFORCE_MOUNT != 0 && facts.noexec {
        Some(Why::Noexec)
    } else if bits & uapi::ENFORCE_FILE != 0 && !facts.executable {
        Some(Why::NotExecutable)
    } else {
        None
    }
}

/// Both checks, as the kernel answers to AT_EXECVE_CHECK.
fn asked(seen: &OwnedFd, facts: &Facts) -> Option<Why> {
    match uapi::execve_check_fd(seen) {
        Ok(()) => None,
        Err(Errno::TXTBSY) => Some(Why::Busy),
        Err(_) => Some(estimate(facts, 3).unwrap_or(Why::Other)),
    }
}

fn examine(file: &Path, who: &Who) -> Report {
    let mut report = Report {
        file: file.to_owned(),
        error: None,
        in_force: None,
        policies: Vec::new(),
        securebit: None,
    };
    if let Err(errno) = fill(&mut report, who) {
        report.error = Some(std::io::Error::from(errno).to_string());
    }
    report
}

fn fill(report: &mut Report, who: &Who) -> Result<(), Errno> {
    let flags = OFlags::CLOEXEC | OFlags::NOCTTY;
    let seen = rustix::fs::open(&report.file, OFlags::PATH | flags, Mode::empty())?;
    let facts = Facts::of(&seen, who)?;
    if facts.is_regular() {
        // What cannot be read is not opened under any policy.
        let reopened = format!("/proc/self/fd/{}", seen.as_raw_fd());
        rustix::fs::open(reopened, OFlags::RDONLY | flags, Mode::empty())?;
    }
    let support = Support::get();
    // Only a regular file is opened: a FIFO would block, a device might act.
    let in_force = if facts.is_regular() {
        let opened = mayexec::Open::new().open(&report.file);
        Answer::new(opened.err().map(|error| error.why), true)
    } else {
        Answer::new(estimate(&facts, Policy::read().bits()), false)
    };
    report.in_force = Some(in_force);
    let both = (support.execve_check && facts.is_regular()).then(|| asked(&seen, &facts));
    for bits in 0..=3 {
        let guess = estimate(&facts, bits);
        report.policies.push(match (bits, both) {
            (0, _) => Answer::new(None, true),
            // O_MAYEXEC does not mind writers.
            (3, Some(answer)) if answer != Some(Why::Busy) => Answer::new(answer, true),
            _ => Answer::new(guess, false),
        });
    }
    if support.execve_check {
        report.securebit = Some(both.map_or_else(
            || Answer::new(estimate(&facts, 3), false),
            |answer| Answer::new(answer, true),
        ));
    }
    Ok(())
}

fn print(out: &mut impl Write, report: &Report, policy: Policy) -> std::io::Result<()> {
    writeln!(out, "{}", show::name(&report.file))?;
    if let Some(error) = &report.error {
        return writeln!(out, "  cannot be opened: {error}");
    }
    let mut line = |label: &str, answer: &Answer| {
        let verdict = if answer.allowed { "allowed" } else { "denied" };
        let why = answer.why.map_or(String::new(), |why| format!(": {why}"));
        let how = if answer.exact { "" } else { " (estimate)" };
        writeln!(out, "  {label:<26} {verdict}{why}{how}")
    };
    if let Some(answer) = &report.in_force {
        line("in force", answer)?;
    }
    for (bits, answer) in (0..).zip(&report.policies) {
        let own = if policy.system == Some(bits) { "*" } else { "" };
        line(
            &format!("sysctl {bits} ({}){own}", policy_name(bits)),
            answer,
        )?;
    }
    match &report.securebit {
        Some(answer) => line("securebit", answer),
        None => writeln!(
            out,
            "  {:<26} this kernel has no AT_EXECVE_CHECK",
            "securebit"
        ),
    }
}

/// Examines `files`.
pub(crate) fn check(files: &[PathBuf], json: bool) -> Result<u8> {
    let who = Who::caller().context("cannot tell who the caller is")?;
    let policy = Policy::read();
    let reports: Vec<Report> = files.iter().map(|file| examine(file, &who)).collect();
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&reports)?)?;
    } else {
        writeln!(out, "policy in force: {policy}")?;
        for report in &reports {
            print(&mut out, report, policy)?;
        }
    }
    let denied = |report: &Report| report.in_force.as_ref().is_some_and(|a| !a.allowed);
    Ok(if reports.iter().any(|report| report.error.is_some()) {
        TROUBLE
    } else if reports.iter().any(denied) {
        DENIED
    } else {
        FINE
    })
}
