// SPDX-License-Identifier: GPL-2.0

//! The guide of Documentation/admin-guide/mayexec.rst, walked on a Debian system: observe,
//! fix, enforce. What the system does all day must still be done in the end, and what an
//! attacker drops must not be executed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use mayexec::Guarantee;
use serde_json::Value;

use crate::Checks;
use crate::debian::{self, MAYEXEC, SYSCTL_CONF, drop_script};
use crate::scene::{Scene, denied_files, digest, put};
use crate::watch::{Watch, events};

/// Sets the securebit and its lock, as the examples do, before another command.
const RESTRICTED: [&str; 4] = ["capsh", "--secbits=0x300", "--shell=/usr/bin/env", "--"];

/// What is scanned and fixed: what is the system's own to configure, and what its
/// services are made of. Anything else needs only more time here.
const SCANNED: [&str; 7] = [
    "/etc",
    "/srv",
    "/usr/local",
    "/usr/share/awk",
    "/usr/share/report",
    "/var/lib/dpkg/info",
    "/var/tmp",
];

/// Something that the system does, and a part of what it prints.
struct Work {
    name: &'static str,
    words: Vec<String>,
    says: String,
}

/// How a piece of work ended.
type Outcome = (String, i32);

/// Names of files, and the checks that would deny them.
type Seen = BTreeSet<(String, String)>;

/// The system, and which of its guarantees hold.
struct Walk<'a> {
    scene: &'a Scene,
    guarantee: Guarantee,
    works: Vec<Work>,
}

/// Walks the guide. It ends in another root, so nothing can follow.
pub(crate) fn all(scene: &Scene, guarantee: Guarantee, checks: &mut Checks) -> Result<()> {
    let best = mayexec::Support::get().guarantee();
    checks.equal("the library finds the guarantee", best, guarantee);
    debian::enter()?;
    debian::close_mounts()?;
    debian::furnish()?;
    let mut walk = Walk {
        scene,
        guarantee,
        works: works()?,
    };

    let (before, seen) = walk.observed(checks, "before fixing")?;
    for (work, (said, code)) in walk.works.iter().zip(&before) {
        let outcome = (said.contains(&work.says), *code);
        checks.equal(
            &format!("without a policy, {} works", work.name),
            outcome,
            (true, 0),
        );
    }
    let missed = [
        ("hits.pl", "FILE"),
        ("job.sh", "MOUNT"),
        ("ord.awk", "FILE"),
        ("report.py", "FILE"),
    ];
    if let Some(seen) = seen {
        let right: Seen = missed
            .map(|(name, why)| (name.to_owned(), why.to_owned()))
            .into();
        checks.equal("what would be denied is observed", seen, right);
    }
    walk.scan_lists(checks)?;
    walk.unfixed(checks)?;
    walk.drops(checks, "without a policy", &[], false)?;

    walk.fix(checks)?;
    let (after, seen) = walk.observed(checks, "after fixing")?;
    checks.equal("fixing changes nothing else", after == before, true);
    if let Some(seen) = seen {
        checks.equal("after fixing, nothing would be denied", seen.len(), 0);
    }

    if guarantee == Guarantee::Kernel {
        walk.by_sysctl(checks, &before)?;
    }
    walk.by_securebit(checks, &before)?;
    container(checks)
}

/// What the system does all day, with the system's own scripts.
fn works() -> Result<Vec<Work>> {
    let python = fs::read_link("/usr/bin/python3").context("there is no python3")?;
    let python = python.to_string_lossy().into_owned();
    let work = |name, line: &str, says: &str| Work {
        name,
        words: line.split(' ').map(str::to_owned).collect(),
        says: says.to_owned(),
    };
    let run = |name, line: &str, says: &str| work(name, &format!("{MAYEXEC} run {line}"), says);
    Ok(vec![
        run("a cron job of dpkg", "sh /etc/cron.daily/dpkg", ""),
        run("an init script", "sh /etc/init.d/kmod start", ""),
        run(
            "a maintainer script of Debian's",
            "sh /var/lib/dpkg/info/base-files.postinst configure 12",
            "",
        ),
        work(
            "the package manager",
            "dpkg -i /run/report.deb",
            "report is configured",
        ),
        run(
            "a Python tool of Debian's",
            "python3 /usr/bin/py3versions -d",
            &python,
        ),
        run(
            "a Perl tool of Debian's",
            "perl /usr/bin/debconf-show --listdbs",
            "config",
        ),
        run(
            "a library of awk's",
            "gawk -f /usr/share/awk/ord.awk -f /srv/report/first.awk",
            "ord 65",
        ),
        run(
            "a service of a package",
            "python3 /usr/share/report/report.py",
            "report of 0",
        ),
        run("a job", "sh /var/tmp/job.sh", "job done"),
    ])
}

