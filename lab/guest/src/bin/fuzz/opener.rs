// SPDX-License-Identifier: GPL-2.0

//! Makes calls, and observes what they have opened.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use guest::fuzz::call::{Call, Entry};
use guest::fuzz::tree::{self, HELD, Held, MOUNTS};
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, fcntl_getfl, seek, statx};
use rustix::io::{Errno, fcntl_getfd};
use uapi::{OpenHow, Ring};

use crate::fixture::outside;

/// A descriptor or an error.
pub(crate) type Answer = std::result::Result<OwnedFd, Errno>;

/// Makes calls.
pub(crate) struct Opener {
    ring: Option<Ring>,
}

impl Opener {
    /// Makes calls as the calling process.
    pub(crate) fn new() -> Self {
        // Most processes need no ring, which takes its time to set up.
        Self { ring: None }
    }

    /// Makes a call.
    pub(crate) fn open(&mut self, call: &Call) -> Result<Answer> {
        let path = CString::new(call.path.as_str())?;
        // The older calls take what fits.
        let flags = call.flags as u32 as i32;
        let mode = call.mode as u32;
        Ok(match call.entry {
            Entry::Open => uapi::open(&path, flags, mode),
            Entry::Openat => uapi::openat(call.dir, &path, flags, mode),
            Entry::Creat => uapi::creat(&path, mode),
            Entry::Openat2 => uapi::openat2_bytes(call.dir, &path, &call.how()),
            Entry::Uring => {
                let ring = match &mut self.ring {
                    Some(ring) => ring,
                    none => none.insert(Ring::new().context("io_uring_setup")?),
                };
                let how = OpenHow {
                    flags: call.flags,
                    mode: call.mode,
                    resolve: call.resolve,
                };
                ring.openat2(call.dir, &path, how)
            }
        })
    }
}

/// What is known of an open file beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The mount.
    pub(crate) mount: u64,
    /// The device.
    pub(crate) device: (u32, u32),
    /// The inode.
    pub(crate) inode: u64,
}

impl Identity {
    /// Asks of what is at a path, a link not followed.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let stat = ask(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| format!("of {}", path.display()))?;
        Ok(Stat::from(stat).identity)
    }
}

fn ask(dir: impl AsFd, path: impl rustix::path::Arg, flags: AtFlags) -> Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    statx(dir, path, flags, wanted).context("statx")
}

impl From<Statx> for Stat {
    fn from(stat: Statx) -> Self {
        Self {
            identity: Identity {
                mount: stat.stx_mnt_id,
                device: (stat.stx_dev_major, stat.stx_dev_minor),
                inode: stat.stx_ino,
            },
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            nlink: stat.stx_nlink,
        }
    }
}

/// What statx(2) says of an open file.
pub(crate) struct Stat {
    /// Which file it is.
    pub(crate) identity: Identity,
    /// Its type and permissions.
    pub(crate) mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    nlink: u32,
}

impl Stat {
    /// Asks of an open file.
    pub(crate) fn of(fd: &OwnedFd) -> Result<Self> {
        Ok(Self::from(ask(fd, c"", AtFlags::EMPTY_PATH)?))
    }

    /// Its type.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

/// Names for what the tree holds: numbers of inodes, devices and mounts are not the
/// same on two kernels.
pub(crate) struct Names {
    files: HashMap<((u32, u32), u64), String>,
    devices: HashSet<(u32, u32)>,
    mounts: HashMap<u64, &'static str>,
}

impl Names {
    /// Looks at every path of the tree, as root.
    pub(crate) fn collect() -> Result<Self> {
        let mut files = HashMap::new();
        let mut devices = HashSet::new();
        for path in tree::paths() {
            let meta = std::fs::symlink_metadata(outside(&path))
                .with_context(|| format!("cannot stat {path}"))?;
            let device = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
            files.entry((device, meta.ino())).or_insert(path);
            devices.insert(device);
        }
        let mut mounts = HashMap::new();
        for path in MOUNTS.iter().map(|mount| mount.path).chain([""]) {
            mounts.insert(Identity::at(&outside(path))?.mount, path);
        }
        Ok(Self {
            files,
            devices,
            mounts,
        })
    }

    /// Adds what has no path but is held.
    pub(crate) fn add_held(&mut self) -> Result<()> {
        for (what, number) in HELD.iter().zip(tree::FIRST_FD..) {
            if matches!(
                what,
                Held::Dir(_) | Held::Read(_) | Held::Write(_) | Held::Path(_)
            ) {
                continue;
            }
            let stat = rustix::fs::stat(format!("/proc/self/fd/{number}"))?;
            let device = (
                rustix::fs::major(stat.st_dev),
                rustix::fs::minor(stat.st_dev),
            );
            self.files
                .entry((device, stat.st_ino))
                .or_insert_with(|| what.to_string());
        }
        Ok(())
    }

    /// Describes an answer; an error by its number, which is quicker.
    pub(crate) fn describe(&self, answer: &Answer) -> Result<Description> {
        let fd = match answer {
            Ok(fd) => fd,
            Err(errno) => {
                return Ok(Description {
                    words: format!("errno {}", errno.raw_os_error()),
                    new: false,
                    regular: false,
                });
            }
        };
        let stat = Stat::of(fd)?;
        let identity = stat.identity;
        let name = self
            .files
            .get(&(identity.device, identity.inode))
            .map(String::as_str);
        let mount = self.mounts.get(&identity.mount).copied().unwrap_or("?");
        // Elsewhere, processes that come and go count.
        let (size, nlink) = if self.devices.contains(&identity.device) {
            (stat.size, stat.nlink)
        } else {
            (0, 0)
        };
        let offset = match seek(fd.as_fd(), rustix::fs::SeekFrom::Current(0)) {
            Ok(offset) => offset.to_string(),
            Err(errno) => format!("errno {}", errno.raw_os_error()),
        };
        let words = format!(
            "{} on /{mount} mode {:o} owner {}:{} size {size} links {nlink} fl {:o} fd {:x} at {offset}",
            name.unwrap_or("?"),
            stat.mode,
            stat.uid,
            stat.gid,
            fcntl_getfl(fd)?.bits(),
            fcntl_getfd(fd)?.bits(),
        );
        Ok(Description {
            words,
            new: name.is_none(),
            regular: stat.kind() == FileType::RegularFile,
        })
    }
}

/// An answer, as it is recorded.
pub(crate) struct Description {
    /// What was opened and how, or the error.
    pub(crate) words: String,
    /// Something is open that was not there before.
    pub(crate) new: bool,
    /// A regular file is open.
    pub(crate) regular: bool,
}
