// SPDX-License-Identifier: GPL-2.0

//! Opens while everything that the answer depends on changes.
//!
//! Each variable has one thread that changes it, and an [`Epoch`] by which that thread
//! tells when. Around each open, the openers look at the epochs: the answer must be one
//! that the table gives for values which the variables may have had in between. If no
//! change was under way, that is exactly one; a policy that was lifted late, or a denial
//! that came early, is found.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use std::{fmt, fs, hint, thread};

use anyhow::{Context, Result, anyhow, bail};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rustix::fs::{CWD, RenameFlags, StatVfsMountFlags, fstat, fstatvfs, renameat_with};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::process::{Gid, Uid};
use uapi::{O_EMPTYPATH, O_MAYEXEC, OpenHow, Policy, Ring};

use crate::Failures;
use crate::epoch::{Epoch, Moment, States};
use crate::model::Answers;
use crate::scene::{self, Sysctl, at};

/// `include/uapi/linux/openat2.h`: only what the cache knows is looked up.
const RESOLVE_CACHED: u64 = 0x20;

/// A uid without rights.
const NOBODY: u32 = 65534;

/// What to try, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long, over all scenarios
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many threads open, beside those that change something
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Where the random choices begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A way to change what an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Racer {
    /// Writes the sysctl: the policy changes.
    Sysctl,
    /// Changes the mode of `flip`: executable or not.
    Chmod,
    /// Remounts `bind`: noexec or not.
    Remount,
    /// Renames over `name`: an executable file or not.
    Rename,
    /// Replaces the link `way`: to a noexec mount or not.
    Symlink,
    /// Mounts and unmounts on `top`: a noexec mount or none.
    Overmount,
}

/// What an answer depends on.
#[derive(Debug)]
struct World {
    /// The sysctl.
    policy: Epoch,
    /// Whether the file is on a noexec mount, where that changes.
    noexec: Epoch,
    /// Whether the file is executable, where that changes.
    executable: Epoch,
}

/// One value of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Var {
    /// It is always so.
    Always(bool),
    /// The epoch tells.
    Changes,
}

/// A file to open, relative to the scene.
#[derive(Debug, Clone, Copy)]
struct Target {
    path: &'static str,
    noexec: Var,
    executable: Var,
}

/// Who changes what while which files are opened.
#[derive(Debug)]
struct Scenario {
    name: &'static str,
    racers: &'static [Racer],
    /// The sysctl at first.
    policy: u8,
    /// Whether the openers set and clear their own securebit.
    securebit: bool,
    targets: &'static [Target],
}

const fn target(path: &'static str, noexec: Var, executable: Var) -> Target {
    Target {
        path,
        noexec,
        executable,
    }
}

const YES: Var = Var::Always(true);
const NO: Var = Var::Always(false);

/// Files that stay as they are.
const STILL: &[Target] = &[
    target("exec/good", NO, YES),
    target("exec/plain", NO, NO),
    target("noexec/good", YES, YES),
    target("noexec/plain", YES, NO),
];

/// One variable at a time, then several.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "sysctl written",
        racers: &[Racer::Sysctl],
        policy: 0,
        securebit: false,
        targets: STILL,
    },
    Scenario {
        name: "own securebit flipped",
        racers: &[],
        policy: 0,
        securebit: true,
        targets: STILL,
    },
    Scenario {
        name: "chmod",
        racers: &[Racer::Chmod],
        policy: 2,
        securebit: false,
        targets: &[target("exec/flip", NO, Var::Changes)],
    },
    Scenario {
        name: "remount",
        racers: &[Racer::Remount],
        policy: 1,
        securebit: false,
        targets: &[target("bind/good", Var::Changes, YES)],
    },
    Scenario {
        name: "rename",
        racers: &[Racer::Rename],
        policy: 2,
        securebit: false,
        targets: &[target("exec/name", NO, Var::Changes)],
    },
    Scenario {
        name: "symlink replaced",
        racers: &[Racer::Symlink],
        policy: 1,
        securebit: false,
        targets: &[
            target("way/good", Var::Changes, YES),
            target("exec/link", Var::Changes, YES),
        ],
    },
    Scenario {
        name: "mounted on",
        racers: &[Racer::Overmount],
        policy: 1,
        securebit: false,
        targets: &[target("top/good", Var::Changes, YES)],
    },
    Scenario {
        name: "sysctl, securebit, rename, symlink",
        racers: &[Racer::Sysctl, Racer::Rename, Racer::Symlink],
        policy: 3,
        securebit: true,
        targets: &[target("way/name", Var::Changes, Var::Changes)],
    },
    Scenario {
        name: "sysctl, securebit, chmod, remount",
        racers: &[Racer::Sysctl, Racer::Chmod, Racer::Remount],
        policy: 3,
        securebit: true,
        targets: &[target("bind/flip", Var::Changes, Var::Changes)],
    },
];

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// openat2(2).
    Call,
    /// openat2(2) with RESOLVE_CACHED, which may answer EAGAIN whatever the policy.
    Cached,
    /// openat2(2) with O_EMPTYPATH on an O_PATH descriptor.
    Empty,
    /// io_uring, at once as far as the path is cached.
    Ring,
    /// io_uring, by a thread of the kernel with the credentials of the caller.
    Worker,
}

