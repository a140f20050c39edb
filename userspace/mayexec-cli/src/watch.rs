// SPDX-License-Identifier: GPL-2.0

//! `mayexec watch`: the tracepoint `open_mayexec` as it fires.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use mayexec::{LOG_ONLY, Policy};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use serde::Serialize;

use crate::show;
use crate::tracefs::{self, EVENT};
use crate::{FINE, TROUBLE};

/// What to watch.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
    /// Show what is allowed too
    #[arg(long)]
    all: bool,
    /// End after this many opens
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// An open on which the policy has decided.
///
/// The program's name and the file's are chosen by whoever opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    program: String,
    pid: u32,
    dev: String,
    ino: u64,
    mode: String,
    /// The checks that were in force, of [`CHECKS`].
    checks: Vec<&'static str>,
    /// Those that refuse the file, of [`DENIALS`].
    denied: Vec<&'static str>,
    /// 0, or the error of the first denial.
    ret: i32,
    /// Whether the kernel applied the policy; otherwise it only logged.
    enforced: bool,
    name: String,
}

/// The checks of a policy, by their names in the trace.
const CHECKS: [&str; 2] = ["MOUNT", "FILE"];

/// What can refuse a file.
const DENIALS: [&str; 3] = ["TYPE", "MOUNT", "FILE"];

/// Reads a set such as `MOUNT|FILE`; the empty one is nothing at all.
fn set(text: &str, of: &[&'static str]) -> Option<Vec<&'static str>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split('|')
        .map(|word| of.iter().copied().find(|name| *name == word))
        .collect()
}

/// What a program's name is padded to in a line of trace_pipe.
const PROGRAM_WIDTH: usize = 16;

impl Event {
    /// Reads a line of trace_pipe, in which only the program's name and the file's may hold
    /// line breaks.
    fn parse(line: &[u8]) -> Option<Self> {
        const MARK: &[u8] = b": open_mayexec: ";
        // A program's name has 15 bytes, too few for this mark and what comes before it.
        let mark = line.windows(MARK.len()).position(|found| found == MARK)?;
        let (head, fields) = (&line[..mark], &line[mark + MARK.len()..]);
        // From the right: what follows the name cannot look like this.
        let cpu = head.windows(2).rposition(|found| found == b" [")?;
        if !head[cpu + 2..].first()?.is_ascii_digit() {
            return None;
        }
        let mut task = head[..cpu].trim_ascii_end();
        if task.ends_with(b")") {
            // The thread group, if somebody has asked for record-tgid.
            let group = task.iter().rposition(|&byte| byte == b'(')?;
            task = task[..group].trim_ascii_end();
        }
        let dash = task.iter().rposition(|&byte| byte == b'-')?;
        let (program, pid) = (&task[..dash], &task[dash + 1..]);
        if program.contains(&b'\n') && dash != PROGRAM_WIDTH {
            return None;
        }
        let program = String::from_utf8_lossy(program);
        let fields = String::from_utf8_lossy(fields);
        let mut rest = fields.as_ref();
        let mut field = |key: &str| -> Option<&str> {
            let (value, after) = rest.strip_prefix(key)?.split_once(' ')?;
            rest = after;
            Some(value)
        };
        // A line break in a file's name can bring anything here.
        let is_dev = |dev: &&str| {
            dev.split_once(':').is_some_and(|(major, minor)| {
                major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok()
            })
        };
        let is_octal =
            |mode: &&str| !mode.is_empty() && mode.bytes().all(|c| matches!(c, b'0'..=b'7'));
        Some(Self {
            program: program.trim_start_matches(' ').to_owned(),
            pid: std::str::from_utf8(pid).ok()?.parse().ok()?,
            dev: field("dev=").filter(is_dev)?.to_owned(),
            ino: field("ino=")?.parse().ok()?,
            mode: field("mode=").filter(is_octal)?.to_owned(),
            checks: set(field("checks=")?, &CHECKS)?,
            denied: set(field("denied=")?, &DENIALS)?,
            ret: field("ret=")?.parse().ok()?,
            enforced: match field("enforced=")? {
                "0" => false,
                "1" => true,
                _ => return None,
            },
            name: rest.strip_prefix("name=")?.to_owned(),
        })
    }

    /// Names an unnamed program, if `program` still finds out what its process is called.
    fn name_program(&mut self, program: impl FnOnce(u32) -> Option<String>) {
        if self.program == UNNAMED {
            if let Some(name) = program(self.pid) {
                self.program = name;
            }
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.denied.is_empty(), self.enforced) {
            (true, _) => "allowed",
            (false, true) => "denied",
            (false, false) => "would be denied",
        }
    }

    /// All that speaks against the file.
    fn why(&self) -> String {
        let reasons: Vec<&str> = self
            .denied
            .iter()
            .map(|denial| match *denial {
                "TYPE" => "not a regular file",
                "MOUNT" => "on a noexec mount",
                _ => "no execute permission",
            })
            .collect();
        if reasons.is_empty() {
            "no check refuses it".to_owned()
        } else {
            reasons.join(", ")
        }
    }
}

/// A piece of trace_pipe.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Event(Event),
    /// The kernel had no room for at least this many events.
    Lost(u64),
    /// A line that is not understood.
    Unread(String),
}

