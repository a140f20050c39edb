// SPDX-License-Identifier: GPL-2.0

//! The applied series and its kernels, which every suite and row shares.

use std::cell::OnceCell;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::git::Git;
use crate::kernel::{self, Builder, Kernel, Variant};
use crate::selftests::{self, Flavour};
use crate::series;
use crate::toolchain::Toolchain;
use crate::tree::{self, Tree};

/// What is in a cell, made if nothing is.
pub(crate) fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// The series as patches/ has it, applied to the base, and its kernels.
pub(crate) struct Session<'a> {
    pub(crate) ctx: &'a Ctx,
    /// The developers' tree; only its objects and its base are used.
    pub(crate) tree: Tree,
    /// The patch files: the first posting, then the follow-up.
    pub(crate) files: Vec<PathBuf>,
    /// How many of them are the first posting.
    pub(crate) first: usize,
    /// The commits that git am made of them, in order.
    pub(crate) commits: Vec<String>,
    tools: OnceCell<Toolchain>,
}

impl<'a> Session<'a> {
    /// The files that the series changes or adds, of those that match git's `patterns` if
    /// there are any.
    pub(crate) fn touched(&self, patterns: &[&str]) -> Result<Vec<String>> {
        let range = [&[self.tree.base.as_str(), self.tip(), "--"], patterns].concat();
        let words = "diff --name-only --diff-filter=AM";
        let changed = self.tree.git.line(words, &range)?;
        Ok(changed.lines().map(str::to_owned).collect())
    }

    /// Applies patches/ to the base, which is fetched if it is not there.
    pub(crate) fn open(ctx: &'a Ctx) -> Result<Self> {
        let tree = tree::open(ctx)?;
        let files = series::files(&ctx.patches())?;
        let first = series::patches(&ctx.patches())?.len();
        if first == 0 {
            bail!("patches/ holds no patch");
        }
        if let Some(work) = series::unexported(ctx, &tree)? {
            let linux = ctx.show(&ctx.linux());
            println!("note: tested is patches/; {linux} holds other work, too:\n{work}");
        }
        let tip = series::apply(ctx, &tree.git, &tree.base, &files)?;
        let commits = tree.git.commits(&tree.base, &tip)?;
        // It keeps their objects. It is one of the work tree, so a user's repository shows nothing
        // of it.
        let kept = "refs/worktree/mayexec-tested";
        tree.git.run(["update-ref", kept, &tip])?;
        Ok(Self {
            ctx,
            tree,
            files,
            first,
            commits,
            tools: OnceCell::new(),
        })
    }

    pub(crate) fn tip(&self) -> &str {
        self.commits.last().unwrap_or(&self.tree.base)
    }

    pub(crate) fn first_posting(&self) -> &str {
        self.commits
            .get(self.first - 1)
            .map_or(self.tip(), String::as_str)
    }

    pub(crate) fn tools(&self) -> Result<&Toolchain> {
        once(&self.tools, || Toolchain::find(self.ctx))
    }

    pub(crate) fn builder(&self, variant: &Variant) -> Result<Builder<'_>> {
        // Few objects are the same under another fragment.
        let obj = match variant.fragment {
            Some(name) => format!("walk/obj-{name}"),
            None => "walk/obj".to_owned(),
        };
        Ok(Builder {
            ctx: self.ctx,
            tools: self.tools()?,
            src: self.ctx.walk(),
            obj: self.ctx.slot.join(obj),
        })
    }

    /// The kernel of one commit, built unless it was before.
    pub(crate) fn kernel(&self, what: &str, commit: &str, variant: &Variant) -> Result<Kernel> {
        let builder = self.builder(variant)?;
        let key = kernel::tree_key(&self.tree.git, commit)?;
        let (kernel, _) = builder.of(&key, variant)?;
        if kernel.is_built() {
            return Ok(kernel);
        }
        self.at(commit)?;
        builder.build(what, variant)
    }

    pub(crate) fn base_kernel(&self) -> Result<Kernel> {
        self.kernel("the base kernel", &self.tree.base, &Variant::PLAIN)
    }

    pub(crate) fn tip_kernel(&self) -> Result<Kernel> {
        self.kernel("the series' kernel", self.tip(), &Variant::PLAIN)
    }

    /// The selftests of the whole series and of this repository, installed.
    pub(crate) fn selftests(&self) -> Result<PathBuf> {
        self.selftests_at(self.tip(), Flavour::NATIVE)
    }

    /// The selftests that a commit of the series has, installed.
    pub(crate) fn selftests_at(&self, commit: &str, flavour: Flavour) -> Result<PathBuf> {
        let tree = self.at(commit)?;
        let obj = self.builder(&Variant::PLAIN)?.obj;
        selftests::build(self.ctx, self.tools()?, &tree, &obj, flavour)
    }

    /// The work tree in which the patches are built one after the other, with a commit checked out.
    pub(crate) fn at(&self, commit: &str) -> Result<Git> {
        let dir = self.ctx.walk();
        let walk = Git::at(&dir);
        if !dir.join(".git").exists() || walk.commit("HEAD")?.is_none() {
            self.tree.git.remove_worktree(&dir)?;
            let what = [dir.as_path(), self.tree.base.as_ref()];
            self.tree.git.line("worktree add --detach --force", &what)?;
        }
        walk.force_to(commit)?;
        Ok(walk)
    }
}
