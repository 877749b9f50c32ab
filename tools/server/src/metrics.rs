//! `/metrics`: the numbers of a server, as Prometheus reads them.
//!
//! Requests, refusals and connections are counted here, in bounded memory; log, files and memory are looked
//! at when they are asked for. Labels come from closed sets: never a text,
//! and no id but those of standbys, of which there are few.

use crate::{
    guard::{Caller, Role, needs},
    handshakes::Handshakes,
    problem::Problem,
    recorder::{Buckets, Page},
    service::Service,
    source::answers::items,
    tls::TlsFiles,
};
use ::metrics::HistogramFn as _;
use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use rustix::process::{Resource, getrlimit};
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use taskledger::ledger::Role as LedgerRole;
use taskledger_contract::answers::StandbyItem;
use tokio::task::spawn_blocking;

/// The text format that Prometheus asks for.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The counts of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counted: Mutex<Counted>,
    tcp: Arc<AtomicUsize>,
    socket: Arc<AtomicUsize>,
    handshakes: Handshakes,
    /// Held while a page is made: one at a time.
    making: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Counted {
    /// By method, template of the path, and status.
    requests: BTreeMap<(&'static str, &'static str, u16), u64>,
    seconds: BTreeMap<&'static str, Buckets>,
    /// By the name of the limit.
    refused: BTreeMap<String, u64>,
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub(crate) fn request(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.requests.entry((method, route, status)).or_default() += 1;
        counted.seconds.entry(route).or_default().record(took.as_secs_f64());
    }

    /// Counts a refusal because of a limit.
    pub(crate) fn refused(&self, limit: &str) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.refused.entry(limit.to_owned()).or_default() += 1;
    }

    /// Counts a connection, by TCP or by the socket, until the value is dropped.
    pub(crate) fn connection(&self, by_tcp: bool) -> Open {
        let open = Arc::clone(if by_tcp { &self.tcp } else { &self.socket });
        open.fetch_add(1, Ordering::Relaxed);
        Open(open)
    }

    /// The connections on which TLS did not begin.
    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    fn write(&self, page: &mut Page) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "taskledger_http_requests_total";
        page.family(name, "counter", "Requests that were answered.");
        for ((method, route, status), count) in &counted.requests {
            let status = status.to_string();
            let labels = [("method", *method), ("route", route), ("status", &status)];
            page.sample(name, &labels, count);
        }
        let name = "taskledger_http_request_seconds";
        page.family(name, "histogram", "The time until the head of the answer.");
        for (route, buckets) in &counted.seconds {
            page.histogram(name, &[("route", route)], buckets);
        }
        let name = "taskledger_http_refused_total";
        page.family(name, "counter", "Requests and connections that met a limit of the server.");
        for (limit, count) in &counted.refused {
            page.sample(name, &[("limit", limit)], count);
        }
        let name = "taskledger_http_connections";
        page.family(name, "gauge", "Connections that are open, with those that carry a stream.");
        for (door, open) in [("tcp", &self.tcp), ("socket", &self.socket)] {
            page.sample(name, &[("door", door)], open.load(Ordering::Relaxed));
        }
    }
}

/// Answers with the page.
pub(crate) async fn page(
    State(service): State<Service>,
    Extension(caller): Extension<Option<Caller>>,
) -> Response {
    if let Err(refused) = needs(caller.as_ref(), Role::Read) {
        return refused.into_response();
    }
    let making = Arc::clone(&service.metrics().making).lock_owned().await;
    // Beside the threads for reads: the numbers are wanted most while those have too much to do.
    let made = spawn_blocking(move || {
        let _one = making;
        text(&service)
    });
    match made.await {
        Ok(text) => {
            let mut response = text.into_response();
            response.headers_mut().insert(CONTENT_TYPE, TEXT);
            response
        }
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", "it was not made")
            .into_response(),
    }
}

/// All numbers. Reads the last event, and little files of the system.
fn text(service: &Service) -> String {
    let mut page = Page::default();
    service.metrics().write(&mut page);
    let streams = service.pools().streams_open();
    page.single("taskledger_http_streams", "gauge", "Streams of the log.", streams);
    if let Some(files) = &service.options().tls {
        tls(service, files, &mut page);
    }
    ledger(service, &mut page);
    standbys(service, &mut page);
    process(&mut page);
    if let Some(recorder) = &service.options().recorder {
        recorder.write(&mut page);
    }
    page.finish()
}

