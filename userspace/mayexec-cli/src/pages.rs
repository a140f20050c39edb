// SPDX-License-Identifier: GPL-2.0

//! The manual pages, and the completions of shells.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What a page says beside the command line.
struct Page {
    name: &'static str,
    codes: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    examples: &'static [(&'static str, &'static str)],
}

const SYSCTL: (&str, &str) = (
    crate::kernel::SYSCTL,
    "The system's policy: 1 for MOUNT, 2 for FILE, 3 for both; 4 more to log instead of refuse.",
);
const WRONG: (&str, &str) = ("2", "The command line is wrong.");
const TROUBLE: (&str, &str) = ("3", "Something could not be examined or done.");

const PAGES: [Page; 6] = [
    Page {
        name: "mayexec",
        codes: &[
            (
                "0",
                "Everything was done, and nothing is or would be denied.",
            ),
            (
                "1",
                "Something is or would be denied, or is not as status --require demands.",
            ),
            WRONG,
            TROUBLE,
            (
                "125, 126, 127",
                "See mayexec-run(1), which otherwise ends as the interpreter does.",
            ),
        ],
        files: &[SYSCTL],
        examples: &[
            ("What does this kernel check?", "mayexec status"),
            (
                "Which code below /usr would be denied?",
                "mayexec scan -x /usr",
            ),
        ],
    },
    Page {
        name: "mayexec-status",
        codes: &[
            ("0", "Done, and what --require demands is there."),
            ("1", "What --require demands is not there."),
            WRONG,
            TROUBLE,
        ],
        files: &[SYSCTL],
        examples: &[(
            "A unit of systemd that does not start unless the kernel enforces MOUNT for it:",
            "ExecStartPre=mayexec status --require kernel:1",
        )],
    },
    Page {
        name: "mayexec-check",
        codes: &[
            ("0", "The policy in force denies none of the files."),
            ("1", "The policy in force denies a file."),
            WRONG,
            ("3", "A file could not be opened or examined."),
        ],
        files: &[SYSCTL],
        examples: &[(
            "What would each policy say of a script?",
            "mayexec check /usr/local/bin/report.py",
        )],
    },
    Page {
        name: "mayexec-run",
        codes: &[
            WRONG,
            (
                "125",
                "There is no telling what the script is, the interpreter cannot run it right, \
                 or --strict asks for the impossible.",
            ),
            (
                "126",
                "The script is denied, or the interpreter cannot be executed.",
            ),
            ("127", "The script or the interpreter does not exist."),
            (
                "otherwise",
                "The interpreter's own; but bash ends with 127, and not with 1, where an \
                 expansion fails, as under set -u.",
            ),
        ],
        files: &[SYSCTL],
        examples: &[
            ("A script by its #! line:", "mayexec run ./report"),
            (
                "A script for an interpreter of one's choice:",
                "mayexec run perl -w report.pl July",
            ),
            (
                "An interpreter that is not known:",
                "mayexec run tclsh -- report.tcl",
            ),
        ],
    },
    Page {
        name: "mayexec-scan",
        codes: &[
            (
                "0",
                "Nothing would be denied; with --apply, nothing would be any longer.",
            ),
            (
                "1",
                "Something would be denied; with --apply, it still would be.",
            ),
            WRONG,
            ("3", "Something could not be examined or changed."),
        ],
        files: &[(
            "/etc/mayexec/scan.d/*.conf",
            "Rules of the administrator for code that neither #! nor the end of its name tells, \
             and for what is no code. A line is a pattern and a word. The pattern is a path from \
             / or from a scanned directory, in which * stands for anything within a name and ** \
             for any number of directories. The word is the interpreter that reads the file, or \
             not:REASON to count the file apart. Empty lines and those that begin with # say \
             nothing. The files are read in the order of their names, after the rules that the \
             command brings; the last rule that matches decides. For example: /opt/*/env sh",
        )],
        examples: &[
            (
                "What would be denied, package by package?",
                "mayexec scan -x --by-package /usr",
            ),
            (
                "What would be changed, and what is left?",
                "mayexec scan --fix /srv",
            ),
            ("Change it:", "mayexec scan --fix --apply /srv"),
            (
                "Modes that dpkg keeps when it installs the next version:",
                "mayexec scan --fix=statoverride /usr/share/report | sh",
            ),
            (
                "Lines for the %files of rpm's specs, after which rpm -V and rpm --setperms agree:",
                "mayexec scan --fix=rpm /usr/share/report",
            ),
        ],
    },
    Page {
        name: "mayexec-watch",
        codes: &[
            ("0", "Interrupted, or --count is reached."),
            WRONG,
            (
                "3",
                "The kernel cannot be watched, or opens are missing from what was shown.",
            ),
        ],
        files: &[
            SYSCTL,
            (
                "/sys/kernel/tracing/instances/mayexec-watch-PID",
                "The tracing instance, which is removed at the end.",
            ),
        ],
        examples: &[(
            "What would MOUNT and FILE deny?",
            "sysctl fs.open_mayexec_enforce=7 && mayexec watch",
        )],
    },
];

