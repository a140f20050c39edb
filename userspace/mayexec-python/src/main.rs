// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mayexec-python SCRIPT [ARGUMENT]...`: Python that has the hook from the start, so that
//! what runs before the script (site, .pth files, sitecustomize) is opened by it too.
//!
//! In an interpreter's own `main()`, it is two calls. This one finds Python's library
//! at run time, to need nothing of it to be built.

use std::ffi::{CString, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Runs the script, when the hook is set.
const RUN: &str = concat!(
    include_str!("../python/mayexec/__init__.py"),
    "\n_cover_sourceless()\n_run(True)\n"
);

/// Loads a library for the life of the process.
fn load(name: impl AsRef<OsStr>) -> Result<&'static Library, libloading::Error> {
    // SAFETY: Python's library and ours run no code of their own when they are loaded.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }?;
    Ok(Box::leak(Box::new(library)))
}

fn run() -> Result<c_int> {
    let python = (9..30)
        .rev()
        .find_map(|minor| load(format!("libpython3.{minor}.so.1.0")).ok())
        .context("cannot find libpython3.N.so.1.0")?;
    let own = std::env::current_exe()?;
    let ours = load(own.with_file_name("libmayexec_python.so"))?;
    // SAFETY: These are their types.
    let (set_hook, main) = unsafe {
        (
            ours.get::<extern "C" fn() -> c_int>(b"mayexec_set_open_code_hook\0")?,
            python.get::<extern "C" fn(c_int, *mut *mut c_char) -> c_int>(b"Py_BytesMain\0")?,
        )
    };
    ensure!(set_hook() == 0, "Python has another hook");
    // -I: nothing from the environment, nothing from the working directory. It would leave out
    // the script's directory, too, which is as trusted as the script: _run(True) puts it back.
    let words = ["mayexec-python", "-I", "-c", RUN].map(OsString::from);
    let words: Vec<CString> = words
        .into_iter()
        .chain(std::env::args_os().skip(1))
        .map(|word| CString::new(word.into_vec()))
        .collect::<Result<_, _>>()?;
    let mut argv: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    Ok(main(c_int::try_from(words.len())?, argv.as_mut_ptr()))
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "mayexec-python: {error:#}");
            ExitCode::from(2)
        }
    }
}
