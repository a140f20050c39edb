// SPDX-License-Identifier: GPL-2.0

//! The patches for projects that know the flag's name and run nothing: scripts/projects.sh tests them.

use crate::ctx::Ctx;
use crate::projects;
use crate::report::Report;

/// The folders below patches/projects; interpreters, which take longer, are `make projects`.
const NAMES: [&str; 4] = ["man-pages", "strace", "libc", "linux-raw-sys"];

/// Applies each project's patches to its release and makes the checks of its file.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) {
    for name in NAMES {
        projects::built(ctx, report, &[name]);
    }
    report.skip(
        "syzkaller compiles the description",
        "no registry has its source; what was tested is in patches/README.md",
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_projects_know_the_value() {
        for (file, value) in [
            (
                include_str!("../../../patches/projects/libc/project"),
                format!("[{0}, {0}]", uapi::O_MAYEXEC),
            ),
            (
                include_str!("../../../patches/projects/linux-raw-sys/project"),
                format!("[{0}, {0}]", uapi::O_MAYEXEC),
            ),
            // All that can be said about it without syzkaller's source.
            (
                include_str!(
                    "../../../patches/projects/syzkaller/0001-sys-linux-add-O_MAYEXEC-to-openat2.patch"
                ),
                format!("\n+OPENAT2_MAYEXEC = {}\n", uapi::O_MAYEXEC),
            ),
        ] {
            assert!(file.contains(&value), "{value}");
        }
    }
}
