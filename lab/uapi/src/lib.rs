// SPDX-License-Identifier: GPL-2.0

//! What the series adds to the kernel's interface, and the calls beside it that
//! neither libc nor rustix can express: openat2(2) with flags in the upper half of
//! `how->flags`, execveat(2) with `AT_EXECVE_CHECK`, the securebits.
//!
//! Calls take a directory as a plain number: any number is safe to pass, and tests
//! want to pass wrong ones. Errors are those of the kernel.

mod batch;
mod policy;
mod ring;

use std::ffi::{CStr, c_char, c_int, c_long, c_ulong};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;

pub use batch::OpenRing;
pub use policy::Policy;
pub use ring::Ring;

/// `include/uapi/linux/openat2.h`: open what is about to be executed.
pub const O_MAYEXEC: u64 = 1 << 33;
/// `include/uapi/linux/openat2.h`: open a regular file or fail with EFTYPE.
pub const OPENAT2_REGULAR: u64 = 1 << 32;
/// `include/uapi/asm-generic/fcntl.h`: an empty path is the directory fd itself.
pub const O_EMPTYPATH: u64 = 1 << 26;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of mounts.
pub const ENFORCE_MOUNT: u32 = 1;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of files.
pub const ENFORCE_FILE: u32 = 2;
/// `Documentation/admin-guide/sysctl/fs.rst`: the kernel logs what the checks would
/// refuse, and refuses nothing.
pub const LOG_ONLY: u32 = 4;
/// The sysctl that sets the system's policy, a sum of `ENFORCE_*` and [`LOG_ONLY`].
pub const SYSCTL: &str = "/proc/sys/fs/open_mayexec_enforce";
/// `include/uapi/linux/fcntl.h`: execveat(2) checks and executes nothing.
pub const AT_EXECVE_CHECK: c_int = 0x10000;
/// `include/uapi/linux/securebits.h`: files that may not be executed are refused.
pub const SECBIT_EXEC_RESTRICT_FILE: u32 = 1 << 8;

/// `struct open_how` of `include/uapi/linux/openat2.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct OpenHow {
    /// `O_*` and `OPENAT2_*`.
    pub flags: u64,
    /// The mode of a file that is created; must be 0 otherwise.
    pub mode: u64,
    /// `RESOLVE_*`.
    pub resolve: u64,
}

/// openat2(2).
///
/// # Errors
///
/// Those of the system call; without [`O_MAYEXEC`] in the kernel, EINVAL for it.
pub fn openat2(dir: RawFd, path: &CStr, how: OpenHow) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and `how` is laid out as `struct open_how`; both
    // live until the call returns, and the size is that of `how`.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            ptr::from_ref(&how),
            size_of::<OpenHow>(),
        )
    };
    opened(ret)
}

/// openat2(2) with a `struct open_how` of any length: `how` is what is in memory there.
///
/// # Errors
///
/// Those of the system call.
pub fn openat2_bytes(dir: RawFd, path: &CStr, how: &[u8]) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string, `how` is readable memory of the length that is
    // passed; both live until the call returns.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            how.as_ptr(),
            how.len(),
        )
    };
    opened(ret)
}

/// open(2), with flags that nobody has looked at. Newer architectures do not have it.
///
/// # Errors
///
/// Those of the system call.
#[cfg(target_arch = "x86_64")]
pub fn open(path: &CStr, flags: c_int, mode: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and lives until the call returns.
    opened(unsafe { libc::syscall(libc::SYS_open, path.as_ptr(), flags, mode) })
}

/// openat(2), with flags that nobody has looked at.
///
/// # Errors
///
/// Those of the system call.
pub fn openat(dir: RawFd, path: &CStr, flags: c_int, mode: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and lives until the call returns.
    opened(unsafe { libc::syscall(libc::SYS_openat, dir, path.as_ptr(), flags, mode) })
}

/// creat(2). Newer architectures do not have it.
///
/// # Errors
///
/// Those of the system call.
#[cfg(target_arch = "x86_64")]
pub fn creat(path: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and lives until the call returns.
    opened(unsafe { libc::syscall(libc::SYS_creat, path.as_ptr(), mode) })
}

