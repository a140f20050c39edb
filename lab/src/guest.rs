// SPDX-License-Identifier: GPL-2.0

//! Booting a kernel under qemu and running one job in it.
//!
//! The guest's root is the host's file system over 9p, read-only, so that the
//! host's shells and interpreters run in it; where its machine is another, a small
//! root with busybox. There is no KVM: where it exists it may hang, and the tests
//! must not depend on it.

use fs_err as fs;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use guest::{JOB_FILE, READY, SHARE_TAG, STATUS_FILE};
use regex::Regex;
use tempfile::TempDir;

use crate::ctx::{Ctx, write_whole};
use crate::kernel::Kernel;
use crate::proc::{self, TAIL, file_tail, tail};
use crate::tap::{Run, Stream, is_failure};
use crate::toolchain::{Arch, X86};
use crate::ui::{self, Stage};

/// How long the kernel may take until its first process is ready.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// How the job's script begins. A directory of the host is mounted in /run by the name of its tag.
const MOUNT: &str = "set -e
cd /tmp
mounted() {
    mkdir /run/$1
    mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000 $1 /run/$1
}
";

/// Goes on with a copy of the bundle in memory, as tests write in it.
const BUNDLE: &str = "mounted source
cp -a /run/source /run/bundle
cd /run/bundle
";

/// Goes on with what lets the job find the programs of unpacked packages.
const TOOLS: &str = "mounted tools
usr=/run/tools/usr
export PATH=$usr/sbin:/run/tools/sbin:$usr/bin:$PATH
lib=lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$usr/$lib:/run/tools/$lib:$usr/$lib/samba
";

/// qemu's options for [`Boot::counted`]. The seed is that of the guest's random numbers, on which the
/// order of the kernel's hash chains depends; the processor, in place of the machine's, has each feature.
const COUNTED: &str = "-accel tcg,thread=single -icount shift=0,sleep=off -seed 1 -cpu max";

/// The guest's console and its job's output.
const CHANNELS: &str = "-serial chardev:console -device virtio-serial-pci \
    -chardev stdio,id=output,signal=off -device virtconsole,chardev=output";

/// The kernel's command line in every guest. A busy host delivers the timer's first ticks too
/// late for x86's test of it.
const CMDLINE: &str = "root=/dev/root rootfstype=9p \
    rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose ro panic=-1 no_timer_check";

#[derive(Clone)]
pub(crate) struct Boot<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) kernel: &'a Kernel,
    pub(crate) name: String,
    /// The job's words.
    pub(crate) argv: Vec<String>,
    /// Directories that the guest sees, read-only, with their 9p tags.
    pub(crate) dirs: Vec<(&'static str, PathBuf)>,
    /// What the guest's shell does with them before it runs the job.
    pub(crate) before: String,
    /// The kernel's own command line; KUnit does not run unless this says so.
    pub(crate) cmdline: Vec<&'a str>,
    pub(crate) limit: Duration,
    /// Whether to print the job's output as it comes.
    pub(crate) stream: bool,
    /// Whether the first failure of a case ends the run, as an error: nobody needs the rest.
    pub(crate) first_failure: bool,
    pub(crate) cpus: usize,
    /// More options of qemu's.
    pub(crate) devices: Vec<String>,
    /// Whether the guest's clocks count its instructions, a nanosecond each.
    pub(crate) counted: bool,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) output: String,
    /// The kernel's messages.
    pub(crate) console: String,
    pub(crate) code: i32,
    pub(crate) output_log: PathBuf,
    pub(crate) console_log: PathBuf,
    /// The directory that host and guest shared, with what the job has left there.
    pub(crate) share: TempDir,
}

/// In the chain of an error: the host could not run this, which says nothing of what was to be
/// tested.
#[derive(Debug)]
pub(crate) struct HostFault(pub(crate) String);

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host could not run {}", self.0)
    }
}

