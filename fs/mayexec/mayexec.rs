// SPDX-License-Identifier: GPL-2.0

//! The execution policy of `openat2(2)` with `O_MAYEXEC`.
//!
//! C header: [`include/linux/mayexec.h`](srctree/include/linux/mayexec.h)

use kernel::{
    bindings,
    fs::Path,
    prelude::*, //
};

mod policy;

use policy::{
    Checks,
    Policy, //
};

// The policy has the bits of C and the kernel's errno.
const _: () = {
    assert!(Checks::MOUNT.bits() == bindings::OPEN_MAYEXEC_ENFORCE_MOUNT);
    assert!(Checks::FILE.bits() == bindings::OPEN_MAYEXEC_ENFORCE_FILE);
    assert!(Checks::TYPE.bits() == bindings::MAYEXEC_DENIED_TYPE);
    assert!(Policy::LOG_ONLY == bindings::OPEN_MAYEXEC_LOG_ONLY);
    assert!(Policy::LOGGED_SHIFT == bindings::MAYEXEC_LOGGED_SHIFT);
    assert!(policy::EACCES == -(bindings::EACCES as i32));
};

/// Applies a policy to a file that the caller is about to execute.
///
/// `policy` is what `mayexec_policy()` returned to this open. The function may sleep.
///
/// Returns 0 if the policy allows the open, otherwise a negative errno: `-EACCES`, or what the
/// check for execute permission returned.
///
/// # Safety
///
/// For the duration of the call, `path` must point at a `struct path` that nobody changes and that
/// holds references to a mount and to a positive dentry.
#[export]
pub unsafe extern "C" fn mayexec_permission(path: *const bindings::path, policy: c_uint) -> c_int {
    // SAFETY: The caller guarantees exactly what `Path` requires.
    let file = unsafe { Path::from_raw(path) };

    let verdict = policy::decide(
        Policy::from_bits(policy),
        move || file.is_regular(),
        move || file.is_noexec(),
        move || file.may_exec().map_or_else(Error::to_errno, |()| 0),
    );

    if is_traced() {
        // SAFETY: The function requires a valid path with a positive dentry, as this one does.
        unsafe { bindings::mayexec_trace(path, policy, verdict.denied.bits(), verdict.error) };
    }
    verdict.answer
}

/// Returns whether the tracepoint is enabled.
#[inline]
fn is_traced() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    {
        // SAFETY: `trace.c` defines the tracepoint. It is always okay to query its static key.
        unsafe {
            kernel::jump_label::static_branch_unlikely!(
                bindings::__tracepoint_open_mayexec,
                bindings::tracepoint,
                key
            )
        }
    }
    #[cfg(not(CONFIG_TRACEPOINTS))]
    false
}

#[cfg(CONFIG_OPEN_MAYEXEC_KUNIT_TEST)]
#[kunit_tests(open_mayexec)]
mod tests {
    use super::*;
    use policy::Verdict;

    #[test]
    fn c_agrees_on_the_policy_in_force() {
        for system in 0..8 {
            for restricted in [false, true] {
                // SAFETY: The function has no requirements.
                let bits = unsafe { bindings::mayexec_policy(system, restricted) };

                assert_eq!(
                    Policy::from_bits(bits),
                    Policy::in_force(system, restricted)
                );
            }
        }
    }

    #[test]
    fn table() {
        const NO: i32 = policy::EACCES;
        // Not the errno of the other checks, as if a security module had refused.
        const EPERM: i32 = -(bindings::EPERM as i32);

        // For files that are (regular, noexec, executable): the decisions under the policies none,
        // MOUNT, FILE, and both, and the checks that deny under both.
        let rows = [
            (false, false, true, [0, NO, NO, NO], 4),
            (false, true, true, [0, NO, NO, NO], 4),
            (false, false, false, [0, NO, NO, NO], 4),
            (false, true, false, [0, NO, NO, NO], 4),
            (true, false, true, [0, 0, 0, 0], 0),
            (true, true, true, [0, NO, 0, NO], 1),
            (true, false, false, [0, 0, EPERM, EPERM], 2),
            (true, true, false, [0, NO, EPERM, NO], 3),
        ];

        for (regular, noexec, executable, errors, denied) in rows {
            for system in 0..8 {
                let checks = system & 3;
                let policy = Policy::in_force(system, false);
                let (mut asked_mount, mut asked_file) = (false, false);
                let verdict = policy::decide(
                    policy,
                    || regular,
                    || {
                        asked_mount = true;
                        noexec
                    },
                    || {
                        asked_file = true;
                        if executable {
                            0
                        } else {
                            EPERM
                        }
                    },
                );
                let stops = system < 4 && noexec && checks & 1 != 0;
                let Verdict {
                    denied: found,
                    error,
                    answer,
                } = verdict;

                assert_eq!(error, errors[checks as usize]);
                assert_eq!(answer, if system < 4 { error } else { 0 });
                assert_eq!(asked_mount, regular && checks & 1 != 0);
                assert_eq!(asked_file, regular && checks & 2 != 0 && !stops);
                assert_eq!(
                    found.bits(),
                    match (regular, stops) {
                        (false, _) if checks != 0 => 4,
                        (false, _) => 0,
                        (true, false) => denied & checks,
                        (true, true) => 1,
                    }
                );
            }
        }
    }
}
