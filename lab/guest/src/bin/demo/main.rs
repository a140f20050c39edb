// SPDX-License-Identifier: GPL-2.0

//! The scene of `make demo`: runs in the guest, shows what the kernel answers and
//! beside it what the semantics table says, and exits non-zero if they differ once.

mod caller;
mod interpreter;
mod model;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

use caller::{Opener, UNKNOWN_FLAG};
use model::{Answer, Caller, Target, name, table};
use uapi::{O_MAYEXEC, Policy, SYSCTL};

const STAGE: &str = "/run/scene";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        None => play(),
        Some((verb, rest)) if verb == "open" => caller::act(rest).map(|()| 0),
        Some((verb, rest)) if verb == "interpret" => interpreter::act(rest),
        Some((verb, _)) => Err(anyhow::anyhow!("no such part of the scene: {verb}")),
    };
    match done {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Counts what was compared.
#[derive(Default)]
struct Score {
    cases: usize,
    mismatches: usize,
}

impl Score {
    fn verdict(&mut self, same: bool) -> &'static str {
        self.cases += 1;
        if same {
            "ok"
        } else {
            self.mismatches += 1;
            "MISMATCH"
        }
    }

    /// A line with an action, the kernel's answer and the expected one.
    fn line(&mut self, action: &str, answer: Answer, expected: Answer) {
        let verdict = self.verdict(answer == expected);
        println!("  {action:<46} {answer:<8} table: {expected:<8} {verdict}");
    }
}

fn play() -> Result<i32> {
    guest::require()?;
    let stage = Stage::set()?;
    let mut score = Score::default();
    probe(&stage, &mut score)?;
    if !Path::new(SYSCTL).exists() {
        println!("\nthis kernel has no {SYSCTL}: it does not hold the series");
        return Ok(1);
    }
    matrix(&stage, &mut score)?;
    fifo(&stage, &mut score)?;
    combinations(&stage, &mut score)?;
    exploit(&stage, &mut score)?;
    println!(
        "\nverdict: {} cases, {} mismatches",
        score.cases, score.mismatches
    );
    Ok(i32::from(score.mismatches > 0))
}

/// Two mounts that differ in noexec, with the same files.
struct Stage {
    opener: Opener,
}

impl Stage {
    fn set() -> Result<Self> {
        let make = |dir: &str, flags| -> Result<()> {
            fs::create_dir_all(dir)?;
            mount("tmpfs", dir, "tmpfs", flags, c"mode=0755")
                .with_context(|| format!("cannot mount a tmpfs on {dir}"))
        };
        make(STAGE, MountFlags::empty())?;
        make(&format!("{STAGE}/exec"), MountFlags::empty())?;
        make(&format!("{STAGE}/noexec"), MountFlags::NOEXEC)?;
        for dir in ["exec", "noexec"] {
            for mode in [0o755, 0o644] {
                write(&script(dir == "noexec", mode), "print a script ran\n", mode)?;
            }
        }
        // Where an unprivileged process can start it.
        let program = PathBuf::from(format!("{STAGE}/demo"));
        fs::copy("/proc/self/exe", &program).context("cannot copy this program")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            opener: Opener::new(program),
        })
    }
}

