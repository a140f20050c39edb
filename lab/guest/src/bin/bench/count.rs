// SPDX-License-Identifier: GPL-2.0

//! What opens cost, and what users have instead of the flag.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, bail};
use guest::bench::Line;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use uapi::{
    ENFORCE_FILE, ENFORCE_MOUNT, O_MAYEXEC, OpenHow, OpenRing, Policy, SECBIT_EXEC_RESTRICT_FILE,
};

use crate::fixture::{self, NOEXEC_SCRIPT, SCRIPT, TEXT, both, c_path, openat2, opens};
use crate::meter::Meter;
use crate::{growth, start, tell, whole};

/// How many opens one call of io_uring makes.
const BATCH: u32 = 32;

/// The kinds of places that a file may be in.
const PLACES: [&str; 5] = ["tmpfs", "ext4", "overlay", "idmapped", "acl"];

/// Takes all figures.
pub(crate) fn run(only: &str, tree: Option<&Path>) -> Result<()> {
    let meter = Meter::new(only)?;
    fixture::make()?;
    let flag = fixture::has_flag();
    tell(&Line::Fact("has the flag".to_owned(), flag.to_string()))?;
    unflagged(&meter)?;
    if flag {
        flagged(&meter)?;
        // What follows compares under the strictest policy.
        fixture::enforce(Policy::system(3))?;
    }
    today(&meter)?;
    if meter.wants("ring") {
        ring(&meter, flag)?;
    }
    if meter.wants("place") {
        places(&meter, flag)?;
    }
    if meter.wants("start") {
        start::run(&meter, flag)?;
    }
    // Only now: thousands of mounts leave holes in the memory of per-CPU counters, and
    // AT_EXECVE_CHECK, which makes an mm with some, would count the search for room.
    if meter.wants("growth") {
        growth::run(&meter, flag)?;
    }
    if meter.wants("whole") {
        whole::run(&meter, tree)?;
    }
    Ok(())
}

/// Opens that have nothing to do with the flag.
fn unflagged(meter: &Meter<'_>) -> Result<()> {
    let path = c_path(SCRIPT)?;
    let flags = OFlags::CLOEXEC;
    meter.count("unflagged/no-system-call", || Ok(()))?;
    meter.count("unflagged/getppid", || {
        let _ = rustix::process::getppid();
        Ok(())
    })?;
    meter.count("unflagged/open", || {
        rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(())
    })?;
    let dir = rustix::fs::open("/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    meter.count("unflagged/openat", || {
        rustix::fs::openat(&dir, c"script", flags, Mode::empty())?;
        Ok(())
    })?;
    meter.count("unflagged/openat2", || opens(openat2(&path, 0)))?;
    meter.count("unflagged/create", || {
        rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::WRONLY, Mode::RWXU)?;
        Ok(())
    })?;
    let noexec = c_path(NOEXEC_SCRIPT)?;
    meter.count("unflagged/noexec-mount", || opens(openat2(&noexec, 0)))
}

/// Opens with the flag under every policy.
fn flagged(meter: &Meter<'_>) -> Result<()> {
    let script = c_path(SCRIPT)?;
    let text = c_path(TEXT)?;
    let noexec = c_path(NOEXEC_SCRIPT)?;
    for policy in Policy::EVERY {
        fixture::enforce(policy)?;
        let name = fixture::name(policy);
        let checks = policy.enforced();
        let open = |path: &CStr| openat2(path, O_MAYEXEC);
        meter.count(&format!("flagged/{name}/allowed"), || opens(open(&script)))?;
        if checks & ENFORCE_MOUNT != 0 {
            meter.count(&format!("flagged/{name}/denied-mount"), || {
                refused(open(&noexec))
            })?;
        }
        if checks & ENFORCE_FILE != 0 {
            meter.count(&format!("flagged/{name}/denied-file"), || {
                refused(open(&text))
            })?;
        }
    }
    Ok(())
}

/// What programs do today.
fn today(meter: &Meter<'_>) -> Result<()> {
    let path = c_path(SCRIPT)?;
    meter.count("today/execve-check", || {
        let fd = openat2(&path, 0)?;
        Ok(uapi::execve_check(
            fd.as_raw_fd(),
            c"",
            libc::AT_EMPTY_PATH,
        )?)
    })?;
    meter.count("today/securebits-execve-check", || {
        let fd = openat2(&path, 0)?;
        // The bit is not set: what counts is that the kernel is asked.
        let forced = uapi::securebits()? & SECBIT_EXEC_RESTRICT_FILE != 0;
        match uapi::execve_check(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH) {
            Err(errno) if forced => Err(errno.into()),
            _ => Ok(()),
        }
    })?;
    meter.count("today/access", || {
        let fd = openat2(&path, 0)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        let mount = rustix::fs::fstatvfs(&fd)?.f_flag;
        rustix::fs::accessat(CWD, path.as_c_str(), Access::EXEC_OK, AtFlags::EACCESS)?;
        if kind != FileType::RegularFile || mount.contains(StatVfsMountFlags::from_bits_retain(8)) {
            bail!("not to be executed");
        }
        Ok(())
    })
}

/// Many opens in one call.
fn ring(meter: &Meter<'_>, flag: bool) -> Result<()> {
    let path = c_path(SCRIPT)?;
    let mut ring = OpenRing::new(BATCH)?;
    for (name, flags) in both("ring", flag) {
        let how = OpenHow {
            flags: flags | u64::from(libc::O_CLOEXEC.cast_unsigned()),
            ..OpenHow::default()
        };
        meter.count_each(&name, BATCH.into(), 8, 25, || {
            Ok(ring.open_and_close(libc::AT_FDCWD, &path, how)?)
        })?;
    }
    Ok(())
}

/// Opens on several file systems.
fn places(meter: &Meter<'_>, flag: bool) -> Result<()> {
    for place in PLACES {
        let Some(path) = fixture::other(place)? else {
            continue;
        };
        for (name, flags) in both(&format!("place/{place}"), flag) {
            meter.count(&name, || opens(openat2(&path, flags)))?;
        }
    }
    Ok(())
}

/// An open that is expected to be denied.
fn refused(opened: Result<OwnedFd, Errno>) -> Result<()> {
    match opened {
        Err(Errno::ACCESS) => Ok(()),
        other => bail!("expected EACCES, got {other:?}"),
    }
}
