// SPDX-License-Identifier: GPL-2.0

//! `mayexec check`.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mayexec::{ExecveCheck, Policy, Why};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::facts::{Facts, Who};
use crate::show;
use crate::show::policy_name;
use crate::{DENIED, FINE, TROUBLE};

/// What would be said of a file under some policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    /// None if there is no telling.
    allowed: Option<bool>,
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
    why.denial().unwrap_or(match why {
        Why::Open => "an ordinary open fails too",
        _ => "the check cannot be made",
    })
}

impl Answer {
    fn new(why: Option<Why>, exact: bool) -> Self {
        Self {
            allowed: Some(why.is_none()),
            why: why.map(words),
            exact,
        }
    }

    /// Something that cannot be seen refuses the file, perhaps for a reason that this policy
    /// does not ask about.
    fn unknown() -> Self {
        Self {
            allowed: None,
            why: Some("the kernel refuses to execute it for a reason that cannot be seen"),
            exact: false,
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

/// What was said when a regular file was tried.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// Under the policy in force.
    in_force: Option<Why>,
    /// By AT_EXECVE_CHECK, where the kernel has it.
    both: Option<Option<Why>>,
}

impl Tried {
    /// Whether something refuses what the policy in force allows. Security modules have rules
    /// of their own, some of them for O_MAYEXEC without a policy.
    fn module(&self) -> bool {
        self.in_force == Some(Why::Other)
    }
}

/// The answers under the sysctl at 0, 1, 2 and 3.
fn foretell(facts: &Facts, tried: Option<Tried>, policy: Policy) -> Vec<Answer> {
    let answer = |bits| match tried {
        Some(tried) if policy.system == Some(bits) && !policy.securebit => {
            Answer::new(tried.in_force, true)
        }
        // An ordinary open has succeeded.
        Some(tried) if bits == 0 => Answer::new(None, !tried.module()),
        // O_MAYEXEC does not mind writers.
        Some(tried) if bits == 3 && tried.both.is_some_and(|both| both != Some(Why::Busy)) => {
            let both = tried.both.flatten();
            // Nor does it ask all security modules that AT_EXECVE_CHECK asks.
            Answer::new(both, both != Some(Why::Other) && !tried.module())
        }
        // A noexec superblock, a server, a module: whether this check alone sees it is not
        // known.
        Some(tried) if tried.both == Some(Some(Why::Other)) && estimate(facts, bits).is_none() => {
            Answer::unknown()
        }
        _ => Answer::new(estimate(facts, bits), false),
    };
    (0..=3).map(answer).collect()
}

/// The answer under the securebit, where the kernel has AT_EXECVE_CHECK.
fn restricted(facts: &Facts, tried: Option<Tried>, policy: Policy) -> Answer {
    match tried {
        Some(tried) if policy.securebit => Answer::new(tried.in_force, true),
        Some(
            tried @ Tried {
                both: Some(both), ..
            },
        ) => Answer::new(both, both.is_some() || !tried.module()),
        _ => Answer::new(estimate(facts, 3), false),
    }
}

fn examine(file: &Path, who: &Who, works: bool) -> Report {
    let mut report = Report {
        file: file.to_owned(),
        error: None,
        in_force: None,
        policies: Vec::new(),
        securebit: None,
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let outcome = rustix::fs::open(file, flags, Mode::empty())
        .and_then(|seen| fill(&mut report, &seen, who, works));
    if let Err(errno) = outcome {
        report.error = Some(mayexec::message(errno));
    }
    report
}

/// Says all of what was seen, whatever its path leads to by now.
fn fill(report: &mut Report, seen: &OwnedFd, who: &Who, works: bool) -> Result<(), Errno> {
    let facts = Facts::of(seen, who)?;
    readable(seen, &facts)?;
    let policy = Policy::read();
    let tried = facts.is_regular().then(|| Tried {
        in_force: mayexec::Open::new()
            .reopen(seen)
            .err()
            .map(|error| error.why),
        both: works.then(|| asked(seen, &facts)),
    });
    report.in_force = Some(match tried {
        Some(tried) => Answer::new(tried.in_force, true),
        None => Answer::new(estimate(&facts, policy.enforced()), false),
    });
    report.policies = foretell(&facts, tried, policy);
    report.securebit = works.then(|| restricted(&facts, tried, policy));
    Ok(())
}

/// What cannot be read is not opened under any policy.
fn readable(seen: &OwnedFd, facts: &Facts) -> Result<(), Errno> {
    let link = format!("/proc/self/fd/{}", seen.as_raw_fd());
    match FileType::from_raw_mode(facts.stat.st_mode) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open(link, flags, Mode::empty()).map(drop)
        }
        FileType::Socket => Err(Errno::NXIO),
        // It is not opened: a FIFO would block, a device might act.
        _ => rustix::fs::accessat(CWD, link, Access::READ_OK, AtFlags::EACCESS),
    }
}

fn print(out: &mut impl Write, report: &Report, policy: Policy) -> std::io::Result<()> {
    writeln!(out, "{}", show::name(&report.file))?;
    if let Some(error) = &report.error {
        return writeln!(out, "  cannot be opened: {error}");
    }
    let mut line = |label: &str, answer: &Answer| {
        let verdict = match answer.allowed {
            Some(true) => "allowed",
            Some(false) => "denied",
            None => "cannot tell",
        };
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
    let works = crate::probe::execve_check() == ExecveCheck::Works;
    let who = Who::caller().context("cannot tell who the caller is")?;
    let policy = Policy::read();
    let reports: Vec<Report> = files
        .iter()
        .map(|file| examine(file, &who, works))
        .collect();
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&reports)?)?;
    } else {
        writeln!(out, "policy in force: {policy}")?;
        for report in &reports {
            print(&mut out, report, policy)?;
        }
    }
    let denied = |report: &Report| {
        report
            .in_force
            .as_ref()
            .is_some_and(|a| a.allowed == Some(false))
    };
    Ok(if reports.iter().any(|report| report.error.is_some()) {
        TROUBLE
    } else if reports.iter().any(denied) {
        DENIED
    } else {
        FINE
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(path: &Path, mode: u32) -> OwnedFd {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        see(path)
    }

    fn see(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn report(file: PathBuf) -> Report {
        Report {
            file,
            error: None,
            in_force: None,
            policies: Vec::new(),
            securebit: None,
        }
    }

    fn works() -> bool {
        crate::probe::execve_check() == ExecveCheck::Works
    }

    #[test]
    fn the_file_that_was_seen_is_judged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let seen = put(&path, 0o755);
        fs::remove_file(&path).unwrap();
        let mut report = report(path);
        fill(&mut report, &seen, &Who::caller().unwrap(), works()).unwrap();
        let answer = report.in_force.unwrap();
        assert!(answer.exact && answer.allowed == Some(true), "{answer:?}");
    }

    #[test]
    fn what_is_not_tried_is_estimated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        let who = Who::caller().unwrap();
        let found = examine(&path, &who, works());
        assert!(found.policies[0].allowed == Some(true) && !found.policies[0].exact);
        assert!(found.policies[3].allowed == Some(false) && !found.policies[3].exact);

        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(examine(&socket, &who, works()).error.is_some());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let seen = see(&path);
        // Of this thread only, and without root's capabilities.
        uapi::set_fs_ids(65534, 65534);
        let mut report = report(path);
        let outcome = fill(&mut report, &seen, &Who::caller().unwrap(), works());
        assert_eq!(outcome, Err(Errno::ACCESS));
    }

    #[test]
    fn what_only_another_check_was_asked_is_an_estimate() {
        let dir = tempfile::tempdir().unwrap();
        let seen = put(&dir.path().join("x"), 0o755);
        let facts = Facts::of(&seen, &Who::caller().unwrap()).unwrap();
        let policy = |system, securebit| Policy {
            system,
            securebit,
            ..Policy::default()
        };
        let none = policy(Some(0), false);
        let answers = |in_force, both, policy| {
            let tried = Tried {
                in_force,
                both: Some(both),
            };
            foretell(&facts, Some(tried), policy)
                .iter()
                .map(|answer| (answer.allowed, answer.exact))
                .collect::<Vec<_>>()
        };
        let (other, mode) = (Some(Why::Other), Some(Why::NotExecutable));
        let (exact, estimate) = ((Some(true), true), (Some(true), false));
        let (refused, denied) = ((Some(false), true), (Some(false), false));
        let unknown = (None, false);
        assert_eq!(
            answers(None, None, none),
            [exact, estimate, estimate, exact]
        );
        assert_eq!(
            answers(None, other, none),
            [exact, unknown, unknown, denied],
            "a hook that only an execution has"
        );
        assert_eq!(answers(None, mode, none)[3], refused);
        assert_eq!(answers(None, Some(Why::Busy), none)[3], estimate);
        assert_eq!(
            answers(other, None, none),
            [refused, estimate, estimate, estimate],
            "a module refuses whatever the policy is"
        );
        assert_eq!(
            answers(other, other, policy(Some(3), false)),
            [estimate, unknown, unknown, refused]
        );
        assert_eq!(
            answers(mode, mode, policy(Some(0), true))[0],
            exact,
            "the securebit's answer is not the sysctl's"
        );

        let answer = |in_force, both, securebit| {
            let tried = Tried {
                in_force,
                both: Some(both),
            };
            let answer = restricted(&facts, Some(tried), policy(Some(0), securebit));
            (answer.allowed, answer.exact)
        };
        assert_eq!(answer(None, None, false), exact);
        assert_eq!(answer(None, other, false), refused);
        assert_eq!(answer(other, None, false), estimate);
        assert_eq!(answer(other, None, true), refused);
    }
}
