// SPDX-License-Identifier: GPL-2.0

//! The disk image of `make system IMAGE=1`: made, then started as its page says from each
//! kind of disk, with the page's lines typed at its console.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::ctx::Ctx;
use crate::proc::{self, Child};
use crate::report::Report;
use crate::results;
use crate::ui::Stage;

/// The page that says how to start the image and what to type there.
const PAGE: &str = "scripts/system/IMAGE.md";

/// The image, as the page's command names it.
const IMAGE: &str = "build/system/mayexec.qcow2";

/// What the page's command tries first.
const KVM: &str = " -accel kvm";

/// The row in docs/results.md.
pub(crate) const ROW: &str = "the image: the page's lines at its console";

/// What the page's payload prints.
const PAYLOAD: &str = "this is a payload";

/// How a shell's prompt ends that waits for root's next line.
const PROMPT: &str = "root@debian:~# ";

/// How long a start of the image may take, and a command there.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// Disks by the names of their interfaces, with qemu's options for the image.
const DISKS: [(&str, &[&str]); 4] = [
    ("IDE", &[IMAGE]),
    (
        "virtio",
        &["-drive", "file=build/system/mayexec.qcow2,if=virtio"],
    ),
    (
        "SATA",
        &[
            "-drive",
            "file=build/system/mayexec.qcow2,if=none,id=disk",
            "-device",
            "ahci,id=sata",
            "-device",
            "ide-hd,drive=disk,bus=sata.0",
        ],
    ),
    (
        "NVMe",
        &[
            "-drive",
            "file=build/system/mayexec.qcow2,if=none,id=disk",
            "-device",
            "nvme,drive=disk,serial=1",
        ],
    ),
];

/// What the page says of a line that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing.
    Any,
    /// The payload is refused.
    Refused,
    /// The payload runs.
    Runs,
}

/// What the page says.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    /// The words of the command that starts the image, without the image itself and without
    /// KVM, so that the trial is the same on each machine.
    start: Vec<String>,
    /// The lines to type.
    lines: Vec<(String, Outcome)>,
}

impl Page {
    fn parse(text: &str) -> Result<Self> {
        let mut typed = text.lines().filter_map(|line| line.strip_prefix("    "));
        let start = typed.next().context("the page has no command")?;
        let start = start
            .strip_suffix(IMAGE)
            .with_context(|| format!("the page's command does not end with {IMAGE}"))?;
        let start = start.replace(KVM, "");
        let start = start.split_whitespace().map(str::to_owned).collect();
        let lines: Vec<(String, Outcome)> = typed
            .map(|line| {
                let outcome = match line.split_once("# ") {
                    Some((_, said)) if said.starts_with("refused") => Outcome::Refused,
                    Some((_, said)) if said.starts_with("runs") => Outcome::Runs,
                    _ => Outcome::Any,
                };
                (line.to_owned(), outcome)
            })
            .collect();
        for wanted in [Outcome::Refused, Outcome::Runs] {
            if !lines.iter().any(|(_, outcome)| *outcome == wanted) {
                bail!("the page has no line that is {wanted:?}");
            }
        }
        Ok(Self { start, lines })
    }
}

/// What is wrong with what a line printed, if something is.
fn problem(outcome: Outcome, printed: &str) -> Option<String> {
    let ran = printed.lines().any(|line| line.trim() == PAYLOAD);
    let refused = printed.contains("Permission denied");
    let fine = match outcome {
        Outcome::Any => true,
        Outcome::Refused => refused && !ran,
        Outcome::Runs => ran && !refused,
    };
    (!fine).then(|| format!("{outcome:?} was expected, printed was: {}", printed.trim()))
}

/// A console that somebody types at.
struct Console {
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    log: fs::File,
    /// What it printed and nobody has looked at.
    unread: String,
}

impl Console {
    /// That of a program which reads from `keyboard` and writes to `output`.
    fn of(keyboard: ChildStdin, mut output: ChildStdout, log: fs::File) -> Self {
        let (send, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                // Nobody listens once the dialogue is over.
                let _ = send.send(bytes[..count].to_vec());
            }
        });
        Self {
            keyboard,
            screen,
            log,
            unread: String::new(),
        }
    }

    /// What is printed up to `text`, which is the last of it.
    fn until(&mut self, text: &str, mut waiting: impl FnMut()) -> Result<String> {
        let started = Instant::now();
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            if started.elapsed() > LIMIT {
                bail!("no {text:?} after {} s", LIMIT.as_secs());
            }
            match self.screen.recv_timeout(Duration::from_millis(200)) {
                Ok(bytes) => {
                    // What cannot be logged is still read.
                    let _ = self.log.write_all(&bytes);
                    self.unread.push_str(&String::from_utf8_lossy(&bytes));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => waiting(),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    bail!("the machine ended before it printed {text:?}")
                }
            }
        }
    }

    fn enter(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(format!("{line}\r").as_bytes())?;
        Ok(self.keyboard.flush()?)
    }
}

