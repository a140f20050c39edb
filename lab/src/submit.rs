// SPDX-License-Identifier: GPL-2.0

//! The series as a branch of b4's, and the mails that b4 makes of it.

use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;

use crate::ctx::{Ctx, with_extension, write_whole};
use crate::git::Git;
use crate::proc;
use crate::series;
use crate::tree::{self, Tree};
use crate::ui::{self, Stage};

/// The branch to send, with the name that b4 gives it.
const BRANCH: &str = "b4/mayexec";
/// The line in the cover commit below which b4 keeps its notes.
const MARK: &str = "--- b4-submit-tracking ---";
/// The file beside the mails that says why they may not be sent.
const REASONS: &str = "NOT-SENDABLE.txt";
/// Asks about the sign-offs of authors and co-developers alone; the commits follow.
const CHECKPATCH: &str = "scripts/checkpatch.pl --terse --show-types --no-summary --color=never \
    --types NO_AUTHOR_SIGN_OFF,FROM_SIGN_OFF_MISMATCH,BAD_SIGN_OFF -g";
/// Words that a cover letter has while somebody still means to write there.
const PLACEHOLDERS: [&str; 6] = ["EDITME", "TODO", "FIXME", "XXX", "TBD", "@example."];
/// Ends of addresses that RFC 2606 and RFC 6761 keep from ever receiving mail.
const NOWHERE: &str = "@example.org> @example.com> @example.net> .example> .invalid> @localhost>";

/// The work tree with [`BRANCH`] checked out, and who works there.
struct Branch<'a> {
    ctx: &'a Ctx,
    git: Git,
    /// `Name <address>`
    sender: String,
    log: PathBuf,
}

/// What b4 knows about the branch.
struct Known {
    base: String,
    /// The commit after the base, with the cover letter.
    cover: String,
    revision: u32,
}

/// Makes the branch of patches/.
pub(crate) fn prep(ctx: &Ctx) -> Result<()> {
    let tree = tree::repository(ctx)?;
    let files = series::patches(&ctx.patches())?;
    let cover = cover(&fs::read_to_string(ctx.patches().join("cover-letter.txt"))?)?;
    let old = Branch::find(ctx, &tree)?;
    if let Some(branch) = &old {
        let dir = ctx.show(branch.git.dir());
        ensure!(
            ctx.force,
            "{BRANCH} is in {dir} already\n\
             FORCE=1 makes its patches and its cover letter anew from patches/ and keeps what b4 knows about it\n\
             (change-id, version, addressees); sign-offs and other changes made there leave the branch"
        );
        println!("{BRANCH} was at {}", branch.git.head()?);
    }
    // What does not apply changes nothing.
    let applied = series::apply(ctx, &tree.git, &tree.base, &files)?;
    let branch = old.map_or_else(|| Branch::create(ctx, &tree, &applied), Ok)?;
    let stage = Stage::begin(&format!("make {BRANCH}"), None);
    branch.fill(&tree.base, &cover, &applied)?;
    stage.done(&format!("{} patches", files.len()));
    let dir = ctx.show(branch.git.dir());
    println!("{BRANCH} is checked out in {dir}");
    println!("`make dry-run` says what keeps it from being sent");
    println!(
        "to make yourself the author and sign off, once you have read what CONTRIBUTING names below \"A new version for the lists\":\n  \
         git -C {dir} rebase --signoff --exec 'git commit -q --amend --no-edit --reset-author' {}",
        &branch.known()?.cover[..12]
    );
    Ok(())
}

/// Writes the mails, and checks that they apply.
pub(crate) fn dry_run(ctx: &Ctx) -> Result<bool> {
    let branch = Branch::made(ctx)?;
    let mails = ctx.build.join("mails");
    branch.mails(&mails)?;
    let count = with_extension(&mails.join("new"), "eml")?.len();
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
    let branch = Branch::made(ctx)?;
    let problems = branch.problems()?;
    if !problems.is_empty() {
        eprint!("not sent:\n{}", indented(&problems));
        return Ok(false);
    }
    Err(branch.b4("send").exec()).context("cannot start b4")
}

/// Has b4 show what changed since the version that was sent last.
pub(crate) fn range_diff(ctx: &Ctx) -> Result<()> {
    let branch = Branch::made(ctx)?;
    // Once b4 has sent a version, the branch is the next one.
    let sent = branch.known()?.revision - 1;
    ensure!(sent > 0, "no version to compare with: b4 has sent none");
    let mut compare = branch.b4("prep --compare-to");
    Err(compare.arg(format!("v{sent}")).exec()).context("cannot start b4")
}

