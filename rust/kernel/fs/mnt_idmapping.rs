// SPDX-License-Identifier: GPL-2.0

//! Idmapped mounts.
//!
//! C header: [`include/linux/mnt_idmapping.h`](srctree/include/linux/mnt_idmapping.h)
//!
//! Reference: <https://docs.kernel.org/filesystems/idmappings.html>

use crate::{
    bindings,
    types::Opaque, //
};

/// Wraps the kernel's `struct mnt_idmap`: how a mount maps the owners of its inodes.
///
/// A permission check needs the idmap of the mount through which the inode was reached, because
/// the same inode can have different owners on different mounts.
///
/// # Invariants
///
/// The idmap is not freed while a reference to this type exists.
#[repr(transparent)]
pub struct MntIdmap(Opaque<bindings::mnt_idmap>);

impl MntIdmap {
    /// Creates a reference to a [`MntIdmap`] from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point at a valid `struct mnt_idmap` that stays valid for the duration of `'a`;
    /// that of a mount does while a reference to the mount is held.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::mnt_idmap) -> &'a MntIdmap {
        // SAFETY: The caller guarantees that the pointer is valid for `'a`, and `MntIdmap` is
        // transparent.
        //
        // INVARIANT: The caller guarantees that the idmap is not freed for the duration of `'a`.
        unsafe { &*ptr.cast() }
    }

    /// Returns a raw pointer to the inner C struct.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::mnt_idmap {
        self.0.get()
    }
}
