//! The report: tables, printed as they are complete and written as Markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The space between the columns of a printed table.
const GAP: usize = 2;

/// A table whose rows have a name each.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, name: &str, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "{}: {name}", self.title);
        self.rows.push((name.to_owned(), cells));
    }

    /// Adds a row of numbers.
    pub fn numbers(&mut self, name: &str, values: &[f64]) {
        self.row(name, values.iter().map(|value| format!("{value:.1}")).collect());
    }

    /// The table for a terminal.
    fn text(&self) -> String {
        let length = |text: &str| text.chars().count();
        let name = self.rows.iter().map(|(name, _)| length(name)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().map(|(_, cells)| &cells[at]);
                cells.chain([&self.columns[at]]).map(|cell| length(cell)).max().unwrap_or(0) + GAP
            })
            .collect();
        let line = |first: &str, cells: &[String]| {
            let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
            format!("{first:name$}{}\n", cells.collect::<String>())
        };
        let rows = self.rows.iter().map(|(name, cells)| line(name, cells));
        format!("\n{}\n{}{}", self.title, line("", &self.columns), rows.collect::<String>())
    }

    /// The table for a document.
    fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n| | {} |\n|---|", self.title, self.columns.join(" | "));
        text.push_str(&"---|".repeat(self.columns.len()));
        text.push('\n');
        for (name, cells) in &self.rows {
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text
    }
}

/// The tables so far, and where they are written.
#[derive(Debug)]
pub struct Report {
    folder: PathBuf,
    markdown: String,
}

impl Report {
    /// An empty report in this directory, which is created.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), markdown: String::new() }
    }

    /// Prints a table, and writes it together with the earlier ones, so that a run that fails later keeps it.
    pub fn add(&mut self, table: &Table) {
        if table.rows.is_empty() {
            return;
        }
        print!("{}", table.text());
        if !self.markdown.is_empty() {
            self.markdown.push('\n');
        }
        self.markdown.push_str(&table.markdown());
        fs::write(self.folder.join("results.md"), &self.markdown).unwrap();
    }
}