fn script(noexec: bool, mode: u32) -> PathBuf {
    let dir = if noexec { "noexec" } else { "exec" };
    PathBuf::from(format!("{STAGE}/{dir}/script-{mode:04o}"))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn probe(stage: &Stage, score: &mut Score) -> Result<()> {
    println!("probe: does this kernel know the flag?");
    let file = script(false, 0o755);
    let known = stage.opener.open(Caller::User, false, &file, O_MAYEXEC)?;
    score.line("openat2(script, O_MAYEXEC)", known, Answer::Opened);
    let unknown = stage
        .opener
        .open(Caller::User, false, &file, UNKNOWN_FLAG)?;
    score.line(
        "openat2(script, a flag that no kernel has)",
        unknown,
        Answer::Errno(libc::EINVAL),
    );
    Ok(())
}

fn matrix(stage: &Stage, score: &mut Score) -> Result<()> {
    println!("\na script, opened without the flag and with it");
    println!(
        "  {:<19} {:<7} {:<5} {:<6} {:<8} {:<10} {:<8}",
        "policy", "mount", "mode", "caller", "without", "O_MAYEXEC", "table"
    );
    for policy in Policy::EVERY {
        policy.set_system()?;
        for noexec in [false, true] {
            for mode in [0o755, 0o644] {
                for caller in [Caller::Root, Caller::User] {
                    let path = script(noexec, mode);
                    let target = Target {
                        regular: true,
                        noexec,
                        mode,
                    };
                    let bit = policy.securebit;
                    let without = stage.opener.open(caller, bit, &path, 0)?;
                    let with = stage.opener.open(caller, bit, &path, O_MAYEXEC)?;
                    let expected = table(policy, target, caller);
                    // Without the flag no policy applies.
                    let verdict = score.verdict(without == Answer::Opened && with == expected);
                    let mount = if noexec { "noexec" } else { "exec" };
                    println!(
                        "  {:<19} {mount:<7} {mode:04o}  {caller:<6} {without:<8} {with:<10} {expected:<8} {verdict}",
                        name(policy)
                    );
                }
            }
        }
    }
    Ok(Policy::NONE.set_system()?)
}

fn fifo(stage: &Stage, score: &mut Score) -> Result<()> {
    println!("\na FIFO that nobody writes to: a denied open must not wait for a writer");
    let path = PathBuf::from(format!("{STAGE}/exec/fifo"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        0o755.into(),
        0,
    )
    .context("cannot make a FIFO")?;
    let target = Target {
        regular: false,
        noexec: false,
        mode: 0o755,
    };
    for policy in Policy::EVERY {
        policy.set_system()?;
        let bit = policy.securebit;
        let expected = table(policy, target, Caller::Root);
        // Where the table lets it through, an open without a writer would wait.
        let (flags, shown) = match expected {
            Answer::Opened => (
                O_MAYEXEC | libc::O_NONBLOCK as u64,
                "O_MAYEXEC | O_NONBLOCK",
            ),
            _ => (O_MAYEXEC, "O_MAYEXEC"),
        };
        let answer = stage.opener.open(Caller::Root, bit, &path, flags)?;
        score.line(
            &format!("policy {}: {shown}", name(policy)),
            answer,
            expected,
        );
    }
    Ok(Policy::NONE.set_system()?)
}

fn combinations(stage: &Stage, score: &mut Score) -> Result<()> {
    println!("\ncombinations that make no sense: code that is executed is read");
    let file = script(false, 0o755);
    let dir = PathBuf::from(format!("{STAGE}/exec"));
    let new = PathBuf::from(format!("{STAGE}/exec/new"));
    let invalid = Answer::Errno(libc::EINVAL);
    for (name, flag, path) in [
        ("O_WRONLY", libc::O_WRONLY, &file),
        ("O_RDWR", libc::O_RDWR, &file),
        ("O_CREAT", libc::O_CREAT, &new),
        ("O_TRUNC", libc::O_TRUNC, &file),
        ("O_APPEND", libc::O_APPEND, &file),
        ("O_PATH", libc::O_PATH, &file),
        ("O_DIRECTORY", libc::O_DIRECTORY, &dir),
        ("O_TMPFILE | O_RDWR", libc::O_TMPFILE | libc::O_RDWR, &dir),
    ] {
        let answer = stage
            .opener
            .open(Caller::Root, false, path, O_MAYEXEC | flag as u64)?;
        score.line(&format!("O_MAYEXEC | {name}"), answer, invalid);
    }
    let created = new.exists();
    let verdict = score.verdict(!created);
    println!(
        "  {:<46} {:<24} {verdict}",
        "the refused O_CREAT created a file",
        if created { "yes" } else { "no" }
    );
    Ok(())
}

fn exploit(stage: &Stage, score: &mut Score) -> Result<()> {
    println!("\none exploit stopped: policy 3, an attacker may write to a noexec directory only");
    let policy = Policy::system(3);
    policy.set_system()?;
    let drop_zone = PathBuf::from(format!("{STAGE}/noexec/tmp"));
    fs::create_dir(&drop_zone)?;
    fs::set_permissions(&drop_zone, fs::Permissions::from_mode(0o1777))?;
    let proof = drop_zone.join("proof");
    let payload = drop_zone.join("payload");
    write(
        &payload,
        &format!("print attacker's code runs\ncreate {}\n", proof.display()),
        0o755,
    )?;
    let shell_payload = drop_zone.join("payload.sh");
    write(
        &shell_payload,
        &format!(
            "#!/bin/sh\necho '    attacker'\\''s code runs'\n: > {}\n",
            proof.display()
        ),
        0o755,
    )?;
    let target = Target {
        regular: true,
        noexec: true,
        mode: 0o755,
    };
    let denied = Answer::Errno(libc::EACCES);

    println!("  execve({}):", shell_payload.display());
    let direct = match std::process::Command::new(&shell_payload).status() {
        Ok(_) => Answer::Opened,
        Err(error) => Answer::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    score.line("the kernel refuses, as the mount is noexec", direct, denied);

    println!("  before: sh {}", shell_payload.display());
    let status = stage_command("/bin/sh", &[&shell_payload.to_string_lossy()]).status()?;
    ran(
        score,
        "a shell that opens plainly runs it",
        &proof,
        status.code(),
        true,
    )?;

    println!("  before: interpret plain {}", payload.display());
    let interpret = |how: &str, script: &Path| -> Result<Option<i32>> {
        let script = script.to_string_lossy();
        let mut cmd = stage
            .opener
            .command(Caller::User, &["interpret", how, &script]);
        Ok(cmd.status()?.code())
    };
    let code = interpret("plain", &payload)?;
    ran(
        score,
        "an interpreter that opens plainly runs it",
        &proof,
        code,
        true,
    )?;

    println!("  after: interpret mayexec {}", payload.display());
    let code = interpret("mayexec", &payload)?;
    let answer = match code {
        Some(0) => Answer::Opened,
        Some(errno) => Answer::Errno(errno),
        None => Answer::Blocked,
    };
    score.line(
        "the same interpreter, opening with O_MAYEXEC",
        answer,
        table(policy, target, Caller::User),
    );
    ran(score, "the attacker's code", &proof, Some(0), false)?;

    let honest = script(false, 0o755);
    println!("  after: interpret mayexec {}", honest.display());
    let code = interpret("mayexec", &honest)?;
    let good = Target {
        noexec: false,
        ..target
    };
    let answer = match code {
        Some(0) => Answer::Opened,
        Some(errno) => Answer::Errno(errno),
        None => Answer::Blocked,
    };
    score.line(
        "an installed script still runs",
        answer,
        table(policy, good, Caller::User),
    );
    Ok(Policy::NONE.set_system()?)
}

/// A program of the host's, started as the attacker.
fn stage_command(program: &str, args: &[&str]) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let mut cmd = std::process::Command::new(program);
    cmd.args(args).uid(65534).gid(65534);
    cmd
}

/// Whether the payload left its proof, which is removed for the next time.
fn ran(
    score: &mut Score,
    what: &str,
    proof: &Path,
    code: Option<i32>,
    expected: bool,
) -> Result<()> {
    let there = proof.exists();
    if there {
        fs::remove_file(proof)?;
    }
    let word = |ran: bool| if ran { "ran" } else { "did not run" };
    let verdict = score.verdict(there == expected && code == Some(0));
    println!(
        "  {what:<46} {:<11} expected: {:<11} {verdict}",
        word(there),
        word(expected)
    );
    Ok(())
}
