// SPDX-License-Identifier: GPL-2.0

//! What user space can see of a file, without opening it.
//!
//! This estimates what the kernel would say: modes, ACLs and the capability to
//! override them. Security modules, idmapped mounts and servers may know better.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FileType, Stat, StatVfsMountFlags};
use rustix::io::Errno;

/// The bit of CAP_DAC_OVERRIDE in a set of capabilities.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

/// Somebody who may or may not execute a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// The user.
    pub(crate) uid: u32,
    /// The groups.
    pub(crate) gids: Vec<u32>,
    /// Whether CAP_DAC_OVERRIDE overrides all but the absence of any execute bit.
    pub(crate) overrides: bool,
    /// What owners that the user namespace does not map look like; none in a namespace that
    /// maps all. The capability does not reach their files.
    pub(crate) unmapped: Option<[u32; 2]>,
}

impl Who {
    /// The calling thread: what counts is its IDs for file systems.
    pub(crate) fn caller() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/thread-self/status")?;
        let mut who = Self::parse(&text)
            .ok_or_else(|| std::io::Error::other("/proc/thread-self/status is incomplete"))?;
        who.unmapped = unmapped()?;
        Ok(who)
    }

    fn parse(status: &str) -> Option<Self> {
        let words = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::split_whitespace)
        };
        let uid = words("Uid:")?.nth(3)?.parse().ok()?;
        let mut gids = vec![words("Gid:")?.nth(3)?.parse().ok()?];
        for gid in words("Groups:")? {
            gids.push(gid.parse().ok()?);
        }
        let caps = u64::from_str_radix(words("CapEff:")?.next()?, 16).ok()?;
        Some(Self {
            uid,
            gids,
            overrides: caps & CAP_DAC_OVERRIDE != 0,
            unmapped: None,
        })
    }

    /// Whether the capability counts for a file of these owners. An owner that is mapped to
    /// the number of the unmapped ones cannot be told from them: the answer is no, then.
    fn reaches(&self, uid: u32, gid: u32) -> bool {
        self.overrides
            && self
                .unmapped
                .is_none_or(|unmapped| uid != unmapped[0] && gid != unmapped[1])
    }

    /// Whether `mode`, the owners and the ACL let this one execute a regular file.
    pub(crate) fn may_execute(&self, mode: u32, uid: u32, gid: u32, acl: Option<&Acl>) -> bool {
        if self.reaches(uid, gid) && mode & 0o111 != 0 {
            return true;
        }
        if self.uid == uid {
            return mode & 0o100 != 0;
        }
        match acl {
            // The group bits of a file with an ACL are its mask: without x there, only
            // the owner and others can have it, and the kernel does not look further.
            Some(acl) if mode & 0o070 != 0 => acl.may_execute(self, gid, mode),
            _ if self.gids.contains(&gid) => mode & 0o010 != 0,
            _ => mode & 0o001 != 0,
        }
    }
}

/// The numbers of owners that are not mapped, if some are not.
fn unmapped() -> std::io::Result<Option<[u32; 2]>> {
    let all = |map: &str| -> std::io::Result<bool> {
        let text = std::fs::read_to_string(format!("/proc/thread-self/{map}"))?;
        Ok(text.split_whitespace().eq(["0", "0", "4294967295"]))
    };
    if all("uid_map")? && all("gid_map")? {
        return Ok(None);
    }
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
        // The kernel's default.
        text.and_then(|text| text.trim().parse().ok())
            .unwrap_or(65534)
    };
    Ok(Some([number("overflowuid"), number("overflowgid")]))
}

/// A POSIX access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// Tags of the kernel's include/uapi/linux/posix_acl.h.
mod tag {
    pub(super) const USER: u16 = 0x02;
    pub(super) const GROUP_OBJ: u16 = 0x04;
    pub(super) const GROUP: u16 = 0x08;
    pub(super) const MASK: u16 = 0x10;
}

/// Execute, in an entry's permissions.
const X: u16 = 1;

impl Acl {
    /// The attribute that holds an ACL.
    pub(crate) const NAME: &'static str = "system.posix_acl_access";

