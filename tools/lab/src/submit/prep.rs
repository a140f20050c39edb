//! The series as a branch of b4's, and the mails that b4 makes of it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::trailers;
use crate::ctx::{Ctx, write_whole};
use crate::git::Git;
use crate::proc::{self, Logged};
use crate::series;
use crate::tree::{self, Tree};
use crate::ui::Stage;

/// What b4 makes of [`NAME`].
const BRANCH: &str = "b4/mayexec";
const NAME: &str = "mayexec";
/// The line in its cover commit that b4 finds it by.
const MARK: &str = "--- b4-submit-tracking ---";
/// Who sends if git does not know: somebody who may not.
const NOBODY: (&str, &str) = ("The Submitter", "submitter@example.org");
/// The file beside the mails that says why they may not be sent.
const REASONS: &str = "NOT-SENDABLE.txt";
/// The mails as one mailbox.
const MAILBOX: &str = "series.mbox";
/// A transport that is never used: without one, b4 would turn to a server even to
/// write files.
const NO_TRANSPORT: (&str, &str) = ("sendemail.smtpserver", "localhost");

/// A work tree with the branch checked out, and who works there.
pub(super) struct Branch<'a> {
    ctx: &'a Ctx,
    git: Git,
    base: String,
    sender: (String, String),
    log: PathBuf,
}

/// Where the branch is checked out.
fn place(ctx: &Ctx) -> PathBuf {
    ctx.slot.join("prep")
}

/// Makes the branch of patches/, or, with FORCE=1, makes its patches anew.
pub(crate) fn prep(ctx: &Ctx) -> Result<()> {
    let tree = tree::open(ctx)?;
    let branch = make(ctx, &tree, &place(ctx))?;
    println!(
        "{BRANCH} is checked out in {}; what is left is yours:\n{}",
        ctx.show(branch.git.dir()),
        indented(&branch.problems()?)
    );
    Ok(())
}

/// Writes the mails, and checks that they apply.
pub(crate) fn dry_run(ctx: &Ctx) -> Result<bool> {
    let tree = tree::open(ctx)?;
    let branch = match Branch::open(ctx, &tree, &place(ctx))? {
        Some(branch) => branch,
        None => make(ctx, &tree, &place(ctx))?,
    };
    let mails = ctx.build.join("mails");
    let count = branch.mails(&mails)?;
    println!("{}: {count} mails, which apply", ctx.show(&mails));
    let problems = branch.problems()?;
    if problems.is_empty() {
        println!("nothing keeps `make send` from handing them to b4");
    } else {
        let text = format!("These mails may not be sent:\n{}", indented(&problems));
        write_whole(&mails.join(REASONS), text.as_bytes())?;
        print!("{text}");
    }
    Ok(true)
}

/// Hands over to b4, which asks before it sends, unless something is in the way.
pub(crate) fn send(ctx: &Ctx) -> Result<bool> {
    let tree = tree::open(ctx)?;
    let branch = Branch::open(ctx, &tree, &place(ctx))?
        .with_context(|| format!("no branch {BRANCH}: `make prep`"))?;
    let problems = branch.problems()?;
    if !problems.is_empty() {
        eprint!("not sent:\n{}", indented(&problems));
        return Ok(false);
    }
    Err(branch.b4(&["send"]).exec()).context("cannot start b4")
}

