// SPDX-License-Identifier: GPL-2.0

//! Predicts the answer to a call with O_MAYEXEC from what can be observed without it:
//! the plain open, execveat(2) with AT_EXECVE_CHECK, faccessat2(2), the mount's flags.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use guest::fuzz::call::{Call, Entry, NOT_WITH_MAYEXEC};
use guest::fuzz::trace::Tally;
use guest::fuzz::tree::{Kind, MOUNTS, NODES, SHARED};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, StatVfsMountFlags, fcntl_getfl, fstatfs, fstatvfs, openat,
};
use rustix::io::{Errno, fcntl_getfd};
use uapi::{ENFORCE_FILE, ENFORCE_MOUNT, O_EMPTYPATH, O_MAYEXEC};

use crate::fixture::outside;
use crate::opener::{Answer, Identity, Opener, Stat};

/// A bit of `how->flags` that no kernel has.
const UNKNOWN_FLAG: u64 = 1 << 62;

/// After how many seconds a call that waits is interrupted; a call that only takes its
/// time is not.
const PATIENCE: u32 = 1;
/// How the words begin for a call that waited.
pub(crate) const WAITED: &str = "the call waited";

const fn bits(flags: i32) -> u64 {
    flags as u32 as u64
}

/// File systems whose files nobody can execute, and whose mounts do not say so.
const NEVER_EXECUTED: &[u64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x5049_4446, // pidfs
    0x6e73_6673, // nsfs
    0x0904_1934, // anonymous inodes
    0x5049_5045, // pipes
    0x534f_434b, // sockets
    0x1980_0202, // message queues
];
/// Files of pidfs are of no type, whatever their mode is.
const PIDFS: u64 = 0x5049_4446;
const PROC: u64 = 0x9fa0;

/// What is observed of a file without the flag.
#[derive(Debug, Clone, Copy)]
struct Facts {
    regular: bool,
    noexec: bool,
    /// What the permission check for execution says; nothing if it cannot be asked.
    permission: Option<std::result::Result<(), Errno>>,
    /// What AT_EXECVE_CHECK says.
    check: std::result::Result<(), Errno>,
}

/// A prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// As the plain call, which opened something.
    Opened,
    /// The policy refuses what the plain call opened.
    Denied(Errno),
    /// The policy refuses before the error that the plain call gets in ->open().
    Preempted(Errno),
    /// The combination makes no sense.
    Invalid(Errno),
    /// As the plain call, which failed.
    Failed(Errno),
    /// An answer or the other.
    Undecided(Errno),
}

/// An answer in words.
fn words(answer: std::result::Result<(), Errno>) -> String {
    match answer {
        Ok(()) => "yes".to_owned(),
        Err(errno) => std::io::Error::from(errno).to_string(),
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "regular: {}, noexec: {}, permission to execute: {}, AT_EXECVE_CHECK: {}",
            self.regular,
            self.noexec,
            self.permission.map_or("unknown".to_owned(), words),
            words(self.check)
        )
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, errno) = match self {
            Self::Opened => return f.write_str("opened"),
            Self::Denied(errno) => ("denied", errno),
            Self::Preempted(errno) => ("denied before ->open() fails", errno),
            Self::Invalid(errno) => ("invalid", errno),
            Self::Failed(errno) => ("failed as without the flag", errno),
            Self::Undecided(errno) => ("opened or denied", errno),
        };
        write!(f, "{what}, {}", words(Err(*errno)))
    }
}

/// Knows what to ask.
pub(crate) struct Oracle {
    opener: Opener,
    policy: u32,
    twins: HashMap<Identity, OwnedFd>,
    known: HashMap<Identity, Facts>,
}

impl Oracle {
    /// Opens, as root, what allows to ask for permission where the mount is in the way.
    ///
    /// `policy` is the sum of the checks that are enforced for the caller.
    pub(crate) fn new(policy: u32) -> Result<Self> {
        let mut twins = HashMap::new();
        for mount in MOUNTS {
            let Some(twin) = mount.twin else { continue };
            let (at, twin) = (outside(mount.path), outside(twin));
            if !at.is_dir() {
                twins.insert(Identity::at(&at)?, locate(&twin)?);
                continue;
            }
            for node in SHARED {
                if matches!(node.kind, Kind::File(_)) {
                    let identity = Identity::at(&at.join(node.path))?;
                    twins.insert(identity, locate(&twin.join(node.path))?);
                }
            }
        }
        Ok(Self {
            opener: Opener::new(),
            policy,
            twins,
            known: HashMap::new(),
        })
    }

