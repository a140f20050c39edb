// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests: built on the host, run in the guest.

use fs_err as fs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::ctx::{Ctx, hash, write_whole};
use crate::git::Git;
use crate::guest::Boot;
use crate::kernel::{CHANGED, Kernel};
use crate::proc;
use crate::tap::{self, Case, Run, Verdict};
use crate::toolchain::{Arch, Toolchain};
use crate::ui::Stage;

/// The file in which the installed selftests are listed.
const LIST: &str = "kselftest-list.txt";

/// The collection that lab/selftests becomes, where the tests are for which the series is no place.
/// It is beside the series' own, whose headers it includes.
const MORE: &str = "filesystems/mayexec-more";

/// The collections that test the series: its own first.
pub(crate) const OWN: [&str; 2] = ["filesystems/mayexec", MORE];

/// Where a kernel has its collections.
const COLLECTIONS: &str = "tools/testing/selftests";

/// Which selftests are built, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flavour {
    /// The collections of the kernel that the series must not disturb.
    kernel: &'static str,
    /// Added to make's command line.
    pub(crate) options: &'static [&'static str],
    /// Whether this repository's own tests are copied into the tree, which nobody works in.
    more: bool,
}

impl Flavour {
    /// For the host's architecture, as a developer builds them.
    pub(crate) const SERIES: Self = Self {
        kernel: "filesystems/openat2 exec",
        // Those of exec need BTF and bpftool; the same bundle on every machine
        // matters more. The series' own needs what scripts/packages.txt has.
        options: &["HAVE_BPF_TOOLCHAIN=n", "HAVE_LIBBPF=y"],
        more: false,
    };
    /// As [`Flavour::SERIES`], with this repository's own tests.
    pub(crate) const NATIVE: Self = Self {
        more: true,
        ..Self::SERIES
    };
    /// For a root without libraries, which exec's tests need. The sanitizers do without static
    /// programs, and nobody has libbpf for two architectures.
    pub(crate) const STATIC: Self = Self {
        kernel: "filesystems/openat2",
        options: &[
            "HAVE_LIBBPF=n",
            "USERCFLAGS=-fno-sanitize=all",
            "USERLDFLAGS=-static -fuse-ld=lld",
        ],
        more: true,
    };
    /// 32-bit programs on the host's architecture, with the run-time library of
    /// clang, which has both, instead of GCC's.
    pub(crate) const COMPAT: Self = Self {
        options: &[
            "HAVE_LIBBPF=n",
            "USERCFLAGS=-m32 -fno-sanitize=all",
            "USERLDFLAGS=-rtlib=compiler-rt -unwindlib=none -fuse-ld=lld",
        ],
        ..Self::STATIC
    };

    /// The collections that a tree has.
    pub(crate) fn targets(self, tree: &Path) -> String {
        let there = |own: &&str| tree.join(COLLECTIONS).join(own).is_dir();
        let targets = [self.kernel]
            .into_iter()
            .chain(OWN.into_iter().filter(there));
        Vec::from_iter(targets).join(" ")
    }
}

/// Whether a program, as `collection:test`, tests the series.
pub(crate) fn is_own(program: &str) -> bool {
    let collection = program.split(':').next();
    collection.is_some_and(|collection| OWN.contains(&collection))
}

/// The program among the series' `own` that tests `what`.
pub(crate) fn program_of<'a>(own: &'a [String], what: &str) -> Result<&'a String> {
    let ends = [format!(":{what}_test"), format!(":mayexec_{what}_test")];
    let is_it = |program: &&String| ends.iter().any(|end| program.ends_with(end));
    let found = own.iter().find(is_it);
    found.with_context(|| format!("no program is named {what}_test"))
}

/// The programs of a bundle that test each of these, none of which may be missing.
pub(crate) fn testing(bundle: &Path, names: &[&str]) -> Result<Vec<String>> {
    let own = own(bundle)?;
    let named = |name: &&str| program_of(&own, name).cloned();
    names.iter().map(named).collect()
}

