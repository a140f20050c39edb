// SPDX-License-Identifier: GPL-2.0

//! The patch files themselves.

use fs_err as fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::kernel::Variant;
use crate::proc;
use crate::report::Report;
use crate::series::{self, Mirror};
use crate::session::Session;

/// Debian's values of two variables of fs/namei.c, which mainline leaves at 0.
const DEBIAN_LINES: [&str; 2] = [
    "static int sysctl_protected_symlinks __read_mostly = 1;",
    "static int sysctl_protected_hardlinks __read_mostly = 1;",
];

pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let (ctx, tree) = (session.ctx, &session.tree);
    let (files, commits) = (&session.files, &session.commits);
    let (patches, commits) = (files.len(), commits.len());
    // The session exists because of this.
    let name = "patches to the base, no fuzz, no whitespace errors";
    report.pass(&format!("git am applies {patches} {name}"));
    let differ = (patches != commits).then(|| format!("{patches} patches, {commits} commits"));
    report.check("one commit a patch", &Vec::from_iter(differ), None);
    let differ = exported(session);
    report.outcome("patches are what `make export` writes", differ, None);
    let (counts, problems) = sizes(session)?;
    report.check(&counts, &problems, None);
    let mirror = Mirror::of(&tree.git, &tree.base, session.tip(), &ctx.root);
    let differ = mirror.and_then(|mirror| mirror.differences());
    report.outcome("the mirror agrees with the patches", differ, None);
    let signed = trailers(session);
    report.outcome("no one signs or vouches in the patches", signed, None);
    let name = "git am applies the series to mainline's fs/namei.c";
    report.outcome(name, mainline(session), None);
    let log = session.ctx.fresh_log("example")?;
    let compiled = example(session, &log);
    report.step("the documentation's example compiles", compiled, &log);
    checkpatch(session, report)?;
    generated_header(session, report)
}

/// More than this, nobody reviews in one go: patches and lines of the first posting, lines of
/// a cover letter.
const MOST: (usize, usize, usize) = (8, 3000, 150);

/// The size of the first posting and of the cover letters, and what is too long.
fn sizes(session: &Session<'_>) -> Result<(String, Vec<String>)> {
    let Session { ctx, tree, .. } = session;
    let patches = session.first_files().len();
    let range = [tree.base.as_str(), session.first_posting()];
    let counts = tree.git.line("diff --numstat --no-renames", &range)?;
    let added = |line: &str| line.split('\t').next()?.parse::<usize>().ok();
    let added: usize = counts.lines().filter_map(added).sum();
    let mut name = format!("the first posting is short: {patches} patches add {added} lines");
    let mut problems = too_many(patches, MOST.0, "patches in the first posting");
    problems.extend(too_many(added, MOST.1, "lines added by the first posting"));
    let mut folders = vec![ctx.patches()];
    if patches < session.files.len() {
        folders.push(series::follow_up(&ctx.patches()));
    }
    for folder in folders {
        let letter = folder.join("cover-letter.txt");
        let shown = ctx.show(&letter);
        match fs::read_to_string(&letter) {
            Ok(text) => {
                let lines = text.lines().count();
                name.push_str(&format!(", {shown} has {lines}"));
                problems.extend(too_many(lines, MOST.2, &format!("lines in {shown}")));
            }
            Err(error) => problems.push(format!("{shown}: {error}")),
        }
    }
    Ok((name, problems))
}

fn too_many(count: usize, most: usize, what: &str) -> Vec<String> {
    Vec::from_iter((count > most).then(|| format!("{count} {what}, at most {most}")))
}

/// Compiles the C code that the documentation shows, with the headers of the series.
fn example(session: &Session<'_>, log: &Path) -> Result<String> {
    let walk = session.at(session.tip())?;
    let tree = walk.dir();
    let obj = session.builder(&Variant::PLAIN)?.obj;
    let page = tree.join("Documentation/userspace-api/mayexec.rst");
    let text = fs::read_to_string(&page)?;
    let dir = tempfile::tempdir()?;
    let source = dir.path().join("example.c");
    fs::write(&source, code_block(&text)?)?;
    let mut headers = session.tools()?.make(tree, &obj);
    proc::run("make headers", log, headers.arg("headers"), |_| {})?;
    let mut compile = Command::new("gcc");
    compile
        .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-isystem"])
        .arg(obj.join("usr/include"))
        .arg(&source);
    proc::run("gcc", log, &mut compile, |_| {})
}

