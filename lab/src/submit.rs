// SPDX-License-Identifier: GPL-2.0

//! The series as a branch of b4's, and the mails that b4 makes of it.

use fs_err as fs;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::ctx::{Ctx, with_extension, write_whole};
use crate::git::Git;
use crate::proc;
use crate::series::{self, BRANCH};
use crate::tree::{self, Tree};
use crate::ui::{self, Stage};

const NAME: &str = "mayexec";
/// b4 makes its branch from a branch: one that is gone again when it has.
const START: &str = "mayexec-prep-start";
/// The line in the cover commit that b4 finds it by.
const MARK: &str = "--- b4-submit-tracking ---";
/// Who sends if git does not know: somebody who may not.
const NOBODY: (&str, &str) = ("The Submitter", "submitter@example.org");
/// The file beside the mails that says why they may not be sent.
const REASONS: &str = "NOT-SENDABLE.txt";
const MAILBOX: &str = "series.mbox";
/// Asks about sign-offs alone; the commits follow.
const CHECKPATCH: &str = "scripts/checkpatch.pl --terse --show-types --no-summary --color=never \
    --types MISSING_SIGN_OFF,NO_AUTHOR_SIGN_OFF,FROM_SIGN_OFF_MISMATCH,BAD_SIGN_OFF -g";
/// Words that a cover letter has while somebody still means to write there.
const PLACEHOLDERS: [&str; 6] = ["EDITME", "TODO", "FIXME", "XXX", "TBD", "@example."];
/// Ends of addresses that RFC 2606 and RFC 6761 keep from ever receiving mail.
const NOWHERE: [&str; 6] = [
    "@example.org>",
    "@example.com>",
    "@example.net>",
    ".example>",
    ".invalid>",
    "@localhost>",
];

/// A work tree with [`BRANCH`] checked out, and who works there.
struct Branch<'a> {
    ctx: &'a Ctx,
    git: Git,
    sender: (String, String),
    log: PathBuf,
}

/// Makes the branch of patches/.
pub(crate) fn prep(ctx: &Ctx) -> Result<()> {
    let tree = tree::repository(ctx)?;
    let source = Source::read(ctx)?;
    let old = Branch::find(ctx, &tree)?;
    if let Some(branch) = &old
        && !ctx.force
    {
        bail!(
            "{BRANCH} is in {} already\n\
             FORCE=1 makes its patches and its cover letter anew from patches/ and keeps what b4 knows about it\n\
             (change-id, version, addressees); sign-offs and other changes made there leave the branch",
            ctx.show(branch.git.dir())
        );
    }
    let branch = make(ctx, &tree, &source, old)?;
    let dir = ctx.show(branch.git.dir());
    println!("{BRANCH} is checked out in {dir}");
    let problems = indented(&branch.problems(&source)?);
    println!("what keeps it from being sent:\n{problems}");
    println!(
        "to make yourself the author and sign off, once you have read what CONTRIBUTING names below \"A new version for the lists\":\n  \
         git -C {dir} rebase --signoff --exec 'git commit -q --amend --no-edit --reset-author' {}",
        &branch.cover_commit()?[..12]
    );
    Ok(())
}

/// Writes the mails, and checks that they apply.
pub(crate) fn dry_run(ctx: &Ctx) -> Result<bool> {
    let tree = tree::repository(ctx)?;
    let source = Source::read(ctx)?;
    let found = Branch::find(ctx, &tree)?;
    let branch = found.map_or_else(|| make(ctx, &tree, &source, None), Ok)?;
    let mails = ctx.build.join("mails");
    let count = branch.mails(&mails)?;
    println!("{}: {count} mails, which apply", ctx.show(&mails));
    let problems = branch.problems(&source)?;
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
    let tree = tree::repository(ctx)?;
    let branch = Branch::find(ctx, &tree)?
        .with_context(|| format!("there is no branch {BRANCH} to send: `make prep` makes it"))?;
    let problems = branch.problems(&Source::read(ctx)?)?;
    if !problems.is_empty() {
        eprint!("not sent:\n{}", indented(&problems));
        return Ok(false);
    }
    // The transport is the user's, which is the last setting.
    let mut send = branch.b4(&["send"]);
    Err(send.env("GIT_CONFIG_COUNT", "3").exec()).context("cannot start b4")
}

