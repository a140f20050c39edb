// SPDX-License-Identifier: MIT OR Apache-2.0

//! An audit library of glibc's loader, rtld-audit(7): with `LD_AUDIT=libmayexec_rtld.so`,
//! shared objects are opened by the library mayexec too.
//!
//! The loader opens the name again by itself. To hand it /proc/self/fd/N instead would
//! change the meaning of $ORIGIN in the object. So what it has mapped is compared with
//! what was opened, before any of its code runs.

use std::ffi::{CStr, CString, OsStr, c_char, c_uint, c_void};
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use rustix::mm::{MapFlags, ProtFlags};

/// `LA_SER_ORIG`: the name as it was asked for.
const ORIGINAL: c_uint = 1;

/// The part of link.h's `struct link_map` that is public.
#[repr(C)]
pub struct LinkMap {
    address: usize,
    name: *const c_char,
    dynamic: *const c_void,
}

/// What was opened last, and the name that the loader has of it.
static OPENED: Mutex<Option<(CString, Option<Pin>)>> = Mutex::new(None);

/// Takes part in whatever version of the interface the loader has: what is used here is in
/// each.
#[unsafe(no_mangle)]
pub extern "C" fn la_version(version: c_uint) -> c_uint {
    version
}

/// Refuses a name that the library does not open: null, or in a search one that no file has.
///
/// # Safety
///
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn la_objsearch(
    name: *const c_char,
    _cookie: *mut usize,
    flag: c_uint,
) -> *const c_char {
    // SAFETY: The loader passes a C string.
    let text = unsafe { CStr::from_ptr(name) };
    let path = OsStr::from_bytes(text.to_bytes());
    // Each path that the search for a mere name leads to is asked about in its turn.
    if flag == ORIGINAL && !path.as_bytes().contains(&b'/') {
        return name;
    }
    let opened = mayexec::open(path).inspect_err(|error| {
        // While it searches, the loader tries names that do not exist.
        if error.why != mayexec::Why::Open {
            tell(text, error);
        }
    });
    let opened = opened
        .ok()
        .map(|opened| (text.to_owned(), Pin::new(&opened.file)));
    let refused = opened.is_none();
    *OPENED.lock().unwrap_or_else(|held| held.into_inner()) = opened;
    match (refused, flag) {
        (false, _) => name,
        (true, ORIGINAL) => std::ptr::null(),
        // Null would leave errno as it is, which the loader goes by in its search.
        (true, _) => c"/proc/self/fd/none".as_ptr(),
    }
}

/// Ends the process if the loader has mapped another file than the one that was opened.
///
/// # Safety
///
/// `map` points to the loader's own record of the object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn la_objopen(
    map: *const LinkMap,
    _namespace: isize,
    _cookie: *mut usize,
) -> c_uint {
    let opened = OPENED
        .lock()
        .unwrap_or_else(|held| held.into_inner())
        .take();
    if let Some((name, pin)) = opened {
        // SAFETY: The caller's promise; the loader's names are C strings.
        let (dynamic, own) = unsafe { ((*map).dynamic, CStr::from_ptr((*map).name)) };
        // The program, the loader and the vDSO were there before, and nothing is mapped for
        // what is found to be loaded already: then this is not what was opened last.
        if own == name.as_c_str() {
            let what = match (pin.and_then(|pin| mapped(pin.0)), mapped(dynamic)) {
                (Some(expected), Some(found)) if expected == found => return 0,
                (Some(_), Some(_)) => "it was replaced while it was loaded",
                _ => "cannot tell what was loaded, /proc/thread-self/maps or mmap(2) has failed",
            };
            tell(own, what);
            std::process::abort();
        }
    }
    // No calls between objects are to be audited.
    0
}

/// Says something of an object, if there is somebody to read it. A name that could act on a
/// terminal, or end the line, is escaped.
fn tell(name: &CStr, what: impl Display) {
    let name = name.to_bytes();
    let name = match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    };
    let _ = writeln!(std::io::stderr(), "mayexec-rtld: {name}: {what}");
}

/// The device and the inode of the file that is mapped at an address, as text.
fn mapped(address: *const c_void) -> Option<(String, String)> {
    // Those of /proc/self are empty once the main thread has ended.
    let maps = std::fs::read("/proc/thread-self/maps").ok()?;
    // A file may have a name that is not UTF-8; only numbers are used.
    let maps = String::from_utf8_lossy(&maps);
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16));
        let holds = (start.ok()?..end.ok()?).contains(&address.addr());
        let device = words.nth(2)?;
        holds.then(|| Some((device.to_owned(), words.next()?.to_owned())))?
    })
}

/// A mapping of a file. While it is there, no other file gets the inode's number. A descriptor
/// would do that too, but the program may close it and give its number to a file of its own.
struct Pin(*mut c_void);

// SAFETY: Nothing reads the page, and any thread may unmap it.
unsafe impl Send for Pin {}

impl Pin {
    /// [`mapped`] then has the file's identity. fstat(2) would not do: some file systems have
    /// another device there.
    fn new(file: &File) -> Option<Self> {
        let (none, any) = (std::ptr::null_mut(), MapFlags::PRIVATE);
        // SAFETY: A new mapping, anywhere, that nothing reads.
        let page = unsafe { rustix::mm::mmap(none, 1, ProtFlags::READ, any, file, 0) };
        page.ok().map(Self)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: It was made above.
        let _ = unsafe { rustix::mm::munmap(self.0, 1) };
    }
}
