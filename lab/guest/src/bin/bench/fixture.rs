// SPDX-License-Identifier: GPL-2.0

//! Files, mounts and policies to measure with.

use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, move_mount, open_tree,
};
use uapi::{O_MAYEXEC, OpenHow, Policy, SECBIT_EXEC_RESTRICT_FILE};

/// Where everything is, in the guest's memory.
pub(crate) const ROOT: &str = "/run/bench";

/// An executable file on a tmpfs. The guest's first process has mounted it.
pub(crate) const SCRIPT: &str = "/tmp/script";

/// A file beside it that nobody may execute.
pub(crate) const TEXT: &str = "/tmp/text";

/// An executable file on a noexec mount.
pub(crate) const NOEXEC_SCRIPT: &str = "/tmp/noexec/script";

/// A user that is neither root nor the owner of a file.
const NOBODY: u32 = 65534;

/// The first of the user IDs that the idmapped mount shows.
const SHIFT: u32 = 10_000;

/// `path` as the system calls take it.
pub(crate) fn c_path(path: impl AsRef<Path>) -> Result<CString> {
    CString::new(path.as_ref().as_os_str().as_bytes()).context("a path with a zero byte")
}

/// Writes a file with a mode.
pub(crate) fn file(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    fs::write(path, "#!/bin/true\n").with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}

/// Mounts a file system on a directory that is made for it.
fn mount_new(source: &str, target: &str, kind: &str, flags: MountFlags, data: &str) -> Result<()> {
    fs::create_dir_all(target)?;
    mount(source, target, kind, flags, c_path(data)?.as_c_str())
        .with_context(|| format!("cannot mount {kind} on {target}"))
}

/// Makes the files that every measurement needs, and a tmpfs for the others.
pub(crate) fn make() -> Result<()> {
    file(SCRIPT, 0o755)?;
    file(TEXT, 0o644)?;
    let noexec = "/tmp/noexec";
    mount_new("bench", noexec, "tmpfs", MountFlags::NOEXEC, "mode=0755")?;
    file(NOEXEC_SCRIPT, 0o755)?;
    let tmpfs = format!("{ROOT}/tmpfs");
    // Half of the memory's pages would not do for a million files.
    let options = "mode=0755,nr_inodes=0";
    mount_new("bench", &tmpfs, "tmpfs", MountFlags::empty(), options)?;
    file(format!("{tmpfs}/script"), 0o755)
}

/// Mounts another kind of file system and puts a script there; its path, or nothing
/// where the kernel does not know it.
pub(crate) fn other(kind: &str) -> Result<Option<CString>> {
    let dir = format!("{ROOT}/{kind}");
    let script = format!("{dir}/script");
    match kind {
        "tmpfs" => return Ok(Some(c_path(format!("{ROOT}/tmpfs/script"))?)),
        "ext4" => {
            if !fs::read_to_string("/proc/filesystems")?.contains("\text4\n") {
                return Ok(None);
            }
            let image = format!("{ROOT}/ext4.img");
            fs::create_dir_all(&dir)?;
            fs::File::create(&image)?.set_len(64 << 20)?;
            quietly(Command::new("mkfs.ext4").args(["-q", "-F", &image]))?;
            quietly(Command::new("mount").args(["-o", "loop", "-t", "ext4", &image, &dir]))?;
            file(&script, 0o755)?;
        }
        "overlay" => {
            for part in ["lower", "upper", "work"] {
                fs::create_dir_all(format!("{ROOT}/tmpfs/{part}"))?;
            }
            file(format!("{ROOT}/tmpfs/lower/script"), 0o755)?;
            let data = format!(
                "lowerdir={ROOT}/tmpfs/lower,upperdir={ROOT}/tmpfs/upper,workdir={ROOT}/tmpfs/work"
            );
            mount_new("bench", &dir, "overlay", MountFlags::empty(), &data)?;
        }
        "idmapped" => {
            fs::create_dir_all(&dir)?;
            let tree = open_tree(
                CWD,
                format!("{ROOT}/tmpfs"),
                OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
            )?;
            uapi::mount_idmap(tree.as_fd(), user_namespace()?.as_fd())
                .context("cannot idmap a mount")?;
            move_mount(
                &tree,
                "",
                CWD,
                dir.as_str(),
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )?;
        }
        "acl" => {
            fs::create_dir_all(&dir)?;
            file(&script, 0o750)?;
            std::os::unix::fs::chown(&script, Some(NOBODY), Some(NOBODY))?;
            rustix::fs::setxattr(
                script.as_str(),
                "system.posix_acl_access",
                &acl_for_root(),
                rustix::fs::XattrFlags::empty(),
            )
            .context("cannot set an ACL")?;
        }
        _ => bail!("{kind}: no such kind of file system"),
    }
    Ok(Some(c_path(script)?))
}

