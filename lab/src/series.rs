// SPDX-License-Identifier: GPL-2.0

//! patches/ and the tree's commits: applying, keeping in step, exporting.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::ctx::{Ctx, hash, with_extension, write_whole};
use crate::git::Git;
use crate::proc;
use crate::tree::Tree;
use crate::ui::Stage;

/// Directories of the repository that hold nothing but files which the series adds.
pub(crate) const MIRROR: [&str; 7] = [
    "Documentation",
    "fs",
    "include",
    "rust",
    "samples",
    "security",
    "tools/testing",
];

/// The folder in patches/ with the follow-up, which applies after the first posting.
const FOLLOW_UP: &str = "security";

/// The file in [`FOLLOW_UP`] with the subject of the commit that begins it.
const START: &str = "series-start";

/// The patches of a directory, in the order in which they apply.
pub(crate) fn patches(dir: &Path) -> Result<Vec<PathBuf>> {
    with_extension(dir, "patch")
}

/// The whole series in a directory: the first posting, then the follow-up.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = patches(dir)?;
    files.extend(patches(&follow_up(dir))?);
    Ok(files)
}

pub(crate) fn follow_up(dir: &Path) -> PathBuf {
    dir.join(FOLLOW_UP)
}

/// The name of a patch file as seen from patches/: the follow-up's with its folder.
pub(crate) fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let folder = file.parent().and_then(Path::file_name);
    match folder.is_some_and(|folder| folder == FOLLOW_UP) {
        true => format!("{FOLLOW_UP}/{name}"),
        false => name.into_owned(),
    }
}

/// One hash for the names and contents of `files`.
pub(crate) fn content_hash(files: &[PathBuf]) -> Result<String> {
    let mut all = String::new();
    for file in files {
        let bytes = fs::read(file)?;
        all.push_str(&format!("{} {}\n", name(file), hash(&bytes)));
    }
    Ok(hash(all.as_bytes()))
}

/// What the tree was last made from, or last exported to.
#[derive(Serialize, Deserialize)]
struct Record {
    patches: String,
    head: String,
}

/// The record; of a tree that has none yet, as that of an earlier one is not its, the base and no
/// patches.
fn read_record(ctx: &Ctx, tree: &Tree) -> Result<Record> {
    let bytes = fs::read(ctx.record()).unwrap_or_default();
    let (patches, head) = (content_hash(&[])?, tree.base.clone());
    match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) if tree.git.commit(&record.head)?.is_some() => Ok(record),
        _ => Ok(Record { patches, head }),
    }
}

fn write_record(ctx: &Ctx, record: &Record) -> Result<()> {
    write_whole(&ctx.record(), &serde_json::to_vec_pretty(record)?)
}

/// A repository of its own that shares the objects of `tree`: `base` is its HEAD, and none of its
/// files is checked out. It goes with the directory.
pub(crate) fn beside(ctx: &Ctx, tree: &Git, base: &str) -> Result<(tempfile::TempDir, Git)> {
    let dir = ctx.scratch()?;
    let git = Git::at(dir.path().join("linux"));
    tree.line("clone -q --shared --no-checkout .", &[git.dir()])?;
    git.run(["reset", "-q", base])?;
    Ok((dir, git))
}

/// Applies `files` with git am on `base`, beside what is checked out in `tree` and without touching
/// it; the last commit, which the tree's repository has then, and no ref.
pub(crate) fn apply(ctx: &Ctx, tree: &Git, base: &str, files: &[PathBuf]) -> Result<String> {
    let (_dir, git) = beside(ctx, tree, base)?;
    // It checks out what a patch names.
    const AM: &str = "am -q --no-3way --whitespace=error-all --committer-date-is-author-date";
    for file in files {
        git.line(AM, &[file]).with_context(|| {
            let advice = "rebase it in the kernel tree and `make export`, or repair the file";
            format!("{} does not apply: {advice}", name(file))
        })?;
    }
    tree.line("fetch -q --no-tags", &[git.dir(), "HEAD".as_ref()])?;
    git.head()
}

