//! `SQLite`, with a write-ahead log. FULL syncs the log at every commit; NORMAL only at checkpoints.
//! Once it is handed bytes, and once it does the job of the ledger.

mod job;

use crate::append::{Contestant, Entrant, Load, Promise, Store, grouped};
use anyhow::Result;
use rusqlite::{Connection, params};
use std::{fs, path::Path, sync::Arc};

pub(super) fn entrants(promise: Promise) -> [Entrant; 2] {
    match promise {
        Promise::Durable => [
            Entrant {
                name: "SQLite FULL",
                means: "WAL synced",
                promised: "WAL, `synchronous=FULL`: the log is synced \"after each transaction commit\" \
                           (sqlite.org/pragma.html#pragma_synchronous)",
                open: Box::new(|path, load| open(path, "FULL", load)),
            },
            Entrant {
                name: "SQLite FULL, same job",
                means: "WAL synced",
                promised: "the same; events and tasks, key and task unique, parent there, only a \
                           running task ends",
                open: Box::new(|path, load| job::open(path, "FULL", load)),
            },
        ],
        Promise::Written => [
            Entrant {
                name: "SQLite NORMAL",
                means: "WAL written",
                promised: "WAL, `synchronous=NORMAL`: the log is synced \"before each checkpoint\" \
                           (sqlite.org/pragma.html#pragma_synchronous)",
                open: Box::new(|path, load| open(path, "NORMAL", load)),
            },
            Entrant {
                name: "SQLite NORMAL, same job",
                means: "WAL written",
                promised: "the same; events and tasks, key and task unique, parent there, only a \
                           running task ends",
                open: Box::new(|path, load| job::open(path, "NORMAL", load)),
            },
        ],
    }
}

fn open(path: &Path, synchronous: &str, load: Load) -> Result<Box<dyn Contestant>> {
    let connection = configured(path, synchronous)?;
    connection
        .execute_batch("CREATE TABLE events (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    grouped::<Arc<[u8]>>(Box::new(Sqlite(connection)), load)
}

/// An empty database in a new directory.
fn configured(path: &Path, synchronous: &str) -> Result<Connection> {
    fs::create_dir_all(path)?;
    let connection = Connection::open(path.join("events.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

struct Sqlite(Connection);

impl Store for Sqlite {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        let first = i64::try_from(first)?;
        let transaction = self.0.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO events (seq, body) VALUES (?1, ?2)")?;
            for (seq, value) in (first..).zip(values) {
                insert.execute(params![seq, &value[..]])?;
            }
        }
        Ok(transaction.commit()?)
    }
}
