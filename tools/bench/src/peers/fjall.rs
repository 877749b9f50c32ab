//! fjall, a log-structured merge tree with a journal.

use crate::append::{Contestant, Entrant, Load, Promise, Store, grouped};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::{path::Path, sync::Arc};

pub(super) fn entrant(promise: Promise) -> Entrant {
    match promise {
        Promise::Durable => Entrant {
            name: "fjall SyncData",
            means: "journal, fdatasync",
            promised: "`PersistMode::SyncData`: \"flushes data using fdatasync\" (docs.rs/fjall)",
            open: Box::new(|path, load| open(path, PersistMode::SyncData, load)),
        },
        Promise::Written => Entrant {
            name: "fjall Buffer",
            means: "journal written",
            promised: "`PersistMode::Buffer`: \"flushes data to OS buffers\" (docs.rs/fjall)",
            open: Box::new(|path, load| open(path, PersistMode::Buffer, load)),
        },
    }
}

fn open(path: &Path, mode: PersistMode, load: Load) -> Result<Box<dyn Contestant>> {
    let database = Database::builder(path).open()?;
    let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
    grouped::<Arc<[u8]>>(Box::new(Fjall { database, events, mode }), load)
}

struct Fjall {
    database: Database,
    events: Keyspace,
    mode: PersistMode,
}

impl Store for Fjall {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(self.mode));
        for (seq, value) in (first..).zip(values) {
            batch.insert(&self.events, seq.to_be_bytes(), &value[..]);
        }
        Ok(batch.commit()?)
    }
}
