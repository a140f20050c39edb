// SPDX-License-Identifier: GPL-2.0

//! The root of guests in which the host's programs do not run: busybox, and a
//! script as the first process.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::ctx::{Ctx, make_whole};
use crate::toolchain::Arch;

/// The package that holds a busybox which needs no library.
const BUSYBOX: &str = "busybox-static";

/// What the first process mounts over.
const DIRS: [&str; 6] = ["bin", "dev", "proc", "run", "sys", "tmp"];

/// The directory that a guest of this architecture has as its root, made unless it
/// is there.
pub(crate) fn open(ctx: &Ctx, arch: Arch) -> Result<PathBuf> {
    let root = ctx.build.join(format!("root-{}", arch.debian()));
    let busybox = root.join("busybox");
    if !busybox.is_file() {
        let of_arch = format!("_{}.deb", arch.debian());
        let kept = apt::downloaded(&ctx.build.join("dl"), BUSYBOX)?
            .map(|(deb, _)| deb)
            .filter(|deb| deb.to_string_lossy().ends_with(&of_arch));
        let deb = match kept {
            Some(deb) => deb,
            None => Apt::of_arch(ctx, arch.debian())?.download_newest(BUSYBOX)?,
        };
        make_whole(&root, |part| {
            let unpacked = part.join("unpacked");
            apt::unpack(&deb, &unpacked)?;
            let Some(program) = ["bin/busybox", "usr/bin/busybox"]
                .iter()
                .map(|path| unpacked.join(path))
                .find(|path| path.is_file())
            else {
                bail!("{} holds no busybox", ctx.show(&deb));
            };
            let fresh = part.join("root");
            fs::create_dir(&fresh)?;
            fs::copy(program, fresh.join("busybox"))?;
            for dir in DIRS {
                fs::create_dir(fresh.join(dir))?;
            }
            Ok(fresh)
        })?;
    }
    let script = ctx.root.join("scripts/guest-init.sh");
    let init = root.join("init");
    fs::copy(&script, &init).with_context(|| format!("cannot copy {}", script.display()))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    Ok(root)
}

/// An initramfs with busybox, as `/busybox`, these directories and these programs.
pub(crate) fn initramfs(
    dirs: &[&str],
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<Vec<u8>> {
    const DIRECTORY: u32 = 0o040_755;
    const PROGRAM: u32 = 0o100_755;
    let busybox = ["/bin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join("busybox"))
        .find(|path| path.is_file())
        .context("busybox is missing: scripts/setup.sh installs busybox-static")?;
    let dirs = dirs
        .iter()
        .map(|dir| ((*dir).to_owned(), DIRECTORY, Vec::new()));
    let busybox = [("busybox".to_owned(), PROGRAM, fs::read(busybox)?)];
    let files = files
        .into_iter()
        .map(|(name, bytes)| (name, PROGRAM, bytes));
    let entries = dirs
        .chain(busybox)
        .chain(files)
        .map(|(name, mode, bytes)| (cpio::NewcBuilder::new(&name).mode(mode), Cursor::new(bytes)));
    cpio::write_cpio(entries, Vec::new()).context("cannot write the initramfs")
}

#[cfg(test)]
mod tests {
    use guest::{BUNDLE, BUNDLE_TAG, READY, SHARE, SHARE_TAG, STATUS_FILE, Status};

    use std::process::Command;

    use super::*;
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
        for dir in DIRS {
            assert!(INIT.contains(&format!(" /{dir}\n")), "{dir}");
        }
    }

    #[test]
    fn the_script_s_status_is_one_that_the_host_reads() {
        let line = INIT
            .lines()
            .find(|line| line.contains(STATUS_FILE))
            .unwrap();
        let out = proc::capture(
            Command::new("sh")
                .arg("-c")
                .arg(format!("code=7; {}", line.split(" >").next().unwrap())),
        )
        .unwrap();
        let status: Status = serde_json::from_str(&out).unwrap();
        assert_eq!((status.code, status.trouble), (Some(7), None));
    }
}
