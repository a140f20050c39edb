// SPDX-License-Identifier: MIT OR Apache-2.0

//! The hook of CPython's `io.open_code`: an extension module, `mayexec._hook`, for an
//! interpreter that runs already, and a function for one that is about to start.

use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyOSError;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A hook returns a new reference, or null with an exception set.
type Hook = unsafe extern "C" fn(path: *mut PyObject, data: *mut c_void) -> *mut PyObject;

unsafe extern "C" {
    /// Not in the stable interface and thus not in PyO3's; the same since Python 3.8.
    fn PyFile_SetOpenCodeHook(hook: Hook, data: *mut c_void) -> c_int;
}

/// Opens for `_io.open`, which owns the descriptor from then on, also if it fails.
#[pyfunction]
fn opener(path: Bound<'_, PyAny>, _flags: c_int) -> PyResult<c_int> {
    let opened = mayexec::open(path.extract::<PathBuf>()?).map_err(|error| {
        let what = (error.errno.raw_os_error(), error.to_string());
        PyOSError::new_err((what.0, what.1, path.unbind()))
    })?;
    Ok(opened.file.into_raw_fd())
}

/// What `io.open_code` does from now on.
fn open_code<'py>(path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let python = path.py();
    let options = PyDict::new(python);
    options.set_item("opener", wrap_pyfunction!(opener, python)?)?;
    let io = python.import("_io")?;
    io.call_method("open", (path, "rb"), Some(&options))
}

unsafe extern "C" fn hook(path: *mut PyObject, _data: *mut c_void) -> *mut PyObject {
    // SAFETY: Python calls its hook in an attached thread.
    let python = unsafe { Python::assume_attached() };
    // SAFETY: `path` is a str that the caller holds until the hook returns.
    let path = unsafe { Bound::from_borrowed_ptr(python, path) };
    match open_code(&path) {
        Ok(file) => file.into_ptr(),
        Err(error) => {
            error.restore(python);
            std::ptr::null_mut()
        }
    }
}

/// Sets the hook before or after the start of Python. Returns 0, or -1 if there is
/// another one, with an exception if Python runs. To set it twice changes nothing.
#[unsafe(no_mangle)]
pub extern "C" fn mayexec_set_open_code_hook() -> c_int {
    /// Python itself refuses a second hook, even if it is the same.
    static SET: AtomicBool = AtomicBool::new(false);
    if SET.swap(true, Ordering::Relaxed) {
        return 0;
    }
    // SAFETY: The function may be called at any time; `hook` is of the right type and is
    // never unloaded, as Python does not unload extension modules.
    let answer = unsafe { PyFile_SetOpenCodeHook(hook, std::ptr::null_mut()) };
    SET.store(answer == 0, Ordering::Relaxed);
    answer
}

/// The extension module.
#[pymodule]
mod _hook {
    use pyo3::prelude::*;

    /// Sets the hook; SystemError if there is another one.
    #[pyfunction]
    fn install(python: Python<'_>) -> PyResult<()> {
        match super::mayexec_set_open_code_hook() {
            0 => Ok(()),
            _ => Err(PyErr::fetch(python)),
        }
    }
}
