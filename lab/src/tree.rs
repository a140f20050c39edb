// SPDX-License-Identifier: GPL-2.0

//! The kernel tree: fetched as one base commit, or the user's own.

use fs_err as fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::ctx::Ctx;
use crate::git::Git;
use crate::ui;

/// What a tree with openat2(2) has.
const MARK: &str = "include/uapi/linux/openat2.h";

/// What a first `make test` writes below build/, in GiB, rounded up from the sum of what it keeps
/// there; `make demo` writes half of it.
const ROOM: u64 = 9;

/// In a work tree of the user's repository: the commit that it was made for.
const KDIR_BASE: &str = "refs/worktree/mayexec-base";

/// The developers' tree and the commit that the series starts from.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) git: Git,
    pub(crate) base: String,
}

/// Opens the tree, creating it if it is not there.
pub(crate) fn open(ctx: &Ctx) -> Result<Tree> {
    match &ctx.kdir {
        Some(kdir) => open_kdir(ctx, kdir),
        None => open_debian(ctx),
    }
}

/// The repository with the base: the user's own as it is, or Debian's source.
pub(crate) fn repository(ctx: &Ctx) -> Result<Tree> {
    match &ctx.kdir {
        Some(kdir) => user_repository(ctx, kdir),
        None => open_debian(ctx),
    }
}

pub(crate) fn existing(ctx: &Ctx) -> Result<Option<Tree>> {
    let git = Git::at(ctx.linux());
    if !ctx.linux().join("Kbuild").is_file() {
        return Ok(None);
    }
    let base = git.commit(ctx.kdir.as_ref().map_or("base", |_| KDIR_BASE))?;
    Ok(base.map(|base| Tree { git, base }))
}

fn open_debian(ctx: &Ctx) -> Result<Tree> {
    let linux = ctx.linux();
    if !linux.exists() {
        let stat = rustix::fs::statvfs(&ctx.build)
            .with_context(|| format!("cannot look at {}", ctx.build.display()))?;
        let gib = (stat.f_bavail * stat.f_frsize) >> 30;
        if gib < ROOM {
            eprintln!(
                "warning: {gib} GiB are free for build/; a first `make test` takes {ROOM}, `make demo` half"
            );
        }
        ui::fetched(ctx, &["linux", &ctx.base], &linux)?;
    }
    existing(ctx)?.with_context(|| {
        let linux = ctx.show(&linux);
        format!(
            "{linux} is not a tree that `make kernel` prepared (no tag `base`)\nmove it away and run the command again"
        )
    })
}

/// The user's repository and the commit in it that BASE names.
fn user_repository(ctx: &Ctx, kdir: &Path) -> Result<Tree> {
    if !kdir.join(MARK).is_file() {
        let kdir = kdir.display();
        bail!("KDIR={kdir}: not a Linux source tree with openat2(2) (no {MARK})");
    }
    let user = Git::at(kdir);
    if !user.ok(["rev-parse", "--git-dir"])? {
        bail!(
            "KDIR={}: not a git repository, so the series cannot be applied beside it\n\
             give a git clone of Linux, or leave KDIR out to use Debian's source",
            kdir.display()
        );
    }
    let base = match user.commit(&ctx.base)? {
        Some(base) => Some(base),
        None => user.commit(&format!("v{}", ctx.base))?,
    };
    let Some(base) = base else {
        bail!(
            "KDIR={}: no revision {base} nor v{base}\n\
             fetch it there (git fetch --tags), or name another with BASE=",
            kdir.display(),
            base = ctx.base
        );
    };
    Ok(Tree { git: user, base })
}

fn open_kdir(ctx: &Ctx, kdir: &Path) -> Result<Tree> {
    let Tree { git: user, base } = user_repository(ctx, kdir)?;
    let mut dirt = user.dirt()?;
    dirt.retain(|line| !line.starts_with("??"));
    if !dirt.is_empty() {
        bail!(
            "KDIR={}: uncommitted changes, which the build would not contain:\n  {}\n\
             commit or stash them (nothing was touched)",
            kdir.display(),
            dirt[..dirt.len().min(10)].join("\n  ")
        );
    }
    let linux = ctx.linux();
    let made_for = Git::at(&linux);
    if linux.exists() && made_for.commit(KDIR_BASE)?.is_none() {
        // The ref is set before anybody sees the work tree: without it, a run was
        // ended while it checked the files out.
        fs::remove_dir_all(&linux)?;
    }
    if !linux.exists() {
        let log = ctx.fresh_log("worktree")?;
        let (of, dir) = (kdir.display(), ctx.show(&linux));
        let what = format!("check out {base} of {of} in {dir}");
        // One whose directory was removed by hand still claims its path.
        let mut cmd = user.cmd(["worktree", "add", "--detach", "--force"]);
        ui::step(&what, &log, 3600, cmd.arg(&linux).arg(&base))?;
        Git::at(&linux).run(["update-ref", KDIR_BASE, &base])?;
    }
    match existing(ctx)? {
        Some(known) if known.base == base => Ok(known),
        _ => bail!(
            "{} was made for another commit than {base}, which BASE={} names in {} now\n\
             `make clean KDIR={} BASE={}` removes it (it refuses if it holds unexported work)",
            ctx.show(&linux),
            ctx.base,
            kdir.display(),
            kdir.display(),
            ctx.base
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = crate::ctx::tests::at(dir.path());
        let error = user_repository(&ctx, dir.path()).unwrap_err();
        assert!(error.to_string().contains("not a Linux source tree"));
    }
}
