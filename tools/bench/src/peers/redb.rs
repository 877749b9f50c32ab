//! redb, whose commits are durable when they return.

use crate::append::{Entrant, Store, grouped};
use anyhow::Result;
use redb::{Database, TableDefinition};
use std::{fs, sync::Arc};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

pub(super) fn entrant() -> Entrant {
    Entrant {
        name: "redb",
        means: "commit synced",
        promised: "`Durability::Immediate`: \"guaranteed to be persistent as soon as\" the commit \
                   returns (docs.rs/redb)",
        open: Box::new(|path, load| {
            fs::create_dir_all(path)?;
            grouped::<Arc<[u8]>>(Box::new(Redb(Database::create(path.join("events.redb"))?)), load)
        }),
    }
}

struct Redb(Database);

impl Store for Redb {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        let transaction = self.0.begin_write()?;
        {
            let mut events = transaction.open_table(EVENTS)?;
            for (seq, value) in (first..).zip(values) {
                events.insert(seq, &value[..])?;
            }
        }
        Ok(transaction.commit()?)
    }
}
