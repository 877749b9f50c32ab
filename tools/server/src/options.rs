//! Every limit of the server, with its unit and its reason.
//!
//! There are two doors, the socket and TCP. A limit "of each door" holds for either by itself, so that
//! neither can take what is the other's. Of such a limit one token may have a share
//! ([`ServerOptions::share_percent`]), so that it cannot take what is another one's.

use crate::{recorder::Recorder, tls::TlsFiles, tokens::TokenFile};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use taskledger::time::{Clock, SystemClock};

/// The limits of a server. Each refusal names the one that it met.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The tokens that are taken. `None`: no request by TCP is answered but `/healthz` and `/readyz`.
    pub tokens: Option<Arc<TokenFile>>,
    /// Certificate and key for connections by TCP. `None`: no TLS, and no other address than loopback.
    pub tls: Option<Arc<TlsFiles>>,
    /// The recorder of the process, whose numbers `/metrics` gives too. `None`: those of the server.
    pub recorder: Option<Recorder>,
    /// Names, with port, by which clients may call the server, besides loopback at its own port.
    pub hosts: BTreeSet<String>,
    /// The most that one token may have at once of what TCP has, in percent: of `tcp_connections_max`,
    /// `streams_max`, `standby_streams_max`, `reads_max`, `map_reads_max`, `appends_max`, `answers_bytes_max`,
    /// `bodies_bytes_max` and `large_events_bytes_max`. 50: then another one finds as much. At least one of each.
    pub share_percent: usize,
    /// Connections by TCP at once. 192: each takes a descriptor and up to some 100 KiB. Where all are
    /// taken, the oldest without a token gives way to a new one.
    pub tcp_connections_max: usize,
    /// Connections by socket at once. 32: local programs, which TCP must not shut out.
    pub socket_connections_max: usize,
    /// Requests without a token that holds, of one address in a minute. 50: tokens are not guessed.
    pub failed_tokens_max: usize,
    /// Streams of the log at once, of each door. 1,024: each takes a descriptor, and memory for its share.
    /// They do not count as connections.
    pub streams_max: usize,
    /// Streams of standbys at once. 32: each may hold 2 MiB, or a larger batch, which counts among
    /// `large_events_bytes_max`. They have places of their own, so that others cannot shut them out.
    pub standby_streams_max: usize,
    /// Bytes of events that a stream holds until its client takes them. 64 KiB: some 100 events, and
    /// 64 MiB for all streams of a door. A larger event goes alone, and counts among `large_events_bytes_max`.
    pub stream_bytes_max: usize,
    /// Bytes of events that are larger than the share of a stream, of all streams of each door, and as many
    /// of those that streams share. 64 MiB: twice the largest event with every byte escaped. A stream
    /// waits for room.
    pub large_events_bytes_max: usize,
    /// Bytes of the newest events, which the streams that follow the log share. 8 MiB: some 10,000
    /// events. A stream that is further behind reads on by itself.
    pub feed_bytes_max: usize,
    /// The longest silence of a stream. 15 s: proxies wait longer.
    pub heartbeat: Duration,
    /// Reads at once, of each door. 8: the ledger reads 16 at once for both
    /// ([`reads_at_once_max`](taskledger::Options::reads_at_once_max)), and each may hold some 50 MiB of
    /// events besides its answer. A ninth waits.
    pub reads_max: usize,
    /// Reads of the map of all tasks at once, of each door. 2: each may take a second, and hundreds of
    /// megabytes in a ledger that is only read.
    pub map_reads_max: usize,
    /// The longest wait for one of these. 5 s: then the client is told that the server is busy.
    pub read_wait: Duration,
    /// Bytes of one answer. 64 MiB: a longer one is read as a stream, or narrowed.
    pub answer_bytes_max: usize,
    /// Bytes of all answers that are made or sent at once, of each door. 256 MiB: slow readers hold
    /// theirs.
    pub answers_bytes_max: usize,
    /// The longest time until the head of a request is there, also of the next one on a connection,
    /// and before that until TLS has begun. 5 s.
    pub header_timeout: Duration,
    /// Bytes of the head of a request. 16 KiB.
    pub header_bytes_max: usize,
    /// Bytes of what is recorded at once, by TCP. 2 MiB: twice the longest text.
    pub tcp_body_bytes_max: usize,
    /// The same by the socket. 24 MiB: the largest batch of the ledger, as JSON.
    pub socket_body_bytes_max: usize,
    /// Bytes of all that is being recorded, of each door, as they come. 64 MiB.
    pub bodies_bytes_max: usize,
    /// Requests that are being recorded at once, of each door. 256: the ledger lets 4,096 wait
    /// ([`queue_requests_max`](taskledger::Options::queue_requests_max)), and each waits for those before
    /// it.
    pub appends_max: usize,
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
            tls: None,
            recorder: None,
            hosts: BTreeSet::new(),
            share_percent: 50,
            tcp_connections_max: 192,
            socket_connections_max: 32,
            failed_tokens_max: 50,
            streams_max: 1_024,
            standby_streams_max: 32,
            stream_bytes_max: 64 << 10,
            large_events_bytes_max: 64 << 20,
            feed_bytes_max: 8 << 20,
            heartbeat: Duration::from_secs(15),
            reads_max: 8,
            map_reads_max: 2,
            read_wait: Duration::from_secs(5),
            answer_bytes_max: 64 << 20,
            answers_bytes_max: 256 << 20,
            header_timeout: Duration::from_secs(5),
            header_bytes_max: 16 << 10,
            tcp_body_bytes_max: 2 << 20,
            socket_body_bytes_max: 24 << 20,
            bodies_bytes_max: 64 << 20,
            appends_max: 256,
            commands_max: 1_024,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The names and values of the limits, as `Debug` gives them.
    fn options() -> BTreeMap<String, String> {
        let told = format!("{:#?}", ServerOptions::default());
        let lines = told.lines().filter(|line| line.starts_with("    ") && line.ends_with(','));
        let pairs = lines.filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
        let limits = pairs.filter(|(_, value)| value.starts_with(|c: char| c.is_ascii_digit()));
        limits.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The same of the table in docs/http.md.
    fn table() -> BTreeMap<String, String> {
        let docs = include_str!("../../../docs/http.md");
        let (_, limits) = docs.split_once("\n## Limits\n").unwrap();
        let rows =
            limits.split("\n## ").next().unwrap().lines().filter(|row| row.starts_with("| `"));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        cells.map(|cells| (cells[1].trim_matches('`').to_owned(), value(cells[2]))).collect()
    }

    /// A value as `Debug` gives it.
    fn value(told: &str) -> String {
        let (number, unit) = told.split_once(' ').unwrap_or((told, ""));
        let number = number.replace(',', "");
        let bytes = |shift: u32| (number.parse::<u64>().unwrap() << shift).to_string();
        match unit {
            "" | "%" => number,
            "s" => number + "s",
            "KiB" => bytes(10),
            "MiB" => bytes(20),
            _ => panic!("{told}: no unit"),
        }
    }

    #[test]
    fn the_table_of_limits_in_the_docs_is_that_of_the_options() {
        assert_eq!(table(), options());
    }
}
