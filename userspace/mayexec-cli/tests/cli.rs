// SPDX-License-Identifier: GPL-2.0

//! The command on whatever kernel runs the tests.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use mayexec::ExecveCheck;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::TempDir;

fn mayexec() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mayexec"))
}

/// What a command says, and its exit code.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn put(dir: &Path, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = dir.join(name.as_ref());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_shell_script_finds_its_name_and_its_arguments() {
    let dir = dir();
    let script = put(dir.path(), "a script", "echo \"$0|$1|$#|$-\"\n", 0o755);
    for shell in ["sh", "dash", "bash"] {
        let said = said(
            mayexec()
                .args(["run", shell, "-u"])
                .arg(&script)
                .args(["-x", "b c"]),
        );
        assert_eq!(said.code, Some(0), "{said:?}");
        let start = format!("{}|-x|2|", script.display());
        assert!(said.out.starts_with(&start), "{shell}: {said:?}");
        assert!(said.out[start.len()..].contains('u'), "{shell}: {said:?}");
    }
}

#[test]
fn a_shell_script_is_run_as_the_shell_would_run_it() {
    let dir = dir();
    // Plain bash goes on after `return`; dash ends there.
    let text = "cat <<'E'\n$0 'x'\nE\nreturn 3 2>/dev/null\necho \"line $LINENO of $0\"\nexit 4";
    let script = put(dir.path(), "x", text, 0o755);
    for shell in ["sh", "dash", "bash"] {
        let plain = said(Command::new(shell).arg(&script));
        let run = said(mayexec().args(["run", shell]).arg(&script));
        assert_eq!((run.code, run.out), (plain.code, plain.out), "{shell}");
    }
}

#[test]
fn what_a_script_starts_does_not_hold_the_script_open() {
    let dir = dir();
    let script = put(
        dir.path(),
        "daemon",
        "ls -l /proc/self/fd | grep -c daemon\n",
        0o755,
    );
    for shell in ["sh", "dash", "bash"] {
        let run = said(mayexec().args(["run", shell]).arg(&script));
        assert_eq!(run.out, "0\n", "{shell}: {run:?}");
    }
}

#[test]
fn nothing_of_a_script_that_is_not_read_to_its_end_is_run() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo one\necho rm -rf /srv/old\n", 0o755);
    let cat = "#!/bin/sh\nread -r line && echo \"$line\" && printf 'echo rm -rf /srv'\nexit 1\n";
    put(dir.path(), "cat", cat, 0o755);
    let mut path = dir.path().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    for shell in ["sh", "dash", "bash"] {
        let run = said(
            mayexec()
                .env("PATH", &path)
                .args(["run", shell])
                .arg(&script),
        );
        assert_eq!((run.code, run.out.as_str()), (Some(125), ""), "{run:?}");
    }
}

#[test]
fn a_script_that_unpacks_itself_is_not_read_at_once() {
    let dir = dir();
    let text = b"echo \"$0\"\ntail -n +4 \"$0\" | wc -c\nexit 3\n";
    for (byte, size) in [(b'x', 2 << 20), (0, 100)] {
        let script = put(
            dir.path(),
            "x",
            [&text[..], &vec![byte; size]].concat(),
            0o755,
        );
        for shell in ["sh", "dash", "bash"] {
            let run = said(mayexec().args(["run", shell]).arg(&script));
            assert_eq!((run.code, run.err.as_str()), (Some(3), ""), "{run:?}");
            let end = format!("\n{size}\n");
            assert!(
                run.out.starts_with("/dev/fd/") && run.out.ends_with(&end),
                "{run:?}"
            );
        }
    }
}

#[test]
fn what_bash_could_not_answer_is_refused() {
    let dir = dir();
    let text = "main() { echo ran; }\nif [[ \"${BASH_SOURCE[0]}\" == \"$0\" ]]; then main; fi\n";
    let script = put(dir.path(), "guard", text, 0o755);
    let run = said(mayexec().args(["run", "bash"]).arg(&script));
    assert_eq!((run.code, run.out.as_str()), (Some(125), ""), "{run:?}");
    assert!(run.err.contains("patches/projects/bash"), "{run:?}");
}

#[test]
fn a_script_alone_is_run_by_its_first_line() {
    let dir = dir();
    for line in ["#!/bin/sh", "#! /usr/bin/env bash", "#!/bin/dash -u"] {
        let text = format!("{line}\necho \"ran $0 $*\"\n");
        let script = put(dir.path(), "x", text, 0o755);
        let run = said(mayexec().arg("run").arg(&script).args(["one", "--", "two"]));
        let right = format!("ran {} one -- two\n", script.display());
        assert_eq!((run.out, run.code), (right, Some(0)), "{line}");
    }
    let run = said(
        mayexec()
            .arg("run")
            .arg(put(dir.path(), "y", "echo ran\n", 0o755)),
    );
    assert_eq!(run.code, Some(125), "{run:?}");
    // What follows -- is no script here, whatever the #! line says.
    let other = put(dir.path(), "other", "echo ran\n", 0o755);
    for line in ["#!/bin/cat", "#!/usr/bin/env -S sh -e", "#!"] {
        let script = put(dir.path(), "z", format!("{line}\n"), 0o755);
        let run = said(mayexec().arg("run").arg(&script).arg("--").arg(&other));
        assert_eq!(run.code, Some(125), "{line}: {run:?}");
    }
    let script = put(dir.path(), "z", "#!/no/such/sh\n", 0o755);
    let run = said(mayexec().arg("run").arg(script));
    let right = "mayexec: /no/such/sh: No such file or directory\n";
    assert_eq!((run.code, run.err.as_str()), (Some(127), right));
}

#[test]
fn no_message_has_an_errno_s_number() {
    for args in [
        ["run", "sh", "/no/such"],
        ["check", "--", "/no/such"],
        ["scan", "-x", "/no/such"],
        ["generate", "--", "/no/such"],
    ] {
        let said = said(mayexec().args(args));
        assert!(format!("{said:?}").contains("No such file"), "{said:?}");
        assert!(!format!("{said:?}").contains("os error"), "{said:?}");
    }
}

#[test]
fn a_shell_that_only_reads_reads_the_script() {
    let dir = dir();
    let bad = put(dir.path(), "bad", "echo ran\nif\n", 0o755);
    let good = put(dir.path(), "good", "echo ran\n", 0o755);
    for shell in ["sh", "dash", "bash"] {
        for options in [
            &["-n"][..],
            &["-xn"],
            &["-n", "--"],
            &["-o", "noexec"],
            &["-eo", "noexec"],
        ] {
            let run =
                |script: &Path| said(mayexec().args(["run", shell]).args(options).arg(script));
            let (bad, good) = (run(&bad), run(&good));
            assert_eq!((bad.code, bad.out.as_str()), (Some(2), ""), "{bad:?}");
            assert!(bad.err.to_lowercase().contains("syntax error"), "{bad:?}");
            assert_eq!(good.code, Some(0), "{shell} {options:?}: {good:?}");
            assert_eq!(good.out + &good.err, "", "{shell} {options:?}");
        }
    }
    let said = said(mayexec().args(["run", "bash", "-t"]).arg(&bad));
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "ran\n"),
        "{said:?}"
    );
}

