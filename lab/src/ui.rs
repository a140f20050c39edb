// SPDX-License-Identifier: GPL-2.0

//! What the user sees while a long step runs.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::ctx::Ctx;
use crate::proc::{self, DAY};

/// Whether a step is shown: what runs beside it or in it shows nothing.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// One named step with its elapsed time and its log.
///
/// On a terminal, a line moves while the step runs; elsewhere (CI, a pipe), a line comes every 30
/// seconds. One more comes when the step begins, and one when it ends.
pub(crate) struct Stage {
    name: String,
    log: PathBuf,
    started: Instant,
    shown: Cell<bool>,
    terminal: bool,
    spoke: Cell<Instant>,
    last: RefCell<String>,
}

impl Stage {
    pub(crate) fn begin(name: &str, log: Option<&Path>) -> Self {
        let stage = Self {
            shown: Cell::new(false),
            name: name.to_owned(),
            log: log.map_or_else(PathBuf::new, Path::to_owned),
            started: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            spoke: Cell::new(Instant::now()),
            last: RefCell::default(),
        };
        match log {
            _ if !stage.shows() => {}
            Some(log) => eprintln!("{name} (log: {})", log.display()),
            None => eprintln!("{name}"),
        }
        stage
    }

    /// Whether this step is the one that is shown; it becomes so when no other is.
    fn shows(&self) -> bool {
        if !self.shown.get() {
            self.shown.set(!SHOWN.swap(true, Ordering::SeqCst));
        }
        self.shown.get()
    }

    /// Shows a message, or the last one again if this is none.
    pub(crate) fn at(&self, message: &str) {
        if !message.is_empty() {
            message.clone_into(&mut self.last.borrow_mut());
        }
        let pause = match self.terminal {
            true => Duration::from_millis(200),
            false => Duration::from_secs(30),
        };
        if !self.shows() || self.spoke.get().elapsed() < pause {
            return;
        }
        self.spoke.set(Instant::now());
        let time = clock(self.started.elapsed());
        let line = format!("  {time} {}: {}", self.name, self.last.borrow());
        self.clear();
        match self.terminal {
            // A longer line would leave its beginning behind.
            true => eprint!("{line:.78}"),
            false => eprintln!("{line:.100}"),
        }
    }

    /// Removes the moving line, before something else is printed.
    pub(crate) fn clear(&self) {
        if self.shown.get() && self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    /// Runs a command of the step, whose output goes to the step's log; what it printed.
    pub(crate) fn run(&self, what: &str, cmd: &mut Command) -> Result<String> {
        proc::run(what, &self.log, cmd, |line| self.at(line))
    }

    /// As [`Stage::run`], of a command that may fail.
    pub(crate) fn attempt(&self, what: &str, cmd: &mut Command) -> Result<(ExitStatus, String)> {
        proc::logged(what, &self.log, DAY, cmd, |line| self.at(line))
    }

    /// Ends the step with a note on what came of it.
    pub(crate) fn done(self, note: &str) {
        self.clear();
        if self.shown.get() {
            let sep = if note.is_empty() { "" } else { ": " };
            let time = clock(self.started.elapsed());
            eprintln!("  {time} {}{sep}{note}", self.name);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear();
        if self.shown.get() {
            SHOWN.store(false, Ordering::SeqCst);
        }
    }
}

/// Runs a command as a step of its own, for so many seconds at most.
pub(crate) fn step(name: &str, log: &Path, seconds: u64, cmd: &mut Command) -> Result<()> {
    let (status, _) = attempt(name, log, seconds, cmd)?;
    proc::succeeded(name, log, status)
}

/// As [`step`], of a command that may fail: how it ended, and what it said. The last line that it
/// said is what the user sees.
pub(crate) fn attempt(
    name: &str,
    log: &Path,
    seconds: u64,
    cmd: &mut Command,
) -> Result<(ExitStatus, String)> {
    let stage = Stage::begin(name, Some(log));
    let ended = proc::logged(name, log, seconds, cmd, |line| stage.at(line))?;
    let last = stage.last.take();
    stage.done(&format!("{last:.100}"));
    Ok(ended)
}

/// A directory that scripts/fetch.sh makes of `what`, unless it is there.
pub(crate) fn fetched(ctx: &Ctx, what: &[&str], dir: &Path) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let name = format!("fetch {}", what.join(" "));
    let log = ctx.fresh_log(&name)?;
    let mut fetch = Command::new(ctx.root.join("scripts/fetch.sh"));
    step(&name, &log, 7200, fetch.args(what).arg(dir))
}

/// `m:ss`.
pub(crate) fn clock(time: Duration) -> String {
    let secs = time.as_secs();
    format!("{}:{:02}", secs / 60, secs % 60)
}
