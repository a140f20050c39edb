// SPDX-License-Identifier: GPL-2.0

//! `mayexec scan`: code that both checks would deny.
//!
//! What is found is printed as it is found, unless all of it is needed first: to group it
//! by package, or to tell which modes --fix gives, as a file may have several names.
//!
//! Every name is opened below the descriptor of its directory and without following
//! symbolic links, so nobody who changes the tree meanwhile leads the scan out of it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, OsStr, OsString};
use std::fmt;
use std::io::{BufWriter, IsTerminal, Stdout, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use mayexec::Support;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::facts::{self, Acl, Who};
use crate::places::{self, Rules, Says};
use crate::{DENIED, FINE, TROUBLE, WRONG, elf, packages, show};

/// What to scan.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON: a name is a string, and beside one that is not UTF-8, "path_bytes" has its
    /// bytes in hexadecimal
    #[arg(long)]
    json: bool,
    /// Print what would give execute permission to who can read
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, require_equals = true,
          default_missing_value = "chmod")]
    fix: Option<Form>,
    /// With --fix: change the modes, and say what still would be denied
    #[arg(long, requires = "fix")]
    apply: bool,
    /// Group what is found by the package that it belongs to, as dpkg or rpm knows
    #[arg(long)]
    by_package: bool,
    /// Say what this user, a name or a number, would be denied, instead of the caller
    #[arg(long, value_name = "USER")]
    as_user: Option<String>,
    /// Do not go on to other file systems than those of DIRS
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// The directories to look through
    #[arg(required = true, value_hint = clap::ValueHint::DirPath)]
    dirs: Vec<OsString>,
}

/// How a mode is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Lines for a shell; an update of a package takes them back
    Chmod,
    /// Lines for a shell that make dpkg keep the modes of a package's files
    Statoverride,
    /// Lines for %files of a package's spec; rpm has no settings of the system for modes
    Rpm,
}

/// What makes a file code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// It starts with #! and this interpreter.
    Script(String),
    /// Its name ends as those of modules and scripts do; such a file is not opened.
    Module(String),
    /// This interpreter reads what is at its place.
    Sourced(String),
    /// An ELF shared object, which may be a program too.
    Shared,
    /// An ELF program.
    Program,
}

/// A file that would be denied.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(serialize_with = "show::serialize")]
    path: PathBuf,
    /// The bytes of a path that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    kind: Kind,
    noexec: bool,
    not_executable: bool,
    /// The permission bits.
    mode: u32,
    /// The permission bits that --fix gives.
    fixed_mode: Option<u32>,
    /// Why --fix leaves a file as it is that a mode would fix.
    left: Option<&'static str>,
    #[serde(flatten)]
    file: packages::File,
    #[serde(skip)]
    owners: [u32; 2],
    #[serde(skip)]
    identity: Identity,
}

/// Which file it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    dev: (u32, u32),
    ino: u64,
}

impl Identity {
    fn of(stat: &Statx) -> Self {
        Self {
            dev: (stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
        }
    }
}

/// Which directory it is, and on which mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    mount: u64,
    identity: Identity,
}

impl Place {
    fn of(stat: &Statx) -> Self {
        Self {
            mount: stat.stx_mnt_id,
            identity: Identity::of(stat),
        }
    }
}

/// What is known of a directory that is being read.
struct Dir<'r> {
    fd: OwnedFd,
    path: PathBuf,
    /// The path from the root.
    absolute: PathBuf,
    /// The same, as the rules see it.
    place: places::Place<'r>,
    mount: Mount,
}

/// A mount, as far as it matters.
#[derive(Debug, Clone, Copy)]
struct Mount {
    id: u64,
    dev: (u32, u32),
    noexec: bool,
    /// The kernel's own files, which are no code, and of which some are gone once read.
    pseudo: bool,
}

/// The scan while it goes on.
struct Scan<'r> {
    who: Who,
    one_file_system: bool,
    /// The directories that the user has named; one is not read as part of another.
    roots: HashSet<Place>,
    files: AtomicU64,
    executable: AtomicU64,
    out: Mutex<Out<'r>>,
    trouble: Mutex<Vec<String>>,
    /// Nobody reads on.
    stop: AtomicBool,
}

