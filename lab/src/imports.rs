// SPDX-License-Identifier: GPL-2.0

//! A check of this crate itself: no module imports, directly or through others, what imports it.

use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::ctx::with_extension;

/// Each module's path, `suites::host`, and the modules that it imports.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Reads the modules of the files below `dir`; `prefix` is what their paths begin with.
fn read(dir: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
    for file in with_extension(dir, "rs").unwrap() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let path = match name.as_str() {
            "mod" => prefix.trim_end_matches("::").to_owned(),
            _ => format!("{prefix}{name}"),
        };
        let text = fs::read_to_string(&file).unwrap();
        // Tests are allowed to reach across.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code = code.split("#[cfg(test)]\npub(crate) mod tests").next();
        let lines = code.unwrap().lines();
        let code: Vec<&str> = lines
            .filter(|line| !line.trim().starts_with("//"))
            .collect();
        into.insert(path, code.join("\n"));
    }
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            read(&entry.path(), &format!("{prefix}{name}::"), into);
        }
    }
}

/// A path, and the line that makes a submodule.
static PATTERNS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        r"\b(crate|super|self)::((?:\w+::)*)(?:(\w+)|\{([^;]*?)\};)",
        r"(?m)^(?:pub(?:\(\w+\))? )?mod (\w+);",
    ]
    .map(|pattern| Regex::new(pattern).unwrap())
});

/// The paths below `crate` that the code of `module` names, its own submodules included; groups in
/// braces are taken apart.
fn paths(module: &str, code: &str) -> Vec<String> {
    let parent = match module.rsplit_once("::") {
        Some((parent, _)) => format!("{parent}::"),
        None => String::new(),
    };
    let [path, submodule] = &*PATTERNS;
    let below = match module {
        "main" => String::new(),
        _ => format!("{module}::"),
    };
    let mut found: Vec<String> = submodule
        .captures_iter(code)
        .map(|part| format!("{below}{}", &part[1]))
        .collect();
    for part in path.captures_iter(code) {
        let start = match &part[1] {
            "crate" => String::new(),
            "super" => parent.clone(),
            _ => below.clone(),
        };
        let names = part.get(3).or(part.get(4)).unwrap().as_str();
        for name in names.split(',') {
            found.push(format!("{start}{}{}", &part[2], name.trim()));
        }
    }
    found
}

fn graph(modules: &BTreeMap<String, String>) -> Graph {
    let nearest = |path: &str| {
        // An item is in the module with the longest path that begins its own.
        let mut prefix = path;
        while !modules.contains_key(prefix) {
            prefix = prefix.rsplit_once("::")?.0;
        }
        Some(prefix.to_owned())
    };
    let imports = |(module, code): (&String, &String)| {
        let paths = paths(module, code);
        let mut imported: BTreeSet<String> = paths.iter().filter_map(|p| nearest(p)).collect();
        imported.remove(module);
        (module.clone(), imported)
    };
    modules.iter().map(imports).collect()
}

/// The modules that are left when those that import nothing that is left are taken away.
fn circles(mut graph: Graph) -> Vec<String> {
    loop {
        let before = graph.len();
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        graph.retain(|_, imported| imported.iter().any(|module| left.contains(module)));
        if graph.len() == before {
            let shown = graph.iter().map(|(module, imported)| {
                let inside: Vec<&str> = imported
                    .iter()
                    .filter(|module| graph.contains_key(*module))
                    .map(String::as_str)
                    .collect();
                format!("{module} -> {}", inside.join(", "))
            });
            return shown.collect();
        }
    }
}

#[test]
fn no_module_imports_what_imports_it() {
    let mut modules = BTreeMap::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&source, "", &mut modules);
    assert!(modules.contains_key("suites::host"));
    let graph = graph(&modules);
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
    let expected = [
        "a -> b",
        "b -> c",
        "b::d -> a",
        "c -> b::d",
        "f -> f::g",
        "f::g -> f",
    ];
    assert_eq!(shown, expected);
}

/// Suites and verbs that grow with what is tested and packaged; the limit is for what carries them.
const GROWING: [&str; 6] = [
    "consumers.rs",
    "filesystems.rs",
    "kernel_deb.rs",
    "projects.rs",
    "system",
    "system.rs",
];

/// The lines of Rust below `dir`, less those of [`GROWING`].
fn lines(dir: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let grows = GROWING.iter().any(|name| path.ends_with(name));
        if grows {
            continue;
        }
        if path.is_dir() {
            count += lines(&path);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            count += fs::read_to_string(&path).unwrap().lines().count();
        }
    }
    count
}

/// What has grown once is not made small again by itself: a limit is lowered when there is less, and
/// raised by whoever can say why.
#[test]
fn the_repository_stays_small() {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = lab.parent().unwrap();
    let members = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = members.split_once("members = [").unwrap().1;
    let crates = members.split_once(']').unwrap().0.matches('"').count() / 2;
    let readme = fs::metadata(root.join("README.md")).unwrap().len();
    let counts = [
        ("lines of lab/src", lines(&lab.join("src")), 13_250),
        ("crates", crates, 10),
        ("bytes of README.md", usize::try_from(readme).unwrap(), 9216),
    ];
    for (what, count, most) in counts {
        println!("{count} {what}, at most {most}");
        assert!(count > 0 && count <= most, "{count} {what}, at most {most}");
    }
}
