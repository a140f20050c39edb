// SPDX-License-Identifier: GPL-2.0

//! openat2(2) through io_uring.

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;

use crate::OpenHow;

/// An io_uring for one request at a time.
pub struct Ring {
    ring: IoUring,
    /// Whether it holds a request that the kernel has not taken, about memory that is
    /// gone.
    spent: bool,
}

impl Ring {
    /// Sets up a ring.
    ///
    /// # Errors
    ///
    /// Those of io_uring_setup(2) and mmap(2).
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            ring: IoUring::new(1)?,
            spent: false,
        })
    }

    /// `IORING_OP_OPENAT2`, waited for.
    ///
    /// # Errors
    ///
    /// What the request completes with. If the kernel does not take the request, what
    /// io_uring_enter(2) answers; the ring is then of no more use, and says EBADFD.
    pub fn openat2(&mut self, dir: RawFd, path: &CStr, how: OpenHow) -> Result<OwnedFd, Errno> {
        self.request(dir, path, how, squeue::Flags::empty())
    }

    /// The same, by a thread of the kernel that acts for the caller.
    ///
    /// # Errors
    ///
    /// Those of [`Ring::openat2`].
    pub fn openat2_in_worker(
        &mut self,
        dir: RawFd,
        path: &CStr,
        how: OpenHow,
    ) -> Result<OwnedFd, Errno> {
        self.request(dir, path, how, squeue::Flags::ASYNC)
    }

    fn request(
        &mut self,
        dir: RawFd,
        path: &CStr,
        how: OpenHow,
        flags: squeue::Flags,
    ) -> Result<OwnedFd, Errno> {
        if self.spent {
            return Err(Errno::BADFD);
        }
        let how = types::OpenHow::new()
            .flags(how.flags)
            .mode(how.mode)
            .resolve(how.resolve);
        let entry = opcode::OpenAt2::new(types::Fd(dir), path.as_ptr(), &raw const how)
            .build()
            .flags(flags);
        // SAFETY: `path` and `how` live until this function returns. It does so when the
        // request has completed, or when the kernel has not taken it and never will:
        // nothing is submitted to a spent ring.
        unsafe { self.ring.submission().push(&entry) }.map_err(|_| Errno::BADFD)?;
        loop {
            let entered = self.ring.submit_and_wait(1);
            if let Some(done) = self.ring.completion().next() {
                if done.result() < 0 {
                    return Err(Errno::from_raw_os_error(-done.result()));
                }
                // SAFETY: The request has just returned this descriptor; nobody else
                // owns it.
                return Ok(unsafe { OwnedFd::from_raw_fd(done.result()) });
            }
            if let Err(error) = entered
                && !self.ring.submission().is_empty()
            {
                self.spent = true;
                return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_opens_and_reports_errno() {
        // Where io_uring is forbidden there is nothing to test.
        let Ok(mut ring) = Ring::new() else { return };
        let how = OpenHow::default();
        for _ in 0..3 {
            assert!(ring.openat2(-1, c"/dev/null", how).is_ok());
            assert_eq!(
                ring.openat2(-1, c"/no/such/file", how).unwrap_err(),
                Errno::NOENT
            );
            assert!(ring.openat2_in_worker(-1, c"/dev/null", how).is_ok());
        }
    }
}
