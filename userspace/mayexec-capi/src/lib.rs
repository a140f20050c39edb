// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library `mayexec` for C: see `include/mayexec.h`, which cbindgen makes of this file.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ladder::{Error, Guarantee, Open, Opened, Support, Why};
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

/// How a file was looked at before it was handed out, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub enum MayexecGuarantee {
    /// Not at all: an ordinary open.
    Plain = 0,
    /// The library has made the checks that the policy asks for itself.
    Securebits = 1,
    /// The kernel has applied the policy in force: O_MAYEXEC.
    Kernel = 2,
}

/// Why a file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub enum MayexecWhy {
    /// It was opened.
    Opened = 0,
    /// An ordinary open fails too.
    Open = 1,
    /// It is not a regular file.
    NotRegular = 2,
    /// It is on a noexec mount.
    Noexec = 3,
    /// The caller has no execute permission.
    NotExecutable = 4,
    /// Somebody has it open for writing.
    Busy = 5,
    /// None of these, as far as can be seen: a security module or a fanotify listener, as
    /// a rule.
    Other = 6,
    /// The guarantee that was demanded, or an option, is impossible here.
    Impossible = 7,
}

/// The check is made whatever the securebits say.
pub const MAYEXEC_CHECK_ALWAYS: u32 = 1;

/// The size of a message, with its closing 0.
pub const MAYEXEC_MESSAGE_SIZE: usize = 256;

/// How a file is to be opened; all 0 is what mayexec_open() does.
#[repr(C)]
pub struct MayexecOptions {
    /// The least guarantee, an enum mayexec_guarantee.
    pub require: u32,
    /// MAYEXEC_CHECK_ALWAYS or 0.
    pub flags: u32,
    /// RESOLVE_* of openat2(2).
    pub resolve: u64,
}

/// What came of an open.
#[repr(C)]
pub struct MayexecAnswer {
    /// What was got; MAYEXEC_GUARANTEE_PLAIN after a failure.
    pub guarantee: MayexecGuarantee,
    /// Why it failed.
    pub why: MayexecWhy,
    /// The same for people; empty after success.
    pub message: [c_char; MAYEXEC_MESSAGE_SIZE],
}

impl MayexecAnswer {
    fn new(outcome: &Result<Opened, Failure>) -> Self {
        let mut answer = Self {
            guarantee: MayexecGuarantee::Plain,
            why: MayexecWhy::Opened,
            message: [0; MAYEXEC_MESSAGE_SIZE],
        };
        match outcome {
            Ok(opened) => answer.guarantee = guarantee(opened.guarantee),
            Err(failure) => {
                answer.why = failure.why;
                // The last byte stays 0.
                for (to, from) in answer.message[..MAYEXEC_MESSAGE_SIZE - 1]
                    .iter_mut()
                    .zip(failure.text.bytes())
                {
                    // Signed or not, as the architecture has it.
                    *to = from as c_char;
                }
            }
        }
        answer
    }
}

/// Why there is no descriptor.
struct Failure {
    errno: Errno,
    why: MayexecWhy,
    text: String,
}

impl Failure {
    /// An argument with which the kernel could only fail.
    fn argument(errno: Errno) -> Self {
        Self {
            errno,
            why: MayexecWhy::Open,
            text: ladder::message(errno),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            errno: error.errno,
            why: why(error.why),
            text: error.to_string(),
        }
    }
}

fn guarantee(guarantee: Guarantee) -> MayexecGuarantee {
    match guarantee {
        Guarantee::Plain => MayexecGuarantee::Plain,
        Guarantee::Securebits => MayexecGuarantee::Securebits,
        Guarantee::Kernel => MayexecGuarantee::Kernel,
    }
}

fn why(why: Why) -> MayexecWhy {
    match why {
        Why::Open => MayexecWhy::Open,
        Why::NotRegular => MayexecWhy::NotRegular,
        Why::Noexec => MayexecWhy::Noexec,
        Why::NotExecutable => MayexecWhy::NotExecutable,
        Why::Busy => MayexecWhy::Busy,
        Why::Guarantee { .. } | Why::Filtered | Why::Unresolved => MayexecWhy::Impossible,
        _ => MayexecWhy::Other,
    }
}

