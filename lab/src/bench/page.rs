// SPDX-License-Identifier: GPL-2.0

//! The page of results, in Markdown, and its plot of what an open costs.

use super::figures::{CONFIGS, Results, median, spread};
use super::targets::Target;
use crate::svg;

/// How many functions are named that have grown.
const GROWN: usize = 20;

/// The page, with the names of its tables and figures in braces.
const TEMPLATE: &str = include_str!("page.md");

/// A table of figures.
struct Table {
    /// Its place in the template.
    name: &'static str,
    /// What each column is headed and shows: a figure's name, in which `*` stands for the row's.
    /// After `+` comes a difference, after `[` a figure with what it is over a plain open.
    columns: &'static [(&'static str, &'static str)],
    /// What each row is headed, and its name.
    rows: &'static [(&'static str, &'static str)],
}

/// An open without the flag, with it, and the difference.
const PAIRS: &[(&str, &str)] = &[
    ("minimal plain", "minimal/series/*/plain"),
    ("flagged", "minimal/series/*/flagged"),
    ("flag", "+minimal/flag/*"),
    ("realistic plain", "realistic/series/*/plain"),
    ("flagged", "realistic/series/*/flagged"),
    ("flag", "+realistic/flag/*"),
];

const TABLES: [Table; 6] = [
    Table {
        name: "unflagged",
        columns: &[
            ("minimal base", "minimal/base/unflagged/*"),
            ("series", "minimal/series/unflagged/*"),
            ("added", "+minimal/added/unflagged/*"),
            ("realistic base", "realistic/base/unflagged/*"),
            ("series", "realistic/series/unflagged/*"),
            ("added", "+realistic/added/unflagged/*"),
        ],
        rows: &[
            ("getppid (no open)", "getppid"),
            ("open", "open"),
            ("openat, relative", "openat"),
            ("openat2", "openat2"),
            ("open with O_CREAT, the file is there", "create"),
            ("openat2 on a noexec mount", "noexec-mount"),
        ],
    },
    Table {
        name: "flagged",
        columns: &[
            ("minimal", "[minimal/series/*"),
            ("realistic", "[realistic/series/*"),
        ],
        rows: &[
            ("openat2", "unflagged/openat2"),
            ("O_MAYEXEC, policy-0, allowed", "flagged/policy-0/allowed"),
            ("O_MAYEXEC, policy-1, allowed", "flagged/policy-1/allowed"),
            (
                "O_MAYEXEC, policy-1, denied by the mount",
                "flagged/policy-1/denied-mount",
            ),
            ("O_MAYEXEC, policy-2, allowed", "flagged/policy-2/allowed"),
            (
                "O_MAYEXEC, policy-2, denied by the mode",
                "flagged/policy-2/denied-file",
            ),
            ("O_MAYEXEC, policy-3, allowed", "flagged/policy-3/allowed"),
            (
                "O_MAYEXEC, policy-3, denied by the mount",
                "flagged/policy-3/denied-mount",
            ),
            (
                "O_MAYEXEC, policy-3, denied by the mode",
                "flagged/policy-3/denied-file",
            ),
            ("O_MAYEXEC, securebit, allowed", "flagged/securebit/allowed"),
            (
                "O_MAYEXEC, securebit, denied by the mount",
                "flagged/securebit/denied-mount",
            ),
            (
                "O_MAYEXEC, securebit, denied by the mode",
                "flagged/securebit/denied-file",
            ),
            (
                "today: openat2, fstat, fstatvfs, faccessat2",
                "today/access",
            ),
            (
                "today: openat2, execveat(AT_EXECVE_CHECK)",
                "today/execve-check",
            ),
            (
                "today: openat2, prctl(PR_GET_SECUREBITS), execveat(AT_EXECVE_CHECK)",
                "today/securebits-execve-check",
            ),
        ],
    },
    Table {
        name: "places",
        columns: PAIRS,
        rows: &[
            ("tmpfs", "place/tmpfs"),
            ("ext4", "place/ext4"),
            ("overlayfs", "place/overlay"),
            ("idmapped mount of tmpfs", "place/idmapped"),
            ("tmpfs, POSIX ACL", "place/acl"),
            ("io_uring, 32 in a call", "ring"),
        ],
    },
    Table {
        name: "growth",
        columns: PAIRS,
        rows: &[
            ("depth 1", "growth/depth/1"),
            ("depth 2", "growth/depth/2"),
            ("depth 4", "growth/depth/4"),
            ("depth 8", "growth/depth/8"),
            ("depth 16", "growth/depth/16"),
            ("depth 32", "growth/depth/32"),
            ("mounts 10", "growth/mounts/10"),
            ("mounts 100", "growth/mounts/100"),
            ("mounts 1,000", "growth/mounts/1000"),
            ("mounts 10,000", "growth/mounts/10000"),
            ("directory entries 10", "growth/entries/10"),
            ("directory entries 100", "growth/entries/100"),
            ("directory entries 1,000", "growth/entries/1000"),
            ("directory entries 10,000", "growth/entries/10000"),
            ("directory entries 100,000", "growth/entries/100000"),
        ],
    },
    Table {
        name: "start",
        columns: &[
            ("minimal", "minimal/series/start/*"),
            ("realistic", "realistic/series/start/*"),
        ],
        rows: &[
            ("openat2", "plain"),
            ("openat2 with O_MAYEXEC", "flagged"),
            ("openat2, execveat(AT_EXECVE_CHECK)", "execve-check"),
        ],
    },
    Table {
        name: "whole",
        columns: &[
            ("base", "*/base/whole/git-status"),
            ("series", "*/series/whole/git-status"),
        ],
        rows: &[("minimal", "minimal"), ("realistic", "realistic")],
    },
];

