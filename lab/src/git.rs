// SPDX-License-Identifier: GPL-2.0

//! git, run as a command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::proc;

/// A repository or work tree.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    dir: PathBuf,
}

impl Git {
    pub(crate) fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A git command for this repository.
    ///
    /// It never asks, signs or pages, commits as the tools when the user has no identity,
    /// and ignores a GIT_DIR that a hook may have left in the environment.
    pub(crate) fn cmd<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut cmd = Command::new("git");
        // Whatever the user's own are; nothing that is untracked is left out of what may be lost.
        const SETTINGS: &str = "-c advice.detachedHead=false -c gc.auto=0 -c core.hooksPath=/dev/null \
            -c commit.gpgsign=false -c status.showUntrackedFiles=normal";
        cmd.arg("-C").arg(&self.dir);
        cmd.args(SETTINGS.split_whitespace()).args(args);
        cmd.env("GIT_TERMINAL_PROMPT", "0").env("GIT_PAGER", "cat");
        cmd.env("GIT_EDITOR", "true").env("LC_ALL", "C");
        for name in ["DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY"] {
            cmd.env_remove(format!("GIT_{name}"));
        }
        cmd.env("GIT_COMMITTER_NAME", "mayexec developers")
            .env("GIT_COMMITTER_EMAIL", "mayexec@localhost");
        cmd
    }

    /// Runs git and returns what it printed, without the final newline.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        proc::capture(&mut self.cmd(args)).map(|out| out.trim_end().to_owned())
    }

    /// As [`Git::run`], of words with a space between them, and of `more` after these.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, words: &str, more: &[S]) -> Result<String> {
        let words = words.split(' ').map(OsStr::new);
        self.run(words.chain(more.iter().map(AsRef::as_ref)))
    }

    /// Whether git exits with status 0.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<bool> {
        proc::output(&mut self.cmd(args)).map(|(status, _, _)| status.success())
    }

    /// The commit that `rev` names, if it names one.
    pub(crate) fn commit(&self, rev: &str) -> Result<Option<String>> {
        let words = "rev-parse --verify --quiet --end-of-options";
        let mut cmd = self.cmd(words.split(' '));
        let (status, out, _) = proc::output(cmd.arg(format!("{rev}^{{commit}}")))?;
        Ok(status.success().then(|| out.trim().to_owned()))
    }

    pub(crate) fn head(&self) -> Result<String> {
        self.run(["rev-parse", "HEAD"])
    }

    /// Files with changes that no commit has, as `git status` lists them.
    pub(crate) fn dirt(&self) -> Result<Vec<String>> {
        let status = self.run(["status", "--porcelain"])?;
        Ok(status.lines().map(str::to_owned).collect())
    }

    /// The tree of what is checked out, changes that no commit has included.
    pub(crate) fn snapshot(&self) -> Result<String> {
        // A temporary index holds the work tree without disturbing the user's own.
        let index = tempfile::NamedTempFile::new()?;
        let own = self.run(["rev-parse", "--git-path", "index"])?;
        let own = self.dir.join(own);
        fs_err::copy(&own, index.path())?;
        // By the time of the index, git knows which files may have changed since in the same tick.
        let written = fs_err::metadata(own)?.modified()?;
        index.as_file().set_modified(written)?;
        let with_index = |args: &str| {
            let mut cmd = self.cmd(args.split(' '));
            proc::capture(cmd.env("GIT_INDEX_FILE", index.path()))
        };
        with_index("add -A")?;
        Ok(with_index("write-tree")?.trim().to_owned())
    }

    /// The commits after `base`, oldest first.
    pub(crate) fn commits(&self, base: &str, tip: &str) -> Result<Vec<String>> {
        let range = format!("{base}..{tip}");
        let commits = self.line("rev-list --reverse --topo-order", &[range])?;
        Ok(commits.lines().map(str::to_owned).collect())
    }

    pub(crate) fn tree(&self, commit: &str) -> Result<String> {
        self.line("rev-parse", &[format!("{commit}^{{tree}}")])
    }

    /// Removes the work tree at `dir`, if it is there, with what it holds.
    ///
    /// `git worktree prune` would also forget the user's work trees on a disk that is
    /// away.
    pub(crate) fn remove_worktree(&self, dir: &Path) -> Result<()> {
        let removed = self.line("worktree remove --force", &[dir]);
        if removed.is_err() && dir.exists() {
            fs_err::remove_dir_all(dir)?;
        }
        Ok(())
    }

    /// Takes a work tree of the tools' own to `commit`, whatever state it was left in.
    pub(crate) fn force_to(&self, commit: &str) -> Result<()> {
        // A run that was ended may have left its lock; nobody else works here.
        if let Ok(lock) = self.run(["rev-parse", "--git-path", "index.lock"]) {
            let _ = fs_err::remove_file(self.dir.join(lock));
        }
        self.run(["checkout", "--quiet", "--force", "--detach", commit])?;
        self.run(["clean", "-fdq"])?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A repository with one commit, tagged `base`.
    pub(crate) fn scratch() -> (tempfile::TempDir, Git) {
        let dir = tempfile::tempdir().unwrap();
        let git = scratch_at(dir.path(), "f", "1\n2\n3\n");
        (dir, git)
    }

    /// The same in a directory, with a file.
    pub(crate) fn scratch_at(dir: &Path, file: &str, text: &str) -> Git {
        fs_err::create_dir_all(dir).unwrap();
        fs_err::write(dir.join(file), text).unwrap();
        let git = Git::at(dir);
        for words in [
            "init -q -b main",
            "config user.name T",
            "config user.email t@localhost",
            "config commit.gpgsign true",
            "config status.showUntrackedFiles no",
            "add .",
            "commit -q -m base",
            "tag base",
        ] {
            git.run(words.split(' ')).unwrap();
        }
        git
    }

    #[test]
    fn commits_and_dirt() {
        let (dir, git) = scratch();
        assert_eq!(git.commit("base").unwrap(), git.commit("HEAD").unwrap());
        assert_eq!(git.commit("nowhere").unwrap(), None);
        assert_eq!(git.commit("--help").unwrap(), None);
        fs_err::write(dir.path().join("new"), "").unwrap();
        assert_eq!(git.dirt().unwrap(), ["?? new"]);
        let snapshot = git.snapshot().unwrap();
        assert_eq!(git.dirt().unwrap(), ["?? new"]);
        git.run(["add", "new"]).unwrap();
        git.run(["commit", "-q", "-m", "more"]).unwrap();
        assert_eq!(git.run(["rev-parse", "HEAD^{tree}"]).unwrap(), snapshot);
        assert_eq!(git.commits("base", "HEAD").unwrap().len(), 1);
        git.force_to("base").unwrap();
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn a_change_in_the_tick_of_the_index_is_seen() {
        let (dir, git) = scratch();
        git.run(["config", "core.trustctime", "false"]).unwrap();
        let at_tick = |path: &str| {
            let mut touch = Command::new("touch");
            proc::capture(touch.arg("-d@1000000000").arg(dir.path().join(path))).unwrap();
        };
        at_tick("f");
        git.run(["update-index", "--refresh"]).unwrap();
        let before = git.snapshot().unwrap();
        fs_err::write(dir.path().join("f"), "1\n2\n4\n").unwrap();
        at_tick("f");
        at_tick(".git/index");
        assert_ne!(git.snapshot().unwrap(), before);
    }

    #[test]
    fn a_work_tree_goes_alone() {
        let (dir, git) = scratch();
        let place = tempfile::tempdir().unwrap();
        let [mine, gone, away, stray] =
            ["mine", "gone", "away", "stray"].map(|name| place.path().join(name));
        for work_tree in [&mine, &gone, &away] {
            git.line("worktree add -q --detach", &[work_tree]).unwrap();
        }
        fs_err::write(mine.join("f"), "changed\n").unwrap();
        fs_err::remove_dir_all(&gone).unwrap();
        fs_err::rename(&away, place.path().join("elsewhere")).unwrap();
        fs_err::create_dir(&stray).unwrap();
        for work_tree in [&mine, &gone, &stray] {
            git.remove_worktree(work_tree).unwrap();
            assert!(!work_tree.exists());
        }
        let known = git.run(["worktree", "list", "--porcelain"]).unwrap();
        let known = known.lines();
        let known = known.filter_map(|line| line.strip_prefix("worktree "));
        assert_eq!(Vec::from_iter(known.map(Path::new)), [dir.path(), &away]);
    }
}
