// SPDX-License-Identifier: GPL-2.0

//! Opens while the kernel's allocations and copies from user space fail, one after the
//! other: the first that the call makes, then the second, until the call makes no more.
//!
//! This needs a kernel with FAULT_INJECTION, FAILSLAB, FAIL_PAGE_ALLOC,
//! FAULT_INJECTION_USERCOPY and FAULT_INJECTION_DEBUG_FS. No other function is made to
//! fail: of those that allow it, in /sys/kernel/debug/error_injection/list, an open
//! calls the two by which the first two options work, and openat2(2) itself, which then
//! does nothing at all.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use uapi::{O_EMPTYPATH, O_MAYEXEC, OpenHow, Policy, Ring};

use crate::Failures;
use crate::scene::{self, at};

/// Where debugfs is.
const DEBUG: &str = "/sys/kernel/debug";

/// Makes the kernel forget what it can read again.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Faults that a single call cannot have, so that their count has gone wrong.
const ENOUGH: u32 = 10_000;

/// What a file with a name this long needs memory for: the kernel keeps shorter names
/// elsewhere.
const LONG: usize = 4000;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// openat2(2) of a path.
    Path,
    /// openat2(2) with O_EMPTYPATH of an O_PATH descriptor.
    Empty,
    /// A path, through io_uring. Only what the calling thread does can be made to fail,
    /// which is all of it while the path is in the cache.
    Ring,
}

/// A file to open.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    path: String,
    way: Way,
    regular: bool,
    noexec: bool,
    executable: bool,
    /// Whether the file system forgets the file before each open.
    cold: bool,
}

impl Kind {
    fn new(name: &'static str, path: &str) -> Self {
        Self {
            name,
            path: path.to_owned(),
            way: Way::Path,
            regular: true,
            noexec: false,
            executable: true,
            cold: false,
        }
    }

    fn not_executable(self) -> Self {
        Self {
            executable: false,
            ..self
        }
    }

    fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    fn cold(self) -> Self {
        Self { cold: true, ..self }
    }

    /// All of them. `overlay` is mounted over `exec`.
    fn all() -> Vec<Self> {
        let long = format!("{}exec/good", "./".repeat(LONG / 2));
        let plain = |name, path| Self::new(name, path).not_executable();
        vec![
            Self::new("an executable file", "exec/good"),
            plain("a file without x", "exec/plain"),
            Self {
                noexec: true,
                ..Self::new("a noexec mount", "noexec/good")
            },
            Self {
                regular: false,
                ..Self::new("a FIFO", "exec/fifo")
            },
            Self::new("through a link", "exec/link"),
            Self::new("a long path", &long),
            Self::new("O_EMPTYPATH", "exec/good").by(Way::Empty),
            plain("O_EMPTYPATH, without x", "exec/plain").by(Way::Empty),
            Self::new("io_uring", "exec/good").by(Way::Ring),
            plain("io_uring, without x", "exec/plain").by(Way::Ring),
            Self::new("overlayfs", "overlay/good").cold(),
            plain("overlayfs, without x", "overlay/plain").cold(),
        ]
    }
}

/// `/proc/thread-self/fail-nth`: which of the calling thread's next faults happens.
struct FailNth(File);

impl FailNth {
    fn open() -> Result<Self> {
        let path = "/proc/thread-self/fail-nth";
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self(file.with_context(|| {
            format!("cannot open {path}: no FAULT_INJECTION in this kernel?")
        })?))
    }

    /// Lets the fault number `nth` happen, counted from now; 0 for none.
    fn arm(&self, nth: u32) -> std::io::Result<()> {
        self.0.write_all_at(nth.to_string().as_bytes(), 0)
    }

    /// Whether the fault has happened; disarms it otherwise.
    fn happened(&self) -> Result<bool> {
        let mut text = [0; 16];
        let read = self.0.read_at(&mut text, 0);
        if let Ok(length) = read
            && text[..length].trim_ascii() == b"0"
        {
            return Ok(true);
        }
        // Both calls copy, and may be what fails instead: then it is over.
        if read.is_ok() && self.arm(0).is_err() {
            self.arm(0).context("cannot disarm a fault")?;
        }
        Ok(false)
    }
}

