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

use self::noticed::{Noticed, apply, failed, first_line, judge, rows, stem};
use self::own::Checkout;
use crate::ctx::{Ctx, with_extension};
use crate::git::Git;
use crate::kernel::{self, Kernel, Variant};
use crate::proof;
use crate::results;
use crate::selftests::{self, Plan};
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
    let followed_up = if dropped {
        consumers::followed_up(&session)?
    } else {
        Vec::new()
    };
    let subjects = Subjects::of(&session);

    // A suite that is red without a break would catch everything.
    let has = |kind| files.iter().any(|file| Kind::of(file) == kind);
    for kind in Kind::ALL {
        // Proof asks what Plain asks, of the same kernel, and more.
        if has(kind) && !(kind == Kind::Plain && has(Kind::Proof)) {
            for (suite, noticed) in subjects.ask(kind, None)? {
                if let Some(why) = noticed {
                    bail!("{suite} fails without any break, so it can show nothing:\n{why}");
                }
            }
        }
    }

    let mut survivors = Vec::new();
    for file in &files {
        let name = stem(file);
        let asked = subjects.ask(Kind::of(file), Some(file))?;
        let caught = asked
            .into_iter()
            .filter_map(|(suite, noticed)| noticed.map(|why| (suite, why)));
        let caught: BTreeMap<&str, String> = caught.collect();
        if caught.is_empty() {
            println!("SURVIVES  {name}");
            survivors.push(name.clone());
        } else {
            let suites: Vec<String> = caught
                .iter()
                .map(|(suite, why)| format!("{suite} ({why})"))
                .collect();
            println!("caught    {name}: {}", suites.join("; "));
        }
        let suites: Vec<&str> = caught.into_keys().collect();
        let noticed = match suites.as_slice() {
            [] => "**nothing**".to_owned(),
            suites => suites.join(", "),
        };
        results::record(ctx, "breaks", &row(file)?, &[noticed])?;
    }
    for (name, noticed) in subjects.without_follow_up(followed_up)? {
        match noticed {
            Some(why) => println!("caught    {name} without the follow-up: {why}"),
            None => {
                println!("SURVIVES  {name} without the follow-up");
                survivors.push(name.to_owned());
            }
        }
    }
    subjects.restore()?;
    println!("\n{} breaks, {} survive", files.len(), survivors.len());
    Ok(survivors.is_empty())
}

