//! `mayexec watch`: the tracepoint `open_mayexec` as it fires.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use serde::Serialize;

use crate::FINE;
use crate::show;
use crate::status::policy_name;

/// The tracepoint, below `events`.
pub(crate) const EVENT: &str = "mayexec/open_mayexec";

/// What to watch.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
    /// Show what would be allowed too
    #[arg(long)]
    all: bool,
    /// End after this many opens
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// An open on which the policy has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    program: String,
    pid: u32,
    dev: String,
    ino: u64,
    /// The policy in force.
    policy: u32,
    /// The decision, 0 or a negative errno.
    ret: i32,
    /// The decision that policy 3 would have led to.
    strict: i32,
    reason: String,
    name: String,
}

impl Event {
    /// Reads a line of trace_pipe.
    fn parse(line: &str) -> Option<Self> {
        // A program's name has 15 bytes, too few for this mark and what comes before it.
        let (head, fields) = line.split_once(": open_mayexec: ")?;
        let (task, _) = head.split_once(" [")?;
        let (program, pid) = task.trim().rsplit_once('-')?;
        let mut rest = fields;
        let mut field = |key: &str| -> Option<&str> {
            let (value, after) = rest.strip_prefix(key)?.split_once(' ')?;
            rest = after;
            Some(value)
        };
        Some(Self {
            program: program.to_owned(),
            pid: pid.parse().ok()?,
            dev: field("dev=")?.to_owned(),
            ino: field("ino=")?.parse().ok()?,
            policy: field("policy=")?.parse().ok()?,
            ret: field("ret=")?.parse().ok()?,
            strict: field("strict=")?.parse().ok()?,
            reason: field("reason=")?.to_owned(),
            name: rest.strip_prefix("name=")?.to_owned(),
        })
    }

    /// Names an unnamed program, if `program` still finds out what its process is called.
    fn name_program(&mut self, program: impl FnOnce(u32) -> Option<String>) {
        if self.program == UNNAMED
            && let Some(name) = program(self.pid)
        {
            self.program = name;
        }
    }

    fn why(&self) -> &str {
        match self.reason.as_str() {
            "type" => "not a regular file",
            "mount" => "on a noexec mount",
            "file" => "no execute permission",
            "none" => "nothing",
            other => other,
        }
    }
}

/// What the kernel prints for a process that has not been off its CPU since the open.
const UNNAMED: &str = "<...>";

/// The name of a process that was unnamed when its line was read: as the kernel has
/// noted it since, or as the process has it now.
fn program(tracefs: &Path, pid: u32) -> Option<String> {
    let noted = fs::read_to_string(tracefs.join("saved_cmdlines")).unwrap_or_default();
    if let Some(name) = noted_name(&noted, pid) {
        return Some(name.to_owned());
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// The name of `pid` in saved_cmdlines, which has lines like "694 python3".
fn noted_name(noted: &str, pid: u32) -> Option<&str> {
    noted
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(of, name)| of.parse() == Ok(pid) && *name != UNNAMED)
        .map(|(_, name)| name)
}

/// Where tracefs is mounted.
pub(crate) fn tracefs() -> Option<PathBuf> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .map(PathBuf::from)
        .find(|dir| dir.join("instances").is_dir())
}

/// A tracing instance of our own, so that nobody else's tracing is touched; it goes away
/// with this value.
struct Instance {
    dir: PathBuf,
}

