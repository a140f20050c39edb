// SPDX-License-Identifier: GPL-2.0

//! Breaking the code on purpose: tests that cannot fail show nothing.
//!
//! Each file in lab/breaks is a diff. It is applied to a copy, what it breaks is built, and the suites
//! that the README there names for its directory must notice.

mod noticed;
mod own;

use fs_err as fs;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use self::noticed::{Answers, apply, failures, first_line, noticed, stem};
use self::own::Checkout;
use crate::ctx::{Ctx, with_extension};
use crate::git::Git;
use crate::guest::Boot;
use crate::kernel::{Kernel, Variant};
use crate::proof;
use crate::report::Check;
use crate::results;
use crate::selftests;
use crate::session::{Session, once};
use crate::suites::filesystems::{self, FILESYSTEMS};
use crate::suites::guest::{expect_sysctl, not_without_the_flag};
use crate::suites::host::POLICY;
use crate::suites::{consumers, kunit};
use crate::variants::{BPF, CONSUMERS, DEBUG, OFF, STATIC, STATIC_VALUE};

/// Applies each break in turn and reports which suites notice; whether all do.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let breaks = select(&ctx.root.join("lab/breaks"), names)?;
    let session = Session::open(ctx)?;
    let judge = Judge {
        session: &session,
        checkout: OnceCell::new(),
        bundle: OnceCell::new(),
    };

    // A suite that is red without a break would catch everything.
    let has = |dir| breaks.iter().any(|((of, _), _)| *of == dir);
    for kind in &KINDS {
        // Proof asks what Plain asks, of the same kernel, and more.
        if has(kind.0) && !(kind.0.is_empty() && has("proof")) {
            for (suite, noticed) in judge.ask(kind, None)? {
                if let Some(why) = noticed {
                    bail!("{suite} fails without any break, so it can show nothing:\n{why}");
                }
            }
        }
    }

    let mut survive = 0;
    for (kind, file) in &breaks {
        let name = stem(file);
        let asked = judge.ask(kind, Some(file))?.into_iter();
        let caught: BTreeMap<&str, String> = asked
            .filter_map(|(suite, why)| Some((suite, why?)))
            .collect();
        let noticed = match caught.is_empty() {
            true => {
                println!("SURVIVES  {name}");
                survive += 1;
                "**nothing**".to_owned()
            }
            false => {
                let said = caught.iter().map(|(suite, why)| format!("{suite} ({why})"));
                println!("caught    {name}: {}", Vec::from_iter(said).join("; "));
                Vec::from_iter(caught.into_keys()).join(", ")
            }
        };
        results::record(ctx, "breaks", &row(ctx, file)?, &[noticed])?;
    }
    println!("\n{} breaks, {survive} survive", breaks.len());
    Ok(survive == 0)
}

/// The breaks that do not apply to what they break: git's words.
pub(crate) fn stale(session: &Session<'_>) -> Result<Vec<String>> {
    let root = &session.ctx.root;
    let (own, series) = (Git::at(root), session.at(session.tip())?);
    let mut problems = Vec::new();
    for ((_, of), file) in select(&root.join("lab/breaks"), &[])? {
        let git = if of.is_some() { &series } else { &own };
        if let Err(error) = git.line("apply --check", &[&file]) {
            problems.push(format!("{}: {error:#}", stem(&file)));
        }
    }
    Ok(problems)
}

/// What a break does, in its first line, and its name.
fn row(ctx: &Ctx, file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let path = file.strip_prefix(ctx.root.join("lab/breaks"))?;
    let name = path.with_extension("");
    Ok(format!("{} (`{}`)", first_line(&text), name.display()))
}

pub(crate) fn names(ctx: &Ctx) -> Result<Vec<String>> {
    let breaks = select(&ctx.root.join("lab/breaks"), &[])?;
    breaks.iter().map(|(_, file)| row(ctx, file)).collect()
}

/// What must notice the breaks of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Plain,
    Consumers,
    Bpf,
    Filesystems,
    Static,
    Off,
    Proof,
    Debug,
}

/// A directory below lab/breaks, what must notice its breaks, and the kernel on which they show; or
/// nothing, for those of this repository.
type Kind = (&'static str, Option<(Ask, Variant)>);

static KINDS: [Kind; 9] = [
    ("", Some((Ask::Plain, Variant::PLAIN))),
    ("consumers", Some((Ask::Consumers, CONSUMERS))),
    ("bpf", Some((Ask::Bpf, BPF))),
    ("filesystems", Some((Ask::Filesystems, FILESYSTEMS))),
    ("static", Some((Ask::Static, STATIC))),
    ("off", Some((Ask::Off, OFF))),
    ("proof", Some((Ask::Proof, Variant::PLAIN))),
    ("debug", Some((Ask::Debug, DEBUG))),
    ("userspace", None),
];

/// The breaks of these names, or all.
fn select(dir: &Path, names: &[String]) -> Result<Vec<(&'static Kind, PathBuf)>> {
    let mut breaks = Vec::new();
    for kind in &KINDS {
        let diffs = with_extension(&dir.join(kind.0), "diff")?.into_iter();
        breaks.extend(diffs.map(|file| (kind, file)));
    }
    // A break in a directory of another name would never be run.
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.path().is_dir() && !KINDS.iter().any(|(known, _)| name == **known) {
            bail!("{}: no breaks of that kind", entry.path().display());
        }
    }
    let known = Vec::from_iter(breaks.iter().map(|(_, file)| stem(file)));
    if known.is_empty() {
        bail!("{} holds no break", dir.display());
    }
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        bail!("no break is called {name}; there are: {}", known.join(" "));
    }
    breaks.retain(|(_, file)| names.is_empty() || names.contains(&stem(file)));
    Ok(breaks)
}

