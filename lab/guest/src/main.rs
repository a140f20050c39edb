// SPDX-License-Identifier: GPL-2.0

//! The guest's first process: mounts what programs expect, runs one job with its
//! output on a console of its own, leaves how it ended in the shared directory and
//! turns the machine off.
//!
//! The guest's root is the host's, read-only: everything that a job writes goes to
//! memory or to the shared directory.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use guest::{JOB_FILE, READY, SHARE, SHARE_TAG, STATUS_FILE};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot, sethostname};

/// Where a job finds programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The console that carries the job's output; the kernel's messages are elsewhere.
const CONSOLE: &str = "/dev/hvc0";

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "guest-init: this is the first process of a virtual machine; `make shell` starts one"
        );
        std::process::exit(2);
    }
    let status = prepare().and_then(|()| run()).unwrap_or_else(|error| {
        // The kernel's console is the one place that certainly works here.
        eprintln!("guest-init: {error:#}");
        format!("{error:#}")
    });
    if let Err(error) = leave(&status) {
        eprintln!("guest-init: cannot leave the job's status: {error:#}");
    }
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
    // Without a power-off the host's time limit ends the guest; the first process
    // must not return, that would be a panic.
    loop {
        std::thread::park();
    }
}

fn mount_at(source: &str, target: &str, kind: &str, flags: MountFlags, data: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot create {target}"))?;
    let data = std::ffi::CString::new(data)?;
    mount(source, target, kind, flags, data.as_c_str())
        .with_context(|| format!("cannot mount {kind} on {target}"))
}

fn prepare() -> Result<()> {
    let none = MountFlags::empty();
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount_at("proc", "/proc", "proc", plain | MountFlags::NOEXEC, "")?;
    mount_at("sysfs", "/sys", "sysfs", plain | MountFlags::NOEXEC, "")?;
    if !Path::new("/dev/null").exists() {
        mount_at(
            "devtmpfs",
            "/dev",
            "devtmpfs",
            MountFlags::NOSUID,
            "mode=0755",
        )?;
    }
    mount_at(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID,
        "mode=0620,ptmxmode=0666",
    )?;
    mount_at("tmpfs", "/dev/shm", "tmpfs", plain, "mode=1777")?;
    // Tests make device nodes where they work, so /tmp and /run allow them.
    for dir in ["/tmp", "/run", "/var/tmp"] {
        mount_at(
            "tmpfs",
            dir,
            "tmpfs",
            none,
            if dir == "/run" {
                "mode=0755"
            } else {
                "mode=1777"
            },
        )?;
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        // devtmpfs may have them.
        let _ = std::os::unix::fs::symlink(target, link);
    }
    let _ = sethostname(b"mayexec");
    mount_at(
        SHARE_TAG,
        SHARE,
        "9p",
        none,
        "trans=virtio,version=9p2000.L,msize=512000",
    )
}

/// The job's console, passing bytes through as they are.
fn console() -> Result<File> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONSOLE)
        .with_context(|| format!("cannot open {CONSOLE}"))?;
    let mut settings = rustix::termios::tcgetattr(&console)?;
    settings.make_raw();
    rustix::termios::tcsetattr(&console, rustix::termios::OptionalActions::Now, &settings)?;
    Ok(console)
}

/// Runs the job; its exit code, or what kept it from exiting.
fn run() -> Result<String> {
    use std::io::Write;
    let mut console = console()?;
    writeln!(console, "{READY}")?;
    let child = Command::new("/bin/sh")
        .arg(Path::new(SHARE).join(JOB_FILE))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/tmp")
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .context("cannot start the job's shell")?;
    let pid = i32::try_from(child.id())?;
    // Orphans become children of the first process: reap all until the job ends.
    loop {
        let Some((ended, status)) = wait(WaitOptions::empty())? else {
            continue;
        };
        if ended.as_raw_nonzero().get() != pid {
            continue;
        }
        let status = std::process::ExitStatus::from_raw(status.as_raw());
        let ended = || format!("the job did not exit: {status}");
        return Ok(status.code().map_or_else(ended, |code| code.to_string()));
    }
}

fn leave(status: &str) -> Result<()> {
    let path = Path::new(SHARE).join(STATUS_FILE);
    let part = path.with_extension("part");
    fs::write(&part, status)?;
    Ok(fs::rename(part, path)?)
}