/// faccessat2(2) of an open file for execution, with the effective credentials.
///
/// # Errors
///
/// EACCES as a rule; also for files on noexec mounts.
pub fn access_exec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: The path is a C string that lives forever.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::X_OK,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    result(ret).map(drop)
}

/// Makes an unattached mount (from open_tree(2)) show files with the ids that a user
/// namespace maps them to.
///
/// # Errors
///
/// Those of mount_setattr(2).
pub fn mount_idmap(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(userns.as_raw_fd().cast_unsigned()),
    };
    // SAFETY: The path is a C string, `attr` lives until the call returns, and the size
    // is that of `attr`.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            ptr::from_ref(&attr),
            size_of::<libc::mount_attr>(),
        )
    };
    result(ret).map(drop)
}

/// Moves the calling process into a user namespace of its own.
///
/// # Errors
///
/// Those of unshare(2); EINVAL if there are other threads.
pub fn unshare_user() -> Result<(), Errno> {
    // SAFETY: CLONE_NEWUSER shares no less memory and no fewer descriptors.
    result(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()).map(drop)
}

/// Sets the ids that count for files, in the calling thread; without the privilege to
/// do so, nothing happens.
pub fn set_fs_ids(uid: u32, gid: u32) {
    // SAFETY: Both take a number.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    }
}

/// Lets SIGALRM interrupt a call that waits, `seconds` from now; 0 takes that back.
///
/// # Errors
///
/// Those of sigaction(2).
pub fn interrupt_after(seconds: u32) -> Result<(), Errno> {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: All-zero bytes are a sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int) = nothing;
    // Without SA_RESTART, the call fails with EINTR.
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: `action` lives until the call returns; the handler does nothing, which is
    // safe at any time.
    let ret = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    result(ret.into())?;
    // SAFETY: The call takes a number, and the signal has a handler.
    unsafe { libc::alarm(seconds) };
    Ok(())
}

/// fork(2): what is returned in the parent is the child's process id.
///
/// # Errors
///
/// Those of the system call; EBUSY if there are threads that the child would not have.
pub fn fork() -> Result<Option<Pid>, Errno> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|_| Errno::NOSYS)?;
    if tasks.count() != 1 {
        return Err(Errno::BUSY);
    }
    // SAFETY: The caller is the only thread: no lock is held by one that is gone in the
    // child, which can do what the parent could.
    let pid = result(unsafe { libc::fork() }.into())?;
    Ok(Pid::from_raw(pid))
}

/// [`execve_check`] of the file that is open at `fd`.
///
/// # Errors
///
/// Those of [`execve_check`].
pub fn execve_check_fd(fd: impl AsFd) -> Result<(), Errno> {
    execve_check(fd.as_fd().as_raw_fd(), c"", libc::AT_EMPTY_PATH)
}

/// execveat(2) with [`AT_EXECVE_CHECK`] and `flags`: whether execution would be allowed.
///
/// # Errors
///
/// Those of the system call; EINVAL where the kernel (before 6.14) has no such flag.
pub fn execve_check(dir: RawFd, path: &CStr, flags: c_int) -> Result<(), Errno> {
    let argv: [*const c_char; 2] = [c"".as_ptr(), ptr::null()];
    let envp: [*const c_char; 1] = [ptr::null()];
    // SAFETY: `path` is a C string, `argv` and `envp` are arrays of C strings that end
    // with a null pointer; all live until the call returns.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            dir,
            path.as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            flags | AT_EXECVE_CHECK,
        )
    };
    result(ret).map(drop)
}

/// The securebits of the calling thread.
///
/// # Errors
///
/// What prctl(2) answers, for example under seccomp.
pub fn securebits() -> Result<u32, Errno> {
    // SAFETY: PR_GET_SECUREBITS takes no pointer.
    let bits = result(unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) }.into())?;
    Ok(bits.cast_unsigned())
}

