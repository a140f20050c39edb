// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ladder has two implementations: this library, and `open_code.h`, on which the library for
//! C is built. Both meet every way in which the flag is missing or hidden, every policy and every
//! answer to `AT_EXECVE_CHECK`, and must do the same: what the table of the README says.

mod succeed;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use succeed::succeed;

/// `SECBIT_EXEC_RESTRICT_FILE`.
const RESTRICT_FILE: u32 = 1 << 8;
/// `SECBIT_EXEC_DENY_INTERACTIVE`.
const DENY_INTERACTIVE: u32 = 1 << 10;

/// What is opened: executable or not, on an exec and a noexec mount; no regular file; a
/// filesystem that is noexec by itself; somebody writes to it; nothing.
const FILES: [&str; 9] = [
    "x",
    "plain",
    "noexec/x",
    "noexec/plain",
    "/dev/null",
    ".",
    "/proc/version",
    "busy",
    "missing",
];

/// The programs, and the files that they open.
struct Stage {
    dir: tempfile::TempDir,
    rust: PathBuf,
}

/// A turn: what the programs meet.
#[derive(Debug, Clone, Copy)]
struct Turn<'a> {
    /// What openat2(2) does, as `ladders/kernel.c` has it; empty for the real one.
    kernel: &'a str,
    /// Filters, as `ladders/under.c` has them.
    filters: &'a str,
    /// What the file of the sysctl holds; none if there is no such file in a procfs.
    sysctl: Option<&'a str>,
    securebits: u32,
}