/// What the web server serves, each from a script.
const PAGES: [&str; 2] = ["good.pl", "hits.pl"];

impl Walk<'_> {
    /// What [`Walk::work`] does, in this order.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.works.iter().map(|work| work.name).chain(PAGES)
    }

    /// Does the work once; the web server's is the last.
    fn work(&self, prefix: &[&str]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for work in &self.works {
            let words: Vec<&str> = prefix
                .iter()
                .copied()
                .chain(work.words.iter().map(String::as_str))
                .collect();
            let output = Command::new(words[0])
                .args(&words[1..])
                .stderr(Stdio::inherit())
                .output()
                .with_context(|| format!("cannot start {}", words[0]))?;
            outcomes.push(digest(&output));
        }
        for name in PAGES {
            let body = debian::served(prefix, &format!("/cgi-bin/{name}"))?;
            outcomes.push((body.clone(), i32::from(!body.contains("served"))));
        }
        Ok(outcomes)
    }

    /// Does the work under a policy that only logs, and says which names and checks the
    /// tracepoint has shown, if there is one to show them.
    fn observed(&self, checks: &mut Checks, when: &str) -> Result<(Vec<Outcome>, Option<Seen>)> {
        if self.guarantee < Guarantee::Kernel {
            return Ok((self.work(&[])?, None));
        }
        self.scene.sysctl(7)?;
        let watch = Watch::start(Path::new(MAYEXEC), &[])?;
        let outcomes = self.work(&[])?;
        self.scene.sysctl(0)?;
        watch.interrupt()?;
        let (text, code) = watch.rest()?;
        checks.equal(&format!("{when}, the watch misses nothing"), code, Some(0));
        let mut seen = BTreeSet::new();
        for event in events(&text)? {
            let name = event["name"].as_str().unwrap_or("-").to_owned();
            let denied: Vec<&str> = event["denied"]
                .as_array()
                .context("watch --json lists what refuses a file")?
                .iter()
                .filter_map(Value::as_str)
                .collect();
            checks.equal(
                &format!("{when}, {name} is only observed"),
                (event["enforced"].as_bool(), event["ret"].as_i64()),
                (Some(false), Some(-13)),
            );
            seen.insert((name, denied.join(" and ")));
        }
        Ok((outcomes, Some(seen)))
    }

    /// `scan` lists the same files before any of them is opened.
    fn scan_lists(&self, checks: &mut Checks) -> Result<()> {
        let (found, code) = scan(&[])?;
        checks.equal("scan says that something would be denied", code, 1);
        for path in [
            "/srv/www/cgi-bin/hits.pl",
            "/usr/share/awk/ord.awk",
            "/usr/share/report/report.py",
            "/var/tmp/job.sh",
        ] {
            checks.equal(&format!("scan lists {path}"), found.contains(path), true);
        }
        checks.equal(
            "scan does not list what is executable",
            found.contains("/srv/www/cgi-bin/good.pl"),
            false,
        );
        Ok(())
    }

    /// Enforced too early, the policy refuses what was observed, and nothing else.
    fn unfixed(&self, checks: &mut Checks) -> Result<()> {
        let outcomes = if self.guarantee == Guarantee::Kernel {
            self.scene.sysctl(3)?;
            let outcomes = self.work(&[]);
            self.scene.sysctl(0)?;
            outcomes?
        } else {
            self.work(&RESTRICTED)?
        };
        let broken: Vec<&str> = self
            .names()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.1 != 0)
            .map(|(name, _)| name)
            .collect();
        checks.equal(
            "enforced before fixing, the policy breaks what was observed",
            broken,
            vec![
                "a library of awk's",
                "a service of a package",
                "a job",
                "hits.pl",
            ],
        );
        Ok(())
    }

    /// As the guide says: the mode, once it is clear that it is code, or another place.
    fn fix(&mut self, checks: &mut Checks) -> Result<()> {
        let (script, _) = scan_text(&["--fix"])?;
        checks.equal(
            "scan --fix prints what it would do",
            script.contains("chmod a+x -- '/usr/share/report/report.py'\n"),
            true,
        );
        let packaged = "/usr/share/report/report.py";
        let (before, _) = scan(&[])?;
        let (found, _) = scan(&["--fix", "--apply"])?;
        checks.equal("scan --fix --apply says what it has found", found, before);
        let (left, _) = scan(&[])?;
        let left: Vec<_> = left.into_iter().collect();
        // A web server starts what is executable in cgi-bin: the administrator decides.
        let hits = "/srv/www/cgi-bin/hits.pl";
        checks.equal(
            "scan --fix --apply has fixed all that a mode can fix and nobody turned off",
            left,
            vec![hits.to_owned(), "/var/tmp/job.sh".to_owned()],
        );
        fs::set_permissions(hits, fs::Permissions::from_mode(0o755))?;
        debian::install_package()?;
        let (found, _) = scan(&[])?;
        checks.equal(
            "an update of the package takes the fix back",
            found.contains(packaged),
            true,
        );
        debian::succeed(
            "dpkg-statoverride",
            &["--update", "--add", "root", "root", "755", packaged],
        )?;
        debian::install_package()?;
        let moved = "/usr/local/sbin/job.sh";
        fs::create_dir_all("/usr/local/sbin")?;
        fs::copy("/var/tmp/job.sh", moved)?;
        fs::remove_file("/var/tmp/job.sh")?;
        if let Some(word) = self.works.last_mut().and_then(|work| work.words.last_mut()) {
            *word = moved.to_owned();
        }
        let (found, code) = scan(&[])?;
        checks.equal(
            "after fixing, scan finds nothing",
            (found, code),
            (BTreeSet::new(), 0),
        );
        Ok(())
    }

    /// The system's policy: noexec mounts first, by what a boot runs, then both checks.
    fn by_sysctl(&self, checks: &mut Checks, right: &[Outcome]) -> Result<()> {
        let (path, text) = SYSCTL_CONF;
        put(path, text, 0o644)?;
        debian::succeed(MAYEXEC, &["run", "sh", "/etc/init.d/procps", "start"])?;
        let value = fs::read_to_string(uapi::SYSCTL)?;
        checks.equal(
            "a boot puts the example's policy in force",
            value.trim(),
            "1",
        );
        self.still_works(checks, "fs.open_mayexec_enforce=1", &[], right)?;
        self.drops(checks, "fs.open_mayexec_enforce=1", &[], true)?;
        self.scene.sysctl(3)?;
        self.still_works(checks, "fs.open_mayexec_enforce=3", &[], right)?;
        self.drops(checks, "fs.open_mayexec_enforce=3", &[], true)?;
        self.unmarked(checks, "fs.open_mayexec_enforce=3", &[])?;
        let namespace = [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
        ];
        let write = format!("echo 0 >{} || exit 9", uapi::SYSCTL);
        let code = Command::new(namespace[0])
            .args(&namespace[1..])
            .arg(write)
            .status()?
            .code();
        let value = fs::read_to_string(uapi::SYSCTL)?;
        checks.equal(
            "a container's root cannot change the system's policy",
            (code, value.trim()),
            (Some(9), "3"),
        );
        self.scene.sysctl(0)
    }

    /// One process and its children, and the service of the example.
    fn by_securebit(&self, checks: &mut Checks, right: &[Outcome]) -> Result<()> {
        self.still_works(checks, "the securebit", &RESTRICTED, right)?;
        self.drops(checks, "the securebit", &RESTRICTED, true)?;
        self.unmarked(checks, "the securebit", &RESTRICTED)?;
        let user = debian::value(debian::UNIT, "User")?;
        let line = debian::value(debian::UNIT, "ExecStart")?;
        let start = |line: &str| -> Result<Outcome> {
            let output = Command::new("setpriv")
                .args([
                    "--reuid",
                    &user,
                    "--regid",
                    &user,
                    "--init-groups",
                    "--no-new-privs",
                ])
                .args(line.split(' '))
                .stderr(Stdio::inherit())
                .output()?;
            Ok(digest(&output))
        };
        let id = Command::new("id").args(["-u", &user]).output()?;
        let id = String::from_utf8_lossy(&id.stdout).trim().to_owned();
        checks.equal(
            "the service of the example runs",
            start(&line)?,
            (format!("report of {id}\n"), 0),
        );
        let script = line
            .rsplit(' ')
            .next()
            .context("the service has a script")?;
        let dropped = Path::new("/var/tmp/report.py");
        put(dropped, "print('attacker was here')\n", 0o755)?;
        checks.equal(
            "the service of the example does not run what was dropped",
            start(&line.replace(script, &dropped.to_string_lossy()))?,
            (String::new(), 126),
        );
        fs::remove_file(dropped)?;
        Ok(())
    }

    /// Everything works as it did without a policy.
    fn still_works(
        &self,
        checks: &mut Checks,
        policy: &str,
        prefix: &[&str],
        right: &[Outcome],
    ) -> Result<()> {
        let outcomes = self.work(prefix)?;
        for ((name, found), right) in self.names().zip(&outcomes).zip(right) {
            checks.equal(&format!("{policy}: {name} still works"), found, right);
        }
        Ok(())
    }

    /// What an attacker drops where everybody or the web server may write.
    fn drops(
        &self,
        checks: &mut Checks,
        policy: &str,
        prefix: &[&str],
        denied: bool,
    ) -> Result<()> {
        for path in [
            "/tmp/drop.sh",
            "/var/tmp/drop.sh",
            "/srv/www/upload/drop.sh",
        ] {
            drop_script(Path::new(path), 0o755)?;
            let right = if denied {
                ("", 126)
            } else {
                ("attacker was here\n", 0)
            };
            let (said, code) = try_script(prefix, path)?;
            checks.equal(&format!("{policy}: {path}"), (said.as_str(), code), right);
            fs::remove_file(path)?;
        }
        let upload = Path::new("/srv/www/upload/shell.pl");
        drop_script(upload, 0o755)?;
        let body = debian::served(prefix, "/upload/shell.pl")?;
        checks.equal(
            &format!("{policy}: the web server runs an upload"),
            body.contains("attacker"),
            !denied,
        );
        fs::remove_file(upload)?;
        Ok(())
    }

    /// A file that nobody has made executable, on a mount that allows it.
    fn unmarked(&self, checks: &mut Checks, policy: &str, prefix: &[&str]) -> Result<()> {
        let path = "/srv/report/unmarked.sh";
        drop_script(Path::new(path), 0o644)?;
        let (said, code) = try_script(prefix, path)?;
        checks.equal(
            &format!("{policy}: {path}"),
            (said.as_str(), code),
            ("", 126),
        );
        fs::remove_file(path)?;
        Ok(())
    }
}

