// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracing, of which `status` speaks and which `watch` uses.

use std::path::PathBuf;

/// The tracepoint, below `events`.
pub(crate) const EVENT: &str = "mayexec/open_mayexec";

/// Where tracefs is mounted.
pub(crate) fn dir() -> Option<PathBuf> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .map(PathBuf::from)
        .find(|dir| dir.join("instances").is_dir())
}
