// SPDX-License-Identifier: GPL-2.0

//! The page of results, in Markdown.

use std::fmt::Write as _;

use super::figures::{CONFIGS, Results, median, spread};
use super::targets::Target;

/// How many functions are named that have grown.
const GROWN: usize = 20;

/// The page, with the names of its tables and figures in braces.
const TEMPLATE: &str = include_str!("page.md");

/// A table of the figures of both configurations.
struct Table<'a> {
    results: &'a Results,
    text: String,
}

impl<'a> Table<'a> {
    fn new(results: &'a Results, columns: &[&str]) -> Self {
        let mut text = format!("| | {} |\n|---|", columns.join(" | "));
        text.push_str(&"---:|".repeat(columns.len()));
        text.push('\n');
        Self { results, text }
    }

    fn row(&mut self, what: &str, cells: &[String]) {
        let _ = writeln!(self.text, "| {what} | {} |", cells.join(" | "));
    }

    /// A figure with its spread, if it has one.
    fn figure(&self, name: &str) -> String {
        let Some(runs) = self.results.figures.get(name) else {
            return "-".to_owned();
        };
        let (value, spread) = (median(runs).unwrap_or_default(), spread(runs));
        if spread == 0 {
            grouped(value)
        } else {
            format!("{} (spread {})", grouped(value), grouped(spread))
        }
    }

    fn difference(&self, name: &str) -> String {
        self.results
            .differences
            .get(name)
            .map_or("-".to_owned(), |value| format!("{value:+}"))
    }
}

/// A number with its thousands apart.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The whole page: the template with the tables in their places.
pub(crate) fn page(results: &Results, targets: &[Target], grown: &[(String, i64)]) -> String {
    let lines = |lines: &mut dyn Iterator<Item = String>| {
        lines.fold(String::new(), |text, line| text + &line + "\n")
    };
    let targets = targets.iter().map(|target| {
        let met = if target.met { "met" } else { "missed" };
        format!(
            "| {} | {} | {} | {met} |",
            target.what, target.aim, target.found
        )
    });
    let threads = results.threads.iter().map(|(threads, runs)| {
        let [low, high] = [runs.iter().min(), runs.iter().max()].map(|run| *run.unwrap_or(&0));
        format!(
            "| {threads} | {} | {low} | {high} |",
            median(runs).unwrap_or_default()
        )
    });
    let functions = results.functions.iter();
    let functions: Vec<String> = functions
        .map(|name| format!("`{:#}`", rustc_demangle::demangle(name)))
        .collect();
    let versions = results.versions.iter();
    let grown = grown.iter().take(GROWN);
    let mut parts = vec![
        (
            "versions",
            lines(&mut versions.map(|(name, version)| format!("- {name}: {version}"))),
        ),
        ("targets", lines(&mut targets.into_iter())),
        ("unflagged", unflagged(results)),
        ("flagged", flagged(results)),
        ("places", pairs(results, &PLACES)),
        ("growth", growth(results)),
        ("threads", lines(&mut threads.into_iter())),
        ("start", start(results)),
        ("whole", whole(results)),
        (
            "grown",
            lines(&mut grown.map(|(name, bytes)| format!("| `{name}` | {bytes:+} |"))),
        ),
        ("functions", functions.join(", ")),
    ];
    for (figures, names) in FIGURES {
        let get = |name: &str| results.get(&format!("{figures}/{name}"));
        parts.extend(
            names
                .iter()
                .map(|name| (*name, get(name).map_or("-".to_owned(), grouped))),
        );
    }
    parts
        .into_iter()
        .fold(TEMPLATE.to_owned(), |page, (name, part)| {
            page.replace(&format!("{{{name}}}"), &part)
        })
}

/// Figures that the template has by their own names.
const FIGURES: [(&str, &[&str]); 2] = [
    (
        "code",
        &["text-enabled", "text-first", "text-off", "stack", "locked"],
    ),
    (
        "tracing",
        &[
            "plain/allocations",
            "flagged/allocations",
            "plain/locks",
            "flagged/locks",
        ],
    ),
];

/// Where files are opened, and the figure's name.
const PLACES: [(&str, &str); 6] = [
    ("tmpfs", "place/tmpfs"),
    ("ext4", "place/ext4"),
    ("overlayfs", "place/overlay"),
    ("idmapped mount of tmpfs", "place/idmapped"),
    ("tmpfs, POSIX ACL", "place/acl"),
    ("io_uring, 32 in a call", "ring"),
];

fn whole(results: &Results) -> String {
    let mut table = Table::new(results, &["base", "series"]);
    for config in CONFIGS {
        let cells = ["base", "series"]
            .map(|side| table.figure(&format!("{config}/{side}/whole/git-status")));
        table.row(config, &cells);
    }
    table.text
}

fn unflagged(results: &Results) -> String {
    let mut table = Table::new(
        results,
        &[
            "minimal base",
            "series",
            "added",
            "realistic base",
            "series",
            "added",
        ],
    );
    for (what, name) in [
        ("getppid (no open)", "getppid"),
        ("open", "open"),
        ("openat, relative", "openat"),
        ("openat2", "openat2"),
        ("open with O_CREAT, the file is there", "create"),
        ("openat2 on a noexec mount", "noexec-mount"),
    ] {
        let cells = CONFIGS.map(|config| {
            let side = |side| table.figure(&format!("{config}/{side}/unflagged/{name}"));
            [
                side("base"),
                side("series"),
                table.difference(&format!("{config}/added/unflagged/{name}")),
            ]
        });
        table.row(what, &cells.concat());
    }
    table.text
}

