// SPDX-License-Identifier: GPL-2.0

//! The page's plot of what an open costs, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::results::{CONFIGS, Results};

/// The plot's size.
const SIZE: (u32, u32) = (840, 420);

/// The colours of [`CONFIGS`].
const COLOURS: [RGBColor; 2] = [RGBColor(46, 94, 150), RGBColor(214, 120, 44)];

/// What the plot shows: a label, and the figure's name.
const ROWS: [(&str, &str); 5] = [
    ("openat2", "unflagged/openat2"),
    ("O_MAYEXEC, policy 0", "flagged/policy-0/allowed"),
    ("O_MAYEXEC, policy 3", "flagged/policy-3/allowed"),
    ("openat2, fstat, fstatvfs, faccessat2", "today/access"),
    ("openat2, AT_EXECVE_CHECK", "today/execve-check"),
];

/// The plot's text.
pub(crate) fn plot(results: &Results) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        bars(&area, results)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// plotters' errors borrow what they are about.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// The mark of a configuration in a legend.
fn key((x, y): (i32, i32), colour: RGBColor) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
}

/// A bar for each row and configuration, with its figure.
fn bars(area: &DrawingArea<SVGBackend<'_>, Shift>, results: &Results) -> Result<()> {
    let figure = |config: &str, name: &str| results.get(&format!("{config}/series/{name}"));
    let all = CONFIGS
        .iter()
        .flat_map(|config| ROWS.iter().filter_map(|(_, name)| figure(config, name)));
    let longest = all.max().unwrap_or_default().max(1);
    let lines = i32::try_from(ROWS.len())?;
    // A row is 10 high and its bars 4; the first row is on top.
    let mut chart = ChartBuilder::on(area)
        .caption("Instructions of one open", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(250)
        .build_cartesian_2d(0..longest * 6 / 5, 0..lines * 10)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(1)
        .x_labels(6)
        // Asked for no lines at all, plotters overflows.
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;
    for ((at, config), colour) in CONFIGS.iter().enumerate().zip(COLOURS) {
        let at = i32::try_from(at)?;
        let mut bars = Vec::new();
        for (row, (_, name)) in (0..).zip(ROWS) {
            let Some(value) = figure(config, name) else {
                continue;
            };
            let top = (lines - row) * 10 - 1 - at * 4;
            bars.push(Rectangle::new(
                [(0, top - 4), (value, top)],
                colour.filled(),
            ));
            chart
                .draw_series([Text::new(
                    value.to_string(),
                    (value + longest / 100, top - 1),
                    ("sans-serif", 12),
                )])
                .map_err(failed)?;
        }
        chart
            .draw_series(bars)
            .map_err(failed)?
            .label(*config)
            .legend(move |at| key(at, colour));
    }
    for (row, (what, _)) in (0..).zip(ROWS) {
        // The labels are left of the chart.
        let (_, y) = chart.backend_coord(&(0, (lines - row) * 10 - 4));
        area.draw(&Text::new(what.to_owned(), (14, y - 2), ("sans-serif", 13)))
            .map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .border_style(BLACK.mix(0.2))
        .background_style(WHITE)
        .draw()
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_shows_the_figures() {
        let mut results = Results::default();
        let name = format!("{}/series/unflagged/openat2", CONFIGS[0]);
        results.figures.insert(name, vec![4321]);
        let svg = plot(&results).unwrap();
        assert!(svg.contains("4321"), "{svg}");
        // The same figures give the same file.
        assert_eq!(plot(&results).unwrap(), svg);
    }
}