#[test]
fn a_restricted_shell_runs_the_script() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo \"ran $1\"\ncd /\n", 0o755);
    let rbash = dir.path().join("rbash");
    symlink("/bin/bash", &rbash).unwrap();
    let rbash = rbash.to_str().unwrap();
    for words in [
        &[rbash][..],
        &["bash", "-r"],
        &["bash", "-ur"],
        &["bash", "--restricted", "--"],
    ] {
        let said = said(mayexec().arg("run").args(words).arg(&script).arg("one"));
        assert_eq!(said.out, "ran one\n", "{words:?}: {said:?}");
        assert!(said.err.contains("cd: restricted"), "{words:?}: {said:?}");
    }
}

#[test]
fn the_interpreter_s_end_is_that_of_run() {
    let dir = dir();
    let script = put(dir.path(), "x", "exit 7\n", 0o755);
    assert_eq!(
        said(mayexec().args(["run", "sh"]).arg(&script)).code,
        Some(7)
    );
    let script = put(dir.path(), "p", "print \"@ARGV\"; exit 3\n", 0o755);
    let said = said(
        mayexec()
            .args(["run", "perl", "-w"])
            .arg(&script)
            .args(["-e", "1"]),
    );
    assert_eq!((said.code, said.out.as_str()), (Some(3), "-e 1"));
}

#[test]
fn a_script_finds_sigpipe_as_run_found_it() {
    let dir = dir();
    let script = put(dir.path(), "x", "grep SigIgn /proc/$$/status\n", 0o755);
    let (script, run) = (script.display(), env!("CARGO_BIN_EXE_mayexec"));
    for action in ["''", "-"] {
        let line = format!("trap {action} PIPE; sh {script}; {run} run sh {script}");
        let said = said(Command::new("sh").args(["-c", &line]));
        let lines: Vec<&str> = said.out.lines().collect();
        assert!(
            matches!(lines[..], [plain, run] if plain == run),
            "{said:?}"
        );
    }
}

#[test]
fn an_awk_script_is_the_argument_of_f() {
    let dir = dir();
    let script = put(dir.path(), "x", "{ print a, $2 }\n", 0o755);
    let said = said(
        mayexec()
            .args(["run", "awk", "-v", "a=1", "-f"])
            .arg(&script)
            .write_stdin("x y\n"),
    );
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "1 y\n"),
        "{said:?}"
    );
}

#[test]
fn no_interpreter_looks_the_script_up_again() {
    const SHELL: [&str; 2] = ["echo verified\n", "echo swapped\n"];
    const PERL: [&str; 2] = ["print \"verified\\n\"\n", "print \"swapped\\n\"\n"];
    const CALL: [&str; 2] = ["print('verified')\n", "print('swapped')\n"];
    const AWK: [&str; 2] = [
        "BEGIN { print \"verified\" }\n",
        "BEGIN { print \"swapped\" }\n",
    ];
    for (name, program, option, [verified, swapped]) in [
        ("sh", "sh", "-u", SHELL),
        ("bash", "bash", "--", SHELL),
        ("unknown", "sh", "--", SHELL),
        ("perl", "perl", "-w", PERL),
        ("python3", "python3", "-I", CALL),
        ("awk", "awk", "-f", AWK),
        ("lua5.4", "lua5.4", "-W", CALL),
    ] {
        let dir = dir();
        let other = put(dir.path(), "other", swapped, 0o755);
        let script = put(dir.path(), "x", verified, 0o755);
        // It replaces the script before it reads what it was given.
        let text = format!(
            "#!/bin/sh\nmv {} {} && exec {program} \"$@\"\n",
            other.display(),
            script.display()
        );
        let interpreter = put(dir.path(), name, text, 0o755);
        // As a path, one that is not known would be a script itself.
        let named = match name {
            "unknown" => Path::new(name),
            _ => &interpreter,
        };
        let path = format!(
            "{}:{}",
            std::env::var("PATH").unwrap(),
            dir.path().display()
        );
        let said = said(
            mayexec()
                .env("PATH", path)
                .arg("run")
                .arg(named)
                .arg(option)
                .arg(&script),
        );
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "verified\n"),
            "{name}: {said:?}"
        );
        assert_eq!(fs::read_to_string(&script).unwrap(), swapped);
    }
}

#[test]
fn lines_that_lead_to_each_other_end() {
    let dir = dir();
    let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
    for (script, next) in [(&one, &other), (&other, &one)] {
        put(dir.path(), script, format!("#!{}\n", next.display()), 0o755);
    }
    let run = said(mayexec().arg("run").arg(&one));
    assert_eq!(run.code, Some(126), "{run:?}");
    assert!(run.err.contains("Too many levels"), "{run:?}");
}

#[test]
fn what_cannot_be_run_is_not() {
    let dir = dir();
    put(dir.path(), "report", "#!/bin/sh\n", 0o755);
    for (program, hint) in [("report", true), ("no-such-interpreter", false)] {
        let run = said(
            mayexec()
                .args(["run", program, "x"])
                .current_dir(dir.path()),
        );
        assert_eq!(run.code, Some(125), "{run:?}");
        assert_eq!(run.err.contains("./ before it"), hint, "{run:?}");
    }
    let path = |name: &str| {
        dir.path()
            .join(name)
            .into_os_string()
            .into_string()
            .unwrap()
    };
    symlink("loop", dir.path().join("loop")).unwrap();
    let good = put(dir.path(), "good", "echo ran\n", 0o755);
    let good = good.to_str().unwrap();
    put(dir.path(), "lost", "#!/no/such/tclsh\n", 0o755);
    let [missing, top, link, lost] = ["missing", "", "loop", "lost"].map(path);
    for (args, code, text) in [
        (vec!["sh", &missing], 127, "No such file"),
        (vec![&missing], 127, "/missing: No such file"),
        (vec![&missing, "x"], 127, "/missing: No such file"),
        (vec![&missing, "--", good], 127, "/missing: No such file"),
        (vec![&lost, "--"], 127, "/no/such/tclsh: No such file"),
        (vec!["sh", &top], 126, "is a directory"),
        (vec!["sh", &link], 126, "symbolic links"),
        (vec!["sh", "-e"], 125, "no script is named"),
        (vec!["sh", "-c", "echo ran"], 125, "on the command line"),
        (vec!["ruby", good], 125, "not known"),
        (vec!["ruby", "--"], 125, "not known"),
        (vec!["perl", "-Z", good], 125, "option is not known"),
        (vec!["/no/such/bash", good], 127, "No such file"),
    ] {
        let said = said(mayexec().arg("run").args(&args));
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
        assert_eq!(said.out, "", "{args:?}");
        assert!(said.err.starts_with("mayexec: "), "{args:?}: {said:?}");
        assert!(said.err.contains(text), "{args:?}: {said:?}");
    }
    for wrong in [
        "run",
        "run --strct sh x",
        "run -- -x",
        "check",
        "status --require kernel:0",
        "status --require securebits:+3",
    ] {
        let said = said(mayexec().args(wrong.split(' ')));
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(2), ""),
            "{wrong}: {said:?}"
        );
    }
}

