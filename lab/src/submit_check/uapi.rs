// SPDX-License-Identifier: GPL-2.0

//! What programs see: the UAPI headers.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::sides::{COMPLAINTS, Found, Side, found};
use crate::proc;

const DIR: &str = "include/uapi/";

/// Compilers, and languages in which a program may include them.
const LANGUAGES: [&str; 8] = [
    "gcc -xc -std=gnu90",
    "gcc -xc -std=c99",
    "gcc -xc -std=gnu17",
    "clang-19 -xc -std=gnu90",
    "clang-19 -xc -std=c23",
    "g++ -xc++ -std=c++11",
    "g++ -xc++ -std=c++20",
    "clang-19 -xc++ -std=c++17",
];

/// A header with a mistake, put beside the installed ones.
const PROBE: &str = "mayexec_probe.h";
const PROBE_TEXT: &str = "static inline int mayexec_probe(void) { }\n";

/// check-uapi.sh finds no change to what the base's headers promise.
pub(super) fn compatible(side: &Side<'_>) -> Result<Found> {
    if !side.tip {
        return Ok(found(0, "", BTreeSet::new()));
    }
    let (tip, base) = (side.session.tip(), side.session.tree.base.as_str());
    let mut cmd = side.command("scripts/check-uapi.sh -b", &[tip, "-p", base]);
    let cmd = cmd.env("ABIDIFF", side.fetched("abigail", "abidiff")?);
    let (status, text) = side.stage.attempt("check-uapi.sh", cmd)?;
    let is_verdict = |line: &&str| line.contains("UAPI headers compatible with");
    let verdict = text.lines().rfind(is_verdict);
    let (Some(verdict), true) = (verdict, status.success() || text.contains("error - ")) else {
        let tail = proc::tail(&text, proc::TAIL);
        bail!("check-uapi.sh did not come to a verdict\n{tail}");
    };
    let findings = match status.success() {
        true => BTreeSet::new(),
        false => side.lines(&text, &["error - ", "===="]),
    };
    let tried = verdict.trim().to_owned();
    Ok(Found { tried, findings })
}

/// A program in C and one in C++ compile with each touched header alone.
pub(super) fn programs(side: &Side<'_>) -> Result<Found> {
    let obj = side.session.ctx.slot.join("walk/obj-check-headers");
    fs::create_dir_all(&obj)?;
    let installed = obj.join("installed");
    let _ = fs::remove_dir_all(&installed);
    let mut make = side.session.tools()?.make(side.tree.dir(), &obj);
    make.arg("headers_install")
        .arg(format!("INSTALL_HDR_PATH={}", installed.display()));
    side.stage.run("make headers_install", &mut make)?;
    let headers = side.files.iter().filter_map(|file| file.strip_prefix(DIR));
    let headers: Vec<&str> = headers.collect();
    if headers.is_empty() {
        bail!("the series touches no UAPI header");
    }
    let mut findings = BTreeSet::new();
    let include_dir = installed.join("include");
    fs::write(include_dir.join(PROBE), PROBE_TEXT)?;
    for language in LANGUAGES {
        if include(side, &include_dir, PROBE, language)?.is_empty() {
            bail!("{language} is silent about a header that is wrong on purpose");
        }
        for header in &headers {
            findings.extend(include(side, &include_dir, header, language)?);
        }
    }
    let with = format!("headers, {} compilers and languages", LANGUAGES.len());
    Ok(found(headers.len(), &with, findings))
}

/// What a compiler says of a program that includes one header, twice.
fn include(
    side: &Side<'_>,
    headers: &Path,
    header: &str,
    language: &str,
) -> Result<BTreeSet<String>> {
    let twice = format!("-include {header} -include {header} /dev/null");
    let words = format!("{language} -Wall -Wextra -fsyntax-only {twice} -I");
    let mut cmd = side.command(&words, &[headers]);
    let (status, text) = side.stage.attempt(language, cmd.env("LC_ALL", "C"))?;
    let mut said = side.lines(&text, &COMPLAINTS);
    if !status.success() && said.is_empty() {
        said.insert("failed".to_owned());
    }
    let said = said.iter();
    let said = said.map(|line| format!("{language}: {header}: {line}"));
    Ok(said.collect())
}
