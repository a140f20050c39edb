// SPDX-License-Identifier: GPL-2.0

//! Who calls: processes with other credentials and the same descriptors.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use guest::fuzz::tree::{FIRST_FD, HELD, Held, USER};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::io::{fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Gid, PidfdFlags, Uid, chdir, chroot, getpid, pidfd_open,
    set_dumpable_behavior,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::fixture::{ROOT, fifos, outside};

/// The credentials of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Caller {
    /// root.
    Root,
    /// root's ids without any capability.
    Powerless,
    /// An unprivileged user.
    User,
    /// root with the user's file system ids.
    FsUser,
    /// The user, as root of a user namespace of his own.
    NamespaceRoot,
}

impl Caller {
    /// The caller of a block.
    pub(crate) fn of_block(number: u64) -> Self {
        let all = Self::value_variants();
        all[usize::try_from(number).unwrap_or(0) % all.len()]
    }

    /// Whether the caller has CAP_SETPCAP, in a user namespace of its own or not.
    pub(crate) fn has_setpcap(self) -> bool {
        match self {
            Self::Root | Self::FsUser | Self::NamespaceRoot => true,
            Self::Powerless | Self::User => false,
        }
    }

    /// Makes the calling process this caller, with the tree as its root.
    pub(crate) fn become_it(self) -> Result<()> {
        match self {
            Self::Root => enter()?,
            Self::Powerless => {
                enter()?;
                set_capabilities(
                    None,
                    CapabilitySets {
                        effective: CapabilitySet::empty(),
                        permitted: CapabilitySet::empty(),
                        inheritable: CapabilitySet::empty(),
                    },
                )?;
            }
            Self::User => {
                enter()?;
                drop_to_user()?;
            }
            Self::FsUser => {
                enter()?;
                set_thread_groups(&[])?;
                uapi::set_fs_ids(USER, USER);
            }
            Self::NamespaceRoot => {
                drop_to_user()?;
                dumpable()?;
                uapi::unshare_user()?;
                dumpable()?;
                fs::write("/proc/self/setgroups", "deny")?;
                fs::write("/proc/self/uid_map", format!("0 {USER} 1"))?;
                fs::write("/proc/self/gid_map", format!("0 {USER} 1"))?;
                enter()?;
            }
        }
        dumpable()
    }
}

/// Lets the process see its own files in procfs, which a change of ids takes away.
fn dumpable() -> Result<()> {
    set_dumpable_behavior(DumpableBehavior::Dumpable).context("prctl(PR_SET_DUMPABLE)")
}

fn enter() -> Result<()> {
    chroot(ROOT).context("chroot")?;
    chdir("/").context("chdir")
}

fn drop_to_user() -> Result<()> {
    let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// The descriptors of a caller, opened while it is still root.
pub(crate) struct Descriptors {
    // Only there to be open.
    _held: Vec<OwnedFd>,
    _fifos: Vec<File>,
}

impl Descriptors {
    /// Opens all of [`HELD`] at their numbers, and every FIFO.
    pub(crate) fn open() -> Result<Self> {
        let mut held = Vec::new();
        // What a socket or a pipe end needs to stay what it is.
        let mut pipe_end = None;
        for (what, number) in HELD.iter().zip(FIRST_FD..) {
            let fd = open(*what, &mut pipe_end).with_context(|| format!("cannot open {what:?}"))?;
            let fd = fcntl_dupfd_cloexec(&fd, FIRST_FD)?;
            ensure!(fd.as_raw_fd() == number, "descriptor {number} was not free");
            // Execution of a script by a close-on-exec descriptor is another error.
            fcntl_setfd(&fd, rustix::io::FdFlags::empty())?;
            held.push(fd);
        }
        let fifos = fifos()
            .filter_map(|path| {
                let opened = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(&path);
                match opened {
                    // The same FIFO is open by way of another mount.
                    Err(error) if error.raw_os_error() == Some(libc::EROFS) => None,
                    opened => {
                        Some(opened.with_context(|| format!("cannot open {}", path.display())))
                    }
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            _held: held,
            _fifos: fifos,
        })
    }
}

fn open(what: Held, pipe_end: &mut Option<OwnedFd>) -> Result<OwnedFd> {
    let at = |path: &str, flags| openat(CWD, outside(path), flags, Mode::empty());
    Ok(match what {
        Held::Dir(path) => at(path, OFlags::DIRECTORY)?,
        Held::Read(path) => at(path, OFlags::RDONLY)?,
        Held::Write(path) => at(path, OFlags::WRONLY)?,
        Held::Path(path) => at(path, OFlags::PATH | OFlags::NOFOLLOW)?,
        Held::Memfd(mode) => {
            let fd = memfd_create(c"memory", MemfdFlags::empty())?;
            rustix::fs::fchmod(&fd, mode.into())?;
            fd
        }
        Held::Pidfd => pidfd_open(getpid(), PidfdFlags::empty())?,
        Held::Eventfd => eventfd(0, EventfdFlags::empty())?,
        Held::PipeRead => {
            let (read, write) = pipe_with(PipeFlags::empty())?;
            *pipe_end = Some(write);
            read
        }
        Held::PipeWrite => pipe_end.take().context("no pipe before its end")?,
        Held::Socket => socket(AddressFamily::UNIX, SocketType::STREAM, None)?,
        Held::Deleted => {
            let path = outside("deleted");
            let file = File::create(&path)?;
            file.set_permissions(fs::Permissions::from_mode(0o755))?;
            let read = File::open(&path)?;
            fs::remove_file(&path)?;
            read.into()
        }
    })
}