/// The only block of C code of a page.
fn code_block(page: &str) -> Result<String> {
    let mut blocks = page.split(".. code-block:: c\n").skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        bail!("the page has no block of C code, or several");
    };
    let is_code = |line: &&str| line.is_empty() || line.starts_with("    ");
    let lines = block.lines().take_while(is_code);
    let plain = |line: &str| format!("{}\n", line.strip_prefix("    ").unwrap_or(line));
    Ok(lines.map(plain).collect())
}

fn exported(session: &Session<'_>) -> Result<Vec<String>> {
    let out = session.ctx.scratch()?;
    series::exported(session.ctx, &session.tree, session.tip(), out.path())?;
    let mut diff = Command::new("diff");
    diff.args(["-rq", "-x*.txt", "-x*.md", "-xprojects", "-xseries-start"])
        .arg(session.ctx.patches())
        .arg(out.path())
        .env("LC_ALL", "C");
    let (status, said, errors) = proc::output(&mut diff)?;
    let mut problems: Vec<String> = said.lines().map(str::to_owned).collect();
    if !status.success() {
        problems.extend(errors.lines().map(str::to_owned));
        problems.push("`make kernel`, then `make export`".to_owned());
    }
    Ok(problems)
}

fn trailers(session: &Session<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (index, commit) in session.commits.iter().enumerate() {
        let message = session.tree.git.run(["log", "-1", "--format=%B", commit])?;
        let name = session.patch_name(index);
        let lines = vouching(&message).into_iter();
        problems.extend(lines.map(|line| format!("{name}: {line}")));
    }
    Ok(problems)
}

/// Lines of a commit message that only the named person may write.
fn vouching(message: &str) -> Vec<String> {
    let person =
        Regex::new(r"(?i)^\s*(signed-off|reviewed|acked|tested|co-developed)-by:").unwrap();
    let lines = message.lines().filter(|line| person.is_match(line));
    lines.map(str::to_owned).collect()
}

/// Applies the series to the base with fs/namei.c as mainline has it.
fn mainline(session: &Session<'_>) -> Result<Vec<String>> {
    let ctx = session.ctx;
    let plain = series::apply(ctx, &session.tree.git, &session.tree.base, &[])?;
    plain.git.run(["config", "core.sparseCheckout", "true"])?;
    plain.git.run(["sparse-checkout", "add", "/fs/namei.c"])?;
    let namei = plain.git.dir().join("fs/namei.c");
    let text = fs::read_to_string(&namei)?;
    let upstream = as_mainline(&text);
    if upstream != text {
        fs::write(&namei, &upstream)?;
        let message = "fs/namei.c as in mainline";
        plain.git.run(["commit", "-q", "-a", "-m", message])?;
    } else if ctx.kdir.is_none() {
        bail!(
            "the base's fs/namei.c has none of Debian's lines: this check must be looked at again"
        );
    }
    let base = plain.git.head()?;
    series::apply(ctx, &plain.git, &base, &session.files)?;
    Ok(Vec::new())
}

fn as_mainline(namei: &str) -> String {
    DEBIAN_LINES.iter().fold(namei.to_owned(), |text, line| {
        text.replace(line, &line.replace(" = 1;", ";"))
    })
}

/// The findings of checkpatch that are accepted: lines of part of a patch's name, type, reason.
fn parse_waivers(text: &str) -> Result<Vec<(&str, &str)>> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match Vec::from_iter(line.split_whitespace())[..] {
            [patch, kind, _, ..] => Ok((patch, kind)),
            _ => bail!("not `PATCH TYPE reason`: {line}"),
        })
        .collect()
}

/// The type and the text of each line of `checkpatch --terse --show-types`.
fn parse_findings(out: &str) -> Vec<(String, String)> {
    let pattern = Regex::new(r"^\S*?:?(\d+): (ERROR|WARNING|CHECK):([A-Z0-9_]+): (.*)$").unwrap();
    out.lines()
        .filter_map(|line| pattern.captures(line))
        .map(|found| {
            let (_, [line, level, kind, text]) = found.extract();
            (
                kind.to_owned(),
                format!("line {line}: {level} {kind}: {text}"),
            )
        })
        .collect()
}

/// checkpatch's options; the tree's root follows.
const CHECKPATCH: &str =
    "--strict --codespell --no-signoff --terse --show-types --no-summary --color=never --root";

