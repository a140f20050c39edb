// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls that no crate has, or not with these arguments: execveat(2) with
//! `AT_EXECVE_CHECK`, openat(2) of no directory, faccessat2(2) of an empty path.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::{Errno, retry_on_intr};

use crate::kernel::result;

/// `include/uapi/asm-generic/fcntl.h`: an empty path is the directory fd itself.
pub(crate) const O_EMPTYPATH: u64 = 1 << 26;
/// `include/uapi/linux/fcntl.h`: execveat(2) checks and executes nothing.
const AT_EXECVE_CHECK: c_int = 0x10000;

/// openat(2), for reading; `dir` may be `AT_FDCWD` or no descriptor at all.
pub(crate) fn openat(dir: RawFd, path: &CStr, flags: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string and lives until the call returns.
    let call = || unsafe { libc::openat(dir, path.as_ptr(), flags) };
    let fd = retry_on_intr(|| result(call().into()))?;
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
