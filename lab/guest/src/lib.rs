// SPDX-License-Identifier: GPL-2.0

//! What the host hands to the guest's first process and what it gets back; what the programs in
//! the guest tell the host, in modules of their own.

pub mod bench;
pub mod fuzz;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The 9p tag of the directory that host and guest share.
pub const SHARE_TAG: &str = "lab";
/// The 9p tag of the directory that is copied into the guest's memory.
pub const BUNDLE_TAG: &str = "bundle";
/// The 9p tag of the directory with the programs that the host does not have.
pub const TOOLS_TAG: &str = "tools";
/// Where the guest sees these programs.
pub const TOOLS: &str = "/run/tools";
/// Where the guest sees the shared directory.
pub const SHARE: &str = "/run/lab";
/// Where the guest keeps its copy of the bundle.
pub const BUNDLE: &str = "/run/bundle";
/// The job's file in the shared directory.
pub const JOB_FILE: &str = "job.json";
/// The file that holds how the job ended.
pub const STATUS_FILE: &str = "status.json";
/// Where a job finds programs, unless its environment says otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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

/// A command to run in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Whether the bundle is there and is to be copied to [`BUNDLE`].
    pub bundle: bool,
    /// Whether the programs for [`TOOLS`] are there.
    pub tools: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The exit code, if the command exited.
    pub code: Option<i32>,
    /// What kept the command from running or from exiting, if anything did.
    pub trouble: Option<String>,
}
