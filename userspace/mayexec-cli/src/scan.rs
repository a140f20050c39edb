// SPDX-License-Identifier: GPL-2.0

//! `mayexec scan`: code that both checks would deny.
//!
//! Every name is opened below the descriptor of its directory and without following
//! symbolic links, so nobody who changes the tree meanwhile leads the scan out of it.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::io::{IsTerminal, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use mayexec::Support;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::facts::{self, Acl, Who};
use crate::show;
use crate::{DENIED, FINE, TROUBLE};

/// What to scan.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the chmod commands that would give execute permission to who can read
    #[arg(long)]
    fix: bool,
    /// With --fix: change the modes
    #[arg(long, requires = "fix")]
    apply: bool,
    /// Ask for this user, a name or a number, instead of the caller
    #[arg(long, value_name = "USER")]
    as_user: Option<String>,
    /// Stay on the file systems of the directories
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// The directories
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
}

/// What makes a file code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// It starts with #! and this interpreter.
    Script(String),
    /// Its name ends as those of modules and scripts do.
    Module(String),
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
    kind: Kind,
    noexec: bool,
    not_executable: bool,
    /// The permission bits.
    mode: u32,
    /// The permission bits that --fix gives.
    fixed_mode: Option<u32>,
    /// Why --fix leaves a file as it is that a mode would fix.
    left: Option<&'static str>,
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
struct Dir {
    fd: OwnedFd,
    path: PathBuf,
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
struct Scan {
    who: Who,
    one_file_system: bool,
    /// The directories that the user has named; one is not read as part of another.
    roots: HashSet<Place>,
    files: AtomicU64,
    executable: AtomicU64,
    findings: Mutex<Vec<Finding>>,
    trouble: Mutex<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    files: u64,
    executable: u64,
    denied: &'a [Finding],
    trouble: &'a [String],
    seconds: f64,
}

/// Names of modules and scripts end so.
const EXTENSIONS: [&str; 21] = [
    "awk", "bash", "cjs", "js", "ksh", "lua", "luac", "mjs", "php", "pl", "pm", "py", "pyc", "pyo",
    "rb", "sh", "tcl", "zsh", "al", "ph", "pyz",
];

/// What the first bytes and the name say of a file.
fn classify(name: &OsStr, start: &[u8]) -> Option<Kind> {
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
/// these, all whose names end in `.d` are taken for such.
const STARTED: [&str; 12] = [
    "cron.daily",
    "cron.hourly",
    "cron.monthly",
    "cron.weekly",
    "cron.yearly",
    "hooks",
    "system-environment-generators",
    "system-generators",
    "system-shutdown",
    "system-sleep",
    "user-environment-generators",
    "user-generators",
];

/// Directories whose names end in `.d`, and whose files a shell reads instead of starting
/// them.
const SOURCED: [&str; 4] = ["Xsession.d", "bash_completion.d", "profile.d", "zshrc.d"];

/// Why --fix leaves a file in `dir` as it is: whoever took execute permission from it may
/// have meant it.
fn left(dir: &Path, mode: u32) -> Option<&'static str> {
    if mode & 0o6000 != 0 {
        return Some("it is set-user-ID or set-group-ID, and execute permission would arm it");
    }
    // A relative path such as `.` does not tell the directory's name.
    let whole = dir.canonicalize();
    let name = whole.as_deref().unwrap_or(dir).file_name()?.to_str()?;
    let started = STARTED.contains(&name) || (name.ends_with(".d") && !SOURCED.contains(&name));
    started.then_some("what is executable in its directory is started, so it may be turned off")
}

/// Opens one name below a directory, following no symbolic link.
fn open_below(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // openat2(2) refuses what means nothing beside O_PATH.
    if !flags.contains(OFlags::PATH) {
        flags |= OFlags::NOCTTY | OFlags::NONBLOCK;
    }
    if Support::get().openat2 {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
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

fn mount_of(fd: impl AsFd, stat: &Statx) -> Result<Mount, Errno> {
    Ok(Mount {
        id: stat.stx_mnt_id,
        dev: Identity::of(stat).dev,
        noexec: facts::is_noexec(&fd)?,
        pseudo: facts::is_pseudo(&fd)?,
    })
}

impl Scan {
    fn complain(&self, path: &Path, errno: Errno) {
        let text = format!("{}: {}", show::name(path), mayexec::message(errno));
        lock(&self.trouble).push(text);
    }

    /// Reads a directory, and those below it as tasks of their own.
    fn walk<'s>(&'s self, scope: &rayon::Scope<'s>, dir: &Arc<Dir>) {
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(&dir.fd, &mut buffer);
        let mut files = 0;
        while let Some(entry) = entries.next() {
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
            let mut kind = entry.file_type();
            let mut stat = None;
            if matches!(kind, FileType::Unknown | FileType::RegularFile) {
                match statx(&dir.fd, name, AtFlags::empty()) {
                    Ok(found) => {
                        kind = FileType::from_raw_mode(found.stx_mode.into());
                        stat = Some(found);
                    }
                    // It has gone since the directory was read.
                    Err(Errno::NOENT) => continue,
                    Err(errno) => {
                        self.complain(&dir.path.join(OsStr::from_bytes(name.to_bytes())), errno);
                        continue;
                    }
                }
            }
            match (kind, stat) {
                (FileType::Directory, _) => {
                    let parent = Arc::clone(dir);
                    let name = name.to_owned();
                    scope.spawn(move |scope| self.descend(scope, &parent, &name));
                }
                (FileType::RegularFile, Some(stat)) => {
                    files += 1;
                    if let Err(errno) = self.file(dir, name, &stat)
                        && errno != Errno::NOENT
                    {
                        self.complain(&dir.path.join(OsStr::from_bytes(name.to_bytes())), errno);
                    }
                }
                _ => {}
            }
        }
        self.files.fetch_add(files, Ordering::Relaxed);
    }

    fn descend<'s>(&'s self, scope: &rayon::Scope<'s>, parent: &Arc<Dir>, name: &CStr) {
        let path = parent.path.join(OsStr::from_bytes(name.to_bytes()));
        let opened = open_below(&parent.fd, name, OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(|fd| Ok((statx(&fd, c"", AtFlags::EMPTY_PATH)?, fd)));
        let (stat, fd) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return,
            Err(errno) => return self.complain(&path, errno),
        };
        let mount = if stat.stx_mnt_id == parent.mount.id {
            parent.mount
        } else {
            match mount_of(&fd, &stat) {
                Ok(mount) => mount,
                Err(errno) => return self.complain(&path, errno),
            }
        };
        let elsewhere = self.one_file_system && mount.dev != parent.mount.dev;
        if elsewhere || mount.pseudo || self.roots.contains(&Place::of(&stat)) {
            return;
        }
        let dir = Arc::new(Dir { fd, path, mount });
        self.walk(scope, &dir);
    }

    /// Looks at a regular file; only at its content if it would be denied.
    fn file(&self, dir: &Dir, name: &CStr, stat: &Statx) -> Result<(), Errno> {
        let mode = u32::from(stat.stx_mode);
        let acl = if self.acl_matters(mode, stat.stx_uid) {
            let path = format!("/proc/self/fd/{}/", dir.fd.as_raw_fd());
            let path = [path.as_bytes(), name.to_bytes()].concat();
            acl(&path)
        } else {
            None
        };
        let executable = self
            .who
            .may_execute(mode, stat.stx_uid, stat.stx_gid, acl.as_ref());
        let own_mount = stat.stx_mnt_id != dir.mount.id;
        if executable && !dir.mount.noexec && !own_mount {
            self.executable.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let file_name = OsStr::from_bytes(name.to_bytes());
        let mut noexec = dir.mount.noexec;
        let kind = match open_below(&dir.fd, name, OFlags::RDONLY) {
            Ok(fd) => {
                if own_mount {
                    let mount = mount_of(&fd, stat)?;
                    if mount.pseudo {
                        return Ok(());
                    }
                    noexec = mount.noexec;
                }
                let mut start = [0; 256];
                let length = rustix::io::pread(&fd, &mut start, 0)?;
                classify(file_name, &start[..length])
            }
            // Its name still tells something.
            Err(errno) if classify(file_name, b"").is_none() => return Err(errno),
            Err(_) => classify(file_name, b""),
        };
        if executable && !noexec {
            self.executable.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(kind) = kind {
            let left = (!executable).then(|| left(&dir.path, mode)).flatten();
            lock(&self.findings).push(Finding {
                path: dir.path.join(file_name),
                kind,
                noexec,
                not_executable: !executable,
                mode: mode & 0o7777,
                fixed_mode: fixed(mode & 0o7777).filter(|_| !executable && left.is_none()),
                left,
                identity: Identity::of(stat),
            });
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
    let who = match &options.as_user {
        Some(user) => named(user)?,
        None => Who::caller().context("cannot tell who the caller is")?,
    };
    allow_many_files();
    let mut scan = Scan {
        who,
        one_file_system: options.one_file_system,
        roots: HashSet::new(),
        files: AtomicU64::new(0),
        executable: AtomicU64::new(0),
        findings: Mutex::new(Vec::new()),
        trouble: Mutex::new(Vec::new()),
    };
    let started = Instant::now();
    let mut dirs = Vec::new();
    for path in &options.dirs {
        match root(path) {
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
    let mut findings = std::mem::take(&mut *lock(&scan.findings));
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    if options.apply {
        for finding in &findings {
            match apply(finding, &options.dirs) {
                Ok(()) => {}
                Err(UNCHANGED) => {
                    let name = show::name(&finding.path);
                    let text = format!("{name}: the filesystem does not change the mode");
                    lock(&scan.trouble).push(text);
                }
                Err(errno) => scan.complain(&finding.path, errno),
            }
            if let Some(why) = finding.left {
                let name = show::name(&finding.path);
                let _ = writeln!(std::io::stderr(), "mayexec: {name} is left: {why}");
            }
        }
    }
    let mut trouble = std::mem::take(&mut *lock(&scan.trouble));
    trouble.sort();
    let report = Report {
        files: scan.files.into_inner(),
        executable: scan.executable.into_inner(),
        denied: &findings,
        trouble: &trouble,
        seconds,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&mut out, &report, options.fix)?;
    }
    out.flush()?;
    let mut err = std::io::stderr().lock();
    for line in report.trouble {
        let _ = writeln!(err, "mayexec: {line}");
    }
    Ok(if !report.trouble.is_empty() {
        TROUBLE
    } else if report.denied.is_empty() {
        FINE
    } else {
        DENIED
    })
}

/// A directory that the user has named, through links if it is named so.
fn root(path: &Path) -> Result<(Place, Dir), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH)?;
    let mount = mount_of(&fd, &stat)?;
    let dir = Dir {
        fd,
        path: path.to_owned(),
        mount,
    };
    Ok((Place::of(&stat), dir))
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

/// Shows on a terminal how far the work is.
fn progress(scan: &Scan, work: impl FnOnce() + Send) {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new_spinner();
    std::thread::scope(|threads| {
        let worker = threads.spawn(work);
        while !worker.is_finished() {
            bar.set_message(format!(
                "{} files, {} would be denied",
                scan.files.load(Ordering::Relaxed),
                lock(&scan.findings).len()
            ));
            bar.tick();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    bar.finish_and_clear();
}

/// Changes the mode of a file, reached again name by name from the directory it was
/// found in, if it is still the same.
fn apply(finding: &Finding, dirs: &[PathBuf]) -> Result<(), Errno> {
    let Some(mode) = finding.fixed_mode else {
        return Ok(());
    };
    let top = dirs
        .iter()
        .filter(|dir| finding.path.starts_with(dir))
        .max_by_key(|dir| dir.as_os_str().len())
        .ok_or(Errno::NOENT)?;
    let below = finding.path.strip_prefix(top).map_err(|_| Errno::NOENT)?;
    let mut fd = root(top)?.1.fd;
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
    // Another of its hard links may have been fixed before.
    if same && now == mode {
        return Ok(());
    }
    if !same || now != finding.mode {
        return Err(Errno::STALE);
    }
    // chmod(2) of an O_PATH descriptor, which fchmod(2) refuses.
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmod(link, Mode::from_raw_mode(mode))?;
    // Some filesystems keep modes of their own and do not say so.
    let after = u32::from(statx(&fd, c"", AtFlags::EMPTY_PATH)?.stx_mode) & 0o7777;
    kept(after, mode)
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

fn print(out: &mut impl Write, report: &Report<'_>, fix: bool) -> std::io::Result<()> {
    for finding in report.denied {
        let kind = match &finding.kind {
            Kind::Script(interpreter) => format!("script, {}", show::name(interpreter)),
            Kind::Module(extension) => format!("module, .{extension}"),
            Kind::Shared => "shared object".to_owned(),
            Kind::Program => "program".to_owned(),
        };
        let why = match (finding.noexec, finding.not_executable) {
            (true, true) => "noexec mount, no execute permission",
            (true, false) => "noexec mount",
            _ => "no execute permission",
        };
        if !fix {
            writeln!(out, "{}: {why} ({kind})", show::name(&finding.path))?;
            continue;
        }
        match finding.fixed_mode {
            Some(fixed) => {
                let command = format!("chmod {} --", added(finding.mode, fixed));
                writeln!(out, "{}", show::shell(&command, &finding.path))?;
            }
            None => {
                let why = finding.left.unwrap_or(why);
                writeln!(out, "# not fixed: {}: {why}", show::name(&finding.path))?;
            }
        }
        if finding.noexec && finding.fixed_mode.is_some() {
            writeln!(out, "# {} is on a noexec mount", show::name(&finding.path))?;
        }
    }
    let count = |is: fn(&Kind) -> bool| report.denied.iter().filter(|f| is(&f.kind)).count();
    let lead = if fix { "# " } else { "" };
    writeln!(
        out,
        "{lead}{} files in {:.1} s: {} executable, {} would be denied ({} scripts, {} modules, \
         {} shared objects, {} programs), {} on noexec mounts",
        report.files,
        report.seconds,
        report.executable,
        report.denied.len(),
        count(|kind| matches!(kind, Kind::Script(_))),
        count(|kind| matches!(kind, Kind::Module(_))),
        count(|kind| *kind == Kind::Shared),
        count(|kind| *kind == Kind::Program),
        report.denied.iter().filter(|f| f.noexec).count(),
    )
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
        let left = |dir: &str, mode| left(Path::new(dir), mode).is_some();
        for dir in ["/x/cron.daily", "/x/update-motd.d", "/x/.git/hooks"] {
            assert!(left(dir, 0o644), "{dir}");
        }
        for dir in ["/x/lib", "/x/profile.d", "/"] {
            assert!(!left(dir, 0o644), "{dir}");
            assert!(left(dir, 0o4644) && left(dir, 0o2644), "{dir}");
        }
    }

    #[test]
    fn a_mode_that_stays_is_noticed() {
        assert_eq!(kept(0o755, 0o755), Ok(()));
        assert_eq!(kept(0o644, 0o755), Err(UNCHANGED));
    }

    #[test]
    fn only_the_file_that_was_found_is_changed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dirs = [dir.path().to_owned()];
        let sub = dir.path().join("sub");
        fs::create_dir(&sub).unwrap();
        let path = sub.join("x.py");
        let finding = found(&path);
        let safe = outside.path().join("x.py");
        put(&safe);

        fs::rename(&sub, dir.path().join("moved")).unwrap();
        symlink(outside.path(), &sub).unwrap();
        assert!(apply(&finding, &dirs).is_err(), "a directory became a link");
        fs::remove_file(&sub).unwrap();
        fs::rename(dir.path().join("moved"), &sub).unwrap();

        // The same file, by a way out of the tree.
        fs::rename(&path, outside.path().join("y.py")).unwrap();
        symlink(outside.path().join("y.py"), &path).unwrap();
        assert!(apply(&finding, &dirs).is_err(), "the file became a link");
        assert_eq!(mode(&path), 0o644);
        put(&outside.path().join("other"));
        fs::rename(outside.path().join("other"), &path).unwrap();
        assert_eq!(apply(&finding, &dirs), Err(Errno::STALE), "another file");
        assert_eq!(mode(&path), 0o644);
        fs::rename(outside.path().join("y.py"), &path).unwrap();

        set_mode(&path, 0o600);
        assert_eq!(apply(&finding, &dirs), Err(Errno::STALE), "another mode");
        assert_eq!(mode(&path), 0o600);
        set_mode(&path, 0o644);
        assert_eq!(apply(&finding, &dirs), Ok(()));
        assert_eq!(mode(&path), 0o755);
        assert_eq!(apply(&finding, &dirs), Ok(()), "nothing is left to do");
        assert_eq!(mode(&safe), 0o644);
    }
}
