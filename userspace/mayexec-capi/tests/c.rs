// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C API as a C program sees it.

#[path = "../../mayexec/tests/built/mod.rs"]
mod built;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use built::built;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a command that must succeed.
fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes an installation with its pkg-config file.
fn install(prefix: &Path) {
    let built = built();
    let lib = prefix.join("lib");
    fs::create_dir_all(lib.join("pkgconfig")).unwrap();
    fs::create_dir_all(prefix.join("include")).unwrap();
    fs::copy(built.join("libmayexec.a"), lib.join("libmayexec.a")).unwrap();
    fs::copy(built.join("libmayexec.so"), lib.join("libmayexec.so.0")).unwrap();
    symlink("libmayexec.so.0", lib.join("libmayexec.so")).unwrap();
    fs::copy(
        format!("{HERE}/include/mayexec.h"),
        prefix.join("include/mayexec.h"),
    )
    .unwrap();
    let template = fs::read_to_string(format!("{HERE}/mayexec.pc.in")).unwrap();
    let text = template
        .replace("@prefix@", prefix.to_str().unwrap())
        .replace("@version@", env!("CARGO_PKG_VERSION"));
    fs::write(lib.join("pkgconfig/mayexec.pc"), text).unwrap();
}

fn put(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Compiles a program with what pkg-config says.
fn compile(prefix: &Path, source: &str, fixed: bool) -> PathBuf {
    let mut ask = Command::new("pkg-config");
    ask.args(["--cflags", "--libs"])
        .args(fixed.then_some("--static"))
        .arg("mayexec")
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = String::from_utf8(succeed(&mut ask).stdout).unwrap();
    let program = prefix.join(if fixed { "program-static" } else { "program" });
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(format!("{HERE}/{source}"))
        .args(fixed.then_some("-static"))
        .args(flags.split_whitespace());
    succeed(&mut cc);
    program
}

#[test]
fn the_example_runs_with_either_library() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path());
    let script = put(dir.path(), "script", "printed\n", 0o755);
    for fixed in [false, true] {
        let program = compile(dir.path(), "examples/runner.c", fixed);
        let run = |arg: &Path| {
            Command::new(&program)
                .arg(arg)
                .env("LD_LIBRARY_PATH", dir.path().join("lib"))
                .output()
                .unwrap()
        };
        let output = run(&script);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout, b"printed\n");
        let output = run(&dir.path().join("missing"));
        assert_eq!(output.status.code(), Some(126));
        assert_eq!(output.stdout, b"");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("No such file"),
            "{output:?}"
        );
    }
}

#[test]
fn options_arrive() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path());
    let data = put(dir.path(), "data", "", 0o644);
    succeed(Command::new(compile(dir.path(), "tests/options.c", true)).arg(data));
}

#[test]
fn the_header_is_up_to_date() {
    let output = succeed(Command::new("cbindgen").current_dir(HERE).args([
        "--config",
        "cbindgen.toml",
        "src/lib.rs",
    ]));
    let header = fs::read_to_string(format!("{HERE}/include/mayexec.h")).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), header);
}
