// SPDX-License-Identifier: GPL-2.0

//! Names of files in output: for people, for JSON, for a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};

/// A name for people: as it is, or quoted if it could act on a terminal or is not UTF-8.
pub(crate) fn name(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    match name.to_str() {
        Some(text) if !text.is_empty() && is_plain(text) => text.to_owned(),
        _ => format!("{name:?}"),
    }
}

/// What a value of the sysctl, or a set of checks, means.
pub(crate) fn policy_name(bits: u32) -> &'static str {
    match bits {
        0 => "none",
        1 => "MOUNT",
        2 => "FILE",
        3 => "MOUNT and FILE",
        4 => "LOG_ONLY, nothing to log",
        5 => "MOUNT, LOG_ONLY",
        6 => "FILE, LOG_ONLY",
        7 => "MOUNT and FILE, LOG_ONLY",
        _ => "unknown",
    }
}

/// Whether a terminal shows the text as it is: no control characters, nothing invisible and
/// nothing that changes the direction of writing.
fn is_plain(text: &str) -> bool {
    let is_shown = |c: char| {
        // Debug knows what is printable; it escapes a combining mark too, if nothing is
        // before it.
        let pair = String::from_iter(['x', c]);
        matches!(c, '\\' | '\'' | '"') || pair.escape_debug().nth(1) == Some(c)
    };
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_shown)
}

/// A name for JSON, always a string; [`bytes`] has what is lost of one that is not UTF-8.
pub(crate) fn serialize<S: Serializer>(name: &impl AsRef<OsStr>, to: S) -> Result<S::Ok, S::Error> {
    name.as_ref().to_string_lossy().serialize(to)
}

/// The bytes of a name that is not UTF-8, in hexadecimal.
pub(crate) fn bytes(name: impl AsRef<OsStr>) -> Option<String> {
    let name = name.as_ref();
    let hex = |byte: &u8| format!("{byte:02x}");
    name.to_str()
        .is_none()
        .then(|| name.as_bytes().iter().map(hex).collect())
}

/// A line for POSIX shells that does `command` with one file, and does not act on a terminal.
pub(crate) fn shell(command: &str, name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    if let Some(text) = name.to_str().filter(|text| is_plain(text)) {
        return format!("{command} '{}'", text.replace('\'', r"'\''"));
    }
    let escaped: String = name
        .as_bytes()
        .iter()
        .map(|&byte| match byte {
            b'/' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                char::from(byte).to_string()
            }
            _ => format!("\\{byte:03o}"),
        })
        .collect();
    // The shell drops line breaks at the end of what it substitutes. A slash keeps them: it
    // is part of no character of several bytes, and names no file if it should stay.
    format!("f=$(printf '{escaped}/') && {command} \"${{f%/}}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_act_on_the_terminal() {
        assert_eq!(name("a b"), "a b");
        assert_eq!(name("\u{1b}[2J"), r#""\u{1b}[2J""#);
        assert_eq!(name(OsStr::from_bytes(b"\xff")), r#""\xFF""#);
        assert_eq!(name("a\u{202e}b"), r#""a\u{202e}b""#, "right to left");
        assert_eq!(name("a\u{200b}"), r#""a\u{200b}""#, "invisible");
        assert_eq!(name("\u{9b}2J"), r#""\u{9b}2J""#);
        assert_eq!(name("\"e\u{301}\\\u{e9}'"), "\"e\u{301}\\\u{e9}'");
        assert_eq!(name(""), r#""""#);
    }

    #[test]
    fn a_command_s_line_is_harmless_and_exact() {
        assert_eq!(shell("ls --", "it's; rm"), r"ls -- 'it'\''s; rm'");
        assert_eq!(
            shell("ls", OsStr::from_bytes(b"/a/-\xff\n")),
            r#"f=$(printf '/a/\055\377\012/') && ls "${f%/}""#
        );
        let all: Vec<u8> = (1..=255).collect();
        let names: [&[u8]; 12] = [
            &all,
            b"",
            b"it's a \"name\" of $HOME `id` \\101 %s !",
            b"\n",
            b"\nchmod 777 x\n\n",
            b"\x1b[2K\rsafe\x1b]0;x\x07",
            b"-\x01%s%%\\n'\"$(id)",
            b"\xff\n7",
            b"/a/b\xc3",
            b"\x95",
            "a\u{202e}b\u{9b}2J".as_bytes(),
            "\u{e9}t\u{e9}".as_bytes(),
        ];
        for name in names {
            let line = shell("printf %s", OsStr::from_bytes(name));
            assert!(is_plain(&line), "{line:?}");
            for (program, locale) in [("dash", "C"), ("bash", "C"), ("bash", "C.UTF-8")] {
                let output = std::process::Command::new(program)
                    .args(["-c", &line])
                    .env("LC_ALL", locale)
                    .output()
                    .unwrap();
                assert_eq!(output.stdout, name, "{program} {locale}: {line}");
                assert_eq!(output.stderr, b"", "{program} {locale}: {line}");
            }
        }
    }
}
