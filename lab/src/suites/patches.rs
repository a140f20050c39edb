// SPDX-License-Identifier: GPL-2.0

//! The patch files themselves.

use fs_err as fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use regex::Regex;

use crate::git::Git;
use crate::kernel::Variant;
use crate::proc;
use crate::report::Report;
use crate::series::{self, Mirror};
use crate::session::Session;

pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let (ctx, tree) = (session.ctx, &session.tree);
    // The session exists because of this.
    let (count, name) = (session.files.len(), "no fuzz, no whitespace errors");
    let name = format!("git am applies {count} patches to the base, {name}");
    report.pass(&name);
    // That each patch is one commit, too.
    let differ = exported(session);
    report.outcome("patches are what `make export` writes", differ);
    let (counts, problems) = sizes(session)?;
    report.check(&counts, &problems, None);
    let mirror = Mirror::of(&tree.git, &tree.base, session.tip(), &ctx.root);
    let differ = mirror.and_then(|mirror| mirror.differences());
    report.outcome("the mirror agrees with the patches", differ);
    let signed = signed(&tree.git, &tree.base, session.tip());
    report.outcome("no one signs or vouches in the patches", signed);
    let name = "git am applies the series to mainline's fs/namei.c";
    report.outcome(name, mainline(session));
    let compiled = example(session);
    report.outcome("the documentation's example compiles", compiled);
    checkpatch(session, report)?;
    let log = ctx.fresh_log("cbindgen")?;
    let mut cmd = Command::new(ctx.root.join("scripts/prototypes.sh"));
    cmd.arg(session.at(session.tip())?.dir())
        .current_dir(&ctx.root);
    let name = "cbindgen writes the prototypes that the series has";
    report.command(name, &log, &mut cmd);
    Ok(())
}

/// The size of the first posting and of the cover letters, and what nobody reviews in one go.
fn sizes(session: &Session<'_>) -> Result<(String, Vec<String>)> {
    let Session { ctx, tree, .. } = session;
    let patches = session.first;
    let range = [tree.base.as_str(), session.first_posting()];
    let numbers = tree.git.line("diff --numstat --no-renames", &range)?;
    let added = |line: &str| line.split('\t').next()?.parse::<usize>().ok();
    let added = numbers.lines().filter_map(added).sum();
    let mut sizes = vec![
        ("patches in the first posting".to_owned(), patches, 8),
        ("lines added by it".to_owned(), added, 3000),
    ];
    let mut folders = vec![ctx.patches()];
    if patches < session.files.len() {
        folders.push(series::follow_up(&ctx.patches()));
    }
    for folder in folders {
        let letter = folder.join("cover-letter.txt");
        let lines = fs::read_to_string(&letter)?.lines().count();
        sizes.push((format!("lines in {}", ctx.show(&letter)), lines, 150));
    }
    let (mut shown, mut problems) = (Vec::new(), Vec::new());
    for (what, count, most) in sizes {
        shown.push(format!("{count} {what}"));
        if count > most {
            problems.push(format!("{count} {what}, at most {most}"));
        }
    }
    let name = format!("the first posting is short: {}", shown.join(", "));
    Ok((name, problems))
}

/// Compiles the C code that the documentation shows, with the headers of the series.
fn example(session: &Session<'_>) -> Result<Vec<String>> {
    let walk = session.at(session.tip())?;
    let tree = walk.dir();
    let obj = session.builder(&Variant::PLAIN)?.obj;
    let page = tree.join("Documentation/userspace-api/mayexec.rst");
    let text = fs::read_to_string(&page)?;
    let dir = tempfile::tempdir()?;
    let source = dir.path().join("example.c");
    fs::write(&source, code_block(&text)?)?;
    let mut headers = session.tools()?.make(tree, &obj);
    proc::capture(headers.arg("headers"))?;
    let mut compile = Command::new("gcc");
    compile.args("-Wall -Wextra -Werror -fsyntax-only -isystem".split(' '));
    compile.arg(obj.join("usr/include")).arg(&source);
    proc::capture(&mut compile)?;
    Ok(Vec::new())
}

/// The only block of C code of a page.
fn code_block(page: &str) -> Result<String> {
    let block = Regex::new(r"(?m)^\.\. code-block:: c\n((?:    .*\n|\n)+)")?;
    let mut blocks = block.captures_iter(page);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        bail!("the page has no block of C code, or several");
    };
    Ok(block[1].to_owned())
}

fn exported(session: &Session<'_>) -> Result<Vec<String>> {
    let out = session.ctx.scratch()?;
    series::exported(session.ctx, &session.tree, session.tip(), out.path())?;
    let mut diff = Command::new("diff");
    diff.args(["-rq", "-x*.txt", "-x*.md", "-xprojects", "-xseries-start"])
        .arg(session.ctx.patches())
        .arg(out.path());
    proc::capture(&mut diff).context("`make kernel`, then `make export`")?;
    Ok(Vec::new())
}

