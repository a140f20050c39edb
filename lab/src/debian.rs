// SPDX-License-Identifier: GPL-2.0

//! Debian 12's own kernel: older than `AT_EXECVE_CHECK`, and built by nobody here.

use fs_err as fs;

use anyhow::Result;

use crate::ctx::{Ctx, hash};
use crate::kernel::{Facts, Kernel};
use crate::toolchain::X86;
use crate::ui;

/// What makes it, and the first process of its initramfs.
const SCRIPTS: [&str; 3] = [
    "scripts/fetch.sh",
    "scripts/initramfs.sh",
    "scripts/debian-init.sh",
];

/// The kernel, fetched and unpacked unless it was before.
pub(crate) fn kernel(ctx: &Ctx) -> Result<Kernel> {
    let mut inputs = Vec::new();
    for script in SCRIPTS {
        let path = ctx.root.join(script);
        inputs.extend(fs::read(&path)?);
    }
    let name = format!("debian-{}", &hash(&inputs)[..16]);
    let dir = ctx.build.join("kernels").join(name);
    ui::fetched(ctx, &["kernel"], &dir)?;
    Ok(Kernel {
        dir,
        facts: Facts::default(),
        arch: X86,
    })
}
