// SPDX-License-Identifier: GPL-2.0

//! Child processes: logged, limited in time, and never left behind.
//!
//! Each child leads a process group of its own, so that ending it also ends what
//! it started (make's compilers, qemu). A SIGINT or SIGTERM to this program ends
//! every group that is alive before the program itself exits.

use fs_err::{self as fs, File, OpenOptions};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static ENDING: AtomicBool = AtomicBool::new(false);

/// How many lines of a log an error message repeats.
pub(crate) const TAIL: usize = 20;

/// Installs the handler that ends all children on SIGINT, SIGTERM and SIGHUP.
pub(crate) fn install_signal_handler() -> Result<()> {
    ctrlc::set_handler(|| {
        ENDING.store(true, Ordering::SeqCst);
        let groups: Vec<i32> = live().iter().copied().collect();
        end_groups(&groups, || live().is_empty());
        eprintln!("\nlab: interrupted; run the same command again to go on from here");
        std::process::exit(130);
    })
    .context("cannot install the signal handler")
}

fn live() -> std::sync::MutexGuard<'static, BTreeSet<i32>> {
    LIVE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn signal_group(group: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(group) {
        // The group may be gone already, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// SIGTERM, then SIGKILL: make removes its half-written targets on the first, and gets the time.
fn end_groups(groups: &[i32], mut ended: impl FnMut() -> bool) {
    for &group in groups {
        signal_group(group, Signal::TERM);
    }
    let patience = Instant::now() + Duration::from_secs(3);
    while !ended() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    for &group in groups {
        signal_group(group, Signal::KILL);
    }
}

/// A child in a process group of its own, ended when dropped.
pub(crate) struct Child {
    inner: std::process::Child,
    group: i32,
    reaped: bool,
}

impl Child {
    /// Starts `cmd`; the group is known to the signal handler before it runs on.
    pub(crate) fn spawn(cmd: &mut Command) -> Result<Self> {
        let mut live = live();
        if ENDING.load(Ordering::SeqCst) {
            bail!("interrupted");
        }
        let name = cmd.get_program().to_string_lossy().into_owned();
        let inner = cmd.process_group(0).spawn();
        let advice = "is it installed? scripts/setup.sh installs what is missing";
        let inner = inner.with_context(|| format!("cannot start `{name}`: {advice}"))?;
        let group = i32::try_from(inner.id()).context("process id out of range")?;
        live.insert(group);
        Ok(Self {
            inner,
            group,
            reaped: false,
        })
    }

    /// Starts `cmd` for a dialogue: the child, its standard input, its standard output.
    pub(crate) fn talk(cmd: &mut Command) -> Result<(Self, ChildStdin, ChildStdout)> {
        let mut child = Self::spawn(cmd.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let pipes = child.inner.stdin.take().zip(child.inner.stdout.take());
        let (input, output) = pipes.context("no pipes")?;
        Ok((child, input, output))
    }

    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.inner.try_wait()?;
        if status.is_some() {
            self.forget();
        }
        Ok(status)
    }

    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.inner.wait()?;
        self.forget();
        Ok(status)
    }

    /// Ends the whole group.
    pub(crate) fn end(&mut self) {
        if !self.reaped {
            end_groups(&[self.group], || matches!(self.try_wait(), Ok(Some(_))));
            let _ = self.wait();
        }
    }

    fn forget(&mut self) {
        self.reaped = true;
        live().remove(&self.group);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// The command as one would type it, for messages and logs.
pub(crate) fn render(cmd: &Command) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+~^".contains(c);
    let words = [cmd.get_program()].into_iter().chain(cmd.get_args());
    let words = words.map(|word| match word.to_string_lossy() {
        word if !word.is_empty() && word.chars().all(plain) => word.into_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    });
    Vec::from_iter(words).join(" ")
}

/// Runs `cmd` without input; its standard output, or an error with what it said.
pub(crate) fn capture(cmd: &mut Command) -> Result<String> {
    let (status, out, err) = output(cmd)?;
    if !status.success() {
        let (cmd, said) = (render(cmd), tail(&format!("{out}{err}"), TAIL));
        bail!("`{cmd}` failed ({status}):\n{said}");
    }
    Ok(out)
}

/// Runs `cmd` without input; its status, standard output and standard error.
pub(crate) fn output(cmd: &mut Command) -> Result<(ExitStatus, String, String)> {
    cmd.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Child::spawn(cmd.stderr(Stdio::piped()))?;
    let err_pipe = child.inner.stderr.take();
    let reader = std::thread::spawn(move || read_lossy(err_pipe));
    let out = read_lossy(child.inner.stdout.take());
    let status = child.wait()?;
    let err = reader.join().unwrap_or_default();
    Ok((status, out, err))
}

fn read_lossy(pipe: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // A child that dies mid-write still leaves what it had said.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a command whose output goes to the end of a log file, and hands each line of output to
/// `ends`; from time to time none. The command is ended when `ends` returns true.
///
/// Returns the output and, if the command ended by itself, the exit status.
pub(crate) fn watched(
    log: &Path,
    cmd: &mut Command,
    mut ends: impl FnMut(Option<&str>) -> bool,
) -> Result<(Option<ExitStatus>, String)> {
    let mut file = OpenOptions::new().create(true).append(true).open(log)?;
    writeln!(file, "$ {}", render(cmd))?;

    let (reader, writer) = std::io::pipe()?;
    cmd.stdin(Stdio::null()).stdout(writer.try_clone()?);
    let mut child = Child::spawn(cmd.stderr(writer))?;
    // The command keeps its copies of the pipe: give them up, or no EOF comes.
    cmd.stdout(Stdio::null()).stderr(Stdio::null());

    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || pump(reader, file, &send));
    let mut ended = None;
    let mut text = String::new();
    loop {
        let line = match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                text += &line;
                text.push('\n');
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        if ends(line.as_deref()) {
            child.end();
            return Ok((None, text));
        }
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        // A daemon that inherited the pipe must not keep a finished step open.
        if ended.is_some_and(|(_, at)| at.elapsed() > Duration::from_secs(5)) {
            break;
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait()?,
    };
    Ok((Some(status), text))
}

/// As [`watched`], for so many seconds at most; running out of time is an error.
pub(crate) fn logged(
    what: &str,
    log: &Path,
    seconds: u64,
    cmd: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<(ExitStatus, String)> {
    let started = Instant::now();
    let (status, text) = watched(log, cmd, |line| {
        on_line(line.unwrap_or_default());
        started.elapsed() > Duration::from_secs(seconds)
    })?;
    let status = status.with_context(|| {
        let (log, tail) = (log.display(), tail(&text, TAIL));
        format!("{what}: no end after {seconds} s, stopped\n  log: {log}\n{tail}")
    })?;
    Ok((status, text))
}

/// The limit of a command that nobody has to stop, in seconds.
pub(crate) const DAY: u64 = 86_400;

/// As [`logged`], but an exit status other than 0 is an error that shows the end of the log.
pub(crate) fn run(
    what: &str,
    log: &Path,
    cmd: &mut Command,
    on_line: impl FnMut(&str),
) -> Result<String> {
    let (status, text) = logged(what, log, DAY, cmd, on_line)?;
    succeeded(what, log, status)?;
    Ok(text)
}

/// An error, with the end of the log, if a command has failed.
pub(crate) fn succeeded(what: &str, log: &Path, status: ExitStatus) -> Result<()> {
    if !status.success() {
        let (shown, tail) = (log.display(), file_tail(log, TAIL));
        bail!("{what} failed ({status})\n  log: {shown}\n{tail}");
    }
    Ok(())
}

fn pump(reader: std::io::PipeReader, mut log: File, send: &mpsc::Sender<String>) {
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        // A full disk shows in the step's own failure; the child must not block.
        let _ = log.write_all(&[&line[..], b"\n"].concat());
        let _ = send.send(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// How many lines of errors are shown from before the last lines.
const ERRORS: usize = 5;

/// The last `count` lines of `text`, indented, after the first ones before them that
/// speak of an error: what runs beside a failing command prints on.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(count));
    let error = |line: &&&str| {
        line.starts_with("error") || line.contains(" error: ") || line.contains("No space left")
    };
    let errors = before.iter().filter(error).take(ERRORS);
    let shown = errors.chain(last).map(|line| format!("  | {line}"));
    Vec::from_iter(shown).join("\n")
}

/// The last `count` lines of a file, indented; empty when it cannot be read.
pub(crate) fn file_tail(path: &Path, count: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    tail(&String::from_utf8_lossy(&bytes), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_begins_with_earlier_errors() {
        let text = "a\nerror: linking failed\nb\nx.c:1:2: error: no\nc\nd\n";
        let right = "  | error: linking failed\n  | x.c:1:2: error: no\n  | c\n  | d";
        assert_eq!(tail(text, 2), right);
        assert_eq!(tail("a\nerror: here\n", 2), "  | a\n  | error: here");
    }

    #[test]
    fn renders_what_a_shell_would_take() {
        let mut cmd = Command::new("git");
        cmd.args(["commit", "-m", "it's done", ""]);
        assert_eq!(render(&cmd), r"git commit -m 'it'\''s done' ''");
    }

    #[test]
    fn capture_reports_what_a_failing_command_said() {
        let error = |cmd: &mut Command| capture(cmd).unwrap_err().to_string();
        let said = error(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        for part in ["  | out", "  | err", "3"] {
            assert!(said.contains(part), "{said}");
        }
        let missing = error(&mut Command::new("no-such-program-here"));
        assert!(missing.contains("scripts/setup.sh"), "{missing}");
    }

    #[test]
    fn a_step_over_its_limit_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let started = Instant::now();
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo begun; sleep 60 & wait"]);
        let error = logged("sleeper", &log, 1, &mut sh, |_| {}).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10));
        let text = error.to_string();
        assert!(text.contains("sleeper") && text.contains("begun"), "{text}");
    }

    #[test]
    fn lines_reach_the_callback_and_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut seen = Vec::new();
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo a; echo b >&2"]);
        let text = run("echo", &log, &mut sh, |line| seen.push(line.to_owned()));
        assert_eq!(text.unwrap(), "a\nb\n");
        seen.retain(|line| !line.is_empty());
        assert_eq!(seen, ["a", "b"]);
        assert!(fs::read_to_string(log).unwrap().ends_with("a\nb\n"));
    }
}
