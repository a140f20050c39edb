// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opens files in the ways that the library has, and prints what came of it:
//! `outcome all|open FILE...`

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use mayexec::{Error, Guarantee, Open, Opened, Support};

/// What is printed of one open.
fn line(how: &str, path: &str, outcome: Result<Opened, Error>) -> String {
    match outcome {
        Ok(opened) => format!("{how} {path}: opened, {:?}\n", opened.guarantee),
        Err(error) => format!("{how} {path}: {}, {error}\n", error.errno.raw_os_error()),
    }
}

fn main() {
    let mut said = String::new();
    let all = std::env::args().nth(1).is_some_and(|word| word == "all");
    if all {
        said += &format!("best: {:?}\n", Support::get().guarantee());
    }
    for path in std::env::args().skip(2) {
        if !all {
            said += &line("open", &path, Open::new().open(&path));
            continue;
        }
        for (how, open) in [
            ("open", Open::new()),
            ("check", Open::new().check_always()),
            ("securebits", Open::new().require(Guarantee::Securebits)),
            ("kernel", Open::new().require(Guarantee::Kernel)),
        ] {
            said += &line(how, &path, open.open(&path));
        }
        let mut plainly = OpenOptions::new();
        plainly.read(true).custom_flags(libc::O_NONBLOCK);
        if let Ok(held) = plainly.open(&path) {
            said += &line("reopen", &path, Open::new().reopen(held));
        }
    }
    print!("{said}");
}
