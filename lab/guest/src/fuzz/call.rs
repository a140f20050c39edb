// SPDX-License-Identifier: GPL-2.0

//! One random call: how it is made from a seed and a number, and how it reads.

use std::fmt;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use uapi::{O_EMPTYPATH, O_MAYEXEC, OPENAT2_REGULAR};

use crate::fuzz::tree::{self, Held};

/// The system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// open(2).
    Open,
    /// openat(2).
    Openat,
    /// creat(2).
    Creat,
    /// openat2(2).
    Openat2,
    /// IORING_OP_OPENAT2.
    Uring,
}

/// A call to open something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The system call.
    pub entry: Entry,
    /// The directory's descriptor.
    pub dir: i32,
    /// The path.
    pub path: String,
    /// `how->flags`.
    pub flags: u64,
    /// `how->mode`.
    pub mode: u64,
    /// `how->resolve`.
    pub resolve: u64,
    /// The size of `struct open_how`.
    pub size: usize,
    /// Whether what is behind the known part of the struct has a bit that is not zero.
    pub tail: bool,
}

const fn bits(flags: i32) -> u64 {
    flags as u32 as u64
}

/// The part of O_TMPFILE that is not O_DIRECTORY.
pub const TMPFILE_BIT: u64 = bits(libc::O_TMPFILE & !libc::O_DIRECTORY);
/// What O_SYNC has and O_DSYNC has not.
const SYNC_BIT: u64 = bits(libc::O_SYNC & !libc::O_DSYNC);
/// O_LARGEFILE of the kernel; libc's is 0.
const LARGEFILE: u64 = 0o100_000;

/// The flags besides the access mode, by name.
const FLAGS: &[(&str, u64)] = &[
    ("O_CREAT", bits(libc::O_CREAT)),
    ("O_EXCL", bits(libc::O_EXCL)),
    ("O_NOCTTY", bits(libc::O_NOCTTY)),
    ("O_TRUNC", bits(libc::O_TRUNC)),
    ("O_APPEND", bits(libc::O_APPEND)),
    ("O_NONBLOCK", bits(libc::O_NONBLOCK)),
    ("O_DSYNC", bits(libc::O_DSYNC)),
    ("O_ASYNC", bits(libc::O_ASYNC)),
    ("O_DIRECT", bits(libc::O_DIRECT)),
    ("O_LARGEFILE", LARGEFILE),
    ("O_DIRECTORY", bits(libc::O_DIRECTORY)),
    ("O_NOFOLLOW", bits(libc::O_NOFOLLOW)),
    ("O_NOATIME", bits(libc::O_NOATIME)),
    ("O_CLOEXEC", bits(libc::O_CLOEXEC)),
    ("__O_SYNC", SYNC_BIT),
    ("O_PATH", bits(libc::O_PATH)),
    ("__O_TMPFILE", TMPFILE_BIT),
    ("O_EMPTYPATH", O_EMPTYPATH),
    ("OPENAT2_REGULAR", OPENAT2_REGULAR),
    ("O_MAYEXEC", O_MAYEXEC),
];

/// What O_MAYEXEC does not go with, besides a write mode.
pub const NOT_WITH_MAYEXEC: u64 = bits(libc::O_ACCMODE)
    | bits(libc::O_CREAT)
    | bits(libc::O_TRUNC)
    | bits(libc::O_APPEND)
    | bits(libc::O_PATH)
    | bits(libc::O_DIRECTORY)
    | TMPFILE_BIT;

const RESOLVE: &[(&str, u64)] = &[
    ("RESOLVE_NO_XDEV", 0x01),
    ("RESOLVE_NO_MAGICLINKS", 0x02),
    ("RESOLVE_NO_SYMLINKS", 0x04),
    ("RESOLVE_BENEATH", 0x08),
    ("RESOLVE_IN_ROOT", 0x10),
    ("RESOLVE_CACHED", 0x20),
];

impl Call {
    /// The size of the known `struct open_how`.
    pub const SIZE: usize = 24;

