// SPDX-License-Identifier: GPL-2.0

//! Which of an interpreter's arguments is the script.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// An interpreter's way of reading its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// sh, dash, ash.
    Shell,
    /// bash.
    Bash,
    /// perl.
    Perl,
    /// python.
    Python,
    /// awk, gawk, mawk: the scripts follow -f.
    Awk,
    /// lua.
    Lua,
}

/// Where a script is in the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The argument's index.
    pub(crate) index: usize,
    /// How many of its bytes come before the script's name: `-fNAME`.
    pub(crate) offset: usize,
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These arguments are scripts.
    Scripts(Vec<Place>),
    /// None is.
    None(&'static str),
}

const INLINE: &str = "the program is on the command line, there is no script to open";
const MISSING: &str = "no script is named";
const STDIN: &str = "the script would be standard input; name a file, for example /dev/stdin";
const UNKNOWN: &str = "an option is not known, so the script cannot be told from it; use long forms \
                       or single letters";
const MODULE: &str = "the interpreter would look for the script itself";

impl Kind {
    /// The kind of a program, by its name without a version.
    pub(crate) fn of(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        Some(match name {
            "sh" | "dash" | "ash" => Self::Shell,
            "bash" | "rbash" => Self::Bash,
            "perl" => Self::Perl,
            "python" => Self::Python,
            "awk" | "gawk" | "mawk" | "nawk" => Self::Awk,
            "lua" => Self::Lua,
            _ => return None,
        })
    }

    /// What a script cannot use unless its interpreter opens it by its own name, and the
    /// project that has a patch for that.
    pub(crate) fn misled_by(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bash => &[("BASH_SOURCE", "bash")],
            Self::Perl => &[("FindBin", "perl")],
            // Its children start the script again, by its name.
            Self::Python => &[
                ("multiprocessing", "python"),
                ("ProcessPoolExecutor", "python"),
            ],
            Self::Shell | Self::Awk | Self::Lua => &[],
        }
    }

    fn is_shell(self) -> bool {
        matches!(self, Self::Shell | Self::Bash)
    }

    /// Whether `-c 'eval SCRIPT' NAME`, after these options, runs SCRIPT with $0 as NAME.
    pub(crate) fn sources(self, program: &OsStr, options: &[OsString]) -> bool {
        // A shell that only reads does not read SCRIPT then, a restricted one refuses to,
        // one that ends after one command has it as
        // that one, and one that shows what it reads would show that.
        let changes = |option: &OsString| match option.as_bytes() {
            b"--restricted" | b"--verbose" | b"noexec" | b"verbose" | b"onecmd"
            | b"restricted_shell" => true,
            [b'-', b'-', ..] => false,
            [b'-', letters @ ..] => letters.iter().any(|letter| b"Dnrtv".contains(letter)),
            _ => false,
        };
        self.is_shell() && !is_restricted(program) && !options.iter().any(changes)
    }

    /// Looks through the arguments after the program's name.
    pub(crate) fn find(self, args: &[OsString]) -> Found {
        if self == Self::Awk {
            return awk(args);
        }
        let mut index = 0;
        while let Some(arg) = args.get(index) {
            let arg = arg.as_bytes();
            match arg {
                b"--" => {
                    index += 1;
                    break;
                }
                b"-" if self.is_shell() => {
                    index += 1;
                    break;
                }
                b"-" => return Found::None(STDIN),
                [b'-', b'-', ..] => match self.long(arg) {
                    Ok(words) => index += words,
                    Err(why) => return Found::None(why),
                },
                [b'-', ..] => match self.short(&arg[1..]) {
                    Ok(words) => index += words,
                    Err(why) => return Found::None(why),
                },
                [b'+', rest @ ..] if self.is_shell() => match self.short(rest) {
                    Ok(words) => index += words,
                    Err(why) => return Found::None(why),
                },
                _ => break,
            }
        }
        match args.get(index).map(|arg| arg.as_bytes()) {
            None => Found::None(MISSING),
            Some(b"-") if !self.is_shell() => Found::None(STDIN),
            Some(_) => Found::Scripts(vec![Place { index, offset: 0 }]),
        }
    }

    /// How many words a long option takes.
    fn long(self, option: &[u8]) -> Result<usize, &'static str> {
        match (self, option) {
            (Self::Bash, b"--rcfile" | b"--init-file") => Ok(2),
            (Self::Python, b"--check-hash-based-pycs") => Ok(2),
            (
                Self::Bash,
                b"--login" | b"--noediting" | b"--noprofile" | b"--norc" | b"--posix"
                | b"--restricted" | b"--verbose" | b"--debugger",
            ) => Ok(1),
            _ => Err(UNKNOWN),
        }
    }

    /// How many words a cluster of short options takes.
    fn short(self, cluster: &[u8]) -> Result<usize, &'static str> {
        // A letter of `alone` takes the next word, or of `with` the rest of the cluster
        // if there is one; `rest` swallows the rest and never the next word. A letter that
        // is not known could do either: to guess would be to check the wrong file.
        let (alone, with, rest, flags): (&[u8], &[u8], &[u8], &[u8]) = match self {
            Self::Shell | Self::Bash => (b"oO", b"", b"", b"abefhiklmnprtuvxBCDEHIPTV"),
            Self::Perl => (b"", b"I", b"CDFMVdimx", b"0123456789acfghlnpstTuUvwWX"),
            Self::Python => (b"", b"WX", b"", b"BEIOPRSVbdhiqsuvx"),
            Self::Lua => (b"", b"l", b"", b"EWiv"),
            Self::Awk => (b"", b"", b"", b""),
        };
        let mut words = 1;
        for (at, letter) in cluster.iter().enumerate() {
            let last = at + 1 == cluster.len();
            match (self, letter) {
                (Self::Shell | Self::Bash | Self::Python, b'c') => return Err(INLINE),
                (Self::Perl, b'e' | b'E') | (Self::Lua, b'e') => return Err(INLINE),
                (Self::Shell | Self::Bash, b's') => return Err(STDIN),
                (Self::Python, b'm') | (Self::Perl, b'S') => return Err(MODULE),
                _ => {}
            }
            if alone.contains(letter) {
                words += 1;
            } else if with.contains(letter) {
                return Ok(words + usize::from(last));
            } else if rest.contains(letter) {
                return Ok(words);
            } else if !flags.contains(letter) {
                return Err(UNKNOWN);
            }
        }
        Ok(words)
    }
}

