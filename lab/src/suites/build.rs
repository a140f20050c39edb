// SPDX-License-Identifier: GPL-2.0

//! Every patch builds without new warnings and boots; so does every configuration.

use fs_err as fs;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::ctx::hash;
use crate::guest::{Boot, complaints};
use crate::kernel::{self, Kernel, Variant};
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
        let name = format!(
            "patch {}/{total} builds without new warnings and boots: {}",
            index + 1,
            session.patch_name(index)
        );
        let what = format!("patch {}/{total}", index + 1);
        let kernel = session.kernel(&what, commit, &Variant::PLAIN);
        judge(session, report, &name, &what, kernel, &base)?;
    }
    let after = w1(session, session.tip(), &sources)?;
    let new: Vec<String> = after.difference(&before).cloned().collect();
    report.check(
        "W=1: no new warnings in the files that the series touches",
        &new,
        Some(&session.ctx.log("w1")),
    );
    for (variant, what) in [
        (STATIC, "CONFIG_OPEN_MAYEXEC_STATIC=y"),
        (OFF, "CONFIG_OPEN_MAYEXEC=n"),
        (NO_RUST, "CONFIG_RUST=n"),
    ] {
        let kernel = session.kernel(what, session.tip(), &variant);
        judge(
            session,
            report,
            &format!("{what} builds without new warnings and boots"),
            what,
            kernel,
            &base,
        )?;
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
    let mut problems: Vec<String> = kernel
        .facts
        .warnings
        .difference(&base.facts.warnings)
        .cloned()
        .collect();
    let boot = Boot::new(session.ctx, &kernel, what, &["/bin/true"]).run();
    let mut log = None;
    match boot {
        Ok(outcome) => {
            problems.extend(complaints(&outcome.console));
            if outcome.code != 0 {
                problems.push(format!(
                    "/bin/true exited with {} in the guest",
                    outcome.code
                ));
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
        .join("kernels")
        .join(format!("w1-{}.json", &key[..16]));
    if let Ok(bytes) = fs::read(&kept) {
        return Ok(serde_json::from_slice(&bytes)?);
    }
    let log = session.ctx.fresh_log("w1")?;
    let stage = Stage::begin("build the touched files with W=1", Some(&log));
    session.walk()?.force_to(commit)?;
    builder.configure(&stage, &Variant::PLAIN)?;
    let objects: Vec<String> = sources
        .iter()
        .map(|path| path.replace(".c", ".o"))
        .filter(|object| builder.obj.join(object).is_file() && has_source(&builder.src, object))
        .collect();
    let mut warnings = BTreeSet::new();
    if !objects.is_empty() {
        let mut make = session.tools()?.make(&builder.src, &builder.obj);
        make.arg("W=1").args(&objects);
        let text = stage.run("building with W=1", &mut make)?;
        warnings = kernel::warnings(&builder.src, &builder.obj, &text);
    }
    stage.done(&format!("{} objects", objects.len()));
    crate::ctx::write_whole(&kept, &serde_json::to_vec(&warnings)?)?;
    Ok(warnings)
}

fn has_source(src: &Path, object: &str) -> bool {
    src.join(object.replace(".o", ".c")).is_file()
}