/// The breaks that do not apply to what they break: git's words.
pub(crate) fn stale(session: &Session<'_>) -> Result<Vec<String>> {
    let root = &session.ctx.root;
    let series = session.at(session.tip())?;
    let mut problems = Vec::new();
    for file in select(&root.join("lab/breaks"), &[])? {
        let git = match Kind::of(&file) {
            Kind::Userspace => &Git::at(root),
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
fn row(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let path = Path::new(Kind::of(file).dir()).join(stem(file));
    Ok(format!("{} (`{}`)", first_line(&text), path.display()))
}

pub(crate) fn names(ctx: &Ctx) -> Result<Vec<String>> {
    let files = select(&ctx.root.join("lab/breaks"), &[])?;
    files.iter().map(|file| row(file)).collect()
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

impl Kind {
    const ALL: [Self; 8] = [
        Self::Plain,
        Self::Consumers,
        Self::Filesystems,
        Self::Static,
        Self::Off,
        Self::Proof,
        Self::Debug,
        Self::Userspace,
    ];

    /// The directory below lab/breaks, and the kernel on which it shows.
    fn place(self) -> (&'static str, Variant) {
        match self {
            Self::Plain => ("", Variant::PLAIN),
            Self::Consumers => ("consumers", CONSUMERS),
            Self::Filesystems => ("filesystems", CONSUMERS),
            Self::Static => ("static", STATIC),
            Self::Off => ("off", OFF),
            Self::Proof => ("proof", Variant::PLAIN),
            Self::Debug => ("debug", DEBUG),
            Self::Userspace => ("userspace", Variant::PLAIN),
        }
    }

    fn dir(self) -> &'static str {
        self.place().0
    }

    fn variant(self) -> Variant {
        self.place().1
    }

    fn of(file: &Path) -> Self {
        let dir = file.parent().and_then(Path::file_name);
        Self::ALL
            .into_iter()
            .find(|kind| dir.is_some_and(|dir| dir == kind.dir()))
            .unwrap_or(Self::Plain)
    }
}

fn select(dir: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // A break in a directory of another name would never be run.
    for entry in fs::read_dir(dir)? {
        let (entry, dirs) = (entry?, Kind::ALL.map(Kind::dir));
        if entry.path().is_dir() && !dirs.iter().any(|known| entry.file_name() == *known) {
            bail!("{}: no breaks of that kind", entry.path().display());
        }
    }
    for kind in Kind::ALL {
        let below = dir.join(kind.dir());
        if below.is_dir() {
            files.extend(with_extension(&below, "diff")?);
        }
    }
    for name in names.iter().filter(|name| *name != DROPPED) {
        if !files.iter().any(|file| stem(file) == *name) {
            let known: Vec<String> = files.iter().map(|file| stem(file)).collect();
            bail!("no break is called {name}; there are: {}", known.join(" "));
        }
    }
    if !names.is_empty() {
        files.retain(|file| names.contains(&stem(file)));
    }
    if files.is_empty() && names.is_empty() {
        bail!("{} holds no break", dir.display());
    }
    Ok(files)
}

/// What is broken, made ready when the first break of it is asked about.
struct Subjects<'a> {
    session: &'a Session<'a>,
    checkout: OnceCell<Checkout<'a>>,
    kernels: OnceCell<Kernels>,
}

/// The tree of the kernels that are broken, and what tests them.
struct Kernels {
    walk: Git,
    bundle: PathBuf,
}

impl<'a> Subjects<'a> {
    fn of(session: &'a Session<'a>) -> Self {
        Self {
            session,
            checkout: OnceCell::new(),
            kernels: OnceCell::new(),
        }
    }

    fn kernels(&self) -> Result<&Kernels> {
        once(&self.kernels, || {
            let walk = self.session.walk()?;
            walk.force_to(self.session.tip())?;
            let bundle = self.session.selftests()?;
            Ok(Kernels { walk, bundle })
        })
    }

    /// What the suites of a kind say with a break applied, or without one.
    fn ask(&self, kind: Kind, file: Option<&Path>) -> Result<Vec<(&'static str, Noticed)>> {
        let session = self.session;
        if kind == Kind::Userspace {
            return once(&self.checkout, || Checkout::of(session))?.ask(file);
        }
        let walk = &self.kernels()?.walk;
        let variant = kind.variant();
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
        if let Some(kernels) = self.kernels.get() {
            kernels.walk.force_to(self.session.tip())?;
        }
        self.checkout.get().map_or(Ok(()), Checkout::restore)
    }

    /// What the suites say of a kernel. A guest that does not come up or does not end
    /// has noticed as well.
    fn notice(
        &self,
        kind: Kind,
        kernel: &Kernel,
        name: &str,
    ) -> Result<Vec<(&'static str, Noticed)>> {
        let (session, bundle) = (self.session, &self.kernels()?.bundle);
        let ctx = session.ctx;
        let own = selftests::own(bundle)?;
        let selftests = || {
            selftests::run(
                ctx,
                kernel,
                Plan {
                    only: &own,
                    first_failure: true,
                    ..Plan::all(&format!("selftests {name}"), bundle)
                },
            )
        };
        Ok(match kind {
            Kind::Plain | Kind::Proof | Kind::Userspace => {
                let kunit = kunit::boot(ctx, kernel, &format!("kunit {name}"));
                let mut noticed = vec![("kunit", judge(kunit)?), ("guest", judge(selftests())?)];
                if kind == Kind::Proof {
                    noticed.extend(rows(proof::notice(session, kernel))?);
                }
                noticed
            }
            Kind::Consumers => vec![(
                "consumers",
                judge(consumers::all_tests(
                    session,
                    kernel,
                    Plan {
                        first_failure: true,
                        ..Plan::all(&format!("consumers {name}"), bundle)
                    },
                ))?,
            )],
            Kind::Filesystems => vec![(
                "filesystems",
                judge(filesystems::tests(
                    session,
                    kernel,
                    Plan {
                        first_failure: true,
                        ..Plan::all(&format!("filesystems {name}"), bundle)
                    },
                ))?,
            )],
            Kind::Static => {
                let value = sysctl_value(ctx, kernel, &format!("sysctl {name}"), &[]);
                vec![(
                    "guest",
                    match value {
                        Ok((value, _)) if value == STATIC_VALUE => judge(selftests())?,
                        Ok((value, _)) => Some(format!("the sysctl is {value}")),
                        Err(error) => failed(error)?,
                    },
                )]
            }
            Kind::Debug => rows([proof::notice_faults(session, kernel)])?,
            Kind::Off => vec![(
                "guest",
                match selftests() {
                    Ok(run) => not_without_the_flag(Verdict::Pass, &run).into_iter().next(),
                    Err(error) => failed(error)?,
                },
            )],
        })
    }

    /// Runs the consumers' tests on the kernel of the first posting: the tests of each consumer
    /// that the follow-up changes must notice.
    fn without_follow_up(&self, names: Vec<&'static str>) -> Result<Vec<(&'static str, Noticed)>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (session, bundle) = (self.session, &self.kernels()?.bundle);
        let kernel = session.kernel(
            "the kernel without the follow-up",
            session.first_posting(),
            &CONSUMERS,
        )?;
        let run = consumers::tests(session, &kernel, Plan::all(DROPPED, bundle))?;
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
        let consumers = dir.path().join(Kind::Consumers.dir());
        fs::create_dir(&consumers).unwrap();
        assert!(select(dir.path(), &[]).is_err());
        fs::write(dir.path().join("b.diff"), "").unwrap();
        fs::write(dir.path().join("a.diff"), "").unwrap();
        fs::write(dir.path().join("README"), "").unwrap();
        fs::write(consumers.join("c.diff"), "").unwrap();
        let kinds: Vec<Kind> = select(dir.path(), &[])
            .unwrap()
            .iter()
            .map(|file| Kind::of(file))
            .collect();
        assert_eq!(kinds, [Kind::Plain, Kind::Plain, Kind::Consumers]);
        assert_eq!(select(dir.path(), &["b".to_owned()]).unwrap().len(), 1);
        let error = select(dir.path(), &["d".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("there are: a b c"), "{error}");
        fs::create_dir(dir.path().join("userpsace")).unwrap();
        assert!(select(dir.path(), &[]).is_err());
    }
}
