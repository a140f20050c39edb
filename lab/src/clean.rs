// SPDX-License-Identifier: GPL-2.0

//! Removing what the tools made.

use fs_err as fs;

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::git::Git;
use crate::{series, submit, tree};

/// Directories of `build/` that cost a download or an installation to get back.
const COSTLY: [&str; 6] = ["apt", "ceph-tools", "dl", "guest-tools", "tools", "venv"];

/// Removes trees, objects and kernels; with `all`, downloads and tools too.
pub(crate) fn clean(ctx: &Ctx, all: bool) -> Result<()> {
    if !ctx.slot.exists() {
        return Ok(());
    }
    if !ctx.force
        && let Some(tree) = tree::existing(ctx)?
        && let Some(work) = series::at_risk(ctx, &tree)?
    {
        let linux = ctx.show(&ctx.linux());
        bail!(
            "{linux} holds work that patches/ does not have:\n{work}\n`make export` keeps it; `make clean FORCE=1` removes it"
        );
    }
    if !ctx.force
        && let Some(work) = submit::unsaved(ctx)?
    {
        bail!("this would remove {work}; `make clean FORCE=1` does");
    }
    if let Some(kdir) = &ctx.kdir {
        let user = Git::at(kdir);
        for worktree in [ctx.linux(), ctx.walk(), submit::place(ctx)] {
            user.remove_worktree(&worktree)?;
        }
        return Ok(fs::remove_dir_all(&ctx.slot)?);
    }
    for entry in fs::read_dir(&ctx.slot)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Other bases and trees have their own unexported work and their own clean. Results are hours
        // of runs, and `make results` may still have to write them into the pages.
        let other = [".lock", "results"].contains(&&*name);
        let other = other || name.starts_with("kdir-") || name.starts_with("base-");
        // This program itself runs from `cargo`, which rebuilds it in seconds.
        if !other && (all || name != "cargo" && !COSTLY.contains(&name.as_str())) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_removes_what_was_fetched() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = crate::ctx::tests::at(dir.path());
        for name in COSTLY.iter().chain(&["kernels", "cargo", "results"]) {
            fs::create_dir_all(ctx.build.join(name)).unwrap();
        }
        let left = || crate::ctx::tests::names(&ctx.build);
        clean(&ctx, false).unwrap();
        let mut right = [&COSTLY[..], &["cargo", "results"]].concat();
        right.sort_unstable();
        assert_eq!(left(), right);
        clean(&ctx, true).unwrap();
        assert_eq!(left(), ["results"]);
    }
}