/// The commits with lines in their messages that only the named person may write.
fn signed(git: &Git, base: &str, tip: &str) -> Result<Vec<String>> {
    let person = "^[[:space:]]*(signed-off|reviewed|acked|tested|co-developed)-by:";
    let range = [format!("--grep={person}"), format!("{base}..{tip}")];
    let found = git.line("log --format=%h:_%s -E -i", &range)?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// Applies the series to the base with fs/namei.c as mainline has it.
fn mainline(session: &Session<'_>) -> Result<Vec<String>> {
    let ctx = session.ctx;
    let (_dir, git) = series::beside(ctx, &session.tree.git, &session.tree.base)?;
    git.run(["checkout", "--", "fs/namei.c"])?;
    let namei = git.dir().join("fs/namei.c");
    let text = fs::read_to_string(&namei)?;
    // Mainline leaves these two variables at 0.
    let debian = Regex::new(r"(static int sysctl_protected_(sym|hard)links __read_mostly) = 1;")?;
    let upstream = debian.replace_all(&text, "$1;");
    if upstream != text {
        fs::write(&namei, &*upstream)?;
        git.run(["commit", "-q", "-m", "as in mainline", "fs/namei.c"])?;
    } else if ctx.kdir.is_none() {
        bail!(
            "the base's fs/namei.c has none of Debian's lines: this check must be looked at again"
        );
    }
    series::apply(ctx, &git, &git.head()?, &session.files)?;
    Ok(Vec::new())
}

/// The findings of checkpatch that are accepted: part of a patch's name, and the type. Who gives no
/// reason waives nothing.
fn waivers(text: &str) -> Result<Vec<[&str; 2]>> {
    let line = Regex::new(r"(?m)^([^#\s]+)[ \t]+([A-Z_]+)[ \t]+\S")?;
    let waivers = line.captures_iter(text).map(|waiver| waiver.extract().1);
    Ok(waivers.collect())
}

/// checkpatch's options; the tree's root follows.
const CHECKPATCH: &str =
    "--strict --codespell --no-signoff --terse --show-types --no-summary --color=never --root";

fn checkpatch(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let (ctx, linux) = (session.ctx, session.ctx.linux());
    let accepted = fs::read_to_string(ctx.root.join("scripts/checkpatch-waivers"))?;
    let waivers = waivers(&accepted)?;
    let mut idle = waivers.clone();
    let ran = session.files.par_iter().map(|file| {
        let mut cmd = Command::new("perl");
        cmd.arg(linux.join("scripts/checkpatch.pl"))
            .args(CHECKPATCH.split(' '))
            .args([&linux, file])
            .current_dir(&linux)
            // Another Python than Debian's has no dictionary of codespell.
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        proc::output(&mut cmd)
    });
    for (file, ran) in session.files.iter().zip(ran.collect::<Vec<_>>()) {
        let (name, (status, out, err)) = (series::name(&file.with_extension("")), ran?);
        let mut problems = Vec::new();
        let blind = err.lines().filter(|line| line.contains("No codespell"));
        for finding in out.lines().chain(blind) {
            let waives = |[patch, kind]: &&[&str; 2]| {
                name.contains(patch) && finding.contains(&format!(":{kind}: "))
            };
            match waivers.iter().find(waives) {
                Some(waiver) => idle.retain(|idle| idle != waiver),
                None => problems.push(finding.to_owned()),
            }
        }
        // An exit status without a finding is no success.
        if !status.success() && out.is_empty() {
            problems.push(format!("checkpatch: {status}\n{}", proc::tail(&err, 5)));
        }
        report.check(&format!("checkpatch --strict {name}"), &problems, None);
    }
    let said = |waiver: [&str; 2]| waiver.join(" ") + ": waives nothing";
    let idle = Vec::from_iter(idle.into_iter().map(said));
    report.check("every waiver of checkpatch is needed", &idle, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_that_only_their_person_may_write() {
        let (_dir, git) = crate::git::tests::scratch();
        let base = git.head().unwrap();
        for message in [
            "a\n\nText with Reviewed-by: inside.\n\nLink: x\nSuggested-by: C\n",
            "b\n\nSigned-off-by: A <a@b>\n",
            "c\n\n  acked-by: B\n",
        ] {
            git.line("commit -q --allow-empty -m", &[message]).unwrap();
        }
        let found = signed(&git, &base, "HEAD").unwrap();
        let subjects = found.iter().map(|line| line.split('_').next_back());
        let subjects = subjects.map(Option::unwrap);
        assert_eq!(Vec::from_iter(subjects), ["c", "b"]);
    }

    #[test]
    fn a_page_has_one_block_of_code() {
        let page = "Text\n\n.. code-block:: c\n\n    int a;\n\n    int b;\n\nMore text\n";
        assert_eq!(code_block(page).unwrap(), "\n    int a;\n\n    int b;\n\n");
        assert!(code_block("Text\n").is_err());
        assert!(code_block(&format!("{page}{page}")).is_err());
    }

    #[test]
    fn waivers_need_a_reason() {
        let text = "# comment\n\nselftests LONG_LINE  the table reads better whole\n";
        assert_eq!(waivers(text).unwrap(), [["selftests", "LONG_LINE"]]);
        let bare = waivers("selftests LONG_LINE\nselftests\n");
        assert!(bare.unwrap().is_empty());
    }
}