/// Shows what changed since the version that was sent or, before any was, tagged here.
pub(crate) fn range_diff(ctx: &Ctx) -> Result<()> {
    let tree = tree::open(ctx)?;
    let files = series::patches(&ctx.patches())?;
    let now = series::apply(ctx, &tree.git, &tree.base, &files)?;
    let sent = tree.git.run([
        "for-each-ref",
        "--sort=-version:refname",
        "--format=%(refname:short)",
        &format!("refs/tags/sent/*{NAME}*"),
    ])?;
    let (tag, old_base, old) = match sent.lines().next() {
        Some(tag) => {
            // b4 tags the last patch; the base is in the tag's text.
            let text = tree.git.run(["cat-file", "tag", tag])?;
            let base = text
                .lines()
                .find_map(|line| line.strip_prefix("base-commit: "))
                .with_context(|| format!("the tag {tag} names no base-commit"))?;
            (
                tag.to_owned(),
                base.to_owned(),
                tree.git.run(["rev-parse", &format!("{tag}^{{commit}}")])?,
            )
        }
        None => {
            let (tag, dir) = tagged_patches(ctx)?;
            let files = series::patches(dir.path())?;
            let then = series::apply(ctx, &tree.git, &tree.base, &files)
                .with_context(|| format!("the patches of {tag}"))?;
            now.git.run(
                ["fetch", "-q", "--no-tags"]
                    .map(std::ffi::OsStr::new)
                    .into_iter()
                    .chain([then.git.dir().as_os_str(), "HEAD".as_ref()]),
            )?;
            (tag, tree.base.clone(), then.head)
        }
    };
    println!("{tag} against patches/:");
    let diff = now.git.run([
        "range-diff",
        "--no-color",
        &format!("{old_base}..{old}"),
        &format!("{}..{}", tree.base, now.head),
    ])?;
    println!("{diff}");
    Ok(())
}

/// The patches of this repository's last version, in a directory.
fn tagged_patches(ctx: &Ctx) -> Result<(String, tempfile::TempDir)> {
    let own = Git::at(&ctx.root);
    let Some(tag) = own
        .run([
            "tag",
            "--list",
            "v[0-9]*",
            "--merged",
            "HEAD",
            "--sort=-version:refname",
        ])?
        .lines()
        .next()
        .map(str::to_owned)
    else {
        bail!(
            "no version to compare with: b4 has sent none (tags sent/*), and this repository has no tag v1, v2, ..."
        );
    };
    let dir = tempfile::tempdir()?;
    let names = own.run(["ls-tree", "--name-only", &tag, "patches/"])?;
    for path in names.lines().filter(|path| path.ends_with(".patch")) {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Not `run`, which trims: a patch ends as it ends.
        let text = proc::capture(&mut own.cmd(["show", &format!("{tag}:{path}")]))?;
        fs::write(dir.path().join(name), text)?;
    }
    Ok((tag, dir))
}

/// The branch with the patches in `tree`, made or made anew, checked out in `dir`.
pub(super) fn make<'a>(ctx: &'a Ctx, tree: &Tree, dir: &Path) -> Result<Branch<'a>> {
    let files = series::patches(&ctx.patches())?;
    let letter = ctx.patches().join("cover-letter.txt");
    let letter =
        fs::read_to_string(&letter).with_context(|| format!("cannot read {}", letter.display()))?;
    let letter = Letter::parse(&letter)?;
    let known = Branch::open(ctx, tree, dir)?;
    if let Some(branch) = &known
        && !ctx.force
    {
        bail!(
            "the branch {BRANCH} is there already, in {}\n\
             FORCE=1 makes its patches and its cover letter anew from patches/ and keeps what b4 knows about it\n\
             (change-id, version, addresses); sign-offs and other changes made there are lost",
            ctx.show(branch.git.dir())
        );
    }
    let stage = Stage::begin(&format!("make {BRANCH}"), None);
    let (branch, addresses) = match known {
        Some(branch) => {
            let cover = branch.cover_commit()?;
            let addresses = addresses(&branch.cover()?);
            let old = branch.git.run(["rev-parse", "HEAD"])?;
            stage.at(&format!("was {}", &old[..12]));
            branch.git.run(["checkout", "-q", "-B", BRANCH, &cover])?;
            (branch, addresses)
        }
        None => {
            let branch = Branch::create(ctx, tree, dir)?;
            branch.run_b4(&["prep", "-n", NAME, "-f", &branch.base])?;
            (branch, Vec::new())
        }
    };
    for file in &files {
        branch.am(file)?;
    }
    branch.write_cover(&letter, &addresses)?;
    let mut prefixes = vec!["prep", "--set-prefixes"];
    prefixes.extend(letter.prefixes.iter().map(String::as_str));
    if letter.prefixes.is_empty() {
        prefixes.push("");
    }
    branch.run_b4(&prefixes)?;
    stage.at("asking get_maintainer");
    branch.run_b4(&["prep", "--auto-to-cc"])?;
    stage.done(&format!("{} patches", files.len()));
    Ok(branch)
}

