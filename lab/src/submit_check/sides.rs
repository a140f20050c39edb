// SPDX-License-Identifier: GPL-2.0

//! What a tool says about the base, and about the series.

use fs_err as fs;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;

use crate::ctx::{hash, kept_as, with_extension, write_whole};
use crate::git::Git;
use crate::report::{Check, more};
use crate::results::version;
use crate::session::Session;
use crate::ui::{self, Stage};

/// What runs the tools: when it changes, they run again.
#[rustfmt::skip]
const CODE: [&str; 9] = [
    include_str!("builds.rs"), include_str!("lint.rs"), include_str!("mod.rs"),
    include_str!("sides.rs"), include_str!("uapi.rs"), include_str!("../kernel.rs"),
    include_str!("../selftests.rs"), include_str!("../toolchain.rs"), include_str!("../variants.rs"),
];

/// Tools whose versions are not those of [`crate::toolchain`], and that may be missing.
const TOOLS: [&str; 4] = ["gcc", "aarch64-linux-gnu-gcc", "spatch", "sphinx-build"];

/// How compilers name the tree from the objects' directory beside it.
const UP: &str = "../linux/";

/// A C file with a mistake for each tool that reads C.
pub(super) const PROBE: &str = "fs/mayexec_probe.c";

/// What the names of files that are wrong on purpose have in common.
const OWN: &str = "mayexec_probe";

/// Files that are wrong on purpose, put beside the real ones.
const PROBES: [(&str, &str); 2] = [
    (PROBE, include_str!("mayexec_probe.c")),
    (
        "Documentation/userspace-api/mayexec_probe.rst",
        include_str!("mayexec_probe.rst"),
    ),
];

/// Words of what most tools complain with.
pub(super) const COMPLAINTS: [&str; 2] = ["warning:", "error:"];

pub(super) struct Side<'a> {
    pub(super) session: &'a Session<'a>,
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

    /// A command in the tree: words with a space between them, and `more` after these.
    pub(super) fn command<S: AsRef<OsStr>>(&self, words: &str, more: &[S]) -> Command {
        let mut words = words.split(' ');
        let mut cmd = Command::new(words.next().unwrap_or_default());
        cmd.args(words).args(more).current_dir(self.tree.dir());
        cmd
    }

    /// A program of a directory of tools, which is fetched if it is not there.
    pub(super) fn fetched(&self, what: &str, program: &str) -> Result<PathBuf> {
        let ctx = self.session.ctx;
        let dir = ctx.build.join("tools").join(what);
        ui::fetched(ctx, &[what], &dir)?;
        Ok(dir.join(program))
    }

    /// The lines of `text` with one of the words.
    pub(super) fn lines(&self, text: &str, words: &[&str]) -> BTreeSet<String> {
        lines_with(text, words, &self.session.ctx.slot.join("walk"))
    }
}

/// The lines of `text` with one of the words, but not rustc's on how many warnings it has emitted. A
/// file has its path below the tree, or below the directory with objects that is beside the tree in
/// `walk`.
fn lines_with(text: &str, words: &[&str], walk: &Path) -> BTreeSet<String> {
    let walk = regex::escape(&walk.to_string_lossy());
    let places = Regex::new(&format!(r"{walk}/[^/\s]+/|{UP}")).expect("a path is escaped");
    let wanted = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word)) && !line.ends_with(" emitted")
    };
    let lines = text.lines().filter(wanted);
    let cut = |line: &str| places.replace_all(line.trim(), "").into_owned();
    lines.map(cut).collect()
}

/// The findings but those about [`PROBES`], one of which must have `word` in it: a tool that finds
/// nothing there finds nothing anywhere.
fn without_own(findings: BTreeSet<String>, word: &str) -> Result<BTreeSet<String>> {
    let is_own = |finding: &String| finding.contains(OWN);
    let (own, others): (BTreeSet<_>, BTreeSet<_>) = findings.into_iter().partition(is_own);
    if !own.iter().any(|finding| finding.contains(word)) {
        bail!(
            "the tool says nothing with \"{word}\" in it about a file that is wrong on purpose ({OWN}), so it checks nothing"
        );
    }
    Ok(others)
}

