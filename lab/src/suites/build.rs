// SPDX-License-Identifier: GPL-2.0

//! Every patch builds without new warnings and boots; so does every configuration.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::ctx::{hash, kept_as};
use crate::guest::{Boot, complaints};
use crate::kernel::{self, Builder, Kernel, Variant};
use crate::report::Report;
use crate::session::Session;
use crate::ui::Stage;
use crate::variants::{NO_RUST, OFF, STATIC};

/// Builds the base, each patch on top of the one before, and the configurations.
pub(crate) fn run(session: &Session<'_>, report: &mut Report) -> Result<()> {
    let base = session.base_kernel()?.clone();
    report.pass("the base builds");
    // Here, before the first patch: to come back to the base costs a rebuild.
    let sources = touched_sources(session)?;
    let before = w1(session, &session.tree.base, &sources)?;
    let total = session.commits.len();
    for (index, commit) in session.commits.iter().enumerate() {
        let what = format!("patch {}/{total}", index + 1);
        let patch = session.patch_name(index);
        let name = format!("{what} builds without new warnings and boots: {patch}");
        let kernel = session.kernel(&what, commit, &Variant::PLAIN);
        judge(session, report, &name, &what, kernel, &base)?;
    }
    let after = w1(session, session.tip(), &sources)?;
    let new: Vec<String> = after.difference(&before).cloned().collect();
    let name = "W=1: no new warnings in the files that the series touches";
    report.check(name, &new, Some(&session.ctx.log("w1")));
    for (variant, what) in [
        (STATIC, "CONFIG_OPEN_MAYEXEC_STATIC=y"),
        (OFF, "CONFIG_OPEN_MAYEXEC=n"),
        (NO_RUST, "CONFIG_RUST=n"),
    ] {
        let kernel = session.kernel(what, session.tip(), &variant);
        let name = format!("{what} builds without new warnings and boots");
        judge(session, report, &name, what, kernel, &base)?;
    }
    Ok(())
}

fn judge(
    session: &Session<'_>,
    report: &mut Report,
    name: &str,
    what: &str,
    kernel: Result<Kernel>,
    base: &Kernel,
) -> Result<()> {
    let kernel = match kernel {
        Ok(kernel) => kernel,
        Err(error) => {
            report.fail(name, &format!("{error:#}"), None);
            return Ok(());
        }
    };
    let (own, known) = (&kernel.facts.warnings, &base.facts.warnings);
    let mut problems: Vec<String> = own.difference(known).cloned().collect();
    let boot = Boot::new(session.ctx, &kernel, what, &["/bin/true"]).run();
    let mut log = None;
    match boot {
        Ok(outcome) => {
            problems.extend(complaints(&outcome.console));
            if outcome.code != 0 {
                let code = outcome.code;
                problems.push(format!("/bin/true exited with {code} in the guest"));
            }
            log = Some(outcome.console_log);
        }
        Err(error) => problems.push(format!("{error:#}")),
    }
    report.check(name, &problems, log.as_deref());
    Ok(())
}

fn touched_sources(session: &Session<'_>) -> Result<Vec<String>> {
    let mut touched = session.touched(&["*.c"])?;
    touched.retain(|path| !path.starts_with("tools/") && !path.starts_with("samples/"));
    Ok(touched)
}

/// The W=1 warnings of one commit, computed once.
fn w1(session: &Session<'_>, commit: &str, sources: &[String]) -> Result<BTreeSet<String>> {
    let builder = session.builder(&Variant::PLAIN)?;
    let tree = kernel::tree_key(&session.tree.git, commit)?;
    let (key, _) = builder.key(&tree, &Variant::PLAIN)?;
    let key = hash(format!("w1 {key} {}", sources.join(" ")).as_bytes());
    let kept = session
        .ctx
        .build
        .join(format!("kernels/w1-{}.json", &key[..16]));
    kept_as(&kept, || made_w1(session, &builder, commit, sources))
}

fn made_w1(
    session: &Session<'_>,
    builder: &Builder<'_>,
    commit: &str,
    sources: &[String],
) -> Result<BTreeSet<String>> {
    let log = session.ctx.fresh_log("w1")?;
    let stage = Stage::begin("build the touched files with W=1", Some(&log));
    session.walk()?.force_to(commit)?;
    builder.configure(&stage, &Variant::PLAIN)?;
    let is_there = |path: &&String| {
        builder.src.join(path).is_file() && builder.obj.join(path.replace(".c", ".o")).is_file()
    };
    let sources = sources.iter().filter(is_there);
    let objects: Vec<String> = sources.map(|path| path.replace(".c", ".o")).collect();
    let mut warnings = BTreeSet::new();
    if !objects.is_empty() {
        let mut make = session.tools()?.make(&builder.src, &builder.obj);
        make.arg("W=1").args(&objects);
        let text = stage.run("building with W=1", &mut make)?;
        warnings = kernel::warnings(&builder.src, &builder.obj, &text);
    }
    stage.done(&format!("{} objects", objects.len()));
    Ok(warnings)
}
