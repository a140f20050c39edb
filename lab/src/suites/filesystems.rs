// SPDX-License-Identifier: GPL-2.0

//! The flag on filesystems, local and remote ones, against an oracle: each filesystem is made,
//! exported or served in a guest.

use fs_err as fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::consumers;
use crate::guest::Boot;
use crate::kernel::{self, Variant};
use crate::proc::Child;
use crate::report::{Check, Report};
use crate::selftests;
use crate::session::Session;
use crate::tap::{Case, Run, Verdict};
use crate::variants::CONSUMERS;

/// The programs, without the `_test` at their ends; the last one needs filesystems that only
/// [`FILESYSTEMS`] has.
const NAMES: [&str; 4] = ["disks", "fuse", "shares", "servers"];

/// How the reason of a skip begins that a kernel without the filesystem gives.
const NEEDS: &str = "SKIP needs CONFIG_";

/// The kernel of the suite consumers with the filesystems that take minutes to compile.
pub(crate) const FILESYSTEMS: Variant = Variant {
    lines: &[include_str!("../../../scripts/config/filesystems.config")],
    ..CONSUMERS
};

/// Runs the tests.
pub(crate) fn tests(session: &Session<'_>, bundle: &Path, boot: Boot<'_>) -> Result<Run> {
    some(&consumers::tools(session)?, bundle, boot, &NAMES)
}

/// Runs the tests of these programs, with what their servers need.
fn some(tools: &Path, bundle: &Path, boot: Boot<'_>, names: &[&str]) -> Result<Run> {
    selftests::run(boot.tools(tools), &selftests::testing(bundle, names)?)
}

/// Runs those tests that need no other kernel than the suite consumers. A filesystem may be missing
/// only if that kernel leaves it to `make verify`.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let kernel = consumers::kernel(session)?;
    let bundle = session.selftests()?;
    let (ctx, tools) = (session.ctx, consumers::tools(session)?);
    let config = fs::read_to_string(kernel.dir.join("config"))?;
    // A guest of one CPU keeps one core busy.
    let guests = NAMES[..3].par_iter().with_max_len(1).map(|name| {
        let boot = selftests::boot(ctx, &kernel, &format!("filesystems {name}"), &bundle);
        (name, some(&tools, &bundle, boot, &[*name]))
    });
    for (name, run) in guests.collect::<Vec<_>>() {
        let run = run?;
        report.run("", &format!("of {name}"), &run);
        let missing = missing(&run.cases, &config);
        let claim = format!("no filesystem of the kernel is missing in {name}");
        report.check(&claim, &missing, Some(&run.log));
    }
    Ok(())
}

/// Runs the tests on a kernel with every filesystem that they know, of which none may be missing.
pub(crate) fn all(session: &Session<'_>) -> Result<Check> {
    let kernel = session.kernel(
        "the kernel with all filesystems",
        session.tip(),
        &FILESYSTEMS,
    )?;
    let bundle = session.selftests()?;
    let shared = session.ctx.scratch()?;
    let (_server, devices) = virtiofsd(session, shared.path())?;
    let boot = Boot {
        limit: Duration::from_secs(3600),
        devices,
        ..selftests::boot(session.ctx, &kernel, "all filesystems", &bundle)
    };
    let mut check = Check::new("the flag answers on every filesystem as the oracle does");
    for run in [
        tests(session, &bundle, boot.clone())?,
        ceph(session, &bundle, boot)?,
    ] {
        let compared = comparisons(&fs::read_to_string(&run.log)?);
        check = check.also_run(&run, &[Verdict::Pass], &format!(", {compared} comparisons"));
    }
    Ok(check)
}

/// Runs the tests of Ceph, whose packages are beside those of the other guests.
fn ceph(session: &Session<'_>, bundle: &Path, mut boot: Boot<'_>) -> Result<Run> {
    boot.name = "ceph".to_owned();
    boot.devices.clear();
    some(
        &session.ctx.build.join("ceph-tools"),
        bundle,
        boot,
        &["ceph"],
    )
}

/// Starts the server of virtiofs that Debian has for qemu; with the options of qemu's that let a
/// guest mount what it serves.
fn virtiofsd(session: &Session<'_>, dir: &Path) -> Result<(Child, Vec<String>)> {
    let unpacked = session.ctx.build.join("tools/qemu-system-x86/usr/lib/qemu");
    let places = [&unpacked, Path::new("/usr/lib/qemu")].map(|dir| dir.join("virtiofsd"));
    let found = places.iter().find(|place| place.is_file());
    let program = found.context("no virtiofsd is beside qemu")?;
    let (tree, socket) = (dir.join("tree"), dir.join("socket"));
    fs::create_dir(&tree)?;
    let mut cmd = Command::new(program);
    cmd.arg(format!("--socket-path={}", socket.display()))
        .args(["-f", "-o", &format!("source={}", tree.display())])
        .stderr(fs::File::create(session.ctx.fresh_log("virtiofsd")?)?.into_file());
    let server = Child::spawn(&mut cmd)?;
    let socket = format!("socket,id=virtiofs,path={}", socket.display());
    let options = [
        "-object",
        "memory-backend-memfd,id=shared,size=2G,share=on",
        "-machine",
        "memory-backend=shared",
        "-chardev",
        &socket,
        "-device",
        "vhost-user-fs-pci,chardev=virtiofs,tag=lower",
    ];
    Ok((server, options.map(str::to_owned).into()))
}

/// The cases that skipped although the kernel's configuration has what they need.
fn missing(cases: &[Case], config: &str) -> Vec<String> {
    let excused = |case: &Case| {
        let option = case.detail.strip_prefix(NEEDS);
        let name = option.and_then(|rest| rest.split_whitespace().next());
        name.is_some_and(|name| !kernel::unmet(&format!("CONFIG_{name}=y"), config).is_empty())
    };
    let skipped = |case: &&Case| case.verdict == Verdict::Skip && !excused(case);
    cases
        .iter()
        .filter(skipped)
        .map(|case| format!("{}: {}", case.full_name(), case.detail))
        .collect()
}

/// The sum of the comparisons that the tests say they made.
fn comparisons(output: &str) -> usize {
    let count = |line: &str| {
        let before = line.strip_suffix(" comparisons")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    };
    output.lines().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::tests::case;

    #[test]
    fn only_what_the_kernel_lacks_may_skip() {
        let skipped = |detail: &str| Case {
            detail: format!("SKIP {detail}"),
            ..case("disks", "a", Verdict::Skip)
        };
        let cases = [
            skipped("needs CONFIG_XFS_FS"),
            skipped("needs CONFIG_EXT4_FS"),
            skipped("needs mkfs.xfs"),
        ];
        let missing = missing(&cases, "CONFIG_EXT4_FS=y\n# CONFIG_XFS_FS is not set\n");
        assert_eq!(
            missing,
            [
                "disks a: SKIP needs CONFIG_EXT4_FS",
                "disks a: SKIP needs mkfs.xfs"
            ]
        );
    }

    #[test]
    fn comparisons_are_counted() {
        let output = "# # disks_test.c:9:a:ext4: 12 comparisons\nok 1 x\n# # b: 30 comparisons\n";
        assert_eq!(comparisons(output), 42);
    }
}