/// A kind under one policy.
struct Case<'a> {
    kind: &'a Kind,
    root: RawFd,
    path: CString,
    /// An O_PATH descriptor, where that is what is opened; it would keep the file cached.
    handle: Option<OwnedFd>,
    /// Device and inode of the file.
    file: (u64, u64),
    allowed: bool,
}

impl<'a> Case<'a> {
    fn new(kind: &'a Kind, root: RawFd, policy: Policy) -> Result<Self> {
        let path = CString::new(kind.path.as_str())?;
        let how = OpenHow {
            flags: libc::O_PATH as u64,
            ..OpenHow::default()
        };
        let handle = uapi::openat2(root, &path, how).context(kind.name)?;
        let stat = fstat(&handle)?;
        Ok(Self {
            kind,
            root,
            path,
            handle: (kind.way == Way::Empty).then_some(handle),
            file: (stat.st_dev, stat.st_ino),
            allowed: policy.allows(kind.regular, kind.noexec, kind.executable),
        })
    }

    fn open(&self, ring: Option<&mut Ring>) -> Result<OwnedFd, Errno> {
        let mut how = OpenHow {
            // A FIFO that may be opened must not wait for a writer.
            flags: O_MAYEXEC | libc::O_NONBLOCK as u64,
            ..OpenHow::default()
        };
        let (dir, path): (RawFd, &CStr) = (self.root, &self.path);
        match (ring, &self.handle) {
            (Some(ring), _) => ring.openat2(dir, path, how),
            (None, Some(handle)) => {
                how.flags |= O_EMPTYPATH;
                uapi::openat2(handle.as_raw_fd(), c"", how)
            }
            (None, None) => uapi::openat2(dir, path, how),
        }
    }

    /// Judges an answer; `faulted` if something was made to fail.
    fn judge(&self, answer: Result<OwnedFd, Errno>, faulted: bool) -> Result<&'static str> {
        match answer {
            Ok(_) if !self.allowed => bail!("opened, and the policy denies that"),
            Ok(file) => {
                let stat = fstat(&file)?;
                if (stat.st_dev, stat.st_ino) != self.file {
                    bail!("opened another file");
                }
                Ok("opened")
            }
            Err(Errno::ACCESS) if !self.allowed => Ok("EACCES"),
            Err(Errno::ACCESS) => bail!("denied, and the policy allows it"),
            Err(Errno::NOMEM) if faulted => Ok("ENOMEM"),
            Err(Errno::FAULT) if faulted => Ok("EFAULT"),
            // io_uring_enter(2) without memory for a request.
            Err(Errno::AGAIN) if faulted && self.kind.way == Way::Ring => Ok("EAGAIN"),
            Err(errno) => bail!("{errno}"),
        }
    }
}

/// What came of the calls of one kind.
#[derive(Debug, Default)]
struct Tally {
    calls: u64,
    faults: u64,
    /// What the calls that were made to fail have answered.
    answers: BTreeMap<&'static str, u64>,
    failures: Failures,
}

/// Runs all kinds under all policies, and returns whether every answer was right and
/// nothing has leaked.
pub(crate) fn run() -> Result<bool> {
    guest::require()?;
    scene::set()?;
    scene::probe()?;
    set_overlay()?;
    set_faults()?;
    // From now on, the kernel tells nobody that its caches are dropped.
    fs::write(DROP_CACHES, "4")?;
    let nth = FailNth::open()?;
    let root = scene::root()?;
    forget_leaks()?;
    println!("1..{}", Kind::all().len() + 2);
    let (mut calls, mut faults) = (0, 0);
    let mut sound = true;
    for kind in Kind::all() {
        let before = crate::descriptors()?;
        let mut tally = Tally::default();
        for policy in Policy::EVERY {
            policy.set_system()?;
            let case = Case::new(&kind, root.as_raw_fd(), policy)?;
            if policy.securebit {
                // This is root, whose bit counts.
                uapi::set_securebits(uapi::SECBIT_EXEC_RESTRICT_FILE)?;
            }
            let done = play(&case, &nth, &mut tally);
            uapi::set_securebits(0)?;
            Policy::NONE.set_system()?;
            if let Err(error) = done {
                tally
                    .failures
                    .add(format!("under policy {policy}: {error:#}"));
            }
        }
        let after = crate::descriptors()?;
        if before != after {
            tally
                .failures
                .add(format!("{before} descriptors before, {after} after"));
        }
        if tally.faults == 0 {
            tally.failures.add("no fault was injected".to_owned());
        }
        println!(
            "# {}: {} calls, {} faults, answered {:?}; {} failures",
            kind.name, tally.calls, tally.faults, tally.answers, tally.failures.count
        );
        sound &= tally.failures.tell(kind.name);
        calls += tally.calls;
        faults += tally.faults;
    }
    sound &= leaks()?.tell("kmemleak finds nothing");
    println!("ok - {calls} calls, {faults} faults");
    Ok(sound)
}

