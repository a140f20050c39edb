// SPDX-License-Identifier: GPL-2.0

//! What others wrote: the kernel's own selftests, compared with the base; cargo-mutants; and under
//! three policies, programs of Debian's that nothing may upset, and tests that no registry has. The
//! latter run from where the user has them, and each must end on the series as it ends on the base.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use super::fuzz::Extent;
use crate::guest::Boot;
use crate::kernel::Kernel;
use crate::report::Check;
use crate::selftests;
use crate::session::Session;
use crate::suites::{consumers, guest, host};
use crate::tap::{Case, Run, Stream, Verdict};
use crate::ui;
use crate::variants::CONSUMERS;

/// Programs that Debian has, under three policies, with the flag where they open to read.
pub(crate) fn programs(session: &Session<'_>, kernel: &Kernel, _: Extent) -> Result<Check> {
    let bundle = session.selftests()?;
    let only = selftests::testing(&bundle, &["others"])?;
    let boot = selftests::boot(session.ctx, kernel, "programs of others", &bundle);
    let boot = Boot {
        // Sanitizers make minutes of it.
        limit: Duration::from_secs(3600),
        ..boot.tools(&consumers::tools(session)?)
    };
    let run = selftests::run(boot, &only)?;
    Ok(Check::new("stress-ng and trinity find nothing").also_run(&run, &[Verdict::Pass], ""))
}

