// SPDX-License-Identifier: GPL-2.0

//! The objects that the series touches, in the configurations that people build.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::sides::{self, Found, PROBE, Side, UP, must};
use crate::kernel::{self, warnings};
use crate::proc;
use crate::report::Check;
use crate::selftests::Flavour;
use crate::session::Session;
use crate::toolchain::{Arch, LLVM, Toolchain, X86};
use crate::variants::CONSUMERS;

/// A configuration, and what builds it.
pub(super) struct Config {
    arch: Arch,
    gcc: bool,
    /// make's target.
    target: &'static str,
    /// Files below scripts/config that are merged over it.
    fragments: &'static [&'static str],
    /// Lines that are merged over those.
    lines: &'static [&'static str],
}

/// A compiler of the kernel's C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Llvm,
    Gcc,
}

/// What every builder of the kernel's tree meets: a target for x86_64 as it is.
pub(super) const fn small(target: &'static str, by: By) -> Config {
    Config {
        arch: X86,
        gcc: matches!(by, By::Gcc),
        target,
        fragments: &[],
        lines: &[],
    }
}

/// defconfig with everything that looks at opens, and lines over it.
pub(super) const fn usual(arch: Arch, by: By, lines: &'static [&'static str]) -> Config {
    Config {
        arch,
        fragments: &["consumers.config", "check.config"],
        lines,
        ..small("defconfig", by)
    }
}

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
    /// The compilers.
    pub(super) fn tools(&self, session: &Session<'_>) -> Result<Toolchain> {
        let tools = session.tools()?;
        Ok(if self.gcc {
            tools.gcc(self.arch)?
        } else {
            tools.cross(self.arch)
        })
    }

    /// Where the objects are: configurations of one compiler share what they can.
    pub(super) fn obj(&self, session: &Session<'_>) -> PathBuf {
        let compiler = if self.gcc { "gcc" } else { "llvm" };
        session
            .ctx
            .slot
            .join(format!("walk/obj-check-{}-{compiler}", self.arch.name))
    }

    fn fragment(&self, session: &Session<'_>) -> Result<String> {
        kernel::fragment(session.ctx, self.fragments.iter().copied(), self.lines)
    }

    /// What the findings depend on, besides the commit.
    pub(super) fn inputs(&self, session: &Session<'_>) -> Result<String> {
        let versions = self.tools(session)?.versions;
        let fragment = self.fragment(session)?;
        Ok(format!("{}\n{fragment}\n{versions}", self.target))
    }

    /// Configures the objects' directory, and returns the compilers and it.
    pub(super) fn prepare(
        &self,
        session: &Session<'_>,
        side: &Side<'_>,
    ) -> Result<(Toolchain, PathBuf)> {
        let (tools, obj) = (self.tools(session)?, self.obj(session));
        fs::create_dir_all(&obj)?;
        let text = self.fragment(session)?;
        let src = side.tree.dir();
        let config = kernel::merged(&tools, (src, &obj), self.target, &text, side.stage)?;
        let missing = kernel::unmet(&text, &config);
        if side.tip && !missing.is_empty() {
            bail!("the configuration does not take {}", missing.join(", "));
        }
        kernel::put_config(&obj, &config)?;
        must(
            side,
            "make syncconfig",
            tools.make(src, &obj).arg("syncconfig"),
        )?;
        Ok((tools, obj))
    }
}

/// The touched objects build, with W=1 and clippy, without a warning that the base has not.
pub(super) fn row(session: &Session<'_>, name: &str, config: &Config) -> Result<Check> {
    let claim = format!("no new warnings, W=1: {name}");
    let inputs = config.inputs(session)?;
    sides::row(session, (name, &claim, &inputs), &|side| {
        let (tools, obj) = config.prepare(session, side)?;
        let objects = objects(&tools, side, &obj)?;
        let probe = side.c_probe()?;
        let findings = probe.found(
            compile(&tools, side, &obj, &objects, &[])?,
            "no previous prototype",
        )?;
        Ok(Found {
            tried: format!("{} objects", objects.len()),
            findings,
        })
    })
}

