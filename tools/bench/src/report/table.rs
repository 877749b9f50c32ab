//! Figures as a table in Markdown, and goals that they are held against.

use std::fmt;

/// One table with its heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    goals: Vec<Goal>,
}

/// A figure that was to be reached.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// Of what it is a figure.
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) wanted: String,
    pub(crate) met: bool,
}

impl Goal {
    pub(crate) fn word(&self) -> &'static str {
        if self.met { "met" } else { "**missed**" }
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Self { title: title.into(), head, rows: Vec::new(), goals: Vec::new() }
    }

    /// True if nothing was measured for it.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// Holds a figure against a goal, and answers with the cell that says so.
    pub(crate) fn judge(
        &mut self,
        what: impl Into<String>,
        figure: impl Into<String>,
        goal: impl Into<String>,
        met: bool,
    ) -> String {
        let goal = Goal { what: what.into(), figure: figure.into(), wanted: goal.into(), met };
        let cell = format!("{}: {}", goal.wanted, goal.word());
        self.goals.push(goal);
        cell
    }

    pub(super) fn goals(&self) -> &[Goal] {
        &self.goals
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#### {}\n", self.title)?;
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(self.head.len()))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}