/// What findings depend on besides the commit, as a hash: the tools, their words, configurations.
pub(super) fn inputs(session: &Session<'_>) -> Result<String> {
    let scripts = session.ctx.root.join("scripts");
    let mut inputs = CODE.concat() + &session.tools()?.versions;
    inputs.extend(TOOLS.iter().flat_map(|tool| version(tool)));
    inputs += &fs::read_to_string(scripts.join("fetch.sh"))?;
    for config in with_extension(&scripts.join("config"), "config")? {
        inputs += &fs::read_to_string(config)?;
    }
    Ok(hash(inputs.as_bytes()))
}

/// Makes a row of what a tool finds in the series and not in the base.
///
/// The findings are kept, so that a tool runs once on each commit with the same `inputs`. `mistake`
/// is a word of what the tool says of [`PROBES`], if it reads one of these.
pub(super) fn row(
    session: &Session<'_>,
    (name, claim, inputs, mistake): (&str, &str, &str, Option<&str>),
    find: &dyn Fn(&Side<'_>) -> Result<Found>,
) -> Result<Check> {
    let log = session.ctx.fresh_log(&format!("check {name}"))?;
    let touched = session.touched(&[])?;
    let of = |commit: &str, tip: bool| -> Result<Found> {
        let tree = session.tree.git.tree(commit)?;
        let key = hash(format!("{name} {inputs} {tree} {}", touched.join(" ")).as_bytes());
        let kept = format!("checks/{}.json", &key[..16]);
        kept_as(&session.ctx.build.join(kept), || {
            let which = if tip { "the series" } else { "the base" };
            let stage = Stage::begin(&format!("{name}, {which}"), Some(&log));
            let walk = session.at(commit)?;
            let mut files = touched.clone();
            files.retain(|file| walk.dir().join(file).is_file());
            // They stay until the tree goes to another commit.
            for (file, text) in PROBES.iter().filter(|_| mistake.is_some()) {
                write_whole(&walk.dir().join(file), text.as_bytes())?;
            }
            let mut found = find(&Side {
                session,
                tree: &walk,
                stage: &stage,
                files,
                tip,
            })?;
            if let Some(word) = mistake {
                found.findings = without_own(found.findings, word)?;
            }
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
    let failures = more(&base, &tip.findings, without_places);
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

/// A finding without line numbers, which move, in front or among the words.
fn without_places(finding: &str) -> String {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\S):\d+(?::\d+)?(?:-\d+)?\b|\b(line) \d+\b").expect("a constant")
    });
    PLACE.replace_all(finding, "$1$2").into_owned()
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
        let new = |lines: &[&str]| more(&base, &set(lines), without_places);
        let [was, moved, other] = [
            "fs/namei.c:12:3: warning: x",
            "fs/namei.c:99:7: warning: x",
            "fs/namei.c:99:7: warning: z",
        ];
        assert_eq!(new(&[moved]), [""; 0]);
        assert_eq!(new(&[other]), [other]);
        // The same words at a second place.
        assert_eq!(new(&[was, moved]).len(), 1);
        #[rustfmt::skip]
        let findings = [
            // coccicheck's columns.
            ("fs/a.c:12:3-9: WARNING: NULL check", "fs/a.c: WARNING: NULL check"),
            ("fs/a.c:9:2-8: preceding lock on line 7", "fs/a.c: preceding lock on line"),
            // Sphinx's name of a page that a header is made part of.
            ("Documentation/x:634: include/x.h:3: WARNING: label", "Documentation/x: include/x.h: WARNING: label"),
        ];
        for (finding, text) in findings {
            assert_eq!(without_places(finding), text);
        }
    }

    #[test]
    fn a_tool_that_is_silent_about_the_probe_could_not_run() {
        let findings = set(&["fs/mayexec_probe.c:9:1: warning: noderef", "fs/a.c: x"]);
        let others = without_own(findings.clone(), "noderef").unwrap();
        assert_eq!(others, set(&["fs/a.c: x"]));
        assert!(without_own(findings, "address space").is_err());
        assert!(without_own(BTreeSet::new(), "noderef").is_err());
    }

    #[test]
    fn lines_are_taken_relative_to_the_tree() {
        let text = "  CC x\n/t/obj/fs/a.c:1: Warning: b\n../linux/x.h:2: warning: c\n\
                    /t/linux/rust/kernel/fs.rs:3:1: warning: unused import: `x`\n\
                    warning: 1 warning emitted\n";
        let lines = lines_with(text, &["warning:"], Path::new("/t"));
        let rust = "rust/kernel/fs.rs:3:1: warning: unused import: `x`";
        let right = set(&["fs/a.c:1: Warning: b", rust, "x.h:2: warning: c"]);
        assert_eq!(lines, right);
    }
}
