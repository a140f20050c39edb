// SPDX-License-Identifier: GPL-2.0

//! The tree in which the calls open: one list, for who builds it and for who picks
//! paths from it.

use std::fmt;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file with this content.
    File(&'static str),
    /// A symbolic link.
    Link(&'static str),
    /// A FIFO that somebody keeps open for reading and writing.
    Fifo,
    /// A FIFO that nobody has open.
    LonelyFifo,
    /// A bound socket.
    Socket,
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
}

/// A file of the tree.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Where it is, below the root of the tree.
    pub path: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// Its owner and group.
    pub owner: u32,
}

/// The unprivileged user, and his group.
pub const USER: u32 = 1000;

/// In the path of everything that leads to a FIFO that nobody has open.
pub const LONELY: &str = "lonely";

const fn node(path: &'static str, kind: Kind, mode: u32, owner: u32) -> Node {
    Node {
        path,
        kind,
        mode,
        owner,
    }
}

const fn link(path: &'static str, target: &'static str) -> Node {
    node(path, Kind::Link(target), 0o777, 0)
}

/// The files outside of the mounts. A directory comes before what is in it.
pub const NODES: &[Node] = &[
    node("f755", Kind::File("#!/bin/fuzz\n"), 0o755, 0),
    node("f644", Kind::File("data"), 0o644, 0),
    node("f600", Kind::File("secret"), 0o600, 0),
    node("f111", Kind::File("execute only"), 0o111, 0),
    node("f000", Kind::File("nobody"), 0, 0),
    node("f4755", Kind::File("setuid"), 0o4755, 0),
    node("empty", Kind::File(""), 0o755, 0),
    node("busy", Kind::File("open for writing"), 0o755, 0),
    node("u700", Kind::File("user"), 0o700, USER),
    node("u644", Kind::File("user"), 0o644, USER),
    node("u070", Kind::File("not even the user"), 0o070, USER),
    // ACLs are set beside the mode: read and execute for the user; nothing for the user.
    node("acl-yes", Kind::File("acl"), 0o650, 0),
    node("acl-no", Kind::File("acl"), 0o755, 0),
    node("d755", Kind::Dir, 0o755, 0),
    node("d755/a755", Kind::File("a"), 0o755, 0),
    node("d755/a644", Kind::File("a"), 0o644, 0),
    node("d755/sub", Kind::Dir, 0o755, 0),
    node("d755/sub/deep", Kind::File("deep"), 0o755, USER),
    node("d700", Kind::Dir, 0o700, 0),
    node("d700/in", Kind::File("in"), 0o755, 0),
    node("sticky", Kind::Dir, 0o1777, 0),
    node("sticky/root", Kind::File("root"), 0o666, 0),
    node("sticky/user", Kind::File("user"), 0o777, USER),
    node("sticky/fifo", Kind::Fifo, 0o666, 0),
    node("udir", Kind::Dir, 0o755, USER),
    node("udir/mine", Kind::File("mine"), 0o744, USER),
    node("setgid", Kind::Dir, 0o2777, USER),
    node("fifo", Kind::Fifo, 0o666, 0),
    node("fifo755", Kind::Fifo, 0o755, 0),
    node("lonely", Kind::LonelyFifo, 0o777, 0),
    node("socket", Kind::Socket, 0o777, 0),
    node("null", Kind::Char(1, 3), 0o666, 0),
    node("zero", Kind::Char(1, 5), 0o755, 0),
    node("nodev-char", Kind::Char(240, 0), 0o666, 0),
    node("nodev-block", Kind::Block(240, 0), 0o755, 0),
    link("l-file", "f755"),
    link("l-data", "f644"),
    link("l-dir", "d755"),
    link("l-slash", "d755/"),
    link("l-file-slash", "f755/"),
    link("l-abs", "/d755/a755"),
    link("l-up", "d755/../f644"),
    link("l-out", "../../../f755"),
    link("l-dangling", "new"),
    link("l-dangling-dir", "no-dir/new"),
    link("l-loop", "l-loop"),
    link("l-ping", "l-pong"),
    link("l-pong", "l-ping"),
    link("l-exe", "/proc/self/exe"),
    link("l-root", "/proc/self/root"),
    link("l-fd", "/proc/self/fd/107"),
    link("l-lonely", "lonely"),
    link("l-fifo", "fifo"),
    link("l-m", "m/link"),
    link("l-noexec", "m-noexec/x755"),
    link("d755/up", "../f755"),
    link("d755/abs", "/m-noexec/x755"),
    link("sticky/l-user", "user"),
    node("chain", Kind::Dir, 0o755, 0),
];