/// What `make clean` would lose in the work tree; that the branch goes too is [`series::at_risk`]'s.
pub(crate) fn unsaved(ctx: &Ctx) -> Result<Option<String>> {
    let (dir, shown) = (place(ctx), ctx.show(&place(ctx)));
    if !dir.join(".git").exists() {
        return Ok(None);
    }
    let git = Git::at(&dir);
    series::refuse_half_done(ctx, &git)?;
    Ok(match git.dirt()?.as_slice() {
        [] if git.ok(["merge-base", "--is-ancestor", "HEAD", BRANCH])? => None,
        [] => Some(format!("commits of no branch in {shown}")),
        _ => Some(format!("uncommitted changes in {shown}")),
    })
}

/// Where the branch is checked out.
pub(crate) fn place(ctx: &Ctx) -> PathBuf {
    ctx.slot.join("prep")
}

/// What the subject of a cover letter has in brackets besides PATCH, the version and the numbers,
/// and the letter as b4 wants it edited.
fn cover(text: &str) -> Result<[String; 2]> {
    let first = Regex::new(r"^Subject: (?:\[(.*?)\])?\s*(.*)")?;
    let subject = first.captures(text);
    let subject = subject.context("the cover letter does not begin with `Subject: `")?;
    let bracket = subject.get(1).map_or("", |bracket| bracket.as_str());
    let usual = Regex::new(r"\b(PATCH|v\d+|\d+/\d+)\b")?;
    let prefixes = usual.replace_all(bracket, "");
    let prefixes = Vec::from_iter(prefixes.split_whitespace()).join(" ");
    // b4 takes lines that begin with # for comments.
    let body = text[subject[0].len()..].trim().replace("\n#", "\n>#");
    Ok([prefixes, format!("{}\n\n{body}\n", subject[2].trim())])
}

impl<'a> Branch<'a> {
    fn at(ctx: &'a Ctx, tree: &Tree) -> Result<Self> {
        let set = |key| {
            let value = tree.git.run(["config", key]);
            value.with_context(|| format!("git has no {key}, without which b4 makes no mails"))
        };
        Ok(Self {
            ctx,
            git: Git::at(place(ctx)),
            sender: format!("{} <{}>", set("user.name")?, set("user.email")?),
            log: ctx.fresh_log("b4")?,
        })
    }

    /// The branch, if there is one.
    fn find(ctx: &'a Ctx, tree: &Tree) -> Result<Option<Self>> {
        let branch = tree.git.commit(&format!("refs/heads/{BRANCH}"))?;
        if branch.is_none() {
            return Ok(None);
        }
        let dir = place(ctx);
        if !dir.exists() {
            // A work tree that is gone still claims its path and the branch.
            tree.git.remove_worktree(&dir)?;
            check_out(ctx, tree, &[BRANCH])?;
        }
        let branch = Self::at(ctx, tree)?;
        series::refuse_half_done(ctx, &branch.git)?;
        if branch.git.run(["branch", "--show-current"])? != BRANCH {
            let dir = ctx.show(&dir);
            bail!(
                "{dir} has something else than {BRANCH} checked out: `git -C {dir} switch {BRANCH}`"
            );
        }
        Ok(Some(branch))
    }

    /// The branch that `make prep` has made.
    fn made(ctx: &'a Ctx) -> Result<Self> {
        let found = Self::find(ctx, &tree::repository(ctx)?)?;
        found.with_context(|| format!("there is no branch {BRANCH}: `make prep` makes it"))
    }

    /// b4's new branch for the commits up to `head`, in a work tree of its own.
    fn create(ctx: &'a Ctx, tree: &Tree, head: &str) -> Result<Self> {
        let branch = Self::at(ctx, tree)?;
        // git would make the branch before it looks.
        let (dir, shown) = (place(ctx), ctx.show(&place(ctx)));
        ensure!(!dir.exists(), "{shown} is there: move it out of build/");
        check_out(ctx, tree, &["-b", BRANCH, head])?;
        // The letter is kept in a commit, whatever the user does with other branches.
        let mut enroll = branch.b4("--config b4.prep-cover-strategy=commit prep -e");
        branch.run(enroll.arg(&tree.base))?;
        Ok(branch)
    }

