// SPDX-License-Identifier: GPL-2.0

//! Paths: a file and the mount through which it was found.
//!
//! C header: [`include/linux/path.h`](srctree/include/linux/path.h)

use crate::{
    bindings,
    error::{
        Error,
        Result, //
    },
    types::Opaque, //
};

/// Wraps the kernel's `struct path`: a dentry and the mount through which it was found.
///
/// Only code that is built into the kernel can use [`Path::is_noexec`]: `path_noexec()` is not
/// exported to modules.
///
/// # Invariants
///
/// While a reference to this type exists:
///
/// * The path does not change and holds references to its mount and to its dentry. The reference
///   to the mount keeps the superblock active.
/// * The dentry is positive, that is, it has an inode.
#[repr(transparent)]
pub struct Path(Opaque<bindings::path>);

impl Path {
    /// Creates a reference to a [`Path`] from a raw pointer.
    ///
    /// # Safety
    ///
    /// For the duration of `'a`, `ptr` must point at a `struct path` that nobody changes, that
    /// holds references to a mount and to a dentry, and whose dentry is positive. The path of an
    /// open file fulfils this.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::path) -> &'a Path {
        // INVARIANT: The caller guarantees both points for the duration of `'a`.
        //
        // SAFETY: The caller guarantees that the pointer is valid for `'a`, and `Path` is
        // transparent.
        unsafe { &*ptr.cast() }
    }

    /// Returns a raw pointer to the inner C struct.
    #[inline]
    fn as_ptr(&self) -> *const bindings::path {
        core::ptr::from_ref(self).cast()
    }

    /// Returns the inode of the dentry.
    #[inline]
    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariant, the path and its dentry are valid. A positive dentry
        // keeps its inode while somebody holds a reference to the dentry.
        unsafe { (*(*self.as_ptr()).dentry).d_inode }
    }

    /// Returns whether the file is a regular file.
    ///
    /// An anonymous inode is not one, even if its mode says so: the mode of a pidfd is
    /// `S_IFREG | 0700`.
    #[inline]
    pub fn is_regular(&self) -> bool {
        let inode = self.inode();

        // These `read_volatile` are intended to correspond to READ_ONCE calls, because other bits
        // of both fields may change meanwhile.
        //
        // FIXME(read_once): Replace with `read_once` when available on the Rust side.
        //
        // SAFETY: By the type invariant, the dentry holds a reference to the inode.
        let mode = unsafe { (&raw const (*inode).i_mode).read_volatile() };
        if u32::from(mode) & bindings::S_IFMT != bindings::S_IFREG {
            return false;
        }

        // SAFETY: As above.
        let flags = unsafe { (&raw const (*inode).i_flags).read_volatile() };
        flags & bindings::S_ANON_INODE == 0
    }

    /// Returns whether the mount or the superblock forbids to execute files (`MNT_NOEXEC`,
    /// `SB_I_NOEXEC`).
    #[doc(alias = "path_noexec")]
    #[inline]
    pub fn is_noexec(&self) -> bool {
        // SAFETY: By the type invariant, the path is valid.
        unsafe { bindings::path_noexec(self.as_ptr()) }
    }

    /// Asks whether the current task may execute the file, for an open with `O_MAYEXEC`.
    ///
    /// This is the whole check of `inode_permission()`: mode, ACL, capabilities, the filesystem's
    /// own check and that of the security modules. The mask has `MAY_OPENEXEC`, so that a security
    /// module can tell the check from that of `execve(2)`. The mask has no `MAY_OPEN`, with which
    /// NFSv4 answers 0 without a check. This function may sleep.
    ///
    /// # Errors
    ///
    /// Returns the error of the check that refuses, as a rule [`EACCES`]. A positive answer is a
    /// bug of a filesystem; it refuses as well, as it does for callers in C.
    ///
    /// [`EACCES`]: crate::error::code::EACCES
    #[doc(alias = "inode_permission")]
    #[inline]
    pub fn may_exec(&self) -> Result {
        // This `read_volatile` is intended to correspond to the READ_ONCE call of mnt_idmap().
        //
        // SAFETY: By the type invariant, the mount is valid. Its idmap lives as long as the mount.
        let idmap = unsafe { (&raw const (*(*self.as_ptr()).mnt).mnt_idmap).read_volatile() };

        // CAST: The mask is a small positive number.
        let mask = (bindings::MAY_EXEC | bindings::MAY_OPENEXEC) as i32;

        // SAFETY: By the type invariant, the superblock is active and the dentry holds a reference
        // to the inode. The idmap is that of the mount.
        match unsafe { bindings::inode_permission(idmap, self.inode(), mask) } {
            0 => Ok(()),
            error => Err(Error::from_errno(error)),
        }
    }
}

