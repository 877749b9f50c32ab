//! `SQLite`, with a write-ahead log. FULL syncs the log at every commit; NORMAL only at checkpoints.

use crate::append::{Contestant, Entrant, Load, Promise, Store, grouped};
use anyhow::Result;
use rusqlite::{Connection, params};
use std::{fs, path::Path, sync::Arc};

pub(super) fn entrant(promise: Promise) -> Entrant {
    match promise {
        Promise::Durable => Entrant {
            name: "SQLite FULL",
            means: "WAL synced",
            promised: "WAL, `synchronous=FULL`: the log is synced \"after each transaction commit\" \
                       (sqlite.org/pragma.html#pragma_synchronous)",
            open: Box::new(|path, load| open(path, "FULL", load)),
        },
        Promise::Written => Entrant {
            name: "SQLite NORMAL",
            means: "WAL written",
            promised: "WAL, `synchronous=NORMAL`: the log is synced \"before each checkpoint\" \
                       (sqlite.org/pragma.html#pragma_synchronous)",
            open: Box::new(|path, load| open(path, "NORMAL", load)),
        },
    }
}

fn open(path: &Path, synchronous: &str, load: Load) -> Result<Box<dyn Contestant>> {
    fs::create_dir_all(path)?;
    let connection = Connection::open(path.join("events.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection
        .execute_batch("CREATE TABLE events (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    grouped(Box::new(Sqlite(connection)), load)
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
