// SPDX-License-Identifier: GPL-2.0

//! Configuring and building kernels, each only once.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::ctx::{Ctx, hash, put, write_whole};
use crate::git::Git;
use crate::toolchain::{Arch, Toolchain, X86};
use crate::ui::{self, Stage};

/// Change this when kernels must be built again although their inputs are the same.
const RECIPE: &str = "1";

/// An edit during a build may be in what was built, or not: it is not kept as made from either.
pub(crate) const CHANGED: &str = "the sources changed during the build: run it again";

/// What CONFIG_IPE_BOOT_POLICY of a fragment names.
const BOOT_POLICY: &str = "ipe-boot.policy";

/// What is kept of the objects, for the figures of the code, if it is built.
const OBJECT: &str = "fs/mayexec/mayexec.o";

/// The options that the series adds.
const ADDED: &str = "OPEN_MAYEXEC OPEN_MAYEXEC_KUNIT_TEST RUST_FS_KUNIT_TEST";

/// Entries of the tree that no object depends on.
const NOT_BUILT: [&str; 7] = [
    "Documentation",
    "MAINTAINERS",
    "CREDITS",
    "LICENSES",
    ".mailmap",
    "samples",
    "tools/testing",
];

/// How a kernel differs from the one that scripts/config/guest.config describes for
/// its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Which file of scripts/config is merged over it; it needs objects of its own.
    pub(crate) fragment: Option<&'static str>,
    /// Lines in the form of a configuration fragment.
    pub(crate) lines: &'static [&'static str],
}

impl Variant {
    pub(crate) const PLAIN: Self = Self::new(None, &[]);

    pub(crate) const fn new(
        fragment: Option<&'static str>,
        lines: &'static [&'static str],
    ) -> Self {
        Self { fragment, lines }
    }
}

/// A kernel that was built.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) dir: PathBuf,
    pub(crate) arch: Arch,
}

impl Kernel {
    pub(crate) fn is_built(&self) -> bool {
        self.image().is_file()
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.dir.join(self.arch.image)
    }

    /// What it needs before it can mount its root, if it does.
    pub(crate) fn initrd(&self) -> Option<PathBuf> {
        Some(self.dir.join("initrd")).filter(|path| path.is_file())
    }
}

/// Builds kernels of one tree in one object directory.
pub(crate) struct Builder<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) tools: &'a Toolchain,
    pub(crate) src: PathBuf,
    pub(crate) obj: PathBuf,
}