#[test]
fn strict_refuses_what_is_not_executable() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo ran\n", 0o644);
    let strict = said(mayexec().args(["run", "--strict", "sh"]).arg(&script));
    assert_eq!(strict.out, "");
    // 125 where the kernel has no check.
    let code = if mayexec::Support::get().execve_check() == ExecveCheck::Works {
        126
    } else {
        125
    };
    assert_eq!(strict.code, Some(code), "{strict:?}");
}

#[test]
fn check_says_what_each_policy_would() {
    let dir = dir();
    let bad = put(dir.path(), OsStr::from_bytes(b"\xff\n"), "x", 0o644);
    let said = said(mayexec().args(["check", "--json"]).arg(&bad));
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let report = &report[0];
    assert!(report["file"].as_str().unwrap().ends_with("/\u{fffd}\n"));
    assert!(report["file_bytes"].as_str().unwrap().ends_with("2fff0a"));
    let allowed: Vec<bool> = (0..4)
        .map(|bits| report["policies"][bits]["allowed"].as_bool().unwrap())
        .collect();
    assert_eq!((allowed[0], allowed[2], allowed[3]), (true, false, false));
    assert_eq!(report["policies"][3]["why"], "no execute permission");
    let text = self::said(mayexec().arg("check").arg(&bad));
    assert!(text.out.contains(r"\xFF\n"), "{text:?}");
}

#[test]
fn check_says_what_cannot_be_opened() {
    let dir = dir();
    symlink("loop", dir.path().join("loop")).unwrap();
    for name in ["missing", "loop"] {
        let said = said(mayexec().arg("check").arg(dir.path().join(name)));
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.out.contains("cannot be opened"), "{said:?}");
    }
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refused = said(mayexec().arg("check").arg(&socket));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.out.contains("cannot be opened"), "{refused:?}");
    let said = said(mayexec().arg("check").arg(dir.path()));
    assert!(said.out.contains("denied: not a regular file"), "{said:?}");
    let none = said.out.lines().find(|line| line.contains("sysctl 0"));
    assert!(
        none.is_some_and(|line| line.ends_with("allowed (estimate)")),
        "{said:?}"
    );
}

/// What runs a command as root of user and mount namespaces of its own.
fn in_namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
}

/// A daemon answers for the modes of its files. Only the kernel's own word counts.
#[test]
fn check_does_not_believe_a_daemon() {
    let dir = dir();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuse.py");
    let check = |words: &[&str]| {
        let mut command = in_namespaces();
        command
            .args(["python3", script])
            .arg(dir.path())
            .args([env!("CARGO_BIN_EXE_mayexec"), "check"])
            .args(words)
            .arg(dir.path().join("x"));
        said(&mut command)
    };
    let json = check(&["--json"]);
    if json.code == Some(77) {
        // There is no FUSE.
        return;
    }
    assert_eq!(json.code, Some(0), "{json:?}");
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let policies = &report[0]["policies"];
    if mayexec::Support::get().mayexec {
        assert_eq!(policies[3]["exact"], true, "{json:?}");
        return;
    }
    for bits in [2, 3] {
        let answer = &policies[bits]["allowed"];
        assert_eq!(*answer, serde_json::Value::Null, "{bits}: {json:?}");
    }
    let text = check(&[]);
    let end = " cannot tell: the server or the daemon of this filesystem decides\n";
    assert_eq!(text.out.matches(end).count(), 2, "{text:?}");
}

/// The names in a report of `scan --json`, in the order that they were found in.
fn denied(report: &serde_json::Value) -> Vec<&str> {
    let found = report["denied"].as_array().unwrap();
    found
        .iter()
        .map(|finding| finding["path"].as_str().unwrap())
        .collect()
}

#[test]
fn scan_finds_code_that_is_not_executable() {
    let dir = dir();
    let top = dir.path();
    let outside = self::dir();
    put(outside.path(), "outside.py", "", 0o644);
    fs::create_dir(top.join("sub")).unwrap();
    let elf = |kind: u8| {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([kind, 0]);
        bytes
    };
    put(top, "script", "#!/bin/sh\n", 0o644);
    put(top, "fine", "#!/bin/sh\n", 0o755);
    put(top, "data.txt", "#no", 0o644);
    put(top, "object.o", elf(1), 0o644);
    put(&top.join("sub"), "lib.so", elf(3), 0o644);
    put(&top.join("sub"), "it's.py", "", 0o640);
    symlink(outside.path(), top.join("link")).unwrap();
    symlink(outside.path().join("outside.py"), top.join("link.py")).unwrap();

    let found = said(mayexec().args(["scan", "--json"]).arg(top));
    assert_eq!(found.code, Some(1), "{found:?}");
    let report: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    let mut names = denied(&report);
    names.sort_unstable();
    let names: Vec<&str> = names
        .iter()
        .map(|name| name.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["script", "it's.py", "lib.so"]);
    assert_eq!(report["files"], 6);

    let fix = said(mayexec().args(["scan", "--fix"]).arg(top));
    let line = format!("chmod a+x -- '{}/script'\n", top.display());
    assert!(fix.out.contains(&line), "{fix:?}");
    let line = format!("chmod u+x,g+x -- '{}/sub/it'\\''s.py'\n", top.display());
    assert!(fix.out.contains(&line), "{fix:?}");
    assert_eq!(
        mode(&top.join("script")),
        0o644,
        "--fix alone changes nothing"
    );

    assert_eq!(
        said(mayexec().args(["scan", "--apply"]).arg(top)).code,
        Some(2)
    );
    let apply = said(mayexec().args(["scan", "--fix", "--apply"]).arg(top));
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert!(
        apply
            .out
            .contains("after the change: 0 still would be denied"),
        "{apply:?}"
    );
    assert_eq!(mode(&top.join("script")), 0o755);
    assert_eq!(mode(&top.join("sub/it's.py")), 0o750);
    assert_eq!(mode(&top.join("data.txt")), 0o644);
    assert_eq!(mode(&outside.path().join("outside.py")), 0o644);
    assert_eq!(said(mayexec().arg("scan").arg(top)).code, Some(0));
    assert_eq!(
        said(mayexec().arg("scan").arg(top.join("no"))).code,
        Some(3)
    );
    assert_eq!(
        said(mayexec().arg("scan").arg(top.join("script"))).code,
        Some(3)
    );
}