fn flagged(results: &Results) -> String {
    let mut table = Table::new(results, &CONFIGS);
    let mut rows = vec![("openat2".to_owned(), "unflagged/openat2".to_owned())];
    for policy in ["policy-0", "policy-1", "policy-2", "policy-3", "securebit"] {
        for (what, name) in [
            ("allowed", "allowed"),
            ("denied by the mount", "denied-mount"),
            ("denied by the mode", "denied-file"),
        ] {
            let figure = format!("flagged/{policy}/{name}");
            if results
                .figures
                .contains_key(&format!("{}/series/{figure}", CONFIGS[0]))
            {
                rows.push((format!("O_MAYEXEC, {policy}, {what}"), figure));
            }
        }
    }
    for (what, name) in [
        ("today: openat2, fstat, fstatvfs, faccessat2", "access"),
        ("today: openat2, execveat(AT_EXECVE_CHECK)", "execve-check"),
        (
            "today: openat2, prctl(PR_GET_SECUREBITS), execveat(AT_EXECVE_CHECK)",
            "securebits-execve-check",
        ),
    ] {
        rows.push((what.to_owned(), format!("today/{name}")));
    }
    for (what, name) in rows {
        let cells = CONFIGS.map(|config| {
            let figure = format!("{config}/series/{name}");
            let over = results.minus(&figure, &format!("{config}/series/unflagged/openat2"));
            match over {
                Some(over) if over != 0 => {
                    let sign = if over > 0 { "+" } else { "" };
                    format!("{} [{sign}{}]", table.figure(&figure), grouped(over))
                }
                _ => table.figure(&figure),
            }
        });
        table.row(&what, &cells);
    }
    table.text
}

/// Rows of an open without the flag, with it, and the difference.
fn pairs(results: &Results, rows: &[(&str, &str)]) -> String {
    let mut table = Table::new(
        results,
        &[
            "minimal plain",
            "flagged",
            "flag",
            "realistic plain",
            "flagged",
            "flag",
        ],
    );
    for (what, name) in rows {
        let cells = CONFIGS.map(|config| {
            let figure = |kind| table.figure(&format!("{config}/series/{name}/{kind}"));
            [
                figure("plain"),
                figure("flagged"),
                table.difference(&format!("{config}/flag/{name}")),
            ]
        });
        table.row(what, &cells.concat());
    }
    table.text
}

/// The sizes that a thing was measured with, in order.
pub(crate) fn sizes(results: &Results, config: &str, what: &str) -> Vec<(i64, i64)> {
    let prefix = format!("{config}/flag/growth/{what}/");
    let mut sizes: Vec<(i64, i64)> = results
        .differences
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.parse().ok()?, *value)))
        .collect();
    sizes.sort_unstable();
    sizes
}

/// The slope of the line that fits best.
#[expect(clippy::cast_precision_loss, reason = "small numbers, for a person")]
fn slope(points: &[(i64, i64)]) -> f64 {
    let count = points.len() as f64;
    let mean =
        |of: fn(&(i64, i64)) -> i64| points.iter().map(|at| of(at) as f64).sum::<f64>() / count;
    let (x, y) = (mean(|at| at.0), mean(|at| at.1));
    let (mut over, mut under) = (0.0, 0.0);
    for point in points {
        let from = point.0 as f64 - x;
        over += from * (point.1 as f64 - y);
        under += from * from;
    }
    if under == 0.0 { 0.0 } else { over / under }
}

fn growth(results: &Results) -> String {
    let mut text = pairs(results, &[]);
    let mut slopes = String::from("\n| | minimal slope | realistic slope |\n|---|---:|---:|\n");
    for (what, name) in [
        ("depth", "depth"),
        ("mounts", "mounts"),
        ("directory entries", "entries"),
    ] {
        let rows: Vec<(String, String)> = sizes(results, CONFIGS[0], name)
            .into_iter()
            .map(|(size, _)| {
                (
                    format!("{what} {}", grouped(size)),
                    format!("growth/{name}/{size}"),
                )
            })
            .collect();
        let rows: Vec<(&str, &str)> = rows
            .iter()
            .map(|(what, name)| (what.as_str(), name.as_str()))
            .collect();
        text.extend(
            pairs(results, &rows)
                .lines()
                .skip(2)
                .map(|line| format!("{line}\n")),
        );
        let [minimal, realistic] = CONFIGS.map(|config| slope(&sizes(results, config, name)));
        let _ = writeln!(slopes, "| {what} | {minimal:.4} | {realistic:.4} |");
    }
    text + &slopes
}

fn start(results: &Results) -> String {
    let mut table = Table::new(results, &CONFIGS);
    for (what, name) in [
        ("openat2", "plain"),
        ("openat2 with O_MAYEXEC", "flagged"),
        ("openat2, execveat(AT_EXECVE_CHECK)", "execve-check"),
    ] {
        let cells = CONFIGS.map(|config| table.figure(&format!("{config}/series/start/{name}")));
        table.row(what, &cells);
    }
    table.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_has_no_slope() {
        assert_eq!(slope(&[(1, 5), (2, 5), (40, 5)]), 0.0);
        assert!((slope(&[(1, 3), (2, 5), (3, 7)]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let page = page(&Results::default(), &[], &[("f".to_owned(), 3)]);
        assert!(page.contains("| `f` | +3 |\n\nAs the tracers"), "{page}");
        assert!(!page.contains('{'), "{page}");
    }

    #[test]
    fn a_figure_shows_its_spread() {
        let mut results = Results::default();
        results
            .figures
            .insert("realistic/series/start/plain".to_owned(), vec![5, 7, 1006]);
        let table = start(&results);
        assert!(
            table.contains("| openat2 | - | 7 (spread 1,001) |"),
            "{table}"
        );
    }
}
