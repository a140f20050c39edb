// SPDX-License-Identifier: GPL-2.0

//! The kernel tree: fetched as one base commit, or the user's own.

use fs_err as fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::ctx::{Ctx, write_whole};
use crate::git::Git;
use crate::ui;

/// What a tree with openat2(2) has.
const MARK: &str = "include/uapi/linux/openat2.h";

/// What a first `make test` writes below build/, in GiB, rounded up from the sum of what it keeps
/// there; `make demo` writes half of it.
const ROOM: u64 = 9;

/// In a work tree of the user's repository: the commit that it was made for.
const KDIR_BASE: &str = "refs/worktree/mayexec-base";

/// In the slot, while a work tree is checked out: a run that is ended meanwhile leaves it.
const BEGUN: &str = "checkout-begun";

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

/// The tree, if there is one. What git knows no base of is an error, unless a run was ended while it
/// checked it out: its repository may be gone, and then its work is nowhere else.
pub(crate) fn existing(ctx: &Ctx) -> Result<Option<Tree>> {
    let (linux, git) = (ctx.linux(), Git::at(ctx.linux()));
    let base = ctx.kdir.as_ref().map_or("base", |_| KDIR_BASE);
    let known = linux.join("Kbuild").is_file();
    let base = if known { git.commit(base)? } else { None };
    if base.is_none() && linux.exists() && !ctx.slot.join(BEGUN).exists() {
        let linux = ctx.show(&linux);
        bail!("{linux}: git knows no base of it; move it out of build/ and run this again");
    }
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
    existing(ctx)?.context("there is no tree")
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
    let (linux, begun) = (ctx.linux(), ctx.slot.join(BEGUN));
    if linux.exists() && existing(ctx)?.is_none() {
        fs::remove_dir_all(&linux)?;
    }
    if !linux.exists() {
        write_whole(&begun, b"")?;
        // The user's repository may still have what an earlier work tree was made from.
        let _ = fs::remove_file(ctx.record());
        let log = ctx.fresh_log("worktree")?;
        let (of, dir) = (kdir.display(), ctx.show(&linux));
        let what = format!("check out {base} of {of} in {dir}");
        // One whose directory was removed by hand still claims its path.
        let mut cmd = user.cmd(["worktree", "add", "--detach", "--force"]);
        ui::step(&what, &log, 3600, cmd.arg(&linux).arg(&base))?;
        Git::at(&linux).run(["update-ref", KDIR_BASE, &base])?;
    }
    let _ = fs::remove_file(begun);
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
    use crate::git::tests::scratch_at;

    #[test]
    fn a_work_tree_goes_unasked_only_if_it_was_never_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut ctx = crate::ctx::tests::at(dir.path());
        let (kdir, edit) = (dir.path().join("user"), ctx.linux().join("edit"));
        (ctx.kdir, ctx.base) = (Some(kdir.clone()), "base".to_owned());
        let clone = || {
            write_whole(&kdir.join(MARK), b"").unwrap();
            scratch_at(&kdir, "Kbuild", "")
        };
        clone();
        write_whole(&ctx.record(), b"").unwrap();
        open(&ctx).unwrap();
        assert!(!ctx.record().exists());
        fs::write(&edit, "").unwrap();
        // Another clone at the same path knows nothing of the work tree.
        fs::remove_dir_all(&kdir).unwrap();
        clone();
        for refused in [open(&ctx).map(|_| ()), crate::clean::clean(&ctx, false)] {
            assert!(refused.unwrap_err().to_string().contains("out of build/"));
        }
        assert!(edit.exists());
        write_whole(&ctx.slot.join(BEGUN), b"").unwrap();
        open(&ctx).unwrap();
        assert!(!edit.exists() && !ctx.slot.join(BEGUN).exists());
    }

    #[test]
    fn a_directory_that_is_no_kernel_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = crate::ctx::tests::at(dir.path());
        let error = user_repository(&ctx, dir.path()).unwrap_err();
        assert!(error.to_string().contains("not a Linux source tree"));
    }
}