/// Has b4 show what changed since the version that was sent last.
pub(crate) fn range_diff(ctx: &Ctx) -> Result<()> {
    let tree = tree::repository(ctx)?;
    let list = "for-each-ref --sort=-version:refname --format=%(refname:short)";
    let sent = tree.git.line(list, &[format!("refs/tags/sent/*{NAME}*")])?;
    let tag = sent.lines().next();
    let tag = tag.context("no version to compare with: b4 has sent none (it tags sent/*)")?;
    let branch = Branch::find(ctx, &tree)?
        .with_context(|| format!("{tag} was sent, but {BRANCH} is gone: `make prep`"))?;
    Err(branch.b4(&["prep", "--compare-to", tag]).exec()).context("cannot start b4")
}

/// What `make clean` would lose: work in the work tree, and the branch itself where the
/// repository is removed too.
pub(crate) fn unsaved(ctx: &Ctx) -> Result<Option<String>> {
    let dir = place(ctx);
    if dir.join(".git").exists() {
        let git = Git::at(&dir);
        series::refuse_half_done(ctx, &git)?;
        if !git.dirt()?.is_empty() {
            return Ok(Some(format!("uncommitted changes in {}", ctx.show(&dir))));
        }
        if !git.ok(["merge-base", "--is-ancestor", "HEAD", BRANCH])? {
            return Ok(Some(format!("commits of no branch in {}", ctx.show(&dir))));
        }
    }
    let linux = Git::at(ctx.linux());
    if ctx.kdir.is_some() || !ctx.linux().join(".git").exists() {
        return Ok(None);
    }
    let there = linux.commit(&format!("refs/heads/{BRANCH}"))?.is_some();
    Ok(there.then(|| format!("the branch {BRANCH}, in {}", ctx.show(&ctx.linux()))))
}

/// The first posting in patches/ and its cover letter.
#[derive(Debug)]
struct Source {
    files: Vec<PathBuf>,
    /// What the subject has in brackets besides PATCH and the numbers.
    prefixes: Vec<String>,
    /// The letter as b4 wants it edited.
    letter: String,
}

impl Source {
    fn read(ctx: &Ctx) -> Result<Self> {
        let letter = fs::read_to_string(ctx.patches().join("cover-letter.txt"))?;
        Self::of(series::patches(&ctx.patches())?, &letter)
    }

    fn of(files: Vec<PathBuf>, text: &str) -> Result<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let subject = first
            .strip_prefix("Subject: ")
            .context("the cover letter does not begin with `Subject: `")?;
        let (bracket, subject) = subject
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .unwrap_or(("", subject));
        let is_version = |word: &str| {
            let number = word.strip_prefix('v').map(str::parse::<u32>);
            number.is_some_and(|number| number.is_ok())
        };
        let mut prefixes: Vec<String> = bracket.split_whitespace().map(str::to_owned).collect();
        prefixes.retain(|word| word != "PATCH" && !word.contains('/') && !is_version(word));
        // b4 takes lines that begin with # for comments.
        let body = format!("\n{}\n", body.trim()).replace("\n#", "\n>#");
        let letter = format!("{}\n{body}", subject.trim());
        Ok(Self {
            files,
            prefixes,
            letter,
        })
    }
}

/// The branch, made of `source` or, if it is there, made anew.
fn make<'a>(
    ctx: &'a Ctx,
    tree: &Tree,
    source: &Source,
    old: Option<Branch<'a>>,
) -> Result<Branch<'a>> {
    let stage = Stage::begin(&format!("make {BRANCH}"), None);
    let head = |branch: &Branch<'_>| branch.git.head();
    let before = old.as_ref().map(head).transpose()?;
    let branch = old.map_or_else(|| Branch::create(ctx, tree), Ok)?;
    // A list that the user may have trimmed stays.
    let addresses = match &before {
        Some(_) => addressees(&branch.cover()?),
        None => Vec::new(),
    };
    if let Err(error) = branch.fill(&tree.base, source, &addresses, &stage) {
        match &before {
            Some(head) => branch.git.line("checkout -q -f -B", &[BRANCH, head])?,
            None => {
                tree.git.remove_worktree(branch.git.dir())?;
                tree.git.run(["branch", "-q", "-D", BRANCH])?
            }
        };
        return Err(error);
    }
    let note = before.map_or_else(String::new, |head| format!(", before at {}", &head[..12]));
    stage.done(&format!("{} patches{note}", source.files.len()));
    Ok(branch)
}

