// SPDX-License-Identifier: GPL-2.0

//! Which package a file belongs to, as the system's own tools say.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// How many bytes of paths dpkg is asked for at once: each call reads its whole database, and
/// the kernel limits a command line to 2 MiB or so, with what it keeps of each word.
const BATCH: usize = 1 << 20;

/// A file, as packages know it.
#[derive(Debug, Serialize)]
pub(crate) struct File {
    /// Whose it is, once that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) package: Option<String>,
    /// The path from the root.
    #[serde(skip)]
    pub(crate) absolute: PathBuf,
}

/// What knows the packages of this system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    Dpkg,
    Rpm,
}

impl Tool {
    /// Fails where there is none.
    pub(crate) fn find() -> Result<Self> {
        if is_there("dpkg-query") {
            Ok(Self::Dpkg)
        } else if is_there("rpm") {
            Ok(Self::Rpm)
        } else {
            bail!("there is neither dpkg-query nor rpm, which know the packages")
        }
    }

    /// Names the package of each file that belongs to one. Where dpkg knows a file by another
    /// name, on a system with one /usr, its path becomes that one.
    pub(crate) fn ask(self, files: &mut [&mut File]) -> Result<()> {
        match self {
            Self::Dpkg => {
                let mut rest = files;
                while !rest.is_empty() {
                    let next = batch(rest);
                    let (now, later) = std::mem::take(&mut rest).split_at_mut(next);
                    dpkg(now)?;
                    rest = later;
                }
            }
            Self::Rpm => {
                let owners = rpm()?;
                for file in files {
                    file.package = owners.get(&file.absolute).cloned();
                }
            }
        }
        Ok(())
    }
}

fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// How many files dpkg is asked for next: at least one.
fn batch(files: &[&mut File]) -> usize {
    let mut bytes = 0;
    let fit = |file: &&&mut File| {
        // Two names, each byte of which may need a backslash, and what the kernel keeps.
        bytes += 2 * (2 * file.absolute.as_os_str().len() + 16);
        bytes <= BATCH
    };
    files.iter().take_while(fit).count().max(1)
}

/// The names that dpkg may know a file by.
fn names(path: &Path) -> [PathBuf; 2] {
    let merged = ["/usr/bin", "/usr/sbin", "/usr/lib"]
        .iter()
        // /usr/lib64 and its like, too.
        .any(|dir| path.as_os_str().as_bytes().starts_with(dir.as_bytes()));
    let other = match path.strip_prefix("/usr") {
        Ok(rest) if merged => Path::new("/").join(rest),
        _ => path.to_owned(),
    };
    [path.to_owned(), other]
}

fn dpkg(files: &mut [&mut File]) -> Result<()> {
    let mut command = Command::new("dpkg-query");
    command.args(["--search", "--"]).env("LC_ALL", "C.UTF-8");
    for file in files.iter() {
        let [own, other] = names(&file.absolute);
        command.arg(pattern(&own));
        if other != own {
            command.arg(pattern(&other));
        }
    }
    // It ends with 1 if some file is nobody's, and says so of each.
    let output = command.output().context("cannot start dpkg-query")?;
    if output.status.code().is_none_or(|code| code > 1) {
        bail!(
            "dpkg-query: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let owners = owners(&output.stdout);
    for file in files {
        for name in names(&file.absolute) {
            if let Some(package) = owners.get(&name) {
                file.package = Some(package.clone());
                file.absolute = name;
                break;
            }
        }
    }
    Ok(())
}

/// A path as a pattern that stands for itself alone.
fn pattern(path: &Path) -> OsString {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if b"*?[\\".contains(&byte) {
            text.push(b'\\');
        }
        text.push(byte);
    }
    OsString::from_vec(text)
}

/// What dpkg-query has printed: `package, package: /path`.
fn owners(text: &[u8]) -> HashMap<PathBuf, String> {
    let mut owners = HashMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        // It names no owner: `diversion by package from: /path`.
        if line.starts_with(b"diversion by ") {
            continue;
        }
        if let Some(at) = line.windows(3).position(|part| part == b": /") {
            let packages = String::from_utf8_lossy(&line[..at]).into_owned();
            let path = OsString::from_vec(line[at + 2..].to_vec());
            owners.insert(path.into(), packages);
        }
    }
    owners
}

/// All files of all packages: one call, where `rpm -qf` prints names that cannot be told
/// apart for a file of two packages.
fn rpm() -> Result<HashMap<PathBuf, String>> {
    let output = Command::new("rpm")
        .args(["-qa", "--qf", "[%{=NAME}: %{FILENAMES}\\n]"])
        .output()
        .context("cannot start rpm")?;
    if !output.status.success() {
        bail!("rpm: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(owners(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_prints_is_understood() {
        let text = b"debconf: /usr/share/debconf/confmodule\n\
                     libc6:amd64, libc6:i386: /usr/share/doc/libc6/x: /y\n\
                     diversion by dash from: /bin/sh\n";
        let owners = owners(text);
        assert_eq!(owners.len(), 2);
        assert_eq!(
            owners[Path::new("/usr/share/debconf/confmodule")],
            "debconf"
        );
        let both = &owners[Path::new("/usr/share/doc/libc6/x: /y")];
        assert_eq!(both, "libc6:amd64, libc6:i386");
        assert_eq!(pattern(Path::new("/a[b*")), "/a\\[b\\*");
        assert_eq!(names(Path::new("/usr/lib64/x"))[1], Path::new("/lib64/x"));
        assert_eq!(
            names(Path::new("/usr/share/x"))[1],
            Path::new("/usr/share/x")
        );
    }
}