/// What came of the opens.
#[derive(Debug, Default)]
struct Tally {
    /// All opens.
    opens: u64,
    /// Those through io_uring.
    ring: u64,
    /// Those that had to succeed.
    opened: u64,
    /// Those that had to be denied.
    denied: u64,
    /// Those during which a change let both answers be.
    either: u64,
    /// Those that RESOLVE_CACHED has made.
    cached: u64,
    /// Changes.
    changes: u64,
    /// Wrong answers.
    failures: Failures,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.opens += other.opens;
        self.ring += other.ring;
        self.opened += other.opened;
        self.denied += other.denied;
        self.either += other.either;
        self.cached += other.cached;
        self.changes += other.changes;
        self.failures.extend(other.failures);
    }

    /// Adds what has kept a scenario from showing anything.
    fn require_progress(&mut self, scenario: &Scenario) {
        let mut need = vec![
            ("open had to succeed", self.opened),
            ("open had to be denied", self.denied),
            ("open went through io_uring", self.ring),
            ("open was made from the cache", self.cached),
        ];
        if !scenario.racers.is_empty() {
            need.push(("change was made", self.changes));
            need.push(("open met a change", self.either));
        }
        for (what, count) in need {
            if count == 0 {
                self.failures.add(format!("nothing is shown: no {what}"));
            }
        }
    }
}

/// What the threads of a scenario share.
struct Shared<'a> {
    scenario: &'a Scenario,
    world: World,
    stop: AtomicBool,
    /// Opens of all openers so far, by which the racers pace themselves.
    opens: AtomicU64,
    sysctl: Sysctl,
}

/// Runs all scenarios, and returns whether every answer was possible.
pub(crate) fn run(args: &Args) -> Result<bool> {
    guest::require()?;
    scene::set()?;
    scene::probe()?;
    let cpus = thread::available_parallelism()?.get();
    if cpus < 2 {
        bail!("one CPU: two calls can hardly meet");
    }
    println!("1..{}", SCENARIOS.len() + 1);
    let mut total = Tally::default();
    let mut sound = true;
    for (number, scenario) in (0..).zip(SCENARIOS) {
        let before = crate::descriptors()?;
        let mut tally = play(scenario, args, number)?;
        let after = crate::descriptors()?;
        if before != after {
            tally
                .failures
                .add(format!("{before} descriptors before, {after} after"));
        }
        tally.require_progress(scenario);
        println!(
            "# {}: {} opens ({} by io_uring, {} from the cache), {} changes; {} had to succeed, \
             {} had to be denied, {} met a change; {} failures",
            scenario.name,
            tally.opens,
            tally.ring,
            tally.cached,
            tally.changes,
            tally.opened,
            tally.denied,
            tally.either,
            tally.failures.count
        );
        sound &= tally.failures.tell(scenario.name);
        total.add(tally);
    }
    println!(
        "ok - {} opens, {} changes, {} opens had one possible answer; {} s, {} threads, seed {}, \
         {cpus} CPUs",
        total.opens,
        total.changes,
        total.opened + total.denied,
        args.seconds,
        args.threads,
        args.seed
    );
    Ok(sound)
}