/// Whether this is bash by the name that restricts it.
fn is_restricted(program: &OsStr) -> bool {
    Path::new(program)
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"rbash"))
}

/// awk takes its scripts with -f, several if it is told so.
fn awk(args: &[OsString]) -> Found {
    let mut scripts = Vec::new();
    let mut index = 0;
    let mut script = |index: usize, offset: usize| -> Result<(), &'static str> {
        match args.get(index).map(|arg| &arg.as_bytes()[offset..]) {
            None | Some(b"") => Err(MISSING),
            Some(b"-") => Err(STDIN),
            Some(_) => {
                scripts.push(Place { index, offset });
                Ok(())
            }
        }
    };
    while let Some(arg) = args.get(index) {
        let arg = arg.as_bytes();
        let mut words = 1;
        let outcome = match arg {
            b"--" | b"-" => break,
            b"-f" | b"-E" | b"--file" | b"--exec" => {
                words = 2;
                script(index + 1, 0)
            }
            [b'-', b'f' | b'E', ..] => script(index, 2),
            _ if arg.starts_with(b"--file=") || arg.starts_with(b"--exec=") => script(index, 7),
            b"-e" | b"--source" => Err(INLINE),
            _ if arg.starts_with(b"--source=") => Err(INLINE),
            b"-i" | b"-l" | b"--include" | b"--load" => Err(MODULE),
            _ if arg.starts_with(b"--include=") || arg.starts_with(b"--load=") => Err(MODULE),
            [b'-', b'i' | b'l', ..] => Err(MODULE),
            b"-v" | b"-F" | b"--assign" | b"--field-separator" => {
                words = 2;
                Ok(())
            }
            [b'-', b'v' | b'F', ..] => Ok(()),
            _ if arg.starts_with(b"--assign=") || arg.starts_with(b"--field-separator=") => Ok(()),
            b"--posix" | b"--traditional" | b"--sandbox" | b"--bignum" | b"--re-interval" => Ok(()),
            // -W stands for long options, clusters could hold an f.
            [b'-', letter] if b"bcnrMNOPsSt".contains(letter) => Ok(()),
            [b'-', ..] => Err(UNKNOWN),
            _ => break,
        };
        if let Err(why) = outcome {
            return Found::None(why);
        }
        // Nothing after the script is an option for -E.
        if arg.starts_with(b"-E") || arg.starts_with(b"--exec") {
            break;
        }
        index += words;
    }
    if scripts.is_empty() {
        Found::None(INLINE)
    } else {
        Found::Scripts(scripts)
    }
}

/// The script after `--`, for an interpreter that is not known; the `--` is dropped.
pub(crate) fn after_dashes(args: &[OsString]) -> Option<(Vec<OsString>, Place)> {
    let index = args.iter().position(|arg| arg == "--")?;
    args.get(index + 1)?;
    let mut args = args.to_vec();
    args.remove(index);
    Some((args, Place { index, offset: 0 }))
}

/// The script's name in an argument.
pub(crate) fn name(arg: &OsStr, place: &Place) -> OsString {
    OsString::from_vec(arg.as_bytes()[place.offset..].to_vec())
}

