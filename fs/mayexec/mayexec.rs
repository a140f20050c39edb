// SPDX-License-Identifier: GPL-2.0

//! The execution policy of `openat2(2)` with `O_MAYEXEC`.
//!
//! C header: [`include/linux/mayexec.h`](srctree/include/linux/mayexec.h)
//!
//! Reference: <https://docs.kernel.org/userspace-api/mayexec.html>

use kernel::{
    bindings,
    cred::{
        current_securebits,
        securebits, //
    },
    fs::{
        Access,
        FileType,
        MntIdmap,
        Path, //
    },
    prelude::*,
    sync::atomic::{
        atomic_load,
        Relaxed, //
    }, //
};

mod policy;
mod trace;

use policy::{
    Candidate,
    Denial,
    Policy, //
};

// The policy's bits are those of the sysctl.
const _: () = {
    assert!(Policy::from_bits(bindings::OPEN_MAYEXEC_ENFORCE_MOUNT).has(Policy::MOUNT));
    assert!(Policy::from_bits(bindings::OPEN_MAYEXEC_ENFORCE_FILE).has(Policy::FILE));
};

/// The file that an `O_MAYEXEC` open has found.
struct Found<'a> {
    idmap: &'a MntIdmap,
    path: &'a Path,
}

impl Candidate for Found<'_> {
    type Error = Error;

    fn is_regular(&self) -> bool {
        self.path.inode().file_type() == FileType::Regular
    }

    fn is_noexec(&self) -> bool {
        self.path.is_noexec()
    }

    fn may_execute(&self) -> Result {
        self.path.inode().permission(self.idmap, Access::Exec)
    }
}

/// Returns the policy of the system, the sysctl `fs.open_mayexec_enforce`.
fn system_policy() -> Policy {
    let bits = if cfg!(CONFIG_OPEN_MAYEXEC_STATIC) {
        bindings::MAYEXEC_BOOT_POLICY
    } else {
        // SAFETY: The variable is always there, and the sysctl handler writes it atomically.
        (unsafe { atomic_load(&raw mut bindings::sysctl_open_mayexec_enforce, Relaxed) }) as u32
    };

    Policy::from_bits(bits)
}

/// Returns the policy of the caller, who asks for all checks with `SECBIT_EXEC_RESTRICT_FILE`.
fn caller_policy() -> Policy {
    if current_securebits() & securebits::EXEC_RESTRICT_FILE != 0 {
        Policy::ALL
    } else {
        Policy::NONE
    }
}

/// Returns the policy in force.
fn policy_in_force() -> Policy {
    system_policy().union(caller_policy())
}

/// What a policy says of a file.
type Decision = Result<(), Denial<Error>>;

/// Turns a denial into an errno.
fn verdict(decision: Decision) -> Result {
    decision.map_err(|denial| match denial {
        Denial::NotRegular | Denial::Noexec => EACCES,
        Denial::NotExecutable(err) => err,
    })
}

/// Returns whether the policy in force asks if the caller may execute the file.
///
/// For security modules that have a say in that but no `inode_permission` hook.
///
/// # Safety
///
/// Always safe to call.
// `#[export]` requires it to be unsafe.
#[export]
pub unsafe extern "C" fn mayexec_asks_file() -> bool {
    policy_in_force().has(Policy::FILE)
}

/// Decides whether the caller may open a file that it is about to execute.
///
/// Returns 0 if the policy in force allows it, else a negative errno: `-EACCES`, or what the check
/// for execute permission returned. May sleep.
///
/// # Safety
///
/// For the duration of the call, `path` must be valid, its dentry positive, and `idmap` that of
/// its mount.
#[export]
pub unsafe extern "C" fn mayexec_permission(
    idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
) -> c_int {
    let file = Found {
        // SAFETY: The caller guarantees that the idmap is that of a mount in use.
        idmap: unsafe { MntIdmap::from_raw(idmap) },
        // SAFETY: The caller guarantees that the path is valid and its dentry positive.
        path: unsafe { Path::from_raw(path) },
    };

    let policy = policy_in_force();
    let decision = policy::decide(policy, &file);

    if trace::is_enabled() {
        trace::open(&file, policy, decision);
    }

    verdict(decision).map_or_else(Error::to_errno, |()| 0)
}