/// The options in Rust.
fn options(options: Option<&MayexecOptions>) -> Result<Open, Failure> {
    let Some(given) = options else {
        return Ok(Open::new());
    };
    let invalid = |what| Failure {
        errno: Errno::INVAL,
        why: MayexecWhy::Impossible,
        text: format!("invalid options: {what}"),
    };
    let require = match given.require {
        0 => Guarantee::Plain,
        1 => Guarantee::Securebits,
        2 => Guarantee::Kernel,
        _ => return Err(invalid("no such guarantee")),
    };
    let open = Open::new()
        .require(require)
        // Which ones there are is for the kernel to say.
        .resolve(ResolveFlags::from_bits_retain(given.resolve));
    match given.flags {
        0 => Ok(open),
        MAYEXEC_CHECK_ALWAYS => Ok(open.check_always()),
        _ => Err(invalid("unknown flags")),
    }
}

/// A descriptor of the caller.
///
/// # Safety
///
/// As [`BorrowedFd::borrow_raw`] has it. If it is not open, the kernel says so.
unsafe fn borrow<'fd>(fd: c_int) -> Result<BorrowedFd<'fd>, Failure> {
    if fd < 0 {
        return Err(Failure::argument(Errno::BADF));
    }
    // SAFETY: Not negative; the rest is the caller's promise.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The descriptor or the negative errno.
///
/// # Safety
///
/// `answer` is null or can be written.
unsafe fn finish(outcome: Result<Opened, Failure>, answer: *mut MayexecAnswer) -> c_int {
    if !answer.is_null() {
        // SAFETY: The caller's promise. What is there yet need not be an answer, so there
        // is no reference to it.
        unsafe { answer.write(MayexecAnswer::new(&outcome)) };
    }
    match outcome {
        Ok(opened) => opened.file.into_raw_fd(),
        Err(failure) => -failure.errno.raw_os_error(),
    }
}

/// Opens a file that is about to be executed, for reading and closed on exec, with
/// whatever guarantee there is. Returns a descriptor or a negative errno; the answer is
/// written in either case.
///
/// # Safety
///
/// `path` is a C string; `answer` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mayexec_open(path: *const c_char, answer: *mut MayexecAnswer) -> c_int {
    // SAFETY: The caller's promises are those of mayexec_openat(); null options are allowed.
    unsafe { mayexec_openat(libc::AT_FDCWD, path, std::ptr::null(), answer) }
}

/// The same for a path seen from a directory, or AT_FDCWD, with options, which may be NULL.
///
/// # Safety
///
/// `path` is a C string; `options` is null or can be read, `answer` null or written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mayexec_openat(
    dir: c_int,
    path: *const c_char,
    options: *const MayexecOptions,
    answer: *mut MayexecAnswer,
) -> c_int {
    let open = || {
        // SAFETY: The caller lets us read `options`, if it is not null.
        let open = self::options(unsafe { options.as_ref() })?;
        if path.is_null() {
            return Err(Failure::argument(Errno::FAULT));
        }
        // SAFETY: The caller guarantees that `path` is a C string.
        let path = unsafe { CStr::from_ptr(path) };
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        Ok(match dir {
            libc::AT_FDCWD => open.open(path),
            // SAFETY: Whether it is open is for the kernel to say; nothing here depends on
            // it.
            dir => open.open_at(unsafe { borrow(dir) }?, path),
        }?)
    };
    // SAFETY: The caller lets us write to `answer`, if it is not null.
    unsafe { finish(open(), answer) }
}

/// Opens what a descriptor holds again, under the policy; `options` may be NULL.
///
/// # Safety
///
/// `options` is null or can be read, `answer` null or written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mayexec_reopen(
    fd: c_int,
    options: *const MayexecOptions,
    answer: *mut MayexecAnswer,
) -> c_int {
    let reopen = || {
        // SAFETY: The caller lets us read `options`, if it is not null.
        let open = self::options(unsafe { options.as_ref() })?;
        // SAFETY: Whether it is open is for the kernel to say; nothing here depends on it.
        Ok(open.reopen(unsafe { borrow(fd) }?)?)
    };
    // SAFETY: The caller lets us write to `answer`, if it is not null.
    unsafe { finish(reopen(), answer) }
}

/// The best guarantee that the calling thread can get.
#[unsafe(no_mangle)]
pub extern "C" fn mayexec_best() -> MayexecGuarantee {
    guarantee(Support::get().guarantee())
}
