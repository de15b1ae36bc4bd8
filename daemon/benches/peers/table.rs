//! Figures by name and server: medians, as a table in Markdown.

use std::fmt::Write as _;

/// A figure's name, which ends with its unit, and its value.
pub(crate) type Figure = (&'static str, f64);

pub(crate) struct Table {
    servers: Vec<String>,
    /// By name, in the order in which they came; for each server its values.
    rows: Vec<(&'static str, Vec<Vec<f64>>)>,
}

impl Table {
    pub(crate) fn new(servers: Vec<String>) -> Table {
        Table { servers, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, server: usize, (name, value): Figure) {
        let count = self.servers.len();
        let at = self.rows.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            self.rows.push((name, vec![Vec::new(); count]));
            self.rows.len() - 1
        });
        self.rows[at].1[server].push(value);
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| | {} |\n", self.servers.join(" | "));
        let _ = writeln!(text, "| --- |{}", " ---: |".repeat(self.servers.len()));
        for (name, servers) in &self.rows {
            let _ = write!(text, "| {name} |");
            for values in servers {
                let _ = write!(text, " {} |", shown(middle(values)));
            }
            text.push('\n');
        }
        text
    }
}

/// The middle one.
pub(crate) fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With as many digits as mean something.
pub(crate) fn shown(value: f64) -> String {
    match value {
        value if value.is_nan() => "-".to_owned(),
        value if value.abs() >= 100.0 || value == 0.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