/// How many links follow each other in `chain`: one more than the kernel follows.
pub const CHAIN: usize = 41;

/// The name of a link in `chain`. No number: a random path may go on from /proc, where
/// a number is a process that one guest has and another has not.
#[must_use]
pub fn chained(number: usize) -> String {
    format!("link{number}")
}

/// The files of the directory that is mounted in several ways.
pub const SHARED: &[Node] = &[
    node("x755", Kind::File("x"), 0o755, 0),
    node("x644", Kind::File("x"), 0o644, 0),
    node("x711", Kind::File("x"), 0o711, 0),
    node("x100", Kind::File("x"), 0o100, USER),
    node("u755", Kind::File("u"), 0o755, USER),
    node("u700", Kind::File("u"), 0o700, USER),
    node("u600", Kind::File("u"), 0o600, USER),
    node("g750", Kind::File("g"), 0o750, USER),
    node("acl-yes", Kind::File("acl"), 0o650, 0),
    node("dir", Kind::Dir, 0o755, 0),
    node("dir/y755", Kind::File("y"), 0o755, 0),
    node("dir/y644", Kind::File("y"), 0o644, USER),
    node("dir/link", Kind::Link("../x755"), 0o777, 0),
    node("open", Kind::Dir, 0o777, 0),
    node("link", Kind::Link("x755"), 0o777, 0),
    node("fifo", Kind::Fifo, 0o777, 0),
    node("null", Kind::Char(1, 3), 0o666, 0),
];

/// A mount of the tree.
#[derive(Debug, Clone, Copy)]
pub struct Mount {
    /// Where it is, below the root of the tree.
    pub path: &'static str,
    /// What is mounted.
    pub source: Source,
    /// Whether it forbids execution.
    pub noexec: bool,
    /// For a noexec mount, the mount of the same files that allows it.
    pub twin: Option<&'static str>,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Another place of the tree, bound with these other restrictions.
    Bind(&'static str, Restriction),
    /// The directory `m`, with root and the user exchanged.
    Idmapped,
    /// An overlay of the directory `lower`.
    Overlay,
    /// procfs.
    Proc,
}

/// What a bind mount takes away, besides execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// Nothing.
    None,
    /// Writing.
    ReadOnly,
    /// Devices.
    NoDev,
    /// Symbolic links.
    NoSymlinks,
}

const fn mount(path: &'static str, source: Source) -> Mount {
    Mount {
        path,
        source,
        noexec: false,
        twin: None,
    }
}

const fn noexec(path: &'static str, twin: &'static str) -> Mount {
    Mount {
        path,
        source: Source::Bind(twin, Restriction::None),
        noexec: true,
        twin: Some(twin),
    }
}

/// The mounts, in the order in which they are made.
pub const MOUNTS: &[Mount] = &[
    mount("proc", Source::Proc),
    noexec("m-noexec", "m"),
    mount("m-ro", Source::Bind("m", Restriction::ReadOnly)),
    mount("m-nodev", Source::Bind("m", Restriction::NoDev)),
    mount("m-nolinks", Source::Bind("m", Restriction::NoSymlinks)),
    mount("m-idmap", Source::Idmapped),
    noexec("m-idmap-noexec", "m-idmap"),
    mount("ovl", Source::Overlay),
    noexec("ovl-noexec", "ovl"),
    noexec("file-noexec", "f4755"),
];

