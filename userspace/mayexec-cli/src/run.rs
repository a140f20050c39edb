// SPDX-License-Identifier: GPL-2.0

//! `mayexec run`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mayexec::{Open, Why};
use rustix::fs::{Access, access};
use rustix::io::{Errno, FdFlags};

use crate::interpreter::{self, Found, Kind, Place};
use crate::{RUN_DENIED, RUN_FAILED, RUN_MISSING};
use crate::{show, sys};

/// The first descriptor that a script can get which its interpreter opens again: those below
/// 10 are for shell scripts to redirect.
const FIRST: i32 = 10;

/// The first for a shell that reads the script and closes it. Shells can name those below 10.
const FIRST_OF_SHELL: i32 = 3;

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
    let failure = match prepare(strict, words, 0) {
        Ok((mut command, scripts)) => {
            sys::keep_sigpipe(&mut command);
            let error = command.exec();
            drop(scripts);
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => RUN_MISSING,
                _ => RUN_DENIED,
            };
            let text = Errno::from_io_error(&error).map_or(error.to_string(), mayexec::message);
            let name = show::name(command.get_program());
            Failure::new(code, format!("{name}: {text}"))
        }
        Err(failure) => failure,
    };
    let _ = writeln!(std::io::stderr(), "mayexec: {}", failure.text);
    failure.code
}

/// How many #! lines lead one to the next at most, as for execve(2).
const LINES: usize = 5;

/// The interpreter's command line, and the scripts that it must find open, where so many #! lines
/// have been followed.
fn prepare(
    strict: bool,
    words: &[OsString],
    lines: usize,
) -> Result<(Command, Vec<OwnedFd>), Failure> {
    let (program, args) = words
        .split_first()
        .ok_or_else(|| Failure::new(RUN_FAILED, "no interpreter is named"))?;
    let kind = Kind::of(program);
    let is_path = program.as_bytes().contains(&b'/');
    // After a #! line has been followed, -- is an argument of the script.
    let dashes = lines == 0 && args.iter().any(|arg| arg == "--");
    // With --, this may be an interpreter, which need not be readable as a script must be.
    let readable = || access(Path::new(program), Access::READ_OK).is_ok();
    if kind.is_none() && is_path && (!dashes || readable()) {
        if let Some(mut line) = shebang(strict, program)? {
            if lines == LINES {
                let text = mayexec::message(Errno::LOOP);
                let text = format!("{}: {text}", show::name(program));
                return Err(Failure::new(RUN_DENIED, text));
            }
            line.extend_from_slice(words);
            return prepare(strict, &line, lines + 1);
        }
    }
    let (mut args, places) = match kind {
        Some(kind) => match kind.find(args) {
            Found::Scripts(places) => (args.to_vec(), places),
            Found::None(why) => {
                let text = format!("{}: {why}", show::name(program));
                return Err(Failure::new(RUN_FAILED, text));
            }
        },
        None => {
            let found = interpreter::after_dashes(args).filter(|_| dashes);
            let (args, place) = found.ok_or_else(|| {
                let name = show::name(program);
                let mut text = format!(
                    "{name}: how this interpreter reads its command line is not known; \
                     put -- before the script"
                );
                // It is in this directory, and PATH is searched without the slash.
                if !is_path && Path::new(program).exists() {
                    text.push_str(&format!("; if {name} is the script itself, ./ before it"));
                }
                Failure::new(RUN_FAILED, text)
            })?;
            (args, vec![place])
        }
    };
    let mut scripts = Vec::new();
    for place in &places {
        let name = interpreter::name(&args[place.index], place);
        let script = open(strict, Path::new(&name))?;
        let sources = kind.is_some_and(|kind| kind.sources(program, &args[..place.index]));
        let first = if sources && is_text(&script) {
            FIRST_OF_SHELL
        } else {
            FIRST
        };
        let script = inherited(&script, first).map_err(|errno| trouble(&name, errno))?;
        let fd = script.as_raw_fd();
        // Beyond 9, a shell cannot close it.
        let evaluated = fd < FIRST;
        // A shell that does not evaluate the script finds /dev/fd in BASH_SOURCE, as in $0.
        for &(word, project) in kind.map_or(&[][..], |kind| kind.misled_by()) {
            if (evaluated || kind != Some(Kind::Bash)) && mentions(&script, word.as_bytes()) {
                return Err(Failure::new(RUN_FAILED, misled(&name, word, project)));
            }
        }
        if evaluated {
            evaluate(&mut args, place, fd, &name);
        } else {
            let path = format!("/dev/fd/{fd}");
            args[place.index] = interpreter::replaced(&args[place.index], place, &path);
        }
        scripts.push(script);
    }
    let mut command = Command::new(program);
    command.args(args);
    Ok((command, scripts))
}