    /// Puts the letter and the commits up to `head` on the branch, in place of what is there.
    fn fill(&self, base: &str, [prefixes, letter]: &[String; 2], head: &str) -> Result<()> {
        let known = self.known()?;
        // A list that the user may have trimmed stays.
        let addresses = addressees(&self.letter(&known)?).join("\n");
        // A run that is ended meanwhile leaves the branch whole.
        self.git.run(["checkout", "-q", "--detach", base])?;
        self.pick(&known.cover)?;
        self.pick(&format!("{base}..{head}"))?;
        self.git.run(["checkout", "-q", "-B", BRANCH])?;
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), format!("{letter}\n{addresses}\n"))?;
        // b4 has the letter edited; to copy is to edit.
        let mut edit = self.b4("prep --edit-cover --set-prefixes");
        let editor = format!("cp {}", file.path().display());
        edit.args(prefixes.split(' '));
        self.run(edit.env("GIT_EDITOR", editor))?;
        if addresses.is_empty() {
            self.run(&mut self.b4("prep --auto-to-cc"))?;
        }
        Ok(())
    }

    /// Picks commits in the name of the user: b4 knows its own by who made it.
    fn pick(&self, commits: &str) -> Result<()> {
        let mut pick = self.git.cmd(["cherry-pick", "--allow-empty", commits]);
        pick.env_remove("GIT_COMMITTER_NAME");
        proc::capture(pick.env_remove("GIT_COMMITTER_EMAIL")).map(|_| ())
    }

    /// b4 in the work tree.
    fn b4(&self, words: &str) -> Command {
        let mut cmd = Command::new(self.ctx.build.join("venv/bin/b4"));
        cmd.args(words.split(' ')).current_dir(self.git.dir());
        cmd
    }

    fn run(&self, cmd: &mut Command) -> Result<()> {
        let (status, _) = proc::logged("b4", &self.log, 1800, cmd, |_| {})?;
        proc::succeeded("b4", &self.log, status)
    }

    /// Asks b4, which refuses uncommitted changes and a branch that is not its own.
    fn known(&self) -> Result<Known> {
        let text = proc::capture(&mut self.b4("prep --show-info")).with_context(|| {
            let advice = "if b4 did not make it, give it another name, then `make prep` makes one";
            format!("b4 does not take {BRANCH}: {advice}")
        })?;
        let value = |key: &str| {
            let mut values = text.lines().filter_map(|line| line.split_once(": "));
            let value = values.find_map(|(of, value)| (of == key).then_some(value));
            value.with_context(|| format!("b4 tells no {key} of {BRANCH}:\n{text}"))
        };
        Ok(Known {
            base: value("base-commit")?.to_owned(),
            cover: value("start-commit")?.to_owned(),
            revision: value("revision")?.parse().context("b4's revision")?,
        })
    }

    /// The cover letter without what b4 notes for itself.
    fn letter(&self, known: &Known) -> Result<String> {
        let message = self.git.run(["log", "-1", "--format=%B", &known.cover])?;
        Ok(message.split(MARK).next().unwrap_or_default().to_owned())
    }

    /// What keeps the branch from being sent.
    fn problems(&self) -> Result<Vec<String>> {
        let (known, sender) = (self.known()?, &self.sender);
        let mut problems = Vec::new();
        if is_nowhere(sender) {
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
        let files = series::patches(&self.ctx.patches())?;
        let wanted = series::apply(self.ctx, &self.git, &known.base, &files)
            .and_then(|applied| contents(&self.git, &format!("{}..{applied}", known.base)));
        let range = format!("{}..HEAD", known.cover);
        if wanted.ok() != Some(contents(&self.git, &range)?) {
            problems.push(format!(
                "{BRANCH} has another series than patches/: `make prep FORCE=1` makes it anew"
            ));
        }
        problems.extend(patch_problems(&self.git, &range, sender)?);
        let mut checkpatch = Command::new("perl");
        checkpatch.args(CHECKPATCH.split(' ')).arg(range);
        let (status, out, err) = proc::output(checkpatch.current_dir(self.git.dir()))?;
        if !status.success() {
            let said = if out.is_empty() { err } else { out };
            problems.push(format!("checkpatch says:\n{said}"));
        }
        problems.extend(cover_problems(&self.letter(&known)?, known.revision));
        Ok(problems)
    }

    /// Writes what `b4 send` would send into `dir`, a mailbox in the form of maildir, and applies
    /// it as its receiver would.
    fn mails(&self, dir: &Path) -> Result<()> {
        let stage = Stage::begin("write the mails and apply them", Some(&self.log));
        self.ctx.make_whole(dir, |part| {
            let mails = part.join("mails");
            for name in ["cur", "new", "tmp"] {
                fs::create_dir_all(mails.join(name))?;
            }
            // Without a transport, b4 would turn to a server even to write files; none is used.
            let transport = "--config sendemail.smtpserver=localhost";
            let mut send = self.b4(&format!("{transport} --offline-mode send --no-sign -o"));
            self.run(send.arg(mails.join("new")))?;
            self.receive(&mails)?;
            Ok(mails)
        })?;
        stage.done("");
        Ok(())
    }

    /// Takes the mailbox through `b4 am` and `git am`; the result must be the branch.
    fn receive(&self, mailbox: &Path) -> Result<()> {
        let out = tempfile::tempdir()?;
        let mut am = self.b4("--no-interactive --offline-mode am -m");
        self.run(am.arg(mailbox).arg("-o").arg(out.path()))?;
        let received = with_extension(out.path(), "mbx")?;
        let applied = series::apply(self.ctx, &self.git, &self.known()?.base, &received)
            .context("what `b4 am` makes of the mails")?;
        if self.git.tree(&applied)? != self.git.tree("HEAD")? {
            bail!("what `b4 am` makes of the mails is another tree than {BRANCH}");
        }
        Ok(())
    }
}