impl Instance {
    fn new(tracefs: &Path) -> Result<Self> {
        let dir = tracefs
            .join("instances")
            .join(format!("mayexec-watch-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir })
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.dir.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write to {}", path.display()))
    }

    /// Turns the tracepoint on and opens the stream of what it says.
    fn start(&self, all: bool) -> Result<File> {
        let event = |file: &str| format!("events/{EVENT}/{file}");
        if !all {
            self.write(&event("filter"), "strict != 0 || ret != 0")?;
        }
        self.write(&event("enable"), "1")?;
        let path = self.dir.join("trace_pipe");
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.write(&format!("events/{EVENT}/enable"), "0");
        if let Err(error) = fs::remove_dir(&self.dir) {
            let _ = writeln!(
                std::io::stderr(),
                "mayexec: cannot remove {}: {error}",
                self.dir.display()
            );
        }
    }
}

/// Shows events until interrupted, then a summary.
pub(crate) fn watch(options: &Options) -> Result<u8> {
    let tracefs = tracefs().context(
        "tracefs is not there or not readable: be root, and mount -t tracefs tracefs \
         /sys/kernel/tracing",
    )?;
    if !tracefs.join("events").join(EVENT).is_dir() {
        bail!("this kernel does not have the tracepoint mayexec:open_mayexec");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    ctrlc::set_handler(move || stopping.store(true, Ordering::Relaxed))
        .context("cannot handle signals")?;
    let instance = Instance::new(&tracefs)?;
    let mut pipe = instance.start(options.all)?;
    let _ = writeln!(std::io::stderr(), "watching, Ctrl-C ends it");
    let mut tally = Tally::default();
    let outcome = follow(&mut pipe, &tracefs, &stop, options, &mut tally);
    // The instance cannot be removed while this is open.
    drop(pipe);
    drop(instance);
    outcome?;
    if !options.json {
        tally.print(&mut std::io::stdout().lock())?;
    }
    Ok(FINE)
}

/// How often a program has opened a file that would be denied, and why it would.
#[derive(Debug, Default)]
struct Tally {
    seen: BTreeMap<(String, String, String), u64>,
    unread: u64,
}

impl Tally {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "\ntimes  program           file")?;
        for ((program, file, why), times) in &self.seen {
            writeln!(
                out,
                "{times:>5}  {:<16}  {}: {why}",
                show::name(program),
                show::name(file)
            )?;
        }
        if self.unread > 0 {
            writeln!(out, "{} lines were not understood", self.unread)?;
        }
        Ok(())
    }
}

fn follow(
    pipe: &mut File,
    tracefs: &Path,
    stop: &AtomicBool,
    options: &Options,
    tally: &mut Tally,
) -> Result<()> {
    let mut partial = Vec::new();
    let mut chunk = [0; 4096];
    let mut count = 0;
    loop {
        // What came before the interruption is still to be read.
        let last = stop.load(Ordering::Relaxed);
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: if last { 0 } else { 200_000_000 },
        };
        let mut fds = [PollFd::new(&*pipe, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
        match pipe.read(&mut chunk) {
            Ok(length) => partial.extend_from_slice(&chunk[..length]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                if last {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error).context("cannot read the trace"),
        }
        while let Some(end) = partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = partial.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            let Some(mut event) = Event::parse(&line) else {
                tally.unread += 1;
                continue;
            };
            event.name_program(|pid| program(tracefs, pid));
            print(&event, options.json)?;
            let file = format!("{} (dev {}, inode {})", event.name, event.dev, event.ino);
            let key = (event.program.clone(), file, event.why().to_owned());
            *tally.seen.entry(key).or_default() += 1;
            count += 1;
            if options.count.is_some_and(|wanted| count >= wanted) {
                return Ok(());
            }
        }
    }
}

fn print(event: &Event, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(event)?)?;
    } else {
        let verdict = match (event.ret, event.strict) {
            (0, 0) => "allowed",
            (0, _) => "would be denied",
            _ => "denied",
        };
        writeln!(
            out,
            "{verdict}: {}[{}] opened {} (dev {}, inode {}): {} (policy {})",
            show::name(&event.program),
            event.pid,
            show::name(&event.name),
            event.dev,
            event.ino,
            event.why(),
            policy_name(event.policy)
        )?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "         my prog-1-694     [000] .....    15.915303: open_mayexec: dev=0:28 \
                    ino=2 policy=1 ret=0 strict=-13 reason=mount name=a b name=c";
        let event = Event::parse(line).unwrap();
        assert_eq!(event.program, "my prog-1");
        assert_eq!((event.pid, event.ino), (694, 2));
        assert_eq!((event.policy, event.ret, event.strict), (1, 0, -13));
        assert_eq!(
            (event.dev.as_str(), event.name.as_str()),
            ("0:28", "a b name=c")
        );
        assert_eq!(event.why(), "on a noexec mount");
    }

    #[test]
    fn a_process_is_named_as_the_kernel_or_itself_says() {
        let noted = "694 my prog\n7 <...>\n";
        assert_eq!(noted_name(noted, 694), Some("my prog"));
        assert_eq!(noted_name(noted, 7), None);
        assert_eq!(noted_name(noted, 69), None);
        let own = program(Path::new("/nonexistent"), std::process::id()).unwrap();
        assert!(!own.is_empty() && !own.contains('\n'), "{own:?}");
        assert_eq!(program(Path::new("/nonexistent"), u32::MAX), None);
    }

    #[test]
    fn only_the_unnamed_are_named() {
        let line = "<...>-694 [000] 1.0: open_mayexec: dev=0:28 ino=2 policy=1 ret=0 strict=0 \
                    reason=none name=a";
        let named = |line: &str, name: Option<&str>| {
            let mut event = Event::parse(line).unwrap();
            event.name_program(|pid| {
                assert_eq!(pid, 694);
                name.map(str::to_owned)
            });
            event.program
        };
        assert_eq!(named(line, Some("sh")), "sh");
        assert_eq!(named(line, None), UNNAMED);
        assert_eq!(named(&line.replace(UNNAMED, "cron"), Some("sh")), "cron");
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "CPU:0 [LOST 3 EVENTS]",
            "x-1 [000] 1.0: open_mayexec: dev=0:1 ino=x",
        ] {
            assert_eq!(Event::parse(line), None, "{line}");
        }
    }
}
