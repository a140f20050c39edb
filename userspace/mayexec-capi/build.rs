// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gives the shared library its name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmayexec.so.0");
}
