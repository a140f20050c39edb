// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mayexec-lua SCRIPT [ARGUMENT]...`: Lua that opens scripts and modules with the library.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use mlua::{Error, Function, Lua, Result, Variadic};

/// What a file holds, or why it was not opened; standard input without a name.
fn read(name: Option<&[u8]>) -> std::result::Result<Vec<u8>, String> {
    let opened = match name {
        Some(name) => mayexec::open(std::ffi::OsStr::from_bytes(name)),
        None => mayexec::Open::new().stdin(),
    };
    let name = String::from_utf8_lossy(name.unwrap_or(b"stdin"));
    let mut opened = opened.map_err(|error| format!("{name}: {error}"))?;
    let mut text = Vec::new();
    let read = opened.file.read_to_end(&mut text);
    read.map_err(|error| format!("{name}: {error}"))?;
    Ok(text)
}

/// Lua without C modules, which no library of ours would open.
fn interpreter() -> Result<Lua> {
    let lua = Lua::new();
    let read = lua.create_function(|lua, name: Option<mlua::String>| {
        match read(name.as_ref().map(mlua::String::as_bytes).as_deref()) {
            Ok(text) => Ok((Some(lua.create_string(text)?), None)),
            Err(message) => Ok((None, Some(message))),
        }
    })?;
    lua.load(include_str!("prelude.lua"))
        .set_name("=prelude")
        .call::<()>(read)?;
    Ok(lua)
}

fn run() -> Result<()> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let script = words
        .first()
        .ok_or_else(|| Error::runtime("usage: mayexec-lua SCRIPT [ARGUMENT]..."))?;
    let words = words.iter().map(|word| word.as_bytes());
    let lua = interpreter()?;
    let arg = lua.create_table()?;
    let mut rest = Variadic::new();
    for (index, word) in words.enumerate() {
        let word = lua.create_string(word)?;
        arg.set(index, &word)?;
        if index > 0 {
            rest.push(word);
        }
    }
    lua.globals().set("arg", arg)?;
    let loadfile: Function = lua.globals().get("loadfile")?;
    let (main, message) = loadfile
        .call::<(Option<Function>, Option<String>)>(lua.create_string(script.as_bytes())?)?;
    let main = main.ok_or_else(|| Error::runtime(message.unwrap_or_default()))?;
    main.call(rest)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = match error {
                Error::RuntimeError(text) => text,
                error => error.to_string(),
            };
            let _ = writeln!(std::io::stderr(), "mayexec-lua: {text}");
            ExitCode::FAILURE
        }
    }
}