/// How many there are of each kind.
#[derive(Debug, Default)]
struct Counts {
    denied: u64,
    kinds: [u64; 5],
    noexec: u64,
    /// What looks like code and is counted apart, by reason.
    apart: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, finding: &Finding) {
        self.denied += 1;
        self.noexec += u64::from(finding.noexec);
        self.kinds[match finding.kind {
            Kind::Script(_) => 0,
            Kind::Module(_) => 1,
            Kind::Sourced(_) => 2,
            Kind::Shared => 3,
            Kind::Program => 4,
        }] += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: [&str; 5] = [
            "script",
            "module",
            "sourced file",
            "shared object",
            "program",
        ];
        write!(f, "{} would be denied", self.denied)?;
        let mut lead = " (";
        for (&count, kind) in self
            .kinds
            .iter()
            .zip(KINDS)
            .filter(|(count, _)| **count > 0)
        {
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{lead}{count} {kind}{plural}")?;
            lead = ", ";
        }
        if self.denied > 0 {
            f.write_str(")")?;
        }
        if self.noexec > 0 {
            write!(f, ", {} on noexec mounts", self.noexec)?;
        }
        lead = "; counted apart: ";
        for (reason, count) in &self.apart {
            write!(f, "{lead}{count} {reason}")?;
            lead = ", ";
        }
        Ok(())
    }
}

/// Where findings go.
struct Out<'o> {
    options: &'o Options,
    to: BufWriter<Stdout>,
    /// All that was found, if it is not printed at once.
    kept: Vec<Finding>,
    counts: Counts,
    printed: u64,
    flushed: Instant,
    failed: Option<std::io::Error>,
}

impl Out<'_> {
    /// Whether what is found is printed at once.
    fn streams(&self) -> bool {
        let options = self.options;
        !(options.json || options.fix.is_some() || options.by_package)
    }

    fn take(&mut self, finding: Finding) {
        self.counts.add(&finding);
        if !self.streams() {
            self.kept.push(finding);
        } else if self.failed.is_none() {
            self.failed = self.print(&finding).err();
        }
    }

    fn print(&mut self, finding: &Finding) -> std::io::Result<()> {
        let first = self.printed == 0;
        self.printed += 1;
        if self.options.json {
            self.to.write_all(if first { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut self.to, finding)?;
        } else {
            finding.print(&mut self.to, self.options.fix)?;
        }
        if self.flushed.elapsed() > TICK {
            self.flushed = Instant::now();
            self.to.flush()?;
        }
        Ok(())
    }
}

/// How long something that was found may wait to be shown.
const TICK: Duration = Duration::from_millis(100);

/// The end of the report, after what was denied.
#[derive(Debug, Serialize)]
struct Tail<'a> {
    files: u64,
    executable: u64,
    apart: &'a BTreeMap<String, u64>,
    /// With --by-package: how many would be denied of each; "" is no package.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<BTreeMap<&'a str, u64>>,
    /// With --apply: how many still would be denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    still_denied: Option<u64>,
    trouble: &'a [String],
    seconds: f64,
}

/// Names of modules and scripts end so.
const EXTENSIONS: [&str; 21] = [
    "awk", "bash", "cjs", "js", "ksh", "lua", "luac", "mjs", "php", "pl", "pm", "py", "pyc", "pyo",
    "rb", "sh", "tcl", "zsh", "al", "ph", "pyz",
];

/// What the first bytes, the place and the name say of a file.
fn classify(name: &OsStr, start: &[u8], says: Option<&Says>) -> Option<Kind> {
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        return Some(Kind::Script(text.trim().to_owned()));
    }
    if start.starts_with(b"\x7fELF") {
        let (&order, kind) = (start.get(5)?, start.get(16..18)?);
        let kind = if order == 2 {
            u16::from_be_bytes([kind[0], kind[1]])
        } else {
            u16::from_le_bytes([kind[0], kind[1]])
        };
        // Relocatable objects and core files are not executed.
        return match kind {
            2 => Some(Kind::Program),
            3 => Some(Kind::Shared),
            _ => None,
        };
    }
    if let Some(Says::Interpreter(interpreter)) = says {
        return Some(Kind::Sourced(interpreter.clone()));
    }
    let extension = Path::new(name).extension()?.to_str()?;
    EXTENSIONS
        .contains(&extension)
        .then(|| Kind::Module(extension.to_owned()))
}

/// Who can read gets execute permission; none if that changes nothing.
fn fixed(mode: u32) -> Option<u32> {
    let new = mode | ((mode & 0o444) >> 2);
    (new != mode).then_some(new)
}

/// Directories of which a program starts every file that has execute permission, such as
/// run-parts(8): to take it from a file is how an administrator turns the file off. Beside
/// these, all whose names end in `.d` are taken for such, unless a rule says that an
/// interpreter reads what is there.
const STARTED: [&str; 24] = [
    ".githooks",
    ".husky",
    "15min",
    "bin",
    "cgi-bin",
    "cron.daily",
    "cron.hourly",
    "cron.monthly",
    "cron.weekly",
    "cron.yearly",
    "daily",
    "games",
    "hooks",
    "hourly",
    "libexec",
    "monthly",
    "sbin",
    "system-environment-generators",
    "system-generators",
    "system-shutdown",
    "system-sleep",
    "user-environment-generators",
    "user-generators",
    "weekly",
];

/// The same for directories anywhere below these.
const STARTED_BELOW: [&str; 2] = ["initramfs-tools", "renewal-hooks"];

