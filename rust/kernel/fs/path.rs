// SPDX-License-Identifier: GPL-2.0

//! Paths: files, and where in the mount tree they were found.
//!
//! C header: [`include/linux/path.h`](srctree/include/linux/path.h)

use core::mem::MaybeUninit;

use crate::{
    bindings,
    fs::Inode,
    str::{
        CStr,
        CStrExt as _, //
    },
    types::Opaque, //
};

/// Wraps the kernel's `struct path`: a dentry and the mount it was reached through.
///
/// # Invariants
///
/// While a reference to this type exists,
///
/// * the path does not change and holds references to its mount and its dentry,
/// * the dentry is positive, that is, it has an inode.
#[repr(transparent)]
pub struct Path(Opaque<bindings::path>);

impl Path {
    /// Creates a reference to a [`Path`] from a raw pointer.
    ///
    /// # Safety
    ///
    /// For the duration of `'a`, `ptr` must point at a `struct path` that nobody changes, that
    /// holds references to a mount and a dentry, and whose dentry is positive. The path of an open
    /// file is like that.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::path) -> &'a Path {
        // SAFETY: The caller guarantees that the pointer is valid for `'a`, and `Path` is
        // transparent.
        //
        // INVARIANT: The caller guarantees both points for the duration of `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns a raw pointer to the inner C struct.
    #[inline]
    pub fn as_ptr(&self) -> *const bindings::path {
        self.0.get()
    }

    /// Returns the inode that the path leads to.
    #[inline]
    pub fn inode(&self) -> &Inode {
        // SAFETY: By the type invariant, the path and its dentry are valid. A positive dentry
        // keeps its inode while references to the dentry are held, so `d_inode` does not change.
        let inode = unsafe { (*(*self.as_ptr()).dentry).d_inode };

        // SAFETY: By the type invariant, `inode` is not null. The dentry holds a reference to it,
        // and the path one to the dentry, at least as long as `self` is borrowed.
        unsafe { Inode::from_raw(inode) }
    }

    /// Calls `f` with the last component of the path, under the name that it has now.
    #[doc(alias = "take_dentry_name_snapshot")]
    pub fn with_name<T>(&self, f: impl FnOnce(&CStr) -> T) -> T {
        let mut snapshot = MaybeUninit::uninit();

        // The snapshot may point into itself: it does not move before it is released.
        //
        // SAFETY: By the type invariant, the path and its dentry are valid. The call initialises
        // the snapshot, whose name is a C string.
        let name = unsafe {
            bindings::take_dentry_name_snapshot(snapshot.as_mut_ptr(), (*self.as_ptr()).dentry);
            CStr::from_char_ptr((*snapshot.as_ptr()).name.name.cast())
        };

        let result = f(name);

        // SAFETY: The snapshot was taken above, and `name` is not used any more.
        unsafe { bindings::release_dentry_name_snapshot(snapshot.as_mut_ptr()) };

        result
    }

    /// Returns whether the mount or the superblock forbids executing files (`MNT_NOEXEC`,
    /// `SB_I_NOEXEC`).
    #[doc(alias = "path_noexec")]
    #[inline]
    pub fn is_noexec(&self) -> bool {
        // SAFETY: By the type invariant, the path is valid and its dentry positive.
        unsafe { bindings::path_noexec(self.as_ptr()) }
    }
}

#[cfg(CONFIG_RUST_FS_KUNIT_TEST)]
#[macros::kunit_tests(rust_kernel_fs)]
mod tests {
    use super::*;
    use crate::{
        error::from_err_ptr,
        fs::{
            Access,
            FileType,
            MntIdmap, //
        },
        prelude::*,
        sync::atomic::{
            Atomic,
            Relaxed, //
        }, //
    };

    /// A mount that only the test sees, so that its flags are the test's to set.
    struct Mount(*mut bindings::vfsmount);