/// Sets the securebits of the calling thread.
///
/// The kernel enforces [`SECBIT_EXEC_RESTRICT_FILE`] if the thread that sets the bit has
/// CAP_SETPCAP or no_new_privs.
///
/// # Errors
///
/// EPERM without CAP_SETPCAP, the exec bits aside, or if a bit is locked.
pub fn set_securebits(bits: u32) -> Result<(), Errno> {
    // SAFETY: PR_SET_SECUREBITS takes an integer and touches no memory of ours.
    result(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, c_ulong::from(bits), 0, 0, 0) }.into())
        .map(drop)
}

/// The descriptor that a system call has just returned.
fn opened(ret: c_long) -> Result<OwnedFd, Errno> {
    let fd = result(ret)?;
    // SAFETY: The call has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The processor's time stamp counter. Under qemu's `-icount shift=0` it counts the
/// instructions that the guest has executed.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn time_stamp() -> u64 {
    // SAFETY: Every x86_64 processor has RDTSC, and it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

fn result(ret: c_long) -> Result<c_int, Errno> {
    if ret < 0 {
        let errno = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&errno).unwrap_or(Errno::IO));
    }
    // What succeeds here returns 0, an fd or a few bits.
    c_int::try_from(ret).map_err(|_| Errno::OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openat2_opens_and_reports_errno() {
        let how = OpenHow::default();
        let fd = openat2(libc::AT_FDCWD, c"/dev/null", how).unwrap();
        assert!(fd.as_raw_fd() > 2);
        assert_eq!(
            openat2(libc::AT_FDCWD, c"/no/such/file", how).unwrap_err(),
            Errno::NOENT
        );
        assert_eq!(openat2(-1, c"null", how).unwrap_err(), Errno::BADF);
        let unknown = OpenHow {
            flags: 1 << 62,
            ..how
        };
        assert_eq!(
            openat2(libc::AT_FDCWD, c"/dev/null", unknown).unwrap_err(),
            Errno::INVAL
        );
    }

    #[test]
    fn every_way_to_open_opens() {
        #[cfg(target_arch = "x86_64")]
        {
            assert!(open(c"/dev/null", 0, 0).is_ok());
            assert_eq!(creat(c"/dev/null/x", 0).unwrap_err(), Errno::NOTDIR);
        }
        assert!(openat(-1, c"/dev/null", 0, 0).is_ok());
        assert_eq!(openat(-1, c"null", 0, 0).unwrap_err(), Errno::BADF);
        assert!(openat2_bytes(-1, c"/dev/null", &[0; 24]).is_ok());
        assert_eq!(
            openat2_bytes(-1, c"/dev/null", &[0; 23]).unwrap_err(),
            Errno::INVAL
        );
        let mut tail = [0; 32];
        tail[31] = 1;
        assert_eq!(
            openat2_bytes(-1, c"/dev/null", &tail).unwrap_err(),
            Errno::TOOBIG
        );
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        std::thread::spawn(|| assert!(matches!(fork(), Err(Errno::BUSY))))
            .join()
            .unwrap();
    }

    #[test]
    fn execution_is_asked_for_by_descriptor() {
        use std::os::fd::AsFd;
        let program = std::fs::File::open("/bin/sh").unwrap();
        assert_eq!(access_exec(program.as_fd()), Ok(()));
        let file = std::fs::File::open("/etc/passwd").unwrap();
        assert_eq!(access_exec(file.as_fd()), Err(Errno::ACCESS));
    }

    #[test]
    fn the_securebits_come_back() {
        let bits = securebits().unwrap();
        // Nobody needs a privilege to set what is set.
        set_securebits(bits | SECBIT_EXEC_RESTRICT_FILE).unwrap_or_else(|errno| {
            // A kernel before 6.14 does not know the bit.
            assert_eq!(errno, Errno::PERM);
        });
        assert_eq!(securebits().unwrap() & !SECBIT_EXEC_RESTRICT_FILE, bits);
    }

    #[test]
    fn a_check_executes_nothing() {
        // An older kernel refuses the flag; none may start the program.
        let outcome = execve_check(libc::AT_FDCWD, c"/bin/false", 0);
        assert!(matches!(outcome, Ok(()) | Err(Errno::INVAL)), "{outcome:?}");
        assert!(execve_check(libc::AT_FDCWD, c"/no/such/file", 0).is_err());
    }
}
