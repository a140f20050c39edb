// SPDX-License-Identifier: GPL-2.0

//! `make system`: a Debian whose interpreters open with `O_MAYEXEC`, with the kernel of
//! `make kernel-deb` installed, booted under the policy from its first process on, and
//! attacked.
//!
//! scripts/system.sh builds the disk, scripts/system/ holds what runs in the guest. Here
//! the guest is booted and what it printed is judged. `make test` has a short boot of the
//! same: a smaller disk, one interpreter, on a kernel of its suites.

mod image;

use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::ctx::Ctx;
use crate::kernel::Kernel;
use crate::kernel_deb;
use crate::proc::{self, DAY};
use crate::report::Report;
use crate::results;
use crate::tap::{self, Case, Run, Verdict};
use crate::ui::{self, Stage};

/// The interpreters that replace Debian's. A short boot has the first.
const INTERPRETERS: [&str; 7] = ["dash", "bash", "busybox", "mawk", "make", "perl", "python"];

/// Who attacks, and where they have to try, apart from other places. A short boot has the first.
const ATTACKERS: [(&str, [&str; 4]); 3] = [
    ("user", ["/tmp", "/var/tmp", "/dev/shm", "/run/user/1000"]),
    (
        "service",
        ["/tmp", "/var/tmp", "/dev/shm", "/srv/www/upload"],
    ),
    (
        "container",
        ["/tmp", "/var/tmp", "/dev/shm", "/run/user/1000"],
    ),
];

/// Some of these, and of the interpreters: each attacker must try each interpreter in each place.
type Wanted<'a> = (&'a [(&'a str, [&'a str; 4])], &'a [&'a str]);

/// Places that may execute on the first day, and why an attacker's code runs there.
const OPEN_PLACES: [(&str, &str); 2] = [
    (
        "/home/alice",
        "the user's own home is mounted without noexec on the first day",
    ),
    (
        "own mount",
        "who may create a user namespace mounts a file system without noexec in it",
    ),
];

/// The rows in docs/results.md.
const ROWS: [&str; 8] = [
    "the system",
    "policy 0: the day's work",
    "policy 1 (MOUNT): the same, what is known to break, the attackers",
    "policy 1 with a noexec /home: logins",
    "policy 7 (LOG_ONLY): the day's work, then one service under the securebit",
    "attackers' tries on noexec mounts",
    "tries that ran, documented as open",
    "FILE would refuse",
];

pub(crate) fn names() -> Vec<String> {
    ROWS.into_iter()
        .chain([image::ROW])
        .map(str::to_owned)
        .collect()
}

/// What systemd and then the kernel print of a machine that is shut down.
const SHUT_DOWN: [&str; 2] = ["All filesystems unmounted.", "reboot: Power down"];

/// How long one boot may take, trials included: thousands of starts of programs on an
/// emulated processor, on a machine that may be busy.
const LIMIT: u64 = 6 * 3600;

/// The same of a short boot, which takes a minute.
const SHORT_LIMIT: u64 = 3600;

/// No unit is late because the machine is slow.
const PATIENCE: &str =
    "systemd.default_timeout_start_sec=1800 systemd.default_device_timeout_sec=1800";

/// What is booted, and how.
struct Machine {
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    disk: PathBuf,
    /// What the kernel's command line says of them.
    words: &'static str,
    limit: u64,
}

/// What a boot printed.
struct Boot {
    cases: Vec<Case>,
    trouble: Vec<String>,
    lines: Vec<String>,
    log: PathBuf,
}