impl Piece {
    /// Takes the first piece off what was read, if it is there as a whole.
    fn take(read: &mut Vec<u8>) -> Option<Self> {
        let end = |from: usize| {
            let found = read.get(from..)?.iter().position(|&byte| byte == b'\n')?;
            Some(from + found)
        };
        let first = end(0)?;
        // A line break before this is in the program's name, or ends the line.
        let whole = match end(PROGRAM_WIDTH) {
            None if first < PROGRAM_WIDTH && read[0] == b' ' => return None,
            end => end.unwrap_or(first),
        };
        if let Some(event) = Event::parse(&read[..whole]) {
            read.drain(..=whole);
            return Some(Self::Event(event));
        }
        let line: Vec<u8> = read.drain(..=first).collect();
        let line = String::from_utf8_lossy(&line[..first]);
        Some(match lost(&line) {
            Some(events) => Self::Lost(events),
            None => Self::Unread(line.into_owned()),
        })
    }
}

/// How many events are gone, by a line such as `CPU:0 [LOST 3 EVENTS]`, in which the number
/// may be missing.
fn lost(line: &str) -> Option<u64> {
    let (cpu, what) = line.strip_prefix("CPU:")?.split_once(" [LOST ")?;
    cpu.parse::<u32>().ok()?;
    match what.strip_suffix("EVENTS]")? {
        "" => Some(1),
        events => events.strip_suffix(' ')?.parse().ok(),
    }
}

/// What of the trace was not shown.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Missed {
    /// At least this many opens are gone.
    lost: u64,
    /// So many lines were not understood.
    unread: u64,
    /// The first of them.
    line: Option<String>,
}

impl Missed {
    fn unread(&mut self, line: String) {
        self.unread = self.unread.saturating_add(1);
        self.line.get_or_insert(line);
    }

    fn is_nothing(&self) -> bool {
        self.lost == 0 && self.unread == 0
    }

    /// The sum, without a line.
    fn add(&mut self, more: &Self) {
        self.lost = self.lost.saturating_add(more.lost);
        self.unread = self.unread.saturating_add(more.unread);
    }
}

/// What the kernel prints for a process that has not been off its CPU since the open.
const UNNAMED: &str = "<...>";