/// Opens until there is nothing left to fail.
fn play(case: &Case<'_>, nth: &FailNth, tally: &mut Tally) -> Result<()> {
    for number in 1..=ENOUGH {
        // A ring that could not submit is of no more use.
        let mut ring = match case.kind.way {
            Way::Ring => Some(Ring::new().context("cannot set up an io_uring")?),
            _ => None,
        };
        if case.kind.cold {
            // Dentries and inodes.
            fs::write(DROP_CACHES, "2")?;
        }
        nth.arm(number).context("cannot arm a fault")?;
        let answer = case.open(ring.as_mut());
        let faulted = nth.happened()?;
        tally.calls += 1;
        match case.judge(answer, faulted) {
            Ok(answer) if faulted => *tally.answers.entry(answer).or_default() += 1,
            Ok(_) => return Ok(()),
            Err(error) => tally.failures.add(format!(
                "fault {number}, allowed {}: {error:#}",
                case.allowed
            )),
        }
        if !faulted {
            return Ok(());
        }
        tally.faults += 1;
    }
    bail!("after {ENOUGH} faults, there are still more");
}

/// Mounts an overlayfs, which allocates when it looks a file up, and opens a second one
/// below.
fn set_overlay() -> Result<()> {
    for dir in ["overlay", "upper", "work"] {
        fs::create_dir(at(dir))?;
    }
    let path = |name| at(name).display().to_string();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        path("exec"),
        path("upper"),
        path("work")
    );
    let options = CString::new(options)?;
    mount(
        "overlay",
        at("overlay"),
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .context("cannot mount an overlayfs")
}

/// Lets every kind of fault happen, quietly.
fn set_faults() -> Result<()> {
    if !Path::new(DEBUG).join("failslab").exists() {
        mount("debugfs", DEBUG, "debugfs", MountFlags::empty(), c"")
            .context("cannot mount debugfs: no DEBUG_FS in this kernel?")?;
    }
    // Without the others, allocations that may wait are left out: all that an open makes.
    for (setting, value) in [
        ("failslab/verbose", "0"),
        ("failslab/ignore-gfp-wait", "N"),
        ("fail_page_alloc/verbose", "0"),
        ("fail_page_alloc/ignore-gfp-wait", "N"),
        ("fail_page_alloc/min-order", "0"),
        ("fail_usercopy/verbose", "0"),
    ] {
        let path = Path::new(DEBUG).join(setting);
        fs::write(&path, value).with_context(|| {
            format!(
                "cannot set {}: this kernel injects no such faults",
                path.display()
            )
        })?;
    }
    Ok(())
}

/// Where kmemleak tells what nothing points to any more.
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// Lets kmemleak forget what has leaked so far.
fn forget_leaks() -> Result<()> {
    fs::write(KMEMLEAK, "clear").context("cannot use kmemleak: not in this kernel?")
}

/// What has leaked since.
fn leaks() -> Result<Failures> {
    // It does not look at what is younger than 5 seconds, and what two scans find is
    // no pointer that was on its way.
    std::thread::sleep(Duration::from_secs(7));
    for _ in 0..2 {
        fs::write(KMEMLEAK, "scan").context("kmemleak cannot scan")?;
    }
    let found = fs::read_to_string(KMEMLEAK)?;
    for line in found.lines().take(40) {
        println!("# {line}");
    }
    let mut failures = Failures::default();
    let leaks = found.matches("unreferenced object").count();
    if leaks > 0 {
        failures.add(format!("{leaks} leaks"));
    }
    Ok(failures)
}
