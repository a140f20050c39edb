// SPDX-License-Identifier: GPL-2.0

//! `mayexec check`.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mayexec::{ExecveCheck, Policy, Why};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::facts::{Facts, Who};
use crate::kernel::{ENFORCE_FILE, ENFORCE_MOUNT};
use crate::probe::Both;
use crate::show::policy_name;
use crate::{DENIED, FINE, TROUBLE, probe, show, sys};

/// How many files are open at once, while a child is asked about them.
const BATCH: usize = 64;

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
    /// The bytes of a name that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<String>,
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

    /// There is no telling.
    fn unknown(why: &'static str) -> Self {
        Self {
            allowed: None,
            why: Some(why),
            exact: false,
        }
    }
}

/// Something that cannot be seen refuses the file, perhaps for a reason that the policy does
/// not ask about.
const UNSEEN: &str = "the kernel refuses to execute it for a reason that cannot be seen";

/// Modes mean what the server wants, or the daemon.
const REMOTE: &str = "the server or the daemon of this filesystem decides";

/// What the type, the mount and the permissions say under the policy `bits`.
fn estimate(facts: &Facts, bits: u32) -> Option<Why> {
    if bits != 0 && !facts.is_regular() {
        Some(Why::NotRegular)
    } else if bits & ENFORCE_MOUNT != 0 && facts.noexec {
        Some(Why::Noexec)
    } else if bits & ENFORCE_FILE != 0 && !facts.executable {
        Some(Why::NotExecutable)
    } else {
        None
    }
}

/// What was said when a regular file was tried.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// Under the policy in force.
    in_force: Option<Why>,
    /// With both checks in force.
    both: Both,
}

impl Tried {
    /// Whether something refuses what the policy in force allows. Security modules have rules
    /// of their own, some of them for O_MAYEXEC without a policy.
    fn module(&self) -> bool {
        self.in_force == Some(Why::Other)
    }
}

/// Why the kernel has refused what it has, as far as can be seen.
fn reason(answer: probe::Answer, facts: &Facts) -> Option<Why> {
    match answer {
        Ok(()) => None,
        Err(Errno::TXTBSY) => Some(Why::Busy),
        Err(_) => Some(estimate(facts, ENFORCE_MOUNT | ENFORCE_FILE).unwrap_or(Why::Other)),
    }
}

/// The answers under the sysctl at 0, 1, 2 and 3.
fn foretell(facts: &Facts, tried: Option<Tried>, policy: Policy) -> Vec<Answer> {
    (0..=3)
        .map(|bits| foretell_one(facts, tried, policy, bits))
        .collect()
}

fn foretell_one(facts: &Facts, tried: Option<Tried>, policy: Policy, bits: u32) -> Answer {
    let guess = Answer::new(estimate(facts, bits), false);
    let Some(tried) = tried else {
        return guess;
    };
    if policy.system == Some(bits) && !policy.securebit {
        return Answer::new(tried.in_force, true);
    }
    // An ordinary open has succeeded.
    if bits == 0 {
        return Answer::new(None, !tried.module());
    }
    // O_MAYEXEC does not mind writers.
    let execve = tried
        .both
        .execve
        .filter(|&answer| answer != Err(Errno::TXTBSY));
    let execve = execve.map(|answer| reason(answer, facts));
    let flag = tried.both.flag.map(|answer| reason(answer, facts));
    match (flag, execve) {
        (Some(why), _) if bits == 3 => Answer::new(why, true),
        // Both checks allow it, so each does.
        (Some(None), _) => Answer::new(None, false),
        // A noexec filesystem refuses whatever its server says.
        _ if facts.remote && bits & ENFORCE_FILE != 0 && flag.is_none() => {
            match estimate(facts, bits & ENFORCE_MOUNT) {
                Some(why) => Answer::new(Some(why), false),
                None => Answer::unknown(REMOTE),
            }
        }
        // O_MAYEXEC does not ask all security modules that AT_EXECVE_CHECK asks.
        (None, Some(why)) if bits == 3 => {
            Answer::new(why, why != Some(Why::Other) && !tried.module())
        }
        (None, Some(None)) => Answer::new(None, false),
        // Whether this check alone sees what refuses the file is not known.
        (Some(Some(Why::Other)), _) | (None, Some(Some(Why::Other)))
            if guess.allowed == Some(true) =>
        {
            Answer::unknown(UNSEEN)
        }
        _ => guess,
    }
}

