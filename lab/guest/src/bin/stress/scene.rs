// SPDX-License-Identifier: GPL-2.0

//! The files and the mounts.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use uapi::{O_MAYEXEC, OpenHow};

/// Where it all is.
const ROOT: &str = "/run/stress";

/// Mount flags of a mount whose noexec is `yes`.
pub(crate) fn noexec_flag(yes: bool) -> MountFlags {
    if yes {
        MountFlags::NOEXEC
    } else {
        MountFlags::empty()
    }
}

/// A path of the scene.
pub(crate) fn at(name: &str) -> PathBuf {
    PathBuf::from(ROOT).join(name)
}

/// The scene's directory.
pub(crate) fn root() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(ROOT, flags, Mode::empty()).with_context(|| format!("cannot open {ROOT}"))
}

/// Sets the scene: one directory under four mounts, so that a file and a mount can be
/// picked apart.
///
/// | path | mount |
/// |---|---|
/// | `exec` | allows execution |
/// | `noexec` | does not |
/// | `bind` | allows it at first, and is for changing |
/// | `top` | allows it, and is for mounting on |
/// | `way` | a link to `exec` at first |
///
/// In them are the executable files `good`, `flip` and `name`, `plain`, which is not
/// executable, the FIFO `fifo`, and `link`, which leads to `way/good`. `flip` is for
/// changing modes, `name` for being renamed over.
pub(crate) fn set() -> Result<()> {
    fs::create_dir_all(ROOT)?;
    mount("tmpfs", ROOT, "tmpfs", MountFlags::empty(), c"mode=0755")
        .with_context(|| format!("cannot mount a tmpfs on {ROOT}"))?;
    // What is mounted on one of the binds below must not appear on the others.
    mount_change(ROOT, MountPropagationFlags::PRIVATE)?;
    for dir in ["exec", "noexec", "bind", "top"] {
        fs::create_dir(at(dir))?;
    }
    for dir in ["noexec", "bind", "top"] {
        mount_bind(at("exec"), at(dir)).with_context(|| format!("cannot bind to {dir}"))?;
    }
    remount(&at("noexec"), true)?;
    for (name, mode) in [("good", 0o755), ("plain", 0o644), ("flip", 0o755)] {
        let path = at("exec").join(name);
        fs::write(&path, "true\n")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    fs::hard_link(at("exec/good"), at("exec/name"))?;
    rustix::fs::mknodat(
        CWD,
        at("exec/fifo"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o755),
        0,
    )?;
    symlink("exec", at("way"))?;
    symlink("../way/good", at("exec/link"))?;
    Ok(())
}

/// Fails clearly where the flag is unknown.
pub(crate) fn probe() -> Result<()> {
    let how = OpenHow {
        flags: O_MAYEXEC,
        ..OpenHow::default()
    };
    let root = root()?;
    match uapi::openat2(root.as_raw_fd(), c"exec/good", how) {
        Err(Errno::INVAL) => bail!("this kernel does not know O_MAYEXEC"),
        answer => answer.map(drop).context("cannot open a file at all"),
    }
}

/// Sets or clears noexec of a bind mount, without touching its file system.
pub(crate) fn remount(path: &Path, noexec: bool) -> rustix::io::Result<()> {
    rustix::mount::mount_remount(path, MountFlags::BIND | noexec_flag(noexec), c"")
}

/// The system's policy, kept open.
#[derive(Debug)]
pub(crate) struct Sysctl(fs::File);

impl Sysctl {
    /// Opens it.
    pub(crate) fn open() -> Result<Self> {
        let file = fs::OpenOptions::new().write(true).open(uapi::SYSCTL);
        Ok(Self(file.with_context(|| {
            format!("cannot open {}", uapi::SYSCTL)
        })?))
    }

    /// Sets it.
    pub(crate) fn set(&self, value: u8) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        self.0.write_all_at(value.to_string().as_bytes(), 0)
    }
}