/// An ACL whose only named user is root: read and execute.
fn acl_for_root() -> Vec<u8> {
    const NAMED_USER: u16 = 0x02;
    let no_id = u32::MAX;
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01, 7, no_id),
        (NAMED_USER, 5, 0),
        (0x04, 5, no_id),
        (0x10, 5, no_id),
        (0x20, 0, no_id),
    ] {
        acl.extend(u16::to_le_bytes(tag));
        acl.extend(u16::to_le_bytes(permissions));
        acl.extend(u32::to_le_bytes(id));
    }
    acl
}

/// A user namespace whose IDs are [`SHIFT`] higher outside.
fn user_namespace() -> Result<OwnedFd> {
    let mut child = Command::new("unshare")
        .args(["--user", "sh", "-c", "echo && exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start unshare")?;
    // The line says that the namespace is there.
    let mut ready = [0];
    std::io::Read::read_exact(child.stdout.as_mut().context("no pipe")?, &mut ready)?;
    let proc = format!("/proc/{}", child.id());
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("{proc}/{map}"), format!("0 {SHIFT} 1000"))
            .with_context(|| format!("cannot write {map}"))?;
    }
    let namespace = fs::File::open(format!("{proc}/ns/user"))?;
    child.kill()?;
    child.wait()?;
    Ok(namespace.into())
}

/// Runs a program whose output is of interest only if it fails.
pub(crate) fn quietly(cmd: &mut Command) -> Result<()> {
    let out = cmd
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {cmd:?}"))?;
    if !out.status.success() {
        bail!("{cmd:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

/// Shows a directory at another place, too.
pub(crate) fn bind(source: &str, target: &str) -> Result<()> {
    mount_bind(source, target).with_context(|| format!("cannot bind {source} on {target}"))
}

/// Whether the kernel knows the flag.
pub(crate) fn has_flag() -> bool {
    openat2(c"/", O_MAYEXEC).map(drop) != Err(Errno::INVAL)
}

/// The name of a policy in a figure's name.
pub(crate) fn name(policy: Policy) -> String {
    if policy == Policy::SECUREBIT {
        "securebit".to_owned()
    } else {
        format!("policy-{policy}")
    }
}

/// Puts a policy, and no other, in force. This is root, whose securebit counts.
pub(crate) fn enforce(policy: Policy) -> Result<()> {
    let bits = if policy.securebit {
        SECBIT_EXEC_RESTRICT_FILE
    } else {
        0
    };
    policy.set_system()?;
    uapi::set_securebits(bits).context("cannot set the securebits")
}

/// The names and flags of the pair that shows what the flag adds.
pub(crate) fn both(name: &str, flag: bool) -> impl Iterator<Item = (String, u64)> {
    let plain = (format!("{name}/plain"), 0);
    let flagged = (format!("{name}/flagged"), O_MAYEXEC);
    [plain, flagged].into_iter().take(if flag { 2 } else { 1 })
}

/// An open that is expected to succeed; the file is closed.
pub(crate) fn opens(opened: Result<OwnedFd, Errno>) -> Result<()> {
    opened?;
    Ok(())
}

/// openat2(2) for reading.
pub(crate) fn openat2(path: &CStr, flags: u64) -> Result<OwnedFd, Errno> {
    let how = OpenHow {
        flags: flags | u64::from(libc::O_CLOEXEC.cast_unsigned()),
        ..OpenHow::default()
    };
    uapi::openat2(libc::AT_FDCWD, path, how)
}
