// SPDX-License-Identifier: GPL-2.0

//! `lab`: fetches, applies, builds, boots, demonstrates, tests and exports the
//! O_MAYEXEC series. The repository's Makefile calls it, one subcommand a verb.

mod bench;
mod breaks;
mod clean;
mod ctx;
mod git;
mod guest;
mod imports;
mod kernel;
mod kernel_deb;
mod proc;
mod projects;
mod proof;
mod report;
mod results;
mod rows;
mod selftests;
mod series;
mod session;
mod submit;
mod submit_check;
mod suites;
mod system;
mod tap;
mod toolchain;
mod tree;
mod ui;
mod variants;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::ctx::Ctx;
use crate::guest::Boot;
use crate::kernel::{Builder, Kernel, Variant};
use crate::report::Report;
use crate::results::Table;
use crate::selftests::Flavour;
use crate::toolchain::Toolchain;
use crate::tree::Tree;

/// Fetch, apply, build, boot, test and export the O_MAYEXEC series.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Args {
    /// The kernel release that the series is applied to; with KDIR, a revision there
    #[arg(long, default_value = ctx::DEFAULT_BASE, global = true)]
    base: String,
    /// A git clone of Linux to use instead of Debian's source; what is checked out there stays
    #[arg(long, global = true)]
    kdir: Option<PathBuf>,
    /// Overwrite, remove or release work that patches/ does not have
    #[arg(long, global = true)]
    force: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Apply the series, build it, boot it, and play a scene that shows what it does
    Demo,
    /// Apply the series to the kernel tree, configure and build it
    Kernel,
    /// Build Debian packages of the kernel with the series
    KernelDeb {
        /// The kernel's configuration; without it, one for common virtual machines
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Write patches/ and the mirror of added files from the kernel tree's commits
    Export,
    /// Run the tests, or the named suites
    Test(Which),
    /// Run what takes longer than a test may: evidence, a row a claim
    Verify(Which),
    /// Run the tools that a maintainer runs on a series, a row a tool
    SubmitCheck(Which),
    /// Run the kernel's own selftests for openat2 and exec in the guest
    Kselftest,
    /// Break the code on purpose, one way at a time, and see which suite notices
    Breaks(Which),
    /// Count the instructions that opens take, write docs/bench/, compare with what is committed
    Bench,
    /// Put what the verbs left into the pages with results, and the demo into docs/demo.svg
    Results,
    /// Write what `make demo PREBUILT=build/release` boots to build/release
    Release,
    /// Apply the series to the newest source of each kernel that Debian has
    Bases,
    /// Make the series a branch of b4's in the kernel tree, with cover letter and addressees
    Prep,
    /// Write the mails that b4 would send, and say what keeps them from being sent
    DryRun,
    /// Have b4 send the branch, unless something keeps it from being sent
    Send,
    /// Show what changed since the version that was sent last
    RangeDiff,
    /// Build and test interpreters that use the flag, and try each of their ways in a guest
    Projects(Which),
    /// Boot a Debian with patched interpreters under the policy, and attack it
    System {
        /// Also leave the system as a disk image that starts by itself, and try that
        #[arg(long)]
        image: bool,
    },
    /// A shell in a guest that runs the kernel
    Shell,
    /// Remove what was built; refuses to remove work that patches/ does not have
    Clean {
        /// Also remove downloads and installed tools
        #[arg(long)]
        all: bool,
    },
}

#[derive(clap::Args)]
struct Which {
    /// Words in the names of suites or rows, names of breaks (without .diff) or of projects' folders;
    /// all, without
    names: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let fine = run(&args).unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        false
    });
    ExitCode::from(u8::from(!fine))
}