/// Plays one scenario for its share of the time.
fn play(scenario: &Scenario, args: &Args, number: u64) -> Result<Tally> {
    let shared = Shared {
        scenario,
        world: World {
            policy: Epoch::new(scenario.policy),
            noexec: Epoch::new(0),
            executable: Epoch::new(1),
        },
        stop: AtomicBool::new(false),
        opens: AtomicU64::new(0),
        sysctl: Sysctl::open()?,
    };
    shared.sysctl.set(scenario.policy)?;
    let time = Duration::from_secs(args.seconds).div_f64(SCENARIOS.len() as f64);
    let seed = |thread: u64| {
        ChaCha8Rng::seed_from_u64(args.seed.wrapping_mul(1_000_003) ^ number << 16 ^ thread)
    };
    let mut total = Tally::default();
    thread::scope(|scope| -> Result<()> {
        let shared = &shared;
        let mut threads = Vec::new();
        for thread in 0..args.threads {
            let random = seed(thread);
            threads.push(
                scope.spawn(move || open_until_told(shared, Opener::of_thread(thread), random)),
            );
        }
        for (thread, &racer) in (args.threads..).zip(scenario.racers) {
            let random = seed(thread);
            let pace = 2 * args.threads;
            threads.push(scope.spawn(move || change_until_told(shared, racer, pace, random)));
        }
        thread::sleep(time);
        shared.stop.store(true, SeqCst);
        let mut trouble = None;
        for thread in threads {
            match thread.join() {
                Ok(Ok(tally)) => total.add(tally),
                Ok(Err(error)) => trouble = Some(error),
                Err(_) => trouble = Some(anyhow!("a thread panicked")),
            }
        }
        trouble.map_or(Ok(()), Err)
    })
    .with_context(|| format!("scenario `{}`", scenario.name))?;
    restore(scenario)?;
    Ok(total)
}

/// Puts back what the racers have changed.
fn restore(scenario: &Scenario) -> Result<()> {
    for racer in scenario.racers {
        match racer {
            Racer::Sysctl => {}
            Racer::Chmod => {
                fs::set_permissions(at("exec/flip"), fs::Permissions::from_mode(0o755))?;
            }
            Racer::Remount => scene::remount(&at("bind"), false)?,
            Racer::Rename => replace(&at("exec"), "name", false, |new| {
                fs::hard_link(at("exec/good"), new)
            })?,
            Racer::Symlink => replace(&at("."), "way", false, |new| symlink("exec", new))?,
            Racer::Overmount => {
                if is_noexec(&at("top"))? {
                    unmount(at("top"), UnmountFlags::DETACH)?;
                }
            }
        }
    }
    Ok(())
}

fn is_noexec(path: &Path) -> Result<bool> {
    let flags = rustix::fs::statvfs(path)?.f_flag;
    Ok(flags.contains(StatVfsMountFlags::NOEXEC))
}

/// Makes `name` in `dir` anew by `make` and replaces the old one in one step.
fn replace(
    dir: &Path,
    name: &str,
    exchange: bool,
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let new = dir.join("new");
    make(&new)?;
    let flags = if exchange {
        RenameFlags::EXCHANGE
    } else {
        RenameFlags::empty()
    };
    renameat_with(CWD, &new, CWD, dir.join(name), flags)?;
    match fs::remove_file(&new) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // What was exchanged, or a second name of the same file, which stays.
        removed => removed,
    }
}

/// Changes one variable again and again, a few opens apart or at once.
fn change_until_told(
    shared: &Shared<'_>,
    racer: Racer,
    pace: u64,
    mut random: ChaCha8Rng,
) -> Result<Tally> {
    let world = &shared.world;
    let mut tally = Tally::default();
    while !shared.stop.load(SeqCst) {
        let how = random.random_bool(0.5);
        match racer {
            Racer::Sysctl => {
                let value = random.random_range(0..8);
                world.policy.change(value, || shared.sysctl.set(value))
            }
            Racer::Chmod => {
                let value = 1 - world.executable.value();
                let mode = if value == 1 { 0o755 } else { 0o644 };
                let mode = fs::Permissions::from_mode(mode);
                world
                    .executable
                    .change(value, || fs::set_permissions(at("exec/flip"), mode))
            }
            Racer::Remount => {
                let value = 1 - world.noexec.value();
                world.noexec.change(value, || {
                    scene::remount(&at("bind"), value == 1).map_err(Into::into)
                })
            }
            Racer::Rename => {
                let value = 1 - world.executable.value();
                let file = if value == 1 {
                    "exec/good"
                } else {
                    "exec/plain"
                };
                world.executable.change(value, || {
                    replace(&at("exec"), "name", how, |new| fs::hard_link(at(file), new))
                })
            }
            Racer::Symlink => {
                let value = 1 - world.noexec.value();
                let dir = if value == 1 { "noexec" } else { "exec" };
                world.noexec.change(value, || {
                    replace(&at("."), "way", how, |new| symlink(dir, new))
                })
            }
            Racer::Overmount => {
                let value = 1 - world.noexec.value();
                world.noexec.change(value, || {
                    // A bind has the flags of what it is made of from the start.
                    if value == 1 {
                        mount_bind(at("noexec"), at("top"))
                    } else {
                        unmount(at("top"), UnmountFlags::DETACH)
                    }
                    .map_err(Into::into)
                })
            }
        }
        .with_context(|| format!("cannot change: {racer:?}"))?;
        tally.changes += 1;
        // By the count of opens and not by time: however slow the machine is, some opens
        // meet no change and some do.
        let until = shared.opens.load(SeqCst) + random.random_range(0..=pace);
        while shared.opens.load(SeqCst) < until && !shared.stop.load(SeqCst) {
            hint::spin_loop();
        }
    }
    Ok(tally)
}

