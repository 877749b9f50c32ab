//! Instructions of a few core operations, counted by valgrind and held against figures that are
//! kept beside the sources. Instructions, unlike time, are the same on a busy machine.
//!
//! Each operation runs in a process of its own, once as often as another time and a half; what the
//! second takes more is what the operation costs, without start and preparation. Start reading at
//! [`measure`].

mod kept;
mod operations;

use crate::{
    figures::{float, whole},
    report::Table,
};
use anyhow::{Context, Result, bail};
use operations::Operation;
use std::{
    env,
    process::{Command, Stdio},
};

/// What a figure may be more than the one that is kept, before that is a failure; and less, before
/// it is to be kept anew.
const TOLERANCE: f64 = 0.10;

/// What to do with the figures.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Keep what is counted, instead of holding it against what is kept.
    #[arg(long)]
    update: bool,
    /// Do one operation so many times, under whatever counts.
    #[arg(long, num_args = 2, value_names = ["OPERATION", "TIMES"], hide = true)]
    run: Vec<String>,
}

/// Counts, compares, and fails if an operation takes more than it may.
pub(crate) fn measure(args: &Args) -> Result<()> {
    if let [name, times] = args.run.as_slice() {
        return Operation::named(name)?.run(times.parse()?);
    }
    if !installed() {
        println!("SKIPPED: valgrind is not installed, so that instructions cannot be counted");
        return Ok(());
    }
    let mut counted = Vec::new();
    for operation in Operation::ALL {
        eprintln!("instructions: {}", operation.name());
        counted.push((operation.name(), cost(operation)?));
    }
    if args.update {
        return kept::write(&counted);
    }
    compare(&counted, &kept::read()?)
}

/// Instructions of one, on average.
fn cost(operation: Operation) -> Result<u64> {
    let (few, many) = operation.times();
    let more = instructions(operation, many)?.saturating_sub(instructions(operation, few)?);
    Ok(more / (many - few).max(1))
}

fn instructions(operation: Operation, times: u64) -> Result<u64> {
    let program = env::current_exe().context("finding this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["instructions", "--run", operation.name(), &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("starting valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} under valgrind: {said}", operation.name());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let collected = collected.and_then(|(_, number)| number.trim().parse().ok());
    collected.with_context(|| format!("valgrind says no number of instructions: {said}"))
}

fn installed() -> bool {
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Prints what was counted beside what is kept.
fn compare(counted: &[(&str, u64)], kept: &[(String, u64)]) -> Result<()> {
    let mut table =
        Table::new("Instructions", &["operation", "counted", "kept", "of it", "verdict"]);
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for (name, count) in counted {
        let Some((_, before)) = kept.iter().find(|(kept, _)| kept == name) else {
            bail!("no figure is kept for {name}: run it with --update");
        };
        let ratio = float(*count) / float((*before).max(1));
        let verdict = if ratio > 1.0 + TOLERANCE {
            more.push(*name);
            "**too many**"
        } else if ratio < 1.0 - TOLERANCE {
            less.push(*name);
            "fewer: to be kept"
        } else {
            "as before"
        };
        table.row([
            (*name).to_owned(),
            whole(*count),
            whole(*before),
            format!("{ratio:.3}"),
            verdict.to_owned(),
        ]);
    }
    println!("{table}");
    if !less.is_empty() {
        println!("{} got cheaper: keep that with `instructions --update`", less.join(", "));
    }
    if !more.is_empty() {
        bail!(
            "{} takes over {:.0}% more instructions than are kept in {}; if that is worth it, keep \
             them with `instructions --update`",
            more.join(", "),
            TOLERANCE * 100.0,
            kept::FILE
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_fails_and_less_does_not() {
        let kept = [("append".to_owned(), 1_000)];
        assert!(compare(&[("append", 1_099)], &kept).is_ok());
        assert!(compare(&[("append", 1_101)], &kept).is_err());
        assert!(compare(&[("append", 500)], &kept).is_ok());
        assert!(compare(&[("fold", 500)], &kept).is_err(), "nothing is kept for it");
    }
}