/// Builds the kernel's package and the disk, boots each scene and judges it; whether
/// everything was as it should be.
pub(crate) fn run(ctx: &Ctx, as_image: bool) -> Result<bool> {
    let package = kernel_deb::build(ctx, None)?;
    let package = package.to_string_lossy();
    let disk = [&[&*package][..], &INTERPRETERS[..]].concat();
    let built = |name: &str| ctx.build.join("system").join(name);
    let machine = Machine {
        disk: disk_of(ctx, &ctx.root, "root.ext4", &disk)?,
        kernel: built("vmlinuz"),
        initrd: Some(built("initrd.img")),
        words: "root=LABEL=mayexec",
        limit: LIMIT,
    };

    let mut report = Report::default();
    let scene = |word, policy| boot(ctx, &machine, word, policy);
    let plain = scene("works", 0)?;
    say(&mut report, "policy 0", &plain);
    let attacked = scene("attack", 1)?;
    say(&mut report, "policy 1", &attacked);
    let tries = Tries::of(&attacked.lines);
    for (name, problems) in judge(&plain, &attacked, &tries, (&ATTACKERS, &INTERPRETERS)) {
        report.check(&name, &problems, Some(&attacked.log));
    }
    let home = scene("home", 1)?;
    say(&mut report, "policy 1, noexec /home", &home);
    let observed = scene("observe", 7)?;
    say(&mut report, "policy 7", &observed);
    let packages = by_package(&observed.lines);
    report.check(
        "policy 7: the trace names what FILE would refuse",
        &if packages.is_empty() {
            vec!["the trace named no file".to_owned()]
        } else {
            Vec::new()
        },
        Some(&observed.log),
    );
    let versions = plain
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("# policy 0, "))
        .unwrap_or_default();
    let passed = |boot: &Boot| {
        let passed = boot
            .cases
            .iter()
            .filter(|case| case.verdict == Verdict::Pass);
        format!("{} of {} cases pass", passed.count(), boot.cases.len())
    };
    let who = tries.refusable.iter().map(|(who, count)| {
        let places = tries.places.get(who).into_iter().flatten();
        let places: Vec<String> = places.map(|(place, _)| format!("`{place}`")).collect();
        format!("{who} {count}, in {}", places.join(" "))
    });
    let open = tries
        .open
        .iter()
        .map(|(why, count)| format!("{count}: {why}"));
    let refused = packages
        .iter()
        .map(|(name, (files, opens))| format!("{name} ({files} files, {opens} opens)"));
    let joined = |parts: Vec<String>| parts.join("; ");
    let cells = [
        format!("{versions}; patched: {}", INTERPRETERS.join(", ")),
        passed(&plain),
        passed(&attacked),
        passed(&home),
        passed(&observed),
        format!("{}; {}", tries.summary(), joined(who.collect())),
        joined(open.collect()),
        joined(refused.collect()),
    ];
    for (row, cell) in ROWS.into_iter().zip(cells) {
        results::record(ctx, "system", row, &[cell])?;
    }
    if as_image {
        image::run(ctx, &mut report)?;
    }
    Ok(report.close())
}

/// Builds a disk by the scripts of the checkout at `root`, with these arguments.
fn disk_of(ctx: &Ctx, root: &Path, name: &str, args: &[&str]) -> Result<PathBuf> {
    let log = ctx.fresh_log("system-disk")?;
    let mut disk = Command::new(root.join("scripts/system.sh"));
    ui::step("build the system's disk", &log, DAY, disk.args(args))?;
    Ok(ctx.build.join("system").join(name))
}

/// The disk of the short boot, built by the scripts of the checkout at `root`.
pub(crate) fn short_disk(ctx: &Ctx, root: &Path) -> Result<PathBuf> {
    let disk = [&["--short"], &INTERPRETERS[..1]].concat();
    disk_of(ctx, root, "short.ext4", &disk)
}

/// The short boot: without the policy, then under MOUNT, with a user who attacks.
pub(crate) fn short(ctx: &Ctx, kernel: &Kernel, disk: PathBuf) -> Result<Run> {
    let machine = Machine {
        kernel: kernel.image(),
        initrd: kernel.initrd(),
        disk,
        words: "root=/dev/vda rootfstype=ext4 kunit.enable=0 init=/usr/lib/mayexec/first.sh",
        limit: SHORT_LIMIT,
    };
    let plain = boot(ctx, &machine, "short", 0)?;
    let under = boot(ctx, &machine, "short", 1)?;
    let tries = Tries::of(&under.lines);
    let wanted = (&ATTACKERS[..1], &INTERPRETERS[..1]);
    let judged = judge(&plain, &under, &tries, wanted).map(|(name, problems)| Case {
        group: "both boots".to_owned(),
        name,
        verdict: match problems.as_slice() {
            [] => Verdict::Pass,
            _ => Verdict::Fail,
        },
        detail: problems.join("\n"),
    });
    let (mut run, second) = (plain.run(), under.run());
    run.cases.extend(second.cases);
    run.cases.extend(judged);
    run.trouble.extend(second.trouble);
    run.log = second.log;
    Ok(run)
}

