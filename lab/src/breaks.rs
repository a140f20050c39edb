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

use self::noticed::{Answers, apply, failed, first_line, judge, rows, stem};
use self::own::Checkout;
use crate::ctx::{Ctx, with_extension};
use crate::git::Git;
use crate::guest::Boot;
use crate::kernel::{self, Kernel, Variant};
use crate::proof;
use crate::results;
use crate::selftests;
use crate::series::touched_paths;
use crate::session::{Session, once};
use crate::suites::consumers;
use crate::suites::filesystems;
use crate::suites::guest::{not_without_the_flag, sysctl_value};
use crate::suites::host::POLICY;
use crate::suites::kunit;
use crate::tap::{Run, Verdict};
use crate::variants::{CONSUMERS, DEBUG, OFF, STATIC, STATIC_VALUE};

/// Applies each break in turn and reports which suites notice; whether all do.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let files = select(&ctx.root.join("lab/breaks"), names)?;
    let session = Session::open(ctx)?;
    let dropped = names.is_empty() || names.iter().any(|name| name == DROPPED);
    let followed_up = match dropped {
        true => consumers::followed_up(&session)?,
        false => Vec::new(),
    };
    let subjects = Subjects {
        session: &session,
        checkout: OnceCell::new(),
        bundle: OnceCell::new(),
    };

    // A suite that is red without a break would catch everything.
    let has = |kind| files.iter().any(|(of, _)| *of == kind);
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
    let mut say = |name: &str, why: &str| match why {
        "" => {
            println!("SURVIVES  {name}");
            survive += 1;
        }
        why => println!("caught    {name}: {why}"),
    };
    for (kind, file) in &files {
        let asked = subjects.ask(*kind, Some(file))?.into_iter();
        let caught: BTreeMap<&str, String> = asked
            .filter_map(|(suite, why)| Some((suite, why?)))
            .collect();
        let suites = caught.iter().map(|(suite, why)| format!("{suite} ({why})"));
        say(&stem(file), &Vec::from_iter(suites).join("; "));
        let noticed = match caught.is_empty() {
            true => "**nothing**".to_owned(),
            false => Vec::from_iter(caught.into_keys()).join(", "),
        };
        results::record(ctx, "breaks", &row(*kind, file)?, &[noticed])?;
    }
    for (name, noticed) in subjects.without_follow_up(followed_up)? {
        let name = format!("{name} without the follow-up");
        say(&name, &noticed.unwrap_or_default());
    }
    subjects.restore()?;
    println!("\n{} breaks, {survive} survive", files.len());
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

/// The name of the break that is no diff: the follow-up is dropped.
const DROPPED: &str = "consumers-dropped";

/// What a break does, in its first line, and its name.
fn row(kind: Kind, file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let path = Path::new(kind.place().0).join(stem(file));
    Ok(format!("{} (`{}`)", first_line(&text), path.display()))
}