impl<'a> Boot<'a> {
    pub(crate) fn new(ctx: &'a Ctx, kernel: &'a Kernel, name: &str, argv: &[&str]) -> Self {
        Self {
            ctx,
            kernel,
            name: name.to_owned(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            dirs: Vec::new(),
            before: MOUNT.to_owned(),
            cmdline: vec!["kunit.enable=0"],
            limit: Duration::from_secs(300),
            stream: false,
            first_failure: false,
            cpus: 1,
            devices: Vec::new(),
            counted: false,
        }
    }

    fn with(mut self, tag: &'static str, dir: &Path, script: &str) -> Self {
        self.dirs.push((tag, dir.to_owned()));
        self.before += script;
        self
    }

    /// Copies `dir` into the guest's memory and runs the job there.
    pub(crate) fn bundle(self, dir: &Path) -> Self {
        self.with("source", dir, BUNDLE)
    }

    /// Runs a program of this workspace, wherever the checkout is.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        self.argv.insert(0, format!("/run/programs/{name}"));
        let dir = program.parent().unwrap_or(program);
        self.with("programs", dir, "mounted programs\n")
    }

    /// Puts programs in the job's PATH that the host does not have: `dir` holds them
    /// as Debian's packages do.
    pub(crate) fn tools(self, dir: &Path) -> Self {
        self.with("tools", dir, TOOLS)
    }

    /// Runs a job that tests, and reads the cases in its output.
    pub(crate) fn tests(self, read: impl Fn(&str) -> Stream) -> Result<Run> {
        let outcome = self.run()?;
        let mut run = Run::of_job(read(&outcome.output), outcome.code, outcome.output_log);
        run.trouble.extend(complaints(&outcome.console));
        Ok(run)
    }

    /// Boots, runs the job and waits for the guest to turn itself off.
    ///
    /// An error is the guest's doing unless it has [`HostFault`] in its chain.
    pub(crate) fn run(self) -> Result<Outcome> {
        let name = format!("the guest `{}`", self.name);
        self.attempt()
            .with_context(|| HostFault(name))?
            .map_err(|fault| anyhow!(fault))
    }

    /// As [`Boot::run`], of a job that must not fail.
    pub(crate) fn succeed(self) -> Result<Outcome> {
        let outcome = self.run()?;
        if outcome.code != 0 {
            let (code, log) = (outcome.code, outcome.output_log.display());
            let said = tail(&outcome.output, 10);
            bail!("the job exited with {code}:\n{said}\n  log: {log}");
        }
        Ok(outcome)
    }

    /// Boots and gives the job this terminal; returns whether the guest turned itself off.
    pub(crate) fn interactive(self) -> Result<bool> {
        let (_share, log, mut cmd) = self.ready()?;
        println!("the kernel's messages: {}", log.display());
        Ok(cmd.status().context("cannot start qemu")?.success())
    }

    /// The directory that host and guest share, with the job's script; the log of the guest's
    /// console; the guest's command.
    fn ready(&self) -> Result<(TempDir, PathBuf, Command)> {
        let ctx = self.ctx;
        let console_log = ctx.fresh_log(&format!("guest {} console", self.name))?;
        let share = ctx.scratch()?;
        let mut job = Command::new("exec");
        let job = proc::render(job.args(&self.argv));
        let script = format!("{}{job}\n", self.before);
        write_whole(&share.path().join(JOB_FILE), script.as_bytes())?;
        let arch = self.kernel.arch;
        let (root, init) = match arch == X86 {
            true => (PathBuf::from("/"), sibling("guest-init")?),
            false => (busybox(ctx, arch)?, PathBuf::from("/init")),
        };
        let cmd = self.qemu(&root, &init, share.path(), &console_log);
        Ok((share, console_log, cmd))
    }