    /// The struct as it is in memory, as long as it says.
    #[must_use]
    pub fn how(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size.max(Self::SIZE));
        for word in [self.flags, self.mode, self.resolve] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.resize(self.size, 0);
        if self.tail
            && self.size > Self::SIZE
            && let Some(last) = bytes.last_mut()
        {
            *last = 1;
        }
        bytes
    }

    /// Whether the call takes the flags that do not fit into an int.
    #[must_use]
    pub fn takes_how(&self) -> bool {
        matches!(self.entry, Entry::Openat2 | Entry::Uring)
    }

    /// Whether the call could change the tree if it got that far.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.entry == Entry::Creat
            || self.flags & (bits(libc::O_CREAT) | bits(libc::O_TRUNC) | TMPFILE_BIT) != 0
    }

    /// Whether the call could cut a file that it opens.
    #[must_use]
    pub fn may_cut(&self) -> bool {
        self.entry == Entry::Creat || self.flags & bits(libc::O_TRUNC) != 0
    }

    /// The same call with other flags.
    #[must_use]
    pub fn with_flags(&self, flags: u64) -> Self {
        Self {
            flags,
            ..self.clone()
        }
    }

    /// Whether the path leads to a FIFO for which nobody waits.
    #[must_use]
    pub fn is_lonely(&self) -> bool {
        self.path.contains(tree::LONELY)
    }
}

/// Flags as C writes them.
fn words(mut bits: u64, names: &[(&str, u64)], first: Option<&str>) -> String {
    let mut words: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
    for (name, bit) in names {
        if bits & bit != 0 {
            words.push((*name).to_owned());
            bits &= !bit;
        }
    }
    if bits != 0 || words.is_empty() {
        words.push(format!("{bits:#x}"));
    }
    words.join("|")
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = bits(libc::O_ACCMODE);
        let access = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_WRONLY|O_RDWR"]
            [usize::try_from(self.flags & mode).unwrap_or(0)];
        let flags = words(self.flags & !mode, FLAGS, Some(access));
        let dir = match usize::try_from(self.dir - tree::FIRST_FD) {
            Ok(held) if held < tree::HELD.len() => format!("{} = {}", self.dir, tree::HELD[held]),
            _ if self.dir == libc::AT_FDCWD => "AT_FDCWD".to_owned(),
            _ => self.dir.to_string(),
        };
        let path = if self.path.len() > 200 {
            format!("a path of {} bytes", self.path.len())
        } else {
            format!("{:?}", self.path)
        };
        match self.entry {
            Entry::Open => write!(f, "open({path}, {flags}, {:#o})", self.mode),
            Entry::Openat => write!(f, "openat({dir}, {path}, {flags}, {:#o})", self.mode),
            Entry::Creat => write!(f, "creat({path}, {:#o})", self.mode),
            Entry::Openat2 | Entry::Uring => write!(
                f,
                "{}({dir}, {path}, {flags}, mode {:#o}, {}, size {}{})",
                if self.entry == Entry::Uring {
                    "IORING_OP_OPENAT2"
                } else {
                    "openat2"
                },
                self.mode,
                words(self.resolve, RESOLVE, None),
                self.size,
                if self.tail { ", tail not zero" } else { "" }
            ),
        }
    }
}

/// Makes calls.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    oracle: bool,
    paths: Vec<String>,
    /// The paths that the mounts hold, and the others.
    mounted: Vec<String>,
    others: Vec<String>,
    /// For each of the held descriptors, whether it is of a directory, and the paths below.
    held: Vec<(bool, Vec<String>)>,
}

impl Generator {
    /// Calls that do not have O_MAYEXEC.
    #[must_use]
    pub fn differential(seed: u64) -> Self {
        let paths = tree::paths();
        let (mounted, others) = paths
            .iter()
            .cloned()
            .partition(|path| path.starts_with('m') || path.starts_with("ovl"));
        let held = tree::HELD.iter().map(|held| {
            let (is_dir, at) = match held {
                Held::Dir(path) => (true, *path),
                Held::Path(path) => (tree::is_dir(path), *path),
                _ => (false, ""),
            };
            let below = |path: &String| {
                let below = path.strip_prefix(at)?.strip_prefix('/')?;
                Some(below.to_owned())
            };
            (is_dir, paths.iter().filter_map(below).collect())
        });
        Self {
            seed,
            oracle: false,
            held: held.collect(),
            mounted,
            others,
            paths,
        }
    }

    /// Calls that have O_MAYEXEC, and mostly what goes with it.
    #[must_use]
    pub fn oracle(seed: u64) -> Self {
        Self {
            oracle: true,
            ..Self::differential(seed)
        }
    }