impl<'a> Branch<'a> {
    /// The branch, if there is one; its work tree is made again if it was removed.
    fn open(ctx: &'a Ctx, tree: &Tree, dir: &Path) -> Result<Option<Self>> {
        if tree.git.commit(&format!("refs/heads/{BRANCH}"))?.is_none() {
            return Ok(None);
        }
        if !dir.join(".git").exists() {
            tree.git.run(["worktree", "prune"])?;
            tree.git
                .run([
                    "worktree".as_ref(),
                    "add".as_ref(),
                    dir.as_os_str(),
                    BRANCH.as_ref(),
                ])
                .with_context(|| {
                    format!("{BRANCH} is checked out elsewhere? Only one place can have it")
                })?;
        }
        let branch = Self::at(ctx, tree, dir)?;
        let head = branch.git.run(["symbolic-ref", "--short", "-q", "HEAD"]);
        if head.as_deref().unwrap_or_default() != BRANCH {
            bail!(
                "{}: {BRANCH} is not what is checked out there",
                ctx.show(dir)
            );
        }
        if !branch
            .git
            .run(["status", "--porcelain", "-uno"])?
            .is_empty()
        {
            bail!(
                "{}: uncommitted changes; commit or drop them first",
                ctx.show(dir)
            );
        }
        Ok(Some(branch))
    }

    /// A work tree without a branch yet.
    fn create(ctx: &'a Ctx, tree: &Tree, dir: &Path) -> Result<Self> {
        if dir.exists() {
            let _ = tree.git.run([
                "worktree".as_ref(),
                "remove".as_ref(),
                "--force".as_ref(),
                dir.as_os_str(),
            ]);
            if dir.exists() {
                bail!("{} is in the way: move it elsewhere", ctx.show(dir));
            }
        }
        tree.git.run(["worktree", "prune"])?;
        tree.git.run([
            "worktree".as_ref(),
            "add".as_ref(),
            "-q".as_ref(),
            "--detach".as_ref(),
            dir.as_os_str(),
            tree.base.as_ref(),
        ])?;
        Self::at(ctx, tree, dir)
    }

    fn at(ctx: &'a Ctx, tree: &Tree, dir: &Path) -> Result<Self> {
        let git = Git::at(dir);
        let known = |name| {
            git.run(["config", name])
                .ok()
                .filter(|value| !value.is_empty())
        };
        let sender = match (known("user.name"), known("user.email")) {
            (Some(name), Some(email)) => (name, email),
            _ => (NOBODY.0.to_owned(), NOBODY.1.to_owned()),
        };
        Ok(Self {
            ctx,
            git,
            base: tree.base.clone(),
            sender,
            log: ctx.fresh_log("b4")?,
        })
    }

    /// b4 in the work tree, as the sender.
    pub(super) fn b4(&self, args: &[&str]) -> Command {
        let mut cmd = Command::new(self.ctx.build.join("venv/bin/b4"));
        cmd.args(args).current_dir(self.git.dir());
        self.identify(&mut cmd);
        cmd
    }