impl Builder<'_> {
    /// The kernel of a tree, kept by the hash of what goes into it, and what that is.
    pub(crate) fn of(&self, tree_key: &str, variant: &Variant) -> Result<(Kernel, String)> {
        let config = self.fragment(variant)? + &self.boot_policy()?;
        let (versions, config) = (self.tools.versions.trim_end(), hash(config.as_bytes()));
        let inputs = format!("recipe {RECIPE}\n{versions}\nconfig {config}\n{tree_key}");
        let name = &hash(inputs.as_bytes())[..16];
        let (dir, arch) = (self.ctx.build.join("kernels").join(name), self.tools.arch);
        Ok((Kernel { dir, arch }, inputs))
    }

    fn fragment(&self, variant: &Variant) -> Result<String> {
        let own = variant.fragment.map(|name| format!("{name}.config"));
        let files = [self.tools.arch.fragment, "guest.config"].into_iter();
        fragment(self.ctx, files.chain(own.as_deref()), variant.lines)
    }

    fn boot_policy(&self) -> Result<String> {
        let path = self.ctx.root.join("scripts/config").join(BOOT_POLICY);
        Ok(fs::read_to_string(&path)?)
    }

    /// The kernel of the tree as checked out, built unless it was before.
    pub(crate) fn build(&self, what: &str, variant: &Variant) -> Result<Kernel> {
        let now = || self.of(&dirty_tree_key(&Git::at(&self.src))?, variant);
        let (kernel, inputs) = now()?;
        if kernel.is_built() {
            return Ok(kernel);
        }
        let log = self.ctx.fresh_log(&format!("build {what}"))?;
        let stage = Stage::begin(&format!("build {what}"), Some(&log));
        self.configure(&stage, variant)?;
        let mut make = self.tools.make(&self.src, &self.obj);
        // clippy-driver compiles as rustc does and lints on the way: WERROR is about its lints, too.
        make.args(["CLIPPY=1", kernel.arch.image]);
        stage.run(&format!("building {what}"), &mut make)?;
        ensure!(now()?.1 == inputs, "{CHANGED}");
        self.keep(&kernel, &inputs)?;
        stage.done("");
        Ok(kernel)
    }

    fn keep(&self, kernel: &Kernel, inputs: &str) -> Result<()> {
        let Arch { dir, image, .. } = kernel.arch;
        self.ctx.make_whole(&kernel.dir, |part| {
            let part = part.join("kernel");
            fs::create_dir(&part)?;
            let copy = |from: &str, to: &str| fs::copy(self.obj.join(from), part.join(to));
            copy(&format!("arch/{dir}/boot/{image}"), image)?;
            copy(".config", "config")?;
            copy("System.map", "System.map")?;
            // Another configuration's object may still lie there.
            let config = fs::read_to_string(self.obj.join(".config"))?;
            if unmet("CONFIG_OPEN_MAYEXEC=y", &config).is_empty() && self.obj.join(OBJECT).is_file()
            {
                copy(OBJECT, "mayexec.o")?;
            }
            fs::write(part.join("inputs"), inputs)?;
            Ok(part)
        })
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, stage: &Stage, variant: &Variant) -> Result<()> {
        fs::create_dir_all(&self.obj)?;
        // make looks for it where the objects are.
        put(&self.obj.join(BOOT_POLICY), self.boot_policy()?.as_bytes())?;
        let (src, obj, text) = (&*self.src, &*self.obj, self.fragment(variant)?);
        merged(self.tools, (src, obj), "tinyconfig", &text, stage).map(|_| ())
    }
}

/// Whether `line` sets an option that the series adds and that the tree `src` does not have, as it is
/// the base or ends before that patch.
fn lacks(src: &Path, line: &str) -> bool {
    let mut added = ADDED.split(' ');
    added.any(|name| {
        let pattern = format!("^config {name}$");
        let found = || Git::at(src).ok(["grep", "-qE", &pattern, "--", "*Kconfig*"]);
        line == format!("CONFIG_{name}=y") && matches!(found(), Ok(false))
    })
}

/// What makes Debian's own kernel, and the first process of its initramfs.
const DEBIAN: [&str; 3] = ["fetch.sh", "initramfs.sh", "debian-init.sh"];

/// Debian 12's own kernel: older than `AT_EXECVE_CHECK`, and built by nobody here. It is fetched and
/// unpacked unless it was before.
pub(crate) fn of_debian(ctx: &Ctx) -> Result<Kernel> {
    let mut inputs = Vec::new();
    for script in DEBIAN {
        inputs.extend(fs::read(ctx.root.join("scripts").join(script))?);
    }
    let name = format!("debian-{}", &hash(&inputs)[..16]);
    let dir = ctx.build.join("kernels").join(name);
    ui::fetched(ctx, &["kernel"], &dir)?;
    Ok(Kernel { dir, arch: X86 })
}

/// Files of scripts/config one after the other, and lines after them.
pub(crate) fn fragment<'a>(
    ctx: &Ctx,
    files: impl IntoIterator<Item = &'a str>,
    lines: &[&str],
) -> Result<String> {
    let mut text = String::new();
    for name in files {
        let path = ctx.root.join("scripts/config").join(name);
        text += &fs::read_to_string(&path)?;
    }
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    Ok(text)
}

