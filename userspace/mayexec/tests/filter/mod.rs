// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads below a seccomp filter.

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Makes some system calls fail in the calling thread from now on.
pub(crate) fn filter(calls: &[i64], errno: Errno) {
    let errno = errno.raw_os_error() as u32;
    answer(calls, SeccompAction::Errno(errno));
}

/// Makes some system calls end the process, if the calling thread makes them.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn kill(calls: &[i64]) {
    answer(calls, SeccompAction::KillProcess);
}

/// Makes some system calls return 0 in the calling thread and do nothing.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn fake(calls: &[i64]) {
    answer(calls, SeccompAction::Errno(0));
}

fn answer(calls: &[i64], action: SeccompAction) {
    let rules: BTreeMap<_, _> = calls.iter().map(|&call| (call, vec![])).collect();
    let program: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        action,
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap()
    .try_into()
    .unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// Runs `work` in a thread of its own.
pub(crate) fn apart(work: impl FnOnce() + Send) {
    std::thread::scope(|threads| {
        if let Err(panic) = threads.spawn(work).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs `work` in a thread in which some system calls fail.
pub(crate) fn filtered(calls: &[i64], errno: Errno, work: impl FnOnce() + Send) {
    apart(|| {
        filter(calls, errno);
        work();
    });
}