#[test]
fn scan_reads_each_directory_once() {
    let dir = dir();
    let top = dir.path();
    let inner = top.join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let outer = put(&top.join("a"), "outer.sh", "", 0o644);
    let script = put(&inner, "x.sh", "", 0o644);
    let twin = top.join("a/twin.sh");
    fs::hard_link(&script, &twin).unwrap();
    let link = top.join("link");
    symlink("a/b", &link).unwrap();

    let all = [&inner, &top.join("a"), &link, &top.join("a/b/.")];
    let found = said(mayexec().args(["scan", "--json"]).args(all));
    let report: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(report["files"], 3, "{found:?}");
    let mut names = denied(&report);
    names.sort_unstable();
    let mut right = [&script, &outer, &twin].map(|path| path.to_str().unwrap());
    right.sort_unstable();
    assert_eq!(names, right);

    // The link comes first, so what is below it is named by it.
    let all = [&link, &top.join("a"), &inner];
    let apply = said(mayexec().args(["scan", "--fix", "--apply"]).args(all));
    assert_eq!(
        (apply.code, apply.err.as_str()),
        (Some(0), ""),
        "a second hard link is no trouble: {apply:?}"
    );
    let line = format!("chmod a+x -- '{}/x.sh'\n", link.display());
    assert!(apply.out.contains(&line), "{apply:?}");
    assert_eq!([&outer, &script, &twin].map(|path| mode(path)), [0o755; 3]);
    assert_eq!(said(mayexec().arg("scan").args(all)).code, Some(0));
}

#[test]
fn scan_prints_commands_that_are_safe_to_read() {
    let dir = dir();
    let names: [&[u8]; 4] = [
        b"\x1b[2K\rsafe.sh",
        b"x\nchmod 777 y.sh",
        b"\xff\n",
        "\u{202e}hs.x".as_bytes(),
    ];
    for name in names {
        put(dir.path(), OsStr::from_bytes(name), "#!/bin/sh\n", 0o644);
    }
    let fix = mayexec()
        .args(["scan", "--fix"])
        .arg(dir.path())
        .output()
        .unwrap()
        .stdout;
    let graphic = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    assert!(fix.iter().all(graphic), "{fix:?}");
    assert_eq!(fix.split(|&byte| byte == b'\n').count(), names.len() + 2);
    let done = said(Command::new("sh").write_stdin(fix));
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    for name in names {
        assert_eq!(mode(&dir.path().join(OsStr::from_bytes(name))), 0o755);
    }
}

#[test]
fn scan_asks_for_another_user() {
    let dir = dir();
    put(dir.path(), "own.sh", "", 0o744);
    // Owned by whoever runs the test, who is not this user.
    let said = said(
        mayexec()
            .args(["scan", "--as-user", "nobody"])
            .arg(dir.path()),
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains("own.sh: no execute permission"),
        "{said:?}"
    );
    let said = self::said(
        mayexec()
            .args(["scan", "--as-user", "no such"])
            .arg(dir.path()),
    );
    assert_eq!(said.code, Some(3), "{said:?}");
}

#[test]
fn status_agrees_with_the_library() {
    let said = said(mayexec().args(["status", "--json"]));
    assert_eq!(said.code, Some(0));
    let status: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let support = mayexec::Support::get();
    assert_eq!(status["o_mayexec"], support.mayexec);
    let works = support.execve_check() == ExecveCheck::Works;
    assert_eq!(status["at_execve_check"], works);
    assert_eq!(status["o_emptypath"], support.emptypath);
}

#[test]
fn what_status_says_stands_in_a_column() {
    use rustix::thread::{
        CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits,
    };
    // The securebit, which status says more of; an older kernel has none.
    if mayexec::Support::get().execve_check() == ExecveCheck::Works {
        let restrict = CapabilitiesSecureBits::from_bits_retain(1 << 8);
        set_capabilities_secure_bits(capabilities_secure_bits().unwrap() | restrict).unwrap();
    }
    let status = said(mayexec().arg("status"));
    for line in status.out.lines() {
        let (label, text) = line.split_at(17);
        assert!(label.ends_with(' ') && !text.starts_with(' '), "{status:?}");
    }
}

/// openat2(2) and execveat(2).
const OPENAT2: i64 = 437;
const EXECVEAT: i64 = 322;

/// Makes system calls end so in this thread and in what it starts.
fn filter(calls: &[i64], action: SeccompAction) {
    let filter: BpfProgram = SeccompFilter::new(
        calls.iter().map(|&call| (call, vec![])).collect(),
        SeccompAction::Allow,
        action,
        seccompiler::TargetArch::x86_64,
    )
    .unwrap()
    .try_into()
    .unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

#[test]
fn a_filter_is_survived_and_said() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo ran\n", 0o755);
    filter(&[OPENAT2, EXECVEAT], SeccompAction::Errno(38));
    let run = said(mayexec().args(["run", "sh"]).arg(&script));
    assert_eq!((run.code, run.out.as_str()), (Some(0), "ran\n"), "{run:?}");
    let run = said(mayexec().args(["run", "--strict", "sh"]).arg(&script));
    assert_eq!((run.code, run.out.as_str()), (Some(125), ""), "{run:?}");
    let status = said(mayexec().arg("status"));
    assert!(status.out.contains("filtered by seccomp"), "{status:?}");
    let scan = said(mayexec().arg("scan").arg(dir.path()));
    assert_eq!(scan.code, Some(0), "{scan:?}");
}

#[test]
fn a_filter_that_kills_does_not_end_check() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo ran\n", 0o755);
    filter(&[EXECVEAT], SeccompAction::KillProcess);
    for args in [&["check"][..], &["run", "sh"]] {
        let said = said(mayexec().args(args).arg(&script));
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
    }
    let status = said(mayexec().arg("status"));
    assert!(status.out.contains("filtered by seccomp"), "{status:?}");
}

/// The command on a system whose sysctl has this value, as its user can see: in a mount
/// namespace with another file in the sysctl's place. A kernel that has the flag does not take
/// its policy from there.
fn under_sysctl(value: &str, words: &str) -> Said {
    under_sysctl_after("true", value, words)
}

/// The same, when something was done in the mount namespace.
fn under_sysctl_after(before: &str, value: &str, words: &str) -> Said {
    let line = format!(
        "{before} && mount -t tmpfs none /proc/sys/fs \
         && echo {value} >/proc/sys/fs/open_mayexec_enforce && exec \"$0\" {words}"
    );
    let mut command = in_namespaces();
    command.args(["sh", "-c", &line]);
    said(command.arg(env!("CARGO_BIN_EXE_mayexec")))
}

