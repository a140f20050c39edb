// SPDX-License-Identifier: GPL-2.0

//! What makes a suite red.

use std::path::Path;

use anyhow::{Context, Result};

use crate::git::Git;
use crate::guest::HostFault;
use crate::tap::{MAY_SKIP, Run};

/// What one suite said: nothing, or why it is red.
pub(super) type Noticed = Option<String>;

/// Suites or rows, and what each said.
pub(super) type Answers = Vec<(&'static str, Noticed)>;

pub(super) fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

pub(super) fn apply(git: &Git, file: &Path) -> Result<()> {
    git.line("apply --index", &[file])
        .with_context(|| format!("{} does not apply any more: write it anew", stem(file)))?;
    Ok(())
}

pub(super) fn failures(run: Result<Run>) -> Result<Vec<String>> {
    run.map(|run| run.problems(&MAY_SKIP))
}

/// The first of a suite's problems. A suite that could not come to its end has noticed too, unless
/// that is the host's fault.
pub(super) fn noticed(problems: Result<Vec<String>>) -> Result<Noticed> {
    match problems {
        Ok(problems) => Ok(problems.first().map(|why| first_line(why))),
        Err(error) if error.is::<HostFault>() => Err(error),
        Err(error) => Ok(Some(first_line(&format!("{error:#}")))),
    }
}

pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::ctx::tests::at;
    use crate::guest::Boot;
    use crate::kernel::Kernel;
    use crate::suites::host;
    use crate::toolchain::X86;

    #[test]
    fn what_the_host_fails_at_is_no_notice() {
        let guest = noticed(Err(anyhow!("the guest did not come up\nlog"))).unwrap();
        assert_eq!(guest.as_deref(), Some("the guest did not come up"));
        let dir = tempfile::tempdir().unwrap();
        let (ctx, arch, dir) = (at(dir.path()), X86, dir.path().to_owned());
        let missing = dir.join("missing");
        let kernel = Kernel { dir, arch };
        let boot = Boot::new(&ctx, &kernel, "none", &[]).program(&missing);
        let guest = boot.run().context("selftests");
        assert!(noticed(guest.map(|_| Vec::new())).is_err());
        for tool in ["true", "false"] {
            let mut cargo = std::process::Command::new(tool);
            let run = host::tests("tests", &missing, &mut cargo, host::cargo_cases);
            assert!(noticed(failures(run)).is_err(), "{tool}");
        }
    }
}
