// SPDX-License-Identifier: GPL-2.0

//! Builds the tree, tells what calls have changed in it, and undoes that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use guest::fuzz::tree::{
    CHAIN, Kind, MOUNTS, Mount, NODES, Node, Restriction, SHARED, SHARED_AT, Source, USER, chained,
};
use rustix::fs::{CWD, FileType, XattrFlags, makedev, mknodat, setxattr};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind, mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{WaitOptions, waitpid};

/// The file system that holds everything.
pub(crate) const STAGE: &str = "/run/fuzz";
/// The directory that is the callers' root.
pub(crate) const ROOT: &str = "/run/fuzz/root";
/// This program's copy, as the callers' /proc/self/exe shows it.
pub(crate) const PROGRAM: &str = "/run/fuzz/root/bin/fuzz";

/// The outside path of a path of the tree.
pub(crate) fn outside(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// Mounts the file system and copies this program into it.
pub(crate) fn prepare() -> Result<()> {
    fs::create_dir_all(STAGE)?;
    mount("tmpfs", STAGE, "tmpfs", MountFlags::empty(), c"mode=0755")
        .with_context(|| format!("cannot mount a tmpfs on {STAGE}"))?;
    // The tree's mounts are nobody else's business.
    mount_change(STAGE, MountPropagationFlags::PRIVATE)?;
    for dir in ["root", "root/bin", "lower", "upper", "work"] {
        let dir = Path::new(STAGE).join(dir);
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    }
    fs::copy("/proc/self/exe", PROGRAM).context("cannot copy this program")?;
    fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The tree, as it is to be.
pub(crate) struct Fixture {
    bound: BTreeSet<PathBuf>,
    content: BTreeMap<String, &'static str>,
    pristine: BTreeMap<String, Meta>,
    // What keeps the socket bound.
    _sockets: Vec<UnixListener>,
}

/// What a call could change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Meta {
    kind: char,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    nlink: u64,
}

impl std::fmt::Display for Meta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}{:o},{}:{},{}b,{}n",
            self.kind, self.mode, self.owner.0, self.owner.1, self.size, self.nlink
        )
    }
}

impl Fixture {
    /// Builds everything below [`ROOT`].
    pub(crate) fn build() -> Result<Self> {
        let mut sockets = Vec::new();
        let root = Path::new(ROOT);
        build(root, NODES, &mut sockets)?;
        for at in ["m", "../lower"] {
            let at = root.join(at);
            fs::create_dir_all(&at)?;
            fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
            build(&at, SHARED, &mut sockets)?;
        }
        for number in 0..CHAIN {
            let target = if number + 1 == CHAIN {
                "../f755".to_owned()
            } else {
                chained(number + 1)
            };
            symlink(target, root.join("chain").join(chained(number)))?;
        }
        for mount in MOUNTS {
            make(mount).with_context(|| format!("cannot mount {}", mount.path))?;
        }

        let mut content: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut remember = |at: &str, nodes: &[Node]| {
            for node in nodes {
                if let Kind::File(text) = node.kind {
                    content.insert(format!("{at}{}", node.path), text);
                }
            }
        };
        remember("", NODES);
        remember("m/", SHARED);
        remember("ovl/", SHARED);
        let mut fixture = Self {
            // The overlay is walked, what shows files twice is not.
            bound: MOUNTS
                .iter()
                .filter(|mount| mount.source != Source::Overlay)
                .map(|mount| root.join(mount.path))
                .collect(),
            content,
            pristine: BTreeMap::new(),
            _sockets: sockets,
        };
        fixture.pristine = fixture.walk()?;
        ensure!(
            fixture.pristine.len() > NODES.len() + CHAIN,
            "the tree is not there"
        );
        Ok(fixture)
    }

    /// Makes the overlay anew: files that were copied up are below again.
    pub(crate) fn renew_overlay(&self) -> Result<()> {
        let overlays = MOUNTS.iter().filter(|mount| {
            mount.source == Source::Overlay
                || matches!(mount.source, Source::Bind(of, _) if of == "ovl")
        });
        let overlays: Vec<&Mount> = overlays.collect();
        for mount in overlays.iter().rev() {
            // The mount goes when the last descriptor of a caller that has ended is gone.
            unmount(outside(mount.path), UnmountFlags::DETACH)?;
        }
        for dir in ["upper", "work"] {
            let dir = Path::new(STAGE).join(dir);
            fs::remove_dir_all(&dir)?;
            fs::create_dir(&dir)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        }
        for mount in overlays {
            make(mount).with_context(|| format!("cannot mount {} again", mount.path))?;
        }
        Ok(())
    }