#[test]
fn a_policy_that_the_kernel_cannot_apply_is_applied() {
    let dir = dir();
    let bad = put(dir.path(), "bad", "echo ran\n", 0o644);
    let good = put(dir.path(), "good", "echo ran\n", 0o755);
    filter(&[OPENAT2], SeccompAction::Errno(38));
    for (value, file, code) in [
        ("0", &bad, 0),
        ("1", &bad, 0),
        ("2", &bad, 126),
        ("3", &bad, 126),
        ("4", &bad, 0),
        ("7", &bad, 0),
        ("3", &good, 0),
        ("3", &Path::new("/dev/null").to_owned(), 126),
    ] {
        let said = under_sysctl(value, &format!("run sh {}", file.display()));
        assert_eq!(said.code, Some(code), "{value}, {file:?}: {said:?}");
    }
    let check = under_sysctl("3", &format!("check {}", bad.display()));
    assert_eq!(check.code, Some(1), "{check:?}");
    let status = under_sysctl("3", "status");
    assert!(
        status.out.contains("hidden by a seccomp filter"),
        "{status:?}"
    );
    let missed = under_sysctl("3", "status --require kernel:1");
    assert_eq!(missed.code, Some(1));
    let why = "mayexec: what --require demands is not there: an open gets ";
    assert!(missed.err.starts_with(why), "{missed:?}");
    let unreadable = under_sysctl("x", "status --require securebits");
    assert_eq!(unreadable.code, Some(1), "{unreadable:?}");
    assert!(unreadable.err.starts_with(why), "{unreadable:?}");
    let demand = "status --require securebits:3";
    assert_eq!(under_sysctl("3", demand).code, Some(0));
    let missed = under_sysctl("7", demand);
    assert_eq!(missed.code, Some(1));
    let why = "not there: the policy in force enforces none\n";
    assert!(missed.err.ends_with(why), "{missed:?}");

    filter(&[EXECVEAT], SeccompAction::Errno(13));
    let run = under_sysctl("3", &format!("run sh {}", good.display()));
    assert_eq!((run.code, run.out.as_str()), (Some(126), ""), "{run:?}");
    assert!(run.err.contains("seccomp"), "{run:?}");
    let run = under_sysctl("1", &format!("run sh {}", good.display()));
    assert_eq!(run.code, Some(0), "{run:?}");
    for (value, gets) in [
        ("0", "an ordinary open, nothing is checked"),
        ("1", "the sysctl's check of mounts, made by the program"),
        (
            "3",
            "a refusal: the policy asks for AT_EXECVE_CHECK, which is impossible",
        ),
        ("7", "an ordinary open, nothing is checked"),
    ] {
        let status = under_sysctl(value, "status");
        let line = format!("an open gets     {gets}\n");
        assert!(status.out.ends_with(&line), "{status:?}");
        let missed = under_sysctl(value, "status --require kernel");
        let why = format!("an open gets {gets}\n");
        assert!(missed.err.ends_with(&why), "{missed:?}");
    }
}

#[test]
fn fix_leaves_what_somebody_has_disarmed() {
    let dir = dir();
    let daily = dir.path().join("cron.daily");
    fs::create_dir(&daily).unwrap();
    let job = put(&daily, "job", "#!/bin/sh\n", 0o644);
    let armed = put(dir.path(), "armed.sh", "#!/bin/sh\n", 0o4644);
    let plain = put(dir.path(), "plain.sh", "#!/bin/sh\n", 0o644);
    let capable = put(dir.path(), "capable.sh", "#!/bin/sh\n", 0o644);
    // Version 2 of the attribute, effective: CAP_NET_RAW. Who may not set it makes a user's own file.
    let value: [u8; 20] = std::array::from_fn(|at| match at {
        0 => 1,
        3 => 2,
        5 => 1 << 5,
        _ => 0,
    });
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&capable, "security.capability", &value, flags).is_err() {
        fs::set_permissions(&capable, fs::Permissions::from_mode(0o2644)).unwrap();
    }
    let before = mode(&capable);
    let shown = said(mayexec().args(["scan", "--fix"]).arg(dir.path()));
    assert_eq!(
        shown.out.matches("\nchmod ").count() + usize::from(shown.out.starts_with("chmod ")),
        1
    );
    for reason in ["set-user-ID", "turned off"] {
        assert!(shown.out.contains(reason), "{shown:?}");
    }
    let fixed = said(mayexec().args(["scan", "--fix", "--apply"]).arg(dir.path()));
    assert_eq!(fixed.err.matches("is left").count(), 3, "{fixed:?}");
    let still = "after the change: 3 still would be denied";
    assert!(
        fixed.out.contains(still) && fixed.code == Some(1),
        "{fixed:?}"
    );
    assert_eq!(
        [mode(&job), mode(&armed), mode(&plain), mode(&capable)],
        [0o644, 0o4644, 0o755, before]
    );
}

/// A file has one mode, however many names it has.
#[test]
fn fix_leaves_all_names_of_what_it_leaves() {
    let dir = dir();
    let [daily, lib] = ["cron.daily", "lib"].map(|name| dir.path().join(name));
    for dir in [&daily, &lib] {
        fs::create_dir(dir).unwrap();
    }
    let job = put(&daily, "job", "#!/bin/sh\n", 0o644);
    let twin = lib.join("job.sh");
    fs::hard_link(&job, &twin).unwrap();
    let scan = |words: &[&str]| said(mayexec().arg("scan").args(words).arg(dir.path()));
    let shown = scan(&["--fix"]);
    assert!(!shown.out.contains("chmod "), "{shown:?}");
    let report: serde_json::Value = serde_json::from_str(&scan(&["--json"]).out).unwrap();
    for at in 0..2 {
        let fixed = &report["denied"][at]["fixed_mode"];
        assert_eq!(*fixed, serde_json::Value::Null, "{report}");
    }
    let fixed = scan(&["--fix", "--apply"]);
    assert_eq!(mode(&job), 0o644);
    assert_eq!(fixed.err.matches(" is left: ").count(), 2, "{fixed:?}");
    assert_eq!(fixed.code, Some(1), "{fixed:?}");
}

#[test]
fn a_mode_that_stays_is_said() {
    let dir = dir();
    let file = put(dir.path(), "a.sh", "", 0o644);
    // What chmod(2) does on vfat with the option `quiet`: it succeeds and changes nothing.
    const CHMOD: [i64; 3] = [90, 268, 452];
    filter(&CHMOD, SeccompAction::Errno(0));
    let fix = said(mayexec().args(["scan", "--fix", "--apply"]).arg(dir.path()));
    assert_eq!(fix.code, Some(3), "{fix:?}");
    let still = "after the change: 1 still would be denied";
    assert!(fix.out.contains(still), "{fix:?}");
    let complaint = format!(
        "mayexec: {}: the filesystem does not change the mode\n",
        file.display()
    );
    assert!(fix.err.contains(&complaint), "{fix:?}");
    assert_eq!(mode(&file), 0o644);
}