    /// As [`Boot::run`]: the outer error is the host's, the inner one says what the
    /// guest did.
    fn attempt(self) -> Result<Result<Outcome, String>> {
        let (share, console_log, mut cmd) = self.ready()?;
        let output_log = self.ctx.fresh_log(&format!("guest {} output", self.name))?;
        let stage = Stage::begin(&format!("boot {}", self.name), Some(&output_log));
        let started = Instant::now();
        let mut ready = false;
        let mut stopped = None;
        let (status, output) = proc::watched(&output_log, &mut cmd, |line| {
            if let Some(line) = line.filter(|_| self.stream && ready) {
                stage.clear();
                println!("{line}");
            }
            ready |= line == Some(READY);
            stage.at(if ready { "running" } else { "booting" });
            let (limit, what) = match ready {
                true => (self.limit, "the job did not end"),
                false => (BOOT_LIMIT, "the guest did not come up"),
            };
            if let Some(line) = line.filter(|line| self.first_failure && is_failure(line)) {
                stopped = Some(format!("stopped at `{line}`"));
            } else if started.elapsed() > limit {
                stopped = Some(format!("{what} after {} s, stopped", limit.as_secs()));
            }
            stopped.is_some()
        })?;
        stage.done("");
        let failure = |why: &str| {
            format!(
                "{}: {why}\n  kernel's messages: {}\n{}\n  job's output: {}\n{}",
                self.name,
                console_log.display(),
                file_tail(&console_log, TAIL),
                output_log.display(),
                file_tail(&output_log, 8)
            )
        };
        let guilty = |why: &str| Ok(Err(failure(why)));
        if let Some(why) = stopped {
            return guilty(&why);
        }
        if !status.is_some_and(|status| status.success()) {
            bail!(failure("qemu failed"));
        }
        let console = String::from_utf8_lossy(&fs::read(&console_log)?).replace('\r', "");
        if let Some(line) = console.lines().find(|line| line.contains("Kernel panic")) {
            return guilty(&format!("the guest's kernel panicked: {}", line.trim()));
        }
        let Ok(status) = fs::read_to_string(share.path().join(STATUS_FILE)) else {
            return guilty("the guest turned itself off without saying how the job ended");
        };
        let Ok(code) = status.trim().parse() else {
            return guilty(status.trim());
        };
        let job = output.split_once(&format!("{READY}\n"));
        let job = job.map_or(output.as_str(), |(_, job)| job).to_owned();
        Ok(Ok(Outcome {
            output: job,
            console,
            code,
            output_log,
            console_log,
            share,
        }))
    }

    fn qemu(&self, root: &Path, init: &Path, share: &Path, console: &Path) -> Command {
        let arch = self.kernel.arch;
        let (program, machine) = arch.qemu;
        let accelerated = match self.counted {
            true => COUNTED,
            false => "-accel tcg,thread=multi",
        };
        let mut cmd = Command::new(program);
        cmd.args("-nodefaults -no-user-config -no-reboot -display none -m 2G".split(' '))
            .args(machine)
            .args(accelerated.split(' '))
            .args(["-smp", &self.cpus.to_string()])
            .arg("-kernel")
            .arg(self.kernel.image());
        if let Some(initrd) = self.kernel.initrd() {
            cmd.arg("-initrd").arg(initrd);
        }
        let path = |path: &Path| path.to_string_lossy().replace(',', ",,");
        let mut share_dir = |tag: &str, id: &str, dir: &Path, options: &str| {
            let (path, model) = (path(dir), "security_model=none,multidevs=remap");
            let fs = format!("local,id={id},path={path},{model}{options}");
            let device = format!("virtio-9p-pci,fsdev={id},mount_tag={tag}");
            cmd.args(["-fsdev", &fs, "-device", &device]);
        };
        share_dir("/dev/root", "root", root, ",readonly=on");
        share_dir(SHARE_TAG, "share", share, "");
        for (tag, dir) in &self.dirs {
            share_dir(tag, tag, dir, ",readonly=on");
        }
        let file = format!("file,id=console,path={}", path(console));
        cmd.args(["-chardev", &file]);
        cmd.args(CHANNELS.split_whitespace()).args(&self.devices);
        let init = format!("init={}", init.display());
        let mut words = vec![arch.console, CMDLINE, &init];
        words.extend(&self.cmdline);
        cmd.arg("-append").arg(words.join(" "));
        cmd
    }
}

/// A program of this workspace, built beside this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        let path = path.display();
        bail!("{path} is missing: build the whole workspace (the Makefile does)");
    }
    Ok(path)
}

/// A program of this workspace that scripts/lab.sh has linked statically, for bench and release.
pub(crate) fn static_program(ctx: &Ctx, name: &str) -> PathBuf {
    let release = ctx.build.join("cargo/x86_64-unknown-linux-gnu/release");
    release.join(name)
}

