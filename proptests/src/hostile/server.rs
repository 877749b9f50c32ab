//! Bytes that strangers send to a server: addresses, bodies, headers, whole connections; and its file of
//! tokens.

use super::Input;
use taskledger::{
    Ledger, Options,
    time::{ManualClock, Millis, SeededEntropy},
    wire,
};
use taskledger_server::{Service, options::ServerOptions, parsers};

/// The target of a question.
///
/// # Panics
/// If the question that was read is not asked by the target that it is written as.
pub fn question(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(target) = parsers::question(text) {
        assert_eq!(parsers::question(&target).as_ref(), Some(&target), "{text:?}");
    }
}

/// The target of a stream of the log and, after a line break, its `Last-Event-ID`.
pub fn stream(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (target, id) = bytes.split_at(end);
    if let Ok(target) = std::str::from_utf8(target) {
        let _ = parsers::stream(target, id.get(1..).unwrap_or_default());
    }
}

/// The body of a request that records; the first byte chooses the path.
///
/// # Panics
/// If the commands that were read are not those that they are written as.
pub fn body(bytes: &[u8]) {
    const PATHS: [&str; 8] = [
        "/v1/append",
        "/v1/tasks",
        "/v1/tasks/a/end",
        "/v1/tasks/a/events",
        "/v1/tasks/a/update",
        "/v1/tasks/a/cancel",
        "/v1/tasks/a/messages",
        "/v1/admin/redact",
    ];
    let mut input = Input(bytes);
    let path = PATHS.get(usize::from(input.byte()) % PATHS.len()).unwrap_or(&PATHS[0]);
    let Some(batch) = parsers::body(path, input.0) else { return };
    let is_import = batch.iter().any(wire::is_importers);
    let json = if is_import { wire::import_to_json(&batch) } else { wire::to_json(&batch) };
    let Ok(json) = json else { panic!("what was read can be written") };
    assert_eq!(wire::from_json(json.as_bytes()).ok(), Some(batch), "{json}");
}

/// A file of tokens.
///
/// # Panics
/// If the file that is written is not read as the one that it was made of.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(written) = parsers::token_file(text) {
        assert_eq!(parsers::token_file(&written).as_ref(), Some(&written), "{text:?}");
    }
}

/// An `Idempotency-Key`.
///
/// # Panics
/// If two commands have one key, or two clients.
pub fn idempotency_key(bytes: &[u8]) {
    let clients = [None, Some("a"), Some("b")];
    let found = clients.map(|client| parsers::idempotency_key(bytes, client));
    assert!(found.iter().all(|keys| keys.is_some() == found[0].is_some()), "{bytes:?}");
    let mut all: Vec<_> = found.into_iter().flatten().flatten().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "{bytes:?}");
}

/// All that a client sends on a connection; the first byte chooses the door.
///
/// # Panics
/// If the answer does not begin as one, or is a fault of the server.
pub fn connection(bytes: &[u8]) {
    let (by_socket, sent) = door(bytes);
    let answered = answered(bytes);
    if answered.is_empty() {
        return;
    }
    let status = answered.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse::<u16>().ok());
    let Some(status) = status else { panic!("{:?} is no answer", answered.escape_ascii()) };
    assert!((100..500).contains(&status) || status == 503, "{:?}", answered.escape_ascii());
    assert!(by_socket || !(200..300).contains(&status) || is_open(sent), "without a token");
}

/// The answers on a connection to a server of an empty ledger, one after the other.
///
/// # Panics
/// If there is no memory for a ledger.
#[must_use]
pub fn answered(bytes: &[u8]) -> Vec<u8> {
    let (by_socket, sent) = door(bytes);
    let options = Options::default()
        .clock(std::sync::Arc::new(ManualClock::at(Millis(1_700_000_000_000))))
        .entropy(std::sync::Arc::new(SeededEntropy::new(1)));
    let Ok(ledger) = Ledger::in_memory(options) else { panic!("memory gives no errors") };
    let service = Service::new(ledger, None, ServerOptions::default());
    // The limits on time pass at once where nothing else is to be done.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = runtime.enable_time().start_paused(true).build() else {
        panic!("a runtime can be made")
    };
    runtime.block_on(parsers::connection(&service, sent, by_socket))
}

/// The door that is chosen, and the bytes that come through it.
fn door(bytes: &[u8]) -> (bool, &[u8]) {
    let mut input = Input(bytes);
    (input.byte() % 2 == 0, input.0)
}

/// True if the client asks for something that needs no token.
fn is_open(sent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sent);
    ["/healthz", "/readyz"].iter().any(|path| text.contains(path))
}
