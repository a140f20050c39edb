// SPDX-License-Identifier: GPL-2.0

//! The page's plot of what an open costs.

use super::figures::{CONFIGS, Results};
use crate::svg;

/// The colours of [`CONFIGS`].
const COLOURS: [&str; 2] = ["#2e5e96", "#d6782c"];

/// What the plot shows: a label, and the figure's name.
const ROWS: [(&str, &str); 5] = [
    ("openat2", "unflagged/openat2"),
    ("O_MAYEXEC, policy 0", "flagged/policy-0/allowed"),
    ("O_MAYEXEC, policy 3", "flagged/policy-3/allowed"),
    ("openat2, fstat, fstatvfs, faccessat2", "today/access"),
    ("openat2, AT_EXECVE_CHECK", "today/execve-check"),
];

/// The plot's text.
pub(crate) fn plot(results: &Results) -> String {
    let series: Vec<(&str, &str)> = CONFIGS.into_iter().zip(COLOURS).collect();
    let rows = ROWS.map(|(label, name)| {
        let value = |config| results.get(&format!("{config}/series/{name}"));
        (label, CONFIGS.map(value).to_vec())
    });
    svg::bars("Instructions of one open", &series, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

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