/// The tree of each commit, and its message without trailers.
fn contents(git: &Git, range: &str) -> Result<Vec<String>> {
    let log = "log --reverse -z --format=format:%T%n%B%x01%(trailers:only=true)";
    let commits = git.line(log, &[range])?;
    let content = |commit: &str| {
        let (message, trailers) = commit.split_once('\u{1}').unwrap_or((commit, ""));
        let is_own = |line: &&str| !trailers.lines().any(|trailer| trailer == *line);
        let own: Vec<&str> = message.lines().filter(is_own).collect();
        own.join("\n").trim().to_owned()
    };
    Ok(commits.split('\0').map(content).collect())
}

/// Makes the work tree of the branch.
fn check_out(ctx: &Ctx, tree: &Tree, what: &[&str]) -> Result<()> {
    let (log, dir) = (ctx.fresh_log("worktree")?, place(ctx));
    let mut cmd = tree.git.cmd(["worktree", "add"]);
    let name = format!("check {BRANCH} out in {}", ctx.show(&dir));
    ui::step(&name, &log, 3600, cmd.arg(&dir).args(what))
}

/// What keeps the commits of a series from being sent by `sender`, and checkpatch does not see.
fn patch_problems(git: &Git, range: &str, sender: &str) -> Result<Vec<String>> {
    const PEOPLE: &str = "log --reverse --format=%an%x20<%ae>%x09\
        %(trailers:key=Signed-off-by,valueonly=true,unfold=true,separator=%x09)";
    let mut found: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (at, people) in git.line(PEOPLE, &[range])?.lines().enumerate() {
        let mut note = |problem| found.entry(problem).or_default().insert(at + 1);
        for who in people.split('\t').filter(|who| is_nowhere(who)) {
            let what = "a placeholder is the author or has signed off";
            note(format!("{what}: {who}"));
        }
        let signed = people.split('\t').skip(1);
        if signed.last().map(address) != Some(address(sender)) {
            let last = "sends, so that Signed-off-by must be the last one";
            note(format!("{sender} {last}"));
        }
    }
    let said = found.into_iter();
    let said = said.map(|(problem, of)| format!("{problem} (patches {of:?})"));
    Ok(said.collect())
}

/// What keeps the cover letter of this `revision` from being sent.
fn cover_problems(cover: &str, revision: u32) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, line) in cover.lines().enumerate() {
        for word in PLACEHOLDERS.iter().filter(|word| line.contains(**word)) {
            problems.push(format!("cover letter, line {}, has {word}: {line}", at + 1));
        }
    }
    let heading = format!("changes in v{revision}:");
    let mut lines = cover.lines().map(str::to_ascii_lowercase);
    if revision > 1 && !lines.any(|line| line.starts_with(&heading)) {
        let line = format!("Changes in v{revision}:");
        problems.push(format!("the cover letter has no line `{line}`"));
    }
    problems
}

/// Whether mail to `who`, as `Name <address>`, goes nowhere, or to the machine that it is written on.
fn is_nowhere(who: &str) -> bool {
    let who = who.to_ascii_lowercase();
    NOWHERE.split(' ').any(|end| who.ends_with(end))
}

/// The address of somebody, by which people are told apart.
fn address(who: &str) -> String {
    let address = who.rsplit('<').next().unwrap_or_default();
    address.to_ascii_lowercase()
}