/// The directories that hold [`SHARED`]: the first is built, the others are mounts of it
/// or of a copy.
pub const SHARED_AT: &[&str] = &[
    "m",
    "m-noexec",
    "m-ro",
    "m-nodev",
    "m-nolinks",
    "m-idmap",
    "m-idmap-noexec",
    "ovl",
    "ovl-noexec",
];

/// A descriptor that every caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A directory of the tree.
    Dir(&'static str),
    /// A file, open for reading.
    Read(&'static str),
    /// A file, open for writing.
    Write(&'static str),
    /// Anything, opened with O_PATH, a link not followed.
    Path(&'static str),
    /// A memory file with these permissions.
    Memfd(u32),
    /// A pidfd of the caller.
    Pidfd,
    /// An eventfd.
    Eventfd,
    /// A pipe's end to read from.
    PipeRead,
    /// The end to write to of the pipe before.
    PipeWrite,
    /// A socket that has no name.
    Socket,
    /// An executable file that has lost its name.
    Deleted,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(path) => write!(f, "/{path}"),
            Self::Read(path) => write!(f, "/{path}, to read"),
            Self::Write(path) => write!(f, "/{path}, to write"),
            Self::Path(path) => write!(f, "/{path}, O_PATH"),
            Self::Memfd(mode) => write!(f, "memfd {mode:o}"),
            Self::Pidfd => f.write_str("pidfd"),
            Self::Eventfd => f.write_str("eventfd"),
            Self::PipeRead => f.write_str("pipe, to read"),
            Self::PipeWrite => f.write_str("pipe, to write"),
            Self::Socket => f.write_str("socket"),
            Self::Deleted => f.write_str("deleted file"),
        }
    }
}

/// The number of the first of [`HELD`]; the others follow without a gap.
pub const FIRST_FD: i32 = 100;
/// A number that no descriptor has.
pub const CLOSED_FD: i32 = 999;

/// The descriptors that every caller has.
pub const HELD: &[Held] = &[
    Held::Dir(""),
    Held::Dir("d755"),
    Held::Dir("m"),
    Held::Dir("m-noexec"),
    Held::Path("d755"),
    Held::Path("f755"),
    Held::Path("l-file"),
    Held::Read("f755"),
    Held::Write("busy"),
    Held::Path("m-noexec/x755"),
    Held::Memfd(0o777),
    Held::Memfd(0o666),
    Held::Pidfd,
    Held::Eventfd,
    Held::PipeRead,
    Held::PipeWrite,
    Held::Socket,
    Held::Read("proc/self/ns/uts"),
    Held::Deleted,
    Held::Path("fifo"),
    Held::Dir("ovl"),
    Held::Dir("m-idmap"),
    Held::Dir("proc/self"),
    Held::Path("d700"),
    Held::Path("socket"),
    Held::Path("zero"),
    Held::Path("m-idmap-noexec/u700"),
    Held::Read("d700/in"),
];

/// Whether there is a directory at a path of the tree.
#[must_use]
pub fn is_dir(path: &str) -> bool {
    path.is_empty()
        || SHARED_AT.contains(&path)
        || NODES
            .iter()
            .any(|node| node.path == path && node.kind == Kind::Dir)
}

/// Every path of the tree, in an order that does not change.
#[must_use]
pub fn paths() -> Vec<String> {
    let mut paths: Vec<String> = vec![String::new(), "bin/fuzz".to_owned()];
    paths.extend(NODES.iter().map(|node| node.path.to_owned()));
    paths.extend((0..CHAIN).map(|number| format!("chain/{}", chained(number))));
    for at in SHARED_AT {
        paths.push((*at).to_owned());
        paths.extend(SHARED.iter().map(|node| format!("{at}/{}", node.path)));
    }
    paths.push("file-noexec".to_owned());
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_process_below_proc() {
        for path in paths() {
            assert!(
                path.split('/').all(|name| name.parse::<u32>().is_err()),
                "{path}"
            );
        }
    }
}
