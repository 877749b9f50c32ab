//! What ran and how it ended, as a table for `docs/testing-results.md`.

use crate::machine;
use anyhow::{Context, Result};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Failures of one kind of rounds after which it is given up.
pub const FAILURES_MAX: u64 = 5;

/// How often it is said how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// One kind of fault.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done to the ledger.
    pub fault: String,
    /// How often.
    pub rounds: u64,
    /// What came of it.
    pub outcome: String,
}

/// A round that did not end as it must.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was done, and what came of it.
    pub what: String,
    /// The command that does it again.
    pub repeat: String,
}

/// All that is to be said about a run.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(Row, String)>,
    failures: Vec<Failure>,
    skipped: Vec<(String, String)>,
    command: String,
    date: String,
    commit: String,
    told: Option<Instant>,
}

impl Report {
    /// A report of what `command` does, as of now.
    pub fn of(command: impl Into<String>) -> Self {
        let (date, commit) = (machine::date(), machine::commit());
        Self { command: command.into(), date, commit, ..Self::default() }
    }

    /// How far it is, now and then.
    pub fn progress(&mut self, done: u64, of: u64) {
        if self.told.is_none_or(|told| told.elapsed() > PROGRESS_EVERY) {
            println!("  .. {done} of {of}");
            self.told = Some(Instant::now());
        }
    }

    /// Something ran to its end.
    pub fn row(&mut self, row: Row) {
        println!("  {}: {} rounds: {}", row.fault, row.rounds, row.outcome);
        self.rows.push((row, self.command.clone()));
    }

    /// Something did not end as it must.
    pub fn failure(&mut self, failure: Failure) {
        println!("  FAILED: {}\n    repeat: {}", failure.what, failure.repeat);
        self.failures.push(failure);
    }

    /// Something cannot be done here.
    pub fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        println!("  !!! SKIPPED: {what}: {why}");
        self.skipped.push((what, why));
    }

    /// Whether everything that ran ended as it must.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many failures there are.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// The last words on the terminal: what was skipped, again, and how many of each.
    pub fn conclude(&self) {
        for (what, why) in &self.skipped {
            println!("!!! SKIPPED: {what}: {why}");
        }
        let (rows, failures, skipped) = (self.rows.len(), self.failures.len(), self.skipped.len());
        println!("{rows} kinds of fault, {failures} failures, {skipped} skipped");
    }

    /// Writes the table, in Markdown.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.markdown()?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn markdown(&self) -> Result<String> {
        let Self { date, commit, .. } = self;
        let mut text = String::from(
            "| fault | rounds | outcome | command | date | commit |\n|---|---|---|---|---|---|\n",
        );
        for (Row { fault, rounds, outcome }, command) in &self.rows {
            let outcome = cell(outcome);
            writeln!(text, "| {fault} | {rounds} | {outcome} | `{command}` | {date} | {commit} |")?;
        }
        if !self.failures.is_empty() {
            text.push_str("\n| failed | repeat |\n|---|---|\n");
        }
        for Failure { what, repeat } in &self.failures {
            writeln!(text, "| {} | `{}` |", cell(what), cell(repeat))?;
        }
        if !self.skipped.is_empty() {
            text.push_str("\n| skipped | why |\n|---|---|\n");
        }
        for (what, why) in &self.skipped {
            writeln!(text, "| {} | {} |", cell(what), cell(why))?;
        }
        Ok(text)
    }
}

/// What would end a cell, or a row, of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A number with a comma after each thousand.
pub fn thousands(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().map_or_else(|_| String::new(), |number| number.to_string());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_fault_and_says_what_failed_and_what_was_skipped() {
        let mut report = Report::of("torture kill --rounds 3");
        report.row(Row { fault: "kill".into(), rounds: 3, outcome: "0 lost | 1".into() });
        assert!(report.is_ok());
        report.failure(Failure { what: "lost".into(), repeat: "kill --seed 7".into() });
        report.skip("power", "no loop device");
        assert!(!report.is_ok());
        let text = report.markdown().unwrap();
        assert!(text.contains("| kill | 3 | 0 lost \\| 1 | `torture kill --rounds 3` |"), "{text}");
        assert!(text.contains("| lost | `kill --seed 7` |"), "{text}");
        assert!(text.contains("| power | no loop device |"), "{text}");
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(thousands(7_u64), "7");
        assert_eq!(thousands(1_234_567_u64), "1,234,567");
    }
}