/// Looks at the files of the certificate as a connection does.
fn tls(service: &Service, files: &TlsFiles, page: &mut Page) {
    let name = "taskledger_tls_handshakes_failed_total";
    page.family(name, "counter", "Connections on which TLS did not begin, by reason.");
    for (reason, count) in service.metrics().handshakes().counts() {
        page.sample(name, &[("reason", reason.as_str())], count);
    }
    files.look(service.options().clock.now());
    let help = "1 while the files hold a certificate and key that cannot be used.";
    page.single("taskledger_tls_stale", "gauge", help, u8::from(files.is_stale()));
    if let Some(not_after) = files.not_after() {
        let help = "The end of the certificate in use, in seconds since 1970.";
        page.single("taskledger_tls_not_after_seconds", "gauge", help, not_after.0 / 1_000);
    }
}

fn ledger(service: &Service, page: &mut Page) {
    let (ledger, reader) = (service.ledger(), service.ledger().reader());
    let head = reader.head();
    page.single("taskledger_log_events", "gauge", "Events of the log.", head.size);
    if let Some(Ok(last)) = head.size.last_seq().map(|seq| reader.entry(seq)) {
        let age = service.options().clock.now().0.saturating_sub(last.event.recorded.0);
        let age = Duration::from_millis(age).as_secs_f64();
        let help = "The time since the last event was recorded.";
        page.single("taskledger_last_event_age_seconds", "gauge", help, age);
    }
    let flags = [
        ("taskledger_ready", "1 while /readyz says so.", service.not_ready().is_none()),
        ("taskledger_halted", "1 once no appends are taken any more.", ledger.is_halted()),
        (
            "taskledger_shortfall",
            "1 if events are missing or damaged.",
            ledger.shortfall().is_some(),
        ),
        (
            "taskledger_read_only",
            "1 if the server only reads, beside the process that records.",
            ledger.role() == LedgerRole::ReadOnly,
        ),
        (
            "taskledger_fenced",
            "1 once another node is in charge.",
            matches!(ledger.role(), LedgerRole::Fenced { .. }),
        ),
    ];
    for (name, help, holds) in flags {
        page.single(name, "gauge", help, u8::from(holds));
    }
}

/// How far the standbys are. A node that never had one has no series of it.
fn standbys(service: &Service, page: &mut Page) {
    let all = items(service, &service.ledger().reader());
    let connected = all.iter().filter(|standby| standby.connected).count();
    let help = "Standbys that have a stream.";
    page.single("taskledger_standbys_connected", "gauge", help, connected);
    if all.is_empty() {
        return;
    }
    let seconds =
        |item: &StandbyItem| item.lag_ms.map(|ms| Duration::from_millis(ms).as_secs_f64());
    let name = "taskledger_standby_lag_events";
    page.family(name, "gauge", "Events that a standby has not acknowledged.");
    for item in &all {
        page.sample(name, &[("node", &item.node)], item.lag_events);
    }
    let name = "taskledger_standby_lag_bytes";
    page.family(name, "gauge", "About so many bytes of events that it has not acknowledged.");
    for item in &all {
        page.sample(name, &[("node", &item.node)], item.lag_bytes);
    }
    let name = "taskledger_standby_lag_seconds";
    page.family(name, "gauge", "The time since it last had all events.");
    for item in &all {
        if let Some(seconds) = seconds(item) {
            page.sample(name, &[("node", &item.node)], seconds);
        }
    }
}

/// Numbers that have the same names in every program that Prometheus asks.
fn process(page: &mut Page) {
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let open = files.count().saturating_sub(1); // this look is one
        page.single("process_open_fds", "gauge", "Files that are open.", open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        page.single("process_max_fds", "gauge", "Files that may be open.", max);
    }
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    if let Some(resident) = pages.map(|pages| pages * rustix::param::page_size()) {
        page.single("process_resident_memory_bytes", "gauge", "Memory in use.", resident);
    }
}
