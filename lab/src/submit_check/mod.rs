// SPDX-License-Identifier: GPL-2.0

//! `make submit-check`: the tools that a maintainer runs on a series, a row a tool.
//!
//! A tool is run on the base and on the series, and what it says of the series alone is a
//! failure; so is a tool that could not run. Those that are silent about a file with
//! mistakes on purpose ([`sides::PROBE`]) count as tools that could not run.

mod builds;
mod docs;
mod lint;
mod people;
mod sides;
mod sparse;
mod uapi;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::report::{Check, Report};
use crate::rows;
use crate::session::Session;
use crate::suites;

/// How a row is made.
type Make = fn(&Session<'_>) -> Result<Check>;

/// The rows, the cheap ones first, by the names under which `make submit-check` takes them.
const ROWS: [(&str, Make); 25] = [
    ("patches", |session| {
        suite(
            session,
            "each patch applies, passes checkpatch --strict --codespell",
            suites::patches::run,
        )
    }),
    ("rustfmt", |session| {
        suite(
            session,
            "rustfmt, with the kernel's settings",
            suites::style::rustfmt,
        )
    }),
    ("get_maintainer", people::maintainers),
    ("kernel-doc", lint::kernel_doc),
    ("check-sysctl-docs", docs::sysctl),
    ("check-uapi", uapi::compatible),
    ("headers", uapi::programs),
    ("build: x86_64 allnoconfig LLVM", |session| {
        builds::row(session, &builds::ALLNO)
    }),
    ("build: x86_64 allnoconfig GCC", |session| {
        builds::row(session, &builds::ALLNO_GCC)
    }),
    ("build: x86_64 tinyconfig LLVM", |session| {
        builds::row(session, &builds::TINY)
    }),
    ("build: x86_64 tinyconfig GCC", |session| {
        builds::row(session, &builds::TINY_GCC)
    }),
    ("build: x86_64 defconfig LLVM RUST=n", |session| {
        builds::row(session, &builds::X86)
    }),
    ("build: x86_64 defconfig GCC RUST=n", |session| {
        builds::row(session, &builds::X86_GCC)
    }),
    ("build: arm64 defconfig GCC RUST=n", |session| {
        builds::row(session, &builds::ARM64_GCC)
    }),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=y", |session| {
        builds::row(session, &builds::X86_ON)
    }),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=n", |session| {
        builds::row(session, &builds::X86_OFF)
    }),
    ("build: x86_64 defconfig GCC OPEN_MAYEXEC=y", |session| {
        builds::row(session, &builds::X86_GCC_ON)
    }),
    ("build: arm64 defconfig LLVM OPEN_MAYEXEC=y", |session| {
        builds::row(session, &builds::ARM64_ON)
    }),
    ("selftests", builds::selftests),
    ("rustdoc", builds::rustdoc),
    ("sparse", sparse::row),
    ("coccicheck", lint::coccicheck),
    ("htmldocs", docs::html),
    ("kunit", |session| {
        suite(session, "KUnit passes", suites::kunit::run)
    }),
    ("each patch", |session| {
        suite(
            session,
            "each patch and configuration builds (CLIPPY=1) and boots",
            suites::build::run,
        )
    }),
];

/// Makes every row, or those that are named, and prints the table; whether nothing failed.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let wanted = rows::named(&ROWS, names)?;
    let session = Session::open(ctx)?;
    Ok(rows::print(&wanted, &|make| make(&session)))
}

/// A suite of `make test` as a row.
fn suite(
    session: &Session<'_>,
    claim: &str,
    run: fn(&Session<'_>, &mut Report) -> Result<()>,
) -> Result<Check> {
    let mut report = Report::new();
    run(session, &mut report)?;
    Ok(Check {
        name: claim.to_owned(),
        tried: report.closing_line(),
        problems: report.failures().to_vec(),
        log: None,
    })
}
