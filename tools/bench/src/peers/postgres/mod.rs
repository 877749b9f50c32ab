//! `PostgreSQL`, in a process of its own, over a Unix socket. Handed bytes: a table of events whose
//! primary key is thread and version, which fences writers off; one pipeline of prepared inserts is
//! one transaction. And doing the job of the ledger ([`job`]).

mod cluster;
mod connection;
pub(crate) mod job;
pub(crate) mod protocol;

use crate::append::{Entrant, Event, Store, grouped};
use anyhow::Result;
use std::{path::Path, sync::Arc};

pub(crate) use cluster::Cluster;
use connection::Connection;

/// Threads that the events are of.
const THREADS: u64 = 1_024;

/// Makes a cluster and starts its server; the reason, if that cannot be done.
pub(super) fn entrants(place: &Path) -> Result<[Entrant; 2], String> {
    let cluster = Arc::new(Cluster::start(place)?);
    let same = Arc::clone(&cluster);
    Ok([
        Entrant {
            name: "PostgreSQL",
            means: "WAL flushed",
            promised: "its own process, unique (thread, version), `synchronous_commit=on`: \"wait \
                       for local flush of WAL to disk\" (postgresql.org, write ahead log)",
            open: Box::new(move |_, load| {
                let mut connection = cluster.prepared(
                    "CREATE TABLE events (thread bigint, version bigint, body bytea NOT NULL, \
                     PRIMARY KEY (thread, version))",
                )?;
                connection.prepare("", "INSERT INTO events VALUES ($1, $2, $3)")?;
                grouped::<Arc<[u8]>>(Box::new(Bytes(connection)), load)
            }),
        },
        Entrant {
            name: "PostgreSQL, same job",
            means: "WAL flushed",
            promised: "the same; events and tasks, key and task unique, parent there, only a running \
                       task ends: one call of a function for the spawns of a group, one for its ends",
            open: Box::new(move |_, load| {
                let mut connection = same.prepared(job::SCHEMA)?;
                for (name, text) in job::STATEMENTS {
                    connection.prepare(name, text)?;
                }
                grouped::<Event>(Box::new(job::Job(connection)), load)
            }),
        },
    ])
}

struct Bytes(Connection);

impl Store for Bytes {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        for (seq, value) in (first..).zip(values) {
            let (thread, version) = ((seq % THREADS).to_be_bytes(), (seq / THREADS).to_be_bytes());
            let row = [&thread[..], &version[..], &value[..]].map(Some);
            self.0.asked.execute("", &row)?;
        }
        self.0.commit()
    }
}