    /// What the calls are made from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The call with this number: it depends on nothing but that and the seed.
    #[must_use]
    pub fn call(&self, number: u64) -> Call {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let entry = if self.oracle {
            *pick(&mut rng, &[(Entry::Openat2, 9), (Entry::Uring, 1)])
        } else {
            *pick(
                &mut rng,
                &[
                    (Entry::Open, 15),
                    (Entry::Openat, 15),
                    (Entry::Creat, 3),
                    (Entry::Openat2, 60),
                    (Entry::Uring, 7),
                ],
            )
        };
        let upper = matches!(entry, Entry::Openat2 | Entry::Uring);
        let (dir, path) = self.place(&mut rng);
        let mut flags = self.flags(&mut rng, upper);
        if path.is_empty() && rng.random_ratio(3, 4) {
            flags |= O_EMPTYPATH;
        }
        let creates = entry == Entry::Creat || flags & (bits(libc::O_CREAT) | TMPFILE_BIT) != 0;
        // openat2(2) wants no mode where none is needed.
        let odd = rng.random_ratio(1, 25);
        let mode = if !upper || creates != odd {
            mode(&mut rng, odd)
        } else {
            0
        };
        let resolve = if upper { resolve(&mut rng) } else { 0 };
        let (size, tail) = if entry == Entry::Openat2 {
            size(&mut rng)
        } else {
            (Call::SIZE, false)
        };
        if self.oracle {
            flags |= O_MAYEXEC;
        } else {
            flags &= !O_MAYEXEC;
        }
        let mut call = Call {
            entry,
            dir,
            path,
            flags,
            mode,
            resolve,
            size,
            tail,
        };
        if call.is_lonely() {
            if call.entry == Entry::Creat {
                // creat(2) cannot be told not to wait.
                call.entry = Entry::Openat;
                call.flags = bits(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC);
            }
            call.flags |= bits(libc::O_NONBLOCK);
        }
        call
    }

    fn flags(&self, rng: &mut ChaCha8Rng, upper: bool) -> u64 {
        if rng.random_ratio(1, 40) {
            // Anything at all.
            let flags = rng.random::<u64>() & rng.random::<u64>();
            return if upper { flags } else { flags & 0xffff_ffff };
        }
        let mut flags = if self.oracle {
            *pick(rng, &[(0, 94), (1, 2), (2, 2), (3, 2)])
        } else {
            *pick(rng, &[(0, 55), (1, 16), (2, 25), (3, 4)])
        };
        if rng.random_ratio(1, 6) {
            return flags;
        }
        // How often in 100 calls a flag is there.
        let often = |flag: u64| -> u32 {
            let refused = self.oracle && flag & NOT_WITH_MAYEXEC != 0;
            match flag {
                O_MAYEXEC | SYNC_BIT => 0,
                _ if refused => 2,
                O_EMPTYPATH => 15,
                OPENAT2_REGULAR if upper => 10,
                OPENAT2_REGULAR => 0,
                TMPFILE_BIT => 0,
                _ if flag == bits(libc::O_CREAT) => 16,
                _ if flag == bits(libc::O_TRUNC) => 7,
                _ if flag == bits(libc::O_DIRECT) => 4,
                _ if flag == bits(libc::O_NOATIME) => 5,
                _ if flag == bits(libc::O_PATH) => 6,
                _ => 9,
            }
        };
        for &(_, flag) in FLAGS {
            if rng.random_ratio(often(flag), 100) {
                flags |= flag;
            }
        }
        if rng.random_ratio(if self.oracle { 1 } else { 5 }, 100) {
            flags |= TMPFILE_BIT | bits(libc::O_DIRECTORY);
            // O_TMPFILE goes with nothing that names a file.
            flags &= !bits(libc::O_CREAT | libc::O_PATH);
        }
        if rng.random_ratio(3, 100) {
            flags |= SYNC_BIT;
        }
        if rng.random_ratio(2, 100) {
            flags |= 1 << rng.random_range(0..if upper { 64 } else { 32 });
        }
        flags
    }

    /// A directory and a path.
    fn place(&self, rng: &mut ChaCha8Rng) -> (i32, String) {
        let held = rng.random_range(0..tree::HELD.len());
        let number = tree::FIRST_FD + i32::try_from(held).unwrap_or(0);
        let dir = match rng.random_range(0..100) {
            0..50 => libc::AT_FDCWD,
            50..95 => number,
            95..97 => -1,
            97..99 => tree::CLOSED_FD,
            _ => rng.random(),
        };
        let (is_dir, below) = &self.held[held];
        let below: &[String] = if dir == number { below } else { &[] };
        if dir == number && !is_dir && !rng.random_ratio(1, 10) {
            // Relative paths lead nowhere: the descriptor itself, or not the descriptor.
            let path = match rng.random_range(0..10) {
                0..6 => String::new(),
                6..8 => format!("/{}", self.near(rng, &[])),
                _ => format!("/proc/self/fd/{number}"),
            };
            return (dir, path);
        }
        let path = match rng.random_range(0..100) {
            // Nothing, which O_EMPTYPATH allows.
            0..8 => String::new(),
            // A magic link.
            8..18 => self.magic(rng),
            18..19 => too_long(rng),
            // Random parts.
            19..25 => {
                let parts = rng.random_range(1..6);
                let parts: Vec<&str> = (0..parts).map(|_| self.part(rng)).collect();
                parts.join("/")
            }
            _ => self.near(rng, below),
        };
        if path.is_empty() {
            return (dir, path);
        }
        (dir, self.disguise(rng, path))
    }