/// Brings the developers' tree to what patches/ says, unless that would lose work.
///
/// Returns what was done, in a line.
pub(crate) fn sync(ctx: &Ctx, tree: &Tree) -> Result<String> {
    let files = files(&ctx.patches())?;
    let wanted = content_hash(&files)?;
    refuse_half_done(ctx, &tree.git)?;
    let head = tree.git.head()?;
    let dirt = tree.git.dirt()?;
    let record = read_record(ctx, tree)?;
    let linux = ctx.show(&ctx.linux());
    let pristine = dirt.is_empty() && head == record.head;
    if wanted == record.patches {
        if pristine {
            return Ok(format!("{} patches applied", files.len()));
        }
        let _ = ctx.as_it_is.set(());
        let ahead = tree.git.commits(&record.head, &head).unwrap_or_default();
        let (ahead, dirty) = (ahead.len(), dirt.len());
        return Ok(format!(
            "building {linux} as it is, with work that patches/ does not have ({ahead} new commits, {dirty} uncommitted files); \
             `make export` writes commits to patches/"
        ));
    }

    // The branch moves, whatever is checked out.
    let ahead = "for-each-ref --no-merged=HEAD refs/heads/mayexec";
    if ctx.kdir.is_none() && !tree.git.run(ahead.split(' '))?.is_empty() {
        bail!(
            "patches/ changed, and branch mayexec of {linux} has commits that HEAD has not:\n\
             `git -C {linux} branch -m mayexec my-work` keeps them; run the command again then"
        );
    }
    let stage = Stage::begin("apply the series with git am", None);
    let applied = apply(ctx, &tree.git, &tree.base, &files)?;
    // Commits of the same content are in patches/, whoever has applied them.
    let log = "log --format=%T%n%an%n%ae%n%at%n%B";
    let contents = |tip: &str| tree.git.line(log, &[format!("{}..{tip}", tree.base)]);
    let exported = dirt.is_empty() && contents(&applied)? == contents(&head)?;
    if !pristine && !exported {
        bail!(
            "patches/ changed, and {linux} holds work that patches/ does not have:\n{}\n\
             to keep the work: commit it, then `make export FORCE=1` (overwrites the patch files), or save it with\n\
             \x20 git -C {linux} branch my-work && git -C {linux} reset --hard {}\n\
             and run the command again",
            describe_work(tree, &record.head, &dirt)?,
            record.head,
        );
    }
    // checkout writes only files that differ, so that make rebuilds only those.
    let how = match &ctx.kdir {
        Some(_) => "checkout -q --detach",
        None => "checkout -q -B mayexec",
    };
    tree.git.line(how, &[&applied])?;
    let (patches, head) = (wanted, applied);
    write_record(ctx, &Record { patches, head })?;
    stage.done(&format!("{} patches", files.len()));
    Ok(format!("{} patches applied", files.len()))
}

/// Refuses a tree in which git is in the middle of something.
pub(crate) fn refuse_half_done(ctx: &Ctx, git: &Git) -> Result<()> {
    for name in "rebase-apply rebase-merge MERGE_HEAD CHERRY_PICK_HEAD".split(' ') {
        let path = git.run(["rev-parse", "--git-path", name])?;
        if git.dir().join(path).exists() {
            let dir = ctx.show(git.dir());
            let what = "git am, rebase, merge or cherry-pick is under way";
            bail!("{what} in {dir}: finish or abort it first");
        }
    }
    Ok(())
}

fn describe_work(tree: &Tree, since: &str, dirt: &[String]) -> Result<String> {
    let list = "log -10 --format=%h%x20%s --abbrev=12";
    let commits = tree.git.line(list, &[format!("{since}..HEAD")]);
    let commits = commits.unwrap_or_default();
    let commits = commits.lines().map(|commit| format!("  commit {commit}"));
    let dirt = dirt.iter().take(10);
    let dirt = dirt.map(|line| format!("  uncommitted {line}"));
    let mut lines: Vec<String> = commits.chain(dirt).collect();
    if lines.is_empty() {
        let since = &since[..12.min(since.len())];
        let why = "HEAD is not the commit that was applied";
        lines.push(format!("  {why} ({since})"));
    }
    Ok(lines.join("\n"))
}

