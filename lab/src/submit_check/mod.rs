// SPDX-License-Identifier: GPL-2.0

//! `make submit-check`: the tools that a maintainer runs on a series, a row a tool.
//!
//! A tool is run on the base and on the series, and what it says of the series alone is a
//! failure; so is a tool that could not run. Those that are silent about a file with
//! mistakes on purpose ([`sides::PROBE`]) count as tools that could not run.

pub(crate) mod builds;
mod lint;
mod sides;
mod uapi;

use anyhow::Result;

use self::builds::By::{Gcc, Llvm};
use self::builds::{Config, NO_RUST, OFF, ON, small, usual};

use crate::ctx::Ctx;
use crate::report::{Check, Report};
use crate::rows;
use crate::session::Session;
use crate::suites;
use crate::toolchain::{ARM64, X86};

enum Make {
    /// By a tool.
    Tool(fn(&Session<'_>) -> Result<Check>),
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
    ("get_maintainer", Make::Tool(lint::maintainers)),
    ("kernel-doc", Make::Tool(lint::kernel_doc)),
    ("check-sysctl-docs", Make::Tool(lint::sysctl)),
    ("check-uapi", Make::Tool(uapi::compatible)),
    ("headers", Make::Tool(uapi::programs)),
    ("build: x86_64 allnoconfig LLVM", Make::Build(small("allnoconfig", Llvm))),
    ("build: x86_64 allnoconfig GCC", Make::Build(small("allnoconfig", Gcc))),
    ("build: x86_64 tinyconfig LLVM", Make::Build(small("tinyconfig", Llvm))),
    ("build: x86_64 tinyconfig GCC", Make::Build(small("tinyconfig", Gcc))),
    ("build: x86_64 defconfig LLVM RUST=n", Make::Build(usual(&X86, Llvm, NO_RUST))),
    ("build: x86_64 defconfig GCC RUST=n", Make::Build(usual(&X86, Gcc, NO_RUST))),
    ("build: arm64 defconfig GCC RUST=n", Make::Build(usual(&ARM64, Gcc, NO_RUST))),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=y", Make::Build(usual(&X86, Llvm, ON))),
    ("build: x86_64 defconfig LLVM OPEN_MAYEXEC=n", Make::Build(usual(&X86, Llvm, OFF))),
    ("build: x86_64 defconfig GCC OPEN_MAYEXEC=y", Make::Build(usual(&X86, Gcc, ON))),
    ("build: arm64 defconfig LLVM OPEN_MAYEXEC=y", Make::Build(usual(&ARM64, Llvm, ON))),
    ("selftests", Make::Tool(builds::selftests)),
    ("rustdoc", Make::Tool(builds::rustdoc)),
    ("sparse", Make::Tool(lint::sparse)),
    ("coccicheck", Make::Tool(lint::coccicheck)),
    ("htmldocs", Make::Tool(lint::html)),
    ("kunit", Make::Suite("KUnit passes", suites::kunit::run)),
    ("each patch", Make::Suite("each patch and configuration builds (CLIPPY=1) and boots", suites::build::run)),
];

/// Makes every row, or those that are named; whether nothing failed.
pub(crate) fn run(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let wanted = rows::named(&ROWS, names)?;
    let session = Session::open(ctx)?;
    rows::print((ctx, "submit-check"), &wanted, &|name, make| match make {
        Make::Tool(make) => make(&session),
        Make::Build(config) => builds::row(&session, name, config),
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
    let mut report = Report::new();
    run(session, &mut report)?;
    Ok(Check {
        name: claim.to_owned(),
        tried: report.closing_line(),
        problems: report.failures().to_vec(),
        log: None,
    })
}
