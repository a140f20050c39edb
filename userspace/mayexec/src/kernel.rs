// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the series adds to the kernel's interface and no crate has. The command has this file,
//! too.

use std::ffi::{CStr, c_int, c_long};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::{Errno, retry_on_intr};

/// `include/uapi/linux/openat2.h`: open what is about to be executed.
pub(crate) const O_MAYEXEC: u64 = 1 << 33;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of mounts.
pub(crate) const ENFORCE_MOUNT: u32 = 1;
/// `Documentation/admin-guide/sysctl/fs.rst`: the check of files.
pub(crate) const ENFORCE_FILE: u32 = 2;
/// The sysctl that sets the system's policy.
pub(crate) const SYSCTL: &str = "/proc/sys/fs/open_mayexec_enforce";
/// `include/uapi/linux/securebits.h`: files that may not be executed are refused.
pub(crate) const SECBIT_EXEC_RESTRICT_FILE: u32 = 1 << 8;

/// openat2(2), with flags of 64 bits that nobody has looked at.
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
    let call = || unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            ptr::from_ref(&how),
            size_of::<OpenHow>(),
        )
    };
    let fd = retry_on_intr(|| result(call()))?;
    // SAFETY: The call has just returned this descriptor; nobody else owns it. Where a filter
    // has made it up, `support` keeps it from being closed.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a system call of the C library returned.
pub(crate) fn result(ret: c_long) -> Result<c_int, Errno> {
    if ret < 0 {
        let errno = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&errno).unwrap_or(Errno::IO));
    }
    // What succeeds here returns 0, an fd or a few bits.
    c_int::try_from(ret).map_err(|_| Errno::OVERFLOW)
}
