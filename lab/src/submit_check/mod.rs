// SPDX-License-Identifier: GPL-2.0

//! `make submit-check`: the tools that a maintainer runs on a series, a row a tool.
//!
//! A tool is run on the base and on the series, and what it says of the series alone is a
//! failure; so is a tool that could not run. Those that are silent about a file with
//! mistakes on purpose ([`sides::PROBES`]) count as tools that could not run.

mod builds;
mod lint;
mod sides;
mod uapi;

use anyhow::Result;

use self::builds::{Config, NO_RUST, OFF, ON};
use self::sides::{Found, Side};

use crate::ctx::Ctx;
use crate::report::{Check, Report};
use crate::rows;
use crate::session::Session;
use crate::suites;
use crate::toolchain::By::{Gcc, Llvm};
use crate::toolchain::{ARM64, X86};

enum Make {
    /// By a tool: the claim, a word of what the tool says of a file that is wrong on purpose, and
    /// what runs it.
    Tool(
        &'static str,
        Option<&'static str>,
        fn(&Side<'_>) -> Result<Found>,
    ),
    /// By a compiler, of the touched objects.
    Build(Config),
    /// By a suite of `make test`, with the claim that it makes here.
    Suite(&'static str, fn(&Session<'_>, &mut Report) -> Result<()>),
}

/// The rows, the cheap ones first, by the names under which `make submit-check` takes them.
#[rustfmt::skip]
const ROWS: [(&str, Make); 25] = [
    ("patches", Make::Suite("each patch applies, passes checkpatch --strict --codespell", suites::patches::run)),
    ("rustfmt", Make::Suite("rustfmt, with the kernel's settings", suites::style::rustfmt)),
    ("get_maintainer", Make::Tool("get_maintainer names a maintainer for each touched file", None, lint::maintainers)),
    ("kernel-doc", Make::Tool("kernel-doc -Wall -Werror: nothing new in the touched files", Some("not described"), lint::kernel_doc)),
    ("check-sysctl-docs", Make::Tool("check-sysctl-docs: nothing new undocumented below fs", Some("No implementation"), lint::sysctl)),
    ("check-uapi", Make::Tool("check-uapi.sh: no UAPI break against the base", None, uapi::compatible)),
    ("headers", Make::Tool("each touched UAPI header, installed, is enough for C and C++", None, uapi::programs)),
    ("build: x86_64 allnoconfig LLVM", Make::Build(Config { arch: &X86, by: Llvm, target: "allnoconfig", lines: &[] })),
    ("build: x86_64 allnoconfig GCC", Make::Build(Config { arch: &X86, by: Gcc, target: "allnoconfig", lines: &[] })),
    ("build: x86_64 tinyconfig LLVM", Make::Build(Config { arch: &X86, by: Llvm, target: "tinyconfig", lines: &[] })),
    ("build: x86_64 tinyconfig GCC", Make::Build(Config { arch: &X86, by: Gcc, target: "tinyconfig", lines: &[] })),
    ("build: x86_64 defconfig LLVM RUST=n", Make::Build(Config { arch: &X86, by: Llvm, target: "defconfig", lines: NO_RUST })),
    ("build: x86_64 defconfig GCC RUST=n", Make::Build(Config { arch: &X86, by: Gcc, target: "defconfig", lines: NO_RUST })),
    ("build: arm64 defconfig GCC RUST=n", Make::Build(Config { arch: &ARM64, by: Gcc, target: "defconfig", lines: NO_RUST })),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=y", Make::Build(Config { arch: &X86, by: Llvm, target: "defconfig", lines: ON })),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=n", Make::Build(Config { arch: &X86, by: Llvm, target: "defconfig", lines: OFF })),
    ("build: x86_64 defconfig GCC OPEN_MAYEXEC=y", Make::Build(Config { arch: &X86, by: Gcc, target: "defconfig", lines: ON })),
    ("build: arm64 defconfig LLVM OPEN_MAYEXEC=y", Make::Build(Config { arch: &ARM64, by: Llvm, target: "defconfig", lines: ON })),
    ("selftests", Make::Tool("selftests: no new warnings with W=1's flags, LLVM and GCC", None, builds::selftests)),
    ("rustdoc", Make::Tool("make rustdoc: no new warnings", None, builds::rustdoc)),
    ("sparse", Make::Tool("sparse (C=2): nothing new in the touched files", Some("dereference of noderef"), lint::sparse)),
    ("coccicheck", Make::Tool("coccicheck: nothing new in the touched files", Some("NULL check"), lint::coccicheck)),
    ("htmldocs", Make::Tool("make htmldocs: no new warnings", Some("mayexec_probe_nowhere"), lint::html)),
    ("kunit", Make::Suite("KUnit passes", suites::kunit::run)),
    ("each patch", Make::Suite("each patch and configuration builds (CLIPPY=1) and boots", |session, report| { report.add(&suites::build::each_patch(session)?); suites::build::run(session, report) })),
];

/// Makes every row, or those that are named; whether nothing failed.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let wanted = rows::named(&ROWS, names)?;
    let session = Session::open(ctx)?;
    let inputs = sides::inputs(&session)?;
    rows::print((ctx, "submit-check"), &wanted, &|name, make| match make {
        Make::Tool(claim, mistake, find) => {
            sides::row(&session, (name, claim, &inputs, *mistake), find)
        }
        Make::Build(config) => builds::row(&session, (name, &inputs), config),
        Make::Suite(claim, run) => suite(&session, claim, *run),
    })
}

pub(crate) fn names() -> Vec<String> {
    rows::names(&ROWS)
}

/// A suite of `make test` as a row.
fn suite(
    session: &Session<'_>,
    claim: &str,
    run: fn(&Session<'_>, &mut Report) -> Result<()>,
) -> Result<Check> {
    let mut report = Report::default();
    run(session, &mut report)?;
    Ok(Check {
        tried: report.closing_line(),
        problems: report.failures().to_vec(),
        ..Check::new(claim)
    })
}