/// The root of guests in which the host's programs do not run: busybox, and a script as the first
/// process.
fn busybox(ctx: &Ctx, arch: Arch) -> Result<PathBuf> {
    let root = ctx.build.join(format!("root-{}", arch.debian));
    ui::fetched(ctx, &["busybox", arch.debian], &root)?;
    fs::copy(ctx.root.join("scripts/guest-init.sh"), root.join("init"))?;
    Ok(root)
}

/// Lines in which the kernel complains about itself.
pub(crate) fn complaints(console: &str) -> Vec<String> {
    let pattern = Regex::new(
        r"(?x) \bBUG:\s | \bkernel\ BUG\ at\b | \bWARNING: | \bOops\b | Kernel\ panic
         | general\ protection\ fault | VFS_(BUG|WARN)_ON | trying\ to\ register\ non-static\ key
         | kmemleak:\ .*(suspected\ memory\ leaks|disabled) | unreferenced\ object
         | \bUBSAN: | \bKASAN: | \bKCSAN: | rcu:?\ INFO: .*\ stall | blocked\ for\ more\ than
         | possible\ (recursive|circular)\ locking | suspicious\ RCU\ usage | rust_kernel: \ panicked",
    )
    .unwrap();
    let lines = console.lines().filter(|line| pattern.is_match(line));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use guest::SHARE;

    use super::*;

    /// Each has one line in which the kernel complains.
    const COMPLAINTS: &str = "\
[ 1.0] BUG: unable to handle page fault
[ 1.0] WARNING: CPU: 0 PID: 1 at fs/namei.c:1 do_open+0x1/0x2
[ 1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: stall
[ 1.0] BUG: KASAN: slab-use-after-free in do_open+0x1/0x2
[ 1.0] BUG: KFENCE: use-after-free read in do_open+0x1/0x2
[ 1.0] UBSAN: array-index-out-of-bounds in fs/namei.c:1:2
[ 1.0] BUG: sleeping function called from invalid context at fs/namei.c:1
[ 1.0] BUG: scheduling while atomic: stress/1/0x00000002
[ 1.0] WARNING: possible circular locking dependency detected
[ 1.0] WARNING: inconsistent lock state
[ 1.0] [ BUG: Invalid wait context ]
[ 1.0] INFO: trying to register non-static key.
[ 1.0] WARNING: lock held when returning to user space!
[ 1.0] WARNING: suspicious RCU usage
[ 1.0] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
[ 1.0] kmemleak: Kernel memory leak detector disabled
[ 1.0] kmemleak: unreferenced object 0xffff888000000000 (size 192):
[ 1.0] VFS_WARN_ON_INODE(inode_state_read(inode) & I_CLEAR) encountered for inode 1
[ 1.0] kernel BUG at fs/namei.c:1!
kernel BUG at lib/list_debug.c:1!
[ 1.0] INFO: task stress:1 blocked for more than 122 seconds.
";

    const FINE: &str = "\
Linux version 7.3.4
Debug: fine
ok 1 debug_warning
workqueue: deprecated
kmemleak: Kernel memory leak detector initialized (mem pool available: 1)
kmemleak: Automatic memory scanning thread started
FAULT_INJECTION: forcing a failure.
Lock dependency validator: Copyright
stress: page allocation failure: order:0
";

    #[test]
    fn the_kernel_s_complaints_are_found() {
        assert_eq!(complaints(COMPLAINTS), Vec::from_iter(COMPLAINTS.lines()));
        assert_eq!(complaints(FINE), [""; 0]);
    }

    #[test]
    fn the_scripts_keep_what_host_and_guest_agreed_on() {
        let init = include_str!("../../scripts/guest-init.sh");
        for part in [
            format!(" {SHARE_TAG} {SHARE}\n"),
            format!("echo \"{READY}\" >"),
            format!("sh {SHARE}/{JOB_FILE} "),
            format!("echo \"$code\" >{SHARE}/{STATUS_FILE}\n"),
        ] {
            assert!(init.contains(&part), "{part}");
        }
        // The demo of `make release` plays in guests alone, and by this it knows one.
        let release = include_str!("../../scripts/release-init.sh");
        assert!(release.contains(&format!(" >{SHARE}/{JOB_FILE}\n")));
        assert!(release.contains("\n/demo || "));
    }
}
