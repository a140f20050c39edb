// SPDX-License-Identifier: MIT OR Apache-2.0

//! The audit library in a program of this system.

#[path = "../../mayexec/tests/built/mod.rs"]
mod built;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use built::built;
use rustix::thread::{
    CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits,
};

/// SIGABRT.
const ABORTED: Option<i32> = Some(6);

/// The audit library.
fn library() -> PathBuf {
    built().join("libmayexec_rtld.so")
}

/// Builds a program in C.
fn compile(source: &Path, program: &Path) {
    let status = Command::new("cc")
        .arg("-o")
        .arg(program)
        .arg(source)
        .status();
    assert!(status.unwrap().success());
}

/// A program with the libraries that it needs, which are executable.
struct Stage {
    dir: PathBuf,
    audit: PathBuf,
}

impl Stage {
    fn set(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("lib")).unwrap();
        let trace = Command::new("true")
            .env("LD_TRACE_LOADED_OBJECTS", "1")
            .output()
            .unwrap();
        // libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0000000000)
        for line in String::from_utf8(trace.stdout).unwrap().lines() {
            if let [name, "=>", path, ..] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let copy = dir.join("lib").join(name);
                fs::copy(path, &copy).unwrap();
                fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        Self {
            audit: library(),
            dir,
        }
    }

    /// Preloads what may not be executed, under the securebit; none where there is no such
    /// bit, or no check that obeys it.
    fn preload(&self, name: &str, stderr: Stdio) -> Option<Output> {
        let object = self.dir.join(name);
        fs::write(&object, "").unwrap();
        fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
        let mut command = Command::new("true");
        command
            .env("LD_AUDIT", &self.audit)
            .env("LD_LIBRARY_PATH", self.dir.join("lib"))
            .env("LD_PRELOAD", object)
            .stderr(stderr);
        if mayexec::Support::get().execve_check() != mayexec::ExecveCheck::Works {
            return None;
        }
        // Securebits are a thread's own, and its children's.
        std::thread::scope(|threads| {
            let worker = threads.spawn(|| {
                let restrict = CapabilitiesSecureBits::from_bits_retain(1 << 8);
                let bits = capabilities_secure_bits().unwrap() | restrict;
                set_capabilities_secure_bits(bits).ok()?;
                Some(command.output().unwrap())
            });
            worker.join().unwrap()
        })
    }
}

#[test]
fn a_message_that_cannot_be_written_does_not_end_the_program() {
    let stage = Stage::set("full");
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    if let Some(output) = stage.preload("refused.so", full.into()) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_name_does_not_act_on_the_terminal() {
    let stage = Stage::set("control");
    if let Some(output) = stage.preload("a\n\u{1b}[2J", Stdio::piped()) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let own = text.lines().find(|line| line.starts_with("mayexec-rtld: "));
        assert!(
            own.is_some_and(|line| line.contains(r"/a\n\x1b[2J: no execute permission")),
            "{text}"
        );
    }
}

/// sudo's NOEXEC and its like: what the securebit asks for is impossible.
#[test]
fn a_refusal_for_want_of_a_check_is_said() {
    let stage = Stage::set("filtered");
    let under = stage.dir.join("under");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    compile(&here.join("../mayexec/tests/ladders/under.c"), &under);
    if mayexec::Support::get().execve_check() != mayexec::ExecveCheck::Works {
        return;
    }
    let output = Command::new(under)
        .args(["256", "execveat=1", "--", "/bin/true"])
        .env("LD_AUDIT", &stage.audit)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let said = |line: &str| line.starts_with("mayexec-rtld: ") && line.contains("seccomp");
    assert!(text.lines().any(said), "{output:?}");
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn what_cannot_be_compared_is_not_called_replaced() {
    // Hides /proc from a command.
    let hidden = |command: &[&OsStr]| {
        Command::new("unshare")
            .args(["-rm", "sh", "-c"])
            .arg("mount -t tmpfs none /proc && exec env \"$@\"")
            .arg("sh")
            .args(command)
            .output()
    };
    let output = hidden(&["true".as_ref()]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut audit = std::ffi::OsString::from("LD_AUDIT=");
    audit.push(library());
    let output = hidden(&[&audit, "true".as_ref()]).unwrap();
    assert_eq!(output.status.signal(), ABORTED, "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("cannot tell what was loaded"), "{text}");
    assert!(!text.contains("replaced"), "{text}");
}

/// A program whose main thread has ended, and another loads a library.
const THREAD: &str = r#"
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
static pthread_t first;
static void *work(void *library)
{
	pthread_join(first, NULL);
	_exit(!dlopen(library, RTLD_NOW));
}
int main(int argc, char **argv)
{
	pthread_t thread;
	first = pthread_self();
	pthread_create(&thread, NULL, work, argv[argc - 1]);
	pthread_exit(NULL);
}
"#;

#[test]
fn what_a_thread_loads_after_the_main_one_is_compared() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("thread");
    fs::create_dir_all(&dir).unwrap();
    let (source, program) = (dir.join("thread.c"), dir.join("thread"));
    fs::write(&source, THREAD).unwrap();
    compile(&source, &program);
    let mut command = Command::new(program);
    let output = command.arg("libm.so.6").env("LD_AUDIT", library()).output();
    assert!(output.as_ref().unwrap().status.success(), "{output:?}");
}

#[test]
fn an_object_that_is_not_loaded_is_not_held_open() {
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.so");
    fs::write(&object, "").unwrap();
    let output = Command::new("bash")
        .args(["-c", "enable -f \"$1\" x; ls -l /proc/$$/fd; :", "-"])
        .arg(object)
        .env("LD_AUDIT", library())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("empty.so"), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("empty.so: file too short"), "{output:?}");
}

#[test]
fn a_name_that_is_not_utf_8_does_not_end_the_program() {
    let name = OsStr::from_bytes(b"\xff.so");
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::copy(library(), &object).unwrap();
    let mut program = Command::new("true");
    program.env("LD_AUDIT", library()).env("LD_PRELOAD", object);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The loader goes on without an audit library that it cannot load. INTERPRETERS.md has a way to
/// notice.
#[test]
fn a_library_that_cannot_be_loaded_is_noticed() {
    let audit = library();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ignored");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("noexec")).unwrap();
    fs::write(dir.join("empty.so"), "").unwrap();
    // e_machine: a processor that does not exist.
    let mut other = fs::read(&audit).unwrap();
    other[18..20].fill(0xff);
    fs::write(dir.join("other.so"), other).unwrap();
    // Whether the program ran, and whether the way of INTERPRETERS.md finds that it is audited.
    let tried = |library: &Path| {
        let line = "mount -t tmpfs -o noexec none noexec && cp \"$2\" noexec/good.so || exit 99\n\
                    LD_AUDIT=$1 sh -c 'echo ran' 2>messages; cat messages\n\
                    [ -z \"$(LD_AUDIT=$1 /bin/true 2>&1)\" ] && echo audited";
        let output = Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                line,
                "-",
            ])
            .args([library, &audit])
            .current_dir(&dir)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tried(&audit), "ran\naudited\n");
    for name in ["missing.so", "empty.so", "other.so", "noexec/good.so"] {
        let said = tried(&dir.join(name));
        assert!(said.starts_with("ran\nERROR: ld.so: "), "{name}: {said}");
        assert!(said.ends_with("ignored.\n"), "{name}: {said}");
    }
}
