// SPDX-License-Identifier: GPL-2.0

//! openat2(2) through io_uring, many at a time.

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

use io_uring::{IoUring, opcode, squeue, types};
use rustix::io::Errno;

use crate::OpenHow;

/// A ring for opens of one path at a time.
pub struct OpenRing {
    /// Gone after an error of the ring itself: entries may be left that point to what a
    /// caller has dropped.
    ring: Option<IoUring>,
    batch: u32,
    fds: Vec<RawFd>,
}

impl OpenRing {
    /// A ring that opens `batch` files in one call.
    ///
    /// # Errors
    ///
    /// Those of io_uring_setup(2).
    pub fn new(batch: u32) -> io::Result<Self> {
        Ok(Self {
            ring: Some(IoUring::new(batch)?),
            batch,
            fds: Vec::new(),
        })
    }

    /// Opens `path` as often as the batch is large, then closes what was opened.
    ///
    /// # Errors
    ///
    /// The first error that an open met, after what was opened is closed; or those of
    /// io_uring_enter(2), which end the use of the ring.
    pub fn open_and_close(&mut self, dir: RawFd, path: &CStr, how: OpenHow) -> io::Result<()> {
        let mut ring = self.ring.take().ok_or(Errno::BADF)?;
        let how = types::OpenHow::new()
            .flags(how.flags)
            .mode(how.mode)
            .resolve(how.resolve);
        let open = opcode::OpenAt2::new(types::Fd(dir), path.as_ptr(), &raw const how).build();
        for _ in 0..self.batch {
            push(&mut ring, &open)?;
        }
        ring.submit_and_wait(self.batch as usize)?;
        let mut refused = None;
        self.fds.clear();
        for completion in ring.completion() {
            match completion.result() {
                fd @ 0.. => self.fds.push(fd),
                error => refused = refused.or(Some(Errno::from_raw_os_error(-error))),
            }
        }
        if !self.fds.is_empty() {
            for &fd in &self.fds {
                push(&mut ring, &opcode::Close::new(types::Fd(fd)).build())?;
            }
            ring.submit_and_wait(self.fds.len())?;
        }
        for completion in ring.completion() {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
        }
        self.ring = Some(ring);
        refused.map_or(Ok(()), |errno| Err(errno.into()))
    }
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: What the entries of `open_and_close`, the only caller, point to lives until
    // they are completed; if that fails, the ring is dropped with those not submitted.
    unsafe { ring.submission().push(entry) }.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_batch_opens_and_reports_errno() {
        let Ok(mut ring) = OpenRing::new(4) else {
            // Containers often forbid io_uring.
            return;
        };
        let how = OpenHow::default();
        ring.open_and_close(libc::AT_FDCWD, c"/dev/null", how)
            .unwrap();
        assert_eq!(ring.fds.len(), 4);
        let error = ring.open_and_close(libc::AT_FDCWD, c"/no/such/file", how);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        ring.open_and_close(libc::AT_FDCWD, c"/dev/null", how)
            .unwrap();
    }
}
