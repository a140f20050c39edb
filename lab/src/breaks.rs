// SPDX-License-Identifier: GPL-2.0

//! Breaking the code on purpose: tests that cannot fail show nothing.
//!
//! Each file in lab/breaks is a diff against the kernel with the series. It is
//! applied, the kernel is built, and KUnit, the guest's selftests and, where the
//! policy itself is broken, its tests on the host must notice. Those in a directory
//! below are for another kernel: with all `consumers`, also for `filesystems`, with the policy fixed when it
//! is built (`static`), with the feature `off`; or for the rows of `make verify`, those
//! of the kernel that all suites use (`proof`) and the one of faults (`debug`). Those in
//! `userspace` are for a copy of this repository.

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
use crate::kernel::{self, Kernel, Variant};
use crate::proof;
use crate::report::Check;
use crate::results;
use crate::selftests;
use crate::series::touched_paths;
use crate::session::{Session, once};
use crate::suites::consumers;
use crate::suites::filesystems;
use crate::suites::guest::{not_without_the_flag, sysctl_value};
use crate::suites::host::POLICY;
use crate::suites::kunit;
use crate::tap::Verdict;
use crate::variants::{CONSUMERS, DEBUG, OFF, STATIC, STATIC_VALUE};

/// Applies each break in turn and reports which suites notice; whether all do.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let breaks = select(&ctx.root.join("lab/breaks"), names)?;
    let session = Session::open(ctx)?;
    let subjects = Subjects {
        session: &session,
        checkout: OnceCell::new(),
        bundle: OnceCell::new(),
    };

    // A suite that is red without a break would catch everything.
    let has = |kind| breaks.iter().any(|(of, _)| *of == kind);
    for (kind, ..) in KINDS {
        // Proof asks what Plain asks, of the same kernel, and more.
        if has(kind) && !(kind == Kind::Plain && has(Kind::Proof)) {
            for (suite, noticed) in subjects.ask(kind, None)? {
                if let Some(why) = noticed {
                    bail!("{suite} fails without any break, so it can show nothing:\n{why}");
                }
            }
        }
    }

    let mut survive = 0;
    for (kind, file) in &breaks {
        let name = stem(file);
        let asked = subjects.ask(*kind, Some(file))?.into_iter();
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
    subjects.restore()?;
    println!("\n{} breaks, {survive} survive", breaks.len());
    Ok(survive == 0)
}