    /// What is different from the tree as it was built, in words; afterwards, nothing is.
    pub(crate) fn undo_changes(&self) -> Result<String> {
        let now = self.walk()?;
        if now == self.pristine {
            return Ok(String::new());
        }
        let mut words = Vec::new();
        for (path, meta) in &now {
            match self.pristine.get(path) {
                Some(was) if was == meta => {}
                Some(was) => {
                    words.push(format!("{path}: {was} is {meta}"));
                    self.restore(path, was)?;
                }
                None => {
                    words.push(format!("{path}: new {meta}"));
                    fs::remove_file(outside(path))
                        .with_context(|| format!("cannot remove {path}"))?;
                }
            }
        }
        for path in self.pristine.keys() {
            if !now.contains_key(path) {
                bail!("an open removed {path}");
            }
        }
        Ok(words.join("; "))
    }

    fn restore(&self, path: &str, was: &Meta) -> Result<()> {
        let at = outside(path);
        if let Some(text) = self.content.get(path) {
            fs::write(&at, text).with_context(|| format!("cannot rewrite {path}"))?;
        }
        lchown(&at, Some(was.owner.0), Some(was.owner.1))?;
        fs::set_permissions(&at, fs::Permissions::from_mode(was.mode))?;
        Ok(())
    }

    fn walk(&self) -> Result<BTreeMap<String, Meta>> {
        let mut found = BTreeMap::new();
        self.walk_into(Path::new(ROOT), &mut found)?;
        Ok(found)
    }

    fn walk_into(&self, dir: &Path, found: &mut BTreeMap<String, Meta>) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            let path = entry.path();
            if self.bound.contains(&path) {
                continue;
            }
            let kind = entry.file_type()?;
            let name = path
                .strip_prefix(ROOT)?
                .to_str()
                .context("a name that is not text")?
                .to_owned();
            let meta = if kind.is_symlink() {
                // open(2) changes no link.
                Meta {
                    kind: 'l',
                    mode: 0,
                    owner: (0, 0),
                    size: 0,
                    nlink: 0,
                }
            } else {
                let meta = entry.metadata()?;
                Meta {
                    kind: if kind.is_dir() {
                        'd'
                    } else if kind.is_file() {
                        'f'
                    } else {
                        's'
                    },
                    mode: meta.mode() & 0o7777,
                    owner: (meta.uid(), meta.gid()),
                    // Of a directory, these say what the walk sees better.
                    size: if kind.is_dir() { 0 } else { meta.size() },
                    nlink: if kind.is_dir() { 0 } else { meta.nlink() },
                }
            };
            found.insert(name, meta);
            if kind.is_dir() {
                self.walk_into(&path, found)?;
            }
        }
        Ok(())
    }
}

