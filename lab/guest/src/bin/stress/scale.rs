// SPDX-License-Identifier: GPL-2.0

//! Opens by many threads of many files below many mounts, while the policy changes.
//! What an open does not give back adds up.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use uapi::{O_MAYEXEC, OpenHow};

use crate::Failures;
use crate::epoch::{Epoch, States};
use crate::model::Answers;
use crate::scene::{self, Sysctl, at};

/// Files in one directory.
const TOGETHER: u64 = 1000;

/// Where the files are.
const MANY: &str = "many";

/// Kilobytes of the kernel's that the opens may leave; each is a few bytes more if each open leaks.
const ALLOWANCE: i64 = 4096;

/// What to make, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to open
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How many threads open
    #[arg(long, default_value_t = 64)]
    threads: u64,
    /// How many files there are, every other one executable
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// How many mounts show them, every other one with noexec
    #[arg(long, default_value_t = 10_000)]
    mounts: u64,
    /// Where the random choices begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What came of a thread's opens.
#[derive(Debug, Default)]
struct Tally {
    opened: u64,
    denied: u64,
    failures: Failures,
}

/// What leaks would make more of.
#[derive(Debug)]
struct Kept {
    descriptors: i64,
    /// Open files of the whole system.
    files: i64,
    /// Kilobytes that the kernel cannot reclaim.
    slab: i64,
}

impl Kept {
    fn now() -> Result<Self> {
        // What RCU frees is freed by then.
        thread::sleep(Duration::from_secs(3));
        let number = |text: &str| -> Result<i64> {
            let word = text.split_whitespace().next();
            Ok(word.context("a line without a number")?.parse()?)
        };
        let memory = fs::read_to_string("/proc/meminfo")?;
        let slab = memory
            .lines()
            .find_map(|line| line.strip_prefix("SUnreclaim:"));
        Ok(Self {
            descriptors: i64::try_from(crate::descriptors()?)?,
            files: number(&fs::read_to_string("/proc/sys/fs/file-nr")?)?,
            slab: number(slab.context("/proc/meminfo has no SUnreclaim")?)?,
        })
    }
}

/// Makes the files and the mounts, opens, and returns whether every answer was right and nothing
/// is left.
pub(crate) fn run(args: &Args) -> Result<bool> {
    guest::require()?;
    scene::set()?;
    scene::probe()?;
    make_files(args)?;
    make_mounts(args)?;
    let sysctl = Sysctl::open()?;
    // What the first opens allocate for good is not theirs.
    play(args, &sysctl, Duration::from_secs(5))?;
    let before = Kept::now()?;
    let (mut tally, changes) = play(args, &sysctl, Duration::from_secs(args.seconds))?;
    let after = Kept::now()?;
    for (what, more, allowance) in [
        ("descriptors", after.descriptors - before.descriptors, 0),
        ("open files", after.files - before.files, 0),
        ("KB of slabs", after.slab - before.slab, ALLOWANCE),
    ] {
        if more > allowance {
            tally
                .failures
                .add(format!("{more} {what} more than before"));
        }
    }
    if tally.opened == 0 || tally.denied == 0 {
        tally
            .failures
            .add("nothing was opened, or nothing denied".to_owned());
    }
    println!("1..1");
    let tried = format!(
        "{} opened and {} denied by {} threads, of {} files below {} mounts, {changes} policies; \
         {} KB of slabs more",
        tally.opened,
        tally.denied,
        args.threads,
        args.files,
        args.mounts,
        after.slab - before.slab
    );
    Ok(tally.failures.tell(&tried))
}

