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

use anyhow::{Context, Result, bail};
use guest::{
    BUNDLE, BUNDLE_TAG, JOB_FILE, Job, PATH, READY, SHARE, SHARE_TAG, STATUS_FILE, Status, TOOLS,
    TOOLS_TAG,
};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot, sethostname};

/// The console that carries the job's output; the kernel's messages are elsewhere.
const CONSOLE: &str = "/dev/hvc0";

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "guest-init: this is the first process of a virtual machine; `make shell` starts one"
        );
        std::process::exit(2);
    }
    let status = match prepare().and_then(|job| run(&job)) {
        Ok(status) => status,
        Err(error) => {
            // The kernel's console is the one place that certainly works here.
            eprintln!("guest-init: {error:#}");
            Status {
                code: None,
                trouble: Some(format!("{error:#}")),
            }
        }
    };
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

fn mount_9p(tag: &str, target: &str, flags: MountFlags) -> Result<()> {
    mount_at(
        tag,
        target,
        "9p",
        flags,
        "trans=virtio,version=9p2000.L,msize=512000",
    )
}

fn prepare() -> Result<Job> {
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
    mount_9p(SHARE_TAG, SHARE, none)?;
    let text = fs::read(Path::new(SHARE).join(JOB_FILE)).context("the host left no job")?;
    let job: Job = serde_json::from_slice(&text).context("the host's job cannot be read")?;
    if job.tools {
        mount_9p(TOOLS_TAG, TOOLS, MountFlags::RDONLY)?;
    }
    Ok(job)
}

/// Copies the bundle, in which tests write, into memory.
fn copy_bundle() -> Result<()> {
    mount_9p(BUNDLE_TAG, "/run/bundle-source", MountFlags::RDONLY)?;
    let copied = Command::new("cp")
        .args(["-a", "--sparse=always", "/run/bundle-source", BUNDLE])
        .status()
        .context("cannot run cp")?;
    if !copied.success() {
        bail!("cannot copy the bundle into memory ({copied})");
    }
    Ok(())
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

fn run(job: &Job) -> Result<Status> {
    use std::io::Write;
    let mut console = console()?;
    writeln!(console, "{READY}")?;
    // Part of the job: a kernel with sanitizers takes minutes.
    if job.bundle {
        copy_bundle()?;
    }
    let (program, args) = job.argv.split_first().context("the job names no program")?;
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/tmp")
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .envs(&job.env)
        .current_dir(&job.cwd)
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
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
        return Ok(Status {
            code: status.code(),
            trouble: status
                .signal()
                .map(|signal| format!("{program} was ended by signal {signal}")),
        });
    }
}

fn leave(status: &Status) -> Result<()> {
    let path = Path::new(SHARE).join(STATUS_FILE);
    let part = path.with_extension("part");
    let file = File::create(&part)?;
    serde_json::to_writer(&file, status)?;
    file.sync_all()?;
    fs::rename(part, path)?;
    Ok(())
}
