//! Figures as a table in Markdown, and what they were measured on.

use std::{fmt, fs, process::Command};

/// One table with its heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Self { title: title.into(), head, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(self.head.len()))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// The machine, the disk, the kernel and the commit, in one line.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| text.lines().next()?.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or_else(|| "? GiB".to_owned(), |kib| format!("{} GiB", kib >> 20));
    let temp = std::env::temp_dir();
    let disk = said("df", &["--output=source,fstype", &temp.to_string_lossy()]);
    let disk = disk.lines().last().unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ");
    let kernel = said("uname", &["-sr"]);
    let date = said("date", &["-u", "+%Y-%m-%d"]);
    let commit = said("git", &["describe", "--always", "--dirty", "--abbrev=10"]);
    format!("{date}, commit {commit}, {cores} cores, {memory}, {disk}, {kernel}")
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "?".to_owned())
}

/// A rate, short enough to compare.
pub(crate) fn count(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// A time in microseconds or milliseconds.
pub(crate) fn micros(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds >= 1e-5 => format!("{:.0} us", seconds * 1e6),
        seconds => format!("{:.1} us", seconds * 1e6),
    }
}

/// For people: what is lost by it does not show.
#[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn float(number: usize) -> f64 {
    number as f64
}