/// Where the branch is checked out unless the user has it elsewhere.
pub(crate) fn place(ctx: &Ctx) -> PathBuf {
    ctx.slot.join("prep")
}

/// The work tree that has the branch checked out, if one has.
fn work_tree(git: &Git) -> Result<Option<PathBuf>> {
    let list = "for-each-ref --format=%(worktreepath)";
    let path = git.line(list, &[format!("refs/heads/{BRANCH}")])?;
    Ok(Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()))
}

impl<'a> Branch<'a> {
    /// The branch, if there is one, where it is checked out; where [`place`] says if it
    /// is not.
    fn find(ctx: &'a Ctx, tree: &Tree) -> Result<Option<Self>> {
        if tree.git.commit(&format!("refs/heads/{BRANCH}"))?.is_none() {
            return Ok(None);
        }
        // A branch of somebody else's stays alone.
        Self::at(ctx, tree.git.dir())?.cover_commit()?;
        let found = work_tree(&tree.git)?;
        let dir = found.clone().unwrap_or_else(|| place(ctx));
        if dir.exists() {
            let git = Git::at(&dir);
            series::refuse_half_done(ctx, &git)?;
            if found.is_none() {
                let dir = ctx.show(&dir);
                bail!(
                    "{dir} has something else than {BRANCH} checked out: `git -C {dir} switch {BRANCH}`"
                );
            }
            if !git.run(["status", "--porcelain", "-uno"])?.is_empty() {
                let dir = ctx.show(&dir);
                bail!("{dir}: uncommitted changes; commit or stash them first");
            }
        } else {
            // A work tree that is gone still claims its path and the branch.
            tree.git.remove_worktree(&dir)?;
            let why =
                "is a rebase under way where the branch is checked out? Finish or abort it first";
            check_out(ctx, tree, &[], &dir, BRANCH).context(why)?;
        }
        Self::at(ctx, &dir).map(Some)
    }

    /// b4's new branch on the base, in a work tree of its own.
    fn create(ctx: &'a Ctx, tree: &Tree) -> Result<Self> {
        let dir = place(ctx);
        if dir.exists() {
            // Left by a run that was ended here, or something of the user's.
            let head = Git::at(&dir).run(["symbolic-ref", "--short", "-q", "HEAD"]);
            if head.ok().as_deref() != Some(START) {
                bail!("{} is in the way: move it elsewhere", ctx.show(&dir));
            }
        }
        tree.git.remove_worktree(&dir)?;
        check_out(ctx, tree, &["-B", START], &dir, &tree.base)?;
        let branch = Self::at(ctx, &dir)?;
        let made = branch.run(&mut branch.b4(&["prep", "-n", NAME, "-f", &tree.base]));
        if made.is_err() {
            tree.git.remove_worktree(&dir)?;
        }
        tree.git.run(["branch", "-q", "-D", START])?;
        made.map(|()| branch)
    }

    fn at(ctx: &'a Ctx, dir: &Path) -> Result<Self> {
        let git = Git::at(dir);
        let set = |name| git.run(["config", name]).ok();
        let sender = set("user.name").zip(set("user.email"));
        let nobody = || (NOBODY.0.to_owned(), NOBODY.1.to_owned());
        let sender = sender.filter(|(name, email)| !name.is_empty() && !email.is_empty());
        let sender = sender.unwrap_or_else(nobody);
        Ok(Self {
            ctx,
            git,
            sender,
            log: ctx.fresh_log("b4")?,
        })
    }

