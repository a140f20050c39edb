//! Debian 12's own kernel: older than `AT_EXECVE_CHECK`, and built by nobody here.
//!
//! The package is unpacked below `build/` and never installed. What the guest's root
//! needs is in modules there, so the kernel gets an initramfs with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::Apt;
use crate::ctx::{Ctx, hash, write_whole};
use crate::kernel::{Facts, INITRD, Kernel};
use crate::proc;
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

/// The program that runs the first process, and is in the same place in the initramfs.
const BUSYBOX: &str = "busybox";

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
    let kernels = ctx.build.join("kernels");
    fs::create_dir_all(&kernels)?;
    let part = tempfile::Builder::new()
        .prefix(".part-")
        .tempdir_in(&kernels)?;
    let unpacked = part.path().join("unpacked");
    proc::capture(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked))?;
    let fresh = part.path().join("fresh");
    fs::create_dir(&fresh)?;
    let image = only(&unpacked.join("boot"), "vmlinuz-")?;
    fs::copy(&image, fresh.join(Arch::X86.image()))
        .with_context(|| format!("cannot copy {}", image.display()))?;
    let modules = load_order(&modules(&unpacked.join("lib/modules"))?, &MODULES)?;
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
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::rename(&fresh, &dir).with_context(|| format!("cannot create {}", dir.display()))?;
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
        && let Some((deb, _)) = crate::tree::downloaded(&dl, name)?
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

/// A module, and those that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    file: PathBuf,
    needs: Vec<String>,
}

/// The modules below `dir` that [`MODULES`] leads to, by their names.
fn modules(dir: &Path) -> Result<BTreeMap<String, Module>> {
    let listing = proc::capture(
        Command::new("find")
            .arg(dir)
            .args(["-name", "*.ko", "-type", "f"]),
    )?;
    let files: BTreeMap<&str, &Path> = listing
        .lines()
        .map(Path::new)
        .filter_map(|path| Some((path.file_stem()?.to_str()?, path)))
        .collect();
    let mut found = BTreeMap::new();
    let mut wanted: Vec<String> = MODULES.map(str::to_owned).to_vec();
    while let Some(name) = wanted.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let file = files
            .get(name.as_str())
            .with_context(|| format!("the kernel has no module {name}"))?;
        let depends = proc::capture(Command::new("modinfo").args(["-F", "depends"]).arg(file))?;
        let needs: Vec<String> = depends
            .trim()
            .split(',')
            .filter(|need| !need.is_empty())
            .map(str::to_owned)
            .collect();
        wanted.extend(needs.iter().cloned());
        found.insert(
            name,
            Module {
                file: (*file).to_owned(),
                needs,
            },
        );
    }
    Ok(found)
}

/// The files of `wanted`, each after those that it needs.
fn load_order(modules: &BTreeMap<String, Module>, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    fn visit(
        modules: &BTreeMap<String, Module>,
        name: &str,
        path: &mut Vec<String>,
        order: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let module = modules
            .get(name)
            .with_context(|| format!("the kernel has no module {name}"))?;
        if order.contains(&module.file) {
            return Ok(());
        }
        if path.iter().any(|above| above == name) {
            bail!("the module {name} depends on itself");
        }
        path.push(name.to_owned());
        for need in &module.needs {
            visit(modules, need, path, order)?;
        }
        path.pop();
        order.push(module.file.clone());
        Ok(())
    }
    let mut order = Vec::new();
    for name in wanted {
        visit(modules, name, &mut Vec::new(), &mut order)?;
    }
    Ok(order)
}

/// An archive with the script, what runs it, and the modules, in the order of their names.
fn initramfs(script: &[u8], modules: &[PathBuf]) -> Result<Vec<u8>> {
    const DIRECTORY: u32 = 0o040_755;
    const PROGRAM: u32 = 0o100_755;
    let busybox = ["/bin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(BUSYBOX))
        .find(|path| path.is_file())
        .context("busybox is missing: scripts/setup.sh installs busybox-static")?;
    let mut entries: Vec<(String, u32, Vec<u8>)> = ["dev", "modules", "proc", "root"]
        .map(|dir| (dir.to_owned(), DIRECTORY, Vec::new()))
        .to_vec();
    entries.push((BUSYBOX.to_owned(), PROGRAM, fs::read(busybox)?));
    entries.push(("init".to_owned(), PROGRAM, script.to_owned()));
    for (index, file) in modules.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        entries.push((format!("modules/{index:02}-{name}"), PROGRAM, bytes));
    }
    let entries = entries
        .into_iter()
        .map(|(name, mode, bytes)| (cpio::NewcBuilder::new(&name).mode(mode), Cursor::new(bytes)));
    cpio::write_cpio(entries, Vec::new()).context("cannot write the initramfs")
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
    fn what_a_module_needs_is_loaded_before_it() {
        let module = |name: &str, needs: &[&str]| {
            (
                name.to_owned(),
                Module {
                    file: PathBuf::from(name),
                    needs: owned(needs),
                },
            )
        };
        let modules = BTreeMap::from([
            module("a", &["c", "b"]),
            module("b", &["c"]),
            module("c", &[]),
            module("x", &["y"]),
            module("y", &["x"]),
        ]);
        let order = load_order(&modules, &["b", "a"]).unwrap();
        assert_eq!(order, ["c", "b", "a"].map(PathBuf::from));
        assert!(load_order(&modules, &["x"]).is_err());
        assert!(load_order(&modules, &["z"]).is_err());
    }

    #[test]
    fn the_archive_holds_what_the_script_uses() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("b.ko");
        fs::write(&module, "module").unwrap();
        let script = include_bytes!("../../../scripts/debian-init.sh");
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