/// Some tests, and where they are.
struct Foreign {
    /// The environment's variable that says where.
    variable: &'static str,
    /// What their directory has, built and installed.
    has: [&'static str; 2],
    /// How long a boot may take; under emulation, what takes a second takes many.
    hours: u64,
}

const LTP: Foreign = Foreign {
    variable: "LTP",
    has: ["testcases/bin", "runtest/syscalls"],
    hours: 2,
};

const XFSTESTS: Foreign = Foreign {
    variable: "XFSTESTS",
    has: ["check", "ltp/fsstress"],
    hours: 6,
};

/// What the script is told where there is no policy.
const NO_POLICY: &str = "none";

/// What the script of the guest prints after everything else.
const END: &str = "end";

pub(crate) fn ltp(session: &Session<'_>) -> Result<Check> {
    let claim =
        "LTP's tests of open, openat2, execveat, access, fanotify and IMA end as on the base";
    row(session, claim, &LTP)
}

pub(crate) fn xfstests(session: &Session<'_>) -> Result<Check> {
    let claim = "the quick group of xfstests ends on ext4 as on the base";
    row(session, claim, &XFSTESTS)
}

fn row(session: &Session<'_>, claim: &str, tests: &Foreign) -> Result<Check> {
    let dir = match std::env::var_os(tests.variable) {
        Some(dir) if !dir.is_empty() => place(tests, &dir)?,
        _ => return Ok(skipped(claim, tests)),
    };
    let base = &session.tree.base;
    let base = session.kernel("the base kernel with all consumers", base, &CONSUMERS)?;
    let series = consumers::kernel(session)?;
    let before = run(session, &base, tests, &dir, NO_POLICY)?;
    let tried = format!("{} on the base", before.counted());
    let mut check = Check::new(claim).also(&tried, before.whole(), &before.log);
    for policy in ["0", "3", "7"] {
        let after = run(session, &series, tests, &dir, policy)?;
        let mut problems = differing(&before.cases, &after.cases, policy);
        problems.extend(after.whole());
        let tried = format!("{} under policy {policy}", after.counted());
        check = check.also(&tried, problems, &after.log);
    }
    Ok(check)
}

fn skipped(claim: &str, tests: &Foreign) -> Check {
    let needs = format!("{}=DIR, where they are built", tests.variable);
    Check {
        needs: Some(needs),
        ..Check::new(claim)
    }
}

/// Where the user has the tests. The guest sees the host's files, but has directories of its own
/// for what is temporary.
fn place(tests: &Foreign, dir: &OsStr) -> Result<PathBuf> {
    let variable = tests.variable;
    let dir = fs::canonicalize(dir).with_context(|| format!("{variable}=DIR"))?;
    let shown = dir.display();
    for part in tests.has {
        if !dir.join(part).exists() {
            bail!("{variable}={shown}: has no {part}: is it built and installed?");
        }
    }
    if ["/tmp", "/run", "/var/tmp", "/dev"]
        .iter()
        .any(|own| dir.starts_with(own))
    {
        bail!("{variable}={shown}: a guest has a directory of its own there");
    }
    Ok(dir)
}

fn run(
    session: &Session<'_>,
    kernel: &Kernel,
    tests: &Foreign,
    dir: &Path,
    policy: &str,
) -> Result<Run> {
    let script = session.ctx.root.join("scripts/foreign-tests.sh");
    let dir = dir.to_string_lossy();
    let name = format!("{} {policy}", tests.variable);
    let boot = Boot {
        limit: Duration::from_secs(3600 * tests.hours),
        ..Boot::new(session.ctx, kernel, &name, &[tests.variable, &dir, policy]).program(&script)
    };
    boot.tests(|output| outcomes(tests.variable, output))
}

/// Reads how each test ended: `outcome: NAME WORD`. A later line about a test counts.
fn outcomes(group: &str, output: &str) -> Stream {
    let mut cases: Vec<Case> = Vec::new();
    for line in output
        .lines()
        .filter_map(|line| line.strip_prefix("outcome: "))
    {
        let (name, word) = line.rsplit_once(' ').unwrap_or((line, "broken"));
        let verdict = match word {
            "pass" => Verdict::Pass,
            "conf" => Verdict::Skip,
            _ => Verdict::Fail,
        };
        cases.retain(|case| case.name != name);
        cases.push(Case::new(group, name, verdict, word));
    }
    let ended = output.lines().any(|line| line == END);
    let trouble = (!ended).then(|| format!("{group} did not come to its end"));
    (cases, trouble.into_iter().collect())
}

/// The tests that ended in another way before, on the base.
fn differing(before: &[Case], after: &[Case], policy: &str) -> Vec<String> {
    let mut ends: BTreeMap<&str, [&str; 2]> = BTreeMap::new();
    for (side, cases) in [before, after].into_iter().enumerate() {
        for case in cases {
            ends.entry(&case.name).or_insert(["not run"; 2])[side] = &case.detail;
        }
    }
    ends.retain(|_, [before, after]| before != after);
    let say = |(name, [before, after]): (&str, [&str; 2])| {
        format!("{name}: {before} on the base, {after} under policy {policy}")
    };
    ends.into_iter().map(say).collect()
}

/// cargo-mutants changes the policy in each way that it knows, under the tests on the host.
pub(crate) fn mutants(session: &Session<'_>) -> Result<Check> {
    let ctx = session.ctx;
    let log = ctx.fresh_log("mutants")?;
    let dir = ctx.build.join("mutants");
    fs::create_dir_all(dir.join("out"))?;
    // It works on a copy of what git does not ignore.
    let words = "mutants --gitignore=true --no-shuffle --colors=never --test-tool=nextest --timeout=60 --jobs=2 --package=policy --output";
    let mut mutants = host::cargo(ctx, words);
    mutants
        .arg(dir.join("out"))
        .env("CARGO_TARGET_DIR", dir.join("target"));
    let (status, text) = ui::attempt("mutate policy.rs", &log, 1800, &mut mutants)?;
    let counts = text.lines().last().and_then(|line| line.split_once(": "));
    let counts = counts.map_or("", |(_, counts)| counts);
    // It succeeds without a mutant, too.
    let fine = status.success() && counts.contains(" caught");
    let problems = Vec::from_iter((!fine).then_some(text.clone()));
    let check = Check::new("the tests on the host notice every change to policy.rs");
    Ok(check.also(counts, problems, &log))
}

/// The kernel's own selftests, compared with the base.
pub(crate) fn base(session: &Session<'_>) -> Result<Check> {
    let bundle = session.selftests()?;
    let run = |kernel: &Kernel, name: &str| {
        selftests::run(selftests::boot(session.ctx, kernel, name, &bundle), &[])
    };
    let base = run(&session.base_kernel()?, "selftests on the base")?;
    let series = run(&session.tip_kernel()?, "all selftests")?;
    let (count, mut problems) = guest::differing(("on the base", &base), &series);
    problems.extend(guest::not_without_the_flag(&base));
    let check = Check::new("the kernel's own tests end as on the base, where the series' skip");
    Ok(check.also(&format!("{count} cases"), problems, &base.log))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn a_row_that_is_skipped_leaves_what_there_was() {
        let rows = [("a", true), ("b", false)];
        let dir = tempfile::tempdir().unwrap();
        let ctx = crate::ctx::tests::at(dir.path());
        let both = rows::named(&rows, &[]).unwrap();
        let made = |name: &str, _: &bool| Ok(Check::new(name));
        assert!(rows::print((&ctx, "verify"), &both, &made).unwrap());
        let left = || {
            let dir = ctx.build.join("results/verify");
            let names = crate::ctx::tests::names(&dir).into_iter();
            Vec::from_iter(names.map(|name| fs::read_to_string(dir.join(name)).unwrap()))
        };
        let before = left();
        let make = |name: &str, fine: &bool| match fine {
            true => Ok(Check::new(name)),
            false => Ok(skipped("b", &LTP)),
        };
        assert!(rows::print((&ctx, "verify"), &both, &make).unwrap());
        assert!(!rows::print((&ctx, "verify"), &both[1..], &make).unwrap());
        assert_eq!(left().len(), 2);
        assert_eq!(left()[1], before[1]);
    }

    #[test]
    fn a_place_is_one() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let at = |dir: &Path| place(&LTP, dir.as_os_str());
        let error = at(&dir.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("LTP=DIR"), "{error}");
        let error = at(dir.path()).unwrap_err();
        assert!(error.to_string().contains("testcases/bin"), "{error}");
        fs::create_dir_all(dir.path().join("testcases/bin")).unwrap();
        fs::create_dir(dir.path().join("runtest")).unwrap();
        fs::write(dir.path().join("runtest/syscalls"), "").unwrap();
        assert_eq!(at(dir.path()).unwrap(), dir.path().canonicalize().unwrap());
        let hidden = Foreign {
            has: ["", ""],
            ..LTP
        };
        let error = place(&hidden, OsStr::new("/tmp")).unwrap_err();
        assert!(error.to_string().contains("of its own"), "{error}");
    }

    #[test]
    fn ends_are_read_and_compared() {
        let read = |output: &str| outcomes("LTP", output);
        let (before, trouble) = read("x\noutcome: a pass\noutcome: b conf\noutcome: c fail\n");
        assert_eq!(trouble, ["LTP did not come to its end"]);
        let verdicts = Vec::from_iter(before.iter().map(|case| case.verdict));
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Skip, Verdict::Fail]);
        assert!(differing(&before, &before, "0").is_empty());
        // As xfstests lists them: all, then those that failed.
        let (after, trouble) = read(
            "outcome: a pass\noutcome: b conf\noutcome: c broken\noutcome: d pass\noutcome: a fail\nend\n",
        );
        assert!(trouble.is_empty());
        let told = [
            "a: pass on the base, fail under policy 3",
            "c: fail on the base, broken under policy 3",
            "d: not run on the base, pass under policy 3",
        ];
        assert_eq!(differing(&before, &after, "3"), told);
    }
}
