// SPDX-License-Identifier: GPL-2.0

//! An interpreter small enough to read, which opens its script one way or the other.
//!
//! Its language has two commands, `print TEXT` and `create PATH`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Result, bail};
use uapi::O_MAYEXEC;

use crate::caller::openat2;

/// Runs `demo interpret plain|mayexec SCRIPT`; the errno of the open is the exit code.
pub(crate) fn act(args: &[String]) -> Result<i32> {
    let [how, script] = args else {
        bail!("usage: demo interpret plain|mayexec SCRIPT");
    };
    let flags = match how.as_str() {
        "plain" => 0,
        "mayexec" => O_MAYEXEC,
        other => bail!("`{other}`: neither plain nor mayexec"),
    };
    // The one line that an interpreter's author changes: the flags.
    match openat2(Path::new(script), flags) {
        Ok(file) => run(file).map(|()| 0),
        Err(errno) => Ok(errno),
    }
}

fn run(script: File) -> Result<()> {
    for line in BufReader::new(script).lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("print", text)) => println!("    {text}"),
            Some(("create", path)) => fs::write(path, "")?,
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => bail!("no such command: {line}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_use_is_an_error() {
        let args = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        assert!(act(&[]).is_err());
        assert!(act(&args(&["loud", "/dev/null"])).is_err());
        assert_eq!(
            act(&args(&["plain", "/no/such/script"])).unwrap(),
            libc::ENOENT
        );
        assert_eq!(act(&args(&["plain", "/dev/null"])).unwrap(), 0);
    }
}
