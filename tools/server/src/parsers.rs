//! The parsers of the server by themselves, for fuzzers: each takes what a stranger may send.
//!
//! Input that is refused gives nothing; what is read comes back in a form that can be compared.

use crate::{
    accept::Connections,
    guard::{Caller, Peer, Role},
    keys, log, reads, routes,
    service::Service,
    tokens, writes,
};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use taskledger::{command::Batch, ids::Key};
use taskledger_contract::questions::Question;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split},
    select,
    task::yield_now,
    time::{sleep, timeout},
};

/// The time that passes on a paused clock before a look at what the ledger has to do.
const TICK: Duration = Duration::from_millis(100);

/// Reads the target of a question: the target that asks the same.
#[must_use]
pub fn question(target: &str) -> Option<String> {
    let uri: Uri = target.parse().ok()?;
    routes::find(&Method::GET, uri.path()).ok()?;
    let (segments, mut params) = reads::parts(&uri).ok()?;
    reads::form(&mut params, &HeaderMap::new()).ok()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (question, at) = Question::parse(&segments, params).ok()?;
    Some(question.target(at.as_ref()))
}

/// Reads the target of a stream of the log and where it goes on: true if it is one.
#[must_use]
pub fn stream(target: &str, last_event_id: &[u8]) -> bool {
    let Ok(uri) = target.parse::<Uri>() else { return false };
    let Ok(address) = reads::parts(&uri) else { return false };
    let mut headers = HeaderMap::new();
    headers.extend(
        HeaderValue::from_bytes(last_event_id)
            .ok()
            .map(|id| (axum::http::HeaderName::from_static("last-event-id"), id)),
    );
    log::is_stream(&address, &headers) && log::parse(address.1, &headers).is_ok()
}

/// Reads the body of a request that records.
#[must_use]
pub fn body(path: &str, bytes: &[u8]) -> Option<Batch> {
    let route = routes::find(&Method::POST, path).ok()?;
    writes::parse(route.does, path, bytes)
}

/// Reads a file of tokens: as it would be written.
#[must_use]
pub fn token_file(text: &str) -> Option<String> {
    let entries = tokens::parse(text).ok()?;
    Some(entries.iter().map(tokens::line).collect())
}

/// Reads an `Idempotency-Key` of a process at the socket, or of the client with this token: the keys of
/// the first commands.
#[must_use]
pub fn idempotency_key(header: &[u8], client: Option<&str>) -> Option<Vec<Key>> {
    let mut headers = HeaderMap::new();
    let name = axum::http::HeaderName::from_static("idempotency-key");
    headers.insert(name, HeaderValue::from_bytes(header).ok()?);
    let role = Role::Append;
    let token = client.map(|name| {
        let (name, hash, expires) = (name.into(), [0; 32], None);
        tokens::Entry { name, role, hash, expires }
    });
    let caller = token.map_or(Caller::SOCKET, |token| Caller::holder(token, None));
    let keys = keys::keys_of(&headers, &caller).ok()?;
    (0..4).map(|index| keys.of(index)).collect()
}

/// Serves a connection on which a client sends these bytes, and then nothing for a minute: all that it
/// is answered. On a clock that is paused, this takes no time but that of the ledger's threads.
///
/// # Cancel safety
/// Not cancel safe: dropped, it cuts the connection.
pub async fn connection(service: &Service, sent: &[u8], by_socket: bool) -> Vec<u8> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7300));
    let by_tcp = Peer::Tcp { client: address, server: address, tls: false };
    let peer = if by_socket { Peer::Socket } else { by_tcp };
    let (client, server) = duplex(64 << 10);
    let mut connections = Connections::new(service, "connections", 1);
    connections.take_plain(server, peer).await;
    let (mut from, mut to) = split(client);
    let mut answered = Vec::new();
    let whole = async {
        // A connection that is cut takes no more; a stream goes on for as long as it is read.
        let exchange = async { tokio::join!(to.write_all(sent), from.read_to_end(&mut answered)) };
        let _ = timeout(Duration::from_mins(1), exchange).await;
        drop((from, to));
        connections.end().await;
    };
    select! {
        () = whole => {}
        () = wait_for_the_ledger(service) => {}
    }
    answered
}

/// Keeps the clock, for ever. A runtime that has nothing to do moves a paused one on, and knows nothing of
/// the ledger's threads: every limit would pass before they have answered.
async fn wait_for_the_ledger(service: &Service) {
    loop {
        sleep(TICK).await;
        while service.pools().is_at_work() {
            yield_now().await;
        }
    }
}