/// Why --fix leaves a file as it is: whoever took execute permission from it may have meant it.
fn left(path: &Path, mode: u32, capable: bool, says: Option<&Says>) -> Option<&'static str> {
    if mode & 0o6000 != 0 {
        return Some("it is set-user-ID or set-group-ID, and execute permission would arm it");
    }
    if capable {
        return Some("it has capabilities, and execute permission would arm it");
    }
    // systemd starts rc.local at boot if it is executable.
    if path.file_name()? == "rc.local" {
        return Some("it is started if it is executable, so it may be turned off");
    }
    let mut names = path.parent()?.iter().rev();
    let name = names.next()?;
    let is = |known: &[&str], name: &OsStr| known.iter().any(|known| name == *known);
    let sourced = matches!(says, Some(Says::Interpreter(_)));
    let dot_d = name.as_bytes().ends_with(b".d");
    let started =
        is(&STARTED, name) || (!sourced && (dot_d || names.any(|name| is(&STARTED_BELOW, name))));
    started.then_some("what is executable in its directory is started, so it may be turned off")
}

/// Opens one name below a directory, following no symbolic link.
fn open_below(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_resolved(dir, name, flags, ResolveFlags::empty())
}

/// The same if the name is on the mount of its directory: `EXDEV` if it is not, or if the
/// kernel cannot be asked.
fn open_same_mount(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let support = Support::get();
    if support.openat2 && !support.emulated {
        open_resolved(dir, name, flags, ResolveFlags::NO_XDEV)
    } else {
        Err(Errno::XDEV)
    }
}

fn open_resolved(
    dir: impl AsFd,
    name: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // openat2(2) refuses what means nothing beside O_PATH.
    if !flags.contains(OFlags::PATH) {
        flags |= OFlags::NOCTTY | OFlags::NONBLOCK;
    }
    if Support::get().openat2 {
        let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
    } else {
        // A single name cannot lead elsewhere but by being a link.
        rustix::fs::openat(dir, name, flags, Mode::empty())
    }
}

fn statx(dir: impl AsFd, name: &CStr, flags: AtFlags) -> Result<Statx, Errno> {
    let wanted = StatxFlags::TYPE
        | StatxFlags::MODE
        | StatxFlags::UID
        | StatxFlags::GID
        | StatxFlags::INO
        | StatxFlags::MNT_ID;
    rustix::fs::statx(dir, name, flags | AtFlags::SYMLINK_NOFOLLOW, wanted)
}

fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

fn mount_of(fd: impl AsFd, stat: &Statx) -> Result<Mount, Errno> {
    Ok(Mount {
        id: stat.stx_mnt_id,
        dev: Identity::of(stat).dev,
        noexec: facts::is_noexec(&fd)?,
        pseudo: facts::is_pseudo(&fd)?,
    })
}

impl<'r> Scan<'r> {
    fn complain(&self, path: &Path, errno: Errno) {
        let text = format!("{}: {}", show::name(path), mayexec::message(errno));
        lock(&self.trouble).push(text);
    }

