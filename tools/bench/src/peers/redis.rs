//! Redis streams, in a process of their own, over a Unix socket. One pipeline is one commit: with
//! `appendfsync always` its commands are written and synced together before they are answered.

use super::server::{Server, installed};
use crate::append::{Entrant, Store, grouped};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    sync::Arc,
};

const PROGRAM: &str = "redis-server";

/// Starts the server; the reason, if there is none to start.
pub(super) fn entrant(place: &Path) -> Result<Entrant, String> {
    if !installed(PROGRAM) {
        return Err(format!("Redis streams: `{PROGRAM}` is not installed"));
    }
    let server = start(place).map_err(|error| format!("Redis streams: {error:#}"))?;
    let socket = place.join("redis/socket");
    Ok(Entrant {
        name: "Redis stream",
        means: "AOF, fsync",
        promised: "its own process, `appendfsync always`: \"a single write and a single fsync \
                   (before sending the replies)\" (redis.io, persistence)",
        open: Box::new(move |_, load| {
            let _running = &server;
            let mut redis = Redis::connect(&socket)?;
            redis.ask(&[b"FLUSHALL"])?;
            redis.answer()?;
            grouped::<Arc<[u8]>>(Box::new(redis), load)
        }),
    })
}

fn start(place: &Path) -> Result<Server> {
    let place = place.join("redis");
    fs::create_dir_all(&place)?;
    let socket = place.join("socket");
    let mut command = Command::new(PROGRAM);
    command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.arg("--dir").arg(&place).arg("--unixsocket").arg(&socket);
    Server::start(command, &socket)
}

struct Redis {
    server: BufReader<UnixStream>,
    asked: Vec<u8>,
    line: String,
}

impl Redis {
    fn connect(socket: &Path) -> Result<Self> {
        let server = UnixStream::connect(socket).context("connecting to Redis")?;
        Ok(Self { server: BufReader::new(server), asked: Vec::new(), line: String::new() })
    }

    /// One more command of the pipeline.
    fn ask(&mut self, words: &[&[u8]]) -> Result<()> {
        write!(self.asked, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.asked, "${}\r\n", word.len())?;
            self.asked.extend_from_slice(word);
            self.asked.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        self.server.get_mut().write_all(&self.asked)?;
        self.asked.clear();
        Ok(())
    }

    /// The answer to one command: a line, or a text of so many bytes, which is an id here.
    fn answer(&mut self) -> Result<()> {
        if !self.asked.is_empty() {
            self.send()?;
        }
        self.line.clear();
        self.server.read_line(&mut self.line)?;
        match self.line.as_bytes().first() {
            Some(b'+' | b':') => Ok(()),
            Some(b'$') => {
                self.line.clear();
                self.server.read_line(&mut self.line)?;
                Ok(())
            }
            _ => bail!("Redis answered {:?}", self.line),
        }
    }
}

impl Store for Redis {
    fn commit(&mut self, first: u64, values: &[Arc<[u8]>]) -> Result<()> {
        for (seq, value) in (first..).zip(values) {
            let id = format!("{seq}-0");
            self.ask(&[b"XADD", b"events", id.as_bytes(), b"body", value])?;
        }
        values.iter().try_for_each(|_| self.answer())
    }
}
