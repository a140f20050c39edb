// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scripts that Lua itself runs.

use std::path::Path;
use std::process::Command;

#[test]
fn a_byte_order_mark_is_skipped() {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mark.lua");
    let main = "#!/usr/bin/lua\nprint('main')\n";
    for text in [main.to_owned(), format!("\u{feff}{main}")] {
        std::fs::write(&script, text).unwrap();
        let mut lua = Command::new(env!("CARGO_BIN_EXE_mayexec-lua"));
        let output = lua.arg(&script).output().unwrap();
        assert_eq!(output.stdout, b"main\n", "{output:?}");
    }
}

#[test]
fn a_message_that_cannot_be_written_changes_no_exit_code() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut lua = Command::new(env!("CARGO_BIN_EXE_mayexec-lua"));
    let status = lua.arg("/missing").stderr(full.unwrap()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}
