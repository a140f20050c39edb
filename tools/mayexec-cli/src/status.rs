// SPDX-License-Identifier: GPL-2.0

//! `mayexec status`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use mayexec::{Guarantee, Policy, Support};
use serde::Serialize;

use crate::show::policy_name;
use crate::{FINE, tracefs};

#[derive(Debug, Serialize)]
struct Status {
    kernel: String,
    openat2: bool,
    o_mayexec: bool,
    o_emptypath: bool,
    at_execve_check: bool,
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
            .is_some_and(|bits| bits & uapi::SECBIT_EXEC_RESTRICT_FILE != 0)
    }

    fn read() -> Self {
        let support = Support::get();
        let policy = Policy::read();
        let fixed = fs::metadata(uapi::SYSCTL)
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
            at_execve_check: support.execve_check,
            guarantee: match support.guarantee() {
                Guarantee::Plain => "plain",
                Guarantee::Securebits => "securebits",
                Guarantee::Kernel => "kernel",
            },
            sysctl: policy.system,
            sysctl_fixed: fixed,
            securebits: uapi::securebits().ok(),
            policy: policy.enforced(),
            logged: policy.logged(),
            seccomp,
            lsms,
            tracepoint: tracefs::dir().map(|dir| dir.join("events").join(tracefs::EVENT).is_dir()),
        }
    }
}

/// What `status` adds where the securebit is set.
const SECUREBIT_NOTE: &str = "\
                 The kernel enforces EXEC_RESTRICT_FILE only if it was set with CAP_SETPCAP or
                 under no_new_privs. The kernel does not say whether it was. Programs that use
                 AT_EXECVE_CHECK, mayexec among them, obey it in any case.";

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
pub(crate) fn status(json: bool) -> Result<u8> {
    let status = Status::read();
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
        return Ok(FINE);
    }
    let yes = |is: bool| if is { "yes" } else { "no" };
    writeln!(out, "kernel           {}", status.kernel)?;
    writeln!(out, "O_MAYEXEC        {}", yes(status.o_mayexec))?;
    writeln!(out, "O_EMPTYPATH      {}", yes(status.o_emptypath))?;
    writeln!(out, "AT_EXECVE_CHECK  {}", yes(status.at_execve_check))?;
    if !status.openat2 {
        writeln!(out, "openat2          no, missing or filtered by seccomp")?;
    }
    writeln!(
        out,
        "sysctl           {}",
        match (status.sysctl, status.sysctl_fixed) {
            (Some(bits), Some(true)) => format!("{bits} ({}), fixed", policy_name(bits)),
            (Some(bits), _) => format!("{bits} ({})", policy_name(bits)),
            (None, _) => "not there".to_owned(),
        }
    )?;
    writeln!(out, "securebits       {}", securebits(status.securebits))?;
    writeln!(out, "enforced         {}", policy_name(status.policy))?;
    writeln!(out, "only logged      {}", policy_name(status.logged))?;
    if status.restricts() {
        writeln!(out, "{SECUREBIT_NOTE}")?;
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
    writeln!(
        out,
        "an open gets     {}",
        Support::get().guarantee().describe()
    )?;
    Ok(FINE)
}

#[cfg(test)]
mod tests {
    use super::*;

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
