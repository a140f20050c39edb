// SPDX-License-Identifier: GPL-2.0

//! A check of this crate itself: no module imports, directly or through others, what imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use regex::Regex;

use crate::proc;

/// Each module's path, `suites::host`, and the modules that it imports.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The source files, by their paths below src, with their texts.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut find = Command::new("find");
    find.current_dir(&src)
        .args(["-name", "*.rs", "-printf", "%P\n"]);
    let found = proc::capture(&mut find).unwrap();
    let read = |path: &str| (path.to_owned(), fs::read_to_string(src.join(path)).unwrap());
    found.lines().map(read).collect()
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

fn graph(modules: &BTreeMap<String, String>) -> Graph {
    let nearest = |path: String| {
        // An item is in the module with the longest path that begins its own.
        let mut prefix = path.trim_matches(':');
        while !modules.contains_key(prefix) {
            prefix = prefix.rsplit_once("::")?.0;
        }
        Some(prefix.to_owned())
    };
    let imports = |(module, code): (&String, &String)| {
        let imported = paths(module, code).into_iter().filter_map(nearest);
        let others = imported.filter(|path| path != module);
        (module.clone(), others.collect())
    };
    modules.iter().map(imports).collect()
}

/// The modules that are left when those that import nothing that is left are taken away.
fn circles(mut graph: Graph) -> Vec<String> {
    while let Some((done, _)) = graph.iter().find(|(_, imported)| imported.is_empty()) {
        let done = done.clone();
        graph.remove(&done);
        for imported in graph.values_mut() {
            imported.remove(&done);
        }
    }
    let show = |(module, imported)| format!("{module} -> {}", Vec::from_iter(imported).join(", "));
    graph.into_iter().map(show).collect()
}

#[test]
fn no_module_imports_what_imports_it() {
    let modules = sources().into_iter().map(module).collect();
    let graph = graph(&modules);
    assert!(graph.contains_key("suites::host"));
    assert!(graph["series"].contains("git"), "{:?}", graph["series"]);
    assert!(graph["clean"].contains("submit"), "{:?}", graph["clean"]);
    let circles = circles(graph);
    assert!(circles.is_empty(), "circles among:\n{}", circles.join("\n"));
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
    let shown = circles(graph(&BTreeMap::from(modules)));
    let expected = "a -> b, b -> c, b::d -> a, c -> b::d, f -> f::g, f::g -> f";
    assert_eq!(shown.join(", "), expected);
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

/// What has grown once is not made small again by itself: a limit is lowered when there is less, and
/// raised by whoever can say why.
#[test]
fn the_repository_stays_small() {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = lab.parent().unwrap();
    let members = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = members.split_once("members = [").unwrap().1;
    let crates = members.split_once(']').unwrap().0.matches('"').count() / 2;
    let readme = fs::read(root.join("README.md")).unwrap().len();
    let mut lab = sources();
    lab.retain(|(path, _)| !GROWING.iter().any(|name| path.starts_with(name)));
    let lines = lab.iter().map(|(_, text)| text.lines().count()).sum();
    for (what, count, most) in [
        ("lines of lab/src", lines, 9_542),
        ("crates", crates, 10),
        ("bytes of README.md", readme, 9216),
    ] {
        println!("{count} {what}, at most {most}");
        assert!(count > 0 && count <= most, "{count} {what}, at most {most}");
    }
}
