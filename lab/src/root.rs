// SPDX-License-Identifier: GPL-2.0

//! The root of guests in which the host's programs do not run: busybox, and a
//! script as the first process.

use fs_err as fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::toolchain::Arch;
use crate::ui;

/// The directory that a guest of this architecture has as its root, made unless it
/// is there.
pub(crate) fn open(ctx: &Ctx, arch: Arch) -> Result<PathBuf> {
    let root = ctx.build.join(format!("root-{}", arch.debian));
    ui::fetched(ctx, &["busybox", arch.debian], &root)?;
    let script = ctx.root.join("scripts/guest-init.sh");
    let init = root.join("init");
    fs::copy(&script, &init)?;
    fs::set_permissions(&init, Permissions::from_mode(0o755))?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use guest::{BUNDLE, BUNDLE_TAG, JOB_FILE, READY, SHARE, SHARE_TAG, STATUS_FILE, Status};

    use std::process::Command;

    use crate::guest::JOB_SCRIPT;
    use crate::proc;

    const INIT: &str = include_str!("../../scripts/guest-init.sh");

    #[test]
    fn the_script_keeps_what_host_and_guest_agreed_on() {
        for part in [
            format!(" {SHARE_TAG} {SHARE}\n"),
            format!(" {BUNDLE_TAG} /run/bundle-source;"),
            format!(" /run/bundle-source {BUNDLE}\n"),
            format!("echo \"{READY}\" >"),
            format!("sh {SHARE}/{JOB_SCRIPT} "),
            format!(" >{SHARE}/{STATUS_FILE}\n"),
        ] {
            assert!(INIT.contains(&part), "{part}");
        }
        // The demo of `make release` plays in guests alone, and by this it knows one.
        let release = include_str!("../../scripts/release-init.sh");
        assert!(release.contains(&format!(" >{SHARE}/{JOB_FILE}\n")));
        assert!(release.contains("\n/demo || "));
    }

    #[test]
    fn the_script_s_status_is_one_that_the_host_reads() {
        let mut lines = INIT.lines().filter(|line| line.contains(STATUS_FILE));
        let (command, _) = lines.next().unwrap().split_once(" >").unwrap();
        let script = format!("code=7; {command}");
        let out = proc::capture(Command::new("sh").args(["-c", &script])).unwrap();
        let status: Status = serde_json::from_str(&out).unwrap();
        assert_eq!((status.code, status.trouble), (Some(7), None));
    }
}
