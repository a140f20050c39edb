// SPDX-License-Identifier: GPL-2.0

//! What the host hands to the guest's first process and what it gets back; what the programs in
//! the guest tell the host, in modules of their own.

pub mod bench;
pub mod fuzz;

use std::io;
use std::path::Path;

/// The 9p tag of the directory that host and guest share.
pub const SHARE_TAG: &str = "lab";
/// Where the guest sees the shared directory.
pub const SHARE: &str = "/run/lab";
/// The job's file in the shared directory: a script for the guest's shell.
pub const JOB_FILE: &str = "job.sh";
/// The file that holds how the job ended: its exit code, or in words what kept it from exiting.
pub const STATUS_FILE: &str = "status";
/// What the first process prints on the job's console when it is ready.
pub const READY: &str = "guest: ready";

/// Refuses to go on outside a guest.
///
/// What calls it changes the policy, the mounts or the trace buffers of the system that
/// it runs on.
///
/// # Errors
///
/// There is no job here, so this is no guest.
pub fn require() -> io::Result<()> {
    if Path::new(SHARE).join(JOB_FILE).is_file() {
        return Ok(());
    }
    Err(io::Error::other(
        "this changes the system that it runs on and is for a guest, which `make` starts",
    ))
}
