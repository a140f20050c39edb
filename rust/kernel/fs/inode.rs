// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    fs::MntIdmap,
    impl_flags,
    types::Opaque, //
};

impl_flags!(
    /// An access mask: what [`Inode::permission`] is asked for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct AccessMask(u32);

    /// One kind of access to an inode.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Access {
        /// Execute a file, search a directory.
        Exec = bindings::MAY_EXEC,

        /// Write.
        Write = bindings::MAY_WRITE,

        /// Read.
        Read = bindings::MAY_READ,
    }
);

/// The type of a file, the `S_IFMT` bits of its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// Regular file, `S_IFREG`.
    Regular,
    /// Directory, `S_IFDIR`.
    Directory,
    /// Symbolic link, `S_IFLNK`.
    Symlink,
    /// Character device, `S_IFCHR`.
    CharDevice,
    /// Block device, `S_IFBLK`.
    BlockDevice,
    /// Named or anonymous pipe, `S_IFIFO`.
    Fifo,
    /// Socket, `S_IFSOCK`.
    Socket,
    /// No type: an anonymous inode.
    Untyped,
}

impl FileType {
    /// Returns the file type in `mode`.
    #[inline]
    pub fn from_mode(mode: bindings::umode_t) -> Self {
        match u32::from(mode) & bindings::S_IFMT {
            bindings::S_IFREG => Self::Regular,
            bindings::S_IFDIR => Self::Directory,
            bindings::S_IFLNK => Self::Symlink,
            bindings::S_IFCHR => Self::CharDevice,
            bindings::S_IFBLK => Self::BlockDevice,
            bindings::S_IFIFO => Self::Fifo,
            bindings::S_IFSOCK => Self::Socket,
            _ => Self::Untyped,
        }
    }
}

/// Wraps the kernel's `struct inode`.
///
/// # Invariants
///
/// The inode's reference count is positive while a reference to this type exists.
#[repr(transparent)]
pub struct Inode(Opaque<bindings::inode>);

impl Inode {
    /// Creates a reference to an [`Inode`] from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point at an initialised inode whose reference count stays positive for the
    /// duration of `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::inode) -> &'a Inode {
        // SAFETY: The caller guarantees that the pointer is valid for `'a`, and `Inode` is
        // transparent.
        //
        // INVARIANT: The caller guarantees a positive reference count for the duration of `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns a raw pointer to the inner C struct.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// Returns the type of the file.
    ///
    /// Anonymous inodes have none, even those that keep `S_IFREG` in their mode, as those of
    /// pidfs do.
    #[inline]
    pub fn file_type(&self) -> FileType {
        let inode = self.as_ptr();

        // These `read_volatile` are intended to correspond to READ_ONCE calls: other bits of both
        // fields may change meanwhile. The type changes only in make_bad_inode(), to S_IFREG, and
        // every operation on such an inode fails.
        //
        // SAFETY: By the type invariant, the inode is valid.
        //
        // FIXME(read_once): Replace with `read_once` when available on the Rust side.
        let (flags, mode) = unsafe {
            (
                (&raw const (*inode).i_flags).read_volatile(),
                (&raw const (*inode).i_mode).read_volatile(),
            )
        };

        if flags & bindings::S_ANON_INODE != 0 {
            FileType::Untyped
        } else {
            FileType::from_mode(mode)
        }
    }

    /// Asks whether the current task may access the inode, reached through a mount with `idmap`,
    /// in every way that is in `mask`.
    ///
    /// This is the whole check: mode, ACL, capabilities, the file system's own and the security
    /// modules'. It may sleep.
    ///
    /// # Errors
    ///
    /// The error of the check that refuses, [`EACCES`] as a rule.
    ///
    /// [`EACCES`]: crate::error::code::EACCES
    #[doc(alias = "inode_permission")]
    #[inline]
    pub fn permission(&self, idmap: &MntIdmap, mask: impl Into<AccessMask>) -> Result {
        let mask: u32 = mask.into().into();

        // CAST: The bits of `Access` are far from the sign bit.
        //
        // SAFETY: By the type invariants, the inode and the idmap are valid. The mask cannot hold
        // `MAY_NOT_BLOCK`, which alone would ask for an RCU path walk.
        to_result(unsafe { bindings::inode_permission(idmap.as_ptr(), self.as_ptr(), mask as i32) })
    }
}
