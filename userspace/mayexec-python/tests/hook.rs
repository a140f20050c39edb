// SPDX-License-Identifier: MIT OR Apache-2.0

//! The hook in the Python of this system.

#[path = "../../mayexec/tests/built/mod.rs"]
mod built;

use std::fs;
use std::path::Path;
use std::process::Command;

use built::built;

/// A failed open leaves no descriptor behind, one that works has its file's name.
const SCRIPT: &str = "
import io, os, sys
import mayexec

mayexec.install()
before = os.listdir('/proc/self/fd')
for _ in range(9):
    try:
        io.open_code('/')
    except OSError:
        pass
    else:
        sys.exit('a directory was opened')
assert os.listdir('/proc/self/fd') == before
path = sys.argv[1]
with io.open_code(path) as file:
    assert file.read() == b'content'
    assert file.name == path
assert os.listdir('/proc/self/fd') == before
print('done')
";

/// Makes the package, with the extension that cargo does not build for tests.
fn package(site: &Path) {
    let package = site.join("mayexec");
    let _ = fs::remove_dir_all(&package);
    fs::create_dir_all(&package).unwrap();
    fs::write(
        package.join("__init__.py"),
        include_str!("../python/mayexec/__init__.py"),
    )
    .unwrap();
    fs::write(
        package.join("__main__.py"),
        include_str!("../python/mayexec/__main__.py"),
    )
    .unwrap();
    fs::copy(
        built().join("libmayexec_python.so"),
        package.join("_hook.abi3.so"),
    )
    .unwrap();
}

#[test]
fn descriptors_have_an_owner() {
    let site = Path::new(env!("CARGO_TARGET_TMPDIR"));
    package(site);
    let module = site.join("module.py");
    fs::write(&module, "content").unwrap();
    let output = Command::new("python3")
        .args(["-B", "-c", SCRIPT])
        .arg(&module)
        .env("PYTHONPATH", site)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"done\n", "{output:?}");
}

#[test]
fn a_script_that_cannot_be_opened_is_named() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("named");
    package(&dir);
    let script = |text: &str| {
        let script = dir.join("script.py");
        fs::write(&script, text).unwrap();
        script
    };
    let run = |words: &[&Path]| {
        let output = Command::new("python3")
            .args(["-B", "-m", "mayexec"])
            .args(words)
            .env("PYTHONPATH", &dir)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let missing = Path::new("missing.py");
    let text = "mayexec: missing.py: No such file or directory\n";
    assert_eq!(run(&[missing]), (Some(2), text.to_owned()));
    for words in [&[][..], &[Path::new("-c"), missing]] {
        let text = "mayexec: the first argument must be a script: there are no options\n";
        assert_eq!(run(words), (Some(2), text.to_owned()));
    }
    for text in [
        "open('/missing')",
        "open(__file__ + '/x')",
        "import runpy; runpy.run_path('/missing')",
    ] {
        let (code, text) = run(&[&script(text)]);
        assert_eq!(code, Some(1));
        assert!(text.starts_with("Traceback "), "{text}");
    }
    assert_eq!(run(&[&script("import sys; sys.exit(3)")]).0, Some(3));
}

#[test]
fn modules_are_looked_for_as_python3_does() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("path");
    package(&dir);
    let app = dir.join("app");
    fs::create_dir_all(&app).unwrap();
    let script = app.join("__main__.py");
    fs::write(&script, "import sys; print(sys.path)").unwrap();
    for safe in ["", "1"] {
        for script in [&script, &app] {
            let say = |words: &[&str]| {
                let mut python = Command::new("python3");
                python.arg("-B").args(words).arg(script);
                python.env("PYTHONPATH", &dir).env("PYTHONSAFEPATH", safe);
                String::from_utf8(python.output().unwrap().stdout).unwrap()
            };
            let right = say(&[]);
            assert!(right.starts_with('['), "{right}");
            assert_eq!(say(&["-m", "mayexec"]), right);
        }
    }
}

#[test]
fn a_message_that_cannot_be_written_changes_no_exit_code() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone");
    fs::create_dir_all(&dir).unwrap();
    // It finds no hook beside itself.
    let python = dir.join("mayexec-python");
    fs::copy(env!("CARGO_BIN_EXE_mayexec-python"), &python).unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let status = Command::new(python).arg("x").stderr(full.unwrap()).status();
    assert_eq!(status.unwrap().code(), Some(2));
}
