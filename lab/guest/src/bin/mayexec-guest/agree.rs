// SPDX-License-Identifier: GPL-2.0

//! What the command says of files beside the kernel's own answer, for a tree with every
//! combination of owner, group, execute bits and ACL, as root and as somebody else.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mayexec::{Guarantee, LOG_ONLY};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::{Gid, Uid};
use serde_json::Value;

use crate::Checks;
use crate::scene::{Policy, Scene, denied_files, put};
use crate::watch::{Watch, events, traceable};

/// A user of every Debian system, with a group of the same number.
const USER: (&str, u32) = ("www-data", 33);

/// A group that the user is made a member of.
const GROUP: u32 = 4242;

/// The attribute that holds an ACL.
const ACL: &str = "system.posix_acl_access";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Root,
    User,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => USER.0,
        }
    }

    /// Gives the calling thread, and what it starts, the user's identity.
    fn become_this(self) -> Result<()> {
        if self == Self::User {
            let (uid, gid) = (Uid::from_raw(USER.1), Gid::from_raw(USER.1));
            rustix::thread::set_thread_groups(&[gid, Gid::from_raw(GROUP)])?;
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        }
        Ok(())
    }
}

/// Compares everything where the kernel can be asked.
pub(crate) fn all(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    if guarantee == Guarantee::Plain {
        return Ok(());
    }
    let groups = fs::read_to_string("/etc/group")?;
    let extended = Path::new("/run/group");
    put(
        extended,
        &format!("{groups}agree:x:{GROUP}:{}\n", USER.0),
        0o644,
    )?;
    mount_bind(extended, "/etc/group").context("cannot extend /etc/group")?;
    let dirs = [scene.exec.join("agree"), scene.noexec.join("agree")];
    let mut files = tree(&dirs[0], true)?;
    files.extend(tree(&dirs[1], false)?);
    files.extend(mounted(scene, &dirs[0])?);
    let outcome = [Who::Root, Who::User]
        .into_iter()
        .try_for_each(|who| agree(scene, guarantee, who, &dirs, &files, checks));
    unmount("/etc/group", UnmountFlags::empty())?;
    outcome
}

/// Mounts below `dir`: a noexec file system, and one file of another.
fn mounted(scene: &Scene, dir: &Path) -> Result<Vec<PathBuf>> {
    let below = dir.join("below");
    fs::create_dir(&below)?;
    mount("tmpfs", &below, "tmpfs", MountFlags::NOEXEC, c"mode=0755")
        .with_context(|| format!("cannot mount {}", below.display()))?;
    let mut files = tree(&below.join("files"), false)?;
    let alone = dir.join("alone.sh");
    put(&alone, "", 0o755)?;
    mount_bind(scene.noexec.join("755"), &alone).context("cannot bind a file")?;
    files.push(alone);
    Ok(files)
}

/// Makes a tree of files that everybody may read; without `whole`, a few.
fn tree(dir: &Path, whole: bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    fs::create_dir(dir)?;
    let owners: &[u32] = if whole { &[0, USER.1] } else { &[0] };
    let groups: &[u32] = if whole { &[0, USER.1, GROUP] } else { &[0] };
    let acls = if whole { acls() } else { vec![None] };
    for &uid in owners {
        for &gid in groups {
            for bits in 0..8 {
                for (number, acl) in acls.iter().enumerate() {
                    let path = dir.join(format!("{uid}-{gid}-{bits}-{number}.sh"));
                    let x = |bit: u16| u16::from(bits & bit != 0);
                    let [user, group, other] = [x(4), x(2), x(1)].map(|x| 4 | x);
                    let mode = u32::from(user << 6 | group << 3 | other);
                    put(&path, "echo ran\n", mode)?;
                    chown(&path, Some(uid), Some(gid))?;
                    if let Some((named, mask)) = acl {
                        let value = encode([user, group, other], *named, *mask);
                        rustix::fs::setxattr(&path, ACL, &value, XattrFlags::empty())
                            .context("cannot set an ACL")?;
                    }
                    files.push(path);
                }
            }
        }
    }
    Ok(files)
}

/// An entry of an ACL, for a user or a group: its tag, id and permissions.
type Named = (u16, u32, u16);