impl Turn<'_> {
    /// The checks that are to be made in the program, where the kernel makes none.
    fn checks(&self) -> u32 {
        let value: u32 = self
            .sysctl
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if value & 4 != 0 { 0 } else { value & 3 }
    }

    /// The right answer of open(), as an errno, with checks that work in the program.
    fn right(&self, file: &str) -> i32 {
        let checks = self.checks();
        let restricted = self.securebits & RESTRICT_FILE != 0;
        let check = checks & 2 != 0 || restricted;
        let mount = checks & 1 != 0 || check;
        let denied = match file {
            "missing" => return libc::ENOENT,
            "busy" if check => return libc::ETXTBSY,
            "x" | "busy" => false,
            "plain" => check,
            "noexec/x" => mount,
            "/dev/null" | "." => mount || check || self.securebits & DENY_INTERACTIVE != 0,
            _ => mount || check,
        };
        if denied { libc::EACCES } else { 0 }
    }
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (own, userspace) = (here.join("tests/ladders"), here.parent().unwrap());
        let api = userspace.join("mayexec-capi");
        let compile = |name: &str, args: &[&str], more: &[PathBuf]| {
            let mut cc = Command::new("gcc");
            cc.args(["-Wall", "-Wextra", "-Werror", "-O0"])
                .arg(format!("-I{}", api.join("include").display()))
                .arg(format!("-I{}", userspace.join("open_code").display()))
                .args(args)
                .arg("-o")
                .arg(dir.path().join(name))
                .args(more);
            succeed(&mut cc);
        };
        compile("c", &[], &[own.join("outcome.c"), api.join("mayexec.c")]);
        compile("under", &[], &[own.join("under.c")]);
        compile("kernel.so", &["-shared", "-fPIC"], &[own.join("kernel.c")]);
        for (name, mode) in [("x", 0o755), ("plain", 0o644), ("busy", 0o755)] {
            let path = dir.path().join(name);
            fs::write(&path, "code").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(dir.path().join("noexec")).unwrap();
        // TARGET/debug/deps/NAME
        let exe = std::env::current_exe().unwrap();
        let rust = exe.ancestors().nth(2).unwrap().join("examples/outcome");
        assert!(rust.exists(), "cargo has not built the example");
        Self { dir, rust }
    }

    /// What the library for Rust says, and what C says, line by line, for each value of the
    /// sysctl.
    fn ask(&self, turn: Turn<'_>, sysctls: &[Option<&str>]) -> Vec<[Vec<String>; 2]> {
        // A program that is killed for a call that is demanded of it says nothing.
        let ways = if turn.filters.contains("kill") {
            "open"
        } else {
            "all"
        };
        let kernel = if turn.kernel.is_empty() {
            String::new()
        } else {
            format!("KERNEL={} LD_PRELOAD=./kernel.so ", turn.kernel)
        };
        let run = |program: &Path| {
            format!(
                "{kernel}./under {} {} -- {} {ways} {} 2>&1 || echo \"ended with $?\"\necho next\n",
                turn.securebits,
                turn.filters,
                program.display(),
                FILES.join(" ")
            )
        };
        let mut script = "mount -t tmpfs -o noexec,mode=755 none noexec &&\n\
                          cp -p x plain noexec && exec 9>>busy || exit 98\n"
            .to_owned();
        for sysctl in sysctls {
            script += &match sysctl {
                Some(text) => format!(
                    "mount -t tmpfs none /proc/sys/fs &&\n\
                     printf '{text}' >/proc/sys/fs/open_mayexec_enforce || exit 97\n"
                ),
                // A kernel that has the sysctl shows another directory in its place.
                None => "mount --bind /proc/sys/vm /proc/sys/fs || exit 97\n".to_owned(),
            };
            script += &(run(&self.rust) + &run(Path::new("./c")));
        }
        let output = succeed(
            Command::new("unshare")
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
                .current_dir(self.dir.path()),
        );
        let said = String::from_utf8(output.stdout).unwrap();
        // The library for Rust adds the policy in parentheses.
        let said: Vec<Vec<String>> = said
            .split_terminator("next\n")
            .map(|said| said.lines().map(|line| upto(line, " (")).collect())
            .collect();
        assert_eq!(said.len(), 2 * sysctls.len(), "{turn:?}: {said:?}");
        said.chunks_exact(2)
            .map(|said| [said[0].clone(), said[1].clone()])
            .collect()
    }

    /// All must say the same, and what is right if somebody knows that.
    fn same(turn: Turn<'_>, [rust, c]: [Vec<String>; 2], right: Option<&dyn Fn(&str) -> i32>) {
        let (header, c): (Vec<_>, Vec<_>) =
            c.into_iter().partition(|line| line.starts_with("header "));
        agree(&rust, &c, &format!("{turn:?}: Rust and C"));
        if let Some(best) = rust[0].strip_prefix("best: ") {
            let given = |way| !rust.iter().any(|line| line.starts_with(way));
            let given = match given("kernel x: 95") {
                true => "Kernel",
                false if given("securebits x: 95") => "Securebits",
                false => "Plain",
            };
            assert_eq!(
                best, given,
                "{turn:?}: what there is, and what an open can demand"
            );
        }
        let opens = rust.iter().filter(|line| line.starts_with("open "));
        let opens: Vec<_> = opens.map(|line| upto(line, ", ")).collect();
        let header: Vec<_> = header
            .iter()
            .map(|line| line.replace("header ", "open "))
            .collect();
        agree(&opens, &header, &format!("{turn:?}: Rust and the header"));
        let Some(right) = right else {
            return;
        };
        let right = |file: &&str| match right(file) {
            0 => format!("open {file}: opened"),
            errno => format!("open {file}: {errno}"),
        };
        let right: Vec<_> = FILES.iter().map(right).collect();
        agree(&opens, &right, &format!("{turn:?}: Rust and the table"));
    }
}

/// The same lines, or what differs.
fn agree(one: &[String], other: &[String], what: &str) {
    assert_eq!(one.len(), other.len(), "{what}: {one:?} and {other:?}");
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other, "{what}");
    }
}

/// What precedes `end`, or all of the line.
fn upto(line: &str, end: &str) -> String {
    line.split(end).next().unwrap().to_owned()
}

/// Whether this kernel makes AT_EXECVE_CHECK, without which most rows have other answers.
fn check_works() -> bool {
    mayexec::Support::get().execve_check() == mayexec::ExecveCheck::Works
}

