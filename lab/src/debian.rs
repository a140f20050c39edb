// SPDX-License-Identifier: GPL-2.0

//! Debian 12's own kernel: older than `AT_EXECVE_CHECK`, and built by nobody here.
//!
//! The package is unpacked below `build/` and never installed. What the guest's root
//! needs is in modules there, so the kernel gets an initramfs with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::ctx::{Ctx, hash, make_whole, write_whole};
use crate::kernel::{Facts, INITRD, Kernel};
use crate::proc;
use crate::root;
use crate::toolchain::Arch;

/// How the packages of this kernel begin; the number that follows is that of its ABI.
const PREFIX: &str = "linux-image-6.1.0-";

/// The modules that the guest's root, its output and overlays are made of; what they
/// depend on comes before them.
const MODULES: [&str; 5] = [
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "overlay",
];

/// The first process, which loads them.
const SCRIPT: &str = "scripts/debian-init.sh";

/// The kernel, fetched and unpacked unless it was before.
pub(crate) fn kernel(ctx: &Ctx) -> Result<Kernel> {
    let script = ctx.root.join(SCRIPT);
    let script = fs::read(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let inputs = hash(&[script.as_slice(), MODULES.join(" ").as_bytes()].concat());
    let dir = ctx.build.join("kernels/debian");
    let kept = |dir: PathBuf| -> Option<Kernel> {
        let facts: Facts = serde_json::from_slice(&fs::read(dir.join("facts.json")).ok()?).ok()?;
        let kernel = Kernel {
            dir,
            facts,
            arch: Arch::X86,
        };
        kernel.facts.inputs.ends_with(&inputs).then_some(kernel)
    };
    if let Some(kernel) = kept(dir.clone()) {
        return Ok(kernel);
    }
    let deb = package(ctx)?;
    make_whole(&dir, |part| {
        let unpacked = part.join("unpacked");
        apt::unpack(&deb, &unpacked)?;
        let fresh = part.join("fresh");
        fs::create_dir(&fresh)?;
        let image = only(&unpacked.join("boot"), "vmlinuz-")?;
        fs::copy(&image, fresh.join(Arch::X86.image()))
            .with_context(|| format!("cannot copy {}", image.display()))?;
        let modules = modules(&unpacked)?;
        write_whole(&fresh.join(INITRD), &initramfs(&script, &modules)?)?;
        let facts = Facts {
            inputs: format!("{}\n{}", ctx.show(&deb), inputs),
            warnings: Default::default(),
            seconds: 0,
        };
        write_whole(
            &fresh.join("facts.json"),
            &serde_json::to_vec_pretty(&facts)?,
        )?;
        Ok(fresh)
    })?;
    kept(dir).context("the kernel that was just unpacked cannot be read")
}

/// The package, downloaded unless it was before.
fn package(ctx: &Ctx) -> Result<PathBuf> {
    let dl = ctx.build.join("dl");
    let mut there = Vec::new();
    for entry in fs::read_dir(&dl).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        there.extend(name.split_once('_').map(|(package, _)| package.to_owned()));
    }
    if let Some(name) = newest(&there)
        && let Some((deb, _)) = apt::downloaded(&dl, name)?
    {
        return Ok(deb);
    }
    let apt = Apt::of_stable(ctx)?;
    let names = apt.names(PREFIX)?;
    let Some(name) = newest(&names) else {
        bail!(
            "Debian 12 has no package {PREFIX}N-amd64; it has: {}",
            names.join(" ")
        );
    };
    apt.download_newest(name)
}

/// The one of these packages with the highest ABI.
fn newest(names: &[String]) -> Option<&str> {
    let abi = |name: &str| -> Option<u32> {
        name.strip_prefix(PREFIX)?
            .strip_suffix("-amd64")?
            .parse()
            .ok()
    };
    names
        .iter()
        .filter_map(|name| Some((abi(name)?, name.as_str())))
        .max()
        .map(|(_, name)| name)
}

/// The one entry of a directory that begins with `prefix`.
fn only(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => bail!("{} holds {} files {prefix}*", dir.display(), found.len()),
    }
}

/// The files of [`MODULES`] in an unpacked package, each after those that it needs.
fn modules(unpacked: &Path) -> Result<Vec<PathBuf>> {
    let dir = only(&unpacked.join("lib/modules"), "")?;
    let version = dir.file_name().unwrap_or_default();
    // The host's configuration says nothing about this kernel.
    let kmod = |program: &str, root: &str| {
        let mut command = Command::new(program);
        command.args(["-C", "/dev/null", root]).arg(unpacked);
        command
    };
    // The package leaves it to its installation to write down what depends on what.
    proc::capture(kmod("/sbin/depmod", "-b").arg(version))?;
    let listing = proc::capture(
        kmod("/sbin/modprobe", "-d")
            .args(["--show-depends", "-a", "-S"])
            .arg(version)
            .args(MODULES),
    )?;
    let modules = load_order(&listing);
    if modules.is_empty() {
        bail!("modprobe names no module of {}:\n{listing}", dir.display());
    }
    Ok(modules)
}

/// The files in what `modprobe --show-depends` prints, which repeats what several need.
fn load_order(listing: &str) -> Vec<PathBuf> {
    let mut order = Vec::new();
    for line in listing.lines() {
        if let Some(file) = line.strip_prefix("insmod ") {
            let file = PathBuf::from(file.trim_end());
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    order
}

/// An archive with the script, what runs it, and the modules, in the order of their names.
fn initramfs(script: &[u8], modules: &[PathBuf]) -> Result<Vec<u8>> {
    let mut files = vec![("init".to_owned(), script.to_owned())];
    for (index, file) in modules.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        files.push((format!("modules/{index:02}-{name}"), bytes));
    }
    root::initramfs(&["dev", "modules", "proc", "root"], files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_highest_abi_is_the_newest() {
        let names = owned(&[
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-44-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-51-amd64-unsigned",
            "linux-image-6.1.0-52-rt-amd64-dbg",
        ]);
        assert_eq!(newest(&names), Some("linux-image-6.1.0-44-amd64"));
        assert_eq!(
            newest(&owned(&["linux-image-6.12.0-1-amd64", "busybox-static"])),
            None
        );
    }

    #[test]
    fn a_module_is_loaded_once_and_what_is_built_in_is_not() {
        let listing =
            "insmod /m/c.ko \ninsmod /m/a.ko \nbuiltin x\ninsmod /m/c.ko \ninsmod /m/b.ko \n";
        assert_eq!(
            load_order(listing),
            ["/m/c.ko", "/m/a.ko", "/m/b.ko"].map(PathBuf::from)
        );
    }

    #[test]
    fn the_archive_holds_what_the_script_uses() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("b.ko");
        fs::write(&module, "module").unwrap();
        let script = include_bytes!("../../scripts/debian-init.sh");
        let archive = initramfs(script, std::slice::from_ref(&module)).unwrap();
        let mut names = Vec::new();
        let mut rest = archive.as_slice();
        loop {
            let reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(
            names,
            [
                "dev",
                "modules",
                "proc",
                "root",
                "busybox",
                "init",
                "modules/00-b.ko"
            ]
        );
        let script = std::str::from_utf8(script).unwrap();
        assert!(script.starts_with("#!/busybox sh\n"));
        for dir in ["/modules/*", " /proc\n", " /root\n"] {
            assert!(script.contains(dir), "{dir}");
        }
    }
}
