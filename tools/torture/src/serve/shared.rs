//! The facts that writers and followers share: where the server is, when it is over, and what was seen.

use super::wire::Connection;
use anyhow::{Result, ensure};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// The longest silence of a server that lives: a stream says something every 15 s.
const SILENCE: Duration = Duration::from_mins(1);
/// The rest of a client before it tries again.
const REST: Duration = Duration::from_millis(20);

/// One run.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) socket: PathBuf,
    pub(super) token: String,
    /// None while there is no server.
    address: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
    /// The size of the log once nothing more is recorded; 0 until then.
    end: AtomicU64,
    failures: Mutex<Vec<anyhow::Error>>,
    lines: Mutex<BTreeMap<u64, u32>>,
    roots: Mutex<BTreeMap<u64, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(socket: PathBuf, token: String) -> Self {
        Self {
            socket,
            token,
            address: Mutex::default(),
            over: AtomicBool::new(false),
            end: AtomicU64::new(0),
            failures: Mutex::default(),
            lines: Mutex::default(),
            roots: Mutex::default(),
        }
    }

    /// There is a server, or none.
    pub(super) fn set_address(&self, address: Option<SocketAddr>) {
        *lock(&self.address) = address;
    }

    /// A connection of client number `client`: every fourth goes by the socket.
    pub(super) fn connect(&self, client: u64) -> io::Result<Connection> {
        let address = *lock(&self.address);
        let Some(address) = address else { return Err(io::ErrorKind::NotConnected.into()) };
        if client.is_multiple_of(4) {
            Connection::by_socket(&self.socket, SILENCE)
        } else {
            Connection::by_tcp(address, &self.token, SILENCE)
        }
    }

    /// Rests after a failure of a connection. A silence is a failure of the server.
    pub(super) fn rest(error: &io::Error) -> Result<()> {
        let silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        ensure!(!silent, "the server was silent for {} s", SILENCE.as_secs());
        thread::park_timeout(REST);
        Ok(())
    }

    /// Nothing more is to be recorded.
    pub(super) fn set_over(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.failed()
    }

    /// The log has so many events, and gets no more.
    pub(super) fn set_end(&self, size: u64) {
        self.end.store(size, Ordering::Release);
    }

    /// True if a client that has seen so many events has seen all there will be.
    pub(super) fn is_all(&self, seen: u64) -> bool {
        let end = self.end.load(Ordering::Acquire);
        end > 0 && seen >= end
    }

    pub(super) fn fail(&self, why: anyhow::Error) {
        lock(&self.failures).push(why);
    }

    pub(super) fn failed(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    /// The first failure.
    pub(super) fn check(&self) -> Result<()> {
        lock(&self.failures).drain(..).next().map_or(Ok(()), Err)
    }

    /// A follower was given this line for an event. Every follower must be given the same one.
    pub(super) fn see_line(&self, seq: u64, line: &str) -> Result<()> {
        let hash = crc32c::crc32c(line.as_bytes());
        let seen = *lock(&self.lines).entry(seq).or_insert(hash);
        ensure!(seen == hash, "event {seq} is told in two ways, one of them {line}");
        Ok(())
    }

    /// A follower was told that the log has this root after so many events.
    pub(super) fn see_root(&self, size: u64, root: &str) -> Result<()> {
        let mut roots = lock(&self.roots);
        let seen = roots.entry(size).or_insert_with(|| root.to_owned());
        ensure!(seen == root, "after {size} events the root is {seen} and {root}");
        Ok(())
    }

    /// Every root that any follower was told, by the size of the log.
    pub(super) fn roots(&self) -> BTreeMap<u64, String> {
        lock(&self.roots).clone()
    }
}
