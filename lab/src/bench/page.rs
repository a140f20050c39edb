// SPDX-License-Identifier: GPL-2.0

//! The page of results, in Markdown, and its plot of what an open costs.

use regex::{Captures, Regex};

use super::figures::{Results, median, spread};
use super::targets::Target;

/// The page, with names in braces: of parts, or of figures as [`cell`] takes them.
pub(crate) const PAGE: &str = include_str!("page.md");
/// The plot, the same.
pub(crate) const PLOT: &str = include_str!("plot.svg");

/// What a cell shows that names a figure: after `+`, a difference; after `=`, the figure as a plain
/// number; after `[`, the figure with what it is over a plain open.
fn cell(results: &Results, name: &str) -> String {
    if let Some(name) = name.strip_prefix('=') {
        let value = results.get(name);
        return value.map_or("-".to_owned(), |value| value.to_string());
    }
    if let Some(name) = name.strip_prefix('+') {
        let difference = results.difference(name);
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

/// A number with a comma before every third digit.
fn grouped(value: i64) -> String {
    match value.abs() {
        0..1000 => value.to_string(),
        more => format!("{},{:03}", grouped(value / 1000), more % 1000),
    }
}

/// A template with everything in its place.
pub(crate) fn filled(template: &str, results: &Results, targets: &[Target]) -> String {
    fn lines(lines: impl Iterator<Item = String>) -> String {
        lines.fold(String::new(), |text, line| text + &line + "\n")
    }
    let target = |of: &Target| {
        let met = if of.met { "met" } else { "missed" };
        format!("| {} | {} | {} | {met} |", of.what, of.aim, of.found)
    };
    let thread = |(threads, runs): (&usize, &Vec<i64>)| {
        let [low, high] = [runs.iter().min(), runs.iter().max()].map(|run| *run.unwrap_or(&0));
        let median = median(runs).unwrap_or_default();
        format!("| {threads} | {median} | {low} | {high} |")
    };
    let version = |(of, is): (&String, &String)| format!("- {of}: {is}");
    let plain = |name: &String| format!("`{:#}`", rustc_demangle::demangle(name));
    let part = |found: &Captures<'_>| match &found[1] {
        "versions" => lines(results.versions.iter().map(version)),
        "targets" => lines(targets.iter().map(target)),
        "threads" => lines(results.threads.iter().map(thread)),
        "functions" => Vec::from_iter(results.functions.iter().map(plain)).join(", "),
        name => cell(results, name),
    };
    let place = Regex::new(r"\{(.+?)\}").expect("a constant");
    place.replace_all(template, part).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_templates_is_filled() {
        for template in [PAGE, PLOT] {
            let filled = filled(template, &Results::default(), &[]);
            assert!(!filled.contains('{'), "{filled}");
        }
    }

    #[test]
    fn a_cell_shows_a_figure_its_spread_and_what_it_is_over_a_plain_open() {
        let mut results = Results::default();
        let figures = [
            ("unflagged/openat2", [5; 3]),
            ("a/plain", [5; 3]),
            ("a/flagged", [5, 7, 1006]),
        ];
        let figures = figures.map(|(name, runs)| (format!("minimal/series/{name}"), runs.to_vec()));
        results.figures = figures.into();
        for (name, shown) in [
            ("minimal/series/a/flagged", "7 (spread 1,001)"),
            ("=minimal/series/a/flagged", "7"),
            ("[minimal/series/a/flagged", "7 (spread 1,001) [+2]"),
            ("[minimal/series/unflagged/openat2", "5"),
            ("+minimal/flag/a", "+2"),
            ("realistic/series/a", "-"),
        ] {
            assert_eq!(cell(&results, name), shown);
        }
    }
}
