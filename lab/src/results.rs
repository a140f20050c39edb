// SPDX-License-Identifier: GPL-2.0

//! docs/results.md and the other pages with results: the verbs leave rows below build/results,
//! `make results` puts the rows into the pages. A page changes only when somebody asks for it.

use fs_err as fs;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::Result;
use regex::Regex;

use crate::ctx::{Ctx, DEFAULT_BASE, hash, write_whole};
use crate::proc;
use crate::ui::clock;

pub(crate) const PAGE: &str = "docs/results.md";

/// What that page says before its tables.
const HEAD: &str = "# Results\n\n\
    `make results` writes the tables of this page from what the verbs left below `build/results`. Each row says when it was made and \
    of which commit (`+`: with changes that no commit has).\n\
    [Breaks](../lab/breaks/README.md) and [what an open costs](bench/README.md) have pages of their own.\n\n\
    Machine that wrote this page last: \n";

/// What the demo printed last.
const SCENE: &str = "demo.txt";

/// A table of a page. Its rows begin with one of the names.
pub(crate) struct Table {
    pub(crate) page: &'static str,
    /// The verb that makes the rows, and the directory in which it leaves them.
    pub(crate) verb: &'static str,
    pub(crate) title: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) names: Vec<String>,
    /// The other cells of a row that nobody has made yet; without, it is left out.
    pub(crate) missing: Option<&'static str>,
}

pub(crate) struct Clock {
    started: Instant,
    cpu: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            cpu: cpu_time(),
        }
    }

    /// The time on the clock, and that of the CPUs.
    pub(crate) fn cells(&self) -> [String; 2] {
        [self.started.elapsed(), cpu_time() - self.cpu].map(clock)
    }
}

/// The CPU time of this process and of its children that have ended.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // utime, stime, cutime and cstime, in hundredths of a second on every Linux.
    let ticks = after_name.split_whitespace().skip(11).take(4);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// Leaves a row for the page.
pub(crate) fn record(ctx: &Ctx, verb: &str, name: &str, cells: &[String]) -> Result<()> {
    let day = proc::capture(Command::new("date").args(["-u", "+%F"]))?;
    // scripts/lab.sh has asked git before anything ran: by now, the checkout may be another.
    let commit = std::env::var("LAB_COMMIT").unwrap_or_default();
    let when = format!("{} {commit}", day.trim());
    let line = format!("| {name} | {} | {} |\n", cells.join(" | "), when.trim());
    record_rows(ctx, verb, &hash(name.as_bytes())[..12], &line)
}

/// Leaves rows for the page, in place of those that were left as `file`.
pub(crate) fn record_rows(ctx: &Ctx, verb: &str, file: &str, rows: &str) -> Result<()> {
    let path = ctx.build.join("results").join(verb).join(file);
    match are_kept(ctx) {
        true => write_whole(&path, rows.as_bytes()),
        false => Ok(()),
    }
}

/// Keeps what the demo printed, for the picture.
pub(crate) fn record_scene(ctx: &Ctx, output: &str) -> Result<()> {
    record_rows(ctx, "", SCENE, output)
}

/// Whether results are kept: the pages are about patches/ on the base that it is made for.
pub(crate) fn are_kept(ctx: &Ctx) -> bool {
    static SAID: Once = Once::new();
    let kept = ctx.slot == ctx.build && ctx.as_it_is.get().is_none();
    if !kept {
        SAID.call_once(|| println!("results are kept of patches/ on Debian's {DEFAULT_BASE} only"));
    }
    kept
}

/// Writes the rows that were left into their pages, and the picture of the demo.
pub(crate) fn publish(ctx: &Ctx, tables: &[Table]) -> Result<()> {
    let left = ctx.build.join("results");
    let (told, machine) = (Regex::new("(?m)^Machine that wrote .*$")?, machine()?);
    for table in tables {
        let mut rows = String::new();
        for entry in fs::read_dir(left.join(table.verb)).into_iter().flatten() {
            rows += &fs::read_to_string(entry?.path())?;
        }
        let path = ctx.root.join(table.page);
        let page = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
        let mut page = filled(&page, table, &rows);
        if table.page == PAGE {
            page = told.replace(&page, &machine).into_owned();
        }
        write_whole(&path, page.as_bytes())?;
        println!("{}: {}", table.page, table.title);
    }
    if let Ok(output) = fs::read_to_string(left.join(SCENE)) {
        let picture = ctx.root.join("docs/demo.svg");
        write_whole(&picture, terminal(&exploit(&output)).as_bytes())?;
        println!("{}", ctx.show(&picture));
    }
    Ok(())
}

/// What a picture shows of the demo: the exploit, and the end.
fn exploit(output: &str) -> Vec<&str> {
    let scene = output.lines().skip_while(|line| !line.contains("exploit"));
    ["$ make demo", "..."].into_iter().chain(scene).collect()
}

/// A terminal that shows these lines, as the text of an SVG file.
fn terminal(lines: &[&str]) -> String {
    let (mut columns, mut content) = (0, String::new());
    let drawn = lines.iter().enumerate();
    for (at, line) in drawn.filter(|(_, line)| !line.is_empty()) {
        let (length, y) = (line.chars().count(), 26 + 18 * at);
        columns = columns.max(length);
        // Each line says how long it is, so that any font keeps the columns.
        let place = format!("x=\"14\" y=\"{y}\" textLength=\"{}\"", 8 * length);
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        content += &format!("<text {place} xml:space=\"preserve\">{line}</text>\n");
    }
    let (width, height) = (8 * columns + 28, 18 * lines.len() + 24);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"monospace\" font-size=\"13\" fill=\"#d8d8d8\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#1d1f21\"/>\n{content}</svg>\n"
    )
}

