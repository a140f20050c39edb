// SPDX-License-Identifier: GPL-2.0

//! The objects that the series touches, in the configurations that people build.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;

use super::sides::{self, COMPLAINTS, Found, PROBE, Side, found};
use crate::kernel::{self, Variant};
use crate::proc;
use crate::report::Check;
use crate::selftests::Flavour;
use crate::session::Session;
use crate::toolchain::{Arch, By, LLVM, Toolchain, X86};
use crate::variants::CONSUMERS;

/// A configuration, and what builds it.
pub(super) struct Config {
    pub(super) arch: &'static Arch,
    pub(super) by: By,
    pub(super) target: &'static str,
    /// Lines that are merged over it and over [`FRAGMENTS`]; without, it stays as it is.
    pub(super) lines: &'static [&'static str],
}

/// Files below scripts/config.
const FRAGMENTS: [&str; 4] = [
    "consumers.config",
    "filesystems.config",
    "bpf.config",
    "check.config",
];

/// The kernel that most people have: without Rust, and so without the flag.
pub(super) const NO_RUST: &[&str] = &["CONFIG_RUST=n"];
/// Rust, and the series off.
pub(super) const OFF: &[&str] = &["CONFIG_RUST=y", "CONFIG_OPEN_MAYEXEC=n"];
/// Everything that the series has.
pub(super) const ON: &[&str] = &[
    "CONFIG_RUST=y",
    "CONFIG_OPEN_MAYEXEC=y",
    "CONFIG_KUNIT=y",
    "CONFIG_RUST_KUNIT_TESTS=y",
    "CONFIG_RUST_FS_KUNIT_TEST=y",
    "CONFIG_OPEN_MAYEXEC_KUNIT_TEST=y",
];

/// What W=1 adds for the kernel, for programs; what the kernel's scripts switch off
/// is off here too.
const SELFTEST_WARNINGS: &str = "USERCFLAGS=-Wall -Wextra -Wunused -Wmissing-prototypes \
     -Wmissing-declarations -Wold-style-definition -Wformat-overflow -Wno-unused-parameter \
     -Wno-sign-compare -Wno-missing-field-initializers";

impl Config {
    /// Configures the objects' directory. Configurations of one compiler share it.
    fn prepare<'a>(&self, side: &'a Side<'a>) -> Result<Objects<'a>> {
        let compiler = match self.by {
            By::Gcc => "gcc",
            By::Llvm => "llvm",
        };
        let obj = format!("walk/obj-check-{}-{compiler}", self.arch.name);
        let (ctx, src) = (side.session.ctx, side.tree.dir());
        let tools = side.session.tools()?.of(*self.arch, self.by)?;
        let dir = ctx.slot.join(obj);
        fs::create_dir_all(&dir)?;
        let text = match self.lines {
            [] => String::new(),
            lines => kernel::fragment(ctx, FRAGMENTS, lines)?,
        };
        kernel::merged(&tools, (src, &dir), self.target, &text, side.stage)?;
        Objects::configured(side, tools, dir)
    }
}

/// The touched objects build, with W=1 and clippy, without a warning that the base has not.
pub(super) fn row(
    session: &Session<'_>,
    (name, inputs): (&str, &str),
    config: &Config,
) -> Result<Check> {
    let claim = format!("no new warnings, W=1: {name}");
    let w1 = Some("no previous prototype");
    sides::row(session, (name, &claim, inputs, w1), &|side| {
        config.prepare(side)?.w1()
    })
}

/// What is made of the series' Rust outside its own directory.
const RUST: [&str; 2] = ["rust/kernel.o", "rust/libkernel.rmeta"];

/// Words for make: a kernel of `make test` fails at the first warning, but here all are wanted, those
/// of rustc in one line with their places, as clang and GCC have them.
const TALKING: [&str; 3] = [
    "CONFIG_WERROR=",
    "CONFIG_OBJTOOL_WERROR=",
    "KRUSTFLAGS=--error-format=short",
];

/// Where the sources are of which objects of the kernel are made.
const SOURCES: [&str; 5] = ["fs", "security", "kernel", "mm", "lib"];

/// The objects of one commit, configured.
pub(super) struct Objects<'a> {
    side: &'a Side<'a>,
    tools: Toolchain,
    pub(super) dir: PathBuf,
}

impl<'a> Objects<'a> {
    /// Those of a kernel that `make test` builds too.
    pub(super) fn of(side: &'a Side<'a>, variant: &Variant) -> Result<Self> {
        let builder = side.session.builder(variant)?;
        builder.configure(side.stage, variant)?;
        Self::configured(side, builder.tools.clone(), builder.obj)
    }

    /// Those of a directory with a configuration.
    fn configured(side: &'a Side<'a>, tools: Toolchain, dir: PathBuf) -> Result<Self> {
        let objects = Self { side, tools, dir };
        objects.make("make syncconfig", &["syncconfig"])?;
        Ok(objects)
    }

    /// Runs make with these words, which must not fail; what it printed.
    pub(super) fn make(&self, what: &str, words: &[&str]) -> Result<String> {
        let mut make = self.tools.make(self.side.tree.dir(), &self.dir);
        self.side.stage.run(what, make.args(TALKING).args(words))
    }

    /// What W=1 and clippy say of the touched objects.
    fn w1(&self) -> Result<Found> {
        let objects = self.touched()?;
        Ok(found(objects.len(), "objects", self.compile(&objects)?))
    }