#[cfg(CONFIG_RUST_FS_KUNIT_TEST)]
#[macros::kunit_tests(rust_kernel_fs)]
mod tests {
    use super::*;
    use crate::{
        error::from_err_ptr,
        prelude::*,
        sync::atomic::{
            Atomic,
            Relaxed, //
        }, //
    };

    /// A file without a name, on a tmpfs that only the test sees.
    struct TestFile {
        file: *mut bindings::file,
        mnt: *mut bindings::vfsmount,
    }

    impl TestFile {
        fn new(mode: bindings::umode_t) -> Result<Self> {
            // SAFETY: The name is a valid C string, and tmpfs is built in.
            let mnt = from_err_ptr(unsafe {
                bindings::kern_mount(bindings::get_fs_type(c"tmpfs".as_char_ptr()))
            })?;
            let flags = (bindings::O_TMPFILE | bindings::O_RDWR) as i32;

            // SAFETY: The mount is valid, and the name is a valid C string.
            let file = from_err_ptr(unsafe {
                let root = bindings::path {
                    mnt,
                    dentry: (*mnt).mnt_root,
                };
                bindings::file_open_root(&root, c".".as_char_ptr(), flags, mode)
            });
            if file.is_err() {
                // SAFETY: No file on the mount is open.
                unsafe { bindings::kern_unmount(mnt) };
            }
            Ok(Self { file: file?, mnt })
        }

        fn path(&self) -> &Path {
            // SAFETY: The path of an open file fulfils the requirements while the file is open.
            unsafe { Path::from_raw(&raw const (*self.file).__bindgen_anon_1.f_path) }
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            // SAFETY: `self` owns both references. `__fput_sync()` releases the mount at once.
            unsafe {
                bindings::__fput_sync(self.file);
                bindings::kern_unmount(self.mnt);
            }
        }
    }

    #[test]
    fn anonymous_inodes_are_not_regular() -> Result {
        let file = TestFile::new(0o755)?;

        assert!(file.path().is_regular());
        // SAFETY: Nobody else uses the inode.
        unsafe { (*file.path().inode()).i_flags |= bindings::S_ANON_INODE };
        assert!(!file.path().is_regular());
        Ok(())
    }

    #[test]
    fn mounts_can_forbid_execution() -> Result {
        let file = TestFile::new(0o755)?;

        assert!(!file.path().is_noexec());
        // SAFETY: Nobody else uses the mount.
        unsafe { (*file.mnt).mnt_flags |= bindings::mount_flags_MNT_NOEXEC as i32 };
        assert!(file.path().is_noexec());
        Ok(())
    }

    #[test]
    fn modes_decide() -> Result {
        // The test has all capabilities, which override anything but a missing `x`.
        assert_eq!(TestFile::new(0o755)?.path().may_exec(), Ok(()));
        assert_eq!(TestFile::new(0o644)?.path().may_exec(), Err(EACCES));
        Ok(())
    }

    /// The mask that the filesystem was asked with, and the answer it gives.
    static ASKED: Atomic<i32> = Atomic::new(0);
    static ANSWER: Atomic<i32> = Atomic::new(0);

    extern "C" fn permission(
        _idmap: *mut bindings::mnt_idmap,
        _inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        ASKED.store(mask, Relaxed);
        ANSWER.load(Relaxed)
    }

    #[test]
    fn the_filesystem_decides() -> Result {
        let ops = bindings::inode_operations {
            permission: Some(permission),
            ..pin_init::zeroed()
        };
        let file = TestFile::new(0o755)?;
        let inode = file.path().inode();
        // SAFETY: Nobody else uses the inode, and `ops` outlives the exchange. The flag says that
        // the inode's own operations have no `permission`.
        let own_ops = unsafe {
            (*inode).i_opflags &= !(bindings::IOP_FASTPERM as u16);
            core::mem::replace(&mut (*inode).i_op, &ops)
        };

        let results = [EIO.to_errno(), 1, 0].map(|answer| {
            ANSWER.store(answer, Relaxed);
            file.path().may_exec()
        });
        // SAFETY: As above.
        unsafe { (*inode).i_op = own_ops };

        // A positive answer is no permission.
        assert_eq!(results, [Err(EIO), Err(EINVAL), Ok(())]);
        // No MAY_OPEN, which lets NFSv4 answer before it looks.
        let mask = bindings::MAY_EXEC | bindings::MAY_OPENEXEC;
        assert_eq!(ASKED.load(Relaxed), mask as i32);
        Ok(())
    }
}