fn checkpatch(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let path = ctx.root.join("scripts/checkpatch-waivers");
    let waivers = fs::read_to_string(&path).with_context(|| ctx.show(&path))?;
    let waivers = parse_waivers(&waivers).with_context(|| ctx.show(&path))?;
    let mut used = vec![false; waivers.len()];
    let linux = ctx.linux();
    let log = ctx.fresh_log("checkpatch")?;
    for (index, file) in session.files.iter().enumerate() {
        let name = session.patch_name(index);
        let mut cmd = Command::new("perl");
        cmd.arg(linux.join("scripts/checkpatch.pl"))
            .args(CHECKPATCH.split(' '))
            .arg(&linux)
            .arg(file)
            .current_dir(&linux)
            .env("LC_ALL", "C.UTF-8");
        let (status, out) = proc::logged("checkpatch", &log, 600, &mut cmd, |_| {})?;
        let findings = parse_findings(&out);
        let mut problems = Vec::new();
        for (kind, text) in &findings {
            let waives = |(patch, waived): &(&str, &str)| name.contains(patch) && waived == kind;
            match waivers.iter().position(waives) {
                Some(waiver) => used[waiver] = true,
                None => problems.push(text.clone()),
            }
        }
        // An exit status without a finding that we understand is no success.
        if !status.success() && findings.is_empty() {
            problems.push(format!("checkpatch: {status}\n{}", proc::tail(&out, 5)));
        }
        report.check(
            &format!("checkpatch --strict {name}"),
            &problems,
            Some(&log),
        );
    }
    let idle = waivers.iter().zip(&used).filter(|(_, used)| !**used);
    let idle = idle.map(|((patch, kind), _)| format!("{patch} {kind}: waives nothing"));
    let idle: Vec<String> = idle.collect();
    report.check("every waiver of checkpatch is needed", &idle, None);
    Ok(())
}

/// Runs the script that compares the C header with the Rust source.
fn generated_header(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let ctx = session.ctx;
    let name = "cbindgen writes the prototypes that the series has";
    let log = ctx.fresh_log("cbindgen")?;
    let tip = session.at(session.tip())?;
    let mut cmd = Command::new(ctx.root.join("scripts/prototypes.sh"));
    cmd.arg(tip.dir()).current_dir(&ctx.root);
    let outcome = proc::run("scripts/prototypes.sh", &log, &mut cmd, |_| {});
    report.step(name, outcome, &log);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_that_only_their_person_may_write() {
        let message = "fs: x\n\nText with Reviewed-by: inside.\n\nSigned-off-by: A <a@b>\n  acked-by: B\nLink: x\nSuggested-by: C\n";
        assert_eq!(
            vouching(message),
            ["Signed-off-by: A <a@b>", "  acked-by: B"]
        );
    }

    #[test]
    fn a_page_has_one_block_of_code() {
        let page = "Text\n\n.. code-block:: c\n\n    int a;\n\n    int b;\n\nMore text\n";
        assert_eq!(code_block(page).unwrap(), "\nint a;\n\nint b;\n\n");
        assert!(code_block("Text\n").is_err());
        assert!(code_block(&format!("{page}{page}")).is_err());
    }

    #[test]
    fn waivers_need_a_reason() {
        let text = "# comment\n\nselftests LONG_LINE  the table reads better whole\n";
        assert_eq!(parse_waivers(text).unwrap(), [("selftests", "LONG_LINE")]);
        assert!(parse_waivers("selftests LONG_LINE\n").is_err());
        assert!(parse_waivers("selftests\n").is_err());
    }

    #[test]
    fn findings_of_checkpatch() {
        let out = "/x/patches/0001-a.patch:12: WARNING:LONG_LINE: line length of 101\n\
                   0001-a.patch:9: CHECK:BRACES: braces {} should be used: here\n\
                   total: 0 errors\n";
        let found = parse_findings(out);
        assert_eq!((found.len(), found[0].0.as_str()), (2, "LONG_LINE"));
        let text = "line 9: CHECK BRACES: braces {} should be used: here";
        assert_eq!(found[1].1, text);
        assert!(parse_findings("").is_empty());
    }

    #[test]
    fn mainline_leaves_the_variables_at_zero() {
        let text = format!("a\n{}\n{}\nb\n", DEBIAN_LINES[0], DEBIAN_LINES[1]);
        let upstream = as_mainline(&text);
        assert!(!upstream.contains("= 1"));
        assert!(upstream.contains("static int sysctl_protected_symlinks __read_mostly;\n"));
    }
}