    /// Puts the patches and the cover letter on the branch, in place of what is there.
    fn fill(&self, base: &str, source: &Source, addresses: &[String], stage: &Stage) -> Result<()> {
        let cover = self.cover_commit()?;
        self.git.run(["checkout", "-q", "-B", BRANCH, base])?;
        let mut pick = self.git.cmd(["cherry-pick", "--allow-empty", &cover]);
        proc::capture(self.identify(&mut pick))?;
        let mut am = self.git.cmd(["am", "-q", "--3way"]);
        let (status, out, err) = proc::output(self.identify(&mut am).args(&source.files))?;
        if !status.success() {
            let _ = self.git.run(["am", "--abort"]);
            let said = proc::tail(&format!("{out}{err}"), proc::TAIL);
            bail!("the series does not apply to {base}:\n{said}");
        }
        self.write_cover(&source.letter, addresses)?;
        let prefixes = source.prefixes.iter().map(String::as_str);
        let none = source.prefixes.is_empty().then_some("");
        let mut set = self.b4(&["prep", "--set-prefixes"]);
        self.run(set.args(prefixes.chain(none)))?;
        if addresses.is_empty() {
            stage.at("asking get_maintainer");
            self.run(&mut self.b4(&["prep", "--auto-to-cc"]))?;
        }
        Ok(())
    }

    /// b4 in the work tree, as the sender.
    fn b4(&self, args: &[&str]) -> Command {
        let mut cmd = Command::new(self.ctx.build.join("venv/bin/b4"));
        cmd.args(args).current_dir(self.git.dir());
        self.identify(&mut cmd);
        cmd
    }