    /// Reads the attribute's value.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let entries = value.strip_prefix(&2u32.to_le_bytes())?;
        if entries.len() % 8 != 0 {
            return None;
        }
        let entry = |bytes: &[u8]| {
            Some(Entry {
                tag: u16::from_le_bytes(bytes[..2].try_into().ok()?),
                perm: u16::from_le_bytes(bytes[2..4].try_into().ok()?),
                id: u32::from_le_bytes(bytes[4..].try_into().ok()?),
            })
        };
        entries
            .chunks_exact(8)
            .map(entry)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The rule of acl(5) for those who do not own the file.
    fn may_execute(&self, who: &Who, owning_group: u32, mode: u32) -> bool {
        let mask = self
            .0
            .iter()
            .find(|entry| entry.tag == tag::MASK)
            .map_or(X, |entry| entry.perm);
        if let Some(own) = self
            .0
            .iter()
            .find(|entry| entry.tag == tag::USER && entry.id == who.uid)
        {
            return own.perm & mask & X != 0;
        }
        let mut groups = self.0.iter().filter(|entry| match entry.tag {
            tag::GROUP_OBJ => who.gids.contains(&owning_group),
            tag::GROUP => who.gids.contains(&entry.id),
            _ => false,
        });
        // One group that allows it is enough; if none of several does, others' bits
        // do not count.
        let mut matched = false;
        if groups.any(|entry| {
            matched = true;
            entry.perm & mask & X != 0
        }) {
            return true;
        }
        !matched && mode & 0o001 != 0
    }
}

/// The type, the mount and the permissions of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Owners, mode and identity.
    pub(crate) stat: Stat,
    /// Whether the mount is noexec.
    pub(crate) noexec: bool,
    /// Whether a server or a daemon may decide otherwise than the mode and the ACL say.
    pub(crate) remote: bool,
    /// Whether mode, ACL and capabilities give execute permission.
    pub(crate) executable: bool,
}

impl Facts {
    /// Looks at an open file; `O_PATH` is enough.
    pub(crate) fn of(file: impl AsFd, who: &Who) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&file)?;
        let noexec = is_noexec(&file)?;
        let acl = acl(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
        Ok(Self {
            stat,
            noexec,
            remote: REMOTE.contains(&kind(&file)?),
            executable: who.may_execute(stat.st_mode, stat.st_uid, stat.st_gid, acl.as_ref()),
        })
    }

    /// Whether it is a regular file.
    pub(crate) fn is_regular(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }
}

/// Kinds of filesystems that hold no files of anybody's, by the numbers of
/// `include/uapi/linux/magic.h`: proc, sysfs, the two of control groups, debugfs, tracefs,
/// securityfs, bpf, pstore, configfs, efivarfs, mqueue, binfmt_misc, devpts, selinuxfs,
/// smackfs, fusectl, hugetlbfs, nsfs.
const PSEUDO: [u32; 19] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x6165_676c,
    0x6265_6570,
    0xde5e_81e4,
    0x1980_0202,
    0x4249_4e4d,
    0x1cd1,
    0xf97c_ff8c,
    0x4341_5d53,
    0x6573_5543,
    0x9584_58f6,
    0x6e73_6673,
];

/// Kinds of filesystems of which somebody else knows who may execute a file: NFS, SMB and
/// CIFS, FUSE, 9p, AFS (two), Ceph, Coda, Lustre, the shared folders of VirtualBox.
const REMOTE: [u32; 12] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x5346_414f,
    0x6b41_4653,
    0x00c3_6400,
    0x7375_7245,
    0x0bd0_0bd0,
    0x786f_4256,
];

/// The number of the kind of filesystem.
fn kind(file: impl AsFd) -> Result<u32, Errno> {
    let kind = i128::from(rustix::fs::fstatfs(file)?.f_type);
    // Signed or not, and of several sizes, as the architecture has it.
    Ok((kind & i128::from(u32::MAX)) as u32)
}

/// Whether the flags of the mount say noexec.
pub(crate) fn is_noexec(file: impl AsFd) -> Result<bool, Errno> {
    let flags = rustix::fs::fstatvfs(file)?.f_flag;
    Ok(flags.contains(StatVfsMountFlags::NOEXEC))
}

