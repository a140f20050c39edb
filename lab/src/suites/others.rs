// SPDX-License-Identifier: GPL-2.0

//! The patches for projects that know the flag's name and run nothing: scripts/projects.sh tests them.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::projects;
use crate::report::Report;

/// The folders below patches/projects; interpreters, which take longer, are `make projects`.
const NAMES: [&str; 4] = ["man-pages", "strace", "libc", "linux-raw-sys"];

/// Applies each project's patches to its release and makes the checks of its file.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    for name in NAMES {
        projects::built(ctx, report, &[name]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    const LIBC: &str = include_str!("../../../patches/projects/libc/project");
    const RAW: &str = include_str!("../../../patches/projects/linux-raw-sys/project");
    const SYZKALLER: &str = include_str!(
        "../../../patches/projects/syzkaller/0001-sys-linux-add-O_MAYEXEC-to-openat2.patch"
    );

    #[test]
    fn the_projects_know_the_value() {
        let value = uapi::O_MAYEXEC;
        let asked = format!("[{value}, {value}]");
        assert!(LIBC.contains(&asked) && RAW.contains(&asked));
        // All that can be said about it without syzkaller's source.
        assert!(SYZKALLER.contains(&format!("\n+OPENAT2_MAYEXEC = {value}\n")));
    }
}