/// Carries out the verb; whether everything was as it should be.
fn run(args: &Args) -> Result<bool> {
    let ctx = Ctx::new(&args.base, args.kdir.as_deref(), args.force)?;
    proc::install_signal_handler()?;
    let lock = ctx.lock()?;
    // What a run that was ended has left; if it stays, it costs space and nothing else.
    let _ = fs_err::remove_dir_all(ctx.tmp());
    match &args.verb {
        Verb::Demo => {
            let (_, kernel) = build_tip(&ctx)?;
            let mut report = Report::default();
            suites::demo(&ctx, &kernel, &mut report);
            Ok(report.failures().is_empty())
        }
        Verb::Kernel => {
            let (_, kernel) = build_tip(&ctx)?;
            println!("{}", ctx.show(&kernel.image()));
            Ok(true)
        }
        Verb::KernelDeb { config } => kernel_deb::run(&ctx, config.as_deref()).map(|()| true),
        Verb::Export => series::export(&ctx).map(|()| true),
        Verb::Test(which) => suites::run(&ctx, &which.names),
        Verb::Verify(which) => proof::verify(&ctx, &which.names),
        Verb::SubmitCheck(which) => submit_check::run(&ctx, &which.names),
        Verb::Kselftest => {
            let (tree, kernel) = build_tip(&ctx)?;
            let tools = Toolchain::find(&ctx)?;
            let bundle = selftests::build(&ctx, &tools, &tree.git, &ctx.obj(), Flavour::SERIES)?;
            let mut report = Report::default();
            let run = selftests::run(selftests::boot(&ctx, &kernel, "kselftest", &bundle), &[])?;
            report.run("", "of kselftest", &run);
            Ok(report.close())
        }
        Verb::Breaks(which) => breaks::run(&ctx, &which.names),
        Verb::Bench => bench::run(&ctx),
        Verb::Results => results::publish(&ctx, &tables(&ctx)?).map(|()| true),
        Verb::Release => {
            let (_, kernel) = build_tip(&ctx)?;
            if ctx.as_it_is.get().is_some() && !ctx.force {
                bail!("a release is of what patches/ has: `make export` first, or FORCE=1");
            }
            let demo = guest::static_program(&ctx, "demo");
            script(&ctx, "release.sh", &[kernel.image(), demo])
        }
        Verb::Bases => script(&ctx, "bases.sh", &[ctx::DEFAULT_BASE.into()]),
        Verb::Prep => submit::prep(&ctx).map(|()| true),
        Verb::DryRun => submit::dry_run(&ctx),
        Verb::Send => submit::send(&ctx),
        Verb::RangeDiff => submit::range_diff(&ctx).map(|()| true),
        Verb::System { image } => system::run(&ctx, *image),
        Verb::Projects(which) => projects::run(&ctx, &which.names),
        Verb::Shell => {
            if !std::io::stdin().is_terminal() {
                bail!("a shell needs a terminal; `make kselftest` and `make demo` do not");
            }
            let (_, kernel) = build_tip(&ctx)?;
            drop(lock);
            let mut boot = Boot::new(&ctx, &kernel, "shell", &["setsid", "-cw", "bash"]);
            boot.before += "exec <>/dev/hvc0 >&0 2>&0\nstty sane\nexport TERM=linux\n";
            boot.interactive()
        }
        Verb::Clean { all } => clean::clean(&ctx, *all).map(|()| true),
    }
}

/// Runs a script, which says what it does; whether it succeeds.
fn script(ctx: &Ctx, name: &str, arguments: &[PathBuf]) -> Result<bool> {
    let mut cmd = Command::new(ctx.root.join("scripts").join(name));
    let status = proc::Child::spawn(cmd.args(arguments))?.wait()?;
    Ok(status.success())
}

/// The tables of the pages with results.
fn tables(ctx: &Ctx) -> Result<Vec<Table>> {
    let rows = "row | claim | tried | failures | wall | CPU | when";
    let tests = "suite | passed | failed | skipped | wall | CPU | when";
    let figures = "figures | targets met | worse than committed | better | wall | CPU | when";
    let (page, of_breaks) = (results::PAGE, "lab/breaks/README.md");
    let first = "in a clean clone | objects in ccache before | wall | CPU | when";
    #[rustfmt::skip]
    let tables = [
        (page, "first", "The first run", first, ["make demo", "make test"].map(str::to_owned).into(), None),
        (page, "test", "make test", tests, suites::names(), None),
        (page, "verify", "make verify", rows, proof::names(), None),
        (page, "submit-check", "make submit-check", rows, submit_check::names(), None),
        (page, "bench", "make bench", figures, vec![bench::NAME.to_owned()], None),
        (page, "system", "make system", "what | found | when", system::names(), None),
        (page, "projects", "make projects", "project | result | when", projects::names(ctx)?, None),
        (of_breaks, "breaks", "Who notices what", "break | noticed by | when", breaks::names(ctx)?, Some("not run yet | ")),
    ];
    #[rustfmt::skip]
    let table = |(page, verb, title, columns, names, missing)| Table { page, verb, title, columns, names, missing };
    let mut tables: Vec<Table> = tables.map(table).into();
    tables.extend(projects::tables(ctx)?);
    Ok(tables)
}

/// Brings the developers' tree in step with patches/ and builds it.
fn build_tip(ctx: &Ctx) -> Result<(Tree, Kernel)> {
    let tree = tree::open(ctx)?;
    let note = series::sync(ctx, &tree)?;
    println!("{}: {note}", ctx.show(&ctx.linux()));
    let tools = Toolchain::find(ctx)?;
    let builder = Builder {
        ctx,
        tools: &tools,
        src: ctx.linux(),
        obj: ctx.obj(),
    };
    let kernel = builder.build("the kernel", &Variant::PLAIN)?;
    Ok((tree, kernel))
}