/// The programs of the bundle, as `collection:test`.
pub(crate) fn programs(bundle: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(bundle.join(LIST))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The programs of the bundle that test the series.
pub(crate) fn own(bundle: &Path) -> Result<Vec<String>> {
    let mut own = programs(bundle)?;
    own.retain(|program| is_own(program));
    if own.is_empty() {
        bail!("the selftests hold no program of {}", OWN.join(" "));
    }
    Ok(own)
}

/// The selftests of the tree as checked out, installed with the kernel's own rules.
pub(crate) fn build(
    ctx: &Ctx,
    tools: &Toolchain,
    tree: &Git,
    obj: &Path,
    flavour: Flavour,
) -> Result<PathBuf> {
    if flavour.more {
        // It stays until the tree goes to another commit.
        let more = tree.dir().join(COLLECTIONS).join(MORE);
        let _ = fs::remove_dir_all(&more);
        let mut copy = Command::new("cp");
        proc::capture(copy.arg("-a").arg(ctx.root.join("lab/selftests")).arg(more))?;
    }
    let targets = flavour.targets(tree.dir());
    // Everything that the tests are built from; the rest of the tree is not.
    let Arch { name, dir, .. } = tools.arch;
    let options = flavour.options;
    let head = format!("5 {name} {targets} {options:?}\n{}", tools.versions);
    let uapi = format!("include/uapi arch/{dir}/include/uapi");
    let dirs = format!("{COLLECTIONS} tools/include {uapi} samples/check-exec scripts");
    let now = || -> Result<String> {
        let id = tree.snapshot()?;
        let ids = dirs.split(' ').map(|dir| format!("{id}:{dir}"));
        let ids = tree.line("rev-parse", &Vec::from_iter(ids))?;
        Ok(hash(format!("{head}{ids}\n").as_bytes())[..16].to_owned())
    };
    let key = now()?;
    let kept = ctx.build.join("selftests").join(&key);
    if kept.join(LIST).is_file() {
        return Ok(kept);
    }

    let log = ctx.fresh_log("build-selftests")?;
    let stage = Stage::begin("build the selftests", Some(&log));
    let stale = obj.join("kselftest");
    if stale.exists() {
        fs::remove_dir_all(&stale)?;
    }
    // The kernel's rules want a configuration, whichever: nothing of it is installed.
    if !obj.join(".config").exists() {
        let mut make = tools.make(tree.dir(), obj);
        stage.run("make tinyconfig", make.arg("tinyconfig"))?;
    }
    ctx.make_whole(&kept, |part| {
        let out = part.join("installed");
        let mut make = tools.make(tree.dir(), obj);
        make.arg("kselftest-install")
            .arg(format!("TARGETS={targets}"))
            .arg(format!("KSFT_INSTALL_PATH={}", out.display()))
            // A test that does not build must stop the run, not vanish from it.
            .arg("FORCE_TARGETS=1")
            .args(options);
        stage.run("building the selftests", &mut make)?;
        // make's $(info) messages are in the list too, and run_kselftest.sh would take each of
        // their words for a test.
        let list = fs::read_to_string(out.join(LIST))?;
        let is_test =
            |line: &&str| line.contains(':') && !line.ends_with(':') && !line.contains(' ');
        let tests = list.lines().filter(is_test);
        let tests: String = tests.map(|line| format!("{line}\n")).collect();
        write_whole(&out.join(LIST), tests.as_bytes())?;
        ensure!(now()? == key, "{CHANGED}");
        Ok(out)
    })?;
    stage.done("");
    Ok(kept)
}

/// A boot for [`run`].
pub(crate) fn boot<'a>(ctx: &'a Ctx, kernel: &'a Kernel, name: &str, bundle: &Path) -> Boot<'a> {
    Boot {
        limit: Duration::from_secs(1200),
        ..Boot::new(ctx, kernel, name, &["./run_kselftest.sh", "-f"]).bundle(bundle)
    }
}

/// Runs programs of the boot's bundle, as `collection:test`; all if none is named.
pub(crate) fn run(mut boot: Boot<'_>, only: &[String]) -> Result<Run> {
    // Emulated, a test that takes a second may take half a minute; none may take half of all time.
    let most = (boot.limit.as_secs() / 2).to_string();
    boot.argv.extend(["-o".to_owned(), most]);
    let words = only.iter().flat_map(|test| ["-t".to_owned(), test.clone()]);
    boot.argv.extend(words);
    boot.tests(tap::kselftest)
}

/// Cases that ended in one way in one run and in another in the other; each run
/// comes with where it was made.
pub(crate) fn unequal(
    (left, here): (&[Case], &str),
    (right, there): (&[Case], &str),
) -> Vec<String> {
    let mut ends: BTreeMap<String, [Option<Verdict>; 2]> = BTreeMap::new();
    for (side, cases) in [left, right].into_iter().enumerate() {
        for case in cases {
            ends.entry(case.full_name()).or_default()[side] = Some(case.verdict);
        }
    }
    ends.retain(|_, [one, other]| one != other);
    let say = |end: Option<Verdict>| end.map_or("not run".to_owned(), |end| format!("{end:?}"));
    let differing = ends.into_iter().map(|(name, [one, other])| {
        let [one, other] = [one, other].map(say);
        format!("{name}: {one} {here}, {other} {there}")
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::tests::case;

    #[test]
    fn the_series_programs_are_those_of_two_collections() {
        let own = [
            "filesystems/mayexec:mayexec_ima_test",
            "filesystems/mayexec-more:bpf_test",
        ];
        assert!(own.iter().all(|program| is_own(program)));
        assert!(!is_own("filesystems/openat2:openat2_test"));
        let own = own.map(str::to_owned);
        assert_eq!(program_of(&own, "ima").ok(), Some(&own[0]));
        assert_eq!(program_of(&own, "bpf").ok(), Some(&own[1]));
        assert_eq!(program_of(&own, "pf").ok(), None);
    }

    #[test]
    fn cases_are_compared_by_name() {
        let base = [case("a", "1", Verdict::Pass), case("a", "2", Verdict::Fail)];
        assert!(unequal((&base, "here"), (&base, "there")).is_empty());
        let tip = [case("a", "1", Verdict::Skip), case("a", "3", Verdict::Pass)];
        assert_eq!(unequal((&base, "here"), (&tip, "there")).len(), 3);
    }
}