/// Whether the file is one of the kernel's own: reading it may have effects.
pub(crate) fn is_pseudo(file: impl AsFd) -> Result<bool, Errno> {
    Ok(PSEUDO.contains(&kind(file)?))
}

/// The ACL of the file that `path` leads to, if it has one that can be read.
pub(crate) fn acl(path: impl rustix::path::Arg) -> Option<Acl> {
    let mut value = [0; 4096];
    let length = rustix::fs::getxattr(path, Acl::NAME, &mut value).ok()?;
    Acl::parse(&value[..length])
}

/// Whether whoever executes what `path` leads to gains capabilities of the file.
pub(crate) fn has_capabilities(path: impl rustix::path::Arg) -> bool {
    // The three versions of the attribute have at most 24 bytes.
    let mut value = [0; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, gids: &[u32]) -> Who {
        Who {
            uid,
            gids: gids.to_vec(),
            overrides: false,
            unmapped: None,
        }
    }

    #[test]
    fn the_first_class_that_matches_decides() {
        let (owner, member, other) = (user(1, &[9]), user(2, &[7]), user(3, &[9]));
        for (mode, expected) in [
            (0o100, [true, false, false]),
            (0o010, [false, true, false]),
            (0o001, [false, false, true]),
            (0o644, [false, false, false]),
            (0o755, [true, true, true]),
        ] {
            let answers = [&owner, &member, &other].map(|who| who.may_execute(mode, 1, 7, None));
            assert_eq!(answers, expected, "{mode:o}");
        }
    }

    #[test]
    fn the_capability_needs_some_bit() {
        let root = Who {
            overrides: true,
            ..user(0, &[0])
        };
        assert!(!root.may_execute(0o644, 1, 1, None));
        assert!(root.may_execute(0o645, 1, 1, None));
    }

    #[test]
    fn the_capability_does_not_reach_unmapped_owners() {
        let root = Who {
            overrides: true,
            unmapped: Some([65534, 65534]),
            ..user(0, &[0])
        };
        assert!(root.may_execute(0o744, 0, 0, None));
        assert!(root.may_execute(0o654, 1, 1, None));
        assert!(!root.may_execute(0o744, 65534, 0, None));
        assert!(!root.may_execute(0o754, 1, 65534, None));
        assert!(root.may_execute(0o755, 65534, 65534, None), "others");
    }

    #[test]
    fn proc_is_the_kernel_s_own() {
        let file = std::fs::File::open("/proc/version").unwrap();
        assert!(is_pseudo(&file).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::open(dir.path()).unwrap();
        assert!(!is_pseudo(&file).unwrap());
    }

    #[test]
    fn an_acl_decides_for_named_users_and_groups() {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in [
            (1u16, 6u16, u32::MAX),
            (2, 5, 10),
            (2, 4, 11),
            (4, 4, u32::MAX),
            (8, 5, 20),
            (0x10, 5, u32::MAX),
            (0x20, 5, u32::MAX),
        ] {
            value.extend(tag.to_le_bytes());
            value.extend(perm.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let acl = Acl::parse(&value).unwrap();
        let may = |who: Who, mode| who.may_execute(mode, 1, 7, Some(&acl));
        assert!(may(user(10, &[]), 0o655), "a named user");
        assert!(!may(user(11, &[]), 0o655), "a named user without x");
        assert!(!may(user(12, &[7]), 0o655), "the owning group");
        assert!(may(user(12, &[20]), 0o655), "a named group");
        assert!(may(user(12, &[7, 20]), 0o655), "one of two groups");
        assert!(may(user(12, &[]), 0o655), "others");
        assert!(!may(user(1, &[20]), 0o655), "the owner");
        assert_eq!(Acl::parse(&value[..value.len() - 1]), None);
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), None);
    }

    #[test]
    fn the_caller_is_read_from_proc() {
        let status = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n\
                      CapEff:\t0000000000000002\n";
        let who = Who::parse(status).unwrap();
        assert_eq!(
            (who.uid, who.gids, who.overrides),
            (4, vec![8, 9, 10], true)
        );
        assert_eq!(Who::parse("Uid:\t1\n"), None);
    }
}
