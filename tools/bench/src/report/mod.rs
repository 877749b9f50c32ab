//! What is reported: tables with goals, on the terminal and, between marks, in a file.
//!
//! Start reading at [`Report`].

mod document;
mod machine;
mod table;

use anyhow::{Context, Result};
use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

pub(crate) use machine::machine;
pub(crate) use table::{Goal, Table};

/// Where the tables go. Each workload is a section of its own, which a later run replaces; what
/// people have written around the sections stays.
#[derive(Debug)]
pub(crate) struct Report {
    path: Option<PathBuf>,
    machine: String,
    judged: Vec<Goal>,
}

impl Report {
    /// Prints, and keeps the sections in `path` if there is one.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, machine: machine(), judged: Vec::new() }
    }

    /// Shows a section: words about how it was measured, and its tables.
    pub(crate) fn section(&mut self, name: &str, how: &str, tables: &[Table]) -> Result<()> {
        self.judged.extend(tables.iter().flat_map(|table| table.goals().iter().cloned()));
        let mut text = format!("{}. {how}\n", self.machine);
        for table in tables.iter().filter(|table| !table.is_empty()) {
            write!(text, "\n{table}")?;
        }
        self.put(name, &text)
    }

    /// Shows every goal that was held against a figure, in one table.
    pub(crate) fn goals(&mut self, took: Duration) -> Result<()> {
        // What is missed first: that is what one looks for.
        self.judged.sort_by_key(|goal| goal.met);
        let met = self.judged.iter().filter(|goal| goal.met).count();
        let mut table =
            Table::new("Goals of this run", &["workload", "figure", "goal", "met or missed"]);
        for goal in &self.judged {
            table.row([
                goal.what.clone(),
                goal.figure.clone(),
                goal.wanted.clone(),
                goal.word().to_owned(),
            ]);
        }
        let text = format!(
            "{}. The whole run took {} s; {met} of {} goals are met.\n\n{table}",
            self.machine,
            took.as_secs(),
            self.judged.len()
        );
        self.put("goals", &text)
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        println!("{text}");
        let Some(path) = &self.path else { return Ok(()) };
        let before = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("reading {}", path.display()))?,
        };
        let after = document::replaced(&before, name, text)
            .with_context(|| format!("the report in {}", path.display()))?;
        fs::write(path, after).with_context(|| format!("writing {}", path.display()))
    }
}
