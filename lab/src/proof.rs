// SPDX-License-Identifier: GPL-2.0

//! `make verify`: evidence, a row a claim. What it tries, how often, what failed.

mod foreign;
mod fuzz;
mod ports;
mod stress;

use std::time::Duration;

use anyhow::Result;
use rayon::prelude::*;

use crate::ctx::Ctx;
use crate::guest::Boot;
use crate::kernel::Kernel;
use crate::report::Check;
use crate::rows;
use crate::selftests;
use crate::session::Session;
use crate::suites::{build, consumers, filesystems};
use crate::tap::{MAY_SKIP, Verdict};
use crate::toolchain::{ARM64, RISCV64};
use crate::variants::DEBUG;
use fuzz::{Extent, LONG, SHORT};

/// Makes every row, or those that are named; whether nothing failed.
pub(crate) fn verify(ctx: &Ctx, names: &[String]) -> Result<bool> {
    let wanted = rows::named(&ROWS, names)?;
    let session = Session::open(ctx)?;
    rows::print((ctx, "verify"), &wanted, &|_, make| match make {
        Make::Series(make) => make(&session, &session.tip_kernel()?, LONG),
        Make::Debug(make) => {
            let kernel = session.kernel("the debug kernel", session.tip(), &DEBUG)?;
            let mut row = make(&session, &kernel, SHORT)?;
            row.name += ", on the debug kernel";
            Ok(row)
        }
        Make::Other(make) => make(&session),
    })
}

pub(crate) fn names() -> Vec<String> {
    rows::names(&ROWS)
}

/// What makes a row of a kernel.
type OfKernel = fn(&Session<'_>, &Kernel, Extent) -> Result<Check>;

/// How a row is made, and of which kernel.
enum Make {
    /// Of the one that the guests' suites use; `make breaks` asks these rows, shortened.
    Series(OfKernel),
    /// Of one that looks for its own mistakes.
    Debug(OfKernel),
    /// Of one that no other row uses.
    Other(fn(&Session<'_>) -> Result<Check>),
}

/// The rows, in order, by the names under which `make verify` takes them.
const ROWS: [(&str, Make); 22] = [
    ("patches", Make::Other(build::each_patch)),
    ("base", Make::Other(foreign::base)),
    ("mutants", Make::Other(foreign::mutants)),
    ("opens without the flag", Make::Series(fuzz::differential)),
    ("opens with the flag", Make::Series(fuzz::oracle)),
    ("races", Make::Series(stress::races)),
    ("attacks", Make::Series(attacks)),
    ("debug: selftests", Make::Debug(debugged)),
    ("debug: opens with the flag", Make::Debug(fuzz::oracle)),
    ("debug: races", Make::Debug(stress::races)),
    ("debug: faults", Make::Debug(stress::faults)),
    ("debug: programs of others", Make::Debug(foreign::programs)),
    ("bpf", Make::Other(consumers::of_bpf)),
    ("filesystems", Make::Other(filesystems::all)),
    ("scale", Make::Other(stress::scale)),
    ("ltp", Make::Other(foreign::ltp)),
    ("xfstests", Make::Other(foreign::xfstests)),
    ("uml", Make::Other(ports::uml)),
    ("i386", Make::Other(ports::compat)),
    ("arm64", Make::Other(|of| ports::cross(of, ARM64))),
    ("riscv64", Make::Other(|of| ports::cross(of, RISCV64))),
    ("gcc", Make::Other(ports::gcc)),
];

/// The names and the shortened rows of a kernel, each made when it is asked for.
pub(crate) fn notice(
    session: &Session<'_>,
    kernel: &Kernel,
) -> impl Iterator<Item = (&'static str, Result<Check>)> {
    ROWS.iter().filter_map(move |(name, make)| match make {
        Make::Series(make) => Some((*name, make(session, kernel, SHORT))),
        _ => None,
    })
}

/// The row that only a debug kernel can have.
pub(crate) fn faults(session: &Session<'_>, kernel: &Kernel) -> Result<Check> {
    stress::faults(session, kernel, SHORT)
}

/// The selftests that attack: what they get hold of without the flag, and not with it.
fn attacks(session: &Session<'_>, kernel: &Kernel, _: Extent) -> Result<Check> {
    let bundle = session.selftests()?;
    let only = selftests::testing(&bundle, &["attack"])?;
    let boot = selftests::boot(session.ctx, kernel, "attacks", &bundle);
    let run = selftests::run(boot, &only)?;
    Ok(Check::new("the attacks of the catalogue fail").also_run(&run, &[Verdict::Pass], ""))
}

/// The series' selftests on a kernel that looks for its own mistakes, half of them in each
/// of two guests. Those of what it lacks skip.
fn debugged(session: &Session<'_>, kernel: &Kernel, _: Extent) -> Result<Check> {
    let bundle = session.selftests()?;
    let own = selftests::own(&bundle)?;
    let half = |(from, which)| {
        let only: Vec<String> = own.iter().skip(from).step_by(2).cloned().collect();
        let name = format!("selftests debug, {which} half");
        let boot = Boot {
            // Sanitizers take half an hour on a machine that does something else meanwhile.
            limit: Duration::from_secs(3600),
            ..selftests::boot(session.ctx, kernel, &name, &bundle)
        };
        selftests::run(boot, &only)
    };
    let mut check =
        Check::new("the selftests pass under sanitizers and lockdep, which stay silent");
    let runs = ["first", "second"].into_par_iter().enumerate().map(half);
    for run in runs.collect::<Result<Vec<_>>>()? {
        check = check.also_run(&run, &MAY_SKIP, "");
    }
    Ok(check)
}
