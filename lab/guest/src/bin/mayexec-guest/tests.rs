// SPDX-License-Identifier: GPL-2.0

//! The tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use mayexec::{Guarantee, Open, Why};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::{Value, json};

use crate::Checks;
use crate::interpreters;
use crate::scene::{Policy, Scene, put, table};
use crate::watch::{TRACEFS, Watch, traceable};

/// A program's language, and a script in it that prints `ran`.
const LANGUAGES: [(&[&str], &str); 6] = [
    (&["dash"], "echo ran\n"),
    (&["bash"], "echo ran\n"),
    (&["perl"], "print \"ran\\n\";\n"),
    (&["/usr/bin/python3"], "print('ran')\n"),
    (&["awk", "-f"], "BEGIN { print \"ran\" }\n"),
    (&["lua5.4"], "print('ran')\n"),
];

/// Runs everything that can be tested where the best guarantee is `guarantee`.
pub(crate) fn all(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let best = mayexec::Support::get().guarantee();
    checks.equal("the library finds the guarantee", best, guarantee);
    let mut policies = vec![Policy::Sysctl(0)];
    if guarantee == Guarantee::Kernel {
        policies.extend([1, 2, 3, 7].map(Policy::Sysctl));
    }
    if guarantee >= Guarantee::Securebits {
        policies.push(Policy::Securebit);
    }
    status(scene, guarantee, checks)?;
    for &policy in &policies {
        matrix(scene, policy, checks)?;
        held(scene, policy, checks)?;
    }
    let strictest = *policies.last().context("there is a policy")?;
    languages(scene, strictest, checks)?;
    let enforced = match guarantee {
        Guarantee::Kernel => Some(Policy::Sysctl(3)),
        Guarantee::Securebits => Some(Policy::Securebit),
        _ => None,
    };
    let policies: Vec<_> = [Policy::Sysctl(0)].into_iter().chain(enforced).collect();
    interpreters::all(scene, &policies, checks)?;
    strict(scene, guarantee, checks)?;
    filtered(scene, guarantee, checks)?;
    if guarantee == Guarantee::Kernel {
        watch(scene, checks)?;
    }
    Ok(())
}

fn status(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let (text, code) = scene.command(&["status", "--json"])?;
    let status: Value = serde_json::from_str(&text).context("status --json")?;
    let name = match guarantee {
        Guarantee::Kernel => "kernel",
        Guarantee::Securebits => "securebits",
        _ => "plain",
    };
    checks.equal("status ends well", code, 0);
    checks.equal(
        "status tells the guarantee",
        status["guarantee"].as_str(),
        Some(name),
    );
    Ok(())
}

/// The library, `run` and `check` beside the table.
fn matrix(scene: &Scene, policy: Policy, checks: &mut Checks) -> Result<()> {
    for (dir, noexec) in [(&scene.exec, false), (&scene.noexec, true)] {
        for mode in [0o755, 0o644] {
            let path = dir.join(format!("{mode:o}"));
            let text = path.to_string_lossy().into_owned();
            let what = format!("{policy:?}, {text}");
            let right = table(policy.bits(), noexec, mode);
            let (opened, run, check) = scene.under(policy, || {
                (
                    mayexec::open(&path).err().map(|error| error.why),
                    scene.command(&["run", "sh", "-u", &text, "one", "two"]),
                    scene.command(&["check", "--json", &text]),
                )
            })?;
            checks.equal(&format!("{what}: the library"), opened, right);
            let ran = match right {
                None => (format!("ran {text} one two\n"), 0),
                Some(_) => (String::new(), 126),
            };
            checks.equal(&format!("{what}: run"), run?, ran);
            let (json, code) = check?;
            checks.equal(
                &format!("{what}: check's exit code"),
                code,
                i32::from(right.is_some()),
            );
            let report: Value = serde_json::from_str(&json).context("check --json")?;
            let said = |answer: &Value| answer["allowed"].as_bool();
            let all: Vec<_> = (0..4)
                .map(|bits| said(&report[0]["policies"][bits]))
                .collect();
            let estimates = (0..4)
                .map(|bits| Some(table(bits, noexec, mode).is_none()))
                .collect();
            checks.equal(&format!("{what}: check of every policy"), all, estimates);
            checks.equal(
                &format!("{what}: check of the one in force"),
                said(&report[0]["in_force"]),
                Some(right.is_none()),
            );
        }
    }
    Ok(())
}