    impl Mount {
        fn new(fs_type: &CStr) -> Result<Self> {
            // SAFETY: The name is a valid C string.
            let fs_type = unsafe { bindings::get_fs_type(fs_type.as_char_ptr()) };
            if fs_type.is_null() {
                return Err(ENODEV);
            }
            // SAFETY: `fs_type` is valid: what these tests mount is built in and never leaves.
            Ok(Self(from_err_ptr(unsafe {
                bindings::kern_mount(fs_type)
            })?))
        }

        fn root(&self) -> bindings::path {
            bindings::path {
                mnt: self.0,
                // SAFETY: The mount is valid until `self` is dropped.
                dentry: unsafe { (*self.0).mnt_root },
            }
        }

        fn forbid_exec(&self) {
            // SAFETY: The mount is valid, and nobody else knows it.
            unsafe { (*self.0).mnt_flags |= bindings::mount_flags_MNT_NOEXEC as i32 };
        }

        /// Creates a regular file without a name.
        fn file(&self, mode: bindings::umode_t) -> Result<OpenFile> {
            let flags = (bindings::O_TMPFILE | bindings::O_RDWR) as i32;
            // SAFETY: The path is valid for the call, the name is a valid C string.
            let file =
                unsafe { bindings::file_open_root(&self.root(), c".".as_char_ptr(), flags, mode) };
            Ok(OpenFile(from_err_ptr(file)?))
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            // SAFETY: `new` mounted it, and no file on it is left open.
            unsafe { bindings::kern_unmount(self.0) };
        }
    }

    /// An inode without a file, as pidfs has them, on a superblock of its own.
    struct AnonInode {
        inode: *mut bindings::inode,
        _pipefs: Mount,
    }

    impl AnonInode {
        fn new() -> Result<Self> {
            let pipefs = Mount::new(c"pipefs")?;
            // SAFETY: The superblock is valid while the mount is.
            let inode = unsafe { bindings::alloc_anon_inode((*pipefs.0).mnt_sb) };

            Ok(Self {
                inode: from_err_ptr(inode)?,
                _pipefs: pipefs,
            })
        }

        fn inode(&self) -> &Inode {
            // SAFETY: `self` holds a reference to the inode.
            unsafe { Inode::from_raw(self.inode) }
        }
    }

    impl Drop for AnonInode {
        fn drop(&mut self) {
            // SAFETY: `self` owns the reference, and the superblock goes after this.
            unsafe { bindings::iput(self.inode) };
        }
    }

    struct OpenFile(*mut bindings::file);

    impl OpenFile {
        fn path(&self) -> &Path {
            // SAFETY: The path of an open file fulfils the requirements while the file is open.
            unsafe { Path::from_raw(&raw const (*self.0).__bindgen_anon_1.f_path) }
        }

        fn idmap(&self) -> &MntIdmap {
            // SAFETY: The file is open, so its mount and the idmap of that are valid.
            unsafe { MntIdmap::from_raw((*(*self.path().as_ptr()).mnt).mnt_idmap) }
        }
    }

    impl Drop for OpenFile {
        fn drop(&mut self) {
            // SAFETY: `self` owns the reference that opening the file returned. The variant of
            // fput() lets go of the mount at once, before the test drops that.
            unsafe { bindings::__fput_sync(self.0) };
        }
    }

    #[test]
    fn every_file_type() {
        let types = [
            (bindings::S_IFREG, FileType::Regular),
            (bindings::S_IFDIR, FileType::Directory),
            (bindings::S_IFLNK, FileType::Symlink),
            (bindings::S_IFCHR, FileType::CharDevice),
            (bindings::S_IFBLK, FileType::BlockDevice),
            (bindings::S_IFIFO, FileType::Fifo),
            (bindings::S_IFSOCK, FileType::Socket),
        ];

        for bits in 0..=(bindings::S_IFMT >> 12) {
            let expected = types
                .iter()
                .find(|(s_if, _)| *s_if == bits << 12)
                .map_or(FileType::Untyped, |(_, file_type)| *file_type);

            for permissions in [0, 0o7777] {
                let mode = (bits << 12 | permissions) as bindings::umode_t;
                assert_eq!(FileType::from_mode(mode), expected);
            }
        }
    }