impl Table {
    fn text(&self, results: &Results) -> String {
        let heads: Vec<&str> = self.columns.iter().map(|(head, _)| *head).collect();
        let mut text = format!("| | {} |\n|---|", heads.join(" | "));
        text += &("---:|".repeat(heads.len()) + "\n");
        for (what, name) in self.rows {
            let shown = self.columns.iter();
            let shown = shown.map(|(_, figure)| cell(results, &figure.replace('*', name)));
            text += &format!("| {what} | {} |\n", Vec::from_iter(shown).join(" | "));
        }
        text
    }
}

/// What a cell shows, as its column's name says.
fn cell(results: &Results, name: &str) -> String {
    if let Some(name) = name.strip_prefix('+') {
        let difference = results.differences.get(name);
        return difference.map_or("-".to_owned(), |value| format!("{value:+}"));
    }
    let Some(figure) = name.strip_prefix('[') else {
        return figure(results, name);
    };
    let config = figure.split('/').next().unwrap_or_default();
    let plain = format!("{config}/series/unflagged/openat2");
    let shown = self::figure(results, figure);
    match results.minus(figure, &plain) {
        Some(over) if over > 0 => format!("{shown} [+{}]", grouped(over)),
        Some(over) if over < 0 => format!("{shown} [{}]", grouped(over)),
        _ => shown,
    }
}

/// A figure with its spread, if it has one.
fn figure(results: &Results, name: &str) -> String {
    let Some(runs) = results.figures.get(name) else {
        return "-".to_owned();
    };
    let value = grouped(median(runs).unwrap_or_default());
    match spread(runs) {
        0 => value,
        spread => format!("{value} (spread {})", grouped(spread)),
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
        ("threads", lines(&mut threads.into_iter())),
        (
            "grown",
            lines(&mut grown.map(|(name, bytes)| format!("| `{name}` | {bytes:+} |"))),
        ),
        ("functions", functions.join(", ")),
    ];
    parts.extend(TABLES.map(|table| (table.name, table.text(results))));
    parts.extend(FIGURES.map(|name| (name, figure(results, name))));
    let filled = |page: String, (name, part): (&str, String)| {
        let place = format!("{{{name}}}");
        page.replace(&place, &part)
    };
    parts.into_iter().fold(TEMPLATE.to_owned(), filled)
}

/// Figures that the template has by their own names.
const FIGURES: [&str; 9] = [
    "code/text-enabled",
    "code/text-first",
    "code/text-off",
    "code/stack",
    "code/locked",
    "tracing/plain/allocations",
    "tracing/flagged/allocations",
    "tracing/plain/locks",
    "tracing/flagged/locks",
];

/// The colours of [`CONFIGS`].
const COLOURS: [&str; 2] = ["#2e5e96", "#d6782c"];

/// What the plot shows: a label, and the figure's name.
const BARS: [(&str, &str); 5] = [
    ("openat2", "unflagged/openat2"),
    ("O_MAYEXEC, policy 0", "flagged/policy-0/allowed"),
    ("O_MAYEXEC, policy 3", "flagged/policy-3/allowed"),
    ("openat2, fstat, fstatvfs, faccessat2", "today/access"),
    ("openat2, AT_EXECVE_CHECK", "today/execve-check"),
];

/// The plot's text.
pub(crate) fn plot(results: &Results) -> String {
    let series: Vec<(&str, &str)> = CONFIGS.into_iter().zip(COLOURS).collect();
    let rows = BARS.map(|(label, name)| {
        let value = |config| results.get(&format!("{config}/series/{name}"));
        (label, CONFIGS.map(value).to_vec())
    });
    svg::bars("Instructions of one open", &series, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_template_is_filled() {
        let page = page(&Results::default(), &[], &[("f".to_owned(), 3)]);
        assert!(page.contains("| `f` | +3 |\n\nAs the tracers"), "{page}");
        assert!(!page.contains('{'), "{page}");
    }

    #[test]
    fn a_cell_shows_a_figure_its_spread_and_what_it_is_over_a_plain_open() {
        let mut results = Results::default();
        for (name, runs) in [
            ("minimal/series/unflagged/openat2", [5; 3]),
            ("minimal/series/a", [5, 7, 1006]),
        ] {
            results.figures.insert(name.to_owned(), runs.to_vec());
        }
        results.differences.insert("minimal/flag/a".to_owned(), 2);
        for (name, shown) in [
            ("minimal/series/a", "7 (spread 1,001)"),
            ("[minimal/series/a", "7 (spread 1,001) [+2]"),
            ("[minimal/series/unflagged/openat2", "5"),
            ("+minimal/flag/a", "+2"),
            ("realistic/series/a", "-"),
        ] {
            assert_eq!(cell(&results, name), shown);
        }
    }

    #[test]
    fn the_plot_shows_the_figures() {
        let mut results = Results::default();
        let name = format!("{}/series/unflagged/openat2", CONFIGS[0]);
        results.figures.insert(name, vec![4321]);
        let svg = plot(&results);
        assert!(
            svg.contains(">4321<") && svg.contains(">O_MAYEXEC, policy 3<"),
            "{svg}"
        );
    }
}
