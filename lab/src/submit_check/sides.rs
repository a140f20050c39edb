// SPDX-License-Identifier: GPL-2.0

//! What a tool says about the base, and about the series.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use regex::Regex;

use crate::ctx::{hash, kept_as, write_whole};
use crate::git::Git;
use crate::report::Check;
use crate::session::Session;
use crate::ui::Stage;

/// Change this when tools must run again although their inputs are the same.
const RECIPE: &str = "1";

/// How compilers name the tree from the objects' directory beside it.
pub(super) const UP: &str = "../linux/";

/// A C file with a mistake for each tool that reads C, put beside the real ones.
pub(super) const PROBE: &str = "fs/mayexec_probe.c";

const PROBE_TEXT: &str = "// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/uaccess.h>

/**
 * mayexec_probe - a function that does not describe its parameters
 */
int mayexec_probe(int __user *from, void *memory)
{
\tif (memory)
\t\tkfree(memory);
\treturn *from;
}
";

pub(super) struct Side<'a> {
    /// The tree, with the commit checked out.
    pub(super) tree: &'a Git,
    /// What the user sees meanwhile, with the log.
    pub(super) stage: &'a Stage,
    /// The files that the series touches and the commit has.
    pub(super) files: Vec<String>,
    pub(super) tip: bool,
}

impl Side<'_> {
    pub(super) fn ending(&self, ends: &[&str]) -> Vec<String> {
        let mut files = self.files.clone();
        files.retain(|file| ends.iter().any(|end| file.ends_with(end)));
        files
    }

    /// The file in the tree, for tools that run elsewhere.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.tree.dir().join(file)
    }

    /// Puts [`PROBE`] into the tree, where it stays until the tree goes to another commit.
    pub(super) fn put_probe(&self) -> Result<()> {
        write_whole(&self.path(PROBE), PROBE_TEXT.as_bytes())
    }
}

/// The findings but those about `probe`, a file that is wrong on purpose; one of these must have
/// `word` in it: a tool that finds nothing there finds nothing anywhere.
pub(super) fn without(
    probe: &str,
    word: &str,
    findings: BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let stem = probe.rsplit_once('.').map_or("", |(stem, _)| stem);
    let is_own = |finding: &String| finding.contains(stem);
    let (own, others): (BTreeSet<_>, BTreeSet<_>) = findings.into_iter().partition(is_own);
    if !own.iter().any(|finding| finding.contains(word)) {
        bail!(
            "the tool says nothing with \"{word}\" in it about a file that is wrong on purpose ({probe}), so it checks nothing"
        );
    }
    Ok(others)
}

/// Makes a row of what a tool finds in the series and not in the base.
///
/// `inputs` is what the findings depend on besides the commit: the tool's version, the
/// configuration. They are kept, so that a tool runs once on each commit.
pub(super) fn row(
    session: &Session<'_>,
    (name, claim, inputs): (&str, &str, &str),
    find: &dyn Fn(&Side<'_>) -> Result<Found>,
) -> Result<Check> {
    let log = session.ctx.fresh_log(&format!("check {name}"))?;
    let touched = session.touched(&[])?;
    let of = |commit: &str, tip: bool| -> Result<Found> {
        let tree = session.tree.git.tree(commit)?;
        let key = hash(format!("{RECIPE} {name} {inputs} {tree} {}", touched.join(" ")).as_bytes());
        let kept = format!("checks/{}.json", &key[..16]);
        kept_as(&session.ctx.build.join(kept), || {
            let which = if tip { "the series" } else { "the base" };
            let stage = Stage::begin(&format!("{name}, {which}"), Some(&log));
            let walk = session.at(commit)?;
            let mut files = touched.clone();
            files.retain(|file| walk.dir().join(file).is_file());
            let found = find(&Side {
                tree: &walk,
                stage: &stage,
                files,
                tip,
            })?;
            stage.done(&found.tried);
            Ok(found)
        })
    };
    let tip = of(session.tip(), true)?;
    // What finds nothing in the series needs no comparison.
    let base = match tip.findings.is_empty() {
        true => BTreeSet::new(),
        false => of(&session.tree.base, false)?.findings,
    };
    let failures = new_ones(&base, &tip.findings);
    let known = tip.findings.len() - failures.len();
    let tried = match known {
        0 => tip.tried,
        _ => format!("{}, {known} findings as in the base", tip.tried),
    };
    Ok(Check::new(claim).also(&tried, failures, &log))
}

/// What a tool complained about, of so many things that it looked at.
pub(super) fn found(count: usize, what: &str, findings: BTreeSet<String>) -> Found {
    let tried = format!("{count} {what}");
    Found { tried, findings }
}

/// What a tool said about one commit.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Found {
    /// What it looked at: "12 files".
    pub(super) tried: String,
    /// What it complained about.
    pub(super) findings: BTreeSet<String>,
}

