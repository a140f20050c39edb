// SPDX-License-Identifier: GPL-2.0

//! Where things are, and what the user asked for.

use fs_err::{self as fs, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The kernel release that patches/ is made for.
pub(crate) const DEFAULT_BASE: &str = "7.3";

/// The checkout, its build directory and the user's choices.
#[derive(Debug)]
pub(crate) struct Ctx {
    pub(crate) root: PathBuf,
    /// `build/`: everything that the tools write, downloads included.
    pub(crate) build: PathBuf,
    /// Where this base's trees and objects are: `build/` itself for the default.
    pub(crate) slot: PathBuf,
    /// The kernel release (Debian's package) or a revision in `kdir`.
    pub(crate) base: String,
    /// The user's own kernel repository, absolute.
    pub(crate) kdir: Option<PathBuf>,
    /// The user accepts that unexported work is overwritten.
    pub(crate) force: bool,
    /// Set where a kernel is built with work that patches/ does not have: no result is kept of it.
    pub(crate) as_it_is: std::sync::OnceLock<()>,
}

impl Ctx {
    /// Finds the checkout above the current directory and checks the user's input.
    pub(crate) fn new(base: &str, kdir: Option<&Path>, force: bool) -> Result<Self> {
        let cwd = std::env::current_dir().context("cannot tell the current directory")?;
        let mut above = cwd.ancestors();
        let root = above.find(|dir| dir.join("lab/Cargo.toml").is_file());
        let root = root.context("run this inside a checkout of the O_MAYEXEC repository")?;
        let bad = [' ', ':', '\t', '\n'];
        if root.to_str().is_none_or(|path| path.contains(bad)) {
            let root = root.display();
            bail!(
                "nothing can be built below a path with spaces or colons, or that is not UTF-8: {root}\nclone the repository to another place"
            );
        }
        check_base(base)?;
        let build = root.join("build");
        fs::create_dir_all(&build)?;
        let absolute = |dir: &Path| {
            fs::canonicalize(dir)
                .with_context(|| format!("KDIR={}: no such directory", dir.display()))
        };
        let kdir = kdir.map(absolute).transpose()?;
        let slot = match &kdir {
            Some(dir) => {
                let dir = hash(dir.to_string_lossy().as_bytes());
                build.join(format!("kdir-{}-{base}", &dir[..8]))
            }
            None if base == DEFAULT_BASE => build.clone(),
            None => build.join(format!("base-{base}")),
        };
        Ok(Self {
            root: root.to_owned(),
            build,
            slot,
            base: base.to_owned(),
            kdir,
            force,
            as_it_is: Default::default(),
        })
    }

    /// The tree in which developers work.
    pub(crate) fn linux(&self) -> PathBuf {
        self.slot.join("linux")
    }

    /// The object directory of [`Ctx::linux`].
    pub(crate) fn obj(&self) -> PathBuf {
        self.slot.join("obj")
    }

    /// A work tree of the tools' own, in which each patch is built in turn.
    ///
    /// It lies beside its objects as `linux` does, so that ccache sees the same
    /// relative paths.
    pub(crate) fn walk(&self) -> PathBuf {
        self.slot.join("walk/linux")
    }

    pub(crate) fn patches(&self) -> PathBuf {
        self.root.join("patches")
    }

    /// What the tree was last made from, or last exported to.
    pub(crate) fn record(&self) -> PathBuf {
        self.slot.join("applied.json")
    }

    /// An empty log file, named by the words of `what`; the previous run's content is dropped.
    pub(crate) fn fresh_log(&self, what: &str) -> Result<PathBuf> {
        let logs = self.build.join("logs");
        fs::create_dir_all(&logs)?;
        let words = what.split(|c: char| !c.is_ascii_alphanumeric());
        let words = words.filter(|word| !word.is_empty());
        let name = Vec::from_iter(words).join("-").to_ascii_lowercase();
        let log = logs.join(format!("{name:.200}.log"));
        File::create(&log)?;
        Ok(log)
    }

    /// Where everything is made that is not to stay.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.build.join("tmp")
    }

    /// A directory on the disk of `build/`, which goes when it is dropped.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        fs::create_dir_all(self.tmp())?;
        Ok(tempfile::tempdir_in(self.tmp())?)
    }

    /// Makes a directory below `build/`, in place of the one that may be there: `make` is given a
    /// directory for what it needs meanwhile and returns the one in it that is to become `dir`. A run
    /// that is ended leaves nothing of that name.
    pub(crate) fn make_whole(
        &self,
        dir: &Path,
        make: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<()> {
        let part = self.scratch()?;
        let made = make(part.path())?;
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir.parent().context("a path without a directory")?)?;
        Ok(fs::rename(made, dir)?)
    }

    /// `path` as seen from the checkout, for messages.
    pub(crate) fn show(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.display().to_string()
    }

    /// Keeps a second run of these tools out of the same build directory.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.build.join(".lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path)?;
        if file.try_lock().is_err() {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            let owner = owner.trim();
            bail!(
                "another command of this checkout is running (process {owner}); wait for it or stop it"
            );
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(file)
    }
}