/// The breaks that do not apply to what they break: git's words.
pub(crate) fn stale(session: &Session<'_>) -> Result<Vec<String>> {
    let root = &session.ctx.root;
    let (own, series) = (Git::at(root), session.at(session.tip())?);
    let mut problems = Vec::new();
    for (kind, file) in select(&root.join("lab/breaks"), &[])? {
        let git = match kind {
            Kind::Userspace => &own,
            _ => &series,
        };
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

/// What a break is for: a kernel, or this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Consumers,
    Filesystems,
    Static,
    Off,
    Proof,
    Debug,
    Userspace,
}

/// The directories below lab/breaks, and the kernels on which their breaks show.
const KINDS: [(Kind, &str, Variant); 8] = [
    (Kind::Plain, "", Variant::PLAIN),
    (Kind::Consumers, "consumers", CONSUMERS),
    (Kind::Filesystems, "filesystems", CONSUMERS),
    (Kind::Static, "static", STATIC),
    (Kind::Off, "off", OFF),
    (Kind::Proof, "proof", Variant::PLAIN),
    (Kind::Debug, "debug", DEBUG),
    (Kind::Userspace, "userspace", Variant::PLAIN),
];

/// The breaks of these names, or all.
fn select(dir: &Path, names: &[String]) -> Result<Vec<(Kind, PathBuf)>> {
    let mut breaks = Vec::new();
    for (kind, below, _) in KINDS {
        let below = dir.join(below);
        if below.is_dir() {
            let diffs = with_extension(&below, "diff")?.into_iter();
            breaks.extend(diffs.map(|file| (kind, file)));
        }
    }
    // A break in a directory of another name would never be run.
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.path().is_dir() && !KINDS.iter().any(|(_, known, _)| name == **known) {
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

/// What is broken, made ready when the first break of it is asked about.
struct Subjects<'a> {
    session: &'a Session<'a>,
    checkout: OnceCell<Checkout<'a>>,
    /// What tests the kernels that are broken.
    bundle: OnceCell<PathBuf>,
}

impl<'a> Subjects<'a> {
    fn bundle(&self) -> Result<&PathBuf> {
        once(&self.bundle, || self.session.selftests())
    }

    fn checkout(&self) -> Result<&Checkout<'a>> {
        once(&self.checkout, || Checkout::copied(self.session.ctx))
    }

    /// What the suites of a kind say with a break applied, or without one.
    fn ask(&self, kind: Kind, file: Option<&Path>) -> Result<Answers> {
        let session = self.session;
        if kind == Kind::Userspace {
            return self.checkout()?.ask(session, file);
        }
        self.bundle()?;
        let variant = KINDS.into_iter().find(|(of, ..)| *of == kind);
        let variant = variant.map_or(Variant::PLAIN, |(_, _, variant)| variant);
        let Some(file) = file else {
            let what = format!("the unbroken kernel {}", variant.name);
            let kernel = session.kernel(what.trim_end(), session.tip(), &variant)?;
            return self.notice(kind, &kernel, "unbroken");
        };
        let name = stem(file);
        let walk = &session.walk()?;
        walk.force_to(session.tip())?;
        apply(walk, file)?;
        let mut builder = session.builder(&variant)?;
        builder.whole = true;
        let key = kernel::dirty_tree_key(walk)?;
        // What does not compile shows nothing about the tests.
        let kernel = builder.build(&format!("the kernel with {name}"), &key, &variant)?;
        let mut answers = self.notice(kind, &kernel, &name)?;
        if touched_paths(&fs::read_to_string(file)?).contains(POLICY) {
            let policy = walk.dir().join(POLICY);
            answers.push(("host", self.checkout()?.policy_tests(&name, &policy)?));
        }
        Ok(answers)
    }

    fn restore(&self) -> Result<()> {
        if self.bundle.get().is_some() {
            self.session.walk()?.force_to(self.session.tip())?;
        }
        self.checkout.get().map_or(Ok(()), Checkout::restore)
    }

    /// What the suites say of a kernel.
    fn notice(&self, kind: Kind, kernel: &Kernel, name: &str) -> Result<Answers> {
        let (session, bundle) = (self.session, self.bundle()?);
        let ctx = session.ctx;
        let own = selftests::own(bundle)?;
        let what = match kind {
            Kind::Consumers => "consumers",
            Kind::Filesystems => "filesystems",
            _ => "guest",
        };
        let label = format!("{what} {name}");
        let boot = Boot {
            first_failure: true,
            ..selftests::boot(ctx, kernel, &label, bundle)
        };
        let selftests = || selftests::run(boot.clone(), &own);
        let row = |(name, row): (_, Result<Check>)| (name, row.map(|row| row.problems));
        let said = match kind {
            Kind::Plain | Kind::Proof | Kind::Userspace => {
                let kunit = kunit::boot(ctx, kernel, &format!("kunit {name}"));
                let mut said = vec![("kunit", failures(kunit)), (what, failures(selftests()))];
                if kind == Kind::Proof {
                    said.extend(proof::notice(session, kernel).map(row));
                }
                said
            }
            Kind::Consumers => {
                let run = consumers::all_tests(session, bundle, &boot);
                vec![(what, failures(run))]
            }
            Kind::Filesystems => {
                let run = filesystems::tests(session, bundle, boot);
                vec![(what, failures(run))]
            }
            Kind::Static => {
                let value = sysctl_value(ctx, kernel, &format!("sysctl {name}"), &[]);
                let said = value.and_then(|(value, _)| match value == STATIC_VALUE {
                    true => failures(selftests()),
                    false => Ok(vec![format!("the sysctl is {value}")]),
                });
                vec![(what, said)]
            }
            Kind::Debug => vec![row(proof::notice_faults(session, kernel))],
            Kind::Off => {
                let said = selftests().map(|run| not_without_the_flag(Verdict::Pass, &run));
                vec![(what, said)]
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
        let put = |file: &str| fs::write(dir.path().join(file), "").unwrap();
        fs::create_dir(dir.path().join("consumers")).unwrap();
        assert!(select(dir.path(), &[]).is_err());
        for file in ["b.diff", "a.diff", "README", "consumers/c.diff"] {
            put(file);
        }
        let files = select(dir.path(), &[]).unwrap();
        let kinds: Vec<Kind> = files.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Plain, Kind::Plain, Kind::Consumers]);
        assert_eq!(select(dir.path(), &["b".to_owned()]).unwrap().len(), 1);
        let error = select(dir.path(), &["d".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there are: a b c"), "{error}");
        fs::create_dir(dir.path().join("userpsace")).unwrap();
        assert!(select(dir.path(), &[]).is_err());
    }
}