/// Has a shell run a script through the command.
fn try_script(prefix: &[&str], path: &str) -> Result<Outcome> {
    let words = [prefix, &[MAYEXEC, "run", "sh", path]].concat();
    let output = Command::new(words[0]).args(&words[1..]).output()?;
    Ok(digest(&output))
}

fn scan_text(options: &[&str]) -> Result<(String, i32)> {
    let output = Command::new(MAYEXEC)
        .arg("scan")
        .args(options)
        .args(SCANNED)
        .stderr(Stdio::inherit())
        .output()?;
    Ok(digest(&output))
}

/// The files that a scan reports, and its exit code.
fn scan(options: &[&str]) -> Result<(BTreeSet<String>, i32)> {
    let (text, code) = scan_text(&[options, &["--json"]].concat())?;
    Ok((denied_files(&text)?, code))
}

/// A container of which only the namespaces matter: the bit is set inside, or outside.
fn container(checks: &mut Checks) -> Result<()> {
    let namespaces = "unshare --user --map-root-user --mount --pid --fork --mount-proc";
    let restricted = RESTRICTED.join(" ");
    for (place, line) in [
        ("inside", format!("{namespaces} {restricted}")),
        ("outside", format!("{restricted} {namespaces}")),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let output = Command::new(words[0])
            .args(&words[1..])
            .args([MAYEXEC, "status", "--json"])
            .stderr(Stdio::inherit())
            .output()?;
        let status: Value = serde_json::from_slice(&output.stdout).context("status --json")?;
        checks.equal(
            &format!("a container has the securebit that was set {place}"),
            status["securebits"].as_u64(),
            Some(0x300),
        );
    }
    Ok(())
}
