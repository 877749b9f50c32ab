//! The ledger: over HTTP by both doors, and, to see what that costs, in the process that asks.

use super::{
    Entrant,
    door::Door,
    host::Host,
    http::Http,
    race::{Asking, Connection, Load, Wish, race},
};
use crate::append::Sample;
use anyhow::Result;
use std::{fs, path::Path, time::Duration};
use taskledger::{Ledger, Options, command::Proposal};

/// The name of the ledger by TCP in the tables.
pub(super) const BY_TCP: &str = "taskledger, TCP";
/// And by its socket.
pub(super) const BY_SOCKET: &str = "taskledger, socket";

pub(super) fn entrants() -> [Entrant; 3] {
    [
        Entrant {
            name: BY_SOCKET,
            means: "HTTP; group in the journal, fdatasync",
            promised: "its own process, a Unix socket; `Durability::Synced`",
            run: Box::new(|place, load, each| served(place, load, each, |host| &host.socket)),
        },
        Entrant {
            name: BY_TCP,
            means: "HTTP; group in the journal, fdatasync",
            promised: "the same by TCP, a token and an Idempotency-Key with each request",
            run: Box::new(|place, load, each| served(place, load, each, |host| &host.tcp)),
        },
        Entrant {
            name: "taskledger, in process",
            means: "group in the journal, fdatasync",
            promised: "no server: tasks of the process that asks await `Ledger::append`",
            run: Box::new(here),
        },
    ]
}

fn served(place: &Path, load: Load, each: Duration, door: fn(&Host) -> &Door) -> Result<Sample> {
    let host = Host::start(place)?;
    let sample = super::runtime()?.block_on(async {
        let mut connections: Vec<Box<dyn Connection>> = Vec::new();
        for _ in 0..load.connections {
            connections.push(Box::new(Http::connect(door(&host)).await?));
        }
        race(connections, load.batch, each).await
    })?;
    host.end()?;
    Ok(sample)
}

impl Connection for Http {
    fn spawn<'a>(&'a mut self, wishes: &'a [Wish]) -> Asking<'a> {
        Box::pin(async move {
            if let [wish] = wishes {
                self.post("/v1/tasks", &wish.header(), &wish.json()).await?;
            } else if let [first, ..] = wishes {
                let commands = wishes.iter().map(|wish| {
                    let fields = wish.json();
                    format!("{{\"command\":{{\"spawn\":{fields}}}}}")
                });
                let commands: Vec<_> = commands.collect();
                let body = format!(
                    "{{\"schema\":\"taskledger.batch/v1\",\"commands\":[{}]}}",
                    commands.join(",")
                );
                self.post("/v1/append", &first.header(), &body).await?;
            }
            Ok(())
        })
    }
}

fn here(place: &Path, load: Load, each: Duration) -> Result<Sample> {
    fs::create_dir_all(place)?;
    let ledger = Ledger::create(place.join("ledger"), Options::default())?;
    let connections =
        (0..load.connections).map(|_| -> Box<dyn Connection> { Box::new(Here(ledger.clone())) });
    let sample = super::runtime()?.block_on(race(connections.collect(), load.batch, each))?;
    ledger.close_blocking()?;
    Ok(sample)
}

struct Here(Ledger);

impl Connection for Here {
    fn spawn<'a>(&'a mut self, wishes: &'a [Wish]) -> Asking<'a> {
        let batch: Vec<_> =
            wishes.iter().map(|wish| Proposal::new(wish.spawn.clone()).key(wish.key)).collect();
        Box::pin(async move { Ok(self.0.append(batch).await.map(drop)?) })
    }
}
