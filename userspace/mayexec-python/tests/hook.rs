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
