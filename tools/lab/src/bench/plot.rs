// SPDX-License-Identifier: GPL-2.0

//! The plots of the page, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::page::sizes;
use super::results::{CONFIGS, Results};

/// A plot's size.
const SIZE: (u32, u32) = (840, 420);

/// The colours of [`CONFIGS`].
const COLOURS: [RGBColor; 2] = [RGBColor(46, 94, 150), RGBColor(214, 120, 44)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The name and text of each plot.
pub(crate) fn plots(results: &Results) -> Result<Vec<(&'static str, String)>> {
    let opens = [
        ("openat2", "unflagged/openat2"),
        ("O_MAYEXEC, policy 0", "flagged/policy-0/allowed"),
        ("O_MAYEXEC, policy 3", "flagged/policy-3/allowed"),
        ("openat2, fstat, fstatvfs, faccessat2", "today/access"),
        ("openat2, AT_EXECVE_CHECK", "today/execve-check"),
    ];
    let start = [
        ("openat2", "start/plain"),
        ("O_MAYEXEC", "start/flagged"),
        ("openat2, AT_EXECVE_CHECK", "start/execve-check"),
    ];
    Ok(vec![
        (
            "opens.svg",
            draw(|area| bars(area, results, "Instructions of one open", &opens))?,
        ),
        (
            "start.svg",
            draw(|area| bars(area, results, "Instructions of Python's opens", &start))?,
        ),
        ("growth.svg", draw(|area| growth(area, results))?),
    ])
}

/// Draws on a white ground; the SVG.
fn draw(drawing: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        drawing(&area)?;
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
fn bars(area: &Area<'_>, results: &Results, title: &str, rows: &[(&str, &str)]) -> Result<()> {
    let figure = |config: &str, name: &str| results.get(&format!("{config}/series/{name}"));
    let all = CONFIGS
        .iter()
        .flat_map(|config| rows.iter().filter_map(|(_, name)| figure(config, name)));
    let longest = all.max().unwrap_or_default().max(1);
    let lines = i32::try_from(rows.len())?;
    // A row is 10 high and its bars 4; the first row is on top.
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
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
        for (row, (_, name)) in (0..).zip(rows) {
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
    for (row, (what, _)) in (0..).zip(rows) {
        // The labels are left of the chart.
        let (_, y) = chart.backend_coord(&(0, (lines - row) * 10 - 4));
        area.draw(&Text::new(
            (*what).to_owned(),
            (14, y - 2),
            ("sans-serif", 13),
        ))
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

/// What the flag adds, over the size of each thing that an open's own cost grows with.
fn growth(area: &Area<'_>, results: &Results) -> Result<()> {
    let parts = area.split_evenly((1, 3));
    for (part, (what, name)) in parts.iter().zip([
        ("path depth", "depth"),
        ("mounts", "mounts"),
        ("directory entries", "entries"),
    ]) {
        let lines = CONFIGS.map(|config| sizes(results, config, name));
        let last = |of: fn(&(i64, i64)) -> i64| lines.iter().flatten().map(of).max().unwrap_or(1);
        let mut chart = ChartBuilder::on(part)
            .caption(format!("The flag's cost by {what}"), ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(30)
            .y_label_area_size(40)
            .build_cartesian_2d(
                (1..last(|at| at.0).max(2) * 2).log_scale(),
                0..last(|at| at.1).max(1) * 3 / 2,
            )
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_labels(5)
            .y_labels(6)
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(failed)?;
        for ((config, colour), line) in CONFIGS.iter().zip(COLOURS).zip(&lines) {
            chart
                .draw_series(
                    LineSeries::new(line.iter().copied(), colour.stroke_width(2)).point_size(3),
                )
                .map_err(failed)?
                .label(*config)
                .legend(move |at| key(at, colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK.mix(0.2))
            .background_style(WHITE)
            .draw()
            .map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_show_the_figures() {
        let mut results = Results::default();
        for config in CONFIGS {
            for (name, value) in [("unflagged/openat2", 4321), ("start/plain", 77)] {
                results
                    .figures
                    .insert(format!("{config}/series/{name}"), vec![value]);
            }
            for size in [1, 10] {
                let name = format!("{config}/flag/growth/depth/{size}");
                results.differences.insert(name, 100);
            }
        }
        let plots = plots(&results).unwrap();
        assert_eq!(plots.len(), 3);
        assert!(plots[0].1.contains("4321"), "{}", plots[0].1);
        assert!(plots[2].1.contains("<polyline"));
        // The same figures give the same file.
        assert_eq!(super::plots(&results).unwrap(), plots);
    }
}
