// SPDX-License-Identifier: GPL-2.0

//! Whether what the flag costs grows with anything that an open's own cost grows with.

use std::fs;

use anyhow::Result;

use crate::fixture::{ROOT, bind, both, c_path, file, openat2, opens};
use crate::meter::Meter;

/// How deep the file is.
const DEPTHS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// How many mounts there are.
const MOUNTS: [usize; 4] = [10, 100, 1_000, 10_000];

/// How many of the mounts are looked at.
const LOOKED_AT: usize = 301;

/// How many files the directory has.
const ENTRIES: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// Takes the figures of all three.
pub(crate) fn run(meter: &Meter<'_>, flag: bool) -> Result<()> {
    let pair = |what: &str, size: usize, path: &str| -> Result<()> {
        let path = c_path(path)?;
        for (name, flags) in both(&format!("growth/{what}/{size}"), flag) {
            meter.count(&name, || opens(openat2(&path, flags)))?;
        }
        Ok(())
    };

    let mut dir = format!("{ROOT}/tmpfs");
    for depth in 1..=DEPTHS[DEPTHS.len() - 1] {
        dir += "/d";
        fs::create_dir(&dir)?;
        if DEPTHS.contains(&depth) {
            let script = format!("{dir}/script");
            file(&script, 0o755)?;
            pair("depth", depth, &script)?;
        }
    }

    if meter.wants("growth/entries") {
        let dir = format!("{ROOT}/tmpfs/entries");
        fs::create_dir(&dir)?;
        let mut made = 0;
        for entries in ENTRIES {
            for at in made..entries {
                fs::File::create(format!("{dir}/{at}"))?;
            }
            made = entries;
            // The newest file, which is made executable.
            let script = format!("{dir}/{}", entries - 1);
            file(&script, 0o755)?;
            pair("entries", entries, &script)?;
        }
        // A million files would be walked by whoever uses the mount after this.
        fs::remove_dir_all(&dir)?;
    }

    if meter.wants("growth/mounts") {
        let mut made = 0;
        let dir = format!("{ROOT}/mounts");
        let source = format!("{ROOT}/tmpfs");
        for mounts in MOUNTS {
            for at in made..mounts {
                let target = format!("{dir}/{at}");
                fs::create_dir_all(&target)?;
                bind(&source, &target)?;
            }
            made = mounts;
            let paths = (0..mounts)
                .rev()
                .take(LOOKED_AT)
                .map(|at| c_path(format!("{dir}/{at}/script")))
                .collect::<Result<Vec<_>>>()?;
            for (name, flags) in both(&format!("growth/mounts/{mounts}"), flag) {
                meter.count_typical(&name, &paths, |path| opens(openat2(path, flags)))?;
            }
        }
    }
    Ok(())
}