/// Debian's sitecustomize.py is a link from /usr to /etc, which confext mounts noexec.
#[test]
fn a_link_is_judged_at_its_end() {
    let dir = dir();
    let (usr, etc) = (dir.path().join("usr"), dir.path().join("etc"));
    fs::create_dir(&usr).unwrap();
    fs::create_dir(&etc).unwrap();
    let code = put(dir.path(), "code.sh", "echo ran\n", 0o755);
    std::os::unix::fs::symlink("../etc/code.sh", usr.join("code.sh")).unwrap();
    let noexec = format!(
        "mount -t tmpfs -o noexec none {etc} && cp -p {code} {etc}",
        etc = etc.display(),
        code = code.display()
    );
    filter(&[OPENAT2], SeccompAction::Errno(38));
    let ask = |verb: &str, path: &Path| {
        under_sysctl_after(&noexec, "1", &format!("{verb} {}", path.display()))
    };
    let run = ask("run sh", &usr.join("code.sh"));
    assert_eq!((run.code, run.out.as_str()), (Some(126), ""), "{run:?}");
    assert!(run.err.contains("on a noexec mount"), "{run:?}");
    let check = ask("check", &usr.join("code.sh"));
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(check.out.contains("denied: on a noexec mount"), "{check:?}");
    let scan = ask("scan", &usr);
    assert_eq!(scan.code, Some(0), "{scan:?}");
    let scan = ask("scan", &etc);
    assert_eq!(scan.code, Some(1), "{scan:?}");
    assert!(scan.out.contains("/etc/code.sh: noexec mount"), "{scan:?}");
}

/// Of each mount below the directory, its own noexec counts: of one that a directory has, and
/// of one that a single file has. What the kernel has made up is not read there either.
#[test]
fn mounts_below_a_directory_are_their_own() {
    let dir = dir();
    for name in ["below/x", "file.sh", "file", "kernel.sh"] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(dir.path(), name, "", 0o755);
    }
    let before = format!(
        "cd {} && mount -t tmpfs -o noexec none below && echo '#!/bin/sh' >below/x \
         && chmod 755 below/x && mount --bind below/x file.sh && mount --bind below/x file \
         && mount --bind /proc/version kernel.sh",
        dir.path().display()
    );
    for hidden in [false, true] {
        if hidden {
            filter(&[OPENAT2], SeccompAction::Errno(38));
        }
        let all = under_sysctl_after(&before, "0", "scan .");
        assert_eq!(all.code, Some(1), "{all:?}");
        let mut found: Vec<&str> = all.out.lines().collect();
        found.sort_unstable();
        let last = found.pop().unwrap_or_default();
        let counts = ": 0 executable, 3 would be denied (3 scripts), 3 on noexec mounts";
        assert!(
            last.starts_with("4 files in ") && last.ends_with(counts),
            "{last}"
        );
        let list = [
            "./below/x: noexec mount (script, /bin/sh)",
            "./file.sh: noexec mount (script, /bin/sh)",
            "./file: noexec mount (script, /bin/sh)",
        ];
        assert_eq!(found, list);
        // Files are on no other file system than their directory's, as find -xdev has it.
        let own = under_sysctl_after(&before, "0", "scan -x .");
        assert!(!own.out.contains("below"), "{own:?}");
    }
}

/// The mounts on which a system lets everybody write and execute.
#[test]
fn what_is_dropped_on_the_rollout_s_mounts_is_refused() {
    let dir = dir();
    filter(&[OPENAT2], SeccompAction::Errno(38));
    let mut places = Vec::new();
    let lines = include_str!("../../rollout/fstab").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [what, place, kind, options, ..] = fields[..] else {
            panic!("{line}");
        };
        places.push(place);
        let at = dir.path().join(place.trim_start_matches('/'));
        fs::create_dir_all(&at).unwrap();
        let at = at.display();
        let before = format!(
            "mount -t {kind} -o {options} {what} {at} && echo echo ran >{at}/drop.sh \
             && chmod 755 {at}/drop.sh"
        );
        for (sysctl, code) in [("0", 0), ("1", 126)] {
            let run = under_sysctl_after(&before, sysctl, &format!("run sh {at}/drop.sh"));
            assert_eq!(run.code, Some(code), "{place}: {run:?}");
        }
    }
    assert_eq!(places, ["/dev/shm", "/run"]);
}

#[test]
fn pseudo_filesystems_are_not_scanned() {
    let said = said(mayexec().args(["scan", "--json", "/proc/self"]));
    assert_eq!(said.code, Some(3), "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["files"], 0);
}

#[test]
fn what_is_not_mapped_is_not_overridden() {
    let dir = dir();
    let path = put(dir.path(), "x.sh", "#!/bin/sh\n", 0o744);
    if rustix::process::geteuid().as_raw() != 0 {
        // Nobody else's file can be made.
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let bin = env!("CARGO_BIN_EXE_mayexec");
    let asked = |words: &str| {
        let line = format!(
            "exec setpriv --reuid 65533 --regid 65533 --clear-groups \
             unshare --user --map-root-user {bin} {words}"
        );
        said(Command::new("sh").args(["-c", &line]))
    };
    let scan = asked(&format!("scan {}", dir.path().display()));
    assert_eq!(scan.code, Some(1), "{scan:?}");
    assert!(scan.out.contains(path.to_str().unwrap()), "{scan:?}");
    let check = asked(&format!("check --json {}", path.display()));
    let report: serde_json::Value = serde_json::from_str(&check.out).unwrap();
    for bits in [2, 3] {
        let why = &report[0]["policies"][bits]["why"];
        assert_eq!(why, "no execute permission", "{check:?}");
    }
}

#[test]
fn sourced_code_is_found_by_its_place() {
    let dir = dir();
    let top = dir.path();
    for name in [
        "etc/default",
        "etc/skel",
        "usr/lib/lsb",
        "usr/share/debconf",
        "opt/x",
    ] {
        fs::create_dir_all(top.join(name)).unwrap();
    }
    let found = [
        "etc/profile",
        "etc/bash.bashrc",
        "etc/default/cron",
        "etc/skel/.bashrc",
        "usr/lib/lsb/init-functions",
        "usr/share/debconf/confmodule",
    ];
    for name in found.iter().chain(&["opt/x/env", "opt/x/profile"]) {
        put(top, name, "PATH=/bin\n", 0o644);
    }
    // Below /etc as the system has it, and below a tree that is scanned.
    let line = "mount -t tmpfs none /etc && mkdir -p /etc/mayexec/scan.d && \
                echo '/opt/*/env tcsh' >/etc/mayexec/scan.d/own.conf && exec \"$0\" scan \"$1\"";
    let apart = |line: &str| {
        let mut command = in_namespaces();
        command.args(["sh", "-c", line]);
        said(command.arg(env!("CARGO_BIN_EXE_mayexec")).arg(top))
    };
    for (said, more) in [(said(mayexec().arg("scan").arg(top)), 0), (apart(line), 1)] {
        for name in found {
            let line = format!("{}/{name}: no execute permission (read by ", top.display());
            assert!(said.out.contains(&line), "{name}: {said:?}");
        }
        let own = format!(
            "{}/opt/x/env: no execute permission (read by tcsh)",
            top.display()
        );
        assert_eq!(said.out.matches(&own).count(), more, "{said:?}");
        assert!(!said.out.contains("x/profile"), "{said:?}");
    }
    let wrong = apart(&line.replace("'/opt/*/env tcsh'", "/opt"));
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.err.contains("own.conf: line 1"), "{wrong:?}");
}

#[test]
fn what_would_not_break_is_counted_apart() {
    let dir = dir();
    let top = dir.path();
    for name in [
        "usr/share/doc/x/examples",
        "var/www/app",
        "usr/lib/__pycache__",
    ] {
        fs::create_dir_all(top.join(name)).unwrap();
    }
    put(top, "usr/share/doc/x/examples/run.sh", "#!/bin/sh\n", 0o644);
    put(top, "usr/share/doc/x/README", "text\n", 0o644);
    put(top, "var/www/app/page.js", "x()\n", 0o644);
    put(top, "var/www/app/page.mjs", "x()\n", 0o644);
    put(top, "usr/lib/__pycache__/x.pyc", "x", 0o644);
    put(
        top,
        "usr/lib/x.debug",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0",
        0o644,
    );
    put(top, "usr/lib/server.js", "x()\n", 0o644);
    let text = said(mayexec().arg("scan").arg(top));
    let end = "counted apart: 1 cache, 1 debug, 1 documentation, 2 web\n";
    assert!(text.out.ends_with(end), "{text:?}");
    assert!(text.out.contains(" 1 would be denied "), "{text:?}");
    let json = said(mayexec().args(["scan", "--json"]).arg(top));
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["apart"]["web"], 2, "{json:?}");
    assert_eq!(denied(&report).len(), 1, "{json:?}");
}