/// The argument with the script's name replaced.
pub(crate) fn replaced(arg: &OsStr, place: &Place, path: &str) -> OsString {
    let mut bytes = arg.as_bytes()[..place.offset].to_vec();
    bytes.extend(path.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str) -> Result<Vec<String>, &'static str> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let kind = Kind::of(&words[0]).unwrap();
        match kind.find(&words[1..]) {
            Found::None(why) => Err(why),
            Found::Scripts(places) => Ok(places
                .iter()
                .map(|place| name(&words[1 + place.index], place).into_string().unwrap())
                .collect()),
        }
    }

    #[test]
    fn the_script_is_found_behind_the_options() {
        for line in [
            "sh SCRIPT -c",
            "sh -e SCRIPT x",
            "sh -eux -o noglob SCRIPT",
            "sh -euo noglob SCRIPT",
            "sh +x -- SCRIPT",
            "/bin/dash - SCRIPT",
            "bash --posix -O extglob SCRIPT",
            "bash +O extglob --rcfile x SCRIPT",
            "bash -eo pipefail SCRIPT",
            "perl SCRIPT",
            "perl -w -I lib -Ilib -MPOSIX=e -l0 -i.bak SCRIPT -e",
            "python3 SCRIPT -c x",
            "python3.11 -Bs -W error -Wignore -X dev SCRIPT",
            "python3 -BW error SCRIPT",
            "python3 --check-hash-based-pycs never SCRIPT",
            "awk -f SCRIPT data",
            "gawk -v a=b -F : -fSCRIPT",
            "mawk --file=SCRIPT",
            "gawk --exec SCRIPT -f x",
            "lua SCRIPT",
            "lua5.4 -i -l mod -lmod -W SCRIPT -e",
        ] {
            assert_eq!(find(line), Ok(vec!["SCRIPT".to_owned()]), "{line}");
        }
        assert_eq!(
            find("awk -f a -f b c"),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn shells_that_would_not_source_are_known() {
        let sources = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Kind::of(&words[0]).unwrap().sources(&words[0], &words[1..])
        };
        for line in [
            "sh -e",
            "bash -eux -o noglob --posix",
            "bash --norc --",
            "dash +x -",
        ] {
            assert!(sources(line), "{line}");
        }
        for line in [
            "sh -n",
            "dash -xn",
            "sh -eo noexec",
            "bash -no noglob --",
            "bash -r",
            "bash -rn",
            "bash --restricted",
            "bash -O restricted_shell",
            "bash -t",
            "bash -eo onecmd",
            "bash -D",
            "/bin/rbash -e",
            "perl -w",
        ] {
            assert!(!sources(line), "{line}");
        }
    }

    #[test]
    fn what_is_no_script_is_said() {
        for (line, why) in [
            ("sh -c x", INLINE),
            ("sh -ec x", INLINE),
            ("bash -s x", STDIN),
            ("sh -e", MISSING),
            ("sh -o", MISSING),
            ("perl -e 1", INLINE),
            ("perl -ne 1", INLINE),
            ("perl -nle2 -- x", INLINE),
            ("mawk --file=x -f", MISSING),
            ("perl -", STDIN),
            ("perl -S x", MODULE),
            ("python3 -c x", INLINE),
            ("python3 -m x", MODULE),
            ("python3 -Bm x", MODULE),
            ("python3 --", MISSING),
            ("python3 -- -", STDIN),
            ("awk {print} x", INLINE),
            ("awk -f", MISSING),
            ("awk -f -", STDIN),
            ("gawk -i inplace -f x", MODULE),
            ("lua -e x", INLINE),
            ("lua -", STDIN),
            ("gawk -Sf x", UNKNOWN),
            ("mawk -W exec x", UNKNOWN),
            ("gawk --fil=x", UNKNOWN),
            ("bash --unknown x", UNKNOWN),
            ("python3 -Z x y", UNKNOWN),
            ("perl -Z x y", UNKNOWN),
        ] {
            assert_eq!(find(line), Err(why), "{line}");
        }
    }

    #[test]
    fn names_have_versions_and_directories() {
        for (name, kind) in [
            ("/usr/bin/python3.11", Some(Kind::Python)),
            ("lua5.4", Some(Kind::Lua)),
            ("lua-5.4", Some(Kind::Lua)),
            ("perl5.36.0", Some(Kind::Perl)),
            ("ruby", None),
            ("luac", None),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(Kind::of(OsStr::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn two_dashes_name_the_script_of_an_unknown_interpreter() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        let (args, place) = after_dashes(&words("-x -- s -- y")).unwrap();
        assert_eq!(args, words("-x s -- y"));
        assert_eq!(place.index, 1);
        assert_eq!(after_dashes(&words("-x --")), None);
        assert_eq!(after_dashes(&words("-x s")), None);
    }
}
