// SPDX-License-Identifier: GPL-2.0

//! Debian packages of the kernel with the series, by the kernel's own `bindeb-pkg`.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::ctx::{Ctx, hash, put, with_extension, write_whole};
use crate::kernel;
use crate::toolchain::Toolchain;
use crate::ui::Stage;
use crate::{series, tree};

/// What makes the guests' configuration one for a virtual machine of one's own.
const FRAGMENT: &str = "vm.config";

/// What a configuration must have for the flag.
const WANTED: [&str; 2] = ["CONFIG_RUST=y", "CONFIG_OPEN_MAYEXEC=y"];

/// What the build writes, in GiB: without and with debugging information.
const ROOM: [u64; 2] = [3, 25];

/// What the packages in a directory were made from.
const MADE: &str = "made";

/// Builds the packages, unless they are there, and says how to use them.
pub(crate) fn run(ctx: &Ctx, config: Option<&Path>) -> Result<()> {
    let image = build(ctx, config)?;
    let dir = image.parent().unwrap_or(&image);
    for deb in with_extension(dir, "deb")? {
        println!("{}", ctx.show(&deb));
    }
    println!(
        "to try it: apt install ./{}, and Secure Boot off, as nobody has signed the kernel",
        ctx.show(&image)
    );
    Ok(())
}

/// The package of the kernel's image, from the user's configuration or from the default.
/// It is built with the others unless that was done before.
pub(crate) fn build(ctx: &Ctx, config: Option<&Path>) -> Result<PathBuf> {
    // Nothing is fetched or built for a file that cannot be used.
    let own = config.map(Own::read).transpose()?;
    let tree = tree::open(ctx)?;
    let note = series::sync(ctx, &tree)?;
    println!("{}: {note}", ctx.show(&ctx.linux()));
    let tools = Toolchain::find(ctx)?;
    let dir = ctx.slot.join("kernel-deb");
    let (src, obj) = (ctx.linux(), dir.join("obj"));
    fs::create_dir_all(&obj)?;
    let log = ctx.fresh_log("kernel-deb")?;
    let stage = Stage::begin("build the kernel's packages", Some(&log));
    let text = match &own {
        Some(own) => own.complete(&tools, (&src, &obj), &stage)?,
        None => default(ctx, &tools, (&src, &obj), &stage)?,
    };
    let key = kernel::dirty_tree_key(&tree.git)?;
    let (versions, config) = (tools.versions.trim_end(), hash(text.as_bytes()));
    let inputs = format!("{versions}\n{key}\n{config}");
    let made = dir.join(MADE);
    if fs::read_to_string(&made).is_ok_and(|made| made == inputs)
        && let Ok(image) = image(&dir)
    {
        stage.done("built before");
        return Ok(image);
    }
    let stat = rustix::fs::statvfs(&dir).context("cannot look at the file system")?;
    room(&text, stat.f_bavail * stat.f_frsize)?;
    put(&obj.join(".config"), text.as_bytes())?;
    let _ = fs::remove_file(&made);
    for old in with_extension(&dir, "deb")? {
        fs::remove_file(&old)?;
    }
    let mut make = tools.make(&src, &obj);
    // The packages stand beside the distribution's, which have another name. Its name is
    // looked up nowhere.
    make.args(["LOCALVERSION=-mayexec", "KDEB_CHANGELOG_DIST=unstable"])
        .arg("bindeb-pkg");
    stage.run("building the kernel's packages", &mut make)?;
    let image = image(&dir)?;
    let after = kernel::dirty_tree_key(&tree.git)?;
    ensure!(after == key, "{}", kernel::CHANGED);
    write_whole(&made, inputs.as_bytes())?;
    stage.done("");
    Ok(image)
}

/// The package with the kernel itself, of those in a directory.
fn image(dir: &Path) -> Result<PathBuf> {
    let is_image = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.split_once('_'))
            .is_some_and(|(package, _)| {
                package.starts_with("linux-image-") && !package.ends_with("-dbg")
            })
    };
    with_extension(dir, "deb")?
        .into_iter()
        .find(is_image)
        .with_context(|| format!("there is no package of a kernel in {}", dir.display()))
}

/// The guests' configuration with [`FRAGMENT`] over it.
fn default(ctx: &Ctx, tools: &Toolchain, at: (&Path, &Path), stage: &Stage) -> Result<String> {
    let files = [tools.arch.fragment, "guest.config", FRAGMENT];
    let wanted = kernel::fragment(ctx, files, &[])?;
    kernel::merged(tools, at, "tinyconfig", &wanted, stage)
}

