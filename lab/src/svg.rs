// SPDX-License-Identifier: GPL-2.0

//! Pictures for the pages, as the text of SVG files.

use std::fmt::Write as _;

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// A picture of a size, with a background.
fn picture((width, height): (usize, usize), background: &str, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{background}\"/>\n{content}</svg>\n"
    )
}

/// A terminal that shows these lines.
pub(crate) fn terminal(lines: &[&str]) -> String {
    let columns = lines.iter().map(|line| line.chars().count()).max();
    let mut content = String::new();
    let lines_shown = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    for (at, line) in lines_shown {
        // Each line says how long it is, so that any font keeps the columns.
        let _ = writeln!(
            content,
            "<text x=\"14\" y=\"{}\" textLength=\"{}\" xml:space=\"preserve\" \
             font-family=\"monospace\" font-size=\"13\" fill=\"#d8d8d8\">{}</text>",
            26 + 18 * at,
            8 * line.chars().count(),
            escaped(line)
        );
    }
    let size = (8 * columns.unwrap_or(0) + 28, 18 * lines.len() + 24);
    picture(size, "#1d1f21", &content)
}

/// Where the bars of a plot begin, and how long the longest is.
const BARS: (usize, usize) = (270, 480);

/// A plot with a bar for each row and series; what has no value has no bar.
pub(crate) fn bars(
    title: &str,
    series: &[(&str, &str)],
    rows: &[(&str, Vec<Option<i64>>)],
) -> String {
    let length = |value: i64| usize::try_from(value).unwrap_or(0);
    let values = rows.iter().flat_map(|(_, values)| values.iter().flatten());
    let longest = values.copied().map(length).max().unwrap_or(0).max(1);
    let mut content = String::new();
    let text = |x: usize, y: usize, what: &str| {
        let font = "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\"";
        let what = escaped(what);
        format!("<text x=\"{x}\" y=\"{y}\" {font}>{what}</text>\n")
    };
    let bar = |x: usize, y: usize, width: usize, colour: &str| {
        format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"14\" fill=\"{colour}\"/>\n")
    };
    content += &text(14, 26, title);
    for (at, (name, colour)) in series.iter().enumerate() {
        content += &bar(BARS.0 + 130 * at, 15, 14, colour);
        content += &text(BARS.0 + 130 * at + 20, 26, name);
    }
    let height = 16 * series.len() + 12;
    for (row, (label, values)) in rows.iter().enumerate() {
        let top = 48 + height * row;
        content += &text(14, top + 8 * series.len() + 4, label);
        for (at, (value, (_, colour))) in values.iter().zip(series).enumerate() {
            let Some(value) = *value else { continue };
            let width = length(value) * BARS.1 / longest;
            content += &bar(BARS.0, top + 16 * at, width, colour);
            content += &text(BARS.0 + width + 6, top + 16 * at + 12, &value.to_string());
        }
    }
    let size = (BARS.0 + BARS.1 + 70, 56 + height * rows.len());
    picture(size, "#ffffff", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_its_lines() {
        let svg = terminal(&["$ a <b>", "", "ok"]);
        assert!(svg.contains(">$ a &lt;b&gt;</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2);
        assert!(svg.contains("y=\"62\" textLength=\"16\""), "{svg}");
    }

    #[test]
    fn the_longest_bar_is_as_long_as_there_is_room() {
        let rows = [
            ("one", vec![Some(1000), None]),
            ("two", vec![Some(500), Some(10)]),
        ];
        let svg = bars("t", &[("a", "#111"), ("b", "#222")], &rows);
        assert_eq!(svg.matches("height=\"14\"").count(), 2 + 3);
        for width in [480, 240, 4] {
            let bar = format!(" width=\"{width}\" height=\"14\"");
            assert!(svg.contains(&bar), "{bar}: {svg}");
        }
    }
}