/// What the file of the sysctl may hold.
const SYSCTLS: [Option<&str>; 11] = [
    None,
    Some("0"),
    Some("1"),
    Some("2"),
    Some("3"),
    Some("4"),
    Some("5"),
    Some("7"),
    Some("10"),
    Some("x"),
    Some(""),
];

#[test]
fn both_ladders_do_the_same() {
    let stage = Stage::new();
    missing_or_hidden(&stage);
    check_answered_by_a_filter(&stage);
    prctl_filtered(&stage);
    known(&stage);
}

/// The system calls of one more open, its close(2) included, in the order of their names.
fn calls(stage: &Stage, program: &Path, kernel: &str) -> Vec<String> {
    let traced = |files: &[&str]| {
        let log = stage.dir.path().join("calls");
        succeed(
            Command::new("strace")
                .arg("-o")
                .arg(&log)
                .args(["-E", "LD_PRELOAD=./kernel.so"])
                .args(["-E", &format!("KERNEL={kernel}")])
                .arg(program)
                .arg("open")
                .args(files)
                .current_dir(stage.dir.path()),
        );
        let log = fs::read_to_string(log).unwrap();
        // A plain open is either.
        let name = |line| upto(line, "(").replace("openat2", "openat");
        let mut calls: Vec<String> = log.lines().map(name).collect();
        // In debug builds, the standard library asks whether what it closes is open.
        calls.retain(|call| call != "fcntl");
        calls.sort();
        calls
    };
    let mut more = traced(&["x", "x", "x"]);
    for call in traced(&["x", "x"]) {
        let at = more.iter().position(|other| *other == call).unwrap();
        more.remove(at);
    }
    more
}

#[test]
fn an_open_costs_one_call_more_than_openat2() {
    let stage = Stage::new();
    // A kernel with the flag; one without, where the sysctl must be looked for.
    for (kernel, cost) in [
        ("0", &["close", "openat", "prctl"][..]),
        ("old", &["close", "openat", "openat", "prctl", "statfs"]),
    ] {
        // Where this system has the sysctl, it is read.
        if kernel == "old" && Path::new("/proc/sys/fs/open_mayexec_enforce").exists() {
            continue;
        }
        assert_eq!(calls(&stage, &stage.rust, kernel), cost, "{kernel}");
        // The library for C and the header, each once.
        let mut twice = [cost, cost].concat();
        twice.sort_unstable();
        assert_eq!(calls(&stage, Path::new("./c"), kernel), twice, "{kernel}");
    }
}

/// The library for Rust makes an interrupted open again, as the standard library does. C does not,
/// as open(2).
#[test]
fn an_interrupted_open_is_made_again_in_rust() {
    let stage = Stage::new();
    for (program, right) in [
        (stage.rust.as_path(), "open x: opened, "),
        (Path::new("./c"), "open x: 4, "),
    ] {
        let output = succeed(
            Command::new(program)
                .args(["open", "x"])
                .env("LD_PRELOAD", "./kernel.so")
                .env("KERNEL", "interrupted")
                .current_dir(stage.dir.path()),
        );
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(right), "{said}");
    }
}

/// 64-bit kernels add the flag, 32-bit kernels do not.
#[test]
fn files_of_any_size_are_opened() {
    let stage = Stage::new();
    for filter in ["openat2=38", "execveat=38"] {
        let log = stage.dir.path().join("opens");
        succeed(
            Command::new("strace")
                .args(["-e", "trace=openat,openat2", "-o"])
                .arg(&log)
                .args(["./under", "0", filter, "--"])
                .arg(&stage.rust)
                .args(["open", "x"])
                .current_dir(stage.dir.path()),
        );
        let log = fs::read_to_string(log).unwrap();
        let line = log.lines().find(|line| line.contains("\"x\"")).unwrap();
        assert!(line.contains("O_LARGEFILE"), "{line}");
    }
}