/// What a boot without the policy and one under MOUNT, with its attackers, must show together:
/// each check, and what is wrong.
fn judge(
    plain: &Boot,
    under: &Boot,
    tries: &Tries,
    wanted: Wanted<'_>,
) -> [(String, Vec<String>); 3] {
    [
        (
            "policy 0: each way of running a file runs it".to_owned(),
            idle_ways(&plain.lines),
        ),
        (
            "policy 1: no unit fails that does not fail without it".to_owned(),
            broken_units(&plain.lines, &under.lines),
        ),
        (
            format!("policy 1: {}", tries.summary()),
            tries.problems(wanted),
        ),
    ]
}

/// Boots a disk, which stays as it is, and reads what the trials print. The guest's script
/// knows its scene by the word; the policy is a value of fs.open_mayexec_enforce.
fn boot(ctx: &Ctx, machine: &Machine, word: &str, policy: u8) -> Result<Boot> {
    let name = format!("system-{word}-{policy}");
    let log = ctx.fresh_log(&name)?;
    let console = ctx.fresh_log(&format!("{name}-console"))?;
    let stage = Stage::begin(
        &format!("boot the system: {word}, policy {policy}"),
        Some(&log),
    );
    let path = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-machine", "q35", "-cpu", "max", "-m", "2G", "-smp", "2"])
        .args(["-accel", "tcg,thread=multi"])
        .arg("-kernel")
        .arg(&machine.kernel)
        .args(machine.initrd.iter().flat_map(|initrd| [Path::new("-initrd"), initrd]))
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=virtio,snapshot=on",
            path(&machine.disk)
        ))
        .arg("-chardev")
        .arg(format!("file,id=console,path={}", path(&console)))
        .args(["-serial", "chardev:console"])
        .args(["-device", "virtio-serial-pci"])
        .args(["-chardev", "stdio,id=output,signal=off"])
        .args(["-device", "virtconsole,chardev=output"])
        .arg("-append")
        .arg(format!(
            "console=ttyS0 {} rw panic=-1 no_timer_check {PATIENCE} \
             systemd.getty_auto=no trace_event=mayexec:open_mayexec trace_buf_size=8M trial={word} sysctl.fs.open_mayexec_enforce={policy}",
            machine.words
        ));
    let mut lines: Vec<String> = Vec::new();
    let (mut cases, mut tries) = (0, 0);
    let (status, _) = proc::logged("the system", &log, machine.limit, &mut qemu, |line| {
        let line = line.trim_end();
        if !line.is_empty() {
            cases += usize::from(line.starts_with("ok ") || line.starts_with("not ok "));
            tries += usize::from(line.starts_with("try: "));
            lines.push(line.to_owned());
        }
        stage.at(&format!("{cases} cases, {tries} ways tried"));
    })?;
    if !status.success() {
        bail!("qemu failed ({status}): {}", proc::file_tail(&log, 5));
    }
    stage.done(&format!("{cases} cases, {tries} ways tried"));
    let (cases, mut trouble) = tap::program(&name, &lines.join("\n"));
    let text = fs::read(&console)?;
    let text = String::from_utf8_lossy(&text);
    trouble.extend(crate::guest::complaints(&text));
    trouble.extend(left_on(&text));
    if !trouble.is_empty() {
        trouble.push(format!(
            "the console's end:\n{}",
            proc::file_tail(&console, 8)
        ));
    }
    Ok(Boot {
        cases,
        trouble,
        lines,
        log,
    })
}