/// A target with what is needed to open it.
struct Openable {
    target: Target,
    /// The scene, from which the path leads: what is above it is not always cached.
    root: OwnedFd,
    path: CString,
    /// An O_PATH descriptor, if the path always leads to the same file.
    handle: Option<OwnedFd>,
}

impl Openable {
    fn new(target: Target, scenario: &Scenario) -> Result<Self> {
        let root = scene::root()?;
        let path = CString::new(target.path)?;
        let how = OpenHow {
            flags: libc::O_PATH as u64,
            ..OpenHow::default()
        };
        let fixed = !scenario
            .racers
            .iter()
            .any(|racer| matches!(racer, Racer::Rename | Racer::Symlink | Racer::Overmount));
        let handle = if fixed {
            Some(uapi::openat2(root.as_raw_fd(), &path, how)?)
        } else {
            None
        };
        Ok(Self {
            target,
            root,
            path,
            handle,
        })
    }

    /// Opens it in one way.
    fn open(&self, way: Way, ring: &mut Ring) -> Result<OwnedFd, Errno> {
        let how = OpenHow {
            flags: O_MAYEXEC,
            mode: 0,
            resolve: if way == Way::Cached {
                RESOLVE_CACHED
            } else {
                0
            },
        };
        let (dir, path): (RawFd, &CStr) = (self.root.as_raw_fd(), &self.path);
        match (way, &self.handle) {
            (Way::Empty, Some(handle)) => {
                let how = OpenHow {
                    flags: O_MAYEXEC | O_EMPTYPATH,
                    ..how
                };
                uapi::openat2(handle.as_raw_fd(), c"", how)
            }
            (Way::Ring, _) => ring.openat2(dir, path, how),
            (Way::Worker, _) => ring.openat2_in_worker(dir, path, how),
            _ => uapi::openat2(dir, path, how),
        }
    }
}

/// What an opener sees of the world at once.
#[derive(Debug, Clone, Copy)]
struct Look {
    policy: Moment,
    noexec: Moment,
    executable: Moment,
}

impl Look {
    fn at(world: &World) -> Self {
        Self {
            policy: world.policy.now(),
            noexec: world.noexec.now(),
            executable: world.executable.now(),
        }
    }
}

/// What may have been the case during an open.
#[derive(Debug)]
struct Possible {
    /// The sysctl.
    policies: States,
    /// Whether the opener has a securebit that counts.
    securebit: bool,
    noexec: States,
    executable: States,
}

impl Possible {
    fn between(before: Look, after: Look, target: Target, securebit: bool) -> Self {
        let policies = before
            .policy
            .until(after.policy)
            .unwrap_or(States::POLICIES);
        let var = |var, before: Moment, after| match var {
            Var::Always(value) => States::one(value.into()),
            Var::Changes => before.until(after).unwrap_or(States::EITHER),
        };
        Self {
            policies,
            securebit,
            noexec: var(target.noexec, before.noexec, after.noexec),
            executable: var(target.executable, before.executable, after.executable),
        }
    }

    /// Whether all policies that may have been in force enforce the check `bit`.
    fn checks(&self, bit: u32) -> bool {
        self.policies.values().all(|policy| {
            let policy = Policy {
                system: policy.into(),
                securebit: self.securebit,
            };
            policy.enforced() & bit != 0
        })
    }
}

impl fmt::Display for Possible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "policy {}{}, noexec {}, executable {}",
            self.policies,
            if self.securebit {
                " and the securebit"
            } else {
                ""
            },
            self.noexec,
            self.executable
        )
    }
}

