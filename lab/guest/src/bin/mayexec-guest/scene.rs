// SPDX-License-Identifier: GPL-2.0

//! The files and the policies.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use mayexec::Why;
use rustix::mount::{MountFlags, mount};
use serde_json::Value;

/// Two file systems with scripts.
pub(crate) struct Scene {
    /// The command.
    pub(crate) mayexec: PathBuf,
    /// Not noexec.
    pub(crate) exec: PathBuf,
    /// Noexec.
    pub(crate) noexec: PathBuf,
}

/// Who has set a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The sysctl, at this value.
    Sysctl(u32),
    /// The securebit of the thread, set with CAP_SETPCAP.
    Securebit,
}

impl Policy {
    /// The checks that may refuse a file.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Sysctl(bits) if bits & mayexec::LOG_ONLY != 0 => 0,
            Self::Sysctl(bits) => bits,
            Self::Securebit => 3,
        }
    }
}

/// Why the table of the semantics refuses a file.
pub(crate) fn table(bits: u32, noexec: bool, mode: u32) -> Option<Why> {
    if bits & 1 != 0 && noexec {
        Some(Why::Noexec)
    } else if bits & 2 != 0 && mode & 0o111 == 0 {
        Some(Why::NotExecutable)
    } else {
        None
    }
}

/// Makes a file.
pub(crate) fn put(path: impl AsRef<Path>, text: &str, mode: u32) -> Result<()> {
    let path = path.as_ref();
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

impl Scene {
    /// Mounts the file systems and makes the files.
    pub(crate) fn set() -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut dirs = Vec::new();
        for (name, flags) in [
            ("exec", MountFlags::empty()),
            ("noexec", MountFlags::NOEXEC),
        ] {
            let dir = PathBuf::from(format!("/run/mayexec-{name}"));
            fs::create_dir_all(&dir)?;
            mount("tmpfs", &dir, "tmpfs", flags, c"mode=0755")
                .with_context(|| format!("cannot mount {}", dir.display()))?;
            for mode in [0o755, 0o644] {
                let path = dir.join(format!("{mode:o}"));
                put(&path, "#!/bin/sh\necho \"ran $0 $*\"\n", mode)?;
            }
            dirs.push(dir);
        }
        let [exec, noexec] = <[PathBuf; 2]>::try_from(dirs)
            .map_err(|_| anyhow::anyhow!("there are two file systems"))?;
        Ok(Self {
            mayexec: own.with_file_name("mayexec"),
            exec,
            noexec,
        })
    }

    /// The sysctl's value is set, if there is one and the policy asks for it.
    pub(crate) fn sysctl(&self, bits: u32) -> Result<()> {
        if Path::new(uapi::SYSCTL).exists() {
            fs::write(uapi::SYSCTL, bits.to_string()).context("cannot set the sysctl")?;
        }
        Ok(())
    }

    /// Calls `work` under `policy`, in a thread of its own.
    pub(crate) fn under<T: Send>(
        &self,
        policy: Policy,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T> {
        self.sysctl(match policy {
            Policy::Sysctl(bits) => bits,
            Policy::Securebit => 0,
        })?;
        let outcome = std::thread::scope(|threads| {
            threads
                .spawn(|| {
                    if policy == Policy::Securebit {
                        uapi::set_securebits(uapi::SECBIT_EXEC_RESTRICT_FILE)
                            .context("cannot set the securebit")?;
                    }
                    Ok(work())
                })
                .join()
                .map_err(|_| anyhow::anyhow!("a test panicked"))?
        });
        self.sysctl(0)?;
        outcome
    }

    /// Runs the command; what it prints, and its exit code.
    pub(crate) fn command(&self, args: &[&str]) -> Result<(String, i32)> {
        let output = Command::new(&self.mayexec)
            .args(args)
            .output()
            .context("cannot start mayexec")?;
        Ok(digest(&output))
    }
}

/// What a program has printed, and its exit code.
pub(crate) fn digest(output: &Output) -> (String, i32) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code().unwrap_or(-1))
}

/// The files of a report of `scan --json`.
pub(crate) fn denied_files(report: &str) -> Result<BTreeSet<String>> {
    let report: Value = serde_json::from_str(report).context("scan --json")?;
    Ok(report["denied"]
        .as_array()
        .context("scan --json lists what is denied")?
        .iter()
        .filter_map(|file| file["path"].as_str().map(str::to_owned))
        .collect())
}