#[cfg(CONFIG_OPEN_MAYEXEC_KUNIT_TEST)]
#[kunit_tests(open_mayexec)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use kernel::error::from_err_ptr;

    /// A file made of answers, which remembers whether it was asked.
    struct Answers {
        regular: bool,
        noexec: bool,
        executable: bool,
        asked_noexec: Cell<bool>,
        asked_execute: Cell<bool>,
    }

    impl Candidate for Answers {
        type Error = Error;

        fn is_regular(&self) -> bool {
            self.regular
        }

        fn is_noexec(&self) -> bool {
            self.asked_noexec.set(true);
            self.noexec
        }

        fn may_execute(&self) -> Result {
            self.asked_execute.set(true);
            if self.executable {
                Ok(())
            } else {
                Err(EPERM)
            }
        }
    }

    #[test]
    fn table() {
        const YES: bool = true;
        const NO: bool = false;
        type Expected = Result<(), Denial<Error>>;
        const NOT_REGULAR: Expected = Err(Denial::NotRegular);
        const NOEXEC: Expected = Err(Denial::Noexec);
        const NOT_EXECUTABLE: Expected = Err(Denial::NotExecutable(EPERM));

        // Regular, noexec, executable; then the decision under the policies 0, 1, 2 and 3.
        let rows: [(bool, bool, bool, [Expected; 4]); 8] = [
            (NO, NO, NO, [Ok(()), NOT_REGULAR, NOT_REGULAR, NOT_REGULAR]),
            (NO, NO, YES, [Ok(()), NOT_REGULAR, NOT_REGULAR, NOT_REGULAR]),
            (NO, YES, NO, [Ok(()), NOT_REGULAR, NOT_REGULAR, NOT_REGULAR]),
            (
                NO,
                YES,
                YES,
                [Ok(()), NOT_REGULAR, NOT_REGULAR, NOT_REGULAR],
            ),
            (
                YES,
                NO,
                NO,
                [Ok(()), Ok(()), NOT_EXECUTABLE, NOT_EXECUTABLE],
            ),
            (YES, NO, YES, [Ok(()), Ok(()), Ok(()), Ok(())]),
            (YES, YES, NO, [Ok(()), NOEXEC, NOT_EXECUTABLE, NOEXEC]),
            (YES, YES, YES, [Ok(()), NOEXEC, Ok(()), NOEXEC]),
        ];

        for (regular, noexec, executable, row) in &rows {
            for (bits, expected) in (0..).zip(row) {
                let file = Answers {
                    regular: *regular,
                    noexec: *noexec,
                    executable: *executable,
                    asked_noexec: Cell::new(false),
                    asked_execute: Cell::new(false),
                };

                assert_eq!(&policy::decide(Policy::from_bits(bits), &file), expected);
                assert_eq!(file.asked_noexec.get(), *regular && bits & 1 != 0);
                assert_eq!(
                    file.asked_execute.get(),
                    *regular && bits & 2 != 0 && !(*noexec && bits & 1 != 0)
                );

                // What was asked once is not asked again.
                file.asked_execute.set(false);
                assert_eq!(
                    &policy::decide_strictly(Policy::from_bits(bits), *expected, &file),
                    &row[3]
                );
                assert_eq!(
                    file.asked_execute.get(),
                    *regular && !*noexec && bits & 2 == 0
                );
            }
        }
    }

    fn check(policy: Policy, file: &Found<'_>) -> Result {
        verdict(policy::decide(policy, file))
    }

    /// Checks a file of its own on a mount of its own, under each policy.
    fn check_real(flags: u32, mode: u16, noexec: bool) -> Result<[Result; 4]> {
        // SAFETY: The name is a valid C string; tmpfs is built in and never leaves.
        let mnt = from_err_ptr(unsafe {
            bindings::kern_mount(bindings::get_fs_type(c"tmpfs".as_char_ptr()))
        })?;
        // SAFETY: The mount is valid, and nobody else knows it.
        let root = unsafe {
            if noexec {
                (*mnt).mnt_flags |= bindings::mount_flags_MNT_NOEXEC as i32;
            }
            bindings::path {
                mnt,
                dentry: (*mnt).mnt_root,
            }
        };

        // SAFETY: The path is valid for the call, the name is a valid C string.
        let file = from_err_ptr(unsafe {
            bindings::file_open_root(&root, c".".as_char_ptr(), flags as i32, mode)
        });
        let results = file.map(|file| {
            // SAFETY: The file is open until the end of this closure; until then its path, its
            // mount and the idmap of that are valid.
            let found = unsafe {
                Found {
                    idmap: MntIdmap::from_raw((*mnt).mnt_idmap),
                    path: Path::from_raw(&raw const (*file).__bindgen_anon_1.f_path),
                }
            };
            let results = [0, 1, 2, 3].map(|bits| check(Policy::from_bits(bits), &found));

            // No security module and no server has a say here: the estimate is exact.
            assert_eq!(trace::Unasked(&found).may_execute(), found.may_execute());

            // SAFETY: This is the only reference to the file, and not used any more.
            unsafe { bindings::__fput_sync(file) };
            results
        });

        // SAFETY: No file on the mount is left open.
        unsafe { bindings::kern_unmount(mnt) };
        results
    }

    #[test]
    fn real_files() -> Result {
        const TMPFILE: u32 = bindings::O_TMPFILE | bindings::O_RDWR;
        const OK: Result = Ok(());
        const NO: Result = Err(EACCES);

        assert_eq!(check_real(TMPFILE, 0o755, false)?, [OK, OK, OK, OK]);
        assert_eq!(check_real(TMPFILE, 0o644, false)?, [OK, OK, NO, NO]);
        assert_eq!(check_real(TMPFILE, 0o755, true)?, [OK, NO, OK, NO]);
        assert_eq!(check_real(TMPFILE, 0o644, true)?, [OK, NO, NO, NO]);
        assert_eq!(
            check_real(bindings::O_DIRECTORY, 0, false)?,
            [OK, NO, NO, NO]
        );
        Ok(())
    }
}
