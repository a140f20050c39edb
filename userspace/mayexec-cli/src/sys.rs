// SPDX-License-Identifier: GPL-2.0

//! System calls that no crate has, or that no crate can call safe.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Pid;

/// `Documentation/admin-guide/sysctl/fs.rst`: the check of mounts.
pub(crate) const ENFORCE_MOUNT: u32 = 1;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of files.
pub(crate) const ENFORCE_FILE: u32 = 2;
/// The sysctl that sets the system's policy.
pub(crate) const SYSCTL: &str = "/proc/sys/fs/open_mayexec_enforce";
/// `include/uapi/linux/securebits.h`: files that may not be executed are refused.
pub(crate) const SECBIT_EXEC_RESTRICT_FILE: u32 = 1 << 8;
/// `include/uapi/linux/openat2.h`: open what is about to be executed.
const O_MAYEXEC: u64 = 1 << 33;

/// Opens what a descriptor holds again, with `O_MAYEXEC` and without a word to anybody else:
/// the answer is the kernel's alone.
pub(crate) fn open_mayexec(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}\0", fd.as_fd().as_raw_fd());
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    let how: [u64; 3] = [u64::from(flags.cast_unsigned()) | O_MAYEXEC, 0, 0];
    // SAFETY: `path` ends with a null byte, and `how` is laid out as `struct open_how`, three
    // numbers of 64 bits; both live until the call returns.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            how.as_ptr(),
            size_of_val(&how),
        )
    };
    if ret < 0 {
        return Err(last());
    }
    let fd = i32::try_from(ret).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: The call has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(last());
    }
    Ok(Pid::from_raw(pid))
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Whether standard output was closed when the program started.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody can read standard output.
pub(crate) fn stdout_is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

extern "C" fn look_at_stdout() {
    // SAFETY: F_GETFD takes no pointer.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } < 0;
    CLOSED.store(closed, Ordering::Relaxed);
}

/// The standard library opens /dev/null in the place of a closed descriptor before main()
/// begins. Only what the C library calls earlier still sees that it was closed.
// SAFETY: The section is an array of pointers to such functions, and this one needs nothing
// that the standard library sets up.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

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