/// No ACL, and those with one named entry and a mask, each with execute and without.
fn acls() -> Vec<Option<(Named, u16)>> {
    const NAMED_USER: u16 = 2;
    const NAMED_GROUP: u16 = 8;
    let mut acls = vec![None];
    for (tag, id) in [(NAMED_USER, USER.1), (NAMED_GROUP, GROUP)] {
        for perm in [4, 5] {
            for mask in [4, 5] {
                acls.push(Some(((tag, id, perm), mask)));
            }
        }
    }
    acls
}

/// The value of an ACL's attribute, as include/uapi/linux/posix_acl_xattr.h has it; the
/// entries are in the order of their tags.
fn encode([user, group, other]: [u16; 3], named: Named, mask: u16) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let mut entries = [
        (0x01, NOBODY, user),
        named,
        (0x04, NOBODY, group),
        (0x10, NOBODY, mask),
        (0x20, NOBODY, other),
    ];
    entries.sort_by_key(|entry| entry.0);
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, id, perm) in entries {
        value.extend(u16::to_le_bytes(tag));
        value.extend(perm.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// The kernel's own answer, for the caller and the policy in force.
fn ask(path: &Path, guarantee: Guarantee) -> Result<Option<Errno>> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let open = |flags| {
        let how = uapi::OpenHow {
            flags,
            ..uapi::OpenHow::default()
        };
        // The paths are absolute, so no directory is needed.
        uapi::openat2(-1, &name, how)
    };
    let answer = if guarantee == Guarantee::Kernel {
        open(uapi::O_MAYEXEC).map(drop)
    } else {
        let fd = open(0).with_context(|| format!("cannot read {}", path.display()))?;
        uapi::execve_check_fd(&fd)
    };
    match answer {
        Ok(()) => Ok(None),
        Err(Errno::ACCESS) => Ok(Some(Errno::ACCESS)),
        Err(errno) => bail!("{}: {errno} is no answer of a policy", path.display()),
    }
}

/// The answers to all files.
fn answers(files: &[PathBuf], guarantee: Guarantee) -> Result<Vec<bool>> {
    files
        .iter()
        .map(|file| Ok(ask(file, guarantee)?.is_none()))
        .collect()
}

fn agree(
    scene: &Scene,
    guarantee: Guarantee,
    who: Who,
    dirs: &[PathBuf],
    files: &[PathBuf],
    checks: &mut Checks,
) -> Result<()> {
    let as_who = |policy: Policy, work: &(dyn Fn() -> Result<Vec<bool>> + Sync)| {
        scene.under(policy, || who.become_this().and_then(|()| work()))?
    };
    let policies: Vec<Policy> = match guarantee {
        Guarantee::Kernel => (0..4).map(Policy::Sysctl).collect(),
        _ => vec![Policy::Securebit],
    };
    let mut truth = Vec::new();
    for &policy in &policies {
        truth.push(as_who(policy, &|| answers(files, guarantee))?);
    }
    let strict = truth.last().context("there is a policy")?;
    let denied = strict.iter().filter(|&&allowed| !allowed).count();
    checks.equal(
        &format!("{}: some files are denied and some are not", who.name()),
        denied > 0 && denied < files.len(),
        true,
    );

    let names = |paths: &[PathBuf]| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    };
    let (files_text, dirs_text) = (names(files), names(dirs));
    let args: Vec<&str> = ["scan", "--json", "--as-user", who.name()]
        .into_iter()
        .chain(dirs_text.iter().map(String::as_str))
        .collect();
    let (text, _) = scene.command(&args)?;
    let found = denied_files(&text)?;
    let right: BTreeSet<String> = files_text
        .iter()
        .zip(strict)
        .filter(|(_, allowed)| !**allowed)
        .map(|(name, _)| name.clone())
        .collect();
    let wrong: Vec<_> = found.symmetric_difference(&right).collect();
    checks.equal(
        &format!(
            "scan --as-user {}: as the kernel, {} files",
            who.name(),
            files.len()
        ),
        wrong,
        Vec::new(),
    );

    for (index, &policy) in policies.iter().enumerate() {
        let said = as_who(policy, &|| checked(scene, &files_text, "/in_force/allowed"))?;
        let wrong = differing(&files_text, &said, &truth[index]);
        checks.equal(
            &format!(
                "{}, {policy:?}: check of the one in force is the kernel's",
                who.name()
            ),
            wrong,
            Vec::<&str>::new(),
        );
    }
    if guarantee == Guarantee::Kernel {
        // Foretold while none is in force.
        for (bits, truth) in truth.iter().enumerate() {
            let pointer = format!("/policies/{bits}/allowed");
            let said = as_who(Policy::Sysctl(0), &|| checked(scene, &files_text, &pointer))?;
            checks.equal(
                &format!("{}: check foretells the policy {bits}", who.name()),
                differing(&files_text, &said, truth),
                Vec::<&str>::new(),
            );
        }
        // A child has asked with the flag: AT_EXECVE_CHECK alone minds whoever writes.
        if let Some(at) = truth[3].iter().position(|&allowed| allowed) {
            let _writer = fs::OpenOptions::new().append(true).open(&files[at])?;
            let file = &files_text[at..=at];
            let said = |pointer| as_who(Policy::Sysctl(0), &|| checked(scene, file, pointer));
            checks.equal(
                &format!(
                    "{}: check of both is the kernel's word to O_MAYEXEC",
                    who.name()
                ),
                (
                    said("/policies/3/allowed")?,
                    said("/policies/3/exact")?,
                    said("/securebit/allowed")?,
                ),
                (vec![true], vec![true], vec![false]),
            );
        }
        for (bits, allowed) in (1..).zip(&truth[1..]) {
            for enforced in [true, false] {
                watched(scene, who, bits, enforced, files, allowed, checks)?;
            }
        }
    }
    Ok(())
}