#[test]
fn packages_are_named() {
    // Essential, so that every Debian has it.
    let debconf = "/usr/share/debconf";
    let dir = dir();
    put(dir.path(), "own.sh", "#!/bin/sh\n", 0o644);
    let scan = |words: &[&str]| {
        said(
            mayexec()
                .args(["scan", "--by-package"])
                .args(words)
                .arg(debconf)
                .arg(dir.path()),
        )
    };
    let grouped = scan(&[]);
    assert!(
        grouped.out.starts_with("no package: 1 would be denied ("),
        "{grouped:?}"
    );
    let line = "\ndebconf: 2 would be denied (";
    assert!(grouped.out.contains(line), "{grouped:?}");
    let json = scan(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["packages"]["debconf"], 2, "{json:?}");
    assert_eq!(report["denied"][1]["package"], "debconf", "{json:?}");
}

#[test]
fn the_modes_of_packages_are_kept() {
    let dir = dir();
    let own = put(dir.path(), "own.py", "", 0o644);
    let packaged = put(dir.path(), "it.py", "", 0o644);
    // No file of the system's: a test of a broken command would change its mode.
    let text = format!(
        "#!/bin/sh\necho 'report: {}'\nexit $OWN\n",
        packaged.display()
    );
    let scan = |tool: &str, words: &[&str]| {
        let tools = tempfile::tempdir().unwrap();
        put(tools.path(), tool, &text, 0o755);
        let mut command = mayexec();
        command
            .arg("scan")
            .args(words)
            .arg(dir.path())
            .env("PATH", tools.path());
        // dpkg-query says so if some file is nobody's.
        said(command.env("OWN", if tool == "rpm" { "0" } else { "1" }))
    };
    let chmod = format!("\nchmod a+x -- '{}'\n", own.display());
    let attr = format!("\n%attr(0755, -, -) {}\n", packaged.display());
    let own_owner = if rustix::process::geteuid().is_root() {
        "root root"
    } else {
        "'#"
    };
    let dpkg = format!("\ndpkg-statoverride --update --add {own_owner}");
    for (tool, form, line) in [
        ("dpkg-query", "--fix=statoverride", &dpkg),
        ("dpkg-query", "--fix=rpm", &attr),
        ("rpm", "--fix=rpm", &attr),
    ] {
        let lines = scan(tool, &[form]);
        assert!(lines.out.contains(line), "{line} {lines:?}");
        assert!(lines.out.contains(&chmod), "of no package: {lines:?}");
        assert!(
            lines.out.contains("# report: 1 would be denied"),
            "{lines:?}"
        );
        let refused = scan(tool, &[form, "--apply"]);
        assert_eq!((refused.code, mode(&own)), (Some(2), 0o644), "{refused:?}");
    }
    let lines = scan("dpkg-query", &["--fix=statoverride"]);
    let end = format!(" 0755 '{}'\n", packaged.display());
    assert!(lines.out.contains(&end), "{lines:?}");
    let all = ["--by-package", "--json", "--fix", "--apply"];
    let none = scan("other", &all);
    assert_eq!((none.code, none.out.as_str()), (Some(3), ""), "{none:?}");
    assert!(none.err.contains("neither dpkg-query nor rpm"), "{none:?}");
    let tools = self::dir();
    put(tools.path(), "dpkg-query", "#!/bin/sh\nexit 2\n", 0o755);
    let mut command = mayexec();
    command.arg("scan").args(all).arg(dir.path());
    let failed = said(command.env("PATH", tools.path()));
    assert_eq!(
        (failed.code, failed.out.as_str()),
        (Some(3), ""),
        "{failed:?}"
    );
    assert_eq!(mode(&own), 0o644, "nothing is changed without a report");
}

#[test]
fn long_names_are_asked_for_in_parts() {
    let dir = dir();
    let deep = dir.path().join(["x".repeat(200).as_str(); 18].join("/"));
    fs::create_dir_all(&deep).unwrap();
    for file in 0..700 {
        put(&deep, format!("{file}.py"), "", 0o644);
    }
    put(dir.path(), "dpkg-query", "#!/bin/sh\nexit 1\n", 0o755);
    let mut command = mayexec();
    command.args(["scan", "--by-package"]).arg(dir.path());
    let said = said(command.env("PATH", dir.path()));
    assert_eq!(said.code, Some(1), "{}", said.err);
    let start = "no package: 700 would be denied (";
    assert!(said.out.starts_with(start), "{}", said.err);
}

#[test]
fn what_is_found_is_shown_before_the_scan_ends() {
    let dir = dir();
    let top = dir.path().join("top");
    fs::create_dir(&top).unwrap();
    for file in 0..500 {
        put(&top, file.to_string(), "#!/bin/sh\n", 0o644);
    }
    let calls = dir.path().join("calls");
    let traced = said(
        Command::new("strace")
            .args(["-f", "-e", "trace=openat2,write", "-o"])
            .arg(&calls)
            .args([env!("CARGO_BIN_EXE_mayexec"), "scan"])
            .arg(&top),
    );
    assert_eq!(traced.code, Some(1), "{traced:?}");
    let text = fs::read_to_string(calls).unwrap();
    let shown = text.find("write(1, ").unwrap();
    assert!(shown < text.rfind("openat2(").unwrap(), "{text}");
}