    /// The sender and settings, for a command that runs git.
    fn identify<'c>(&self, cmd: &'c mut Command) -> &'c mut Command {
        let (name, email) = &self.sender;
        let settings = [
            ("user.name", name.as_str()),
            ("user.email", email.as_str()),
            // Where the cover letter is kept.
            ("b4.prep-cover-strategy", "commit"),
            // Without a transport, b4 would turn to a server even to write files; none is used.
            ("sendemail.smtpserver", "localhost"),
        ];
        for (at, (key, value)) in settings.into_iter().enumerate() {
            cmd.env(format!("GIT_CONFIG_KEY_{at}"), key)
                .env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        cmd.env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email)
            .env("GIT_CONFIG_COUNT", "4")
    }

    fn run(&self, cmd: &mut Command) -> Result<()> {
        let (status, _) = proc::logged("b4", &self.log, 1800, cmd, |_| {})?;
        proc::succeeded("b4", &self.log, status)
    }

    /// The commit in which b4 keeps the cover letter.
    fn cover_commit(&self) -> Result<String> {
        let words = "log -1 --format=%H --fixed-strings";
        let of = [format!("--grep={MARK}"), format!("refs/heads/{BRANCH}")];
        let found = self.git.line(words, &of)?;
        if found.is_empty() {
            bail!(
                "{BRANCH} has no cover letter of b4's: give that branch another name, then `make prep` makes one"
            );
        }
        Ok(found)
    }

    fn base(&self) -> Result<String> {
        let parent = format!("{}^", self.cover_commit()?);
        self.git.run(["rev-parse", &parent])
    }

    fn commits(&self) -> Result<Vec<String>> {
        self.git.commits(&self.cover_commit()?, "HEAD")
    }

    /// The cover letter as b4 has it, without what it notes for itself.
    fn cover(&self) -> Result<String> {
        let commit = self.cover_commit()?;
        let message = self.git.run(["log", "-1", "--format=%B", &commit])?;
        Ok(message.split(MARK).next().unwrap_or_default().to_owned())
    }

    fn write_cover(&self, letter: &str, addresses: &[String]) -> Result<()> {
        let mut text = letter.to_owned();
        if !addresses.is_empty() {
            text.push_str(&format!("\n{}\n", addresses.join("\n")));
        }
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        // b4 has the letter edited; to copy is to edit.
        let mut cmd = self.b4(&["prep", "--edit-cover"]);
        self.run(cmd.env("GIT_EDITOR", format!("cp {}", file.path().display())))
    }

    /// What keeps the branch from being sent.
    fn problems(&self, source: &Source) -> Result<Vec<String>> {
        let sender = format!("{} <{}>", self.sender.0, self.sender.1);
        let mut problems = Vec::new();
        if is_nowhere(&sender) {
            problems.push(format!(
                "the sender is a placeholder, {sender}: set user.name and user.email in git \
                 and run `make prep` again, before you sign off"
            ));
        }
        if self.ctx.kdir.is_none() {
            problems.push(
                "the base is Debian's source, a commit that nobody else has: KDIR=/path/to/linux"
                    .to_owned(),
            );
        }
        // Who wrote a patch and who has signed it off is the branch's own business.
        let base = self.base()?;
        let wanted = series::apply(self.ctx, &self.git, &base, &source.files)
            .and_then(|applied| contents(&applied.git, &applied.git.commits(&base, "HEAD")?));
        if wanted.ok() != Some(contents(&self.git, &self.commits()?)?) {
            problems.push(format!(
                "{BRANCH} has another series than patches/: `make prep FORCE=1` makes it anew"
            ));
        }
        problems.extend(patch_problems(&self.git, &self.commits()?, &sender)?);
        problems.extend(self.checkpatch()?);
        let revision = proc::capture(&mut self.b4(&["prep", "--show-info", "revision"]))?;
        let revision = revision.trim();
        let revision = revision
            .parse()
            .with_context(|| format!("b4's revision of {BRANCH} is `{revision}`"))?;
        problems.extend(cover_problems(&self.cover()?, revision));
        Ok(problems)
    }

    /// What checkpatch says of the commits' sign-offs: those of authors and co-developers.
    fn checkpatch(&self) -> Result<Vec<String>> {
        let mut cmd = Command::new("perl");
        cmd.args(CHECKPATCH.split(' '))
            .arg(format!("{}..HEAD", self.cover_commit()?))
            .current_dir(self.git.dir());
        let (status, out, err) = proc::output(&mut cmd)?;
        let is_finding = |line: &&str| line.contains(": ERROR:") || line.contains(": WARNING:");
        let said = out.lines().filter(is_finding).map(str::to_owned);
        let mut said: Vec<String> = said.collect();
        if !status.success() && said.is_empty() {
            said.push(format!("checkpatch: {status}\n{}", proc::tail(&err, 5)));
        }
        Ok(said)
    }

    /// Writes what `b4 send` would send into `dir`, and applies it as its receiver would.
    fn mails(&self, dir: &Path) -> Result<usize> {
        let stage = Stage::begin("write the mails and apply them", Some(&self.log));
        let part = self.ctx.scratch()?;
        let mut send = self.b4(&["--offline-mode", "send", "--no-sign", "-o"]);
        self.run(send.arg(part.path()))?;
        let mails = with_extension(part.path(), "eml")?;
        let patches = self.commits()?.len();
        if mails.len() != patches + 1 {
            let (count, log) = (mails.len(), self.ctx.show(&self.log));
            bail!("b4 wrote {count} mails for {patches} patches; log: {log}");
        }
        let mut all = String::new();
        for mail in &mails {
            all.push_str(&in_mailbox(&fs::read_to_string(mail)?));
        }
        let mailbox = part.path().join(MAILBOX);
        write_whole(&mailbox, all.as_bytes())?;
        self.receive(&mailbox)?;
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::rename(part.path(), dir)?;
        stage.done("");
        Ok(mails.len())
    }

    /// Takes the mailbox through `b4 am` and `git am`; the result must be the branch.
    fn receive(&self, mailbox: &Path) -> Result<()> {
        let out = tempfile::tempdir()?;
        let mut cmd = self.b4(&["-n", "--offline-mode", "am", "-m"]);
        self.run(cmd.arg(mailbox).arg("-o").arg(out.path()))?;
        let received = with_extension(out.path(), "mbx")?;
        if received.len() != 1 {
            let (count, log) = (received.len(), self.ctx.show(&self.log));
            bail!("`b4 am` made {count} mailboxes of the mails; log: {log}");
        }
        let applied = series::apply(self.ctx, &self.git, &self.base()?, &received)
            .context("what `b4 am` makes of the mails")?;
        if applied.git.tree("HEAD")? != self.git.tree("HEAD")? {
            bail!("what `b4 am` makes of the mails is another tree than {BRANCH}");
        }
        Ok(())
    }
}