/// The findings whose text, places aside, the base has not, or has fewer times.
fn new_ones(base: &BTreeSet<String>, findings: &BTreeSet<String>) -> Vec<String> {
    let mut known = without_places(base);
    let is_new = |(_, text): &(&String, String)| {
        let at = known.iter().position(|old| old == text);
        at.map(|at| known.swap_remove(at)).is_none()
    };
    let both = findings.iter().zip(without_places(findings));
    let new = both.filter(is_new);
    new.map(|(finding, _)| finding.clone()).collect()
}

/// The findings without line numbers, which move, in front or among the words.
fn without_places(findings: &BTreeSet<String>) -> Vec<String> {
    let place = Regex::new(r"(\S):\d+(?::\d+)?(?:-\d+)?\b|\b(line) \d+\b").unwrap();
    let plain = |finding: &String| place.replace_all(finding, "$1$2").into_owned();
    findings.iter().map(plain).collect()
}

/// The lines of `text` with one of the words, below the tree.
pub(super) fn lines_with(text: &str, words: &[&str], roots: &[&Path]) -> BTreeSet<String> {
    let wanted = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let cut = |line: &str| {
        let line = line.trim().replace(UP, "");
        let roots = roots.iter().map(|root| format!("{}/", root.display()));
        roots.fold(line, |line, root| line.replace(&root, ""))
    };
    text.lines().filter(wanted).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_finding_that_moved_is_not_new() {
        let base = set(&["fs/namei.c:12:3: warning: x", "a.c:4: y"]);
        let new = |lines: &[&str]| new_ones(&base, &set(lines));
        let [was, moved, other] = [
            "fs/namei.c:12:3: warning: x",
            "fs/namei.c:99:7: warning: x",
            "fs/namei.c:99:7: warning: z",
        ];
        assert_eq!(new(&[moved]), [""; 0]);
        assert_eq!(new(&[other]), [other]);
        // The same words at a second place.
        assert_eq!(new(&[was, moved]).len(), 1);
        for (finding, text) in [
            // coccicheck's columns.
            (
                "fs/a.c:12:3-9: WARNING: NULL check",
                "fs/a.c: WARNING: NULL check",
            ),
            (
                "fs/a.c:9:2-8: preceding lock on line 7",
                "fs/a.c: preceding lock on line",
            ),
            // Sphinx's name of a page that a header is made part of.
            (
                "Documentation/userspace-api/x:634: include/x.h:3: WARNING: label",
                "Documentation/userspace-api/x: include/x.h: WARNING: label",
            ),
        ] {
            assert_eq!(without_places(&set(&[finding])), [text]);
        }
    }

    #[test]
    fn a_tool_that_is_silent_about_the_probe_could_not_run() {
        let findings = set(&["fs/mayexec_probe.c:9:1: warning: noderef", "fs/a.c: x"]);
        let others = without(PROBE, "noderef", findings.clone()).unwrap();
        assert_eq!(others, set(&["fs/a.c: x"]));
        assert!(without(PROBE, "address space", findings).is_err());
        assert!(without(PROBE, "noderef", BTreeSet::new()).is_err());
    }

    #[test]
    fn lines_are_taken_relative_to_the_tree() {
        let text = "  CC x\n/t/fs/a.c:1: Warning: b\n../linux/x.h:2: warning: c\n";
        let lines = lines_with(text, &["warning:"], &[Path::new("/t")]);
        assert_eq!(lines, set(&["fs/a.c:1: Warning: b", "x.h:2: warning: c"]));
    }
}