impl Boot {
    /// The boot's cases, with what the failed ones printed.
    fn run(&self) -> Run {
        let explained = |case: &Case| Case {
            detail: match case.verdict {
                Verdict::Fail => said_before(&self.lines, &case.name),
                _ => case.detail.clone(),
            },
            ..case.clone()
        };
        Run {
            cases: self.cases.iter().map(explained).collect(),
            trouble: self.trouble.clone(),
            log: self.log.clone(),
        }
    }
}

/// Reports a boot's cases, and that it came to its end.
fn say(report: &mut Report, what: &str, boot: &Boot) {
    report.run(&format!("{what}: "), what, &boot.run());
}

/// What is missing of a shutdown on the console.
fn left_on(console: &str) -> Vec<String> {
    let missing = SHUT_DOWN.iter().filter(|said| !console.contains(**said));
    missing
        .map(|said| format!("the system did not shut down: nobody said {said:?}"))
        .collect()
}

/// The comment lines before the result of a case.
fn said_before(lines: &[String], name: &str) -> String {
    let at = lines
        .iter()
        .position(|line| line.starts_with("not ok ") && line.ends_with(&format!(" - {name}")))
        .unwrap_or(0);
    let from = lines[..at]
        .iter()
        .rposition(|line| !line.starts_with("# "))
        .map_or(0, |last| last + 1);
    lines[from..at].join("\n")
}

fn failed_units(lines: &[String]) -> BTreeSet<String> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("failed: "))
        .map(str::to_owned)
        .collect()
}

/// The units that fail in the second boot and not in the first.
fn broken_units(before: &[String], after: &[String]) -> Vec<String> {
    let (before, after) = (failed_units(before), failed_units(after));
    after.difference(&before).cloned().collect()
}

/// Ways that do not run even without a policy, so that their refusal would show nothing.
/// What execve(2) or mmap(2) refuses on a noexec mount is not among them.
fn idle_ways(lines: &[String]) -> Vec<String> {
    let tries = lines
        .iter()
        .filter_map(|line| line.strip_prefix("try: control\t"));
    let mut count = 0;
    let mut idle = Vec::new();
    for line in tries {
        count += 1;
        let words: Vec<&str> = line.split('\t').collect();
        let by_kernel = words.get(2) == Some(&"elf") || words.get(4) == Some(&"map");
        if !by_kernel && words.get(5..) != Some(&["ran", "ran"]) {
            idle.push(line.replace('\t', ", "));
        }
    }
    if count == 0 {
        idle.push("no way was tried".to_owned());
    }
    idle
}

