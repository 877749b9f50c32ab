//! The figures that are kept: one line each, a name and a number.

use anyhow::{Context, Result};
use std::{fmt::Write, fs, path::PathBuf};

/// Where, from the root of the repository.
pub(super) const FILE: &str = "tools/bench/instructions.txt";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

pub(super) fn read() -> Result<Vec<(String, u64)>> {
    let text = fs::read_to_string(path()).with_context(|| format!("reading {FILE}"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, number) = line.split_once(' ').with_context(|| format!("line {line:?}"))?;
            Ok((name.to_owned(), number.trim().parse()?))
        })
        .collect()
}

pub(super) fn write(counted: &[(&str, u64)]) -> Result<()> {
    let mut text = "# Instructions of one operation, release build, under valgrind's callgrind.\n\
                    # Made by `cargo run --release -p taskledger-bench -- instructions --update`.\n"
        .to_owned();
    for (name, number) in counted {
        writeln!(text, "{name} {number}")?;
    }
    fs::write(path(), &text).with_context(|| format!("writing {FILE}"))?;
    print!("{text}");
    Ok(())
}