    /// Makes a call and counts how it went; the words say what was not as predicted.
    pub(crate) fn judge(&mut self, call: &Call, tally: &mut Tally) -> Result<Option<String>> {
        let mut flagged = call.clone();
        let mut may_wait = false;
        let mut plain = call.with_flags(call.flags & !O_MAYEXEC);
        if call.is_lonely() {
            plain.flags |= bits(libc::O_NONBLOCK);
            if self.policy == 0 {
                flagged.flags |= bits(libc::O_NONBLOCK);
            } else {
                // What a policy refuses must not wait.
                flagged.flags &= !bits(libc::O_NONBLOCK);
                // A request of an io_uring could not be interrupted.
                flagged.entry = Entry::Openat2;
                plain.entry = Entry::Openat2;
                may_wait = true;
            }
        }
        if may_wait {
            uapi::interrupt_after(PATIENCE)?;
        }
        let answer = self.opener.open(&flagged)?;
        if may_wait {
            uapi::interrupt_after(0)?;
        }
        let (expected, opened, facts) = self.predict(&plain)?;
        tally.calls += 1;
        match expected {
            Expected::Opened => tally.opened += 1,
            Expected::Denied(_) => tally.denied += 1,
            Expected::Preempted(_) => tally.preempted += 1,
            Expected::Invalid(_) => tally.invalid += 1,
            Expected::Failed(_) => tally.failed += 1,
            Expected::Undecided(_) => tally.undecided += 1,
        }
        let wrong = match (&answer, expected) {
            (Ok(fd), Expected::Opened | Expected::Undecided(_)) => match opened {
                Some(Ok(plain)) => difference(fd, &plain)?,
                _ => None,
            },
            (
                Err(errno),
                Expected::Denied(wanted)
                | Expected::Preempted(wanted)
                | Expected::Invalid(wanted)
                | Expected::Failed(wanted)
                | Expected::Undecided(wanted),
            ) if *errno == wanted => None,
            (Err(Errno::INTR), _) if may_wait => Some(WAITED.to_owned()),
            (Ok(_), _) => Some("the call opened".to_owned()),
            (Err(errno), _) => Some(format!("the call failed, {}", words(Err(*errno)))),
        };
        if let Some(facts) = facts
            && let Some(contradiction) = self.contradiction(facts, expected)
        {
            return Ok(Some(contradiction));
        }
        Ok(wrong.map(|wrong| {
            let observed = facts.map_or(String::new(), |facts| format!("; observed: {facts}"));
            format!("{wrong}; expected: {expected}{observed}")
        }))
    }

    /// Under both checks the answer is that of AT_EXECVE_CHECK, which the facts were not
    /// taken from.
    fn contradiction(&self, facts: Facts, expected: Expected) -> Option<String> {
        let check = match facts.check {
            // That comes after everything that the flag looks at.
            Err(Errno::TXTBSY) => Ok(()),
            check => check,
        };
        let own = match expected {
            Expected::Opened => Ok(()),
            Expected::Denied(errno) => Err(errno),
            _ => return None,
        };
        (self.policy == ENFORCE_MOUNT | ENFORCE_FILE && own != check)
            .then(|| format!("AT_EXECVE_CHECK disagrees; expected: {expected}; observed: {facts}"))
    }

    /// What is to be expected, what the plain call answered if it was made, and the facts
    /// if they count.
    fn predict(&mut self, plain: &Call) -> Result<(Expected, Option<Answer>, Option<Facts>)> {
        if plain.flags & NOT_WITH_MAYEXEC != 0 {
            // Only what keeps the kernel from reading the flags comes first. A flag that no
            // kernel has shows it, and does nothing.
            let reference = self.opener.open(&plain.with_flags(UNKNOWN_FLAG))?;
            let errno = reference.err().context("the kernel knows every flag")?;
            return Ok((Expected::Invalid(errno), None, None));
        }
        let answer = self.opener.open(plain)?;
        if self.policy == 0 {
            let expected = match &answer {
                Ok(_) => Expected::Opened,
                Err(errno) => Expected::Failed(*errno),
            };
            return Ok((expected, Some(answer), None));
        }
        let errno = match &answer {
            Ok(fd) => {
                let facts = self.facts(fd)?;
                let expected = match self.decision(facts) {
                    None => Expected::Undecided(Errno::ACCESS),
                    Some(Ok(())) => Expected::Opened,
                    Some(Err(errno)) => Expected::Denied(errno),
                };
                return Ok((expected, Some(answer), Some(facts)));
            }
            Err(errno) => *errno,
        };
        // Did the plain call fail before the policy has its say, or in ->open()?
        let in_open = match errno {
            Errno::NXIO | Errno::NODEV => true,
            // O_DIRECT is looked at when ->open() is through.
            Errno::INVAL => {
                let direct = bits(libc::O_DIRECT);
                plain.flags & direct != 0
                    && self
                        .opener
                        .open(&plain.with_flags(plain.flags & !direct))?
                        .is_ok()
            }
            _ => false,
        };
        let mut expected = Expected::Failed(errno);
        if in_open {
            let keep = bits(libc::O_NOFOLLOW | libc::O_CLOEXEC) | O_EMPTYPATH;
            let located = plain.with_flags(plain.flags & keep | bits(libc::O_PATH));
            if let Ok(fd) = self.opener.open(&located)? {
                let facts = self.facts(&fd)?;
                if let Some(Err(errno)) = self.decision(facts) {
                    expected = Expected::Preempted(errno);
                }
            }
        }
        Ok((expected, Some(answer), None))
    }

