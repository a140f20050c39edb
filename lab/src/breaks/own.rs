// SPDX-License-Identifier: GPL-2.0

//! Breaks of this repository's own tools: the library, the command, the interpreters.

use fs_err as fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::noticed::{Answers, Noticed, apply, failures, noticed, stem};
use crate::ctx::Ctx;
use crate::git::Git;
use crate::proc;
use crate::session::Session;
use crate::suites::host::{self, POLICY};
use crate::suites::{consumers, userland};
use crate::system;
use crate::ui;

/// What runs in guests is built from these packages.
const PACKAGES: &str = "mayexec*";
const NEXTEST: &str = "nextest run --no-fail-fast --color=never";

/// A copy of the checkout, to be broken.
pub(super) struct Checkout<'a> {
    ctx: &'a Ctx,
    git: Git,
    commit: String,
}

impl<'a> Checkout<'a> {
    /// Copies what the checkout holds now, committed or not.
    ///
    /// The copy is a repository of its own, so that only files that differ are written
    /// and cargo builds only what has changed.
    pub(super) fn copied(ctx: &'a Ctx) -> Result<Self> {
        let root = Git::at(&ctx.root);
        let commit = root.line(
            "-c user.name=mayexec -c user.email=mayexec@localhost commit-tree -m checkout",
            &[root.snapshot()?],
        )?;
        let dir = ctx.build.join("breaks/checkout");
        fs::create_dir_all(&dir)?;
        let git = Git::at(dir);
        git.run(["init", "--quiet"])?;
        let fetch = "-c protocol.version=2 fetch --quiet --no-tags";
        git.line(fetch, &[ctx.root.as_os_str(), commit.as_ref()])?;
        git.force_to(&commit)?;
        Ok(Self { ctx, git, commit })
    }

    /// What the suites say with a break applied, or without one. The guests, which take minutes,
    /// are asked only about what the tests on the host let pass.
    pub(super) fn ask(&self, session: &Session<'_>, file: Option<&Path>) -> Result<Answers> {
        let name = file.map_or("unbroken".to_owned(), stem);
        self.git.force_to(&self.commit)?;
        if let Some(file) = file {
            apply(&self.git, file)?;
        }
        // A break that does not compile shows nothing.
        let log = self.ctx.fresh_log(&format!("breaks-build-{name}"))?;
        let what = format!("build the tools with {name}");
        let mut build = self.cargo("build --package guest", PACKAGES);
        ui::step(&what, &log, 3600, &mut build)?;
        let header = |target| host::open_code(self.ctx, self.git.dir(), target);
        proc::capture(&mut header("all"))?;
        let mut host = self.tests(&name, self.cargo(NEXTEST, PACKAGES), host::cargo_cases)?;
        if host.is_none() {
            host = self.tests(&name, header("check"), host::header_cases)?;
        }
        let passed = host.is_none();
        let mut answers = vec![("host", host)];
        if passed {
            answers.push(("userland", self.guests(session, &name)?));
        }
        Ok(answers)
    }

    /// What the first guest says that is red.
    fn guests(&self, session: &Session<'_>, name: &str) -> Result<Noticed> {
        let (ctx, root) = (self.ctx, self.git.dir());
        let bundle = userland::bundle(ctx, &self.target().join("release"), root)?;
        let name = format!("userland {name}");
        for job in userland::jobs(session)? {
            let run = userland::run_job(ctx, bundle.path(), &name, true, &job);
            if let Some(first) = noticed(failures(run))? {
                return Ok(Some(format!("{}: {first}", job.0)));
            }
        }
        // The scripts look for what is built beside themselves; what restores the copy removes it.
        symlink(&ctx.build, root.join("build"))?;
        let disk = system::short_disk(ctx, root)?;
        let run = system::short(ctx, &consumers::kernel(session)?, disk);
        Ok(noticed(failures(run))?.map(|first| format!("a short boot: {first}")))
    }

    /// What the policy's tests on the host say of another version of the policy.
    pub(super) fn policy_tests(&self, name: &str, policy: &Path) -> Result<Noticed> {
        self.git.force_to(&self.commit)?;
        fs::copy(policy, self.git.dir().join(POLICY))?;
        self.tests(name, self.cargo(NEXTEST, "policy"), host::cargo_cases)
    }

    /// Why tests fail on the host, if they do.
    fn tests(&self, name: &str, mut cmd: Command, read: host::Read) -> Result<Noticed> {
        let log = self.ctx.fresh_log(&format!("breaks-host-{name}"))?;
        let what = format!("tests on the host with {name}");
        noticed(failures(host::tests(&what, &log, &mut cmd, read)))
    }

    fn cargo(&self, words: &str, packages: &str) -> Command {
        let mut cmd = Command::new("cargo");
        cmd.args(words.split(' '))
            .args(["--release", "--locked", "--package", packages])
            .current_dir(self.git.dir())
            .env("CARGO_TARGET_DIR", self.target());
        cmd
    }

    fn target(&self) -> PathBuf {
        self.git.dir().with_file_name("cargo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_follows_the_checkout_and_leaves_it_alone() {
        let (dir, checkout) = crate::git::tests::scratch();
        let ctx = crate::ctx::tests::at(dir.path());
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put(".gitignore", "/build/\n");
        put("a", "1\n");
        put("b", "1\n");
        let dirt = checkout.dirt().unwrap();
        let copy = Checkout::copied(&ctx).unwrap();
        let path = |name: &str| copy.git.dir().join(name);
        let written = || fs::metadata(path("a")).unwrap().modified().unwrap();
        let before = written();
        assert!(path("b").exists());
        assert_eq!(checkout.dirt().unwrap(), dirt);
        fs::write(path("b"), "broken\n").unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        put("c", "3\n");
        assert_ne!(Checkout::copied(&ctx).unwrap().commit, copy.commit);
        assert!(!path("b").exists());
        assert_eq!(fs::read_to_string(path("c")).unwrap(), "3\n");
        assert_eq!(written(), before);
        assert!(!path("build").exists());
    }
}
