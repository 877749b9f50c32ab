//! A connection of a thread, which waits.

use super::protocol::{Asked, head, is_ready, refusal};
use anyhow::{Context, Result, bail};
use std::{
    io::{BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

/// A connection by the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    server: BufReader<UnixStream>,
    pub(super) asked: Asked,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        // It listens before it is ready, and says so then.
        for _ in 0..1_000 {
            if let Ok(connection) = Self::begin(socket) {
                return Ok(connection);
            }
            std::thread::yield_now();
        }
        Self::begin(socket)
    }

    fn begin(socket: &Path) -> Result<Self> {
        let server = UnixStream::connect(socket).context("connecting to PostgreSQL")?;
        let mut connection = Self { server: BufReader::new(server), asked: Asked::startup()? };
        connection.settle()?;
        Ok(connection)
    }

    pub(crate) fn query(&mut self, text: &str) -> Result<()> {
        self.asked.query(text)?;
        self.settle()
    }

    pub(super) fn prepare(&mut self, name: &str, text: &str) -> Result<()> {
        self.asked.prepare(name, text)?;
        self.commit()
    }

    /// Sends what was asked, as one transaction.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.asked.sync()?;
        self.settle()
    }

    /// Sends what was asked, and reads until the server is ready for more.
    fn settle(&mut self) -> Result<()> {
        self.server.get_mut().write_all(self.asked.bytes())?;
        self.asked.clear();
        let mut refused = None;
        loop {
            let mut begin = [0; 5];
            self.server.read_exact(&mut begin)?;
            let (kind, len) = head(begin)?;
            let mut body = vec![0; len];
            self.server.read_exact(&mut body)?;
            refused = refused.or_else(|| refusal(kind, &body));
            if is_ready(kind) {
                break;
            }
        }
        refused.map_or(Ok(()), |said| bail!("PostgreSQL refused: {said}"))
    }
}