    /// Reads a directory, and those below it as tasks of their own.
    fn walk<'s>(&'s self, scope: &rayon::Scope<'s>, dir: &Arc<Dir<'r>>)
    where
        'r: 's,
    {
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(&dir.fd, &mut buffer);
        let mut files = 0;
        while let Some(entry) = entries.next() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.complain(&dir.path, errno);
                    break;
                }
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    statx(&dir.fd, name, AtFlags::empty()).map(|stat| file_type(&stat))
                }
                kind => Ok(kind),
            };
            let looked = match kind {
                Ok(FileType::Directory) => {
                    let parent = Arc::clone(dir);
                    let name = name.to_owned();
                    scope.spawn(move |scope| self.descend(scope, &parent, &name));
                    Ok(())
                }
                Ok(FileType::RegularFile) => {
                    files += 1;
                    self.file(dir, name)
                }
                Ok(_) => Ok(()),
                Err(errno) => Err(errno),
            };
            match looked {
                // Or it has gone since the directory was read.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    self.complain(&dir.path.join(OsStr::from_bytes(name.to_bytes())), errno);
                }
            }
        }
        self.files.fetch_add(files, Ordering::Relaxed);
    }

    fn descend<'s>(&'s self, scope: &rayon::Scope<'s>, parent: &Arc<Dir<'r>>, name: &CStr)
    where
        'r: 's,
    {
        let own = OsStr::from_bytes(name.to_bytes());
        let path = parent.path.join(own);
        let (fd, mount) = match self.enter(parent, name) {
            Ok(Some(entered)) => entered,
            Ok(None) | Err(Errno::NOENT) => return,
            Err(errno) => return self.complain(&path, errno),
        };
        let dir = Arc::new(Dir {
            fd,
            path,
            absolute: parent.absolute.join(own),
            place: parent.place.below(name.to_bytes()),
            mount,
        });
        self.walk(scope, &dir);
    }

    /// Opens a directory below another one, unless it is not to be read there.
    fn enter(&self, parent: &Dir<'_>, name: &CStr) -> Result<Option<(OwnedFd, Mount)>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let same = open_same_mount(&parent.fd, name, flags);
        let fd = match same {
            Ok(fd) if self.roots.len() == 1 => return Ok(Some((fd, parent.mount))),
            Err(Errno::XDEV) => open_below(&parent.fd, name, flags)?,
            same => same?,
        };
        let stat = statx(&fd, c"", AtFlags::EMPTY_PATH)?;
        let mount = if stat.stx_mnt_id == parent.mount.id {
            parent.mount
        } else {
            mount_of(&fd, &stat)?
        };
        let elsewhere = self.one_file_system && mount.dev != parent.mount.dev;
        let read = !elsewhere && !mount.pseudo && !self.roots.contains(&Place::of(&stat));
        Ok(read.then_some((fd, mount)))
    }

    /// Looks at a regular file. Of most files the name tells that they are code, or the
    /// content that they are not: those are only looked up, these only read.
    fn file(&self, dir: &Dir<'_>, name: &CStr) -> Result<(), Errno> {
        let file_name = OsStr::from_bytes(name.to_bytes());
        let says = dir.place.says(name.to_bytes());
        let mut content = Content {
            kind: classify(file_name, b"", says),
            debug: false,
        };
        let told = matches!(content.kind, Some(Kind::Module(_)));
        let mut opened = (!told).then(|| open_same_mount(&dir.fd, name, OFlags::RDONLY));
        let stat = if let Some(Ok(fd)) = &opened {
            content = Content::read(fd, file_name, says)?;
            if content.kind.is_none() {
                return Ok(());
            }
            statx(fd, c"", AtFlags::EMPTY_PATH)?
        } else {
            statx(&dir.fd, name, AtFlags::empty())?
        };
        if file_type(&stat) != FileType::RegularFile {
            return Ok(());
        }
        let mut noexec = dir.mount.noexec;
        let own_mount = stat.stx_mnt_id != dir.mount.id;
        if own_mount || matches!(opened, Some(Err(Errno::XDEV))) {
            let again = open_below(&dir.fd, name, OFlags::RDONLY);
            if let Ok(fd) = &again {
                if own_mount {
                    let mount = mount_of(fd, &stat)?;
                    if mount.pseudo {
                        return Ok(());
                    }
                    noexec = mount.noexec;
                }
                content = Content::read(fd, file_name, says)?;
            }
            opened = Some(again);
        }
        let mode = u32::from(stat.stx_mode);
        let link = || {
            let path = format!("/proc/self/fd/{}/", dir.fd.as_raw_fd());
            [path.as_bytes(), name.to_bytes()].concat()
        };
        let acl = if self.acl_matters(mode, stat.stx_uid) {
            acl(&link())
        } else {
            None
        };
        let executable = self
            .who
            .may_execute(mode, stat.stx_uid, stat.stx_gid, acl.as_ref());
        if executable && !noexec {
            self.executable.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let Some(kind) = content.kind else {
            // What cannot be read may be code.
            return opened.map_or(Ok(()), |opened| opened.map(drop));
        };
        let apart = match says {
            Some(Says::Apart(reason)) => Some(reason.as_str()),
            _ => content.debug.then_some("debug"),
        };
        if let Some(reason) = apart {
            let mut out = lock(&self.out);
            match out.counts.apart.get_mut(reason) {
                Some(count) => *count += 1,
                None => {
                    out.counts.apart.insert(reason.to_owned(), 1);
                }
            }
            return Ok(());
        }
        let absolute = dir.absolute.join(file_name);
        let left = (!executable)
            .then(|| left(&absolute, mode, facts::has_capabilities(link()), says))
            .flatten();
        let path = dir.path.join(file_name);
        let finding = Finding {
            path_bytes: show::bytes(&path),
            path,
            kind,
            noexec,
            not_executable: !executable,
            mode: mode & 0o7777,
            fixed_mode: fixed(mode & 0o7777).filter(|_| !executable && left.is_none()),
            left,
            file: packages::File {
                package: None,
                absolute,
            },
            owners: [stat.stx_uid, stat.stx_gid],
            identity: Identity::of(&stat),
        };
        let mut out = lock(&self.out);
        out.take(finding);
        if out.failed.is_some() {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the answer can depend on an ACL: not for the owner nor for the capability,
    /// nor if nobody else has an execute bit, the mask included.
    fn acl_matters(&self, mode: u32, uid: u32) -> bool {
        !self.who.overrides && self.who.uid != uid && mode & 0o070 != 0 && mode & 0o011 != 0
    }
}

/// The ACL of what `path` names, itself a link or not.
fn acl(path: &[u8]) -> Option<Acl> {
    let mut value = [0; 4096];
    let length = rustix::fs::lgetxattr(path, Acl::NAME, &mut value).ok()?;
    Acl::parse(&value[..length])
}

/// What the start of a file tells.
struct Content {
    kind: Option<Kind>,
    /// It is debug information, split off from a program or a library.
    debug: bool,
}

impl Content {
    fn read(fd: &OwnedFd, name: &OsStr, says: Option<&Says>) -> Result<Self, Errno> {
        /// The header of an ELF file, and of most files all that is read.
        const HEADER: usize = 64;
        let mut start = [0; 256];
        let mut length = rustix::io::pread(fd, &mut start[..HEADER], 0)?;
        if length == HEADER && start.starts_with(b"#!") {
            length += rustix::io::pread(fd, &mut start[HEADER..], HEADER as u64)?;
        }
        let start = &start[..length];
        let kind = classify(name, start, says);
        let elf = matches!(kind, Some(Kind::Shared | Kind::Program));
        Ok(Self {
            kind,
            debug: elf && elf::is_debug(fd, start),
        })
    }
}

/// The value, whatever happened to another thread that held it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A user other than the caller.
fn named(user: &str) -> Result<Who> {
    let ask = |what: &str| -> Result<Vec<u32>> {
        let output = Command::new("id")
            .args([what, "--", user])
            .output()
            .context("cannot start id")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.split_whitespace()
            .map(|id| id.parse().context("id does not print a number"))
            .collect()
    };
    let uid = *ask("-u")?.first().context("id prints nothing")?;
    Ok(Who {
        uid,
        gids: ask("-G")?,
        overrides: uid == 0,
        unmapped: Who::caller()
            .context("cannot tell who the caller is")?
            .unmapped,
    })
}

/// Scans the directories.
pub(crate) fn scan(options: &Options) -> Result<u8> {
    if options.apply && options.fix != Some(Form::Chmod) {
        let text = "mayexec: --apply changes modes, so it goes with --fix or --fix=chmod";
        let _ = writeln!(std::io::stderr(), "{text}");
        return Ok(WRONG);
    }
    let who = match &options.as_user {
        Some(user) => named(user)?,
        None => Who::caller().context("cannot tell who the caller is")?,
    };
    let rules = Rules::read()?;
    let wants_packages =
        options.by_package || matches!(options.fix, Some(Form::Statoverride | Form::Rpm));
    let tool = wants_packages.then(packages::Tool::find).transpose()?;
    allow_many_files();
    let mut scan = Scan {
        who,
        one_file_system: options.one_file_system,
        roots: HashSet::new(),
        files: AtomicU64::new(0),
        executable: AtomicU64::new(0),
        out: Mutex::new(Out {
            options,
            to: BufWriter::new(std::io::stdout()),
            kept: Vec::new(),
            counts: Counts::default(),
            printed: 0,
            flushed: Instant::now(),
            failed: None,
        }),
        trouble: Mutex::new(Vec::new()),
        stop: AtomicBool::new(false),
    };
    let started = Instant::now();
    let mut dirs = Vec::new();
    for path in &options.dirs {
        let path = Path::new(path);
        match root(path, &rules) {
            Ok((_, dir)) if dir.mount.pseudo => {
                let name = show::name(path);
                let text = format!("{name}: not scanned, the files there are the kernel's own");
                lock(&scan.trouble).push(text);
            }
            // One that is named twice, or by a link too, is read once.
            Ok((place, dir)) => {
                if scan.roots.insert(place) {
                    dirs.push(Arc::new(dir));
                }
            }
            Err(errno) => scan.complain(path, errno),
        }
    }
    progress(&scan, || {
        rayon::scope(|scope| {
            for dir in &dirs {
                scan.walk(scope, dir);
            }
        });
    });
    let seconds = started.elapsed().as_secs_f64();
    report(scan, options, tool, seconds)
}

/// Prints what was not printed yet, and the end.
fn report(
    scan: Scan<'_>,
    options: &Options,
    tool: Option<packages::Tool>,
    seconds: f64,
) -> Result<u8> {
    let mut out = scan
        .out
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut trouble = scan.trouble.into_inner().unwrap_or_default();
    let mut findings = std::mem::take(&mut out.kept);
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    leave_other_names(&mut findings);
    if let Some(tool) = tool {
        let files = findings.iter_mut().map(|finding| &mut finding.file);
        tool.ask(&mut files.collect::<Vec<_>>())?;
    }
    // What may fail has not: from here on, the report says what was changed.
    let still = options
        .apply
        .then(|| apply_all(&findings, &options.dirs, &scan.who, &mut trouble));
    if tool.is_some() {
        // Nothing before something: what is nobody's comes first.
        findings.sort_by(|a, b| (&a.file.package, &a.path).cmp(&(&b.file.package, &b.path)));
    }
    let mut packages = tool.map(|_| BTreeMap::new());
    if options.json {
        out.to.write_all(b"{\"denied\": [")?;
    }
    for group in findings.chunk_by(|a, b| a.file.package == b.file.package) {
        let name = group
            .first()
            .and_then(|first| first.file.package.as_deref());
        if let Some(packages) = &mut packages {
            packages.insert(name.unwrap_or_default(), group.len() as u64);
            if !options.json {
                let mut counts = Counts::default();
                group.iter().for_each(|finding| counts.add(finding));
                let lead = if options.fix.is_some() { "# " } else { "" };
                let name = name.unwrap_or("no package");
                writeln!(out.to, "{lead}{name}: {counts}")?;
            }
        }
        for finding in group {
            out.print(finding)?;
        }
    }
    if let Some(error) = out.failed {
        return Err(error.into());
    }
    trouble.sort();
    let left = still.unwrap_or(out.counts.denied);
    let (files, executable) = (scan.files.into_inner(), scan.executable.into_inner());
    if options.json {
        let tail = serde_json::to_string(&Tail {
            files,
            executable,
            apart: &out.counts.apart,
            packages,
            still_denied: still,
            trouble: &trouble,
            seconds,
        })?;
        // The list is one member of the object, and these are the others.
        writeln!(out.to, "\n],\n{}", tail.trim_start_matches('{'))?;
    } else {
        let lead = if options.fix.is_some() { "# " } else { "" };
        writeln!(
            out.to,
            "{lead}{files} files in {seconds:.1} s: {executable} executable, {}",
            out.counts
        )?;
        if let Some(still) = still {
            writeln!(
                out.to,
                "{lead}after the change: {still} still would be denied"
            )?;
        }
    }
    out.to.flush()?;
    let mut err = std::io::stderr().lock();
    for line in &trouble {
        let _ = writeln!(err, "mayexec: {line}");
    }
    Ok(if !trouble.is_empty() {
        TROUBLE
    } else if left == 0 {
        FINE
    } else {
        DENIED
    })
}

/// A mode is that of the file, whatever its name: a file that --fix leaves under one name is left
/// under all.
fn leave_other_names(findings: &mut [Finding]) {
    let left = findings.iter().filter(|finding| finding.left.is_some());
    let left: HashSet<Identity> = left.map(|finding| finding.identity).collect();
    for finding in findings {
        if left.contains(&finding.identity) {
            finding.fixed_mode = None;
            let why = "it has another name, under which it is left";
            finding.left.get_or_insert(why);
        }
    }
}

/// Changes the modes, and counts what still would be denied.
fn apply_all(findings: &[Finding], dirs: &[OsString], who: &Who, trouble: &mut Vec<String>) -> u64 {
    let mut still = 0;
    for finding in findings {
        let name = show::name(&finding.path);
        let denied = match apply(finding, dirs, who) {
            Ok(allowed) => !allowed,
            Err(errno) => {
                trouble.push(match errno {
                    UNCHANGED => format!("{name}: the filesystem does not change the mode"),
                    errno => format!("{name}: {}", mayexec::message(errno)),
                });
                true
            }
        };
        if let Some(why) = finding.left {
            let _ = writeln!(std::io::stderr(), "mayexec: {name} is left: {why}");
        } else if denied {
            let _ = writeln!(std::io::stderr(), "mayexec: {name} still would be denied");
        }
        still += u64::from(denied);
    }
    still
}

/// A directory that the user has named, through links if it is named so.
fn root<'r>(path: &Path, rules: &'r Rules) -> Result<(Place, Dir<'r>), Errno> {
    let fd = named_dir(path)?;
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH)?;
    let mount = mount_of(&fd, &stat)?;
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let dir = Dir {
        fd,
        path: path.to_owned(),
        place: rules.top(absolute.as_os_str().as_bytes()),
        absolute,
        mount,
    };
    Ok((Place::of(&stat), dir))
}

