// SPDX-License-Identifier: GPL-2.0

//! `mayexec run`.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mayexec::{Open, Why};
use rustix::io::{Errno, FdFlags};

use crate::interpreter::{self, Found, Kind, Place};
use crate::show;
use crate::{RUN_DENIED, RUN_FAILED, RUN_MISSING};

/// The first descriptor that a script can get: those below 10 are for shell scripts to
/// redirect.
const FIRST: i32 = 10;

/// What kept a script from being run.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// Runs a script; returns only if that fails.
pub(crate) fn run(strict: bool, words: &[OsString]) -> u8 {
    let failure = match prepare(strict, words) {
        Ok((mut command, scripts)) => {
            let error = command.exec();
            drop(scripts);
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => RUN_MISSING,
                _ => RUN_DENIED,
            };
            Failure::new(code, format!("{}: {error}", show::name(&words[0])))
        }
        Err(failure) => failure,
    };
    let _ = writeln!(std::io::stderr(), "mayexec: {}", failure.text);
    failure.code
}

/// The interpreter's command line, and the scripts that it must find open.
fn prepare(strict: bool, words: &[OsString]) -> Result<(Command, Vec<OwnedFd>), Failure> {
    let (program, args) = words
        .split_first()
        .ok_or_else(|| Failure::new(RUN_FAILED, "no interpreter is named"))?;
    let kind = Kind::of(program);
    let (mut args, places) = match kind {
        Some(kind) => match kind.find(args) {
            Found::Scripts(places) => (args.to_vec(), places),
            Found::None(why) => {
                let text = format!("{}: {why}", show::name(program));
                return Err(Failure::new(RUN_FAILED, text));
            }
        },
        None => {
            let (args, place) = interpreter::after_dashes(args).ok_or_else(|| {
                let name = show::name(program);
                let text = format!(
                    "{name}: how this interpreter reads its command line is not known; \
                     put -- before the script"
                );
                Failure::new(RUN_FAILED, text)
            })?;
            (args, vec![place])
        }
    };
    let mut scripts = Vec::new();
    for place in &places {
        let name = interpreter::name(&args[place.index], place);
        let script = open(strict, Path::new(&name))?;
        let path = format!("/dev/fd/{}", script.as_raw_fd());
        scripts.push(script);
        match kind {
            Some(kind) if kind.sources(program, &args[..place.index]) => {
                source(&mut args, place, &path, &name);
            }
            _ => args[place.index] = interpreter::replaced(&args[place.index], place, &path),
        }
    }
    let mut command = Command::new(program);
    command.args(args);
    Ok((command, scripts))
}

/// Has a shell read the script with `.`, so that $0 is the script's name.
fn source(args: &mut Vec<OsString>, place: &Place, path: &str, name: &OsString) {
    let mut end = place.index;
    // What ends the options would end them before -c.
    if end > 0 && (args[end - 1] == "--" || args[end - 1] == "-") {
        end -= 1;
    }
    let run = ["-c".into(), format!(". {path}").into(), name.clone()];
    args.splice(end..=place.index, run);
}

/// Opens a script under the policy, as a descriptor that the interpreter inherits.
fn open(strict: bool, path: &Path) -> Result<OwnedFd, Failure> {
    let options = if strict {
        Open::new().check_always()
    } else {
        Open::new()
    };
    let name = show::name(path);
    let opened = options.open(path).map_err(|error| {
        let code = match (error.why, error.errno) {
            (Why::Guarantee { .. }, _) => RUN_FAILED,
            (Why::Open, Errno::NOENT | Errno::NOTDIR) => RUN_MISSING,
            _ => RUN_DENIED,
        };
        Failure::new(code, format!("{name}: {error}"))
    })?;
    let trouble = |errno: Errno| {
        let error = std::io::Error::from(errno);
        Failure::new(RUN_FAILED, format!("{name}: {error}"))
    };
    if is_directory(&opened.file).map_err(trouble)? {
        return Err(Failure::new(RUN_DENIED, format!("{name}: is a directory")));
    }
    let script = rustix::io::fcntl_dupfd_cloexec(&opened.file, FIRST).map_err(trouble)?;
    rustix::io::fcntl_setfd(&script, FdFlags::empty()).map_err(trouble)?;
    Ok(script)
}

/// Whether this is a directory, which no policy is needed to refuse.
fn is_directory(file: &File) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Directory)
}
