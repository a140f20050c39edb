// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C API as a C program sees it.

#[path = "../../mayexec/tests/succeed/mod.rs"]
mod succeed;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use succeed::succeed;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Makes an installation as the README says; `lib` is the libraries' directory in it.
fn install(prefix: &Path, lib: &str) {
    let prefix = prefix.display();
    succeed(
        Command::new("make")
            .args(["-s", "-C", &format!("{HERE}/.."), "install-library"])
            .arg("CFLAGS=-O2 -Werror")
            .arg(format!("PREFIX={prefix}"))
            .arg(format!("LIBDIR={prefix}/{lib}"))
            .arg(format!("O={prefix}/built")),
    );
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
        .env("PKG_CONFIG_PATH", prefix.join("lib/triplet/pkgconfig"));
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
    install(dir.path(), "lib/triplet");
    let script = put(dir.path(), "script", "printed\n", 0o755);
    for fixed in [false, true] {
        let program = compile(dir.path(), "examples/runner.c", fixed);
        let run = |arg: &Path| {
            Command::new(&program)
                .arg(arg)
                .env("LD_LIBRARY_PATH", dir.path().join("lib/triplet"))
                .output()
                .unwrap()
        };
        let output = run(&script);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout, b"printed\n");
        let output = run(&dir.path().join("missing"));
        assert_eq!(output.status.code(), Some(126));
        assert_eq!(output.stdout, b"");
        let missing = dir.path().join("missing");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            format!("runner: {}: No such file or directory\n", missing.display())
        );
        assert_eq!(run(dir.path()).status.code(), Some(1), "a directory");
    }
}

#[test]
fn options_arrive() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path(), "lib/triplet");
    let data = put(dir.path(), "data", "", 0o644);
    succeed(Command::new(compile(dir.path(), "tests/options.c", true)).arg(data));
}

#[test]
fn the_header_and_the_example_are_strict_c_and_cpp() {
    for (compiler, standard, language, source) in [
        ("gcc", "c89", "c", "tests/use.c"),
        ("gcc", "c17", "c", "tests/use.c"),
        ("g++", "c++98", "c++", "tests/use.c"),
        ("g++", "c++20", "c++", "tests/use.c"),
        ("gcc", "c89", "c", "examples/runner.c"),
        ("g++", "c++98", "c++", "examples/runner.c"),
    ] {
        succeed(
            Command::new(compiler)
                .arg(format!("-std={standard}"))
                .args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
                .arg(format!("-I{HERE}/include"))
                .args(["-x", language])
                .arg(format!("{HERE}/{source}")),
        );
    }
}

/// What a tool says of the library.
fn said(tool: &str, args: &[&str], library: &Path) -> String {
    let output = succeed(Command::new(tool).args(args).arg(library));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_shared_object_is_small_and_has_versions() {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path(), "lib");
    let library = dir.path().join("lib/libmayexec.so.0");
    assert_eq!(
        fs::metadata(&library).unwrap().permissions().mode() & 0o777,
        0o755
    );

    let stripped = dir.path().join("stripped");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(&library));
    let size = fs::metadata(&stripped).unwrap().len();
    println!("{size} bytes stripped");
    assert!(size < 32 << 10, "{size}");

    // Nothing else is exported, and each name has its version.
    let names = said("nm", &["-D", "--defined-only"], &library);
    let mut names: Vec<&str> = names
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    names.sort_unstable();
    let header = fs::read_to_string(format!("{HERE}/include/mayexec.h")).unwrap();
    let mut wanted: Vec<String> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '*', '/', '#', '\t']))
        .filter_map(|line| line.split_once("(")?.0.split(' ').next_back())
        .map(|name| format!("{name}@@MAYEXEC_0"))
        .collect();
    wanted.push("MAYEXEC_0".to_owned());
    wanted.sort_unstable();
    assert_eq!(names, wanted);

    // The library needs the C library alone, and allocates nothing.
    let needs = said("readelf", &["-dW"], &library);
    assert!(needs.contains("soname: [libmayexec.so.0]"), "{needs}");
    let needed: Vec<&str> = needs
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .collect();
    assert!(
        needed.len() == 1 && needed[0].contains("[libc.so."),
        "{needs}"
    );
    let calls = said("nm", &["-D", "--undefined-only"], &library);
    // The loader's function for per-thread state allocates.
    for call in ["alloc", "pthread", "tls_get_addr"] {
        assert!(!calls.contains(call), "{calls}");
    }

    let version = env!("CARGO_PKG_VERSION")
        .split('.')
        .fold(0, |number, part| {
            100 * number + part.parse::<u32>().unwrap()
        });
    assert!(header.contains(&format!("#define MAYEXEC_VERSION {version}\n")));
}
