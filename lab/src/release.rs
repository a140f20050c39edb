// SPDX-License-Identifier: GPL-2.0

//! `make release`: the demo as files to publish, which scripts/prebuilt.sh boots.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::ctx::{Ctx, hash, make_whole, write_whole};
use crate::guest::static_program;
use crate::kernel::Kernel;
use crate::root;

/// The first process.
const SCRIPT: &str = "scripts/release-init.sh";

/// Writes the image, an initramfs with the demo, and their checksums.
pub(crate) fn run(ctx: &Ctx, kernel: &Kernel) -> Result<()> {
    let read =
        |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let files = [
        ("demo", read(static_program(ctx, "demo")?)?),
        ("init", read(ctx.root.join(SCRIPT))?),
    ];
    let dirs = ["bin", "dev", "proc", "run", "sys", "tmp"];
    let files = files.map(|(name, bytes)| (name.to_owned(), bytes));
    let initramfs = root::initramfs(&dirs, files)?;
    let image = read(kernel.image())?;
    let dir = ctx.build.join("release");
    make_whole(&dir, |part| {
        let made = part.join("release");
        let mut sums = String::new();
        for (name, bytes) in [("bzImage", &image), ("initramfs", &initramfs)] {
            write_whole(&made.join(name), bytes)?;
            sums += &format!("{}  {name}\n", hash(bytes));
        }
        write_whole(&made.join("SHA256SUMS"), sums.as_bytes())?;
        Ok(made)
    })?;
    let shown = ctx.show(&dir);
    println!("{shown}: bzImage, initramfs, SHA256SUMS; `make demo PREBUILT={shown}` boots them");
    Ok(())
}

#[cfg(test)]
mod tests {
    use guest::{JOB_FILE, SHARE};

    #[test]
    fn the_script_tells_that_this_is_a_guest() {
        let script = include_str!("../../scripts/release-init.sh");
        assert!(script.contains(&format!(" >{SHARE}/{JOB_FILE}\n")));
        assert!(script.contains("\n/demo || "));
    }
}