/// Work in the tree that patches/ does not have, described; nothing if there is none.
pub(crate) fn unexported(ctx: &Ctx, tree: &Tree) -> Result<Option<String>> {
    let head = tree.git.head()?;
    let dirt = tree.git.dirt()?;
    let known = read_record(ctx, tree)?.head;
    if dirt.is_empty() && head == known {
        return Ok(None);
    }
    describe_work(tree, &known, &dirt).map(Some)
}

/// What goes with the tree and is nowhere else, described; nothing if there is nothing.
pub(crate) fn at_risk(ctx: &Ctx, tree: &Tree) -> Result<Option<String>> {
    let mut work = Vec::from_iter(unexported(ctx, tree)?);
    // A repository of the user's keeps these, whatever becomes of the tree.
    if ctx.kdir.is_none() {
        let list = "for-each-ref --format=%(refname:short) --no-merged=HEAD refs/heads";
        let branches = tree.git.run(list.split(' '))?;
        work.extend(branches.lines().map(|branch| format!("  branch {branch}")));
        let stashes = tree.git.run(["stash", "list"])?;
        work.extend(stashes.lines().map(|stash| format!("  {stash}")));
    }
    Ok((!work.is_empty()).then(|| work.join("\n")))
}

/// git format-patch without what no setting of [`FORMAT`] can take away from it.
const FORMAT_PATCH: &str = "format-patch --quiet --zero-commit --no-attach --no-add-header --no-to \
    --no-cc --no-notes --no-ext-diff --no-textconv --start-number=1 --stat=72 --summary -p -o";

/// The file with its settings.
const FORMAT: &str = "scripts/config/format-patch.gitconfig";

/// Writes the series of `base..tip` as patch files into `out`.
///
/// The same commits give the same bytes, whatever the user's git configuration.
fn format(ctx: &Ctx, git: &Git, range: [&str; 2], out: &Path) -> Result<()> {
    let [base, range] = [range[0], &range.join("..")];
    if !git.run(["rev-list", "--merges", range])?.is_empty() {
        bail!("the series holds a merge; a patch series is linear: rebase it onto {base}");
    }
    let settings = format!("include.path={}", ctx.root.join(FORMAT).display());
    let mut cmd = git.cmd(["-c", &settings]);
    cmd.args(FORMAT_PATCH.split(' ')).arg(out).arg(range);
    cmd.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("TZ", "UTC");
    proc::capture(&mut cmd).map(|_| ())
}

/// The files that the series adds, as an index of git's with the checkout as its work tree.
pub(crate) struct Mirror {
    checkout: Git,
    /// The repository with the files' contents.
    store: String,
    index: tempfile::TempDir,
    pub(crate) files: usize,
}

impl Mirror {
    /// The files that `base..tip` adds, and the checkout at `root`.
    pub(crate) fn of(git: &Git, base: &str, tip: &str, root: &Path) -> Result<Self> {
        let added = "diff --name-only --no-renames --diff-filter=A";
        let added = git.line(added, &[base, tip])?;
        let files = Vec::from_iter(added.lines());
        let is_in = |path: &str| MIRROR.iter().any(|dir| Path::new(path).starts_with(dir));
        if let Some(path) = files.iter().find(|path| !is_in(path)) {
            let dirs = MIRROR.join(", ");
            bail!("the series adds {path}, outside the mirrored directories ({dirs})");
        }
        let mirror = Self {
            checkout: Git::at(root),
            store: git.run(["rev-parse", "--absolute-git-dir"])?,
            index: tempfile::tempdir()?,
            files: files.len(),
        };
        if !files.is_empty() {
            mirror.git(&format!("restore --staged --source={tip} --"), &files)?;
        }
        Ok(mirror)
    }

    fn git(&self, words: &str, more: &[&str]) -> Result<String> {
        let mut cmd = self.checkout.cmd(["--git-dir", &self.store, "--work-tree"]);
        cmd.arg(self.checkout.dir())
            .args(words.split(' '))
            .args(more);
        proc::capture(cmd.env("GIT_INDEX_FILE", self.index.path().join("index")))
    }

