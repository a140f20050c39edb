// SPDX-License-Identifier: GPL-2.0

//! The tracepoint `open_mayexec`.
//!
//! C header: [`include/trace/events/mayexec.h`](srctree/include/trace/events/mayexec.h)
//!
//! Reference: <https://docs.kernel.org/admin-guide/mayexec.html>

use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*,
    tracepoint::declare_trace, //
};

use crate::{
    policy::{
        self,
        Candidate,
        Denial,
        Policy, //
    },
    verdict,
    Decision,
    Found, //
};

declare_trace! {
    /// # Safety
    ///
    /// For the duration of the call, `path` must be valid and its dentry positive, `name` and
    /// `reason` must be valid C strings.
    unsafe fn open_mayexec(
        path: *const bindings::path,
        name: *const c_char,
        policy: c_uint,
        ret: c_int,
        strict: c_int,
        reason: *const c_char,
    );
}

/// A file about which nobody is to be asked for the sake of a trace: neither a security module,
/// which would log a denial, nor what the file system has in place of the usual check.
pub(crate) struct Unasked<'a>(pub(crate) &'a Found<'a>);

impl Candidate for Unasked<'_> {
    type Error = Error;

    fn is_regular(&self) -> bool {
        self.0.is_regular()
    }

    fn is_noexec(&self) -> bool {
        self.0.is_noexec()
    }

    fn may_execute(&self) -> Result {
        let (idmap, inode) = (self.0.idmap, self.0.path.inode());

        // SAFETY: By the type invariants, the idmap and the inode are valid.
        to_result(unsafe { bindings::mayexec_generic_permission(idmap.as_ptr(), inode.as_ptr()) })
    }
}

/// Returns whether anybody wants to know.
#[inline(always)]
pub(crate) fn is_enabled() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: This is the static key of a tracepoint.
    return unsafe {
        kernel::jump_label::static_branch_unlikely!(
            bindings::__tracepoint_open_mayexec,
            bindings::tracepoint,
            key
        )
    };

    #[cfg(not(CONFIG_TRACEPOINTS))]
    false
}

/// Tells what the policy in force has decided, and what the strictest would have.
#[cold]
pub(crate) fn open(file: &Found<'_>, policy: Policy, decision: Decision) {
    let errno = |decision| verdict(decision).map_or_else(Error::to_errno, |()| 0);
    let strict = policy::decide_strictly(policy, decision, &Unasked(file));
    let reason = match strict {
        Ok(()) => c"none",
        Err(Denial::NotRegular) => c"type",
        Err(Denial::Noexec) => c"mount",
        Err(Denial::NotExecutable(_)) => c"file",
    };

    file.path.with_name(|name| {
        // SAFETY: By its type invariant, the path is valid and its dentry positive. The strings
        // are C strings.
        unsafe {
            open_mayexec(
                file.path.as_ptr(),
                name.as_char_ptr(),
                policy.bits(),
                errno(decision),
                errno(strict),
                reason.as_char_ptr(),
            )
        }
    });
}
