//! Markdown for people, one line of JSON a run for comparison over time.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// A group of figures.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.title);
        self.rows.push(cells);
    }

    pub(crate) fn print(&self) {
        say(&format!("\n### {}\n", self.title));
        say(&line(self.columns.iter().copied()));
        say(&line(self.columns.iter().map(|_| "---")));
        for row in &self.rows {
            say(&line(row.iter().map(String::as_str)));
        }
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    cells.fold("|".to_owned(), |line, cell| format!("{line} {cell} |"))
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Appends the run's record, or prints it for `-`.
pub(crate) fn append(path: &Path, record: &Value) -> anyhow::Result<()> {
    if path == Path::new("-") {
        say(&record.to_string());
        return Ok(());
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| path.display().to_string())?;
    Ok(writeln!(file, "{record}")?)
}

/// Microseconds.
pub(crate) fn micros(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{value:.0}"))
}

/// Microseconds as milliseconds.
pub(crate) fn millis(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{:.2}", value / 1_000.0))
}

/// How many times the second the first is.
pub(crate) fn ratio(value: Option<f64>, of: Option<f64>) -> String {
    match (value, of) {
        (Some(value), Some(of)) if of > 0.0 => format!("{:.2}×", value / of),
        _ => none(),
    }
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "no machine has that much memory")]
pub(crate) fn mib(kib: u64) -> String {
    format!("{:.2}", kib as f64 / 1_024.0)
}

fn none() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!(millis(None), "–");
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.50×");
        assert_eq!(ratio(Some(3.0), Some(0.0)), "–");
        assert_eq!(line(["a", "b"].into_iter()), "| a | b |");
    }
}