/// The tree of each commit, and its message without trailers.
fn contents(git: &Git, commits: &[String]) -> Result<Vec<String>> {
    let content = |commit: &String| {
        let show = |what: &str| git.run(["log", "-1", &format!("--format={what}"), commit]);
        let (trailers, message) = (show("%(trailers:only=true)")?, show("%B")?);
        let is_own = |line: &&str| !trailers.lines().any(|trailer| trailer == *line);
        let own: Vec<&str> = message.lines().filter(is_own).collect();
        Ok(format!("{}\n{}", show("%T")?, own.join("\n").trim()))
    };
    commits.iter().map(content).collect()
}

fn check_out(ctx: &Ctx, tree: &Tree, options: &[&str], dir: &Path, commit: &str) -> Result<()> {
    let log = ctx.fresh_log("worktree")?;
    let mut cmd = tree.git.cmd(["worktree", "add"]);
    let name = format!("check the branch out in {}", ctx.show(dir));
    ui::step(&name, &log, 3600, cmd.args(options).arg(dir).arg(commit))
}

/// What keeps the `commits` of a series from being sent by `sender`, and checkpatch does not see.
fn patch_problems(git: &Git, commits: &[String], sender: &str) -> Result<Vec<String>> {
    const PEOPLE: &str =
        "--format=%an <%ae>%n%(trailers:key=Signed-off-by,valueonly=true,unfold=true)";
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, commit) in commits.iter().enumerate() {
        let people = git.run(["log", "-1", PEOPLE, commit])?;
        let nowhere = people.lines().filter(|who| is_nowhere(who));
        let mut problems: Vec<String> = nowhere
            .map(|who| format!("a placeholder is the author or has signed off: {who}"))
            .collect();
        if people.lines().skip(1).last().map(address) != Some(address(sender)) {
            let last = "sends, so that Signed-off-by must be the last one";
            problems.push(format!("{sender} {last}"));
        }
        for problem in problems {
            found.entry(problem).or_default().push(at + 1);
        }
    }
    let all = commits.len();
    let said = found.into_iter();
    Ok(said
        .map(|(problem, of)| format!("{}: {problem}", patches(&of, all)))
        .collect())
}

/// What keeps the cover letter of this `revision` from being sent.
fn cover_problems(cover: &str, revision: u32) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, line) in cover.lines().enumerate() {
        for word in PLACEHOLDERS.iter().filter(|word| line.contains(**word)) {
            problems.push(format!("cover letter, line {}, has {word}: {line}", at + 1));
        }
    }
    if cover.trim().is_empty() {
        problems.push("the cover letter is empty".to_owned());
    }
    let heading = format!("changes in v{revision}:");
    let mut lines = cover.lines().map(str::to_ascii_lowercase);
    if revision > 1 && !lines.any(|line| line.starts_with(&heading)) {
        problems.push(format!(
            "the cover letter has no line `Changes in v{revision}:`"
        ));
    }
    problems
}

/// Whether mail to `who`, as `Name <address>`, goes nowhere, or to the machine that it is written on.
fn is_nowhere(who: &str) -> bool {
    let who = who.to_ascii_lowercase();
    NOWHERE.iter().any(|end| who.ends_with(end))
}

