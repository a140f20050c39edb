// SPDX-License-Identifier: GPL-2.0

//! Threads below a seccomp filter.

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Makes some system calls fail in the calling thread from now on.
pub(crate) fn filter(calls: &[i64], errno: Errno) {
    let rules: BTreeMap<_, _> = calls.iter().map(|&call| (call, vec![])).collect();
    let errno = errno.raw_os_error().cast_unsigned();
    let program: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
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
