//! `SQLite` that does the job of the ledger: a table of events and one of tasks, the same checks, one
//! transaction for each group.

use super::configured;
use crate::append::{Change, Contestant, Event, Load, Store, grouped};
use anyhow::{Result, bail};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::{path::Path, sync::Arc};

/// A key is kept once by its index, a task by its own.
const TABLES: &str = "
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, task TEXT NOT NULL, body BLOB NOT NULL
    );
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY, thread TEXT NOT NULL, parent TEXT, running INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) WITHOUT ROWID";

pub(super) fn open(path: &Path, synchronous: &str, load: Load) -> Result<Box<dyn Contestant>> {
    let connection = configured(path, synchronous)?;
    connection.execute_batch(TABLES)?;
    grouped::<Event>(Box::new(Job(connection)), load)
}

struct Job(Connection);

impl Store<Event> for Job {
    fn commit(&mut self, first: u64, events: &[Event]) -> Result<()> {
        let transaction = self.0.transaction()?;
        for (seq, event) in (i64::try_from(first)?..).zip(events) {
            record(&transaction, seq, event)?;
        }
        Ok(transaction.commit()?)
    }
}

fn record(to: &Transaction<'_>, seq: i64, event: &Event) -> Result<()> {
    let Event { key, task, change, body } = event;
    let (task, body): (&str, &Arc<[u8]>) = (task.as_str(), body);
    to.prepare_cached("INSERT INTO events (seq, key, task, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, key, task, &body[..]])?;
    match change {
        Change::Spawned { thread, parent } => {
            if let Some(parent) = parent {
                let mut find = to.prepare_cached("SELECT 1 FROM tasks WHERE id = ?1")?;
                if find.query_row([parent], |_| Ok(())).optional()?.is_none() {
                    bail!("there is no task {parent}");
                }
            }
            to.prepare_cached("INSERT INTO tasks VALUES (?1, ?2, ?3, 1, ?4)")?
                .execute(params![task, thread, parent, seq])?;
        }
        Change::Ended => {
            let ended = "UPDATE tasks SET running = 0, last = ?2 WHERE id = ?1 AND running = 1";
            if to.prepare_cached(ended)?.execute(params![task, seq])? != 1 {
                bail!("{task} does not run");
            }
        }
    }
    Ok(())
}