/// The lines with addressees of a cover letter.
fn addressees(cover: &str) -> Vec<String> {
    let is_one = |line: &&str| line.starts_with("To: ") || line.starts_with("Cc: ");
    cover.lines().filter(is_one).map(str::to_owned).collect()
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::git::tests::scratch;

    #[test]
    fn the_letter_s_subject_is_taken_apart() {
        #[rustfmt::skip]
        let letters = [
            ("Subject: [RFC PATCH v2 00/17] fs: x\n\nBody\n#1 line\n", "RFC", "fs: x\n\nBody\n>#1 line\n"),
            ("Subject: fs: x [y]\n\nBody\n", "", "fs: x [y]\n\nBody\n"),
        ];
        for (text, prefixes, letter) in letters {
            assert_eq!(cover(text).unwrap(), [prefixes, letter]);
        }
        assert!(cover("fs: x\n").is_err());
    }

    #[test]
    fn a_branch_that_is_not_made_to_the_end_stays() {
        let (dir, git) = scratch();
        let ctx = &crate::ctx::tests::at(dir.path());
        git.run(["checkout", "-q", "-b", BRANCH]).unwrap();
        let empty = "commit -q --allow-empty -m cover";
        git.run(empty.split(' ')).unwrap();
        let (cover, b4) = (git.head().unwrap(), ctx.build.join("venv/bin/b4"));
        let info = format!("base-commit: x\nstart-commit: {cover}\nrevision: 1");
        let script = format!("#!/bin/sh\necho '{info}'\n");
        write_whole(&b4, script.as_bytes()).unwrap();
        fs::set_permissions(&b4, PermissionsExt::from_mode(0o755)).unwrap();
        let (log, sender) = (ctx.fresh_log("b4").unwrap(), String::new());
        #[rustfmt::skip]
        let branch = Branch { ctx, git, sender, log };
        let letter = [String::new(), String::new()];
        let error = branch.fill("base", &letter, "nowhere").unwrap_err();
        assert!(error.to_string().contains("base..nowhere"), "{error}");
        assert_eq!(branch.git.commit(BRANCH).unwrap(), Some(cover));
    }

    #[test]
    fn addressees_survive_a_new_version() {
        let cover = "fs: x\n\nText To: nobody\n\nTo: A <a@b>\nCc: l@b\n";
        assert_eq!(addressees(cover), ["To: A <a@b>", "Cc: l@b"]);
    }

    #[test]
    fn the_sender_signs_off_last_and_is_no_placeholder() {
        let [a, b] = ["A <a@kernel.test>", "B <b@kernel.test>"];
        let [signed, unsigned] = [a, b].map(|who| format!("Signed-off-by: {who}"));
        let (last, nowhere) = ("must be the last one", "a placeholder is");
        #[rustfmt::skip]
        let commits = [
            (a, format!("{signed}\nReviewed-by: {b}"), vec![]),
            (b, format!("{unsigned}\n{signed}"), vec![]),
            (b, format!("{signed}\n{unsigned}"), vec![last]),
            // Trailers are those of the last paragraph.
            (a, format!("{signed}\n\nMore text."), vec![last]),
            (a, "Text.".to_owned(), vec![last]),
            ("D <d@example.org>", format!("Signed-off-by: D <d@users.invalid>\n{signed}"), vec![nowhere, nowhere]),
            ("D <d@example.org.test>", signed.clone(), vec![]),
        ];
        for (author, text, said) in commits {
            let (_dir, git) = scratch();
            let (author, text) = (format!("--author={author}"), format!("x\n\ny\n\n{text}"));
            git.run(["commit", "-q", "--allow-empty", &author, "-m", &text])
                .unwrap();
            let found = patch_problems(&git, "base..", "A Sender <A@kernel.test>").unwrap();
            assert_eq!(found.len(), said.len(), "{text}: {found:?}");
            let mut pairs = found.iter().zip(said);
            assert!(pairs.all(|(found, said)| found.contains(said)));
        }
    }

    #[test]
    fn a_cover_letter_is_finished_and_says_what_changed() {
        let changes = "fs: x\n\nChanges in v2:\n- y\n\nChanges in v10:\n- z\n";
        for (cover, revision, problems) in [
            ("fs: x\n\nText about an example.\n", 1, 0),
            ("fs: x\n\nEDITME: say why\n", 1, 1),
            ("TODO\nTBD\n", 1, 2),
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
        for message in ["Why.", "Why.\n\nSigned-off-by: T <t@k.test>", "Because."] {
            let message = format!("fs: x\n\n{message}");
            git.run(["commit", "-q", "--allow-empty", "-m", &message])
                .unwrap();
        }
        let contents = contents(&git, "base..").unwrap();
        assert_eq!(contents.len(), 3);
        assert_eq!(contents[0], contents[1]);
        assert_ne!(contents[0], contents[2]);
    }
}