/// Writes the configuration that make's `target` gives with a fragment's text merged over it, and
/// leaves it alone if it is the same already.
pub(crate) fn merged(
    tools: &Toolchain,
    (src, obj): (&Path, &Path),
    target: &str,
    text: &str,
    stage: &Stage,
) -> Result<String> {
    let fresh = obj.join(".config.lab");
    let _ = fs::remove_file(&fresh);
    let step = |target| {
        let mut make = tools.make(src, obj);
        make.arg(target).env("KCONFIG_CONFIG", ".config.lab");
        stage.run("configuring", &mut make)
    };
    step(target)?;
    // Of two lines for an option, Kconfig takes the later one.
    write_whole(&fresh, (fs::read_to_string(&fresh)? + text).as_bytes())?;
    step("olddefconfig")?;
    let config = fs::read_to_string(&fresh)?;
    let mut missing = unmet(text, &config);
    missing.retain(|line| !lacks(src, line));
    if !missing.is_empty() {
        bail!(
            "the kernel's configuration does not take these lines of scripts/config:\n  {}\n\
             a dependency is missing or the option is gone",
            missing.join("\n  ")
        );
    }
    put(&obj.join(".config"), config.as_bytes())?;
    Ok(config)
}

/// Lines of a fragment that a configuration does not honour.
pub(crate) fn unmet(fragment: &str, config: &str) -> Vec<String> {
    let lines: BTreeSet<&str> = config.lines().collect();
    // A later line overrides an earlier one, as Kconfig has it.
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for line in fragment.lines().map(str::trim) {
        let name = match line.strip_prefix("# ") {
            Some(rest) => rest.strip_suffix(" is not set"),
            None => line.split_once('=').map(|(name, _)| name),
        };
        let Some(name) = name else { continue };
        wanted.retain(|(known, _)| *known != name);
        wanted.push((name, line));
    }
    wanted.retain(|(name, line)| {
        let is_on = |have: &&str| have.split('=').next() == Some(*name) && have.contains('=');
        match line.starts_with('#') || line.ends_with("=n") {
            true => lines.iter().any(is_on),
            false => !lines.contains(line),
        }
    });
    let unmet = wanted.into_iter().map(|(_, line)| line.to_owned());
    unmet.collect()
}

/// What the objects of `commit` depend on, as one hash.
///
/// Documentation and selftests are left out, so that a commit which changes only
/// those needs no build.
pub(crate) fn tree_key(git: &Git, commit: &str) -> Result<String> {
    // Those of tools, instead of tools as one.
    let entries = git.run(["ls-tree", commit, "./", "tools/"])?;
    let names = |line: &&str, name| line.ends_with(&format!("\t{name}"));
    let is_built = |line: &&str| !NOT_BUILT.iter().any(|name| names(line, name));
    let built = Vec::from_iter(entries.lines().filter(is_built)).join("\n");
    Ok(format!("tree {}", hash(built.as_bytes())))
}

/// The key of a work tree with changes that no commit has.
pub(crate) fn dirty_tree_key(git: &Git) -> Result<String> {
    tree_key(git, &git.snapshot()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_checked_line_by_line() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\nCONFIG_D=y\n";
        let met = "# about a\nCONFIG_A=y\nCONFIG_S=\"x\"\n# CONFIG_B is not set\n\nCONFIG_C=n\n";
        assert_eq!(unmet(met, config), [""; 0]);
        for line in ["CONFIG_B=y", "CONFIG_D=n", "# CONFIG_A is not set"] {
            assert_eq!(unmet(line, config), [line]);
        }
        // A variant's line comes last and wins.
        assert!(unmet("CONFIG_B=y\nCONFIG_B=n\n", config).is_empty());
    }

    #[test]
    fn the_tree_key_ignores_documentation_and_selftests() {
        let (dir, git) = crate::git::tests::scratch();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("tools/testing/a", "1");
        put("tools/objtool/a", "1");
        put("Documentation/a", "1");
        let commit = || {
            git.run(["add", "-A"]).unwrap();
            git.run(["commit", "-q", "-m", "x"]).unwrap();
            tree_key(&git, "HEAD").unwrap()
        };
        let first = commit();
        put("tools/testing/a", "2");
        put("Documentation/a", "2");
        assert_eq!(commit(), first);
        put("tools/objtool/a", "2");
        assert_eq!(dirty_tree_key(&git).unwrap(), commit());
        assert_ne!(tree_key(&git, "HEAD").unwrap(), first);
    }
}
