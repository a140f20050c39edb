// SPDX-License-Identifier: GPL-2.0

//! Whether an ELF file holds debug information only, split off from a program or a library.

use std::os::fd::OwnedFd;

/// Of a section's flags: it is in memory when the program runs.
const SHF_ALLOC: u64 = 2;
/// A section without content in the file.
const SHT_NOBITS: u64 = 8;
/// Notes stay in both files, as the build ID does.
const SHT_NOTE: u64 = 7;

/// Whether all that would be in memory has no content in this file.
pub(crate) fn is_debug(file: &OwnedFd, start: &[u8]) -> bool {
    parse(file, start).unwrap_or(false)
}

fn parse(file: &OwnedFd, start: &[u8]) -> Option<bool> {
    let (wide, big) = (*start.get(4)? == 2, *start.get(5)? == 2);
    let number = |bytes: &[u8], at: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + size)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if big {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    };
    // Where the table of sections is, the size of an entry and how many there are.
    let (at, word, size) = if wide {
        (0x28, 8, 0x3a)
    } else {
        (0x20, 4, 0x2e)
    };
    let (offset, size, count) = (
        number(start, at, word)?,
        number(start, size, 2)? as usize,
        number(start, size + 2, 2)? as usize,
    );
    // Any other size is that of a file which wants memory for what it does not hold.
    if size != if wide { 64 } else { 40 } || count == 0 {
        return None;
    }
    let mut table = vec![0; size * count];
    let length = rustix::io::pread(file, &mut table, offset).ok()?;
    let mut split = false;
    for section in table.get(..length)?.chunks_exact(size) {
        let (kind, flags) = (number(section, 4, 4)?, number(section, 8, word)?);
        if flags & SHF_ALLOC == 0 || kind == SHT_NOTE {
            continue;
        }
        if kind != SHT_NOBITS {
            return Some(false);
        }
        split = true;
    }
    Some(split)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn split_debug_information_is_no_code() {
        let dir = tempfile::tempdir().unwrap();
        let run = |line: &str| {
            let status = Command::new("sh")
                .args(["-c", line])
                .current_dir(dir.path())
                .status();
            assert!(status.unwrap().success(), "{line}");
        };
        run("echo 'int x = 1; int f(void) { return x; }' >x.c && cc -g -shared -fPIC -o x.so x.c");
        run("objcopy --only-keep-debug x.so x.dbg");
        for (name, debug) in [("x.so", false), ("x.dbg", true)] {
            let file: OwnedFd = std::fs::File::open(dir.path().join(name)).unwrap().into();
            let start = std::fs::read(dir.path().join(name)).unwrap();
            assert_eq!(is_debug(&file, &start[..256]), debug, "{name}");
            assert!(!is_debug(&file, &start[..20]), "{name}");
        }
        let (mut start, mut section) = ([0; 64], [0; 0xffff]);
        start[4..6].copy_from_slice(&[2, 1]);
        start[0x3a..0x3e].copy_from_slice(&[0xff, 0xff, 1, 0]);
        // Without content in the file, and in memory: all that is_debug() looks at.
        (section[4], section[8]) = (8, 2);
        std::fs::write(dir.path().join("large"), section).unwrap();
        let file: OwnedFd = std::fs::File::open(dir.path().join("large"))
            .unwrap()
            .into();
        assert!(!is_debug(&file, &start), "an entry of 64 KiB");
    }
}
