// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ladder on whatever kernel runs the tests, and below a seccomp filter.

mod filter;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mayexec::{ExecveCheck, Guarantee, Open, Policy, Support, Why};
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use filter::{apart, filter, filtered, kill};

const OPENAT2: i64 = libc::SYS_openat2;
const EXECVEAT: i64 = libc::SYS_execveat;

/// Makes a file that only modes can make executable.
fn file(dir: &Path, name: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, "content").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// What an open gets where no policy asks for anything.
fn unchecked() -> Guarantee {
    if Support::get().mayexec {
        Guarantee::Kernel
    } else {
        Guarantee::Plain
    }
}

#[test]
fn an_executable_file_is_opened_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    let mut opened = mayexec::open(&path).unwrap();
    assert_eq!(opened.guarantee, unchecked());
    let mut text = String::new();
    opened.file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    let flags = rustix::io::fcntl_getfd(&opened.file).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn what_cannot_be_opened_says_so() {
    let dir = tempfile::tempdir().unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    for (name, errno) in [
        ("missing", Errno::NOENT),
        ("loop", Errno::LOOP),
        ("a\0b", Errno::INVAL),
    ] {
        let error = mayexec::open(dir.path().join(name)).unwrap_err();
        assert_eq!((error.why, error.errno), (Why::Open, errno), "{name}");
        let number = std::io::Error::from(error).raw_os_error();
        assert_eq!(number, Some(errno.raw_os_error()), "{name}");
        assert!(!error.is_denial());
    }
}

#[test]
fn a_guarantee_that_is_impossible_is_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    let had = Support::get().guarantee();
    let outcome = Open::new().require(Guarantee::Kernel).open(&path);
    if had == Guarantee::Kernel {
        assert_eq!(outcome.unwrap().guarantee, had);
    } else {
        let needed = Guarantee::Kernel;
        assert_eq!(outcome.unwrap_err().why, Why::Guarantee { needed, had });
    }
}

#[test]
fn the_check_is_made_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (file(dir.path(), "x", 0o755), file(dir.path(), "r", 0o644));
    let check = Open::new().check_always();
    if Support::get().execve_check() == ExecveCheck::Works {
        assert!(check.open(&good).unwrap().checked);
        let error = check.open(&bad).unwrap_err();
        assert_eq!(
            (error.why, error.errno),
            (Why::NotExecutable, Errno::ACCESS)
        );
        assert!(error.is_denial());
        assert_eq!(error.to_string(), "no execute permission");
        assert_eq!(check.open(dir.path()).unwrap_err().why, Why::NotRegular);
        let writer = fs::OpenOptions::new().append(true).open(&good).unwrap();
        assert_eq!(check.open(&good).unwrap_err().why, Why::Busy);
        drop(writer);
    } else {
        let error = check.open(&good).unwrap_err();
        assert!(matches!(error.why, Why::Guarantee { .. }), "{error}");
    }
}

#[test]
fn the_securebit_is_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (file(dir.path(), "x", 0o755), file(dir.path(), "r", 0o644));
    // Securebits are a thread's own.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            // SAFETY: PR_SET_SECUREBITS takes no pointer; 1 << 8 is SECBIT_EXEC_RESTRICT_FILE.
            let set = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, 1 << 8, 0, 0, 0) };
            if set != 0 {
                assert_ne!(Support::get().execve_check(), ExecveCheck::Works);
                return;
            }
            assert!(Policy::read().securebit);
            assert!(mayexec::open(&good).unwrap().checked);
            let error = mayexec::open(&bad).unwrap_err();
            assert_eq!(error.why, Why::NotExecutable);
            assert!(error.to_string().contains("SECBIT_EXEC_RESTRICT_FILE"));
            let held = fs::File::open(&bad).unwrap();
            let error = Open::new().reopen(&held).unwrap_err();
            assert_eq!(error.why, Why::NotExecutable);
            for errno in [Errno::NOSYS, Errno::ACCESS] {
                filtered(&[EXECVEAT], errno, || {
                    let error = mayexec::open(&good).unwrap_err();
                    assert_eq!((error.why, error.errno), (Why::Filtered, Errno::ACCESS));
                });
            }
        });
    });
}

