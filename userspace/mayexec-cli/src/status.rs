// SPDX-License-Identifier: GPL-2.0

//! `mayexec status`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use mayexec::{ExecveCheck, Guarantee, Policy, Support};
use rustix::thread::capabilities_secure_bits;
use serde::Serialize;

use crate::show::policy_name;
use crate::{DENIED, FINE, kernel, tracefs};

#[derive(Debug, Serialize)]
struct Status {
    kernel: String,
    openat2: bool,
    o_mayexec: bool,
    o_emptypath: bool,
    at_execve_check: bool,
    /// What keeps O_MAYEXEC from this process on a kernel that has it, or may have it.
    hidden_by: Option<&'static str>,
    guarantee: &'static str,
    sysctl: Option<u32>,
    sysctl_fixed: Option<bool>,
    securebits: Option<u32>,
    policy: u32,
    logged: u32,
    seccomp: bool,
    lsms: Option<Vec<String>>,
    tracepoint: Option<bool>,
}

impl Status {
    /// Whether the thread has the securebit that demands checks.
    fn restricts(&self) -> bool {
        self.securebits
            .is_some_and(|bits| bits & kernel::SECBIT_EXEC_RESTRICT_FILE != 0)
    }

    fn read(check: ExecveCheck, policy: Policy, best: Guarantee) -> Self {
        let support = Support::get();
        let fixed = fs::metadata(kernel::SYSCTL)
            .ok()
            .map(|file| file.permissions().mode() & 0o222 == 0);
        let seccomp = fs::read_to_string("/proc/self/status").is_ok_and(|text| {
            text.lines().any(|line| {
                line.strip_prefix("Seccomp:")
                    .is_some_and(|n| n.trim() != "0")
            })
        });
        let lsms = fs::read_to_string("/sys/kernel/security/lsm")
            .ok()
            .map(|text| text.trim().split(',').map(str::to_owned).collect());
        Self {
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            openat2: support.openat2,
            o_mayexec: support.mayexec,
            o_emptypath: support.emptypath,
            at_execve_check: check == ExecveCheck::Works,
            hidden_by: hidden_by(support, policy),
            guarantee: word(best),
            sysctl: policy.system,
            sysctl_fixed: fixed,
            securebits: capabilities_secure_bits().ok().map(|bits| bits.bits()),
            policy: policy.enforced(),
            logged: policy.logged(),
            seccomp,
            lsms,
            tracepoint: tracefs::dir().map(|dir| dir.join("events").join(tracefs::EVENT).is_dir()),
        }
    }
}

/// The best that an open can demand.
fn guarantee(support: Support, check: ExecveCheck, policy: Policy) -> Guarantee {
    match check {
        _ if support.mayexec => Guarantee::Kernel,
        ExecveCheck::Works if !policy.unknown => Guarantee::Securebits,
        _ => Guarantee::Plain,
    }
}

/// What an open gets that demands nothing.
fn gets(best: Guarantee, policy: Policy) -> &'static str {
    match best {
        Guarantee::Plain if policy.file() => {
            "a refusal: the policy asks for AT_EXECVE_CHECK, which is impossible"
        }
        Guarantee::Plain if policy.mount() => "the sysctl's check of mounts, made by the program",
        best => best.describe(),
    }
}

fn word(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Kernel => "kernel",
        Guarantee::Securebits => "securebits",
        _ => "plain",
    }
}

/// What keeps O_MAYEXEC from this process.
fn hidden_by(support: Support, policy: Policy) -> Option<&'static str> {
    match policy.system {
        _ if support.emulated => Some("an emulator or a filter that accepts every flag"),
        Some(_) if !support.mayexec => Some("a seccomp filter or an emulator"),
        None if policy.unknown && !support.openat2 => Some("perhaps a seccomp filter"),
        _ => None,
    }
}

/// What somebody demands of the system: a guarantee, and the checks that are enforced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    guarantee: Guarantee,
    checks: u32,
}

impl std::str::FromStr for Demand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, checks) = match text.split_once(':') {
            Some((word, checks)) => (word, Some(checks)),
            None => (text, None),
        };
        let guarantee = match word {
            "kernel" => Guarantee::Kernel,
            "securebits" => Guarantee::Securebits,
            _ => return Err("it is kernel or securebits, then perhaps :1, :2 or :3".to_owned()),
        };
        let checks = match checks {
            None => 0,
            Some("1") => 1,
            Some("2") => 2,
            Some("3") => 3,
            _ => return Err("the checks are 1 (MOUNT), 2 (FILE) or 3 (both)".to_owned()),
        };
        Ok(Self { guarantee, checks })
    }
}

impl Demand {
    /// What there is in place of what is demanded.
    fn missed(self, best: Guarantee, check: ExecveCheck, policy: Policy) -> Option<String> {
        // The kernel may not count the securebit, and does not say so.
        let (who, enforced) = match self.guarantee {
            Guarantee::Kernel => ("the sysctl", policy.system_enforces()),
            _ => ("the policy in force", policy.enforced()),
        };
        if best < self.guarantee {
            Some(format!("an open gets {}", gets(best, policy)))
        } else if self.guarantee == Guarantee::Securebits && check != ExecveCheck::Works {
            Some("AT_EXECVE_CHECK does not work".to_owned())
        } else if enforced & self.checks != self.checks {
            Some(format!("{who} enforces {}", policy_name(enforced)))
        } else {
            None
        }
    }
}

/// What `status` adds where the securebit is set.
const SECUREBIT_NOTE: [&str; 3] = [
    "The kernel enforces EXEC_RESTRICT_FILE only if it was set with CAP_SETPCAP or",
    "under no_new_privs. The kernel does not say whether it was. Programs that use",
    "AT_EXECVE_CHECK, mayexec among them, obey it in any case.",
];