/// The user's configuration.
struct Own {
    path: PathBuf,
    text: String,
}

impl Own {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("CONFIG={}: cannot read the file", path.display()))?;
        let missing = kernel::unmet(&WANTED.join("\n"), &text);
        if !missing.is_empty() {
            bail!(
                "CONFIG={}: without these lines the kernel has no O_MAYEXEC; add them to a copy of the file:\n  {}",
                path.display(),
                missing.join("\n  ")
            );
        }
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// With the defaults of the options that it does not name.
    fn complete(
        &self,
        tools: &Toolchain,
        (src, obj): (&Path, &Path),
        stage: &Stage,
    ) -> Result<String> {
        let fresh = obj.join(".config.lab");
        write_whole(&fresh, self.text.as_bytes())?;
        let mut make = tools.make(src, obj);
        make.arg("olddefconfig")
            .env("KCONFIG_CONFIG", ".config.lab");
        stage.run("configuring", &mut make)?;
        let config = fs::read_to_string(&fresh)
            .with_context(|| format!("no configuration in {}", fresh.display()))?;
        let missing = kernel::unmet(&WANTED.join("\n"), &config);
        if missing.is_empty() {
            return Ok(config);
        }
        let kconfig = fs::read_to_string(src.join("init/Kconfig"))?;
        bail!(
            "CONFIG={}: the kernel does not take {}. One of the things that RUST depends on does not hold:\n  {}\n\
             `make -C {} LLVM=-19 rustavailable` tells about the tools",
            self.path.display(),
            missing.join(" "),
            depends("RUST", &kconfig).join("\n  "),
            src.display(),
        );
    }
}

/// What an option of a Kconfig file depends on.
fn depends<'a>(option: &str, kconfig: &'a str) -> Vec<&'a str> {
    let begin = format!("config {option}");
    kconfig
        .lines()
        .skip_while(|line| *line != begin)
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with('\t'))
        .filter_map(|line| line.trim().strip_prefix("depends on "))
        .collect()
}

/// An error if so many free bytes are too few for a kernel of this configuration.
fn room(config: &str, free: u64) -> Result<()> {
    let debug = config.lines().any(|line| line == "CONFIG_DEBUG_INFO=y");
    let (needed, gib) = (ROOM[usize::from(debug)], free >> 30);
    if gib < needed {
        let why = if debug {
            ", with CONFIG_DEBUG_INFO=y"
        } else {
            ""
        };
        bail!("{gib} GiB are free for build/kernel-deb; the kernel takes about {needed}{why}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_the_flag_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let refused = || Own::read(&path).err().map(|error| error.to_string());
        assert!(refused().unwrap().contains("cannot read"));
        fs::write(&path, "# CONFIG_RUST is not set\nCONFIG_OPEN_MAYEXEC=y\n").unwrap();
        let said = refused().unwrap();
        assert!(said.ends_with("file:\n  CONFIG_RUST=y"), "{said}");
        fs::write(&path, WANTED.join("\n")).unwrap();
        assert_eq!(refused(), None);
    }

    #[test]
    fn what_an_option_depends_on_is_its_own() {
        let text = "config A\n\tdepends on X\n\nconfig RUST\n\tbool \"Rust\"\n\tdepends on Y\n\
                    \tdepends on !Z || V\n\thelp\n\t  Text.\n\n\t  More.\n\nconfig C\n\tdepends on U\n";
        assert_eq!(depends("RUST", text), ["Y", "!Z || V"]);
    }

    #[test]
    fn the_package_with_the_kernel_is_found_among_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let of = |package: &str| dir.path().join(format!("{package}_7.3.4-1_amd64.deb"));
        let release = "7.3.4-mayexec";
        for kind in ["headers", "libc-dev", "image"] {
            let name = format!("linux-{kind}-{release}");
            assert!(image(dir.path()).is_err());
            fs::write(of(&name), "").unwrap();
            fs::write(of(&format!("{name}-dbg")), "").unwrap();
        }
        assert_eq!(
            image(dir.path()).unwrap(),
            of(&format!("linux-image-{release}"))
        );
    }

    #[test]
    fn debugging_information_takes_more_room() {
        let debug = "CONFIG_A=y\nCONFIG_DEBUG_INFO=y\n";
        assert!(room("CONFIG_A=y\n", ROOM[0] << 30).is_ok());
        assert!(room("CONFIG_A=y\n", (ROOM[0] << 30) - 1).is_err());
        assert!(room(debug, ROOM[0] << 30).is_err());
    }
}
