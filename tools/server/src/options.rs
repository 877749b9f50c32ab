//! Every limit of the server, with its unit and its reason.

use crate::tokens::TokenFile;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use taskledger::time::{Clock, SystemClock};

/// The limits of a server. Each refusal names the one that it met.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The tokens that are taken. `None`: no request by TCP is answered but `/healthz` and `/readyz`.
    pub tokens: Option<Arc<TokenFile>>,
    /// Names, with port, by which clients may call the server, besides loopback at its own port.
    pub hosts: BTreeSet<String>,
    /// Connections by TCP at once. 192: each takes a descriptor and up to some 100 KiB.
    pub tcp_connections_max: usize,
    /// Connections by socket at once. 32: local programs, which TCP must not shut out.
    pub socket_connections_max: usize,
    /// Streams of the log at once. 1,024: each takes a descriptor, and memory for its share. They do not
    /// count as connections.
    pub streams_max: usize,
    /// Bytes of events that a stream holds until its client takes them. 64 KiB: some 100 events, and
    /// 64 MiB for all streams. A larger event goes alone, and counts among `large_events_bytes_max`.
    pub stream_bytes_max: usize,
    /// Bytes of events that are larger than the share of a stream, of all streams together. 64 MiB: twice
    /// the largest event with every byte escaped. A stream waits for room.
    pub large_events_bytes_max: usize,
    /// Bytes of the newest events, which the streams that follow the log share. 8 MiB: some 10,000
    /// events. A stream that is further behind reads on by itself.
    pub feed_bytes_max: usize,
    /// The longest silence of a stream. 15 s: proxies wait longer.
    pub heartbeat: Duration,
    /// Reads at once. 16: as many as disks answer at once. A 17th waits.
    pub reads_max: usize,
    /// Reads of the map of all tasks at once. 4: each may take a second, and hundreds of megabytes in
    /// a ledger that is only read.
    pub map_reads_max: usize,
    /// The longest wait for one of these. 5 s: then the client is told that the server is busy.
    pub read_wait: Duration,
    /// Bytes of one answer. 64 MiB: a longer one is read as a stream, or narrowed.
    pub answer_bytes_max: usize,
    /// Bytes of all answers that are made or sent at once. 256 MiB: slow readers hold theirs.
    pub answers_bytes_max: usize,
    /// The longest time until the head of a request is there, also of the next one on a connection.
    /// 5 s.
    pub header_timeout: Duration,
    /// Bytes of the head of a request. 16 KiB.
    pub header_bytes_max: usize,
    /// Bytes of what is recorded at once, by TCP. 2 MiB: twice the longest text.
    pub tcp_body_bytes_max: usize,
    /// The same by the socket. 24 MiB: the largest batch of the ledger, as JSON.
    pub socket_body_bytes_max: usize,
    /// Bytes of all that is being recorded. 64 MiB.
    pub bodies_bytes_max: usize,
    /// Commands of a batch. 1,024.
    pub commands_max: usize,
    /// The longest time until a body is there. 30 s.
    pub body_timeout: Duration,
    /// The longest time in which a client takes nothing of its answer. 30 s: then it is cut off.
    pub write_timeout: Duration,
    /// The time that answers on their way have when the server stops. 10 s.
    pub drain: Duration,
    /// The clock that "ago" counts back from, and that ends tokens.
    pub clock: Arc<dyn Clock>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tokens: None,
            hosts: BTreeSet::new(),
            tcp_connections_max: 192,
            socket_connections_max: 32,
            streams_max: 1_024,
            stream_bytes_max: 64 << 10,
            large_events_bytes_max: 64 << 20,
            feed_bytes_max: 8 << 20,
            heartbeat: Duration::from_secs(15),
            reads_max: 16,
            map_reads_max: 4,
            read_wait: Duration::from_secs(5),
            answer_bytes_max: 64 << 20,
            answers_bytes_max: 256 << 20,
            header_timeout: Duration::from_secs(5),
            header_bytes_max: 16 << 10,
            tcp_body_bytes_max: 2 << 20,
            socket_body_bytes_max: 24 << 20,
            bodies_bytes_max: 64 << 20,
            commands_max: 1_024,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }
}
