// SPDX-License-Identifier: GPL-2.0

//! Who gets the patches.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;

use super::sides::{self, Found, must};
use crate::report::Check;
use crate::session::Session;

/// Each touched file has a maintainer who is not the last resort.
pub(super) fn maintainers(session: &Session<'_>) -> Result<Check> {
    let claim = "get_maintainer names a maintainer for each touched file";
    sides::row(session, ("get_maintainer", claim, ""), &|side| {
        let mut findings = BTreeSet::new();
        for file in &side.files {
            // The file of owners has none.
            if file == "MAINTAINERS" {
                continue;
            }
            let mut cmd = Command::new("perl");
            cmd.arg("scripts/get_maintainer.pl")
                .args(["--no-git", "--no-git-fallback", "--no-keywords", "-f"])
                .arg(file)
                .current_dir(side.tree.dir());
            let text = must(side, "get_maintainer.pl", &mut cmd)?;
            if !text.lines().any(names_a_person) {
                findings.insert(format!("{file}: no maintainer"));
            }
        }
        Ok(Found {
            tried: format!("{} files", side.files.len()),
            findings,
        })
    })
}

/// Whether a line of get_maintainer names someone who takes patches.
fn names_a_person(line: &str) -> bool {
    [" (maintainer:", " (supporter:"]
        .iter()
        .any(|role| line.contains(role))
        && !line.contains("THE REST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_maintainer() {
        assert!(names_a_person(
            "A B <a@b> (maintainer:FILESYSTEMS (VFS and infrastructure))"
        ));
        assert!(names_a_person(
            "A <a@b> (supporter:LANDLOCK SECURITY MODULE)"
        ));
        assert!(!names_a_person("l@k (open list:FILESYSTEMS)"));
        assert!(!names_a_person("A <a@b> (reviewer:FILESYSTEMS)"));
        assert!(!names_a_person("A <a@b> (maintainer:THE REST)"));
        assert!(!names_a_person(""));
    }
}
