// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ladder.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;

use crate::error::{Error, Why};
use crate::kernel::{self, ENFORCE_FILE, ENFORCE_MOUNT, O_MAYEXEC};
use crate::policy::{self, Policy};
use crate::support::{ExecveCheck, Guarantee, Support};
use crate::sys::{self, O_EMPTYPATH};

/// An open file, and how it was looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The file, open for reading, closed on exec.
    pub file: File,
    /// Who has looked at the file: [`Guarantee::Plain`] where there was nothing to check.
    pub guarantee: Guarantee,
    /// Whether the file has passed `AT_EXECVE_CHECK`.
    pub checked: bool,
}

/// Options of an open.
///
/// ```
/// use mayexec::{Guarantee, Open};
/// use rustix::fs::ResolveFlags;
///
/// // A module that must lie below /usr and may not be reached by a symbolic link.
/// let dir = std::fs::File::open("/usr")?;
/// let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
/// match Open::new().resolve(resolve).open_at(&dir, "lib/no-such-module.lua") {
///     Ok(opened) => println!("{:?}", opened.guarantee),
///     Err(error) => println!("refused: {error}"),
/// }
///
/// // Nothing less than the kernel's own decision.
/// if let Err(error) = Open::new().require(Guarantee::Kernel).open("/bin/sh") {
///     println!("{error}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Open {
    require: Guarantee,
    resolve: ResolveFlags,
    always: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self::new()
    }
}

impl Open {
    /// What the policy asks for, every way of resolving a path.
    pub fn new() -> Self {
        Self {
            require: Guarantee::Plain,
            resolve: ResolveFlags::empty(),
            always: false,
        }
    }