    /// The table; nothing if the facts do not tell.
    fn decision(&self, facts: Facts) -> Option<std::result::Result<(), Errno>> {
        if !facts.regular {
            return Some(Err(Errno::ACCESS));
        }
        if self.policy & ENFORCE_MOUNT != 0 && facts.noexec {
            return Some(Err(Errno::ACCESS));
        }
        if self.policy & ENFORCE_FILE != 0 {
            return facts.permission;
        }
        Some(Ok(()))
    }

    fn facts(&mut self, fd: &OwnedFd) -> Result<Facts> {
        let stat = Stat::of(fd)?;
        if let Some(facts) = self.known.get(&stat.identity) {
            return Ok(*facts);
        }
        let kind = fstatfs(fd)?.f_type.cast_unsigned();
        let regular = stat.kind() == FileType::RegularFile && kind != PIDFS;
        let never = NEVER_EXECUTED.contains(&kind);
        let noexec = never || fstatvfs(fd)?.f_flag.contains(StatVfsMountFlags::NOEXEC);
        let permission = if !noexec {
            Some(uapi::access_exec(fd.as_fd()))
        } else if let Some(twin) = self.twins.get(&stat.identity) {
            // faccessat2(2) says no on a noexec mount: ask by way of one that is not.
            Some(uapi::access_exec(twin.as_fd()))
        } else if stat.mode & 0o111 == 0 {
            // Nobody executes what nobody may execute, not even root.
            Some(Err(Errno::ACCESS))
        } else {
            None
        };
        let check = uapi::execve_check_fd(fd);
        let facts = Facts {
            regular,
            noexec,
            permission,
            check,
        };
        // Numbers of inodes of procfs are used again.
        if kind != PROC {
            self.known.insert(stat.identity, facts);
        }
        Ok(facts)
    }
}

/// A descriptor that only stands for a file.
fn locate(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
        .with_context(|| format!("cannot open {}", path.display()))
}

/// What two descriptors differ in that the same call opened.
fn difference(one: &OwnedFd, other: &OwnedFd) -> Result<Option<String>> {
    let (ours, theirs) = (Stat::of(one)?, Stat::of(other)?);
    if (ours.identity, ours.mode) != (theirs.identity, theirs.mode) {
        return Ok(Some("the call opened another file".to_owned()));
    }
    let flags = (fcntl_getfl(one)?, fcntl_getfd(one)?);
    let plain = (fcntl_getfl(other)?, fcntl_getfd(other)?);
    Ok((flags != plain).then(|| {
        format!(
            "F_GETFL and F_GETFD are {:o} and {:x}, without O_MAYEXEC {:o} and {:x}",
            flags.0.bits(),
            flags.1.bits(),
            plain.0.bits(),
            plain.1.bits()
        )
    }))
}

/// Whether the running kernel knows O_MAYEXEC.
pub(crate) fn kernel_knows_the_flag() -> Result<bool> {
    let file = outside(NODES.first().context("a tree without files")?.path);
    let path = std::ffi::CString::new(file.to_string_lossy().into_owned())?;
    let how = uapi::OpenHow {
        flags: O_MAYEXEC,
        ..uapi::OpenHow::default()
    };
    Ok(Path::new(uapi::SYSCTL).exists()
        && std::fs::metadata(&file)?.mode() & 0o111 != 0
        && uapi::openat2(libc::AT_FDCWD, &path, how).is_ok())
}