#[test]
fn an_empty_name_is_a_file_that_is_not_there() {
    let said = said(mayexec().args(["check", "", "/bin/sh"]));
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.out.contains("\"\"\n  cannot be opened: No such file"),
        "{said:?}"
    );
    assert!(said.out.contains("/bin/sh\n  in force"), "{said:?}");
}

#[test]
fn strict_blames_no_policy() {
    let dir = dir();
    let script = put(dir.path(), "x", "echo ran\n", 0o644);
    let strict = said(mayexec().args(["run", "--strict", "sh"]).arg(&script));
    assert!(!strict.err.contains("policy"), "{strict:?}");
    if mayexec::Support::get().execve_check() == ExecveCheck::Works {
        assert!(
            strict.err.ends_with(": no execute permission\n"),
            "{strict:?}"
        );
    }
}

#[test]
fn what_nobody_reads_is_an_error() {
    let bin = env!("CARGO_BIN_EXE_mayexec");
    let dir = dir();
    put(dir.path(), "x.py", "", 0o644);
    let top = dir.path().display();
    for words in [
        "status",
        "status --json",
        "check /bin/sh",
        "--help",
        "--version",
        "help scan",
    ] {
        for to in [">&-", ">/dev/full"] {
            let said = said(Command::new("sh").args(["-c", &format!("{bin} {words} {to}")]));
            assert_eq!(said.code, Some(3), "{words} {to}: {said:?}");
            assert!(said.err.starts_with("mayexec: "), "{words} {to}: {said:?}");
        }
    }
    for to in [">&-", ">/dev/full", "--json >/dev/full"] {
        let said = said(Command::new("sh").args(["-c", &format!("{bin} scan {top} {to}")]));
        assert_eq!(said.code, Some(3), "{to}: {said:?}");
    }
    let null = said(Command::new("sh").args(["-c", &format!("{bin} status >/dev/null")]));
    assert_eq!(null.code, Some(0), "{null:?}");
}

#[test]
fn what_an_interpreter_cannot_run_right_is_refused() {
    let dir = dir();
    for (program, text, project) in [
        ("perl", "use FindBin; print $FindBin::Bin;\n", "perl"),
        (
            "python3",
            "import multiprocessing\nprint('ran')\n",
            "python",
        ),
        (
            "python3",
            "from concurrent.futures import ProcessPoolExecutor\n",
            "python",
        ),
    ] {
        let script = put(dir.path(), "x", text, 0o755);
        let run = said(mayexec().args(["run", program]).arg(&script));
        assert_eq!((run.code, run.out.as_str()), (Some(125), ""), "{run:?}");
        let patch = format!("patches/projects/{project}");
        assert!(run.err.contains(&patch), "{run:?}");
    }
}

/// How often `mayexec scan` calls openat2(2), as strace counts.
fn openat2_calls(dir: &Path) -> usize {
    let counts = dir.with_extension("counts");
    let traced = said(
        Command::new("strace")
            .args(["-f", "-c", "-e", "trace=openat2", "-o"])
            .arg(&counts)
            .args([env!("CARGO_BIN_EXE_mayexec"), "scan"])
            .arg(dir),
    );
    assert_eq!(traced.code, Some(1), "{traced:?}");
    let text = fs::read_to_string(counts).unwrap();
    let line = text.lines().find(|line| line.ends_with("openat2")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn scan_opens_each_file_once() {
    let dir = dir();
    let trees = [10, 210].map(|files| {
        let top = dir.path().join(files.to_string());
        fs::create_dir(&top).unwrap();
        put(&top, "code.sh", "", 0o644);
        for file in 0..files {
            put(&top, file.to_string(), "text", 0o644);
            put(&top, format!("{file}.sh"), "#!/bin/sh", 0o755);
            put(&top, format!("{file}.py"), "text", 0o644);
            put(&top, format!("{file}-x"), "#!/bin/sh", 0o755);
        }
        openat2_calls(&top)
    });
    assert_eq!(
        trees[1] - trees[0],
        400,
        "where the name tells nothing: {trees:?}"
    );
}

#[test]
fn pages_and_completions_are_made() {
    let dir = dir();
    let generate = || {
        let mut command = mayexec();
        command
            .arg("generate")
            .arg(dir.path())
            .env("SOURCE_DATE_EPOCH", "951782400");
        command
    };
    assert_eq!(said(&mut generate()).code, Some(0));
    let mut pages = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "1") {
            continue;
        }
        pages += 1;
        let page = fs::read_to_string(&path).unwrap();
        let page = page.replace('\\', "");
        let title = path.file_stem().unwrap().to_str().unwrap().to_uppercase();
        let right = format!(".TH {title} 1 2000-02-29 ");
        assert!(page.lines().any(|line| line.starts_with(&right)), "{page}");
        assert!(page.contains("The command line is wrong."), "{page}");
        for section in ["EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"] {
            let heads = [format!(".SH \"{section}\"\n"), format!(".SH {section}\n")];
            assert!(
                heads.iter().any(|head| page.contains(head)),
                "{section}: {page}"
            );
        }
        assert!(!page.contains('`') && !page.contains("EXTRA"), "{page}");
        let lint = Command::new("mandoc")
            .args(["-Tlint", "-W", "style"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&lint.stdout).into_owned();
        assert_eq!(text, "", "{}", path.display());
    }
    assert_eq!(pages, 6);
    let scan = fs::read_to_string(dir.path().join("mayexec-scan.1")).unwrap();
    assert!(scan.contains("/etc/mayexec/scan.d/"), "{scan}");
    // What an option takes, and how often a name may stand there.
    let usage = "mayexec scan [OPTIONS] <DIRS>...";
    assert!(scan.replace('\\', "").contains(usage), "{scan}");
    let page = fs::read_to_string(dir.path().join("mayexec.1")).unwrap();
    assert!(page.contains("MOUNT") && page.contains("FILE"), "{page}");
    for name in ["mayexec.bash", "_mayexec", "mayexec.fish"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(!text.contains("generate"), "{name}: {text}");
    }
    let complete = |words: &str, current: &str| {
        let line = format!(
            "source {}/mayexec.bash; COMP_WORDS=(mayexec {words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _mayexec_or_command mayexec '{current}' x; echo \"${{COMPREPLY[*]}}\"",
            dir.path().display()
        );
        said(Command::new("bash").args(["-c", &line])).out
    };
    assert!(
        complete("run pyth", "pyth").contains("python3"),
        "a command"
    );
    assert!(
        complete("run --strict das", "das").contains("dash"),
        "a command"
    );
    assert!(complete("sta", "sta").contains("status"), "a verb");
}