/// The answer under the securebit, where the kernel has AT_EXECVE_CHECK: programs that make
/// that check obey the bit whoever has set it.
fn restricted(facts: &Facts, tried: Option<Tried>, policy: Policy) -> Answer {
    let Some(tried) = tried else {
        return Answer::new(estimate(facts, 3), false);
    };
    if policy.securebit {
        return Answer::new(tried.in_force, true);
    }
    let flag = tried.both.flag.filter(|answer| answer.is_err());
    match flag.or(tried.both.execve) {
        Some(answer) => {
            let why = reason(answer, facts);
            Answer::new(why, why.is_some() || !tried.module())
        }
        None if facts.remote => Answer::unknown(REMOTE),
        None => Answer::new(estimate(facts, 3), false),
    }
}

/// A file that was found, if it was.
fn see(file: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Says all of what was seen, whatever the paths lead to by now.
fn examine(files: &[PathBuf], seen: &[Result<OwnedFd, Errno>], asks: Asks<'_>) -> Vec<Report> {
    let mut facts = Vec::new();
    for seen in seen {
        facts.push(match seen {
            Ok(seen) => Facts::of(seen, asks.who).and_then(|mut facts| {
                if let Some(file) = readable(seen, &facts)? {
                    facts.noexec |= sys::is_noexec(file.as_fd());
                }
                Ok(facts)
            }),
            Err(errno) => Err(*errno),
        });
    }
    let regular = seen.iter().zip(&facts).filter_map(|(seen, facts)| {
        let regular = facts.as_ref().is_ok_and(Facts::is_regular);
        seen.as_ref().ok().filter(|_| regular)
    });
    let regular: Vec<&OwnedFd> = regular.collect();
    let mut both = probe::both(&regular, asks.check).into_iter();
    let policy = Policy::read();
    let works = asks.check == ExecveCheck::Works;
    let mut reports = Vec::new();
    for ((file, seen), facts) in files.iter().zip(seen).zip(facts) {
        let mut report = Report {
            file: file.clone(),
            file_bytes: show::bytes(file),
            error: None,
            in_force: None,
            policies: Vec::new(),
            securebit: None,
        };
        match (seen, facts) {
            (Ok(seen), Ok(facts)) => {
                let tried = facts.is_regular().then(|| Tried {
                    in_force: mayexec::Open::new()
                        .reopen(seen)
                        .err()
                        .map(|error| error.why),
                    both: both.next().unwrap_or_default(),
                });
                report.in_force = Some(match tried {
                    Some(tried) => Answer::new(tried.in_force, true),
                    None => Answer::new(estimate(&facts, policy.enforced()), false),
                });
                report.policies = foretell(&facts, tried, policy);
                report.securebit = works.then(|| restricted(&facts, tried, policy));
            }
            (_, Err(errno)) => report.error = Some(mayexec::message(errno)),
            // What was not seen has no facts.
            (Err(errno), _) => report.error = Some(mayexec::message(*errno)),
        }
        reports.push(report);
    }
    reports
}

/// Who asks, and whether AT_EXECVE_CHECK is there to be asked.
#[derive(Clone, Copy)]
struct Asks<'a> {
    who: &'a Who,
    check: ExecveCheck,
}

/// What cannot be read is not opened under any policy. A regular file is opened.
fn readable(seen: &OwnedFd, facts: &Facts) -> Result<Option<OwnedFd>, Errno> {
    let link = format!("/proc/self/fd/{}", seen.as_raw_fd());
    match FileType::from_raw_mode(facts.stat.st_mode) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open(link, flags, Mode::empty()).map(Some)
        }
        FileType::Socket => Err(Errno::NXIO),
        // It is not opened: a FIFO would block, a device might act.
        _ => rustix::fs::accessat(CWD, link, Access::READ_OK, AtFlags::EACCESS).map(|()| None),
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
        let how = match answer.allowed {
            Some(_) if !answer.exact => " (estimate)",
            _ => "",
        };
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
            "  {:<26} AT_EXECVE_CHECK is missing, or filtered by seccomp",
            "securebit"
        ),
    }
}