fn named_dir(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Every directory whose children wait holds a descriptor.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Without it, a very broad tree may be reported as trouble.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Works, shows on a terminal how far the work is, and what was found in time.
fn progress(scan: &Scan<'_>, work: impl FnOnce() + Send) {
    // On one terminal, what is found shows how far the work is.
    let shown = lock(&scan.out).streams() && std::io::stdout().is_terminal();
    let bar = (!shown && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
    let main = std::thread::current();
    std::thread::scope(|threads| {
        let worker = threads.spawn(move || {
            work();
            main.unpark();
        });
        while !worker.is_finished() {
            std::thread::park_timeout(TICK);
            let mut out = lock(&scan.out);
            if let Err(error) = out.to.flush() {
                out.failed = Some(error);
                scan.stop.store(true, Ordering::Relaxed);
            }
            if let Some(bar) = &bar {
                bar.set_message(format!(
                    "{} files, {} would be denied",
                    scan.files.load(Ordering::Relaxed),
                    out.counts.denied
                ));
                bar.tick();
            }
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Changes the mode of a file, reached again name by name from the directory it was
/// found in, if it is still the same. Says whether `who` may execute the file then.
fn apply(finding: &Finding, dirs: &[OsString], who: &Who) -> Result<bool, Errno> {
    let Some(mode) = finding.fixed_mode else {
        return Ok(false);
    };
    let top = dirs
        .iter()
        .map(Path::new)
        .filter(|dir| finding.path.starts_with(dir))
        .max_by_key(|dir| dir.as_os_str().len())
        .ok_or(Errno::NOENT)?;
    let below = finding.path.strip_prefix(top).map_err(|_| Errno::NOENT)?;
    let mut fd = named_dir(top)?;
    let mut names = below.iter().peekable();
    while let Some(name) = names.next() {
        let name = std::ffi::CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        let flags = if names.peek().is_some() {
            OFlags::RDONLY | OFlags::DIRECTORY
        } else {
            OFlags::PATH
        };
        fd = open_below(&fd, &name, flags)?;
    }
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH)?;
    let now = u32::from(stat.stx_mode) & 0o7777;
    let same = Identity::of(&stat) == finding.identity;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    // Another of its hard links may have been fixed before.
    if !(same && now == mode) {
        if !same || now != finding.mode || facts::has_capabilities(&link) {
            return Err(Errno::STALE);
        }
        // chmod(2) of an O_PATH descriptor, which fchmod(2) refuses.
        rustix::fs::chmod(&link, Mode::from_raw_mode(mode))?;
    }
    // Some filesystems keep modes of their own and do not say so.
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH)?;
    let after = u32::from(stat.stx_mode);
    kept(after & 0o7777, mode)?;
    let acl = facts::acl(&link);
    let allowed = who.may_execute(after, stat.stx_uid, stat.stx_gid, acl.as_ref());
    Ok(allowed && !finding.noexec)
}

/// Whether chmod(2) has done what it said.
fn kept(after: u32, wanted: u32) -> Result<(), Errno> {
    if after == wanted {
        Ok(())
    } else {
        // No chmod(2) fails like this, so the words below are for this alone.
        Err(UNCHANGED)
    }
}

/// The filesystem did not change a mode and said that it had.
const UNCHANGED: Errno = Errno::NOTSUP;

/// The argument of chmod(1) that adds the bits of `fixed`.
fn added(mode: u32, fixed: u32) -> String {
    let new = fixed & !mode;
    if new == 0o111 {
        return "a+x".to_owned();
    }
    [(0o100, "u+x"), (0o010, "g+x"), (0o001, "o+x")]
        .iter()
        .filter(|(bit, _)| new & bit != 0)
        .map(|&(_, text)| text)
        .collect::<Vec<_>>()
        .join(",")
}

impl Finding {
    fn print(&self, out: &mut impl Write, fix: Option<Form>) -> std::io::Result<()> {
        let name = show::name(&self.path);
        let kind = match &self.kind {
            Kind::Script(interpreter) => format!("script, {}", show::name(interpreter)),
            Kind::Module(extension) => format!("module, .{extension}"),
            Kind::Sourced(interpreter) => format!("read by {}", show::name(interpreter)),
            Kind::Shared => "shared object".to_owned(),
            Kind::Program => "program".to_owned(),
        };
        let why = match (self.noexec, self.not_executable) {
            (true, true) => "noexec mount, no execute permission",
            (true, false) => "noexec mount",
            _ => "no execute permission",
        };
        let Some(form) = fix else {
            return writeln!(out, "{name}: {why} ({kind})");
        };
        let Some(fixed) = self.fixed_mode else {
            return writeln!(out, "# not fixed: {name}: {}", self.left.unwrap_or(why));
        };
        match form {
            // A file of no package keeps the mode that it is given.
            Form::Statoverride if self.file.package.is_some() => {
                writeln!(out, "{}", self.statoverride(fixed))?;
            }
            Form::Rpm if self.file.package.is_some() => writeln!(out, "{}", self.attr(fixed))?,
            _ => {
                let command = format!("chmod {} --", added(self.mode, fixed));
                writeln!(out, "{}", show::shell(&command, &self.path))?;
            }
        }
        if self.noexec {
            writeln!(out, "# {name} is on a noexec mount")?;
        }
        Ok(())
    }

    /// The line that makes dpkg keep a mode, under the name that dpkg knows the file by.
    fn statoverride(&self, mode: u32) -> String {
        let owner = |id: u32| match id {
            0 => "root".to_owned(),
            id => format!("'#{id}'"),
        };
        let [user, group] = self.owners.map(owner);
        let command = format!("dpkg-statoverride --update --add {user} {group} {mode:04o}");
        show::shell(&command, &self.file.absolute)
    }

    /// The line of a spec's %files that gives a mode.
    fn attr(&self, mode: u32) -> String {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-,@:~=".contains(byte);
        let path = self.file.absolute.as_os_str().as_bytes();
        match std::str::from_utf8(path) {
            Ok(text) if path.iter().all(is_plain) => format!("%attr({mode:04o}, -, -) {text}"),
            _ => format!(
                "# not fixed: {}: %files has no such names",
                show::name(&self.path)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A file of mode 644, and what a scan of its directory says of it.
    fn found(path: &Path) -> Finding {
        put(path);
        let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
        let stat = statx(rustix::fs::CWD, &name, AtFlags::empty()).unwrap();
        Finding {
            path: path.to_owned(),
            kind: Kind::Module("py".to_owned()),
            noexec: false,
            not_executable: true,
            mode: 0o644,
            fixed_mode: Some(0o755),
            left: None,
            path_bytes: None,
            file: packages::File {
                package: None,
                absolute: path.to_owned(),
            },
            owners: [0, 0],
            identity: Identity::of(&stat),
        }
    }

    fn put(path: &Path) {
        fs::write(path, "").unwrap();
        set_mode(path, 0o644);
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_somebody_turned_off_is_left() {
        let sh = Says::Interpreter("sh".to_owned());
        let left = |dir: &str, mode| {
            let read = ["/profile.d", "initramfs-tools/conf.d"];
            let says = read.iter().any(|end| dir.ends_with(end)).then_some(&sh);
            left(&Path::new(dir).join("file"), mode, false, says).is_some()
        };
        for dir in [
            "/x/cron.daily",
            "/x/update-motd.d",
            "/x/.git/hooks",
            "/x/.githooks",
            "/x/bin",
            "/x/periodic/15min",
            "/x/renewal-hooks/post",
            "/x/initramfs-tools/scripts/init-top",
        ] {
            assert!(left(dir, 0o644), "{dir}");
        }
        let sourced = "/x/initramfs-tools/conf.d";
        for dir in ["/x/lib", "/x/profile.d", sourced, "/x/hooks/lib", "/"] {
            assert!(!left(dir, 0o644), "{dir}");
            assert!(left(dir, 0o4644) && left(dir, 0o2644), "{dir}");
        }
        let path = Path::new(OsStr::from_bytes(b"/x/\xe9.d/file"));
        assert!(super::left(path, 0o644, false, None).is_some());
        let etc = |name: &str| super::left(&Path::new("/etc").join(name), 0o644, false, None);
        assert!(etc("rc.local").is_some() && etc("rc.other").is_none());
    }

    #[test]
    fn a_mode_that_stays_is_noticed() {
        assert_eq!(kept(0o755, 0o755), Ok(()));
        assert_eq!(kept(0o644, 0o755), Err(UNCHANGED));
    }

    #[test]
    fn only_the_file_that_was_found_is_changed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dirs, who) = ([dir.path().into()], Who::caller().unwrap());
        let sub = dir.path().join("sub");
        fs::create_dir(&sub).unwrap();
        let path = sub.join("x.py");
        let finding = found(&path);
        let safe = outside.path().join("x.py");
        put(&safe);

        fs::rename(&sub, dir.path().join("moved")).unwrap();
        symlink(outside.path(), &sub).unwrap();
        assert!(
            apply(&finding, &dirs, &who).is_err(),
            "a directory became a link"
        );
        fs::remove_file(&sub).unwrap();
        fs::rename(dir.path().join("moved"), &sub).unwrap();

        // The same file, by a way out of the tree.
        fs::rename(&path, outside.path().join("y.py")).unwrap();
        symlink(outside.path().join("y.py"), &path).unwrap();
        assert!(
            apply(&finding, &dirs, &who).is_err(),
            "the file became a link"
        );
        assert_eq!(mode(&path), 0o644);
        put(&outside.path().join("other"));
        fs::rename(outside.path().join("other"), &path).unwrap();
        assert_eq!(
            apply(&finding, &dirs, &who),
            Err(Errno::STALE),
            "another file"
        );
        assert_eq!(mode(&path), 0o644);
        fs::rename(outside.path().join("y.py"), &path).unwrap();

        set_mode(&path, 0o600);
        assert_eq!(
            apply(&finding, &dirs, &who),
            Err(Errno::STALE),
            "another mode"
        );
        assert_eq!(mode(&path), 0o600);
        set_mode(&path, 0o644);
        assert_eq!(apply(&finding, &dirs, &who), Ok(true));
        assert_eq!(mode(&path), 0o755);
        assert_eq!(
            apply(&finding, &dirs, &who),
            Ok(true),
            "nothing is left to do"
        );
        assert_eq!(mode(&safe), 0o644);
    }
}