    /// The sender, for a command that runs git.
    fn identify(&self, cmd: &mut Command) {
        let (name, email) = &self.sender;
        cmd.env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email);
        settings(cmd, &[("user.name", name), ("user.email", email)]);
    }

    /// Runs b4 to its end.
    pub(super) fn run_b4(&self, args: &[&str]) -> Result<()> {
        let mut cmd = self.b4(args);
        self.finish(&mut cmd)
    }

    fn finish(&self, cmd: &mut Command) -> Result<()> {
        Logged::new("b4", &self.log)
            .limit(Duration::from_secs(1800))
            .run(cmd, |_| {})
    }

    fn am(&self, file: &Path) -> Result<()> {
        let mut cmd = self.git.cmd(["am", "-q", "--3way"]);
        self.identify(&mut cmd);
        let (status, out, err) = proc::output(cmd.arg(file))?;
        if status.success() {
            return Ok(());
        }
        let _ = self.git.run(["am", "--abort"]);
        bail!(
            "{} does not apply in {}:\n{}",
            file.display(),
            self.ctx.show(self.git.dir()),
            proc::tail(&format!("{out}{err}"), proc::TAIL)
        )
    }

    /// The commit in which b4 keeps the cover letter.
    fn cover_commit(&self) -> Result<String> {
        let found = self.git.run([
            "log",
            "--format=%H",
            "--fixed-strings",
            "--grep",
            MARK,
            &format!("{}..HEAD", self.base),
        ])?;
        let mut commits = found.lines();
        match (commits.next(), commits.next()) {
            (Some(commit), None) => Ok(commit.to_owned()),
            _ => Err(anyhow!(
                "{BRANCH} has no cover letter of b4's after {}: was it made for another BASE?",
                &self.base[..12.min(self.base.len())]
            )),
        }
    }

    /// The cover letter as b4 has it, without what it notes for itself.
    fn cover(&self) -> Result<String> {
        let message = self
            .git
            .run(["log", "-1", "--format=%B", &self.cover_commit()?])?;
        Ok(message.split(MARK).next().unwrap_or_default().to_owned())
    }

    fn write_cover(&self, letter: &Letter, addresses: &[String]) -> Result<()> {
        let mut text = letter.for_b4();
        if !addresses.is_empty() {
            text.push_str(&format!("\n{}\n", addresses.join("\n")));
        }
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        // b4 has the letter edited; to copy is to edit.
        let mut cmd = self.b4(&["prep", "--edit-cover"]);
        cmd.env("GIT_EDITOR", format!("cp {}", file.path().display()));
        self.finish(&mut cmd)
    }

    /// What keeps the branch from being sent.
    pub(super) fn problems(&self) -> Result<Vec<String>> {
        let sender = format!("{} <{}>", self.sender.0, self.sender.1);
        let cover = self.cover_commit()?;
        let mut problems = Vec::new();
        for commit in self.git.commits(&self.base, "HEAD")? {
            if commit == cover {
                continue;
            }
            let message = self.git.run(["log", "-1", "--format=%B", &commit])?;
            let author = self.git.run(["log", "-1", "--format=%an <%ae>", &commit])?;
            let subject = message.lines().next().unwrap_or_default();
            problems.extend(
                trailers::message_problems(&message, &author, &sender)
                    .into_iter()
                    .map(|problem| format!("{subject}: {problem}")),
            );
        }
        problems.extend(trailers::cover_problems(&self.cover()?));
        Ok(problems)
    }

    /// Writes what `b4 send` would send into `dir`, and applies it as its receiver would.
    pub(super) fn mails(&self, dir: &Path) -> Result<usize> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        fs::create_dir_all(dir)?;
        let mut cmd = self.b4(&["send", "--no-sign", "-o"]);
        cmd.arg(dir);
        let (name, email) = &self.sender;
        settings(
            &mut cmd,
            &[("user.name", name), ("user.email", email), NO_TRANSPORT],
        );
        self.finish(&mut cmd)?;
        let mails = mails(dir)?;
        let patches = self.git.commits(&self.base, "HEAD")?.len() - 1;
        if mails.len() != patches + 1 {
            bail!(
                "b4 wrote {} mails for {patches} patches; log: {}",
                mails.len(),
                self.ctx.show(&self.log)
            );
        }
        let mut all = String::new();
        for mail in &mails {
            all.push_str(&in_mailbox(&fs::read_to_string(mail)?));
        }
        write_whole(&dir.join(MAILBOX), all.as_bytes())?;
        self.receive(&dir.join(MAILBOX))?;
        Ok(mails.len())
    }

    /// Takes the mailbox through `b4 am` and `git am`; the result must be the branch.
    fn receive(&self, mailbox: &Path) -> Result<()> {
        let out = tempfile::tempdir()?;
        // Without -T, b4 would ask the lists' archive for replies.
        let mut cmd = self.b4(&["am", "-T", "-m"]);
        cmd.arg(mailbox).arg("-o").arg(out.path());
        self.finish(&mut cmd)?;
        let mut received = Vec::new();
        for entry in fs::read_dir(out.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "mbx") {
                received.push(path);
            }
        }
        let [received] = received.as_slice() else {
            bail!("`b4 am` made {} mailboxes of the mails", received.len());
        };
        let applied = series::apply(
            self.ctx,
            &self.git,
            &self.base,
            std::slice::from_ref(received),
        )
        .context("what `b4 am` makes of the mails")?;
        let same = applied.git.run(["rev-parse", "HEAD^{tree}"])?
            == self.git.run(["rev-parse", "HEAD^{tree}"])?;
        if !same {
            bail!("what `b4 am` makes of the mails is another tree than {BRANCH}");
        }
        Ok(())
    }
}