/// Examines `files`.
pub(crate) fn check(files: &[OsString], json: bool) -> Result<u8> {
    let who = Who::caller().context("cannot tell who the caller is")?;
    let asks = Asks {
        who: &who,
        check: probe::execve_check(),
    };
    let policy = Policy::read();
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let mut reports = Vec::new();
    for files in files.chunks(BATCH) {
        let seen: Vec<_> = files.iter().map(|file| see(file)).collect();
        reports.extend(examine(files, &seen, asks));
    }
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
        see(path).unwrap()
    }

    /// What is said of a file that was seen, or of a path.
    fn examined(path: &Path, seen: Option<OwnedFd>) -> Report {
        let who = Who::caller().unwrap();
        let asks = Asks {
            who: &who,
            check: probe::execve_check(),
        };
        let seen = seen.map_or_else(|| see(path), Ok);
        examine(&[path.to_owned()], &[seen], asks).remove(0)
    }

    #[test]
    fn the_file_that_was_seen_is_judged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let seen = put(&path, 0o755);
        fs::remove_file(&path).unwrap();
        let answer = examined(&path, Some(seen)).in_force.unwrap();
        assert!(answer.exact && answer.allowed == Some(true), "{answer:?}");
    }

    #[test]
    fn a_noexec_superblock_is_seen() {
        // What /proc is mounted with does not matter.
        let found = examined(Path::new("/proc/version"), None);
        assert_eq!(found.policies[1].allowed, Some(false), "{found:?}");
        assert_eq!(found.policies[1].why, Why::Noexec.denial(), "{found:?}");
    }

    #[test]
    fn what_is_not_tried_is_estimated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        let found = examined(&path, None);
        assert!(found.policies[0].allowed == Some(true) && !found.policies[0].exact);
        assert!(found.policies[3].allowed == Some(false) && !found.policies[3].exact);

        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(examined(&socket, None).error.is_some());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let error = || {
            if rustix::process::geteuid().is_root() {
                // Of this thread only, and without root's capabilities.
                uapi::set_fs_ids(65534, 65534);
            }
            examined(&path, None).error
        };
        let error = std::thread::scope(|scope| scope.spawn(error).join().unwrap());
        assert_eq!(error, Some(mayexec::message(Errno::ACCESS)));
    }

    /// (flag, execve), each 'a'llowed, denied by the 'm'ode or for 'o'ther reasons, 'b'usy
    /// or '-' not known; and how each answer to the four values of the sysctl is said:
    /// 'A' allowed, 'D' denied, exactly; 'a', 'd' estimated; '?' not known.
    #[test]
    fn what_only_another_check_was_asked_is_an_estimate() {
        let dir = tempfile::tempdir().unwrap();
        let who = Who::caller().unwrap();
        let good = Facts::of(put(&dir.path().join("x"), 0o755), &who).unwrap();
        let bad = Facts::of(put(&dir.path().join("y"), 0o644), &who).unwrap();
        let remote = Facts {
            remote: true,
            ..good
        };
        let noexec = Facts {
            noexec: true,
            ..remote
        };
        let answer = |letter| match letter {
            'a' => Some(Ok(())),
            'b' => Some(Err(Errno::TXTBSY)),
            'd' => Some(Err(Errno::ACCESS)),
            _ => None,
        };
        let shown = |answer: &Answer| match (answer.allowed, answer.exact) {
            (Some(true), true) => 'A',
            (Some(true), false) => 'a',
            (Some(false), true) => 'D',
            (Some(false), false) => 'd',
            (None, _) => '?',
        };
        let (none, other) = (None, Some(Why::Other));
        let mode = Some(Why::NotExecutable);
        for (facts, in_force, system, securebit, asked, right) in [
            // Without the flag, AT_EXECVE_CHECK is the kernel's word on both together.
            (&good, none, 0, false, "-a", "AaaA A"),
            (&good, none, 0, false, "-d", "A??d D"),
            (&good, none, 0, false, "-b", "Aaaa D"),
            (&good, none, 0, false, "--", "Aaaa a"),
            (&bad, none, 0, false, "-d", "AadD D"),
            (&good, other, 0, false, "-a", "Daaa a"),
            (&good, other, 3, false, "-d", "a??D D"),
            (&bad, mode, 0, true, "-d", "AadD D"),
            // With the flag, the kernel says it of both together, and of nothing else.
            (&good, none, 0, false, "aa", "AaaA A"),
            (&good, none, 0, false, "ab", "AaaA D"),
            (&good, none, 0, false, "ad", "AaaA D"),
            (&good, none, 0, false, "d-", "A??D D"),
            (&bad, none, 0, false, "dd", "AadD D"),
            (&bad, none, 0, false, "aa", "AaaA A"),
            // A server may say anything but that its mount is not noexec.
            (&remote, none, 0, false, "-a", "Aa?? A"),
            (&remote, none, 0, false, "-d", "A??? D"),
            (&remote, none, 0, false, "--", "Aa?? ?"),
            (&remote, none, 0, false, "aa", "AaaA A"),
            (&noexec, none, 0, false, "-d", "Ad?d D"),
        ] {
            let mut letters = asked.chars().map(answer);
            let both = Both {
                flag: letters.next().unwrap(),
                execve: letters.next().unwrap(),
            };
            let tried = Some(Tried { in_force, both });
            let mut policy = Policy::default();
            (policy.system, policy.securebit) = (Some(system), securebit);
            let mut found: String = foretell(facts, tried, policy).iter().map(shown).collect();
            found.push(' ');
            found.push(shown(&restricted(facts, tried, policy)));
            assert_eq!(
                found, right,
                "{asked} {in_force:?} {system} {securebit} {facts:?}"
            );
        }
    }
}