/// Compiles the objects and the probe again, and returns the warnings.
pub(super) fn compile(
    tools: &Toolchain,
    side: &Side<'_>,
    obj: &Path,
    objects: &[String],
    options: &[&str],
) -> Result<BTreeSet<String>> {
    let probe = PROBE.replace(".c", ".o");
    // What is there already would be silent.
    for object in objects
        .iter()
        .chain([&probe])
        .map(String::as_str)
        .chain(RUST)
    {
        let _ = fs::remove_file(obj.join(object));
    }
    let src = side.tree.dir();
    let mut make = tools.make(src, obj);
    make.args(["W=1", "CLIPPY=1"])
        .args(options)
        .args(objects)
        .arg(&probe);
    let text = must(side, "make W=1", &mut make)?;
    Ok(warnings(src, obj, &text)
        .iter()
        .map(|warning| warning.replace(UP, ""))
        // The host's programs are built once, and tell only then.
        .filter(|warning| {
            !["scripts/", "tools/"]
                .iter()
                .any(|dir| warning.starts_with(dir))
        })
        .collect())
}

/// What is made of the series' Rust outside its own directory.
const RUST: [&str; 2] = ["rust/kernel.o", "rust/libkernel.rmeta"];

/// The objects that this configuration has of the touched sources. A header that is not in
/// include/ stands for the objects beside it.
pub(super) fn objects(tools: &Toolchain, side: &Side<'_>, obj: &Path) -> Result<Vec<String>> {
    let mut objects = BTreeSet::new();
    for file in side.ending(&[".c", ".h", ".rs"]) {
        let Some((dir, _)) = file.rsplit_once('/') else {
            continue;
        };
        if !["fs", "security", "kernel", "mm", "lib"]
            .contains(&file.split('/').next().unwrap_or_default())
        {
            continue;
        }
        if !is_built(tools, side, obj, dir)? {
            continue;
        }
        let own = Path::new(&file).with_extension("o");
        for object in kbuild(tools, side, obj, dir)?.objects {
            if file.ends_with(".h") || Path::new(&object) == own {
                objects.insert(object);
            }
        }
    }
    if objects.is_empty() {
        bail!("no object is made of what the series touches");
    }
    Ok(objects.into_iter().collect())
}

/// Those of [`objects`] that are made of a touched C file.
pub(super) fn c_objects(tools: &Toolchain, side: &Side<'_>, obj: &Path) -> Result<Vec<String>> {
    let sources = side.ending(&[".c"]);
    let mut objects = objects(tools, side, obj)?;
    objects.retain(|object| sources.contains(&object.replace(".o", ".c")));
    Ok(objects)
}

/// Whether the build comes to a directory.
fn is_built(tools: &Toolchain, side: &Side<'_>, obj: &Path, dir: &str) -> Result<bool> {
    let Some((parent, _)) = dir.rsplit_once('/') else {
        return Ok(true);
    };
    Ok(is_built(tools, side, obj, parent)? && kbuild(tools, side, obj, parent)?.dirs.contains(dir))
}

/// What Kbuild makes in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kbuild {
    objects: BTreeSet<String>,
    dirs: BTreeSet<String>,
}

/// Asks Kbuild what it would make in a directory.
fn kbuild(tools: &Toolchain, side: &Side<'_>, obj: &Path, dir: &str) -> Result<Kbuild> {
    let src = side.tree.dir();
    let mut make = Command::new("make");
    // The database that make prints has the variables after all evaluation.
    make.args(["-rRpnq", "-C"])
        .arg(obj)
        .arg("-f")
        .arg(src.join("scripts/Makefile.build"))
        .arg(format!("obj={dir}"))
        .args(["objtree=.", "need-builtin=1"]);
    for root in ["srctree", "srcroot"] {
        make.arg(format!("{root}={}", src.display()));
    }
    tools.environment(&mut make);
    let (_, text, _) = proc::output(&mut make)?;
    parse_kbuild(&text).with_context(|| format!("Kbuild does not say what it makes in {dir}"))
}

