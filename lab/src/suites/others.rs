// SPDX-License-Identifier: GPL-2.0

//! The patches for projects that know the flag's name and run nothing: scripts/projects.sh tests them.

use std::process::Command;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::report::Report;
use crate::ui;

/// The folders below patches/projects; interpreters, which take longer, are `make projects`.
const NAMES: [&str; 4] = ["man-pages", "strace", "libc", "linux-raw-sys"];

/// Applies each project's patches to its release and makes the checks of its file.
pub(crate) fn run(ctx: &Ctx, report: &mut Report) -> Result<()> {
    for name in NAMES {
        let log = ctx.fresh_log(&format!("others-{name}"))?;
        let mut cmd = Command::new("scripts/projects.sh");
        cmd.arg(name).current_dir(&ctx.root);
        let outcome = ui::step(&format!("the patches for {name}"), &log, 1800, &mut cmd);
        let claim = format!("the patches for {name} apply, and do there what they say");
        report.step(&claim, outcome, &log);
    }
    report.skip(
        "syzkaller compiles the description",
        "no registry has its source; what was tested is in patches/README.md",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use syzlang_parser::parser::{Consts, Statement, Value};

    /// What a patch leaves of a file, as far as the patch shows it.
    fn patched(patch: &str, file: &str) -> String {
        let header = format!("+++ b/{file}");
        patch
            .lines()
            .skip_while(|line| *line != header)
            .skip(2)
            .take_while(|line| !line.starts_with("diff "))
            .filter_map(|line| line.strip_prefix([' ', '+']))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// All that can be said about it without syzkaller's source.
    #[test]
    fn the_description_for_syzkaller_parses() {
        let patch = include_str!(
            "../../../patches/projects/syzkaller/0001-sys-linux-add-O_MAYEXEC-to-openat2.patch"
        );
        let text = patched(patch, "sys/linux/sys.txt");
        // The patch shows the end of another struct first.
        let start = text.find("open_how {").unwrap();
        let statements = Statement::parse_from_str(&text[start..]).unwrap();
        let list = |name: &str| -> Vec<Value> {
            let mut lists = statements.iter().filter_map(|statement| match statement {
                Statement::Flag(flag) if flag.ident_matches(name) => Some(flag.args.clone()),
                _ => None,
            });
            lists.next_back().unwrap()
        };
        let mut flags = list("openat2_flags");
        let Some(Value::Ident(new)) = flags.pop() else {
            panic!("the last flag is no name");
        };
        assert_eq!(new.name, "OPENAT2_MAYEXEC");
        assert_eq!(flags, list("open_flags"));
        let uses = |statement: &Statement| match statement {
            Statement::Struct(how) => {
                format!("{:?}", how.args().next().unwrap().opts).contains("openat2_flags")
            }
            _ => false,
        };
        assert!(statements.iter().any(uses));

        let text = patched(patch, "sys/linux/sys.txt.const");
        let consts = Consts::create_from_str(&format!("arches = amd64\n{text}"), None).unwrap();
        let value = consts.iter().find(|entry| entry.name() == new.name);
        assert_eq!(value.unwrap().as_uint().unwrap(), uapi::O_MAYEXEC);
    }

    #[test]
    fn the_projects_are_asked_for_the_value() {
        for file in [
            include_str!("../../../patches/projects/libc/project"),
            include_str!("../../../patches/projects/linux-raw-sys/project"),
        ] {
            assert!(file.contains(&format!("[{0}, {0}]", uapi::O_MAYEXEC)));
        }
    }
}