    /// How the checkout differs from the series; empty when the two agree.
    pub(crate) fn differences(&self) -> Result<Vec<String>> {
        let diff = "-c core.autocrlf=false diff --name-status --no-ext-diff";
        let changed = self.git(diff, &[])?;
        let strays = self.git("ls-files --others --", &MIRROR)?;
        let (changed, strays) = (changed.lines(), strays.lines());
        let changed = changed.map(|line| format!("the mirror differs: {line}"));
        let strays = strays.map(|path| format!("{path}: not added by the series"));
        Ok(changed.chain(strays).collect())
    }

    /// Makes the checkout's directories hold the files and nothing else. A file that is
    /// right already stays as it is, so that nothing is built again for it.
    fn write(&self) -> Result<()> {
        // It fails if a file differs.
        let _ = self.git("update-index -q --refresh", &[]);
        self.git("clean -fdqx --", &MIRROR)?;
        self.git("-c core.autocrlf=false checkout-index -a -f -q", &[])?;
        Ok(())
    }
}

pub(crate) fn export(ctx: &Ctx) -> Result<()> {
    let linux = ctx.show(&ctx.linux());
    let tree = crate::tree::existing(ctx)?
        .with_context(|| format!("no kernel tree yet: `make kernel` prepares {linux}"))?;
    refuse_half_done(ctx, &tree.git)?;
    let dirt = tree.git.dirt()?;
    if !dirt.is_empty() {
        let dirt = dirt[..dirt.len().min(10)].join("\n  ");
        bail!(
            "uncommitted changes in {linux}, which no patch would contain:\n  {dirt}\ncommit them first"
        );
    }
    let base = &tree.base;
    if !tree.git.ok(["merge-base", "--is-ancestor", base, "HEAD"])? {
        bail!("the tree's HEAD does not descend from the base {base}: rebase it there first");
    }
    let old = files(&ctx.patches())?;
    let record = read_record(ctx, &tree)?;
    if record.patches != content_hash(&old)? && !ctx.force {
        bail!(
            "patches/ changed since the tree was made from it, and export would overwrite that\n\
             `make kernel` says how to bring them together; FORCE=1 overwrites the patch files"
        );
    }

    let out = ctx.scratch()?;
    if tree.git.commits(&tree.base, "HEAD")?.is_empty() && !old.is_empty() && !ctx.force {
        bail!("the tree holds no commit on top of the base; FORCE=1 empties patches/");
    }
    exported(ctx, &tree, "HEAD", out.path())?;
    let mirror = |tip| Mirror::of(&tree.git, &tree.base, tip, &ctx.root);
    if !ctx.force {
        let edits = mirror(&record.head)?.differences()?.join("\n  ");
        ensure!(
            edits.is_empty(),
            "export would overwrite work in the checkout:\n  {edits}\n\
             make the edits in {linux}, or move the files elsewhere; FORCE=1 overwrites and removes them"
        );
    }
    let mirror = mirror("HEAD")?;
    let new = patches(out.path())?;
    let later = patches(&follow_up(out.path()))?;
    write_patches(&ctx.patches(), &new)?;
    write_patches(&follow_up(&ctx.patches()), &later)?;
    mirror.write()?;
    // Last: a run that was ended before has left work that patches/ does not have.
    let patches = content_hash(&files(&ctx.patches())?)?;
    let head = tree.git.head()?;
    write_record(ctx, &Record { patches, head })?;
    let (dir, new, later) = (ctx.show(&ctx.patches()), new.len(), later.len());
    let files = mirror.files;
    println!("{dir}/: {new} patches, {later} in {FOLLOW_UP}/; mirror: {files} files");
    Ok(())
}

/// Writes `base..tip` into `out` as export writes it into patches/: the follow-up in a folder,
/// numbered from 1 again.
pub(crate) fn exported(ctx: &Ctx, tree: &Tree, tip: &str, out: &Path) -> Result<()> {
    let later = later(ctx, tree, tip)?;
    let last = tree.git.commit(&format!("{tip}~{later}"))?;
    let last = last.context("the follow-up is longer than the history")?;
    format(ctx, &tree.git, [&tree.base, &last], out)?;
    if later != 0 {
        format(ctx, &tree.git, [&last, tip], &follow_up(out))?;
    }
    Ok(())
}