/// Applies a break and asks the suites.
struct Judge<'a> {
    session: &'a Session<'a>,
    /// What the breaks of this repository, and those of the policy, are applied to.
    checkout: OnceCell<Checkout<'a>>,
    /// What tests the kernels, installed before the first of them is broken.
    bundle: OnceCell<PathBuf>,
}

impl Judge<'_> {
    /// What the suites of a kind say with a break applied, or without one.
    fn ask(&self, (_, of): &Kind, file: Option<&Path>) -> Result<Answers> {
        let session = self.session;
        let checkout = || once(&self.checkout, || Checkout::copied(session.ctx));
        let Some((suites, variant)) = of else {
            return checkout()?.ask(session, file);
        };
        let bundle = once(&self.bundle, || session.selftests())?;
        let walk = session.at(session.tip())?;
        let name = file.map_or("unbroken".to_owned(), stem);
        let mut of_policy = true;
        if let Some(file) = file {
            apply(&walk, file)?;
            of_policy = fs::read_to_string(file)?.contains(&format!("\n+++ b/{POLICY}\n"));
        }
        // What does not compile shows nothing about the tests.
        let what = format!("the kernel with {name}");
        let kernel = session.builder(variant)?.build(&what, variant)?;
        let mut answers = self.notice(*suites, &kernel, bundle, &name)?;
        if of_policy {
            let policy = walk.dir().join(POLICY);
            answers.push(("host", checkout()?.policy_tests(&name, &policy)?));
        }
        Ok(answers)
    }

    /// What the suites say of a kernel.
    fn notice(&self, ask: Ask, kernel: &Kernel, bundle: &Path, name: &str) -> Result<Answers> {
        let session = self.session;
        let label = |what: &str| format!("{what} {name}");
        let boot = |what: &str| Boot {
            first_failure: true,
            ..selftests::boot(session.ctx, kernel, &label(what), bundle)
        };
        let guest = |before: &str| {
            let mut boot = boot("guest");
            boot.before += before;
            selftests::run(boot, &selftests::own(bundle)?)
        };
        let of_row = |(row, check): (_, Result<Check>)| (row, check.map(|check| check.problems));
        let said = match ask {
            Ask::Plain | Ask::Proof => {
                let kunit = kunit::boot(session.ctx, kernel, &label("kunit"));
                let mut said = vec![("kunit", failures(kunit)), ("guest", failures(guest("")))];
                if ask == Ask::Proof {
                    said.extend(proof::notice(session, kernel).map(of_row));
                }
                said
            }
            Ask::Consumers => {
                let run = consumers::all_tests(session, bundle, &boot("consumers"));
                vec![("consumers", failures(run))]
            }
            Ask::Bpf => vec![("bpf", failures(consumers::bpf(bundle, boot("bpf"))))],
            Ask::Filesystems => {
                let run = filesystems::tests(session, bundle, boot("filesystems"));
                vec![("filesystems", failures(run))]
            }
            Ask::Static => {
                let run = guest(&expect_sysctl(STATIC_VALUE));
                vec![("guest", failures(run))]
            }
            Ask::Debug => vec![of_row(("debug: faults", proof::faults(session, kernel)))],
            Ask::Off => {
                let said = guest("").map(|run| not_without_the_flag(&run));
                vec![("guest", said)]
            }
        };
        let said = said.into_iter();
        said.map(|(suite, problems)| Ok((suite, noticed(problems)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_named_by_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("consumers")).unwrap();
        assert!(select(dir.path(), &[]).is_err());
        for file in ["b.diff", "a.diff", "README", "consumers/c.diff"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let files = select(dir.path(), &[]).unwrap();
        let dirs: Vec<&str> = files.iter().map(|(kind, _)| kind.0).collect();
        assert_eq!(dirs, ["", "", "consumers"]);
        assert_eq!(select(dir.path(), &["b".to_owned()]).unwrap().len(), 1);
        let error = select(dir.path(), &["d".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there are: a b c"), "{error}");
        fs::create_dir(dir.path().join("userpsace")).unwrap();
        assert!(select(dir.path(), &[]).is_err());
    }
}