    /// Compiles the objects and the probe again, and returns the warnings.
    fn compile(&self, objects: &[String]) -> Result<BTreeSet<String>> {
        let probe = PROBE.replace(".c", ".o");
        let again: Vec<&str> = objects.iter().chain([&probe]).map(String::as_str).collect();
        // What is there already would be silent.
        for object in again.iter().copied().chain(RUST) {
            let _ = fs::remove_file(self.dir.join(object));
        }
        let text = self.make("make W=1", &[&["W=1", "CLIPPY=1"], &again[..]].concat())?;
        let mut warnings = self.side.lines(&text, &COMPLAINTS);
        // The host's programs are built once, and tell only then.
        for dir in ["scripts/", "tools/"] {
            warnings.retain(|warning| !warning.starts_with(dir));
        }
        Ok(warnings)
    }

    /// The objects that this configuration has of the touched sources. A header that is not in
    /// include/ stands for the objects beside it.
    fn touched(&self) -> Result<Vec<String>> {
        let mut objects = BTreeSet::new();
        for file in self.side.ending(&[".c", ".h", ".rs"]) {
            let Some((dir, _)) = file.rsplit_once('/') else {
                continue;
            };
            let top = dir.split('/').next().unwrap_or_default();
            if !SOURCES.contains(&top) || !self.is_built(dir)? {
                continue;
            }
            let own = Path::new(&file).with_extension("o");
            let is_wanted = |made: &String| match file.ends_with(".h") {
                true => made.ends_with(".o"),
                false => Path::new(made) == own,
            };
            objects.extend(self.kbuild(dir)?.into_iter().filter(is_wanted));
        }
        if objects.is_empty() {
            bail!("no object is made of what the series touches");
        }
        Ok(objects.into_iter().collect())
    }

    pub(super) fn of_c(&self) -> Result<Vec<String>> {
        let sources = self.side.ending(&[".c"]);
        let mut objects = self.touched()?;
        objects.retain(|object| sources.contains(&object.replace(".o", ".c")));
        Ok(objects)
    }

    fn is_built(&self, dir: &str) -> Result<bool> {
        let Some((parent, _)) = dir.rsplit_once('/') else {
            return Ok(true);
        };
        Ok(self.is_built(parent)? && self.kbuild(parent)?.contains(dir))
    }

    /// Asks Kbuild what it would make in a directory.
    fn kbuild(&self, dir: &str) -> Result<BTreeSet<String>> {
        let src = self.side.tree.dir();
        let mut make = Command::new("make");
        // The database that make prints has the variables after all evaluation.
        make.args(["-rRpnq", "-C"]).arg(&self.dir).arg("-f");
        make.arg(src.join("scripts/Makefile.build"));
        make.args([&format!("obj={dir}"), "objtree=.", "need-builtin=1"]);
        for root in ["srctree", "srcroot"] {
            make.arg(format!("{root}={}", src.display()));
        }
        self.tools.environment(&mut make);
        let (_, text, _) = proc::output(&mut make)?;
        made(&text).with_context(|| format!("Kbuild does not say what it makes in {dir}"))
    }
}

/// The objects and directories that a database of make's says are made.
fn made(database: &str) -> Option<BTreeSet<String>> {
    let list = Regex::new(r"(?m)^(?:real-obj-[ym]|subdir-ym) :=(.*)$").expect("a constant");
    let lists = list.captures_iter(database);
    let lists = Vec::from_iter(lists.map(|list| list.extract::<1>().1[0]));
    let names = lists.iter().flat_map(|list| list.split_whitespace());
    (!lists.is_empty()).then(|| names.map(str::to_owned).collect())
}

/// What compiles the selftests.
#[rustfmt::skip]
const BOTH: [Config; 2] = [
    Config { arch: &X86, by: By::Llvm, target: "defconfig", lines: NO_RUST },
    Config { arch: &X86, by: By::Gcc, target: "defconfig", lines: NO_RUST },
];

/// The selftests compile with what W=1 means for the kernel, by both compilers.
pub(super) fn selftests(side: &Side<'_>) -> Result<Found> {
    let mut findings = BTreeSet::new();
    let targets = Flavour::SERIES.targets(side.tree.dir());
    for config in &BOTH {
        let all = config.prepare(side)?;
        let _ = fs::remove_dir_all(all.dir.join("kselftest"));
        // Where GCC compiles the rest, the kernel's own name for BPF's has no version.
        let bpf = format!("BPF_CLANG=clang{LLVM}");
        let targets = format!("TARGETS={targets}");
        let own = ["kselftest-all", "FORCE_TARGETS=1", SELFTEST_WARNINGS];
        let words = [&own[..], &[&targets, &bpf], Flavour::SERIES.options].concat();
        let text = all.make("make kselftest-all", &words)?;
        findings.extend(side.lines(&text, &COMPLAINTS));
    }
    Ok(found(2, &format!("compilers: {targets}"), findings))
}

/// The documentation of the kernel's crates is made without a warning that the base has not.
pub(super) fn rustdoc(side: &Side<'_>) -> Result<Found> {
    let all = Objects::of(side, &CONSUMERS)?;
    let findings = side.lines(&all.make("make rustdoc", &["rustdoc"])?, &COMPLAINTS);
    Ok(found(side.ending(&[".rs"]).len(), "files", findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbuild_s_database_names_objects_and_directories() {
        let text = "# makefile\nreal-obj-y := fs/open.o fs/mayexec/built-in.a\nreal-obj-m :=\nsubdir-ym := fs/mayexec fs/nfsd\nobj-y := x\n";
        let names = "fs/mayexec fs/mayexec/built-in.a fs/nfsd fs/open.o";
        assert_eq!(Vec::from_iter(made(text).unwrap()).join(" "), names);
        assert_eq!(made("make: *** no such file\n"), None);
    }
}
