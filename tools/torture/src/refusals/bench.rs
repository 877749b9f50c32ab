//! What every case needs: a ledger, the command line, a small file system.

use crate::{
    order::options,
    report::Row,
    work::{Place, Sizes, proposals},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use taskledger::{
    Durability, Ledger,
    audit::{VerifyOptions, verify},
    ids::{Head, Seq},
};

/// What came of a case.
pub(super) enum Said {
    /// What was promised.
    Did { rounds: u64, outcome: String },
    /// What was promised, as far as it could be made here; and why not more.
    Partly { rounds: u64, outcome: String, missed: String },
    /// It cannot be made here.
    Skipped(String),
}

impl Said {
    pub(super) fn once(outcome: impl Into<String>) -> Self {
        Self::Did { rounds: 1, outcome: outcome.into() }
    }
}

/// Where a case takes place.
pub(super) struct Bench {
    pub(super) dir: PathBuf,
    /// The command line, if there is one.
    pub(super) cli: Option<PathBuf>,
    /// This program.
    pub(super) program: PathBuf,
    /// Of many limits or calls, every n-th is tried.
    pub(super) every: usize,
}

impl Bench {
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What a table says of a case.
    pub(super) fn row(&self, fault: &str, rounds: u64, outcome: &str) -> Row {
        let not_asked =
            if self.cli.is_some() { "" } else { " (of exit codes, none was asked for)" };
        Row { fault: fault.to_owned(), rounds, outcome: format!("{outcome}{not_asked}") }
    }

    /// A ledger with some events, closed.
    pub(super) fn ledger(&self) -> Result<(PathBuf, Head)> {
        let path = self.at("ledger");
        let ledger = Ledger::create(&path, options(Durability::Synced))?;
        append(&ledger, 1, 40)?;
        let head = ledger.reader().head();
        ledger.close_blocking()?;
        Ok((path, head))
    }

    /// Runs the command line on the ledger at `db` and expects it to end like this. What it said;
    /// nothing if there is no command line.
    pub(super) fn exits(&self, db: &Path, args: &[&str], expected: i32) -> Result<String> {
        let Some(cli) = &self.cli else { return Ok(String::new()) };
        let mut command = Command::new(cli);
        command.arg("--db").arg(db).args(args);
        expect_exit(&mut command, &[expected]).map(|(_, said)| said)
    }

    /// The same through another program, which is to start the command line; with which of these
    /// codes it ended.
    pub(super) fn exits_under(
        &self,
        program: &[&str],
        db: &Path,
        args: &[&str],
        expected: &[i32],
    ) -> Result<Option<i32>> {
        let Some(cli) = &self.cli else { return Ok(None) };
        let (first, rest) = program.split_first().context("no program")?;
        let mut command = Command::new(first);
        command.args(rest).arg(cli).arg("--db").arg(db).args(args);
        expect_exit(&mut command, expected).map(|(code, _)| Some(code))
    }
}

/// The exit code, and what was said.
fn expect_exit(command: &mut Command, expected: &[i32]) -> Result<(i32, String)> {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    match status.code().filter(|code| expected.contains(code)) {
        Some(code) => Ok((code, said)),
        None => bail!("{command:?}: {status}, not {expected:?}: {said}"),
    }
}

/// The number of the next event of the lane that cases append to.
pub(super) fn next_number(ledger: &Ledger) -> Result<u64> {
    let (reader, mut number) = (ledger.reader(), 0);
    if let Some(last) = reader.head().seq() {
        reader.scan(Seq::FIRST, last, |entry| {
            number = Place::of(&entry).map_or(number, |place| place.number);
            ControlFlow::Continue(())
        })?;
    }
    Ok(number + 1)
}

/// What a person would record.
pub(super) const RECORD: [&str; 6] = ["record", "spawn", "--thread", "t", "--type", "shell"];

/// Appends so many events of a lane, one at a time.
pub(super) fn append(ledger: &Ledger, first: u64, count: u64) -> Result<()> {
    for number in first..first + count {
        ledger.append_blocking(proposals(Place::batch(0, Sizes::Small, number, 1))?)?;
    }
    Ok(())
}

/// Every event can be read, and says what it was to say.
pub(super) fn reads_whole(ledger: &Ledger) -> Result<()> {
    let (reader, mut number, mut wrong) = (ledger.reader(), 0, None);
    let Some(last) = reader.head().seq() else { return Ok(()) };
    reader.scan(Seq::FIRST, last, |entry| {
        if let Some(place) = Place::of(&entry) {
            number += 1;
            if place.number != number || !place.fits(&entry) {
                wrong = Some(entry.event.seq);
            }
        }
        ControlFlow::Continue(())
    })?;
    wrong.map_or(Ok(()), |seq| bail!("event {seq} is not as it was appended"))
}

/// The audit finds nothing in the ledger at `path`, and so many events.
pub(super) fn is_whole(path: &Path, head: Head) -> Result<()> {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {})?;
    ensure!(report.is_ok() && report.head() == head, "not {head:?}: {report:?}");
    Ok(())
}

/// Every file and its bytes, but for the lock.
pub(super) fn bytes_of(path: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() {
            files.extend(bytes_of(&entry)?);
        } else if !entry.ends_with("LOCK") {
            files.insert(entry.clone(), fs::read(&entry)?);
        }
    }
    Ok(files)
}
