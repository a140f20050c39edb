// SPDX-License-Identifier: GPL-2.0

//! Checks of this repository itself: no module of this crate imports, directly or through others, what
//! imports it; and what carries the tests stays small.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use regex::Regex;

use crate::proc;
use crate::report::Report;

/// The source files of this crate, by their paths below src, with their texts.
fn sources(root: &Path) -> Result<Vec<(String, String)>> {
    let src = root.join("lab/src");
    let mut find = Command::new("find");
    find.current_dir(&src)
        .args(["-name", "*.rs", "-printf", "%P\n"]);
    let read = |path: &str| Ok((path.to_owned(), fs::read_to_string(src.join(path))?));
    proc::capture(&mut find)?.lines().map(read).collect()
}

/// The path of the module in a file, and its code.
fn module((path, text): (String, String)) -> (String, String) {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    // Tests are allowed to reach across.
    let tests = Regex::new(r"#\[cfg\(test\)\]\n(?:pub\(crate\) )?mod tests").unwrap();
    let lines = tests.split(&text).next().unwrap().lines();
    let code = lines.filter(|line| !line.trim().starts_with("//"));
    (path.replace('/', "::"), Vec::from_iter(code).join("\n"))
}

/// The paths below `crate` that the code of `module` names, its own submodules included; groups in
/// braces are taken apart.
fn paths(module: &str, code: &str) -> Vec<String> {
    let path = Regex::new(r"\b(crate|super|self)::([\w:]*)(?:\{([^;]*)\};)?").unwrap();
    let own = if module == "main" { "" } else { module };
    let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = Vec::new();
    // Who declares a module imports it.
    for part in path.captures_iter(&code.replace("mod ", "self::")) {
        let start = match &part[1] {
            "crate" => "",
            "super" => parent,
            _ => own,
        };
        let names = part.get(3).map_or("", |names| names.as_str()).split(',');
        found.extend(names.map(|name| format!("{start}::{}{}", &part[2], name.trim())));
    }
    found
}

/// The imports among modules: who imports, and whom.
fn imports(modules: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (module, code) in modules {
        for path in paths(module, code) {
            // An item is in the module with the longest path that begins its own.
            let path = format!("{}::", path.trim_matches(':'));
            let holds = |other: &&String| path.starts_with(&format!("{other}::"));
            let of = modules.keys().filter(holds).max_by_key(|other| other.len());
            let of = of.filter(|of| *of != module);
            found.extend(of.map(|of| format!("{module} {of}")));
        }
    }
    found
}

/// Puts the modules in order; an error says which of them make a circle.
fn order(imports: &[String]) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), imports.join("\n"))?;
    proc::capture(Command::new("tsort").arg(file.path()))
}

/// Suites and verbs that grow with what is tested and packaged; the limit is for what carries them.
const GROWING: [&str; 6] = [
    "suites/consumers.rs",
    "suites/filesystems.rs",
    "proof/foreign.rs",
    "kernel_deb.rs",
    "projects.rs",
    "system",
];

/// Counts, and fails if a count is above its limit. What has grown once is not made small again by
/// itself: a limit is lowered when there is less, and raised by whoever can say why.
pub(crate) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let mut lab = sources(root)?;
    let imports = imports(&lab.iter().cloned().map(module).collect());
    let name = format!("no circle in {} imports of lab's modules", imports.len());
    let known = ["series git", "clean submit", "suites suites::host"].map(str::to_owned);
    let unread = known.into_iter().filter(|known| !imports.contains(known));
    let unread = unread.map(|import| format!("this import was not read: {import}"));
    report.outcome(&name, order(&imports).map(|_| unread.collect()));
    let members = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = members.split_once("members = [");
    let members = members.and_then(|(_, members)| members.split_once(']'));
    let crates = members.map_or(0, |(members, _)| members.matches('"').count() / 2);
    let readme = fs::read(root.join("README.md"))?.len();
    lab.retain(|(path, _)| !GROWING.iter().any(|name| path.starts_with(name)));
    let lines = lab.iter().map(|(_, text)| text.lines().count()).sum();
    for (what, count, most) in [
        ("lines of lab/src", lines, 9_200),
        ("crates", crates, 10),
        ("bytes of README.md", readme, 9216),
    ] {
        let wrong = (count == 0 || count > most).then(|| "see lab/src/imports.rs".to_owned());
        let name = format!("{count} {what}, at most {most}");
        report.check(&name, &Vec::from_iter(wrong), None);
    }
    Ok(())
}

#[test]
fn a_circle_through_a_third_module_is_found() {
    let modules = [
        ("a", "use crate::b::{self, X};\n"),
        ("b", "use crate::c::Y;\n"),
        ("b::d", "use super::e::Z;\nfn f() { crate::a::g() }\n"),
        ("b::e", ""),
        ("c", "use crate::b::d::{W,\n V};\n"),
        ("f", "mod g;\n"),
        ("f::g", "use super::Extent;\n"),
    ]
    .map(|(module, code)| (module.to_owned(), code.to_owned()));
    let error = order(&imports(&BTreeMap::from(modules))).unwrap_err();
    let error = error.to_string();
    let lines = error.lines();
    let said = lines.filter_map(|line| line.strip_prefix("  | tsort: "));
    let named = said.filter(|line| !line.ends_with(" a loop:"));
    assert_eq!(Vec::from_iter(named).join(" "), "a b c b::d f f::g");
}