/// Settings of git for one command, in place of earlier ones.
fn settings(cmd: &mut Command, list: &[(&str, &str)]) {
    cmd.env("GIT_CONFIG_COUNT", list.len().to_string());
    for (at, (key, value)) in list.iter().enumerate() {
        cmd.env(format!("GIT_CONFIG_KEY_{at}"), key)
            .env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
}

/// The mails in a directory, in the order of the series.
fn mails(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "eml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A mail as part of a mailbox in the form mboxrd.
fn in_mailbox(mail: &str) -> String {
    let mut text = String::from("From mboxrd@z Thu Jan  1 00:00:00 1970\n");
    for line in mail.lines() {
        if line.trim_start_matches('>').starts_with("From ") {
            text.push('>');
        }
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// The lines with addressees of a cover letter.
fn addresses(cover: &str) -> Vec<String> {
    cover
        .lines()
        .filter(|line| line.starts_with("To: ") || line.starts_with("Cc: "))
        .map(str::to_owned)
        .collect()
}

fn indented(lines: &[String]) -> String {
    if lines.is_empty() {
        return "  nothing\n".to_owned();
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// patches/cover-letter.txt.
#[derive(Debug, PartialEq, Eq)]
struct Letter {
    /// What the subject has in brackets besides PATCH and the numbers.
    prefixes: Vec<String>,
    subject: String,
    body: String,
}

impl Letter {
    fn parse(text: &str) -> Result<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let subject = first
            .strip_prefix("Subject: ")
            .context("the cover letter does not begin with `Subject: `")?;
        let (bracket, subject) = subject
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .unwrap_or(("", subject));
        let is_number = |word: &str| {
            word.contains('/')
                || word
                    .strip_prefix('v')
                    .is_some_and(|rest| rest.parse::<u32>().is_ok())
        };
        Ok(Self {
            prefixes: bracket
                .split_whitespace()
                .filter(|word| *word != "PATCH" && !is_number(word))
                .map(str::to_owned)
                .collect(),
            subject: subject.trim().to_owned(),
            body: body.trim().to_owned(),
        })
    }

    /// The letter as b4 wants it edited: it takes lines that begin with # for comments.
    fn for_b4(&self) -> String {
        let mut text = format!("{}\n\n", self.subject);
        for line in self.body.lines() {
            if line.starts_with('#') {
                text.push('>');
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_s_subject_is_taken_apart() {
        let letter =
            Letter::parse("Subject: [RFC PATCH v2 00/17] fs: x\n\nBody\n#1 line\n").unwrap();
        assert_eq!(letter.prefixes, ["RFC"]);
        assert_eq!(letter.for_b4(), "fs: x\n\nBody\n>#1 line\n");
        assert!(
            Letter::parse("Subject: fs: x\n")
                .unwrap()
                .prefixes
                .is_empty()
        );
        assert!(Letter::parse("fs: x\n").is_err());
    }

    #[test]
    fn a_mailbox_separates_mails_by_nothing_that_they_contain() {
        let text = in_mailbox("Subject: x\n\nFrom here\n>From there\n");
        assert_eq!(text.matches("\nFrom ").count(), 0);
        assert!(text.contains("\n>From here\n>>From there\n"));
    }

    #[test]
    fn addressees_survive_a_new_version() {
        let cover = "fs: x\n\nText To: nobody\n\nTo: A <a@b>\nCc: l@b\n";
        assert_eq!(addresses(cover), ["To: A <a@b>", "Cc: l@b"]);
    }
}
