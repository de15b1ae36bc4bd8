//! What was measured: a table for people, JSON for programs.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// What is aimed at.
    goal: Option<String>,
}

/// All figures so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds one and prints it.
    #[allow(clippy::print_stdout, reason = "a benchmark is a program for the terminal")]
    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str, goal: &str) {
        println!("{name:<58} {value:>10.2} {unit:<9} {goal}");
        let goal = (!goal.is_empty()).then(|| goal.to_owned());
        self.figures.push(Figure { name, value, unit, goal });
    }

    /// Keeps all as JSON.
    #[allow(clippy::print_stdout, reason = "a benchmark is a program for the terminal")]
    pub(crate) fn finish(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("kept in {}", path.display());
        Ok(())
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of all lies.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}