/// The turns with and without the securebit, where there is one.
fn securebits() -> &'static [u32] {
    if mayexec::Support::get().execve_check() == mayexec::ExecveCheck::Works {
        &[0, RESTRICT_FILE, DENY_INTERACTIVE]
    } else {
        &[0]
    }
}

/// The flag is missing or hidden.
fn missing_or_hidden(stage: &Stage) {
    for (kernel, filters) in [
        ("old", ""),
        ("drops", ""),
        ("", "openat2=38"),
        ("", "openat2=1"),
        ("", "openat2=22"),
        ("", "openat2=0"),
    ] {
        for &securebits in securebits() {
            let turn = Turn {
                kernel,
                filters,
                sysctl: None,
                securebits,
            };
            for (said, sysctl) in stage.ask(turn, &SYSCTLS).into_iter().zip(SYSCTLS) {
                let turn = Turn { sysctl, ..turn };
                let right = |file: &str| turn.right(file);
                Stage::same(turn, said, check_works().then_some(&right));
            }
        }
    }
}

/// The flag is hidden, and `AT_EXECVE_CHECK` as well.
fn check_answered_by_a_filter(stage: &Stage) {
    for answer in ["38", "1", "22", "13", "0", "kill"] {
        for &securebits in securebits() {
            let turn = Turn {
                kernel: "",
                filters: &format!("openat2=38 execveat={answer}"),
                sysctl: None,
                securebits,
            };
            for (said, sysctl) in stage.ask(turn, &SYSCTLS).into_iter().zip(SYSCTLS) {
                let turn = Turn { sysctl, ..turn };
                let asked = turn.checks() & 2 != 0 || securebits == RESTRICT_FILE;
                // A success that is made up cannot be told from the kernel's.
                let made_up = |file: &str| match (file, turn.checks()) {
                    ("missing", _) => libc::ENOENT,
                    ("noexec/x" | "noexec/plain" | "/proc/version", 1 | 3) => libc::EACCES,
                    ("/dev/null" | ".", 1..) => libc::EACCES,
                    _ => 0,
                };
                // sudo's NOEXEC and its like: what the policy asks for is impossible.
                let impossible = |file: &str| match turn.right(file) {
                    0 | libc::ETXTBSY if asked => libc::EACCES,
                    errno => errno,
                };
                match answer {
                    "0" => Stage::same(turn, said, Some(&made_up)),
                    // What is no file asks for the call, and those before it do not.
                    "kill" if securebits == DENY_INTERACTIVE => {}
                    // Whoever makes the call is killed; without a policy, nobody makes it.
                    "kill" if asked => {
                        let killed = ["Bad system call", "ended with 159"];
                        assert_eq!(said, [killed, killed], "{turn:?}");
                    }
                    _ => Stage::same(turn, said, Some(&impossible)),
                }
            }
        }
    }
}

/// The securebits cannot be read.
fn prctl_filtered(stage: &Stage) {
    let turn = Turn {
        kernel: "old",
        filters: "prctl=1",
        sysctl: None,
        securebits: 0,
    };
    for (said, sysctl) in stage.ask(turn, &SYSCTLS).into_iter().zip(SYSCTLS) {
        let turn = Turn { sysctl, ..turn };
        let right = |file: &str| turn.right(file);
        Stage::same(turn, said, check_works().then_some(&right));
    }
}

/// The kernel has the flag: its errors are final.
fn known(stage: &Stage) {
    for errno in [
        0,
        libc::EACCES,
        libc::EPERM,
        libc::ENOSYS,
        libc::EINVAL,
        libc::EIO,
    ] {
        for &securebits in securebits() {
            let turn = Turn {
                kernel: &errno.to_string(),
                // Nobody needs the call unless the securebit asks for it.
                filters: if securebits == 0 { "execveat=kill" } else { "" },
                sysctl: Some("0"),
                securebits,
            };
            // A plain open would pass.
            let right = |file: &str| match (errno, file) {
                (0, _) => turn.right(file),
                _ => errno,
            };
            for said in stage.ask(turn, &[turn.sysctl]) {
                Stage::same(turn, said, Some(&right));
            }
        }
    }
}