fn parse_kbuild(database: &str) -> Option<Kbuild> {
    let mut found = None;
    for line in database.lines() {
        let Some((name, words)) = line.split_once(" := ").or(line.split_once(" :=")) else {
            continue;
        };
        let words = words.split_whitespace().map(str::to_owned);
        match name {
            "real-obj-y" | "real-obj-m" => found
                .get_or_insert_with(Kbuild::default)
                .objects
                .extend(words.filter(|word| word.ends_with(".o"))),
            "subdir-ym" => found.get_or_insert_with(Kbuild::default).dirs.extend(words),
            _ => {}
        }
    }
    found
}

/// The selftests compile with what W=1 means for the kernel, by both compilers.
pub(super) fn selftests(session: &Session<'_>) -> Result<Check> {
    let configs = [By::Llvm, By::Gcc].map(|by| usual(X86, by, NO_RUST));
    let mut inputs = SELFTEST_WARNINGS.to_owned();
    for config in &configs {
        inputs += &config.tools(session)?.versions;
    }
    let claim = "selftests: no new warnings with W=1's flags, LLVM and GCC";
    sides::row(session, ("selftests W=1", claim, &inputs), &|side| {
        let mut findings = BTreeSet::new();
        let targets = Flavour::SERIES.targets(side.tree.dir());
        for config in &configs {
            let (tools, obj) = config.prepare(session, side)?;
            let _ = fs::remove_dir_all(obj.join("kselftest"));
            let mut make = tools.make(side.tree.dir(), &obj);
            make.args(["kselftest-all", "FORCE_TARGETS=1", SELFTEST_WARNINGS])
                .arg(format!("TARGETS={targets}"))
                // Where GCC compiles the rest, the kernel's own name for it has no version.
                .arg(format!("BPF_CLANG=clang{LLVM}"))
                .args(Flavour::SERIES.options());
            let text = must(side, "make kselftest-all", &mut make)?;
            findings.extend(warnings(side.tree.dir(), &obj, &text));
        }
        Ok(Found {
            tried: format!("{targets}, 2 compilers"),
            findings,
        })
    })
}

/// The documentation of the kernel's crates is made without a warning that the base has not.
pub(super) fn rustdoc(session: &Session<'_>) -> Result<Check> {
    let claim = "make rustdoc: no new warnings";
    let inputs = consumers_inputs(session)?;
    sides::row(session, ("rustdoc", claim, &inputs), &|side| {
        let (tools, obj) = consumers(session, side)?;
        let mut make = tools.make(side.tree.dir(), &obj);
        make.arg("rustdoc");
        let text = must(side, "make rustdoc", &mut make)?;
        Ok(Found {
            tried: format!("{} files", side.ending(&[".rs"]).len()),
            findings: warnings(side.tree.dir(), &obj, &text),
        })
    })
}

/// The kernel with all consumers, which `make test` builds too: its compilers, and its
/// objects, configured.
pub(super) fn consumers<'a>(
    session: &'a Session<'_>,
    side: &Side<'_>,
) -> Result<(&'a Toolchain, PathBuf)> {
    let builder = session.builder(&CONSUMERS)?;
    builder.configure(side.stage, &CONSUMERS)?;
    let mut make = builder.tools.make(&builder.src, &builder.obj);
    must(side, "make syncconfig", make.arg("syncconfig"))?;
    Ok((builder.tools, builder.obj))
}

/// What findings in that kernel depend on, besides the commit.
pub(super) fn consumers_inputs(session: &Session<'_>) -> Result<String> {
    Ok(session.builder(&CONSUMERS)?.key("", &CONSUMERS)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbuild_s_database_names_objects_and_directories() {
        let text = "# makefile\nreal-obj-y := fs/open.o fs/mayexec/built-in.a\nreal-obj-m :=\nsubdir-ym := fs/mayexec fs/nfsd\nobj-y := x\n";
        let found = parse_kbuild(text).unwrap();
        assert_eq!(found.objects, BTreeSet::from(["fs/open.o".to_owned()]));
        assert!(found.dirs.contains("fs/nfsd"));
        assert_eq!(parse_kbuild("make: *** no such file\n"), None);
    }
}
