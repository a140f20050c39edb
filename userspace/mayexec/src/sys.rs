// SPDX-License-Identifier: MIT OR Apache-2.0

//! What no crate has: openat2(2) with flags in the upper half of `how->flags`, execveat(2)
//! with `AT_EXECVE_CHECK`, and the numbers of the kernel's interface.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;

/// `include/uapi/linux/openat2.h`: open what is about to be executed.
pub(crate) const O_MAYEXEC: u64 = 1 << 33;
/// `include/uapi/asm-generic/fcntl.h`: an empty path is the directory fd itself.
pub(crate) const O_EMPTYPATH: u64 = 1 << 26;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of mounts.
pub(crate) const ENFORCE_MOUNT: u32 = 1;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of files.
pub(crate) const ENFORCE_FILE: u32 = 2;
/// The sysctl that sets the system's policy.
pub(crate) const SYSCTL: &str = "/proc/sys/fs/open_mayexec_enforce";
/// `include/uapi/linux/securebits.h`: files that may not be executed are refused.
pub(crate) const SECBIT_EXEC_RESTRICT_FILE: u32 = 1 << 8;
/// `include/uapi/linux/fcntl.h`: execveat(2) checks and executes nothing.
const AT_EXECVE_CHECK: c_int = 0x10000;

/// openat2(2), with flags that nobody has looked at.
pub(crate) fn openat2(dir: RawFd, path: &CStr, flags: u64, resolve: u64) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow {
        flags,
        mode: 0,
        resolve,
    };
    // SAFETY: `path` is a C string and `how` is laid out as `struct open_how`; both live
    // until the call returns, and the size is that of `how`.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            ptr::from_ref(&how),
            size_of::<OpenHow>(),
        )
    };
    let fd = result(ret)?;
    // SAFETY: The call has just returned this descriptor; nobody else owns it. Where a filter
    // has made it up, `support` keeps it from being closed.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// openat(2), for reading; `dir` may be `AT_FDCWD` or no descriptor at all.
pub(crate) fn openat(dir: RawFd, path: &CStr, flags: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and lives until the call returns.
    let fd = result(unsafe { libc::openat(dir, path.as_ptr(), flags) }.into())?;
    // SAFETY: The call has just returned this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// execveat(2) with `AT_EXECVE_CHECK` of what is open at a descriptor: whether execution
/// would be allowed.
pub(crate) fn execve_check(fd: RawFd) -> Result<(), Errno> {
    let argv: [*const c_char; 2] = [c"".as_ptr(), ptr::null()];
    // SAFETY: The path is a C string, `argv` and what is behind its first entry are arrays of
    // C strings that end with a null pointer; all live until the call returns.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            argv.as_ptr(),
            argv[1..].as_ptr(),
            libc::AT_EMPTY_PATH | AT_EXECVE_CHECK,
        )
    };
    result(ret).map(drop)
}

/// [`execve_check`] of a descriptor that is open.
pub(crate) fn execve_check_fd(fd: impl AsFd) -> Result<(), Errno> {
    execve_check(fd.as_fd().as_raw_fd())
}

/// Whether the caller has execute permission on what is open; on a noexec mount, nobody has.
pub(crate) fn access_exec(fd: impl AsFd) -> Result<(), Errno> {
    // SAFETY: The path is a C string that lives forever.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::X_OK,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    result(ret).map(drop)
}

/// The securebits of the calling thread.
pub(crate) fn securebits() -> Result<u32, Errno> {
    // SAFETY: PR_GET_SECUREBITS takes no pointer.
    let bits = result(unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) }.into())?;
    Ok(bits as u32)
}

fn result(ret: c_long) -> Result<c_int, Errno> {
    if ret < 0 {
        let errno = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&errno).unwrap_or(Errno::IO));
    }
    // What succeeds here returns 0, an fd or a few bits.
    c_int::try_from(ret).map_err(|_| Errno::OVERFLOW)
}