/// The securebits' names, in the order of their values.
const SECUREBITS: [&str; 12] = [
    "NOROOT",
    "NOROOT_LOCKED",
    "NO_SETUID_FIXUP",
    "NO_SETUID_FIXUP_LOCKED",
    "KEEP_CAPS",
    "KEEP_CAPS_LOCKED",
    "NO_CAP_AMBIENT_RAISE",
    "NO_CAP_AMBIENT_RAISE_LOCKED",
    "EXEC_RESTRICT_FILE",
    "EXEC_RESTRICT_FILE_LOCKED",
    "EXEC_DENY_INTERACTIVE",
    "EXEC_DENY_INTERACTIVE_LOCKED",
];

fn securebits(bits: Option<u32>) -> String {
    let Some(bits) = bits else {
        return "cannot be read".to_owned();
    };
    let set: Vec<&str> = (0..)
        .zip(SECUREBITS)
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, name)| name)
        .collect();
    if set.is_empty() {
        "none".to_owned()
    } else {
        set.join(", ")
    }
}

/// Prints what the kernel has and which policy is in force.
pub(crate) fn status(json: bool, require: Option<Demand>) -> Result<u8> {
    let check = crate::probe::execve_check();
    let policy = Policy::read();
    let best = guarantee(Support::get(), check, policy);
    let status = Status::read(check, policy, best);
    let missed = require.and_then(|demand| demand.missed(best, check, policy));
    let code = if missed.is_some() { DENIED } else { FINE };
    if let Some(missed) = missed {
        let _ = writeln!(
            std::io::stderr(),
            "mayexec: what --require demands is not there: {missed}"
        );
    }
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
        return Ok(code);
    }
    let yes = |is: bool| if is { "yes" } else { "no" };
    writeln!(out, "kernel           {}", status.kernel)?;
    match status.hidden_by {
        Some(by) => writeln!(out, "O_MAYEXEC        no, hidden by {by}")?,
        None => writeln!(out, "O_MAYEXEC        {}", yes(status.o_mayexec))?,
    }
    writeln!(out, "O_EMPTYPATH      {}", yes(status.o_emptypath))?;
    writeln!(
        out,
        "AT_EXECVE_CHECK  {}",
        match check {
            ExecveCheck::Filtered => "no, filtered by seccomp (as sudo's NOEXEC does)",
            check => yes(check == ExecveCheck::Works),
        }
    )?;
    if !status.openat2 {
        writeln!(out, "openat2          no, missing or filtered by seccomp")?;
    }
    writeln!(
        out,
        "sysctl           {}",
        match (status.sysctl, status.sysctl_fixed) {
            (Some(bits), Some(true)) => format!("{bits} ({}), fixed", policy_name(bits)),
            (Some(bits), _) => format!("{bits} ({})", policy_name(bits)),
            (None, _) if policy.unknown => "cannot be read".to_owned(),
            (None, _) => "not there".to_owned(),
        }
    )?;
    writeln!(out, "securebits       {}", securebits(status.securebits))?;
    writeln!(out, "enforced         {}", policy_name(status.policy))?;
    writeln!(out, "only logged      {}", policy_name(status.logged))?;
    if status.restricts() {
        for line in SECUREBIT_NOTE {
            writeln!(out, "{:17}{line}", "")?;
        }
    }
    writeln!(
        out,
        "LSMs             {}",
        status
            .lsms
            .as_ref()
            .map_or("unknown, securityfs is not mounted".to_owned(), |lsms| lsms
                .join(", "))
    )?;
    writeln!(out, "seccomp          {}", yes(status.seccomp))?;
    writeln!(
        out,
        "tracepoint       {}",
        status
            .tracepoint
            .map_or("unknown, tracefs is not mounted or not readable", yes)
    )?;
    writeln!(out, "an open gets     {}", gets(best, policy))?;
    out.flush()?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_demanded_is_there_or_not() {
        let missed = |demand: &str, best, system, securebit| {
            let mut policy = Policy::default();
            (policy.system, policy.securebit) = (system, securebit);
            let demand = demand.parse::<Demand>().unwrap();
            demand.missed(best, ExecveCheck::Works, policy).is_some()
        };
        let kernel = Guarantee::Kernel;
        assert!(!missed("kernel:1", kernel, Some(1), false));
        assert!(!missed("kernel:1", kernel, Some(3), false));
        assert!(missed("kernel:3", kernel, Some(1), false));
        assert!(missed("kernel:1", kernel, Some(7), false), "only logged");
        assert!(
            missed("kernel:1", Guarantee::Securebits, Some(1), false),
            "hidden"
        );
        assert!(
            missed("kernel:3", kernel, Some(0), true),
            "it may not count"
        );
        assert!(!missed("securebits:3", Guarantee::Securebits, None, true));
        assert!(missed("securebits", Guarantee::Plain, None, true));
        assert!(!missed("kernel", kernel, Some(0), false));
        let demand = "securebits".parse::<Demand>().unwrap();
        let filtered = demand.missed(kernel, ExecveCheck::Filtered, Policy::default());
        assert!(filtered.is_some(), "a filter refuses execveat(2)");
        for wrong in ["", "plain", "kernel:4", "kernel:x", "kernel:"] {
            assert!(wrong.parse::<Demand>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn securebits_have_names() {
        assert_eq!(securebits(Some(0)), "none");
        assert_eq!(
            securebits(Some(0x900)),
            "EXEC_RESTRICT_FILE, EXEC_DENY_INTERACTIVE_LOCKED"
        );
        assert_eq!(securebits(None), "cannot be read");
    }
}