fn make_files(args: &Args) -> Result<()> {
    let dir = at(MANY);
    fs::create_dir(&dir)?;
    mount(
        "tmpfs",
        &dir,
        "tmpfs",
        MountFlags::empty(),
        c"mode=0755,nr_inodes=0",
    )?;
    mount_change(&dir, MountPropagationFlags::PRIVATE)?;
    for number in 0..args.files {
        if number % TOGETHER == 0 {
            fs::create_dir(dir.join((number / TOGETHER).to_string()))?;
        }
        let mode = Mode::from_raw_mode(if executable(number) { 0o755 } else { 0o644 });
        let path = dir.join(name(number));
        mknodat(CWD, &path, FileType::RegularFile, mode, 0)
            .with_context(|| format!("cannot make the file {number}"))?;
    }
    Ok(())
}

fn make_mounts(args: &Args) -> Result<()> {
    let (source, dir) = (at(MANY), at("mounts"));
    fs::create_dir(&dir)?;
    for number in 0..args.mounts {
        let target = dir.join(number.to_string());
        fs::create_dir(&target)?;
        mount_bind(&source, &target).with_context(|| format!("cannot mount {number}"))?;
        scene::remount(&target, noexec(number))?;
    }
    Ok(())
}

fn name(file: u64) -> String {
    format!("{}/{}", file / TOGETHER, file % TOGETHER)
}

fn executable(file: u64) -> bool {
    file.is_multiple_of(2)
}

fn noexec(mount: u64) -> bool {
    mount.is_multiple_of(2)
}

/// Opens for so long; what came of it, and how often the policy changed.
fn play(args: &Args, sysctl: &Sysctl, time: Duration) -> Result<(Tally, u64)> {
    let (policy, stop) = (Epoch::new(0), AtomicBool::new(false));
    sysctl.set(0)?;
    let (tally, changes) = thread::scope(|scope| -> Result<_> {
        let changer = scope.spawn(|| -> Result<u64> {
            let mut changes = 0;
            while !stop.load(SeqCst) {
                thread::sleep(Duration::from_millis(2));
                let value = (changes % 8) as u8;
                policy.change(value, || sysctl.set(value))?;
                changes += 1;
            }
            Ok(changes)
        });
        let openers: Vec<_> = (0..args.threads)
            .map(|number| {
                let random = ChaCha8Rng::seed_from_u64(args.seed + number);
                let (policy, stop) = (&policy, &stop);
                scope.spawn(move || open_until_told(args, policy, stop, random))
            })
            .collect();
        thread::sleep(time);
        stop.store(true, SeqCst);
        let mut all = Tally::default();
        for opener in openers {
            let tally = opener.join().map_err(|_| anyhow!("a thread panicked"))??;
            all.opened += tally.opened;
            all.denied += tally.denied;
            all.failures.extend(tally.failures);
        }
        let changes = changer.join().map_err(|_| anyhow!("a thread panicked"))??;
        Ok((all, changes))
    })?;
    sysctl.set(0)?;
    Ok((tally, changes))
}

fn open_until_told(
    args: &Args,
    policy: &Epoch,
    stop: &AtomicBool,
    mut random: ChaCha8Rng,
) -> Result<Tally> {
    let root = scene::root()?;
    let how = OpenHow {
        flags: O_MAYEXEC,
        ..OpenHow::default()
    };
    let mut tally = Tally::default();
    while !stop.load(SeqCst) {
        let (file, mount) = (
            random.random_range(0..args.files),
            random.random_range(0..args.mounts),
        );
        let path = CString::new(format!("mounts/{mount}/{}", name(file)))?;
        let before = policy.now();
        let answer = uapi::openat2(root.as_raw_fd(), &path, how);
        let policies = before.until(policy.now()).unwrap_or(States::POLICIES);
        let possible = Answers::of(
            policies,
            false,
            States::one(noexec(mount).into()),
            States::one(executable(file).into()),
        );
        match answer {
            Ok(_) if possible.opened => tally.opened += 1,
            Err(Errno::ACCESS) if possible.denied => tally.denied += 1,
            other => tally.failures.add(format!(
                "{path:?}, policy {policies}: {:?}",
                other.map(|_| "opened")
            )),
        }
    }
    Ok(tally)
}