/// Makes the image and tries it on each kind of disk.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let made = proc::capture(&mut Command::new(ctx.root.join("scripts/system-image.sh")))?;
    print!("{made}");
    let text =
        fs::read_to_string(ctx.root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let page = Page::parse(&text).with_context(|| PAGE.to_owned())?;
    let mut tried = Vec::new();
    for (disk, options) in DISKS {
        let log = ctx.fresh_log(&format!("system image {disk}"))?;
        let problems = match session(ctx, &page, disk, options, &log) {
            Ok(problems) => problems,
            Err(error) => vec![format!("{error:#}\n{}", proc::file_tail(&log, 8))],
        };
        if problems.is_empty() {
            tried.push(disk);
        }
        report.check(
            &format!("the image on a disk of {disk}: the page's lines do what it says"),
            &problems,
            Some(&log),
        );
    }
    let cell = if tried.is_empty() {
        "fails".to_owned()
    } else {
        format!(
            "refused under MOUNT, runs without it; from disks of {}",
            tried.join(", ")
        )
    };
    results::record(ctx, "system", ROW, &[cell])
}

/// Starts the image and types the page's lines; what was not as the page says.
fn session(
    ctx: &Ctx,
    page: &Page,
    disk: &str,
    options: &[&str],
    log: &Path,
) -> Result<Vec<String>> {
    let stage = Stage::begin(&format!("start the image from a disk of {disk}"), Some(log));
    let (program, words) = page.start.split_first().context("no command")?;
    let mut qemu = Command::new(program);
    qemu.args(words).args(options).current_dir(&ctx.root);
    let log = fs::File::create(log)?;
    let (mut child, keyboard, output) = Child::talk(qemu.stderr(log.try_clone()?))?;
    let mut console = Console::of(keyboard, output, log);
    console.until("login: ", || stage.at("starting"))?;
    console.enter("root")?;
    console.until(PROMPT, || stage.at("logging in"))?;
    let mut problems = Vec::new();
    for (line, outcome) in &page.lines {
        console.enter(line)?;
        let printed = console.until(PROMPT, || stage.at("typing"))?;
        // The first line is the echo of what was typed.
        let (_, printed) = printed.split_once('\n').unwrap_or(("", &printed));
        problems.extend(problem(*outcome, printed).map(|said| format!("{line}: {said}")));
    }
    child.end();
    stage.done("");
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_to_type() {
        let text = "# The image\n\nText:\n\n    qemu -accel kvm -accel tcg build/system/mayexec.qcow2\n\nType:\n\n    \
                    echo x > y\n    sh y    # refused: why\n    sysctl z; sh y # runs\n";
        let page = Page::parse(text).unwrap();
        assert_eq!(page.start, ["qemu", "-accel", "tcg"]);
        let outcomes: Vec<Outcome> = page.lines.iter().map(|(_, outcome)| *outcome).collect();
        assert_eq!(outcomes, [Outcome::Any, Outcome::Refused, Outcome::Runs]);
        assert!(Page::parse(&text.replace("# runs", "")).is_err());
        assert!(Page::parse(&text.replace("mayexec.qcow2", "other.qcow2")).is_err());
    }

    #[test]
    fn the_page_itself_is_read() {
        let page = Page::parse(include_str!("../../../scripts/system/IMAGE.md")).unwrap();
        assert_eq!(page.lines.len(), 3);
    }

    #[test]
    fn a_payload_that_runs_is_no_refusal() {
        let refused = "sh: 0: cannot open /tmp/drop.sh: Permission denied\r\n";
        let ran = "this is a payload\r\n";
        assert_eq!(problem(Outcome::Refused, refused), None);
        assert_eq!(problem(Outcome::Runs, ran), None);
        assert_eq!(problem(Outcome::Any, ""), None);
        for (outcome, printed) in [
            (Outcome::Refused, ran),
            (Outcome::Refused, ""),
            (Outcome::Runs, refused),
            (Outcome::Runs, "echo this is a payload\r\n"),
        ] {
            assert!(problem(outcome, printed).is_some(), "{printed}");
        }
    }

    #[test]
    fn a_console_is_read_up_to_what_it_waits_for() {
        let (mut child, keyboard, output) = Child::talk(
            Command::new("sh").args(["-c", "printf 'who? '; read who; echo hello $who"]),
        )
        .unwrap();
        let log = tempfile::tempfile().unwrap();
        let mut console = Console::of(keyboard, output, log);
        assert_eq!(console.until("? ", || {}).unwrap(), "who? ");
        console.keyboard.write_all(b"me\n").unwrap();
        assert_eq!(console.until("hello me", || {}).unwrap(), "hello me");
        assert!(console.until("more", || {}).is_err());
        child.end();
    }
}