/// Descriptors that are held: what counts is the file.
fn held(scene: &Scene, policy: Policy, checks: &mut Checks) -> Result<()> {
    for mode in [0o755, 0o644] {
        let file = fs::File::open(scene.exec.join(format!("{mode:o}")))?;
        let outcome = scene.under(policy, || {
            Open::new().reopen(&file).err().map(|error| error.why)
        })?;
        checks.equal(
            &format!("{policy:?}, a descriptor of a file of mode {mode:o}"),
            outcome,
            table(policy.bits(), false, mode),
        );
    }
    // Commands on a pipe are refused under every policy.
    let (pipe, _writer) = rustix::pipe::pipe()?;
    let outcome = scene.under(policy, || {
        Open::new().reopen(&pipe).err().map(|error| error.why)
    })?;
    let right = (policy.bits() != 0).then_some(Why::NotRegular);
    checks.equal(&format!("{policy:?}, a pipe"), outcome, right);
    Ok(())
}

/// Unmodified interpreters.
fn languages(scene: &Scene, policy: Policy, checks: &mut Checks) -> Result<()> {
    for (words, text) in LANGUAGES {
        for mode in [0o755, 0o644] {
            // Where the best guarantee is none, nothing is refused.
            let right = match table(policy.bits(), false, mode) {
                None => ("ran\n", 0),
                Some(_) => ("", 126),
            };
            let script = scene.exec.join(format!("script-{mode:o}"));
            put(&script, text, mode)?;
            let script = script.to_string_lossy();
            let args: Vec<&str> = ["run"]
                .iter()
                .chain(words)
                .copied()
                .chain([script.as_ref()])
                .collect();
            let (said, code) = scene.under(policy, || scene.command(&args))??;
            checks.equal(
                &format!("{policy:?}, {} and a script of mode {mode:o}", words[0]),
                (said.as_str(), code),
                right,
            );
        }
    }
    Ok(())
}

/// `run --strict` needs no policy.
fn strict(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    for (mode, right) in [(0o755, 0), (0o644, 126)] {
        let path = scene.exec.join(format!("{mode:o}"));
        let (_, code) = scene.command(&["run", "--strict", "sh", &path.to_string_lossy()])?;
        let right = match guarantee {
            Guarantee::Plain => 125,
            _ => right,
        };
        checks.equal(&format!("run --strict, mode {mode:o}"), code, right);
    }
    Ok(())
}

