//! `PostgreSQL` that does the job of the ledger, in functions of its own language: a group takes one
//! round trip.

use super::{
    connection::Connection,
    protocol::{Asked, Type, array},
};
use crate::append::{Change, Event, Store};
use anyhow::Result;

/// The tables and functions.
pub(crate) const SCHEMA: &str = include_str!("job.sql");

/// The statements that call them: their names, and their texts.
pub(crate) const STATEMENTS: [(&str, &str); 3] = [
    ("spawn", "SELECT spawn($1, $2, $3, $4, $5)"),
    ("spawn_all", "SELECT spawn_all($1, $2, $3, $4, $5)"),
    ("finish_all", "SELECT finish_all($1, $2, $3)"),
];

/// A store behind a thread.
pub(super) struct Job(pub(super) Connection);

impl Store<Event> for Job {
    fn commit(&mut self, _first: u64, events: &[Event]) -> Result<()> {
        let (mut spawns, mut ends) = (Columns::default(), Columns::default());
        for Event { key, task, change, body } in events {
            match change {
                Change::Spawned { thread, parent } => {
                    spawns.push(key, task.as_str(), body);
                    spawns.threads.push(Some(thread.as_bytes()));
                    spawns.parents.push(parent.as_ref().map(String::as_bytes));
                }
                Change::Ended => ends.push(key, task.as_str(), body),
            }
        }
        // A task that is spawned and ends in one group is there when it ends.
        if !spawns.keys.is_empty() {
            spawns.spawn(&mut self.0.asked)?;
        }
        if !ends.keys.is_empty() {
            ends.finish(&mut self.0.asked)?;
        }
        self.0.commit()
    }
}

/// Events as the functions of many take them. Threads and parents are those of spawns.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    keys: Vec<Option<&'a [u8]>>,
    ids: Vec<Option<&'a [u8]>>,
    pub(crate) threads: Vec<Option<&'a [u8]>>,
    pub(crate) parents: Vec<Option<&'a [u8]>>,
    bodies: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    pub(crate) fn push(&mut self, key: &'a [u8; 16], task: &'a str, body: &'a [u8]) {
        self.keys.push(Some(key));
        self.ids.push(Some(task.as_bytes()));
        self.bodies.push(Some(body));
    }

    pub(crate) fn spawn(&self, asked: &mut Asked) -> Result<()> {
        let Self { keys, ids, threads, parents, bodies } = self;
        let [keys, ids, bodies] = Self::arrays(keys, ids, bodies)?;
        let (threads, parents) = (array(Type::Text, threads)?, array(Type::Text, parents)?);
        let values = [&keys, &ids, &threads, &parents, &bodies].map(|value| Some(value.as_slice()));
        asked.execute("spawn_all", &values)
    }

    fn finish(&self, asked: &mut Asked) -> Result<()> {
        let arrays = Self::arrays(&self.keys, &self.ids, &self.bodies)?;
        asked.execute("finish_all", &arrays.each_ref().map(|value| Some(value.as_slice())))
    }

    fn arrays(
        keys: &[Option<&[u8]>],
        ids: &[Option<&[u8]>],
        bodies: &[Option<&[u8]>],
    ) -> Result<[Vec<u8>; 3]> {
        Ok([array(Type::Uuid, keys)?, array(Type::Text, ids)?, array(Type::Bytes, bodies)?])
    }
}