    /// A path of the tree, one of `below` if there is any.
    fn near(&self, rng: &mut ChaCha8Rng, below: &[String]) -> String {
        let choices = if !below.is_empty() && rng.random_ratio(4, 5) {
            below
        } else if rng.random_ratio(1, 2) {
            &self.mounted
        } else {
            &self.others
        };
        choices.choose(rng).cloned().unwrap_or_default()
    }

    /// A link of procfs that is not a path.
    fn magic(&self, rng: &mut ChaCha8Rng) -> String {
        let root = if rng.random_ratio(1, 8) { "" } else { "/" };
        let held = rng.random_range(0..tree::HELD.len());
        let number = tree::FIRST_FD + i32::try_from(held).unwrap_or(0);
        let link = match rng.random_range(0..100) {
            0..45 => format!("fd/{number}"),
            45..55 => format!("fd/{number}/{}", self.part(rng)),
            55..65 => "exe".to_owned(),
            65..75 => format!("root/{}", self.near(rng, &[])),
            75..82 => format!("cwd/{}", self.near(rng, &[])),
            82..86 => "ns/uts".to_owned(),
            86..90 => "status".to_owned(),
            90..93 => "mem".to_owned(),
            93..96 => "fd".to_owned(),
            _ => format!("fd/{}", tree::CLOSED_FD),
        };
        format!("{root}proc/self/{link}")
    }

    fn part(&self, rng: &mut ChaCha8Rng) -> &str {
        const PARTS: &[&str] = &[
            "..", "..", ".", "", "new", "d755", "m", "m-noexec", "sticky", "udir", "l-dir",
            "l-root", "x755", "f755", "l-out", "ovl", "sub", "proc", "self",
        ];
        if rng.random_ratio(3, 4) {
            return PARTS.choose(rng).copied().unwrap_or(".");
        }
        let path = self.paths.choose(rng).map_or(".", String::as_str);
        path.rsplit('/').next().unwrap_or(".")
    }

    /// The same path, or nearly, in other words.
    fn disguise(&self, rng: &mut ChaCha8Rng, path: String) -> String {
        match rng.random_range(0..100) {
            0..3 => format!("{path}/"),
            3..9 => format!("./{path}"),
            9..15 => format!("/{path}"),
            15..19 => format!("d755/../{path}"),
            19..22 => format!("l-dir/../{path}"),
            22..26 => format!("../{path}"),
            26..27 => format!("{path}/."),
            27..29 => format!("{path}/.."),
            29..32 => path.replace('/', "//"),
            32..34 => format!("/proc/self/root/{path}"),
            // A name that is not there yet.
            34..38 => match path.rsplit_once('/') {
                Some((dir, _)) => format!("{dir}/new"),
                None => "new".to_owned(),
            },
            38..39 => format!("{path}/new"),
            39..40 => format!("{path}x"),
            _ => path,
        }
    }
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, choices: &'a [(T, u32)]) -> &'a T {
    let sum = choices.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..sum);
    for (choice, weight) in choices {
        if left < *weight {
            return choice;
        }
        left -= weight;
    }
    &choices[0].0
}

fn mode(rng: &mut ChaCha8Rng, odd: bool) -> u64 {
    match rng.random_range(0..10) {
        0..4 => *[0o644, 0o755, 0o600, 0o777, 0o4755, 0o1777, 0o2711]
            .choose(rng)
            .unwrap_or(&0o644),
        4..9 => u64::from(rng.random::<u16>() & 0o7777),
        _ if odd => rng.random(),
        _ => 0,
    }
}

fn resolve(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_range(0..100) {
        0..60 => 0,
        60..96 => {
            let one = |rng: &mut ChaCha8Rng| RESOLVE.choose(rng).map_or(0, |&(_, bit)| bit);
            let first = one(rng);
            if rng.random_ratio(1, 3) {
                first | one(rng)
            } else {
                first
            }
        }
        96..98 => rng.random_range(0..64),
        _ => 1 << rng.random_range(0..64),
    }
}