/// How many of the commits up to `tip`, at the end, are the follow-up.
fn later(ctx: &Ctx, tree: &Tree, tip: &str) -> Result<usize> {
    let folder = follow_up(&ctx.patches());
    let path = folder.join(START);
    let shown = ctx.show(&path);
    let Ok(text) = fs::read_to_string(&path) else {
        if !patches(&folder)?.is_empty() {
            bail!("{shown} is missing: write the subject of the follow-up's first commit there");
        }
        return Ok(0);
    };
    let start = text.trim();
    let range = format!("{}..{tip}", tree.base);
    let subjects = tree.git.line("log --format=%s", &[range])?;
    let mut found = (1..)
        .zip(subjects.lines())
        .filter(|(_, subject)| *subject == start);
    match (found.next(), found.next()) {
        (Some((later, _)), None) => Ok(later),
        (None, _) => bail!(
            "no commit has the subject `{start}`, with which {shown} says that the follow-up begins:\n\
             write the new subject there, or remove the file and the folder's patches if there is no follow-up"
        ),
        _ => bail!("several commits have the subject `{start}`, which {shown} names: reword one"),
    }
}

/// Makes `new` the patches of a directory. A patch that stays is there all the time.
fn write_patches(dir: &Path, new: &[PathBuf]) -> Result<()> {
    let mut gone = patches(dir)?;
    for patch in new {
        let file = dir.join(patch.file_name().context("a patch without a name")?);
        write_whole(&file, &fs::read(patch)?)?;
        gone.retain(|old| *old != file);
    }
    gone.iter().try_for_each(fs::remove_file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctx::tests::at;
    use crate::git::tests::scratch_at;

    /// A checkout with a tree in build/linux whose base has one file.
    fn checkout() -> (tempfile::TempDir, Ctx, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let ctx = at(dir.path());
        let tree = made(&ctx);
        (dir, ctx, tree)
    }

    fn made(ctx: &Ctx) -> Tree {
        scratch_at(&ctx.linux(), "Kbuild", "obj-y += fs/\n");
        crate::tree::existing(ctx).unwrap().unwrap()
    }

    /// The same, with commits of a line each that are exported.
    fn with(commits: &[(&str, &str)]) -> (tempfile::TempDir, Ctx, Tree) {
        let (dir, ctx, tree) = checkout();
        for (path, subject) in commits {
            commit(&tree, path, "1\n", subject);
        }
        export(&ctx).unwrap();
        (dir, ctx, tree)
    }

    fn commit(tree: &Tree, path: &str, text: &str, subject: &str) {
        write_whole(&tree.git.dir().join(path), text.as_bytes()).unwrap();
        git(tree, "add -A");
        tree.git.run(["commit", "-q", "-m", subject]).unwrap();
    }

    fn git(tree: &Tree, words: &str) {
        tree.git.run(words.split(' ')).unwrap();
    }

    /// Changes the first patch.
    fn change(ctx: &Ctx, from: &str, to: &str) -> (PathBuf, String) {
        let patch = patches(&ctx.patches()).unwrap().remove(0);
        let text = fs::read_to_string(&patch).unwrap().replace(from, to);
        fs::write(&patch, &text).unwrap();
        (patch, text)
    }

    fn refused<T: std::fmt::Debug>(made: Result<T>, why: &str) {
        let error = format!("{:#}", made.unwrap_err());
        assert!(error.contains(why), "{error}");
    }

    fn exported_names(ctx: &Ctx) -> Vec<String> {
        let files = files(&ctx.patches()).unwrap();
        let names = files.iter().map(|file| name(&file.with_extension("")));
        names.collect()
    }

    #[test]
    fn export_then_apply_gives_the_same_tree() {
        let (_dir, mut ctx, tree) =
            with(&[("fs/sub/new.rs", "fs: add new"), ("Kbuild", "build it")]);
        let copy = ctx.root.join("fs/sub/new.rs");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "1\n");
        let files = patches(&ctx.patches()).unwrap();
        let first = content_hash(&files).unwrap();
        export(&ctx).unwrap();
        assert_eq!(first, content_hash(&files).unwrap());

        let applied = apply(&ctx, &tree.git, &tree.base, &files).unwrap();
        let trees = [&applied, "HEAD"].map(|commit| tree.git.tree(commit).unwrap());
        assert_eq!(trees[0], trees[1]);
        let mirror = Mirror::of(&tree.git, &tree.base, &applied, &ctx.root).unwrap();
        assert_eq!(mirror.differences().unwrap(), [""; 0]);
        fs::write(copy, "2\n").unwrap();
        fs::write(ctx.root.join("fs/stray"), "").unwrap();
        assert_eq!(mirror.differences().unwrap().len(), 2);

        // What the series no longer has goes, and what it never had if that is wanted.
        git(&tree, "reset -q --hard base");
        commit(&tree, "fs/other.rs", "1\n", "fs: add another");
        refused(export(&ctx), "M\tfs/sub/new.rs\n  fs/stray: not");
        ctx.force = true;
        export(&ctx).unwrap();
        ctx.force = false;
        export(&ctx).unwrap();
        assert!(!ctx.root.join("fs/sub").exists());
        assert_eq!(exported_names(&ctx), ["0001-fs-add-another"]);
    }

    #[test]
    fn unexported_work_is_never_overwritten() {
        let (_dir, ctx, tree) = with(&[("Kbuild", "one")]);
        // Work in the tree alone: it is built as it is.
        commit(&tree, "Kbuild", "2\n", "two");
        assert!(sync(&ctx, &tree).unwrap().contains("1 new commits"));
        assert!(unexported(&ctx, &tree).unwrap().unwrap().contains("two"));
        assert!(!crate::results::are_kept(&ctx));
        // patches/ changes as well: refuse, and keep both.
        let (patch, text) = change(&ctx, "+1", "+3");
        let head = tree.git.head().unwrap();
        refused(sync(&ctx, &tree), "two\n");
        refused(sync(&ctx, &tree), "branch my-work");
        assert_eq!(tree.git.head().unwrap(), head);
        refused(export(&ctx), "FORCE=1");
        assert_eq!(fs::read_to_string(&patch).unwrap(), text);
        // Nor is a message, though both have the same tree.
        git(&tree, "commit -q --amend -m better");
        change(&ctx, "+3", "+2");
        refused(sync(&ctx, &tree), "better\n");
        change(&ctx, "+2", "+3");
        // Nor is a branch that is not checked out.
        git(&tree, "checkout -q -b mayexec");
        git(&tree, "checkout -q --detach HEAD~1");
        refused(sync(&ctx, &tree), "branch -m mayexec my-work");
        // Without the work, patches/ is applied.
        git(&tree, "branch -q -D mayexec");
        sync(&ctx, &tree).unwrap();
        let file = tree.git.dir().join("Kbuild");
        assert_eq!(fs::read_to_string(file).unwrap(), "3\n");
        assert_eq!(unexported(&ctx, &tree).unwrap(), None);
    }

    #[test]
    fn branches_and_stashes_are_work() {
        let (_dir, ctx, tree) = with(&[("Kbuild", "one")]);
        let work = || at_risk(&ctx, &tree).unwrap().unwrap_or_default();
        assert_eq!(work(), "");
        // What sync() advises when both sides have changed.
        commit(&tree, "Kbuild", "2\n", "two");
        git(&tree, "branch my-work");
        git(&tree, "reset -q --hard HEAD~1");
        assert_eq!(work(), "  branch my-work");
        git(&tree, "branch -q -D my-work");
        fs::write(tree.git.dir().join("Kbuild"), "3\n").unwrap();
        git(&tree, "stash -q");
        assert!(work().contains("stash@{0}"), "{}", work());
        git(&tree, "stash drop -q");
        assert_eq!(work(), "");
    }

    #[test]
    fn an_export_that_was_ended_loses_nothing() {
        let (_dir, mut ctx, tree) = with(&[("Kbuild", "one")]);
        let before = fs::read(ctx.record()).unwrap();
        for subject in ["two", "three"] {
            commit(&tree, "fs/new.rs", subject, subject);
        }
        export(&ctx).unwrap();
        // Not all is written, and the record is the old one.
        fs::write(ctx.record(), before).unwrap();
        fs::remove_file(ctx.patches().join("0003-three.patch")).unwrap();
        assert!(unexported(&ctx, &tree).unwrap().unwrap().contains("two"));
        refused(sync(&ctx, &tree), "three\n");
        refused(sync(&ctx, &tree), "make export FORCE=1");
        ctx.force = true;
        export(&ctx).unwrap();
        assert_eq!(exported_names(&ctx).len(), 3);
        assert!(sync(&ctx, &tree).unwrap().contains("3 patches applied"));
        // What is exported is no work, whatever the record says.
        fs::remove_file(ctx.record()).unwrap();
        assert!(sync(&ctx, &tree).unwrap().contains("3 patches applied"));
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named_and_nothing_moves() {
        let (_dir, ctx, tree) = with(&[("Kbuild", "one")]);
        change(&ctx, "-obj-y", "-obj-n");
        let head = tree.git.head().unwrap();
        refused(sync(&ctx, &tree), "0001-one.patch does not apply");
        // Nor does one with damaged whitespace.
        change(&ctx, "-obj-n", "-obj-y");
        change(&ctx, "\n+1\n", "\n+1 \n");
        refused(sync(&ctx, &tree), "trailing whitespace");
        assert_eq!(tree.git.head().unwrap(), head);
    }

    #[test]
    fn export_refuses_dirt_and_strays() {
        let (_dir, ctx, tree) = checkout();
        fs::write(tree.git.dir().join("note"), "").unwrap();
        refused(export(&ctx), "uncommitted");
        commit(&tree, "note", "1\n", "x");
        refused(export(&ctx), "outside the mirrored");
    }

    /// A checkout with an exported series: two commits in the first posting, two after it.
    fn with_follow_up() -> (tempfile::TempDir, Ctx, Tree) {
        let (dir, ctx, tree) = with(&[
            ("fs/a.rs", "fs: a"),
            ("fs/b.rs", "fs: b"),
            ("security/c.c", "lsm: c"),
            ("security/d.c", "lsm: d"),
        ]);
        let start = follow_up(&ctx.patches()).join(START);
        write_whole(&start, b"lsm: c\n").unwrap();
        export(&ctx).unwrap();
        (dir, ctx, tree)
    }

    #[test]
    fn the_follow_up_has_a_folder_and_numbers_of_its_own() {
        let (_dir, ctx, tree) = with_follow_up();
        let names = "0001-fs-a 0002-fs-b security/0001-lsm-c security/0002-lsm-d";
        assert_eq!(exported_names(&ctx).join(" "), names);
        // Both folders give the tree back when it is made anew, and what is committed on top joins
        // the follow-up.
        let head = tree.git.tree("HEAD").unwrap();
        fs::remove_dir_all(tree.git.dir()).unwrap();
        let tree = made(&ctx);
        assert!(sync(&ctx, &tree).unwrap().contains("4 patches applied"));
        assert_eq!(tree.git.tree("HEAD").unwrap(), head);
        commit(&tree, "security/e.c", "x\n", "lsm: e");
        export(&ctx).unwrap();
        assert_eq!(exported_names(&ctx)[4], "security/0003-lsm-e");
        assert_eq!(exported_names(&ctx).len(), 5);
    }

    #[test]
    fn a_follow_up_whose_start_is_unknown_is_kept() {
        let (_dir, ctx, tree) = with_follow_up();
        let before = exported_names(&ctx);
        let kept = |why: &str| {
            refused(export(&ctx), why);
            assert_eq!(exported_names(&ctx), before);
        };
        commit(&tree, "security/e.c", "x\n", "lsm: c");
        kept("several commits");
        git(&tree, "reset -q --hard HEAD~3");
        commit(&tree, "security/c.c", "x\n", "lsm: a better name");
        kept("no commit has the subject");
        fs::remove_file(follow_up(&ctx.patches()).join(START)).unwrap();
        kept("series-start is missing");
    }
}