/// The name of a process that was unnamed when its line was read: as the kernel has
/// noted it since, or as the process has it now.
fn program(tracefs: &Path, pid: u32) -> Option<String> {
    let noted = fs::read(tracefs.join("saved_cmdlines")).unwrap_or_default();
    if let Some(name) = noted_name(&String::from_utf8_lossy(&noted), pid) {
        return Some(name.to_owned());
    }
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The name of `pid` in saved_cmdlines, which has lines like "694 python3".
fn noted_name(noted: &str, pid: u32) -> Option<&str> {
    let mut names = noted
        .split('\n')
        .filter_map(|line| line.split_once(' '))
        .filter(|(of, name)| of.parse() == Ok(pid) && *name != UNNAMED);
    let (_, name) = names.next()?;
    // The kernel has one line for each. Another is in the name of a program.
    names.next().is_none().then_some(name)
}

/// Whether an instance records; "0" is written to it to end that.
const RECORDING: &str = "tracing_on";

/// A tracing instance of our own, so that nobody else's tracing is touched; it goes away
/// with this value.
struct Instance {
    dir: PathBuf,
}

impl Instance {
    fn path(tracefs: &Path) -> PathBuf {
        tracefs
            .join("instances")
            .join(format!("mayexec-watch-{}", std::process::id()))
    }

    fn new(dir: PathBuf) -> Result<Self> {
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
            self.write(&event("filter"), "denied != 0")?;
        }
        self.write(&event("enable"), "1")?;
        let path = self.dir.join("trace_pipe");
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
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
    let tracefs = tracefs::dir().context(
        "tracefs is not there or not readable: be root, and mount -t tracefs tracefs \
         /sys/kernel/tracing",
    )?;
    if !tracefs.join("events").join(EVENT).is_dir() {
        bail!("this kernel does not have the tracepoint mayexec:open_mayexec");
    }
    let dir = Instance::path(&tracefs);
    let stop = Arc::new(AtomicBool::new(false));
    let (stopping, recording) = (Arc::clone(&stop), dir.join(RECORDING));
    ctrlc::set_handler(move || {
        if stopping.swap(true, Ordering::Relaxed) {
            // The first did not help: nobody reads the output, as a rule. The instance
            // cannot be removed as long as this process has it open.
            let _ = fs::write(&recording, "0");
            exit(TROUBLE.into());
        }
    })
    .context("cannot handle signals")?;
    let instance = Instance::new(dir)?;
    let pipe = instance.start(options.all)?;
    let mut trace = Trace {
        pipe,
        instance,
        tracefs,
    };
    let mut err = std::io::stderr();
    if let Some(silence) = silence(Policy::read()) {
        let _ = writeln!(err, "mayexec: {silence}");
    }
    let _ = writeln!(err, "watching, Ctrl-C ends it");
    let mut view = View {
        json: options.json,
        out: std::io::stdout(),
        err: std::io::stderr(),
        tally: Tally::default(),
        missed: Missed::default(),
    };
    let outcome = follow(&mut trace, &stop, options.count, &mut view);
    drop(trace);
    outcome?;
    view.end()
}

/// Why there may be nothing to see.
fn silence(policy: Policy) -> Option<String> {
    let value = policy.system?;
    (value & !LOG_ONLY == 0).then(|| {
        format!(
            "fs.open_mayexec_enforce is {value}, so only opens under a securebit that counts \
             are reported; 7 (or 5) logs what 3 (or 1) would deny"
        )
    })
}

/// How long to wait for opens before looking whether to stop.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// How many bytes are read after the recording has ended, so that an end is certain.
const REST: usize = 16 << 20;

/// Where events come from.
trait Source {
    /// Reads what is there, without waiting.
    fn read(&mut self, chunk: &mut [u8]) -> std::io::Result<usize>;

    /// Waits for something to read; for a while if that would not wait.
    fn wait(&mut self, ready: bool) -> Result<()>;

    /// Ends the recording. What was recorded is still to be read.
    fn end(&mut self) -> Result<()>;

    /// The name of a process that has none in its event.
    fn program(&self, pid: u32) -> Option<String>;
}

/// The instance and its stream, which is closed before that is removed.
struct Trace {
    pipe: File,
    instance: Instance,
    tracefs: PathBuf,
}

impl Source for Trace {
    fn read(&mut self, chunk: &mut [u8]) -> std::io::Result<usize> {
        self.pipe.read(chunk)
    }

    fn wait(&mut self, ready: bool) -> Result<()> {
        let mut fds = [PollFd::new(&self.pipe, PollFlags::IN)];
        let fds = if ready { &mut [] } else { &mut fds[..] };
        match poll(fds, Some(&WAIT)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(std::io::Error::from(errno).into()),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.instance.write(RECORDING, "0")
    }

    fn program(&self, pid: u32) -> Option<String> {
        program(&self.tracefs, pid)
    }
}

/// Shows what comes until there are `count` events, or `stop` is set and the rest is read.
fn follow(
    source: &mut impl Source,
    stop: &AtomicBool,
    count: Option<u64>,
    view: &mut View<impl Write, impl Write>,
) -> Result<()> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    let mut seen = 0;
    let mut rest = None;
    while count.is_none_or(|wanted| seen < wanted) {
        if rest.is_none() && stop.load(Ordering::Relaxed) {
            source.end()?;
            rest = Some(REST);
        }
        let length = match source.read(&mut chunk) {
            Ok(0) if rest.is_none() => {
                source.wait(true)?;
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && rest.is_none() => {
                source.wait(false)?;
                continue;
            }
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read the trace"),
        };
        read.extend_from_slice(&chunk[..length]);
        let mut missed = Missed::default();
        while count.is_none_or(|wanted| seen < wanted) {
            let Some(piece) = Piece::take(&mut read) else {
                break;
            };
            match piece {
                Piece::Event(mut event) => {
                    event.name_program(|pid| source.program(pid));
                    view.event(&event)?;
                    seen += 1;
                }
                Piece::Lost(events) => missed.lost = missed.lost.saturating_add(events),
                Piece::Unread(line) => missed.unread(line),
            }
        }
        // What has come since the interruption, up to the end or as much as is read of it.
        let left = rest.map(|rest: usize| rest.saturating_sub(length));
        let ends = left.is_some() && (length == 0 || left == Some(0));
        if ends && !read.is_empty() {
            missed.unread(String::from_utf8_lossy(&read).trim_end().to_owned());
        }
        if left == Some(0) {
            missed.lost = missed.lost.saturating_add(1);
        }
        view.missed(&missed)?;
        if ends {
            break;
        }
        rest = left;
    }
    Ok(())
}

/// How a trace is shown.
struct View<O, E> {
    json: bool,
    out: O,
    err: E,
    tally: Tally,
    /// All that was missed.
    missed: Missed,
}

impl<O: Write, E: Write> View<O, E> {
    fn event(&mut self, event: &Event) -> Result<()> {
        if self.json {
            writeln!(self.out, "{}", serde_json::to_string(event)?)?;
        } else {
            writeln!(
                self.out,
                "{}: {}[{}] opened {} (dev {}, inode {}, mode {}): {} (checks: {})",
                event.verdict(),
                show::name(&event.program),
                event.pid,
                show::name(&event.name),
                event.dev,
                event.ino,
                event.mode,
                event.why(),
                event.checks.join(", ")
            )?;
            self.tally.add(event);
        }
        self.out.flush()?;
        Ok(())
    }

    /// Says at once that the list has holes; once for all that is read at a time, as a file's
    /// name can have very many lines.
    fn missed(&mut self, missed: &Missed) -> Result<()> {
        if missed.is_nothing() {
            return Ok(());
        }
        self.missed.add(missed);
        if self.json {
            writeln!(self.out, "{}", serde_json::to_string(missed)?)?;
            self.out.flush()?;
            return Ok(());
        }
        if missed.lost > 0 {
            let _ = writeln!(
                self.err,
                "mayexec: at least {} opens are lost: they came faster than they were read",
                missed.lost
            );
        }
        if let Some(line) = &missed.line {
            let _ = writeln!(
                self.err,
                "mayexec: {} lines of the trace were not understood, the first: {}",
                missed.unread,
                show::name(line)
            );
        }
        Ok(())
    }

    /// The summary and the exit code.
    fn end(&mut self) -> Result<u8> {
        if !self.json {
            self.tally.print(&mut self.out)?;
            let Missed { lost, unread, .. } = self.missed;
            if lost > 0 {
                writeln!(self.out, "at least {lost} opens are lost")?;
            }
            if unread > 0 {
                writeln!(self.out, "{unread} lines were not understood")?;
            }
        }
        Ok(if self.missed.is_nothing() {
            FINE
        } else {
            TROUBLE
        })
    }
}

/// How often a program has opened a file, and what speaks against the file.
#[derive(Debug, Default)]
struct Tally {
    seen: BTreeMap<(String, String, String), u64>,
    /// Opens that are in none of these, as there were too many.
    others: u64,
}

impl Tally {
    /// Programs choose names and files, so there is no end to them.
    const MOST: usize = 10_000;

    fn add(&mut self, event: &Event) {
        let file = format!(
            "{} (dev {}, inode {})",
            show::name(&event.name),
            event.dev,
            event.ino
        );
        let key = (event.program.clone(), file, event.why());
        let full = self.seen.len() >= Self::MOST;
        match self.seen.get_mut(&key) {
            Some(times) => *times += 1,
            None if full => self.others += 1,
            None => {
                self.seen.insert(key, 1);
            }
        }
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "\ntimes  program           file")?;
        for ((program, file, why), times) in &self.seen {
            writeln!(
                out,
                "{times:>5}  {:<16}  {file}: {why}",
                show::name(program)
            )?;
        }
        if self.others > 0 {
            writeln!(
                out,
                "{:>5}  others, as only {} lines are kept",
                self.others,
                Self::MOST
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "dev=0:28 ino=2 mode=0100644 checks=MOUNT|FILE denied=MOUNT|FILE \
                          ret=-13 enforced=0";

    /// A line as the kernel prints it.
    fn line(program: &str, pid: u32, name: &str) -> String {
        format!(
            "{program:>16}-{pid:<7} [000] .....    15.915303: open_mayexec: {FIELDS} name={name}\n"
        )
    }

    fn parse(line: &str) -> Option<Event> {
        Event::parse(line.strip_suffix('\n').unwrap_or(line).as_bytes())
    }

    /// Of all pieces, who opened what, or what else it is.
    fn pieces(text: &str) -> Vec<String> {
        let mut read = text.as_bytes().to_vec();
        let mut pieces = Vec::new();
        while let Some(piece) = Piece::take(&mut read) {
            pieces.push(match piece {
                Piece::Event(event) => format!("{}[{}] {}", event.program, event.pid, event.name),
                Piece::Lost(events) => format!("lost {events}"),
                Piece::Unread(line) => format!("unread {line}"),
            });
        }
        assert_eq!(read, b"", "{pieces:?}");
        pieces
    }

    #[test]
    fn a_line_is_read() {
        let event = parse(&line("my prog-1", 694, "a b name=c")).unwrap();
        assert_eq!(event.program, "my prog-1");
        assert_eq!((event.pid, event.ino), (694, 2));
        assert_eq!((event.mode.as_str(), event.ret), ("0100644", -13));
        assert_eq!(event.checks, ["MOUNT", "FILE"]);
        assert_eq!(event.denied, ["MOUNT", "FILE"]);
        assert_eq!(
            (event.dev.as_str(), event.name.as_str()),
            ("0:28", "a b name=c")
        );
        assert_eq!(event.why(), "on a noexec mount, no execute permission");
        assert_eq!(event.verdict(), "would be denied");
        let verdict = |from: &str, to: &str| {
            let event = parse(&line("sh", 1, "x").replace(from, to)).unwrap();
            (event.verdict(), event.why())
        };
        assert_eq!(
            verdict(
                "denied=MOUNT|FILE ret=-13 enforced=0",
                "denied=TYPE ret=-13 enforced=1"
            ),
            ("denied", "not a regular file".to_owned())
        );
        assert_eq!(
            verdict("denied=MOUNT|FILE ret=-13", "denied= ret=0"),
            ("allowed", "no check refuses it".to_owned())
        );
    }

    #[test]
    fn a_watch_that_will_see_little_says_so() {
        let said = |system| {
            let mut policy = Policy::default();
            policy.system = system;
            silence(policy).is_some()
        };
        let values: Vec<u32> = (0..8).filter(|&value| said(Some(value))).collect();
        assert_eq!(values, [0, 4]);
        assert!(!said(None));
    }

    #[test]
    fn a_program_is_called_what_it_likes() {
        for program in [
            "a [000] b",
            "x-1 [001] .",
            "sshd-1     [0",
            " [",
            "a\nb",
            "a\n",
            "\n\n",
            "x\n   y-7 [0",
            "a) (b",
            "-",
            ": open_mayexec",
            "\u{1b}[2J",
            "",
        ] {
            let text = line(program, 694, "x");
            let right = format!("{}[694] x", program.trim_start_matches(' '));
            assert_eq!(pieces(&text).join("|"), right, "{program:?}");
            assert_eq!(pieces(&text.repeat(2)), [&*right, &*right]);
            for group in ["(    690)", "(-------)"] {
                let text = text.replace("694     [000]", &format!("694     {group} [000]"));
                assert_eq!(pieces(&text).join("|"), right, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_in_between_is_said() {
        let (one, two) = (line("sh", 1, "x"), line("a\nb", 22, "y"));
        for rest in [
            "z",
            "",
            " z",
            "- [0] : open_mayexec: dev=0",
            "      -1 [0] 1: ",
        ] {
            let name = line("sh", 1, &format!("x\n{rest}"));
            let unread = format!("unread {rest}");
            let right = ["sh[1] x", &unread, "a\nb[22] y"];
            assert_eq!(pieces(&format!("{name}{two}")), right, "{rest:?}");
        }
        let text = format!("{one}CPU:1 [LOST 3 EVENTS]\n{two}CPU:0 [LOST EVENTS]\n{one}");
        assert_eq!(
            pieces(&text),
            ["sh[1] x", "lost 3", "a\nb[22] y", "lost 1", "sh[1] x"]
        );
        assert_eq!(pieces("[LINE TOO BIG]\n"), ["unread [LINE TOO BIG]"]);
        for (text, lines) in [(one, 0), (two, 0), ("a\nb".to_owned(), 1)] {
            let mut read = text.as_bytes()[..text.len() - 1].to_vec();
            assert_eq!(
                std::iter::from_fn(|| Piece::take(&mut read)).count(),
                lines,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_process_is_named_as_the_kernel_or_itself_says() {
        let noted = "694 my prog\n7 <...>\n8 x\n694\u{85} y\n";
        assert_eq!(noted_name(noted, 694), Some("my prog"));
        assert_eq!(noted_name(noted, 7), None);
        assert_eq!(noted_name(noted, 69), None);
        assert_eq!(noted_name("8 x\n694 sshd\n694 sh\n", 694), None);
        let own = program(Path::new("/nonexistent"), std::process::id()).unwrap();
        assert!(!own.is_empty() && !own.contains('\n'), "{own:?}");
        assert_eq!(program(Path::new("/nonexistent"), u32::MAX), None);
        let dir = tempfile::tempdir().unwrap();
        let noted = b"5 \xff\n4294967295 x\n";
        fs::write(dir.path().join("saved_cmdlines"), noted).unwrap();
        assert_eq!(program(dir.path(), u32::MAX), Some("x".to_owned()));
    }

    #[test]
    fn only_the_unnamed_are_named() {
        let named = |program: &str, name: Option<&str>| {
            let mut event = parse(&line(program, 694, "a")).unwrap();
            event.name_program(|pid| {
                assert_eq!(pid, 694);
                name.map(str::to_owned)
            });
            event.program
        };
        assert_eq!(named(UNNAMED, Some("sh")), "sh");
        assert_eq!(named(UNNAMED, None), UNNAMED);
        assert_eq!(named("cron", Some("sh")), "cron");
    }

    #[test]
    fn other_lines_are_not() {
        let good = line("x", 1, "y");
        for bad in [
            String::new(),
            "CPU:0 [LOST 3 EVENTS]".to_owned(),
            "x-1 [000] 1.0: open_mayexec: dev=0:1 ino=x".to_owned(),
            good.replace("0:28", "\u{1b}[2J"),
            good.replace("denied=MOUNT", "denied=\u{1b}[2J"),
            good.replace("checks=MOUNT", "checks=TYPE"),
            good.replace("mode=0100644", "mode=\u{1b}"),
            good.replace("mode=0100644", "mode="),
            good.replace("enforced=0", "enforced=2"),
            good.replace("[000]", "[no]"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        assert!(parse(&good).is_some());
    }

    /// A trace of lines that are all the same.
    #[derive(Default)]
    struct Lines {
        /// How many, before the end of the recording and after.
        left: [usize; 2],
        /// What there is before them.
        before: Vec<Vec<u8>>,
        /// Whether that there is nothing is said by an end of file.
        zero: bool,
        stop: Arc<AtomicBool>,
        /// What was waited for.
        waits: Vec<bool>,
        ended: usize,
    }

    impl Source for Lines {
        fn read(&mut self, chunk: &mut [u8]) -> std::io::Result<usize> {
            let text = if self.before.is_empty() {
                let left = &mut self.left[self.ended];
                if *left == 0 {
                    let nothing = ErrorKind::WouldBlock.into();
                    return if self.zero { Ok(0) } else { Err(nothing) };
                }
                *left -= 1;
                line("sh", 1, "x").into_bytes()
            } else {
                self.before.remove(0)
            };
            chunk[..text.len()].copy_from_slice(&text);
            Ok(text.len())
        }

        fn wait(&mut self, ready: bool) -> Result<()> {
            self.waits.push(ready);
            // Somebody interrupts it when it waits the third time.
            self.stop.store(self.waits.len() == 3, Ordering::Relaxed);
            Ok(())
        }

        fn end(&mut self) -> Result<()> {
            assert_eq!(self.ended, 0);
            self.ended = 1;
            Ok(())
        }

        fn program(&self, _: u32) -> Option<String> {
            None
        }
    }

    fn view(json: bool) -> View<Vec<u8>, Vec<u8>> {
        View {
            json,
            out: Vec::new(),
            err: Vec::new(),
            tally: Tally::default(),
            missed: Missed::default(),
        }
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_interruption_ends_the_recording_and_then_the_list() {
        for zero in [false, true] {
            let mut lines = Lines {
                left: [5, 2],
                zero,
                ..Lines::default()
            };
            let stop = Arc::clone(&lines.stop);
            let mut view = view(false);
            follow(&mut lines, &stop, None, &mut view).unwrap();
            assert_eq!(lines.waits, [zero; 3], "it waits, whatever says nothing");
            assert_eq!(text(&view.out).lines().count(), 7);
            assert_eq!(view.end().unwrap(), FINE);
            assert!(text(&view.out).contains("    7  sh  "), "{:?}", view.tally);
        }
    }

    #[test]
    fn an_interruption_is_heeded_while_there_is_more() {
        let mut lines = Lines {
            left: [usize::MAX, 2],
            stop: Arc::new(AtomicBool::new(true)),
            ..Lines::default()
        };
        let stop = Arc::clone(&lines.stop);
        let mut shown = view(true);
        follow(&mut lines, &stop, None, &mut shown).unwrap();
        assert_eq!(text(&shown.out).lines().count(), 2);

        // Somebody has turned the recording on again.
        let chunk = [vec![b'x'; 4095], vec![b'\n']].concat();
        let mut lines = Lines {
            before: vec![chunk; REST / 4096 + 1],
            stop: Arc::clone(&stop),
            ..Lines::default()
        };
        let mut shown = view(true);
        follow(&mut lines, &stop, None, &mut shown).unwrap();
        assert_eq!((lines.before.len(), shown.missed.lost), (1, 1));
        assert_eq!(shown.end().unwrap(), TROUBLE);
    }

    #[test]
    fn the_number_of_opens_is_kept_to() {
        let mut lines = Lines {
            before: vec![line("sh", 1, "x").repeat(3).into_bytes()],
            left: [usize::MAX, 0],
            ..Lines::default()
        };
        let stop = Arc::clone(&lines.stop);
        for count in [2, 4] {
            let mut view = view(false);
            follow(&mut lines, &stop, Some(count), &mut view).unwrap();
            assert_eq!(text(&view.out).lines().count() as u64, count);
            assert_eq!(view.end().unwrap(), FINE);
        }
    }

    #[test]
    fn what_is_missed_is_said_at_once() {
        let source = |stop: &Arc<AtomicBool>| Lines {
            before: vec![
                b"CPU:0 [LOST 3 EVENTS]\n\x1b[2J\nx\nCPU:0 [LOST EVENTS]\n".to_vec(),
                line("sh", 1, "x").into_bytes(),
                b"  end".to_vec(),
            ],
            stop: Arc::clone(stop),
            ..Lines::default()
        };
        let stop = Arc::new(AtomicBool::new(false));
        let mut shown = view(false);
        follow(&mut source(&stop), &stop, None, &mut shown).unwrap();
        let said: Vec<&str> = text(&shown.err).lines().collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("at least 4 opens are lost"), "{said:?}");
        assert!(
            said[1]
                .ends_with(r#"2 lines of the trace were not understood, the first: "\u{1b}[2J""#)
        );
        assert!(said[2].ends_with("1 lines of the trace were not understood, the first:   end"));
        assert_eq!(shown.end().unwrap(), TROUBLE);
        assert!(
            text(&shown.out).ends_with("at least 4 opens are lost\n3 lines were not understood\n")
        );

        let mut shown = view(true);
        stop.store(false, Ordering::Relaxed);
        follow(&mut source(&stop), &stop, None, &mut shown).unwrap();
        let said: Vec<&str> = text(&shown.out).lines().collect();
        assert_eq!(said[0], "{\"lost\":4,\"unread\":2,\"line\":\"\\u001b[2J\"}");
        assert!(said[1].contains("\"program\":\"sh\""), "{said:?}");
        assert_eq!(said[2..], ["{\"lost\":0,\"unread\":1,\"line\":\"  end\"}"]);
        assert_eq!(text(&shown.err), "");
        assert_eq!(shown.end().unwrap(), TROUBLE);
    }

    #[test]
    fn the_summary_has_an_end() {
        let mut kept = view(false);
        let mut event = parse(&line("sh", 1, "x")).unwrap();
        for number in 0..Tally::MOST as u64 + 3 {
            event.ino = number;
            kept.event(&event).unwrap();
        }
        event.ino = 0;
        kept.event(&event).unwrap();
        kept.out.clear();
        kept.end().unwrap();
        let said = text(&kept.out);
        assert!(said.contains("\n    2  sh                x (dev 0:28, inode 0): "));
        assert!(said.ends_with("    3  others, as only 10000 lines are kept\n"));

        let mut json = view(true);
        json.event(&event).unwrap();
        assert!(json.tally.seen.is_empty());
    }
}