/// Who opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener {
    /// root, whose securebit counts because of CAP_SETPCAP.
    Root,
    /// A user under no_new_privs, whose securebit counts, too.
    Confined,
    /// A user whose securebit the kernel does not enforce.
    User,
}

impl Opener {
    /// The opener of a thread.
    fn of_thread(number: u64) -> Self {
        [Self::Root, Self::Confined, Self::User][(number % 3) as usize]
    }

    /// Makes the calling thread this opener.
    fn become_it(self) -> Result<()> {
        if self == Self::Root {
            return Ok(());
        }
        // These act on the calling thread alone.
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_gid(Gid::from_raw(NOBODY))?;
        rustix::thread::set_thread_uid(Uid::from_raw(NOBODY))?;
        if self == Self::Confined {
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }
}

/// Opens again and again, and judges each answer.
fn open_until_told(shared: &Shared<'_>, opener: Opener, mut random: ChaCha8Rng) -> Result<Tally> {
    let scenario = shared.scenario;
    let targets: Vec<Openable> = scenario
        .targets
        .iter()
        .map(|&target| Openable::new(target, scenario))
        .collect::<Result<_>>()?;
    opener.become_it()?;
    let mut ring = Ring::new().context("cannot set up an io_uring")?;
    let mut tally = Tally::default();
    let mut securebit = false;
    while !shared.stop.load(SeqCst) {
        if scenario.securebit && random.random_bool(0.5) {
            securebit = !securebit;
            let bits = if securebit {
                uapi::SECBIT_EXEC_RESTRICT_FILE
            } else {
                0
            };
            uapi::set_securebits(bits).context("cannot set the securebits")?;
        }
        let openable = &targets[random.random_range(0..targets.len())];
        let way = match random.random_range(0..8) {
            0 => Way::Cached,
            1 => Way::Empty,
            2 => Way::Ring,
            3 => Way::Worker,
            _ => Way::Call,
        };
        let before = Look::at(&shared.world);
        let answer = openable.open(way, &mut ring);
        let after = Look::at(&shared.world);
        shared.opens.fetch_add(1, SeqCst);
        tally.opens += 1;
        tally.ring += u64::from(matches!(way, Way::Ring | Way::Worker));
        let counts = securebit && opener != Opener::User;
        let possible = Possible::between(before, after, openable.target, counts);
        if let Err(why) = judge(scenario, &possible, way, answer, &mut tally) {
            tally.failures.add(format!(
                "{} by {way:?}, as {opener:?}: {why}; {possible}",
                openable.target.path,
            ));
        }
    }
    Ok(tally)
}

/// Counts an answer, and says what is wrong with it.
fn judge(
    scenario: &Scenario,
    possible: &Possible,
    way: Way,
    answer: Result<OwnedFd, Errno>,
    tally: &mut Tally,
) -> Result<()> {
    if way == Way::Cached && matches!(answer, Err(Errno::AGAIN)) {
        return Ok(());
    }
    tally.cached += u64::from(way == Way::Cached);
    let answers = Answers::of(
        possible.policies,
        possible.securebit,
        possible.noexec,
        possible.executable,
    );
    match (answers.opened, answers.denied) {
        (true, true) => tally.either += 1,
        (true, false) => tally.opened += 1,
        _ => tally.denied += 1,
    }
    match answer {
        Ok(_) if !answers.opened => bail!("opened, and nothing allows that"),
        Ok(file) => right_file(scenario, possible, &file),
        Err(Errno::ACCESS) if answers.denied => Ok(()),
        Err(Errno::ACCESS) => bail!("denied, and nothing denies that"),
        Err(errno) => bail!("{errno}"),
    }
}

/// Looks at the open file itself, where what the policy asks of it never changes: a
/// check of one file must not have let another one pass.
fn right_file(scenario: &Scenario, possible: &Possible, file: &OwnedFd) -> Result<()> {
    let still = |racer| !scenario.racers.contains(&racer);
    if possible.checks(uapi::ENFORCE_FILE)
        && still(Racer::Chmod)
        && fstat(file)?.st_mode & 0o111 == 0
    {
        bail!("the file that was opened is not executable");
    }
    if possible.checks(uapi::ENFORCE_MOUNT)
        && still(Racer::Remount)
        && fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::NOEXEC)
    {
        bail!("the file that was opened is on a noexec mount");
    }
    Ok(())
}