/// The address of somebody, by which people are told apart.
fn address(who: &str) -> String {
    who.rsplit('<')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// Those of a series' patches, for a message.
fn patches(which: &[usize], total: usize) -> String {
    if which.len() == total {
        return "every patch".to_owned();
    }
    let numbers: Vec<String> = which.iter().map(usize::to_string).collect();
    format!("patch {}", numbers.join(", "))
}

/// A mail as part of a mailbox in the form mboxrd.
fn in_mailbox(mail: &str) -> String {
    let from = Regex::new("(?m)^>*From ").expect("a constant");
    let mail = mail.replace("\r\n", "\n");
    let mail = from.replace_all(mail.trim_end_matches('\n'), ">$0");
    format!("From mboxrd@z Thu Jan  1 00:00:00 1970\n{mail}\n\n")
}

/// The lines with addressees of a cover letter.
fn addressees(cover: &str) -> Vec<String> {
    let is_one = |line: &&str| line.starts_with("To: ") || line.starts_with("Cc: ");
    cover.lines().filter(is_one).map(str::to_owned).collect()
}

fn indented(lines: &[String]) -> String {
    if lines.is_empty() {
        return "  nothing\n".to_owned();
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::scratch;

    #[test]
    fn the_letter_s_subject_is_taken_apart() {
        let of = |text: &str| Source::of(Vec::new(), text);
        let source = of("Subject: [RFC PATCH v2 00/17] fs: x\n\nBody\n#1 line\n").unwrap();
        assert_eq!(source.prefixes, ["RFC"]);
        assert_eq!(source.letter, "fs: x\n\nBody\n>#1 line\n");
        assert_eq!(of("Subject: fs: x\n").unwrap().prefixes, [""; 0]);
        assert!(of("fs: x\n").is_err());
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
        assert_eq!(addressees(cover), ["To: A <a@b>", "Cc: l@b"]);
    }

    #[test]
    fn the_sender_signs_off_last_and_is_no_placeholder() {
        let problems = |author: &str, message: &str| {
            let (_dir, git) = scratch();
            let author = format!("--author={author}");
            git.run(["commit", "-q", "--allow-empty", &author, "-m", message])
                .unwrap();
            let commits = git.commits("base", "HEAD").unwrap();
            let found = patch_problems(&git, &commits, "A Sender <A@kernel.test>").unwrap();
            found.join("\n")
        };
        let [a, b] = ["A <a@kernel.test>", "B <b@kernel.test>"];
        let [signed, unsigned] = [a, b].map(|who| format!("Signed-off-by: {who}"));
        let last = "every patch: A Sender <A@kernel.test> sends, so that Signed-off-by must be the last one";
        for (author, text, problem) in [
            (
                a,
                format!("[other: changed y]\n{signed}\nReviewed-by: {b}"),
                "",
            ),
            (b, format!("{unsigned}\n{signed}"), ""),
            (b, format!("{signed}\n{unsigned}"), last),
            // Trailers are those of the last paragraph.
            (a, format!("{signed}\n\nMore text."), last),
        ] {
            assert_eq!(problems(author, &format!("x\n\ny\n\n{text}")), problem);
        }
        let nowhere = format!("x\n\nSigned-off-by: D <d@users.invalid>\n{signed}");
        let said = problems("D <d@example.org>", &nowhere);
        assert_eq!(said.matches("every patch: a placeholder is").count(), 2);
        assert_eq!(patches(&[1, 3], 3), "patch 1, 3");
        assert!(!is_nowhere("D <d@example.org.test>"));
    }

    #[test]
    fn a_cover_letter_is_finished_and_says_what_changed() {
        let changes = "fs: x\n\nChanges in v2:\n- y\n\nChanges in v10:\n- z\n";
        for (cover, revision, problems) in [
            ("fs: x\n\nText about an example.\n", 1, 0),
            ("fs: x\n\nEDITME: say why\n", 1, 1),
            ("TODO\nTBD\n", 1, 2),
            (" \n", 1, 1),
            (changes, 2, 0),
            (changes, 10, 0),
            (changes, 3, 1),
        ] {
            let found = cover_problems(cover, revision);
            assert_eq!(found.len(), problems, "{cover}: {found:?}");
        }
    }

    #[test]
    fn a_sign_off_leaves_a_patch_what_it_was() {
        let (_dir, git) = scratch();
        let made = |message: &str| {
            let words = ["commit", "-q", "--allow-empty", "-m", message];
            git.run(words).unwrap();
            contents(&git, &[git.commit("HEAD").unwrap().unwrap()]).unwrap()
        };
        let plain = made("fs: x\n\nWhy.");
        let signed = made("fs: x\n\nWhy.\n\nSigned-off-by: T <t@k.test>");
        assert_eq!(signed, plain);
        assert_ne!(made("fs: x\n\nBecause."), plain);
    }

    #[test]
    fn the_branch_is_found_where_it_is_checked_out() {
        let (_dir, git) = scratch();
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("b c");
        git.run(["branch", BRANCH]).unwrap();
        assert_eq!(work_tree(&git).unwrap(), None);
        git.line("worktree add -q", &[dir.as_path(), BRANCH.as_ref()])
            .unwrap();
        assert_eq!(work_tree(&git).unwrap(), Some(dir));
    }
}