pub(crate) fn names(ctx: &Ctx) -> Result<Vec<String>> {
    let files = select(&ctx.root.join("lab/breaks"), &[])?;
    files.iter().map(|(kind, file)| row(*kind, file)).collect()
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

impl Kind {
    fn place(self) -> (&'static str, Variant) {
        let place = KINDS.into_iter().find(|(kind, ..)| *kind == self);
        place.map_or(("", Variant::PLAIN), |(_, dir, variant)| (dir, variant))
    }
}

fn select(dir: &Path, names: &[String]) -> Result<Vec<(Kind, PathBuf)>> {
    // A break in a directory of another name would never be run.
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let known = KINDS
            .iter()
            .any(|(_, known, _)| entry.file_name() == **known);
        if entry.path().is_dir() && !known {
            bail!("{}: no breaks of that kind", entry.path().display());
        }
    }
    let mut files = Vec::new();
    for (kind, below, _) in KINDS {
        let below = dir.join(below);
        if below.is_dir() {
            let diffs = with_extension(&below, "diff")?.into_iter();
            files.extend(diffs.map(|file| (kind, file)));
        }
    }
    for name in names.iter().filter(|name| *name != DROPPED) {
        let mut known = files.iter().map(|(_, file)| stem(file));
        if !known.clone().any(|known| known == *name) {
            let known: Vec<String> = known.by_ref().collect();
            bail!("no break is called {name}; there are: {}", known.join(" "));
        }
    }
    if files.is_empty() {
        bail!("{} holds no break", dir.display());
    }
    files.retain(|(_, file)| names.is_empty() || names.contains(&stem(file)));
    Ok(files)
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
        once(&self.bundle, || {
            self.session.walk()?.force_to(self.session.tip())?;
            self.session.selftests()
        })
    }

    /// What the suites of a kind say with a break applied, or without one.
    fn ask(&self, kind: Kind, file: Option<&Path>) -> Result<Answers> {
        let session = self.session;
        if kind == Kind::Userspace {
            return once(&self.checkout, || Checkout::of(session))?.ask(file);
        }
        self.bundle()?;
        let walk = &session.walk()?;
        let (_, variant) = kind.place();
        let Some(file) = file else {
            let what = format!("the unbroken kernel {}", variant.name);
            let kernel = session.kernel(what.trim_end(), session.tip(), &variant)?;
            return self.notice(kind, &kernel, "unbroken");
        };
        let name = stem(file);
        walk.force_to(session.tip())?;
        apply(walk, file)?;
        let mut builder = session.builder(&variant)?;
        builder.whole = true;
        let key = kernel::dirty_tree_key(walk)?;
        // What does not compile shows nothing about the tests.
        let kernel = builder.build(&format!("the kernel with {name}"), &key, &variant)?;
        let mut noticed = self.notice(kind, &kernel, &name)?;
        if touched_paths(&String::from_utf8_lossy(&fs::read(file)?)).contains(POLICY) {
            let red = own::policy_tests(session.ctx, &walk.dir().join(POLICY))?;
            noticed.push(("host", red));
        }
        Ok(noticed)
    }

    fn restore(&self) -> Result<()> {
        if self.bundle.get().is_some() {
            self.session.walk()?.force_to(self.session.tip())?;
        }
        self.checkout.get().map_or(Ok(()), Checkout::restore)
    }

    /// What the suites say of a kernel. A guest that does not come up or does not end
    /// has noticed as well.
    fn notice(&self, kind: Kind, kernel: &Kernel, name: &str) -> Result<Answers> {
        let (session, bundle) = (self.session, self.bundle()?);
        let ctx = session.ctx;
        let own = selftests::own(bundle)?;
        let what = match kind {
            Kind::Consumers => "consumers",
            Kind::Filesystems => "filesystems",
            _ => "selftests",
        };
        let label = format!("{what} {name}");
        let boot = Boot {
            first_failure: true,
            ..selftests::boot(ctx, kernel, &label, bundle)
        };
        let selftests = || selftests::run(boot.clone(), &own);
        Ok(match kind {
            Kind::Plain | Kind::Proof | Kind::Userspace => {
                let kunit = kunit::boot(ctx, kernel, &format!("kunit {name}"));
                let mut noticed = vec![("kunit", judge(kunit)?), ("guest", judge(selftests())?)];
                if kind == Kind::Proof {
                    noticed.extend(rows(proof::notice(session, kernel))?);
                }
                noticed
            }
            Kind::Consumers => vec![(what, judge(consumers::all_tests(session, bundle, &boot))?)],
            Kind::Filesystems => vec![(what, judge(filesystems::tests(session, bundle, boot))?)],
            Kind::Static => {
                let value = sysctl_value(ctx, kernel, &format!("sysctl {name}"), &[]);
                let noticed = match value {
                    Ok((value, _)) if value == STATIC_VALUE => judge(selftests())?,
                    Ok((value, _)) => Some(format!("the sysctl is {value}")),
                    Err(error) => failed(error)?,
                };
                vec![("guest", noticed)]
            }
            Kind::Debug => rows([proof::notice_faults(session, kernel)])?,
            Kind::Off => {
                let noticed = match selftests() {
                    Ok(run) => not_without_the_flag(Verdict::Pass, &run).into_iter().next(),
                    Err(error) => failed(error)?,
                };
                vec![("guest", noticed)]
            }
        })
    }

    /// Runs the consumers' tests on the kernel of the first posting: the tests of each consumer
    /// that the follow-up changes must notice.
    fn without_follow_up(&self, names: Vec<&'static str>) -> Result<Answers> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (session, bundle) = (self.session, self.bundle()?);
        let (what, commit) = ("the kernel without the follow-up", session.first_posting());
        let kernel = session.kernel(what, commit, &CONSUMERS)?;
        let boot = selftests::boot(session.ctx, &kernel, DROPPED, bundle);
        let run = consumers::tests(session, bundle, boot)?;
        let own = selftests::own(bundle)?;
        let judged = names.into_iter().map(|name| {
            let program = consumers::program_of(&own, name).map(String::as_str);
            // What is wrong with the run as a whole is nobody's notice.
            let run = Run {
                trouble: Vec::new(),
                ..run.of(|group| Some(group) == program)
            };
            Ok((name, judge(Ok(run))?))
        });
        judged.collect()
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
