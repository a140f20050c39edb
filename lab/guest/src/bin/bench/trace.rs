// SPDX-License-Identifier: GPL-2.0

//! What an open calls and allocates, as the kernel's tracers see it.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result, bail};
use guest::bench::{Line, Trace};
use rustix::mount::{MountFlags, mount};
use uapi::{O_MAYEXEC, Policy};

use crate::fixture::{self, SCRIPT, c_path, openat2, opens};
use crate::tell;

/// Where the tracers' files are.
const TRACING: &str = "/sys/kernel/tracing";

/// Written before and after the open.
const MARK: &str = "bench: mark";

/// Opens that are traced; the shortest trace is of one that nothing disturbed.
const TRIES: usize = 32;

/// Writes one of the tracers' files.
fn set(name: &str, value: &str) -> Result<()> {
    fs::write(format!("{TRACING}/{name}"), value)
        .with_context(|| format!("cannot write {value:?} to {TRACING}/{name}"))
}

/// Traces an open without the flag and one with it, under the strictest policy.
pub(crate) fn run() -> Result<()> {
    fixture::make()?;
    fixture::enforce(Policy::system(3))?;
    // It may be mounted.
    let _ = mount("tracefs", TRACING, "tracefs", MountFlags::empty(), c"");
    let own = std::process::id().to_string();
    set("tracing_on", "0")?;
    set("set_ftrace_pid", &own)?;
    set("set_event_pid", &own)?;
    set("events/kmem/enable", "1")?;
    set("events/lock/enable", "1")?;
    set("current_tracer", "function")?;
    let script = c_path(SCRIPT)?;
    for (name, flags) in [("plain", 0), ("flagged", O_MAYEXEC)] {
        let mut best: Option<Trace> = None;
        for turn in 0..TRIES {
            let trace = one(name, &script, flags, turn)?;
            if best
                .as_ref()
                .is_none_or(|best| trace.functions.len() < best.functions.len())
            {
                best = Some(trace);
            }
        }
        let best = best.context("no trace")?;
        if !best.functions.iter().any(|name| name == "path_openat") || best.allocations.is_empty() {
            bail!("the trace shows no open: {best:?}");
        }
        tell(&Line::Trace(best))?;
    }
    Ok(())
}

/// Traces one open and its close. Each turn warms up for longer: where clocks count instructions,
/// the timer would else interrupt each open in the same place.
fn one(name: &str, script: &CStr, flags: u64, turn: usize) -> Result<Trace> {
    for _ in 0..8 * (turn + 1) {
        opens(openat2(script, flags))?;
    }
    File::create(format!("{TRACING}/trace"))?;
    let mut mark = OpenOptions::new()
        .write(true)
        .open(format!("{TRACING}/trace_marker"))?;
    set("tracing_on", "1")?;
    mark.write_all(MARK.as_bytes())?;
    opens(openat2(script, flags))?;
    mark.write_all(MARK.as_bytes())?;
    set("tracing_on", "0")?;
    let text = fs::read_to_string(format!("{TRACING}/trace"))?;
    let mut trace = read(&text).context("no marks in the trace")?;
    name.clone_into(&mut trace.name);
    Ok(trace)
}

/// What a trace has between its two marks, interrupts aside.
fn read(text: &str) -> Option<Trace> {
    let mut parts = text.split(MARK);
    let (_, between) = (parts.next()?, parts.next()?);
    parts.next()?;
    let mut trace = Trace::default();
    for line in between.lines() {
        // "bench-77 [000] ...1. 12.345678: what"
        let Some((head, what)) = line.split_once(": ") else {
            continue;
        };
        let Some(context) = head.split_whitespace().rev().nth(1) else {
            continue;
        };
        if context.contains(['h', 'H', 's', 'S']) {
            continue;
        }
        if let Some((function, _)) = what.split_once(" <-") {
            trace.functions.push(function.trim().to_owned());
        } else if let Some((event, fields)) = what.split_once(": ") {
            let event = event.trim();
            let frees = event.contains("free");
            if !frees && (event.starts_with("km") || event.starts_with("mm_page_alloc")) {
                let site = fields
                    .split_whitespace()
                    .find_map(|field| field.strip_prefix("call_site="))
                    .unwrap_or_default();
                let site = site.split('+').next().unwrap_or_default();
                trace.allocations.push(format!("{event} {site}"));
            } else if event.starts_with("contention") {
                trace.functions.push(event.to_owned());
            }
        }
    }
    Some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_between_its_marks() {
        let text = "\
           bench-78  [000] .....  1.000001: before <-x
           bench-78  [000] .....  1.000002: tracing_mark_write: bench: mark
           bench-78  [000] .....  1.000003: path_openat <-do_file_open
           bench-78  [000] d.h1.  1.000004: _raw_spin_lock <-tick
           bench-78  [000] .....  1.000005: kmem_cache_alloc: call_site=alloc_empty_file+0x5/0x9 ptr=0 name=filp
           bench-78  [000] .....  1.000006: kmem_cache_free: call_site=x+0x1/0x2 ptr=0
           bench-78  [000] .....  1.000007: contention_begin: 0000 (flags=SPIN)
           bench-78  [000] .....  1.000008: tracing_mark_write: bench: mark
           bench-78  [000] .....  1.000009: after <-x
";
        let trace = read(text).unwrap();
        assert_eq!(trace.functions, ["path_openat", "contention_begin"]);
        assert_eq!(trace.allocations, ["kmem_cache_alloc alloc_empty_file"]);
        assert_eq!(read("nothing"), None);
    }
}
