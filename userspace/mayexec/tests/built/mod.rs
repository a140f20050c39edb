// SPDX-License-Identifier: MIT OR Apache-2.0

//! The libraries for C programs, which cargo does not build for tests.

use std::path::PathBuf;
use std::process::Command;

/// Builds the library of the crate that is tested and returns its directory.
pub(crate) fn built() -> PathBuf {
    // TARGET/debug/deps/NAME
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--lib", "--locked", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    target.join("debug")
}