    /// Fails unless this guarantee can be given, whatever the policy is. Anything but
    /// [`Guarantee::Plain`] also fails where the kernel has no `O_MAYEXEC` and the policy cannot
    /// be known.
    ///
    /// This demands that the checks of the policy can be made, and no check that the policy does
    /// not ask for: where it asks for none, the guarantee is [`Guarantee::Securebits`] and nothing
    /// was checked. [`Opened::checked`] tells; [`Open::check_always`] demands the check.
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.require = guarantee;
        self
    }

    /// How the path may be resolved.
    pub fn resolve(mut self, resolve: ResolveFlags) -> Self {
        self.resolve = resolve;
        self
    }

    /// Makes `AT_EXECVE_CHECK` whether the securebits ask for it or not, and fails where
    /// the kernel does not have it.
    pub fn check_always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Opens `path`. As in the standard library, an open that a signal interrupts is made again.
    ///
    /// # Errors
    ///
    /// [`Error::why`] tells the reason.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Opened, Error> {
        self.path(libc::AT_FDCWD, path.as_ref())
    }

    /// Opens `path`, seen from `dir` if it is relative.
    ///
    /// # Errors
    ///
    /// As [`Open::open`].
    pub fn open_at(&self, dir: impl AsFd, path: impl AsRef<Path>) -> Result<Opened, Error> {
        self.path(dir.as_fd().as_raw_fd(), path.as_ref())
    }

    /// Opens the file behind a descriptor again, under the policy: one that was inherited
    /// or received, or opened with `O_PATH`. The new one starts at offset 0.
    ///
    /// ```
    /// let held = std::fs::File::open("/bin/sh")?;
    /// match mayexec::Open::new().reopen(&held) {
    ///     Ok(opened) => println!("{:?}", opened.file),
    ///     Err(error) => println!("refused: {error}"),
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Open::open`].
    pub fn reopen(&self, fd: impl AsFd) -> Result<Opened, Error> {
        let fd = fd.as_fd().as_raw_fd();
        self.climb(|support| {
            if support.emptypath {
                return Ok(Target::Held(fd));
            }
            // A kernel without O_EMPTYPATH has /proc. A thread may have descriptors of its own.
            CString::new(format!("/proc/thread-self/fd/{fd}"))
                .map(Target::Link)
                .map_err(|_| Errno::INVAL)
        })
    }

    /// Opens what standard input is again, under the policy. Commands that arrive on a
    /// terminal or a pipe are refused under every policy.
    ///
    /// # Errors
    ///
    /// As [`Open::open`].
    pub fn stdin(&self) -> Result<Opened, Error> {
        self.reopen(std::io::stdin())
    }

    fn path(&self, dir: RawFd, path: &Path) -> Result<Opened, Error> {
        self.climb(|_| {
            CString::new(path.as_os_str().as_bytes())
                .map(|path| Target::Path(dir, path, self.resolve))
                .map_err(|_| Errno::INVAL)
        })
    }

    /// Opens with what there is.
    fn climb(&self, target: impl Fn(Support) -> Result<Target, Errno>) -> Result<Opened, Error> {
        let support = Support::get();
        let error = match self.with(support, &target) {
            Err(error) => error,
            Ok(opened) => return Ok(opened),
        };
        // A filter may have come since the kernel was asked; the answer to that does not
        // depend on any file. One that answers with another errno ends in a failed open.
        if matches!(error.errno, Errno::NOSYS | Errno::PERM) {
            let now = Support::renew();
            if now != support {
                return self.with(now, &target);
            }
        }
        Err(error)
    }

    fn with(
        &self,
        support: Support,
        target: &impl Fn(Support) -> Result<Target, Errno>,
    ) -> Result<Opened, Error> {
        let policy = support.policy();
        let failed = |why, errno| Error {
            why,
            errno,
            policy: Policy::read(),
        };
        let too_low = |needed, had| failed(Why::Guarantee { needed, had }, Errno::NOTSUP);
        let wanted = !support.mayexec && self.require > Guarantee::Plain;
        if wanted {
            let had = support.best(policy);
            if self.require > had {
                return Err(too_low(self.require, had));
            }
        } else if self.always && support.execve_check() != ExecveCheck::Works {
            let needed = self.require.max(Guarantee::Securebits);
            return Err(too_low(needed, support.best(policy)));
        }
        let target = target(support).map_err(|errno| failed(Why::Open, errno))?;
        if !support.openat2 && !target.resolve().is_empty() {
            return Err(failed(Why::Unresolved, Errno::NOSYS));
        }
        let fd = target.open(support, support.mayexec).map_err(|errno| {
            let why = if support.mayexec && refuses(errno) {
                target.explain(support, Policy::read())
            } else {
                Why::Open
            };
            failed(why, errno)
        })?;
        // What the kernel would check, if something did not hide its flag.
        let own = policy.system_enforces();
        if let Some(why) = refused(&fd, own) {
            return Err(failed(why, Errno::ACCESS));
        }
        // The kernel does not say whether it enforces the securebit.
        let [securebit, deny_interactive] = if support.mayexec {
            policy::securebits().unwrap_or_default()
        } else {
            [policy.securebit, policy.deny_interactive]
        };
        let interactive = deny_interactive && !is_regular(&fd);
        let check = self.always || own & ENFORCE_FILE != 0 || securebit || interactive;
        if check {
            checked(&fd, support).map_err(|(why, errno)| failed(why, errno))?;
        }
        let guarantee = if support.mayexec {
            Guarantee::Kernel
        } else if own != 0 || check || wanted {
            Guarantee::Securebits
        } else {
            Guarantee::Plain
        };
        Ok(Opened {
            file: File::from(fd),
            guarantee,
            checked: check,
        })
    }
}

/// Makes `AT_EXECVE_CHECK`.
fn checked(fd: &OwnedFd, support: Support) -> Result<(), (Why, Errno)> {
    let Err(errno) = sys::execve_check_fd(fd) else {
        return Ok(());
    };
    if errno == Errno::TXTBSY {
        return Err((Why::Busy, errno));
    }
    match judge(fd, true, true) {
        // Only a filter keeps a kernel that has the securebit, or the sysctl, from making the
        // check.
        Why::NotExecutable | Why::Other if support.execve_check() != ExecveCheck::Works => {
            Err((Why::Filtered, Errno::ACCESS))
        }
        why if matches!(errno, Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            Err((why, Errno::ACCESS))
        }
        why => Err((why, errno)),
    }
}

fn is_regular(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// The checks of the sysctl that need no execveat(2), made by the program.
fn refused(fd: &OwnedFd, checks: u32) -> Option<Why> {
    if checks == 0 {
        return None;
    }
    if !is_regular(fd) {
        return Some(Why::NotRegular);
    }
    let noexec = checks & ENFORCE_MOUNT != 0 && is_noexec(fd).unwrap_or(true);
    noexec.then_some(Why::Noexec)
}

/// What is to be opened.
enum Target {
    /// A path seen from a directory.
    Path(RawFd, CString, ResolveFlags),
    /// What a descriptor holds.
    Held(RawFd),
    /// The same by its link in /proc.
    Link(CString),
}

impl Target {
    fn parts(&self) -> (RawFd, &CStr, u64) {
        match self {
            Self::Path(dir, path, _) => (*dir, path, 0),
            Self::Held(fd) => (*fd, c"", O_EMPTYPATH),
            Self::Link(path) => (libc::AT_FDCWD, path, 0),
        }
    }

    fn resolve(&self) -> ResolveFlags {
        match self {
            Self::Path(_, _, resolve) => *resolve,
            // There is no path to resolve.
            Self::Held(_) | Self::Link(_) => ResolveFlags::empty(),
        }
    }

    fn open(&self, support: Support, mayexec: bool) -> Result<OwnedFd, Errno> {
        let flag = if mayexec { O_MAYEXEC } else { 0 };
        self.open_with(support, OFlags::RDONLY, flag)
    }

    fn open_with(&self, support: Support, flags: OFlags, high: u64) -> Result<OwnedFd, Errno> {
        let (dir, path, extra) = self.parts();
        let mut flags = flags | OFlags::CLOEXEC;
        // openat2(2) refuses what means nothing beside O_PATH.
        flags.set(
            OFlags::NOCTTY | OFlags::LARGEFILE,
            !flags.contains(OFlags::PATH),
        );
        if support.openat2 {
            let all = u64::from(flags.bits()) | extra | high;
            kernel::openat2(dir, path, all, self.resolve().bits())
        } else {
            sys::openat(dir, path, flags.bits() as libc::c_int)
        }
    }

    /// Why the kernel has refused this with the flag. An ordinary open that fails for
    /// another reason, such as a lack of descriptors or a lease, explains nothing.
    fn explain(&self, support: Support, policy: Policy) -> Why {
        let seen = match self.open_with(support, OFlags::PATH, 0) {
            Ok(seen) => seen,
            Err(errno) if refuses(errno) => return Why::Open,
            Err(_) => return Why::Other,
        };
        // A device or a FIFO is not opened for the sake of a message.
        if is_regular(&seen) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            if self.open_with(support, flags, 0).is_err_and(refuses) {
                return Why::Open;
            }
        }
        judge(&seen, policy.mount(), policy.file())
    }
}

/// Whether an open that fails like this was refused.
fn refuses(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM)
}

/// Which check refuses this file, of those that are in force.
fn judge(file: impl AsFd, mount: bool, permission: bool) -> Why {
    let Ok(stat) = rustix::fs::fstat(&file) else {
        return Why::Other;
    };
    if (mount || permission) && FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        Why::NotRegular
    } else if mount && is_noexec(&file).unwrap_or(false) {
        Why::Noexec
    } else if permission && sys::access_exec(&file) == Err(Errno::ACCESS) {
        Why::NotExecutable
    } else {
        Why::Other
    }
}

/// Kinds of filesystems that never execute a file, whatever the flags of their mounts: the
/// numbers of `include/uapi/linux/magic.h` of proc, sysfs and the two of control groups.
const NEVER: [u32; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];

/// Whether the file is on a noexec mount, or on a filesystem that is noexec by itself.
fn is_noexec(file: impl AsFd) -> Result<bool, Errno> {
    let flags = rustix::fs::fstatvfs(&file)?.f_flag;
    // Signed or not, and of several sizes, as the architecture has it.
    let kind = i128::from(rustix::fs::fstatfs(file)?.f_type) & i128::from(u32::MAX);
    Ok(flags.contains(StatVfsMountFlags::NOEXEC) || NEVER.map(i128::from).contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::filtered;

    #[test]
    fn what_cannot_be_explained_stays_a_denial() {
        let support = Support {
            mayexec: true,
            ..Support::probe()
        };
        let policy = Policy {
            system: Some(ENFORCE_FILE),
            ..Policy::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "").unwrap();
        let explain = || {
            let path = CString::new(path.as_os_str().as_bytes()).unwrap();
            Target::Path(libc::AT_FDCWD, path, ResolveFlags::empty()).explain(support, policy)
        };
        assert_eq!(explain(), Why::NotExecutable);
        for (errno, why) in [
            (Errno::MFILE, Why::Other),
            (Errno::AGAIN, Why::Other),
            (Errno::ACCESS, Why::Open),
            (Errno::PERM, Why::Open),
        ] {
            filtered(&[libc::SYS_openat2], errno, || assert_eq!(explain(), why));
        }
    }
}