fn size(rng: &mut ChaCha8Rng) -> (usize, bool) {
    match rng.random_range(0..100) {
        0..90 => (Call::SIZE, false),
        90..92 => (rng.random_range(0..Call::SIZE), false),
        92..95 => (rng.random_range(Call::SIZE + 1..256), false),
        95..98 => (rng.random_range(Call::SIZE + 1..256), true),
        // A page is the limit.
        _ => (rng.random_range(4000..4200), rng.random_ratio(1, 2)),
    }
}

fn too_long(rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..3) {
        0 => "n".repeat(rng.random_range(250..262)),
        1 => "./".repeat(rng.random_range(2040..2052)) + "f755",
        _ => "d755/../".repeat(rng.random_range(1..512)) + "f755",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_calls() {
        let (one, other) = (Generator::differential(1), Generator::differential(1));
        let calls: Vec<Call> = (0..200).map(|number| one.call(number)).collect();
        // Backwards: no call depends on those before it.
        for number in (0..200).rev() {
            assert_eq!(other.call(number as u64), calls[number]);
        }
        let another = Generator::differential(2);
        assert!((0..200).any(|number| another.call(number as u64) != calls[number]));
    }

    #[test]
    fn the_calls_of_a_seed_stay_the_same_when_crates_change() {
        use sha2::{Digest, Sha256};
        let mut digest = Sha256::new();
        let generator = Generator::differential(1);
        for number in 0..1000 {
            digest.update(generator.call(number).to_string());
        }
        // A change of the generator changes this; one of a crate must not.
        assert_eq!(hex(&digest.finalize()[..4]), "25f81250");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn only_the_oracle_s_calls_have_the_flag() {
        for number in 0..1000 {
            assert_eq!(Generator::differential(5).call(number).flags & O_MAYEXEC, 0);
            let call = Generator::oracle(5).call(number);
            assert_ne!(call.flags & O_MAYEXEC, 0);
            assert!(call.takes_how());
        }
    }

    #[test]
    fn nothing_waits_for_a_lonely_fifo() {
        let (mut seen, mut entries) = (0, 0);
        let generator = Generator::differential(9);
        for number in 0..5000 {
            let call = generator.call(number);
            if call.is_lonely() {
                seen += 1;
                assert_ne!(call.flags & bits(libc::O_NONBLOCK), 0);
                assert_ne!(call.entry, Entry::Creat);
            }
            entries |= 1 << call.entry as u32;
        }
        assert!(seen > 10);
        assert_eq!(entries, 0b11111);
    }

    #[test]
    fn every_flag_and_path_occurs() {
        let generator = Generator::differential(4);
        let calls: Vec<Call> = (0..20_000).map(|number| generator.call(number)).collect();
        for (name, flag) in FLAGS.iter().filter(|(name, _)| *name != "O_MAYEXEC") {
            assert!(calls.iter().any(|call| call.flags & flag != 0), "{name}");
        }
        for (name, flag) in RESOLVE {
            assert!(calls.iter().any(|call| call.resolve & flag != 0), "{name}");
        }
        for path in tree::paths() {
            assert!(calls.iter().any(|call| call.path == path), "{path}");
        }
        for upper in 34..64 {
            assert!(calls.iter().any(|call| call.flags & 1 << upper != 0));
        }
    }

    #[test]
    fn the_struct_is_laid_out() {
        let mut call = Generator::oracle(1).call(0);
        (call.flags, call.mode, call.resolve) = (1 << 33, 2, 3);
        (call.size, call.tail) = (26, true);
        let how = call.how();
        assert_eq!(how.len(), 26);
        assert_eq!(how[..8], (1_u64 << 33).to_ne_bytes());
        assert_eq!((how[8], how[16], how[24], how[25]), (2, 3, 0, 1));
        call.size = 5;
        assert_eq!(call.how().len(), 5);
    }

    #[test]
    fn a_call_reads_like_c() {
        let call = Call {
            entry: Entry::Openat2,
            dir: 103,
            path: "x755".to_owned(),
            flags: O_MAYEXEC | bits(libc::O_CLOEXEC) | 1 << 40,
            mode: 0o755,
            resolve: 9,
            size: 24,
            tail: false,
        };
        assert_eq!(
            call.to_string(),
            "openat2(103 = /m-noexec, \"x755\", O_RDONLY|O_CLOEXEC|O_MAYEXEC|0x10000000000, \
             mode 0o755, RESOLVE_NO_XDEV|RESOLVE_BENEATH, size 24)"
        );
    }
}