fn build(at: &Path, nodes: &[Node], sockets: &mut Vec<UnixListener>) -> Result<()> {
    for node in nodes {
        let path = at.join(node.path);
        build_one(&path, node, sockets)
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(())
}

fn build_one(path: &Path, node: &Node, sockets: &mut Vec<UnixListener>) -> Result<()> {
    let special =
        |kind, major, minor| mknodat(CWD, path, kind, node.mode.into(), makedev(major, minor));
    match node.kind {
        Kind::Dir => fs::create_dir(path)?,
        Kind::File(text) => fs::write(path, text)?,
        Kind::Link(target) => symlink(target, path)?,
        Kind::Fifo | Kind::LonelyFifo => special(FileType::Fifo, 0, 0)?,
        Kind::Socket => sockets.push(UnixListener::bind(path)?),
        Kind::Char(major, minor) => special(FileType::CharacterDevice, major, minor)?,
        Kind::Block(major, minor) => special(FileType::BlockDevice, major, minor)?,
    }
    lchown(path, Some(node.owner), Some(node.owner))?;
    if !matches!(node.kind, Kind::Link(_)) {
        fs::set_permissions(path, fs::Permissions::from_mode(node.mode))?;
    }
    if let Some((user, mask)) = acl_of(node.path) {
        let value = acl(node.mode, user, mask);
        setxattr(path, "system.posix_acl_access", &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// What a file's ACL grants the user, and the ACL's mask.
fn acl_of(path: &str) -> Option<(u16, u16)> {
    match path {
        "acl-yes" => Some((5, 5)),
        "acl-no" => Some((0, 5)),
        _ => None,
    }
}

/// A POSIX ACL with an entry for the user, as its extended attribute holds it.
fn acl(mode: u32, user: u16, mask: u16) -> Vec<u8> {
    let bits = |shift: u32| u16::try_from(mode >> shift & 7).unwrap_or(0);
    // Tag, permissions, id; only named entries have an id.
    let entries = [
        (0x01, bits(6), u32::MAX),
        (0x02, user, USER),
        (0x04, bits(3), u32::MAX),
        (0x10, mask, u32::MAX),
        (0x20, bits(0), u32::MAX),
    ];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(u16::to_le_bytes(tag));
        value.extend(u16::to_le_bytes(permissions));
        value.extend(u32::to_le_bytes(id));
    }
    value
}

fn make(spec: &Mount) -> Result<()> {
    let at = outside(spec.path);
    if !at.exists() {
        match spec.source {
            Source::Bind(of, _) if outside(of).is_file() => fs::write(&at, "")?,
            _ => fs::create_dir(&at)?,
        }
    }
    match spec.source {
        Source::Proc => mount("proc", &at, "proc", MountFlags::empty(), None)?,
        Source::Overlay => {
            let options = std::ffi::CString::new(format!(
                "lowerdir={STAGE}/lower,upperdir={STAGE}/upper,workdir={STAGE}/work"
            ))?;
            mount(
                "overlay",
                &at,
                "overlay",
                MountFlags::empty(),
                options.as_c_str(),
            )?;
        }
        Source::Bind(of, restriction) => {
            mount_bind(outside(of), &at)?;
            let mut flags = match restriction {
                Restriction::None => MountFlags::empty(),
                Restriction::ReadOnly => MountFlags::RDONLY,
                Restriction::NoDev => MountFlags::NODEV,
                Restriction::NoSymlinks => MountFlags::from_bits_retain(
                    u32::try_from(libc::MS_NOSYMFOLLOW).context("a mount flag")?,
                ),
            };
            if spec.noexec {
                flags |= MountFlags::NOEXEC;
            }
            mount_remount(&at, MountFlags::BIND | flags, c"")?;
        }
        Source::Idmapped => {
            let tree = open_tree(
                CWD,
                outside("m"),
                OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
            )?;
            let userns = exchange()?;
            uapi::mount_idmap(tree.as_fd(), userns.as_fd()).context("mount_setattr")?;
            move_mount(
                &tree,
                c"",
                CWD,
                &at,
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )?;
        }
    }
    Ok(())
}

/// A user namespace that exchanges root and the user.
fn exchange() -> Result<fs::File> {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    use std::io::{Read, Write};
    let Some(child) = uapi::fork()? else {
        // The namespace is there as long as this process is.
        drop(ours);
        let mut theirs = theirs;
        let done = uapi::unshare_user().is_ok();
        let _ = theirs.write_all(&[u8::from(done)]);
        let _ = theirs.read(&mut [0]);
        std::process::exit(0);
    };
    drop(theirs);
    let mut done = [0];
    ours.read_exact(&mut done)?;
    ensure!(done == [1], "cannot make a user namespace");
    let of = format!("/proc/{}", child.as_raw_nonzero());
    let map = format!("0 {USER} 1\n{USER} 0 1\n");
    fs::write(format!("{of}/uid_map"), &map)?;
    fs::write(format!("{of}/gid_map"), &map)?;
    let userns = fs::File::open(format!("{of}/ns/user"))?;
    drop(ours);
    waitpid(Some(child), WaitOptions::empty())?;
    Ok(userns)
}

/// The FIFOs that a caller must keep open, so that no other open of them waits.
pub(crate) fn fifos() -> impl Iterator<Item = PathBuf> {
    let own = NODES.iter().map(|node| (node.path.to_owned(), node.kind));
    let shared = SHARED_AT.iter().flat_map(|at| {
        SHARED
            .iter()
            .map(move |node| (format!("{at}/{}", node.path), node.kind))
    });
    own.chain(shared)
        .filter(|(_, kind)| *kind == Kind::Fifo)
        .map(|(path, _)| outside(&path))
}