/// A filter takes openat2(2) away.
fn filtered(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    /// The call's number, the same on every architecture.
    const OPENAT2: i64 = 437;
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(|_| anyhow!("seccomp knows this architecture"))?;
    let filter: BpfProgram = SeccompFilter::new(
        BTreeMap::from([(OPENAT2, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::NOSYS.raw_os_error().cast_unsigned()),
        architecture,
    )?
    .try_into()?;
    let answers = |policy| {
        scene.under(policy, || {
            seccompiler::apply_filter(&filter)
                .map(|()| {
                    let demand = Open::new().require(Guarantee::Kernel);
                    [&scene.exec, &scene.noexec].map(|dir| {
                        [0o755, 0o644].map(|mode| {
                            let path = dir.join(format!("{mode:o}"));
                            let opened = mayexec::open(&path).map_err(|error| error.why);
                            let demanded = demand.open(&path).map_err(|error| error.why);
                            (opened.map(|opened| opened.guarantee), demanded.err())
                        })
                    })
                })
                .context("cannot filter")
        })?
    };
    let had = guarantee.min(Guarantee::Securebits);
    let needed = Guarantee::Kernel;
    let mut policies = vec![0];
    if guarantee == Guarantee::Kernel {
        policies.extend([1, 2, 3, 7]);
    }
    for value in policies {
        let policy = Policy::Sysctl(value);
        let given = if policy.bits() == 0 {
            Guarantee::Plain
        } else {
            had
        };
        // AT_EXECVE_CHECK, which stands for FILE there, looks at the mount too.
        let made = if policy.bits() & 2 != 0 {
            3
        } else {
            policy.bits()
        };
        let right = [false, true].map(|noexec| {
            [0o755, 0o644].map(|mode| {
                let demanded = Some(Why::Guarantee { needed, had });
                match table(made, noexec, mode) {
                    None => (Ok(given), demanded),
                    Some(why) => (Err(why), demanded),
                }
            })
        });
        checks.equal(
            &format!("{policy:?}, without openat2: the library applies the policy"),
            answers(policy)?,
            right,
        );
    }
    Ok(())
}

/// The instances that `watch` has made and not removed.
fn instances() -> Result<usize> {
    Ok(fs::read_dir(Path::new(TRACEFS).join("instances"))?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("mayexec"))
        .count())
}

/// Opens that would be denied are shown as they happen.
fn watch(scene: &Scene, checks: &mut Checks) -> Result<()> {
    if !traceable() {
        let (_, code) = scene.command(&["watch"])?;
        checks.equal("watch says that there is no tracing", code, 3);
        return Ok(());
    }
    let mut watch = Watch::start(&scene.mayexec, &[])?;
    checks.equal("watch has an instance of its own", instances()?, 1);
    let allowed = scene.exec.join("755");
    let noexec = scene.noexec.join("755");
    let both = scene.noexec.join("644");
    let mode = scene.exec.join("644");
    // A watched policy that logs nothing and refuses nothing shows nothing.
    for bits in [0, 4, 7] {
        scene.under(Policy::Sysctl(bits), || {
            [&allowed, &noexec, &both, &mode]
                .iter()
                .filter(|path| mayexec::open(path).is_ok())
                .count()
        })?;
    }
    let mut shown = |name: &str, denied: Value, enforced: bool| -> Result<()> {
        let event = watch.event()?;
        let found = ["name", "program"].map(|key| event[key].as_str().unwrap_or("-"));
        checks.equal(
            &format!("watch shows {name}, enforced: {enforced}"),
            (found, &event["denied"], &event["enforced"]),
            ([name, "mayexec-guest"], &denied, &enforced.into()),
        );
        Ok(())
    };
    // Logged, all checks are made; enforced, the first that refuses is the last.
    shown("755", json!(["MOUNT"]), false)?;
    shown("644", json!(["MOUNT", "FILE"]), false)?;
    shown("644", json!(["FILE"]), false)?;
    scene.under(Policy::Sysctl(3), || mayexec::open(&both).is_err())?;
    shown("644", json!(["MOUNT"]), true)?;
    scene.under(Policy::Securebit, || mayexec::open(&mode).is_err())?;
    shown("644", json!(["FILE"]), true)?;
    scene.sysctl(7)?;
    // Ones that are gone at once: how far they have come when they are named depends.
    let path = mode.to_str().context("a name in UTF-8")?;
    for _ in 0..4 {
        scene.command(&["run", "sh", path])?;
        let event = watch.event()?;
        let program = event["program"].as_str().unwrap_or("-");
        let right = if program == "sh" { "sh" } else { "mayexec" };
        checks.equal("watch names what ends at once", program, right);
    }
    // One that is called like the next field of a line.
    let odd = scene.exec.join("x [9] y");
    symlink(&scene.mayexec, &odd)?;
    Command::new(&odd).args(["run", "sh", path]).output()?;
    let event = watch.event()?;
    let program = event["program"].as_str().unwrap_or("-");
    let right = if program == "sh" { "sh" } else { "x [9] y" };
    checks.equal("watch names what has an odd name", program, right);
    scene.sysctl(0)?;
    watch.interrupt()?;
    let (rest, code) = watch.rest()?;
    checks.equal("watch shows nothing else", rest.as_str(), "");
    checks.equal("watch ends well", code, Some(0));
    checks.equal("watch leaves no instance", instances()?, 0);
    Ok(())
}