/// Writes all of them to a directory.
pub(crate) fn generate(command: &Command, dir: &Path) -> Result<()> {
    // What is hidden is for whoever packages the command.
    let mut shown = Command::new("mayexec")
        .subcommand_value_name("command")
        .disable_help_subcommand(true)
        .version(env!("CARGO_PKG_VERSION"));
    if let (Some(about), Some(more)) = (command.get_about(), command.get_long_about()) {
        shown = shown.about(about.clone()).long_about(more.clone());
    }
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown = shown.subcommands(verbs.cloned());
    let cannot = || format!("cannot write to {}", dir.display());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = clap_complete::generate_to(shell, &mut shown.clone(), "mayexec", dir)
            .with_context(cannot)?;
        if shell == Shell::Bash {
            let mut file = File::options()
                .append(true)
                .open(file)
                .with_context(cannot)?;
            file.write_all(BASH.as_bytes()).with_context(cannot)?;
        }
    }
    shown.build();
    let version = format!("mayexec {}", shown.get_version().unwrap_or_default());
    for page in &PAGES {
        let mut command = match page.name.strip_prefix("mayexec-") {
            Some(verb) => shown.find_subcommand(verb).context(page.name)?.clone(),
            None => shown.clone(),
        };
        let usage = command.render_usage().to_string();
        let man = Man::new(command)
            .title(page.name.to_uppercase())
            .section("1")
            .date(date()?)
            .source(&version)
            .manual("User Commands");
        fs::write(
            dir.join(format!("{}.1", page.name)),
            page.text(&man, &usage)?,
        )
        .with_context(cannot)?;
    }
    Ok(())
}

impl Page {
    fn text(&self, man: &Man, usage: &str) -> Result<String> {
        let mut text = Vec::new();
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        // The one of clap leaves out what options take.
        let mut synopsis = Roff::new();
        synopsis.control("SH", ["SYNOPSIS"]);
        for (at, line) in usage.trim_start_matches("Usage: ").lines().enumerate() {
            if at > 0 {
                synopsis.control("br", []);
            }
            synopsis.text([roman(line.trim())]);
        }
        text.extend_from_slice(synopsis.to_roff().as_bytes());
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if self.name == "mayexec" {
            man.render_subcommands_section(&mut text)?;
        }
        let mut roff = Roff::new();
        let list = |roff: &mut Roff, title, entries: &[(&str, &str)]| {
            roff.control("SH", [title]);
            for (term, meaning) in entries {
                roff.control("TP", [])
                    .text([bold(*term)])
                    .text([roman(*meaning)]);
            }
        };
        list(&mut roff, "EXIT STATUS", self.codes);
        list(&mut roff, "FILES", self.files);
        roff.control("SH", ["EXAMPLES"]);
        for (at, (what, line)) in self.examples.iter().enumerate() {
            // The first one follows a heading.
            if at > 0 {
                roff.control("PP", []);
            }
            roff.text([roman(*what)]);
            roff.control("PP", []).control("RS", ["4"]);
            roff.text([roman(*line)]).control("RE", []);
        }
        roff.control("SH", ["SEE ALSO"]);
        let pages = PAGES.iter().filter(|page| page.name != self.name);
        let mut others: Vec<String> = pages.map(|page| format!("{}(1)", page.name)).collect();
        let more = ["execveat(2)", "openat2(2)", "capabilities(7)"];
        others.extend(more.map(str::to_owned));
        roff.text([roman(others.join(", "))]);
        let mut page = String::from_utf8(text)?;
        page.push_str(&roff.to_roff());
        // Each section that clap renders defines the apostrophe; to define it once is enough.
        let (defined, rest) = page.split_at(page.find(".TH").context("there is no title")?);
        let mut lines = vec![defined.trim_end().to_owned()];
        for line in rest.lines().filter(|line| !defined.contains(line)) {
            match lines.last_mut() {
                Some(last) if line == ".br" && last == ".br" => {}
                _ if line.starts_with('.') => lines.push(line.to_owned()),
                _ => wrap(line, &mut lines),
            }
        }
        lines.push(String::new());
        Ok(lines.join("\n"))
    }
}

/// Breaks a line of text where it is longer than mandoc likes.
fn wrap(line: &str, lines: &mut Vec<String>) {
    let mut last = String::new();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        // A dot or an apostrophe at the beginning of a line would be a command.
        let bound = word.starts_with(['.', '\'']) || last.is_empty();
        if !bound && last.len() + word.len() >= 80 {
            lines.push(std::mem::take(&mut last));
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines.push(last);
}

/// The day that the pages carry: of SOURCE_DATE_EPOCH, so that a package can be built again.
fn date() -> Result<String> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().context("SOURCE_DATE_EPOCH is no number")?,
        Err(_) => std::time::UNIX_EPOCH.elapsed()?.as_secs(),
    };
    Ok(day(seconds))
}

/// A day of the calendar, by the seconds from 1970 on.
fn day(seconds: u64) -> String {
    // Days from 1 March of the year 0 on, so that a leap day ends a year; 400 years repeat.
    let days = seconds / 86400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + later)
}

/// clap's completion for bash does not know that `run` takes a command.
const BASH: &str = r#"
_mayexec_or_command() {
    local first=2
    if [[ ${COMP_WORDS[1]} == run ]]; then
        [[ ${COMP_WORDS[2]} == --strict ]] && first=3
        if ((COMP_CWORD == first)) && [[ $2 != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$2")
            return
        elif ((COMP_CWORD > first)); then
            mapfile -t COMPREPLY < <(compgen -f -- "$2")
            return
        fi
    fi
    _mayexec "$@"
}
complete -F _mayexec_or_command -o nosort -o bashdefault -o default mayexec
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_name() {
        for (seconds, name) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_675_200, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds), name);
        }
    }
}