#[test]
fn resolution_is_restricted() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "x", 0o755);
    symlink("x", dir.path().join("link")).unwrap();
    let top = fs::File::open(dir.path()).unwrap();
    let open = Open::new().resolve(ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS);
    open.open_at(&top, "x").unwrap();
    assert_eq!(open.open_at(&top, "link").unwrap_err().errno, Errno::LOOP);
    assert_eq!(open.open_at(&top, "../x").unwrap_err().errno, Errno::XDEV);
    Open::new().open_at(&top, "link").unwrap();
}

#[test]
fn a_held_file_is_opened_again_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = fs::File::open(file(dir.path(), "x", 0o755)).unwrap();
    let mut text = String::new();
    held.read_to_string(&mut text).unwrap();
    let mut again = Open::new().reopen(&held).unwrap().file;
    text.clear();
    again.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
}

#[test]
fn a_descriptor_of_the_thread_alone_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    apart(|| {
        // SAFETY: The threads share no descriptor that one of them closes.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
        let held = fs::File::open(&path).unwrap();
        let mut text = String::new();
        let mut again = Open::new().reopen(&held).unwrap().file;
        again.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    });
}

#[test]
fn below_a_filter_the_ladder_is_climbed_down() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    for errno in [Errno::NOSYS, Errno::PERM, Errno::INVAL] {
        filtered(&[OPENAT2], errno, || {
            assert!(!Support::probe().openat2);
            let opened = mayexec::open(&path).unwrap();
            assert!(opened.guarantee < Guarantee::Kernel);
            let error = Open::new()
                .resolve(ResolveFlags::BENEATH)
                .open(&path)
                .unwrap_err();
            assert_eq!(error.why, Why::Unresolved);
            Open::new().reopen(opened.file).unwrap();
        });
        filtered(&[OPENAT2, EXECVEAT], errno, || {
            let opened = mayexec::open(&path).unwrap();
            assert_eq!(opened.guarantee, Guarantee::Plain);
            Open::new()
                .require(Guarantee::Securebits)
                .open(&path)
                .unwrap_err();
        });
    }
}

#[test]
fn a_filter_that_comes_later_is_noticed_or_the_open_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    for errno in [Errno::NOSYS, Errno::PERM, Errno::INVAL, Errno::ACCESS] {
        apart(|| {
            assert!(Support::get().openat2);
            filter(&[OPENAT2, EXECVEAT], errno);
            match mayexec::open(&path) {
                // This may as well be the file's error.
                Err(error) => {
                    assert_eq!(error.errno, errno);
                    assert!(matches!(errno, Errno::ACCESS | Errno::INVAL));
                }
                Ok(opened) => {
                    assert!(matches!(errno, Errno::NOSYS | Errno::PERM));
                    assert_eq!(opened.guarantee, Guarantee::Plain);
                    assert_eq!(Support::get(), Support::probe());
                }
            }
        });
    }
}

#[test]
fn what_one_thread_is_refused_says_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "x", 0o755);
    for errno in [Errno::NOSYS, Errno::INVAL] {
        // Where tests share a process, others may have asked before.
        filtered(&[OPENAT2, EXECVEAT], errno, || {
            assert_eq!(Support::get().guarantee(), Guarantee::Plain);
            mayexec::open(&path).unwrap();
        });
        assert_eq!(Support::get(), Support::probe());
        assert_eq!(mayexec::open(&path).unwrap().guarantee, unchecked());
    }
}

#[test]
fn no_open_without_a_policy_calls_execveat() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "r", 0o644);
    apart(|| {
        kill(&[EXECVEAT]);
        mayexec::open(&path).unwrap();
        Open::new().reopen(fs::File::open(&path).unwrap()).unwrap();
    });
}
