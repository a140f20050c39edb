//! Names of files in output: for people, for JSON, for a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};

/// A name for people: as it is, or quoted if it could act on a terminal or is not UTF-8.
pub(crate) fn name(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    match name.to_str() {
        Some(text) if !text.is_empty() && !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("{name:?}"),
    }
}

/// A name for JSON: a string, or an array of bytes if it is not UTF-8.
pub(crate) fn serialize<S: Serializer>(name: &impl AsRef<OsStr>, to: S) -> Result<S::Ok, S::Error> {
    let name = name.as_ref();
    match name.to_str() {
        Some(text) => text.serialize(to),
        None => name.as_bytes().serialize(to),
    }
}

/// A name as a word of a shell's command line.
pub(crate) fn quoted(name: impl AsRef<OsStr>) -> Vec<u8> {
    let mut word = b"'".to_vec();
    for &byte in name.as_ref().as_bytes() {
        match byte {
            b'\'' => word.extend(b"'\\''"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_act_on_the_terminal() {
        assert_eq!(name("a b"), "a b");
        assert_eq!(name("\u{1b}[2J"), r#""\u{1b}[2J""#);
        assert_eq!(name(OsStr::from_bytes(b"\xff")), r#""\xFF""#);
        assert_eq!(name(""), r#""""#);
    }

    #[test]
    fn a_quoted_name_is_one_word() {
        assert_eq!(quoted("it's; rm"), br"'it'\''s; rm'");
        assert_eq!(quoted(OsStr::from_bytes(b"\xff\n")), b"'\xff\n'");
    }
}
