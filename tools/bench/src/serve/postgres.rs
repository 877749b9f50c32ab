//! `PostgreSQL` that does the job of the ledger: one call of a function for each request, and that is
//! one transaction.

use super::{
    Entrant,
    door::{Address, Stream},
    race::{Asking, Connection, Wish, race},
};
use crate::peers::postgres::{
    Cluster,
    job::{Columns, SCHEMA, STATEMENTS},
    protocol::{Asked, head, is_ready, refusal},
};
use anyhow::{Result, bail};
use std::{path::Path, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Its name in the tables, by each door.
pub(super) const BY_TCP: &str = "PostgreSQL, TCP";
pub(super) const BY_SOCKET: &str = "PostgreSQL, socket";

/// Makes a cluster and starts its server; the reason, if that cannot be done.
pub(super) fn entrants(place: &Path) -> Result<[Entrant; 2], String> {
    let cluster = Arc::new(Cluster::start(place)?);
    let of = |name, promised, address: Address| {
        let cluster = Arc::clone(&cluster);
        Entrant {
            name,
            means: "function in one transaction, WAL flushed",
            promised,
            run: Box::new(move |_, load, each| {
                drop(cluster.prepared(SCHEMA)?);
                super::runtime()?.block_on(async {
                    let mut connections: Vec<Box<dyn Connection>> = Vec::new();
                    for _ in 0..load.connections {
                        connections.push(Box::new(Client::connect(&address).await?));
                    }
                    race(connections, load.batch, each).await
                })
            }),
        }
    };
    let promised = "its own process, a Unix socket, `synchronous_commit=on`; events and tasks, key and \
                    task unique, parent there; prepared, one round trip; no order, no hashes, no streams";
    Ok([
        of(BY_SOCKET, promised, Address::Socket(cluster.socket.clone())),
        of(BY_TCP, "the same by TCP, without a password", Address::Tcp(cluster.address)),
    ])
}

struct Client {
    server: Stream,
    asked: Asked,
    body: Vec<u8>,
}

impl Client {
    async fn connect(address: &Address) -> Result<Self> {
        let server = address.connect().await?;
        let mut client = Self { server, asked: Asked::startup()?, body: Vec::new() };
        client.settle().await?;
        for (name, text) in STATEMENTS {
            client.asked.prepare(name, text)?;
        }
        client.asked.sync()?;
        client.settle().await?;
        Ok(client)
    }

    /// Sends what was asked, and reads until the server is ready for more.
    async fn settle(&mut self) -> Result<()> {
        self.server.get_mut().write_all(self.asked.bytes()).await?;
        self.asked.clear();
        let mut refused = None;
        loop {
            let mut begin = [0; 5];
            self.server.read_exact(&mut begin).await?;
            let (kind, len) = head(begin)?;
            self.body.resize(len, 0);
            self.server.read_exact(&mut self.body).await?;
            refused = refused.or_else(|| refusal(kind, &self.body));
            if is_ready(kind) {
                return refused.map_or(Ok(()), |said| bail!("PostgreSQL refused: {said}"));
            }
        }
    }

    /// Asks for these.
    fn ask(&mut self, wishes: &[Wish]) -> Result<()> {
        let bodies: Vec<_> = wishes.iter().map(Wish::json).collect();
        if let ([wish], [body]) = (wishes, bodies.as_slice()) {
            let (id, thread) = (id(wish).as_bytes(), wish.spawn.thread.as_str().as_bytes());
            let parent = wish.parent().map(str::as_bytes);
            let values =
                [Some(&wish.key.0[..]), Some(id), Some(thread), parent, Some(body.as_bytes())];
            return self.asked.execute("spawn", &values);
        }
        let mut columns = Columns::default();
        for (wish, body) in wishes.iter().zip(&bodies) {
            columns.push(&wish.key.0, id(wish), body.as_bytes());
            columns.threads.push(Some(wish.spawn.thread.as_str().as_bytes()));
            columns.parents.push(wish.parent().map(str::as_bytes));
        }
        columns.spawn(&mut self.asked)
    }
}

fn id(wish: &Wish) -> &str {
    wish.spawn.task.as_ref().map_or("", |id| id.as_str())
}

impl Connection for Client {
    fn spawn<'a>(&'a mut self, wishes: &'a [Wish]) -> Asking<'a> {
        Box::pin(async move {
            self.ask(wishes)?;
            self.asked.sync()?;
            self.settle().await
        })
    }
}