/// What the attackers tried: ways of interpreters, each with two modes of the file.
#[derive(Debug, Default)]
struct Tries {
    /// Starts of ways that the policy must refuse, by attacker, in noexec places.
    refusable: BTreeMap<String, usize>,
    /// Those of them that ran.
    ran: Vec<String>,
    /// Starts that ran as documented, by the reason.
    open: BTreeMap<String, usize>,
    /// Writable places without noexec that nobody documented.
    unknown: BTreeSet<String>,
    /// Tries that prove nothing: late ones, and open ways that did not run.
    void: Vec<String>,
    /// What the container's root got rid of.
    escapes: Vec<String>,
    /// Lines that could not be read.
    garbled: Vec<String>,
    /// The projects of those starts, by attacker and place.
    places: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Tries {
    fn of(lines: &[String]) -> Self {
        let mut tries = Self::default();
        for line in lines {
            if let Some(escape) = line.strip_prefix("escape: ") {
                tries.escapes.push(escape.to_owned());
            } else if let Some(line) = line.strip_prefix("try: ") {
                tries.line(line);
            }
        }
        tries
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split('\t').collect();
        let [who, place, mount, project, way, kind, results @ ..] = words.as_slice() else {
            self.garbled.push(line.to_owned());
            return;
        };
        if results.len() != 2 {
            self.garbled.push(line.to_owned());
            return;
        }
        let open_place = OPEN_PLACES.iter().find(|(open, _)| open == place);
        if *mount == "exec" && open_place.is_none() {
            self.unknown.insert(format!("{who}: {place}"));
        }
        for (mode, result) in ["0644", "0755"].into_iter().zip(results) {
            let ran = *result == "ran";
            // An open way that does not run says that nothing runs there at all.
            if !ran && (*result != "refused" || *kind == "open") {
                self.void.push(format!(
                    "{who}: {project}, {way}, {place}, {mode}: {result}, which shows nothing"
                ));
                continue;
            }
            match (*kind, open_place) {
                ("open", _) => {
                    self.opened(
                        "standard input, the command line and the environment, which are no files",
                    );
                }
                (_, Some((_, why))) => {
                    if ran {
                        self.opened(why);
                    }
                }
                _ => {
                    let places = self.places.entry((*who).to_owned()).or_default();
                    let tried = places.entry((*place).to_owned()).or_default();
                    tried.insert((*project).to_owned());
                    *self.refusable.entry((*who).to_owned()).or_default() += 1;
                    if ran {
                        self.ran
                            .push(format!("{who}: {project}, {way}, {place}, {mode}"));
                    }
                }
            }
        }
    }

    fn opened(&mut self, why: &str) {
        *self.open.entry(why.to_owned()).or_default() += 1;
    }

    fn total(&self) -> usize {
        self.refusable.values().sum()
    }

    fn summary(&self) -> String {
        format!(
            "{} tries on noexec mounts, {} ran",
            self.total(),
            self.ran.len()
        )
    }

    /// What is wrong, and what is missing of what was wanted.
    fn problems(&self, (attackers, interpreters): Wanted<'_>) -> Vec<String> {
        let mut problems = self.ran.clone();
        problems.extend(self.garbled.iter().map(|line| format!("garbled: {line}")));
        problems.extend(self.void.iter().cloned());
        problems.extend(self.escapes.iter().map(|line| format!("escape: {line}")));
        problems.extend(
            self.unknown
                .iter()
                .map(|place| format!("writable and not noexec: {place}")),
        );
        for (who, places) in attackers {
            for place in places {
                let tried = self.places.get(*who).and_then(|tried| tried.get(*place));
                let is_missed = |name: &&str| tried.is_none_or(|tried| !tried.contains(*name));
                let missed = interpreters.iter().copied().filter(is_missed);
                let missed = Vec::from_iter(missed).join(", ");
                if !missed.is_empty() {
                    problems.push(format!(
                        "the attacker `{who}` tried no way of {missed} in {place}"
                    ));
                }
            }
        }
        problems
    }
}

/// What the trace says that FILE would refuse: files and opens by package.
fn by_package(lines: &[String]) -> BTreeMap<String, (usize, usize)> {
    let mut packages: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in lines {
        let Some(rest) = line.strip_prefix("file: ") else {
            continue;
        };
        if let [package, opens, _] = rest.split('\t').collect::<Vec<_>>().as_slice() {
            let sum = packages.entry((*package).to_owned()).or_default();
            sum.0 += 1;
            sum.1 += opens.parse::<usize>().unwrap_or(0);
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|&line| line.to_owned()).collect()
    }

    const WANTED: Wanted<'static> = (&ATTACKERS, &INTERPRETERS);

    /// Each of these attackers tries each interpreter in each of their places.
    fn tried(attackers: &[(&str, [&str; 4])]) -> Vec<String> {
        let places = attackers
            .iter()
            .flat_map(|(who, places)| places.map(|place| format!("try: {who}\t{place}\tnoexec")));
        let ways = places.flat_map(|place| {
            INTERPRETERS.map(|name| format!("{place}\t{name}\targument\trefuse\trefused\trefused"))
        });
        ways.collect()
    }

    #[test]
    fn what_ran_is_a_problem_unless_it_is_documented() {
        let mut tried = tried(&ATTACKERS);
        tried.push("try: container\t/tmp\tnoexec\tdash\tstdin\topen\tran\tran".to_owned());
        tried.push("try: container\town mount\texec\tdash\targument\trefuse\tran\tran".to_owned());
        let tries = Tries::of(&tried);
        assert_eq!(tries.problems(WANTED), [""; 0]);
        assert_eq!(tries.summary(), "168 tries on noexec mounts, 0 ran");
        assert_eq!(tries.open.values().sum::<usize>(), 4);
        let places = tries.places["container"].keys().map(String::as_str);
        assert_eq!(BTreeSet::from_iter(places), BTreeSet::from(ATTACKERS[2].1));

        tried.push("try: user\t/dev/shm\tnoexec\tdash\t`.`\trefuse\trefused\tran".to_owned());
        assert_eq!(
            Tries::of(&tried).problems(WANTED),
            ["user: dash, `.`, /dev/shm, 0755"]
        );
    }

    #[test]
    fn a_place_nobody_thought_of_and_an_idle_attacker_are_problems() {
        let mut tried = tried(&ATTACKERS[..2]);
        tried.retain(|line| !line.starts_with("try: service\t/tmp\tnoexec\tperl\t"));
        tried.push(
            "try: service\t/var/lib/x\texec\tdash\targument\trefuse\trefused\trefused".to_owned(),
        );
        tried.push("try: service\tcut".to_owned());
        tried.push("try: user\t/tmp\tnoexec\tdash\tstdin\topen\trefused\tran".to_owned());
        tried.push("try: user\t/tmp\tnoexec\tdash\t`.`\trefuse\trefused\tlate".to_owned());
        tried.push("escape: /tmp is exec now".to_owned());
        let all = INTERPRETERS.join(", ");
        let idle = ATTACKERS[2].1;
        let idle =
            idle.map(|place| format!("the attacker `container` tried no way of {all} in {place}"));
        let right = [
            "garbled: service\tcut",
            "user: dash, stdin, /tmp, 0644: refused, which shows nothing",
            "user: dash, `.`, /tmp, 0755: late, which shows nothing",
            "escape: /tmp is exec now",
            "writable and not noexec: service: /var/lib/x",
            "the attacker `service` tried no way of perl in /tmp",
        ];
        assert_eq!(
            Tries::of(&tried).problems(WANTED),
            [&right.map(str::to_owned)[..], &idle].concat()
        );
    }

    #[test]
    fn a_way_that_never_runs_is_idle_unless_the_kernel_refuses_it_anyway() {
        let mut tried = lines(&[
            "try: control\t/tmp\tnoexec\tdash\t`.`\trefuse\tran\tran",
            "try: control\t/tmp\tnoexec\telf\texecve\trefuse\trefused\trefused",
            "try: control\t/tmp\tnoexec\tperl\tXS\tmap\trefused\trefused",
        ]);
        assert_eq!(idle_ways(&tried), [""; 0]);
        tried.push("try: control\t/tmp\tnoexec\tdash\t$ENV\trefuse\tran\trefused".to_owned());
        assert_eq!(
            idle_ways(&tried),
            ["/tmp, noexec, dash, $ENV, refuse, ran, refused"]
        );
        assert_eq!(idle_ways(&[]), ["no way was tried"]);
    }

    #[test]
    fn a_boot_needs_its_units_and_its_end() {
        let before = lines(&["failed: a.service"]);
        let after = lines(&["ok 1 - x", "failed: a.service", "failed: b.service"]);
        assert_eq!(broken_units(&before, &after), ["b.service"]);
        let console = "systemd-shutdown[1]: All filesystems unmounted.\n";
        assert_eq!(left_on(console).len(), 1);
        assert_eq!(left_on(&format!("{console}reboot: Power down")), [""; 0]);
    }

    #[test]
    fn files_are_summed_by_package() {
        let packages = by_package(&lines(&[
            "file: lsb-base\t3\t/lib/lsb/init-functions",
            "file: bash\t1\t/etc/a",
            "file: bash\t2\t/etc/b",
            "ok 1 - x",
        ]));
        assert_eq!(packages["bash"], (2, 3));
        assert_eq!(packages["lsb-base"], (1, 3));
    }
}