/// The interpreter that the #! line of a script names, with its option, if there is one; none if
/// there is no such line.
fn shebang(strict: bool, path: &OsStr) -> Result<Option<Vec<OsString>>, Failure> {
    let script = open(strict, Path::new(path))?;
    // The kernel looks at so many bytes.
    let start = start(&script, 256);
    let Some(line) = start.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = line
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let (program, option) = match line.iter().position(u8::is_ascii_whitespace) {
        Some(end) => (&line[..end], line[end..].trim_ascii()),
        None => (line, &b""[..]),
    };
    let is_env = program.ends_with(b"/env");
    if program.is_empty() || is_env && (option.is_empty() || option.starts_with(b"-")) {
        let name = show::name(path);
        let text = format!("{name}: its #! line is not understood; name the interpreter before it");
        return Err(Failure::new(RUN_FAILED, text));
    }
    let words = if is_env {
        vec![option]
    } else if option.is_empty() {
        vec![program]
    } else {
        vec![program, option]
    };
    let words = words
        .into_iter()
        .map(|word| OsString::from_vec(word.to_vec()));
    Ok(Some(words.collect()))
}

/// Why a script is not run.
fn misled(name: &OsStr, word: &str, project: &str) -> String {
    let name = show::name(name);
    format!(
        "{name}: it uses {word}, which cannot work when the script is not opened by {project} \
         itself; use a {project} with the patch of patches/projects/{project}"
    )
}

/// So many bytes of a script, or all; none of one that is not regular, which cannot be looked at
/// twice.
fn start(script: impl AsFd, most: usize) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    let mut chunk = vec![0; most.min(1 << 16)];
    while let Ok(length @ 1..) = rustix::io::pread(&script, &mut chunk, text.len() as u64) {
        text.extend(&chunk[..length]);
        if text.len() >= most {
            text.truncate(most);
            break;
        }
    }
    text
}

/// Whether a script has this in it.
fn mentions(script: &OwnedFd, what: &[u8]) -> bool {
    let text = start(script, usize::MAX);
    text.windows(what.len()).any(|found| found == what)
}

/// Whether a shell should read all of the script at once. A program that unpacks itself has data
/// behind the script: bash would read 100 MB of it for half a minute, and complain of NUL bytes.
fn is_text(script: &File) -> bool {
    const LONGEST: usize = 1 << 20;
    let text = start(script, LONGEST + 1);
    text.len() <= LONGEST && !text.contains(&0)
}

/// Has a shell read all of the script, close it, and evaluate what it has read, so that $0 is
/// the script's name and what the script starts does not hold it open. Of a script that cannot be
/// read to its end, nothing is evaluated.
fn evaluate(args: &mut Vec<OsString>, place: &Place, fd: i32, name: &OsString) {
    let mut end = place.index;
    // What ends the options would end them before -c.
    if end > 0 && (args[end - 1] == "--" || args[end - 1] == "-") {
        end -= 1;
    }
    let code = format!(
        "_mayexec=$(command cat <&{fd}) || exit {RUN_FAILED}; \
         eval \"unset _mayexec; exec {fd}<&-;$_mayexec\""
    );
    args.splice(end..=place.index, ["-c".into(), code.into(), name.clone()]);
}

/// Opens a script under the policy.
fn open(strict: bool, path: &Path) -> Result<File, Failure> {
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
    if is_directory(&opened.file).map_err(|errno| trouble(path.as_os_str(), errno))? {
        return Err(Failure::new(RUN_DENIED, format!("{name}: is a directory")));
    }
    Ok(opened.file)
}

/// What keeps an open script from being run.
fn trouble(name: &OsStr, errno: Errno) -> Failure {
    let text = format!("{}: {}", show::name(name), mayexec::message(errno));
    Failure::new(RUN_FAILED, text)
}

/// A descriptor of the script that the interpreter inherits.
fn inherited(script: &File, first: i32) -> Result<OwnedFd, Errno> {
    let script = rustix::io::fcntl_dupfd_cloexec(script, first)?;
    rustix::io::fcntl_setfd(&script, FdFlags::empty())?;
    Ok(script)
}

/// Whether this is a directory, which no policy is needed to refuse.
fn is_directory(file: &File) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Directory)
}