    #[test]
    fn types_of_inodes() -> Result {
        let tmpfs = Mount::new(c"tmpfs")?;
        let file = tmpfs.file(0o644)?;
        let root = tmpfs.root();
        // SAFETY: The root of a mount is positive and valid while it is mounted.
        let root = unsafe { Path::from_raw(&root) };

        assert_eq!(file.path().inode().file_type(), FileType::Regular);
        assert_eq!(root.inode().file_type(), FileType::Directory);
        Ok(())
    }

    #[test]
    fn names() -> Result {
        let tmpfs = Mount::new(c"tmpfs")?;
        let file = tmpfs.file(0o644)?;
        let root = tmpfs.root();
        // SAFETY: The root of a mount is positive and valid while it is mounted.
        let root = unsafe { Path::from_raw(&root) };

        root.with_name(|name| assert_eq!(name, c"/"));
        // What stands in for the name of a file without one.
        file.path()
            .with_name(|name| assert_eq!(name.to_bytes().first(), Some(&b'#')));
        Ok(())
    }

    #[test]
    fn anonymous_inodes_are_untyped() -> Result {
        let anon = AnonInode::new()?;

        assert_eq!(anon.inode().file_type(), FileType::Untyped);
        // SAFETY: Nobody else knows the inode.
        unsafe { (*anon.inode).i_mode = (bindings::S_IFREG | 0o700) as bindings::umode_t };
        assert_eq!(anon.inode().file_type(), FileType::Untyped);
        Ok(())
    }

    #[test]
    fn noexec_of_mount() -> Result {
        let tmpfs = Mount::new(c"tmpfs")?;
        let file = tmpfs.file(0o755)?;

        assert!(!file.path().is_noexec());
        tmpfs.forbid_exec();
        assert!(file.path().is_noexec());
        Ok(())
    }

    #[test]
    fn noexec_of_superblock() -> Result {
        let pipefs = Mount::new(c"pipefs")?;
        let root = pipefs.root();

        // SAFETY: The root of a mount is positive and valid while it is mounted.
        assert!(unsafe { Path::from_raw(&root) }.is_noexec());
        Ok(())
    }

    #[test]
    fn permission_of_modes() -> Result {
        let tmpfs = Mount::new(c"tmpfs")?;

        // The test runs with all capabilities: they stand in for any bit but a missing `x`.
        for (mode, exec) in [
            (0o755, Ok(())),
            (0o644, Err(EACCES)),
            (0o001, Ok(())),
            (0, Err(EACCES)),
        ] {
            let file = tmpfs.file(mode)?;
            let (inode, idmap) = (file.path().inode(), file.idmap());

            assert_eq!(inode.permission(idmap, Access::Exec), exec);
            assert_eq!(inode.permission(idmap, Access::Read | Access::Exec), exec);
            assert_eq!(
                inode.permission(idmap, Access::Read | Access::Write),
                Ok(())
            );
        }
        Ok(())
    }

    /// The mask that a file system's own check got.
    static ASKED: Atomic<i32> = Atomic::new(0);

    extern "C" fn record(
        _idmap: *mut bindings::mnt_idmap,
        _inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        ASKED.store(mask, Relaxed);
        EIO.to_errno()
    }

    #[test]
    fn permission_asks_the_file_system() -> Result {
        let ops = bindings::inode_operations {
            permission: Some(record),
            ..pin_init::zeroed()
        };
        let anon = AnonInode::new()?;
        // SAFETY: Nobody else knows the inode, and `ops` is there until it gets its own back.
        let own_ops = unsafe { core::mem::replace(&mut (*anon.inode).i_op, &ops) };
        // SAFETY: The idmap of mounts that have none is always there.
        let idmap = unsafe { MntIdmap::from_raw(&raw const bindings::nop_mnt_idmap) };

        let result = anon.inode().permission(idmap, Access::Exec);
        // SAFETY: As above.
        unsafe { (*anon.inode).i_op = own_ops };

        assert_eq!(result, Err(EIO));
        // No hint, such as MAY_OPEN, that lets NFSv4 answer before it looks.
        assert_eq!(ASKED.load(Relaxed), bindings::MAY_EXEC as i32);
        Ok(())
    }
}
