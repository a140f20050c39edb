// SPDX-License-Identifier: GPL-2.0

//! System calls that no crate has, or that no crate can call safe.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Pid;

use crate::kernel::{O_MAYEXEC, openat2, result};

/// Opens what a descriptor holds again, with `O_MAYEXEC` and without a word to anybody else:
/// the answer is the kernel's alone.
pub(crate) fn open_mayexec(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let path = CString::new(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()));
    let path = path.map_err(|_| Errno::INVAL)?;
    let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    openat2(
        libc::AT_FDCWD,
        &path,
        u64::from(flags.bits()) | O_MAYEXEC,
        0,
    )
}

/// Whether the kernel executes no file where this one is: mmap(2) asks for that, and not for
/// the mode. It knows filesystems that are noexec without a flag of the mount, which
/// statvfs(3) does not show.
pub(crate) fn is_noexec(file: BorrowedFd<'_>) -> bool {
    const LENGTH: usize = 1;
    // SAFETY: The mapping is new, nobody looks at it, and it goes at once.
    unsafe {
        let prot = ProtFlags::READ | ProtFlags::EXEC;
        match rustix::mm::mmap(ptr::null_mut(), LENGTH, prot, MapFlags::PRIVATE, file, 0) {
            Ok(mapped) => {
                let _ = rustix::mm::munmap(mapped, LENGTH);
                false
            }
            Err(errno) => errno == Errno::PERM,
        }
    }
}

/// fork(2): what is returned in the parent is the child's process id.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::NOSYS)?;
    if tasks.count() != 1 {
        return Err(Errno::BUSY);
    }
    // SAFETY: The caller is the only thread: no lock is held by one that is gone in the
    // child, which can do what the parent could.
    let pid = result(unsafe { libc::fork() }.into())?;
    Ok(Pid::from_raw(pid))
}

/// Whether standard output was closed when the program started.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody can read standard output.
pub(crate) fn stdout_is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Whether SIGPIPE was ignored when the program started.
static IGNORED: AtomicBool = AtomicBool::new(false);

/// Has a command find SIGPIPE as this program found it. The standard library ignores the signal
/// itself, and makes it end whatever it starts.
pub(crate) fn keep_sigpipe(command: &mut Command) {
    if IGNORED.load(Ordering::Relaxed) {
        let ignore = || {
            // SAFETY: No handler is set; signal(2) is safe to call even after a fork.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: As above.
        unsafe { command.pre_exec(ignore) };
    }
}

extern "C" fn look() {
    // SAFETY: F_GETFD takes no pointer.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } < 0;
    CLOSED.store(closed, Ordering::Relaxed);
    // SAFETY: Zeros are a value of this structure.
    let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: No action is set, and the one that was found goes to a variable.
    unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), &raw mut found) };
    IGNORED.store(found.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
}

/// Before main() begins, the standard library opens /dev/null in the place of a closed descriptor
/// and ignores SIGPIPE. Only what the C library calls earlier still sees how it was.
// SAFETY: The section is an array of pointers to such functions, and this one needs nothing
// that the standard library sets up.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_that_is_noexec_is_seen() {
        let file = |path: &str| std::fs::File::open(path).unwrap();
        assert!(is_noexec(file("/proc/version").as_fd()));
        assert!(!is_noexec(file("/bin/sh").as_fd()));
        // Beside this program, which is executed.
        let program = std::env::current_exe().unwrap();
        let plain = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        assert!(!is_noexec(plain.as_fd()), "empty, and without x");
    }
}
