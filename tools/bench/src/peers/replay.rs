//! The same history in `SQLite`, read, decoded and folded by a plain program: what opening a ledger
//! without a snapshot is held against.

#![allow(clippy::disallowed_types, reason = "as a plain program would do it")]

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, params};
use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use taskledger::{
    codec,
    event::{Action, Entry, TaskStatus},
    ids::{Seq, TaskId},
    ledger::Reader,
};

/// Events of one transaction while it is filled.
const BATCH: u64 = 20_000;

/// A database with the frames of a ledger, one row each. The file goes with this value.
#[derive(Debug)]
pub(crate) struct Sqlite(PathBuf);

impl Sqlite {
    /// Copies the history into a new database.
    pub(crate) fn fill(path: &Path, reader: &Reader) -> Result<Self> {
        let connection = Connection::open(path)?;
        // Only what is read from it is measured.
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection
            .execute_batch("CREATE TABLE events (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
        let mut from = 1;
        while let Some(first) = Seq::new(from).filter(|_| from <= reader.head().size) {
            let last = Seq::new(from + BATCH - 1).context("past the last number")?;
            let mut outcome = Ok(());
            connection.execute_batch("BEGIN")?;
            let mut insert = connection.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
            reader.scan(first, last, |entry| {
                let seq = i64::try_from(entry.event.seq.get()).unwrap_or(i64::MAX);
                outcome = codec::encode(&entry)
                    .map_err(anyhow::Error::from)
                    .and_then(|frame| Ok(insert.execute(params![seq, frame])?))
                    .map(drop);
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            outcome?;
            connection.execute_batch("COMMIT")?;
            from += BATCH;
        }
        Ok(Self(path.to_owned()))
    }

    /// Opens it, reads every event in order, decodes it as a ledger does, and folds it into a
    /// plain map. Answers how many events and tasks there are.
    pub(crate) fn replay(&self) -> Result<(u64, usize)> {
        let connection = Connection::open(&self.0)?;
        let mut select = connection.prepare("SELECT body FROM events ORDER BY seq")?;
        let (mut rows, mut tasks, mut events) = (select.query([])?, HashMap::new(), 0);
        while let Some(row) = rows.next()? {
            let frame = row.get_ref(0)?.as_blob()?;
            events += 1;
            fold(&mut tasks, codec::decode(frame)?)?;
        }
        Ok((events, tasks.len()))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What is known of a task.
#[allow(dead_code, reason = "a fold that keeps less would be cheaper than what it stands for")]
struct Task {
    spawned: Entry,
    status: TaskStatus,
    last: Entry,
}

fn fold(tasks: &mut HashMap<TaskId, Task>, entry: Entry) -> Result<()> {
    let Some(id) = entry.event.task.clone() else { return Ok(()) };
    match (tasks.get_mut(&id), &entry.event.action) {
        (Some(task), Action::Terminated { .. }) => {
            task.status = TaskStatus::Completed;
            task.last = entry;
        }
        (Some(task), _) => task.last = entry,
        (None, Action::Upserted { .. }) => {
            let status = TaskStatus::Running;
            tasks.insert(id, Task { spawned: entry.clone(), status, last: entry });
        }
        (None, _) => bail!("{id} has not been spawned"),
    }
    Ok(())
}