/// A page in which a table has new rows beside those that it had.
fn filled(page: &str, table: &Table, rows: &str) -> String {
    let heading = format!("\n## {}\n", table.title);
    let (before, rest) = page.split_once(&heading).unwrap_or((page, ""));
    let (section, after) = rest.split_at(rest.find("\n## ").unwrap_or(rest.len()));
    let (old, prose): (Vec<&str>, Vec<&str>) =
        section.lines().partition(|line| line.starts_with('|'));
    let lines = old.into_iter().chain(rows.lines());
    let named = lines.filter_map(|line| {
        let (first, _) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some((first, line))
    });
    let known = BTreeMap::from_iter(named);
    let row = |name: &String| match known.get(name.as_str()) {
        Some(line) => Some((*line).to_owned()),
        None => Some(format!("| {name} | {} |", table.missing?)),
    };
    let lines = Vec::from_iter(table.names.iter().filter_map(row)).join("\n");
    if lines.is_empty() && section.is_empty() {
        return page.to_owned();
    }
    let rule = "|---".repeat(table.columns.split(" | ").count());
    let table = format!("| {} |\n{rule}|\n{lines}\n", table.columns);
    let (before, prose) = (before.trim_end(), prose.join("\n"));
    let parts = [&heading, prose.trim(), &table].map(str::trim);
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let parts = Vec::from_iter(parts).join("\n\n");
    format!("{before}\n\n{parts}\n{after}")
}

/// The processors, the system and the tools.
fn machine() -> Result<String> {
    let value = |file: &str, key: &str| -> Result<String> {
        let text = fs::read_to_string(file)?;
        let found = text.lines().find_map(|line| line.strip_prefix(key));
        let found = found.unwrap_or_default();
        Ok(found.trim_matches(['=', ':', ' ', '\t', '"']).to_owned())
    };
    let cpus = std::thread::available_parallelism()?;
    let model = value("/proc/cpuinfo", "model name")?;
    let system = value("/etc/os-release", "PRETTY_NAME")?;
    let mut words = vec![format!("{cpus} CPUs, {model}"), system];
    for tool in ["clang-19", "rustc", "qemu-system-x86_64"] {
        words.push(version(tool)?);
    }
    Ok("Machine that wrote this page last: ".to_owned() + &words.join("; "))
}

/// The first line of what a program says of its version.
pub(crate) fn version(program: &str) -> Result<String> {
    let said = proc::capture(Command::new(program).arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str], missing: Option<&'static str>) -> Table {
        Table {
            page: PAGE,
            verb: "test",
            title: "make test",
            columns: "suite | passed | when",
            names: names.iter().map(|&name| name.to_owned()).collect(),
            missing,
        }
    }

    #[test]
    fn a_section_is_replaced_and_not_the_page() {
        let empty = filled("# Results\n", &table(&["a", "b"], None), "");
        assert_eq!(empty, "# Results\n");
        let page = filled(&empty, &table(&["a", "b"], None), "| b | 1 | x |\n");
        let head = "# Results\n\n## make test\n\n| suite | passed | when |\n|---|---|---|\n";
        assert_eq!(page, format!("{head}| b | 1 | x |\n"));
        let page = format!("{}\nText.\n\n## other\n\n| c | d |\n", page.trim_end());
        let rows = "| a | 2 | y |\n| gone | 1 | x |\n";
        let page = filled(&page, &table(&["a", "b"], None), rows);
        assert!(page.contains("Text.\n\n| suite"), "{page}");
        let rest = "| a | 2 | y |\n| b | 1 | x |\n\n## other\n\n| c | d |\n";
        assert!(page.contains(rest), "{page}");
        assert!(!page.contains("gone"));
        let again = filled(&page, &table(&["a", "b"], None), "");
        assert_eq!(again, page);
        // A newer row takes the place of the one that is there, a name that is gone goes.
        let other = table(&["b", "c"], Some("not run yet | "));
        let page = filled(&page, &other, "| b | 3 | z |\n");
        let rows = "|---|---|---|\n| b | 3 | z |\n| c | not run yet |  |\n";
        assert!(page.contains(rows), "{page}");
    }

    #[test]
    fn results_of_another_base_change_no_page() {
        let dir = tempfile::tempdir().unwrap();
        let mut ctx = crate::ctx::tests::at(dir.path());
        let scene = ctx.build.join("results").join(SCENE);
        for (slot, kept) in [("base-7.2", false), ("", true)] {
            ctx.slot = ctx.build.join(slot);
            record_scene(&ctx, "").unwrap();
            assert_eq!(scene.exists(), kept);
        }
    }

    #[test]
    fn the_time_of_a_child_counts() {
        let clock = Clock::start();
        let script = "i=0; while [ $i -lt 90000 ]; do i=$((i + 1)); done";
        proc::capture(Command::new("sh").args(["-c", script])).unwrap();
        assert!(cpu_time() > clock.cpu);
    }

    #[test]
    fn the_picture_shows_the_exploit() {
        let output = "probe\n  ok\n\none exploit stopped\n  before\n\nverdict: 1\n";
        let shown = "$ make demo\n...\none exploit stopped\n  before\n\nverdict: 1";
        assert_eq!(exploit(output).join("\n"), shown);
    }

    #[test]
    fn a_terminal_shows_its_lines() {
        let svg = terminal(&["$ a <b>", "", "ok"]);
        assert!(svg.contains(">$ a &lt;b></text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2);
        assert!(svg.contains("y=\"62\" textLength=\"16\""), "{svg}");
    }
}