/// What `check` says of files, at one place of its report.
fn checked(scene: &Scene, files: &[String], pointer: &str) -> Result<Vec<bool>> {
    let args: Vec<&str> = ["check", "--json"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let (text, _) = scene.command(&args)?;
    let reports: Vec<Value> = serde_json::from_str(&text).context("check --json")?;
    reports
        .iter()
        .map(|report| {
            let answer = report.pointer(pointer).and_then(Value::as_bool);
            answer.with_context(|| format!("check has no answer at {pointer}"))
        })
        .collect()
}

/// The files of which two lists of answers say different things.
fn differing<'a>(names: &'a [String], said: &[bool], right: &[bool]) -> Vec<&'a str> {
    if said.len() != names.len() || right.len() != names.len() {
        return vec!["the number of answers"];
    }
    names
        .iter()
        .zip(said.iter().zip(right))
        .filter(|(_, (said, right))| said != right)
        .map(|(name, _)| name.as_str())
        .collect()
}

/// `watch --all --count` shows each open once, with the kernel's answer, enforced or logged.
fn watched(
    scene: &Scene,
    who: Who,
    bits: u32,
    enforced: bool,
    files: &[PathBuf],
    allowed: &[bool],
    checks: &mut Checks,
) -> Result<()> {
    if !traceable() {
        return Ok(());
    }
    let policy = Policy::Sysctl(if enforced { bits } else { bits | LOG_ONLY });
    let count = files.len().to_string();
    let watch = Watch::start(&scene.mayexec, &["--all", "--count", &count])?;
    let opened = scene.under(policy, || {
        who.become_this()
            .and_then(|()| answers(files, Guarantee::Kernel))
    })??;
    checks.equal(
        &format!(
            "{}, {policy:?}: only an enforced policy refuses",
            who.name()
        ),
        opened == allowed || !enforced && opened.iter().all(|&opened| opened),
        true,
    );
    let (text, code) = watch.rest()?;
    let shown: Vec<_> = events(&text)?
        .iter()
        .map(|event| {
            (
                event["ino"].as_u64(),
                event["ret"].as_i64(),
                event["denied"].as_array().map(Vec::is_empty),
                event["enforced"].as_bool(),
            )
        })
        .collect();
    let mut right = Vec::new();
    for (file, &allowed) in files.iter().zip(allowed) {
        right.push((
            Some(fs::metadata(file)?.ino()),
            Some(if allowed { 0 } else { -13 }),
            Some(allowed),
            Some(enforced),
        ));
    }
    let wrong: Vec<_> = shown
        .iter()
        .zip(&right)
        .filter(|(shown, right)| shown != right)
        .collect();
    checks.equal(
        &format!(
            "{}, {policy:?}: watch shows the kernel's answers",
            who.name()
        ),
        (code, shown.len(), wrong),
        (Some(0), files.len(), Vec::new()),
    );
    Ok(())
}
