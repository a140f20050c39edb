// SPDX-License-Identifier: GPL-2.0

//! Breaks of this repository's own tools: the library, the command, the interpreters.

use fs_err as fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::noticed::{Answers, Noticed, apply, judge, stem};
use crate::ctx::Ctx;
use crate::git::Git;
use crate::proc;
use crate::session::Session;
use crate::suites::host::{POLICY, nextest};
use crate::suites::{consumers, userland};
use crate::system;
use crate::ui;

/// What runs in guests is built from these.
const PACKAGES: [&str; 6] = [
    "mayexec",
    "mayexec-capi",
    "mayexec-cli",
    "mayexec-lua",
    "mayexec-python",
    "mayexec-rtld",
];

/// A copy of the checkout, to be broken.
pub(super) struct Checkout<'a> {
    session: &'a Session<'a>,
    git: Git,
    commit: String,
    target: PathBuf,
}

impl<'a> Checkout<'a> {
    pub(super) fn of(session: &'a Session<'a>) -> Result<Self> {
        let dir = session.ctx.build.join("breaks/checkout");
        let (git, commit) = copied(session.ctx, &dir)?;
        Ok(Self {
            session,
            git,
            commit,
            target: dir.with_file_name("cargo"),
        })
    }

    pub(super) fn restore(&self) -> Result<()> {
        self.git.force_to(&self.commit)
    }

    /// What the suites say with a break applied, or without one. The guests, which take minutes,
    /// are asked only about what the tests on the host let pass; one that does not come to its
    /// end has noticed as well.
    pub(super) fn ask(&self, file: Option<&Path>) -> Result<Answers> {
        let name = file.map_or("unbroken".to_owned(), stem);
        self.restore()?;
        if let Some(file) = file {
            apply(&self.git, file)?;
        }
        self.build(&name)?;
        let host = self.host(&name)?;
        if host.is_some() {
            return Ok(vec![("host", host)]);
        }
        let (session, ctx) = (self.session, self.session.ctx);
        let bundle = userland::bundle(ctx, &self.target.join("release"), self.git.dir())?;
        let mut guests = None;
        for (what, kernel, words) in userland::turns(session)? {
            let boot = format!("userland {what} {name}");
            let run = userland::boot(ctx, bundle.path(), &boot, (&kernel, words), true);
            guests = judge(run)?.map(|first| format!("{what}: {first}"));
            if guests.is_some() {
                break;
            }
        }
        if guests.is_none() {
            // The scripts look for what is built beside themselves; the next restore() removes it.
            symlink(&ctx.build, self.git.dir().join("build"))?;
            let disk = system::short_disk(ctx, self.git.dir())?;
            let run = system::short(ctx, &consumers::kernel(session)?, disk);
            guests = judge(run)?.map(|first| format!("a short boot: {first}"));
        }
        Ok(vec![("host", host), ("userland", guests)])
    }

    /// Builds the programs. A break that does not compile shows nothing.
    fn build(&self, name: &str) -> Result<()> {
        let ctx = self.session.ctx;
        let log = ctx.fresh_log(&format!("breaks-build-{name}"))?;
        let what = format!("build the tools with {name}");
        ui::step(&what, &log, 3600, &mut self.cargo("build --package guest"))
    }

    /// Why the tests on the host fail, if they do.
    fn host(&self, name: &str) -> Result<Noticed> {
        let log = self.session.ctx.fresh_log(&format!("breaks-host-{name}"))?;
        let what = format!("tests on the host with {name}");
        let mut cmd = self.cargo("nextest run --no-fail-fast --color=never");
        judge(Ok(nextest(&what, &log, &mut cmd)?))
    }

    fn cargo(&self, words: &str) -> Command {
        let mut cmd = Command::new("cargo");
        cmd.args(words.split(' '))
            .args(["--release", "--locked"])
            .args(PACKAGES.map(|package| format!("--package={package}")))
            .current_dir(self.git.dir())
            .env("CARGO_TARGET_DIR", &self.target);
        cmd
    }
}

/// Why the policy's tests on the host fail with another version of the policy, if they do.
pub(super) fn policy_tests(ctx: &Ctx, policy: &Path) -> Result<Noticed> {
    let dir = ctx.build.join("breaks/checkout");
    copied(ctx, &dir)?;
    fs::copy(policy, dir.join(POLICY))?;
    let log = ctx.fresh_log("policy-tests")?;
    let args = "nextest run --no-fail-fast --color=never --package=policy";
    let mut cmd = Command::new("cargo");
    cmd.args(args.split(' '))
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", dir.with_file_name("cargo"));
    judge(Ok(nextest("the policy's tests", &log, &mut cmd)?))
}

/// Copies what the checkout holds now, committed or not, to `dir`; the copy and its commit.
///
/// The copy is a repository of its own, so that only files that differ are written
/// and cargo builds only what has changed.
fn copied(ctx: &Ctx, dir: &Path) -> Result<(Git, String)> {
    fs::create_dir_all(dir)?;
    let git = Git::at(dir);
    git.run(["init", "--quiet"])?;
    let store = dir.join(".git");
    let checkout = Git::at(&ctx.root);
    let index = |args: &[&str]| {
        let mut cmd = checkout.cmd(["--work-tree".as_ref(), ctx.root.as_os_str()]);
        cmd.arg("--git-dir").arg(&store).args(args);
        proc::capture(cmd.env("GIT_INDEX_FILE", store.join("checkout-index")))
    };
    index(&["add", "--all"])?;
    let tree = index(&["write-tree"])?;
    let commit = git.line(
        "-c user.name=mayexec -c user.email=mayexec@localhost commit-tree -m checkout",
        &[tree.trim()],
    )?;
    git.force_to(&commit)?;
    Ok((git, commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_follows_the_checkout_and_leaves_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = crate::ctx::tests::at(dir.path());
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put(".gitignore", "/build/\n");
        put("a", "1\n");
        put("b", "1\n");
        let to = ctx.build.join("breaks");
        let (git, commit) = copied(&ctx, &to).unwrap();
        let text = |name: &str| fs::read_to_string(git.dir().join(name));
        let meta = |name: &str| fs::metadata(git.dir().join(name)).unwrap();
        let written = |name: &str| meta(name).modified().unwrap();
        let a = written("a");
        assert_eq!(text("b").unwrap(), "1\n");
        fs::write(git.dir().join("b"), "broken\n").unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        put("c", "3\n");
        assert_ne!(copied(&ctx, &to).unwrap().1, commit);
        assert!(text("b").is_err());
        assert_eq!(text("c").unwrap(), "3\n");
        assert_eq!(written("a"), a);
        assert!(!git.dir().join("build").exists());
        let names = crate::ctx::tests::names(dir.path());
        assert_eq!(names, [".gitignore", "a", "build", "c"]);
    }
}