/// A base becomes part of package and directory names and of git revisions.
fn check_base(base: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = base.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || !base.chars().all(plain) || base.contains("..") {
        bail!("BASE={base}: not a kernel release (7.3) nor a plain tag or commit name (v7.3-rc2)");
    }
    Ok(())
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file so that a reader, or the next run, sees all of it or nothing.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().context("a file path without a directory")?;
    fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// What a file keeps of an earlier run, or what is made now, which it keeps then.
pub(crate) fn kept_as<T: Serialize + DeserializeOwned>(
    file: &Path,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let kept = fs::read(file).ok();
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(kept);
    }
    let made = make()?;
    write_whole(file, &serde_json::to_vec_pretty(&made)?)?;
    Ok(made)
}

/// Writes a file if it does not hold these bytes already.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    match fs::read(path).is_ok_and(|old| old == bytes) {
        true => Ok(()),
        false => write_whole(path, bytes),
    }
}

/// The files of a directory with that extension, in the order of their names; none, if there is no
/// such directory.
pub(crate) fn with_extension(dir: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if dir.exists() {
        for entry in fs::read_dir(dir)? {
            found.push(entry?.path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|ext| ext == wanted));
    found.sort();
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(crate) fn at(dir: &Path) -> Ctx {
        Ctx {
            root: dir.to_owned(),
            build: dir.join("build"),
            slot: dir.join("build"),
            base: DEFAULT_BASE.to_owned(),
            kdir: None,
            force: false,
            as_it_is: Default::default(),
        }
    }

    pub(crate) fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        Vec::from_iter(BTreeSet::from_iter(names))
    }

    #[test]
    fn a_base_is_a_release_or_a_plain_revision() {
        for fine in ["7.3", "v7.3-rc2", "0123abcd", "next-20260101"] {
            check_base(fine).unwrap();
        }
        for bad in "|7.3 |../x|-rf|a..b|v7^{commit}|7.3;id|HEAD~1".split('|') {
            assert!(check_base(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        for text in ["\"one\"", "\"two\""] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(&dir.path().join("a")), ["b"]);
        // What is kept is not made again.
        let kept: String = kept_as(&path, || bail!("made")).unwrap();
        assert_eq!(kept, "two");
        let other = dir.path().join("c");
        assert_eq!(kept_as(&other, || Ok(3)).unwrap(), 3);
        assert_eq!(fs::read_to_string(other).unwrap(), "3");
    }

    #[test]
    fn a_directory_is_made_whole_or_stays() {
        let place = tempfile::tempdir().unwrap();
        let ctx = at(place.path());
        let dir = ctx.build.join("below/it");
        let make = |text: &'static str| {
            ctx.make_whole(&dir, |part| {
                let made = part.join("made");
                fs::create_dir(&made)?;
                fs::write(made.join("file"), text)?;
                anyhow::ensure!(text != "bad", "no");
                Ok(made)
            })
        };
        make("old").unwrap();
        assert!(make("bad").is_err());
        assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "old");
        make("new").unwrap();
        assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "new");
        assert_eq!(names(dir.parent().unwrap()), ["it"]);
    }
}
