// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate can be published.

mod succeed;

use std::process::Command;

use succeed::succeed;

#[test]
fn the_crate_builds_without_the_repository() {
    // TARGET/debug/deps/NAME
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    // It unpacks what it has packed, and builds that.
    succeed(
        Command::new(env!("CARGO"))
            .args(["package", "--locked", "--offline", "--allow-dirty"])
            .args([
                "--manifest-path",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ])
            .arg("--target-dir")
            .arg(target),
    );
    let name = concat!("package/mayexec-", env!("CARGO_PKG_VERSION"));
    let package = target.join(name);
    let manifest = std::fs::read_to_string(package.join("Cargo.toml")).unwrap();
    for line in [
        "license = \"MIT OR Apache-2.0\"",
        "readme = \"README.md\"",
        "rust-version = \"1.85\"",
    ] {
        assert!(
            manifest.lines().any(|has| has == line),
            "{line}: {manifest}"
        );
    }
    // A registry takes no crate that says that it is not published.
    assert!(!manifest.contains("publish = "), "{manifest}");
    // Of a library that is not in the package, cargo builds nothing, and says only a warning.
    for file in [
        "README.md",
        "INTERPRETERS.md",
        "src/lib.rs",
        "tests/ladder.rs",
    ] {
        assert!(package.join(file).exists(), "{file}");
    }
}
