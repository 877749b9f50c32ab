//! Recording: one command for each path, or a batch.
//!
//! The body is read by [`taskledger::wire`], so that an error names a place in it. The append runs in a task of its own: a client that goes away half way loses nothing, and its key gives it the
//! same receipts when it comes back.

use crate::{
    guard::{Caller, Role, needs},
    keys::{Keys, keys_of},
    manager::{self, Message},
    options::ServerOptions,
    pools::{Full, Kept},
    problem::Problem,
    reads::LEDGER,
    routes::{Does, Records, segments},
    service::Service,
    source::standing::fenced,
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use std::{io, time::Duration};
use taskledger::{
    Code,
    command::{Batch, Command, Proposal},
    ids::{Seq, TaskId},
    ledger::AppendError,
    wire::{self, Alone},
};
use taskledger_contract::{
    answers::{ReceiptBody, ReceiptsBody},
    questions::{Question, ShowQuestion},
    render::{self, Form},
};
use tokio::{sync::oneshot, time::timeout};

/// The command that a request records.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Batch,
    Spawn,
    End(TaskId),
    Emit(TaskId),
    Update(TaskId),
    Cancel(TaskId),
    Message(TaskId),
    Redact,
}

impl Kind {
    /// The kind of a request for this path.
    fn of(what: Records, path: &str) -> Result<Self, Problem> {
        let segments = segments(path)?;
        let task = || {
            let id = segments.get(1).map(String::as_str).unwrap_or_default();
            id.parse().map_err(|error| Problem::bad_request(format!("task {id:?}: {error}")))
        };
        Ok(match what {
            Records::Batch => Self::Batch,
            Records::Spawn => Self::Spawn,
            Records::End => Self::End(task()?),
            Records::Emit => Self::Emit(task()?),
            Records::Update => Self::Update(task()?),
            Records::Cancel => Self::Cancel(task()?),
            Records::Message => Self::Message(task()?),
            Records::Redact => Self::Redact,
        })
    }

    /// The command whose fields the body has, unless it is a batch or a message.
    fn alone(&self) -> Option<Alone<'_>> {
        Some(match self {
            Self::Batch | Self::Message(_) => return None,
            Self::Spawn => Alone::Spawn,
            Self::End(task) => Alone::End(task),
            Self::Emit(task) => Alone::Emit(task),
            Self::Update(task) => Alone::Update(task),
            Self::Cancel(task) => Alone::Cancel(task),
            Self::Redact => Alone::Redact,
        })
    }
}

/// The commands that the body of a request holds.
#[cfg(feature = "test-util")]
pub(crate) fn parse(does: Does, path: &str, body: &[u8]) -> Option<Batch> {
    let Does::Record(what) = does else { return None };
    let kind = Kind::of(what, path).ok()?;
    if let Kind::Message(task) = &kind {
        let _ = Message::read(task, body, &Keys::None, true);
        return None;
    }
    batch(&kind, body).ok()
}

/// Records what a request says.
pub(crate) async fn write(
    State(service): State<Service>,
    Extension(caller): Extension<Option<Caller>>,
    what: Records,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let recorded = record(&service, caller.as_ref(), what, &parts, body).await;
    recorded.unwrap_or_else(Problem::into_response)
}

async fn record(
    service: &Service,
    caller: Option<&Caller>,
    what: Records,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = needs(caller, Does::Record(what).role().unwrap_or(Role::Admin))?;
    let kind = Kind::of(what, parts.uri.path())?;
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::bad_request("a write has no parameters"));
    }
    check_json(&parts.headers)?;
    let own = is_meant(service, &parts.headers)?;
    let keys = keys_of(&parts.headers, caller)?;
    let by_socket = caller.is_at_socket();
    let options = service.options();
    let (name, max) = if by_socket {
        ("socket_body_bytes_max", options.socket_body_bytes_max)
    } else {
        ("tcp_body_bytes_max", options.tcp_body_bytes_max)
    };
    let kept = service.pools().body(caller, max);
    let body = read(body, kept, name, options.body_timeout).await?;
    let recording = if let Kind::Message(task) = &kind {
        Recording::Message(Message::read(task, body.as_ref(), &keys, by_socket)?)
    } else {
        let batch = batch(&kind, body.as_ref())?;
        check_batch(&batch, caller, options)?;
        Recording::Batch(keyed(batch, &keys, by_socket)?)
    };
    let held = body.into_room();
    let turn = service.pools().append(caller)?;
    let (tell, told) = oneshot::channel();
    let working = service.clone();
    service.spawn(async move {
        let recorded = recording.record(&working).await;
        drop((held, turn));
        // Its client may be gone.
        let _ = tell.send(recorded);
    });
    match told.await {
        Ok(recorded) => {
            let mut response = answer(&kind, recorded?)?;
            response.headers_mut().insert(LEDGER, own);
            Ok(response)
        }
        Err(_) => Err(refused(&AppendError::OutcomeUnknown { key: None })),
    }
}

/// The thing to record, as it was read.
enum Recording {
    Batch(Batch),
    Message(Message),
}

impl Recording {
    async fn record(self, service: &Service) -> Result<Vec<ReceiptBody>, Problem> {
        match self {
            Self::Message(message) => Ok(vec![message.send(service).await?]),
            Self::Batch(batch) => {
                let recorded = service.ledger().append(batch.clone()).await;
                let receipts = recorded.map_err(|error| refused(&error))?;
                Ok(manager::told(service, &batch, &receipts))
            }
        }
    }
}

fn check_batch(batch: &Batch, caller: &Caller, options: &ServerOptions) -> Result<(), Problem> {
    if batch.len() > options.commands_max {
        let text = format!("a batch of {} commands", batch.len());
        return Err(too_large("commands_max", options.commands_max, &text));
    }
    let by_socket = caller.is_at_socket();
    if !by_socket && batch.iter().any(wire::is_importers) {
        let text = "commands of an importer are taken by the socket alone";
        return Err(Problem::bad_request(text));
    }
    if batch.iter().any(|proposal| matches!(proposal.command, Command::Redact(_))) {
        needs(Some(caller), Role::Admin)?;
    }
    Ok(())
}

/// The id of the ledger, if it is the one that the client means, where it names one: another may have
/// come to the address since it last asked.
fn is_meant(service: &Service, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let own = service.ledger().reader().ledger_id().to_string();
    let other = headers.get(LEDGER).filter(|meant| meant.as_bytes() != own.as_bytes());
    match HeaderValue::try_from(&own) {
        Ok(value) if other.is_none() => Ok(value),
        _ => {
            let text = format!("this is ledger {own}, and another one is meant");
            Err(Problem::new(StatusCode::CONFLICT, Code::OtherHistory.as_str(), text))
        }
    }
}

pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = "what is recorded is sent as application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", text))
}

fn too_large(name: &'static str, max: usize, what: &str) -> Problem {
    let detail = format!("{what}; the limit {name} is {max}");
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
    problem.with("limit", name).with("max", max)
}

/// The body, whose bytes take room as they come: one that is announced and does not come takes none.
pub(crate) async fn read(
    mut body: Body,
    mut kept: Kept,
    name: &'static str,
    longest: Duration,
) -> Result<Kept, Problem> {
    let whole = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body was cut"))?;
            let Ok(bytes) = frame.into_data() else { continue };
            kept.extend(&bytes).map_err(|full| match full {
                Full::One { max } => too_large(name, max, "a longer body"),
                Full::All(met) => met.refuse("too many bytes are being recorded"),
            })?;
        }
        Ok(kept)
    };
    timeout(longest, whole).await.unwrap_or_else(|_| {
        let text = format!("the body took longer than body_timeout, {longest:?}");
        let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", text);
        let max = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Err(problem.with("limit", "body_timeout").with("max", max))
    })
}

/// The batch that a request of this kind asks for.
fn batch(kind: &Kind, body: &[u8]) -> Result<Batch, Problem> {
    let read = match kind.alone() {
        Some(command) => wire::alone_from_json(command, body).map(Batch::from),
        None => wire::from_json(body),
    };
    read.map_err(|error| Problem::of_code(error.code(), &error))
}

/// The batch with a key for each command. By TCP nothing is recorded without one: an answer that is
/// lost on the way could not be asked for again.
fn keyed(batch: Batch, keys: &Keys, by_socket: bool) -> Result<Batch, Problem> {
    let mut proposals = Vec::<Proposal>::from(batch);
    for (index, proposal) in proposals.iter_mut().enumerate() {
        match (keys.of(index), proposal.key) {
            (Some(_), Some(_)) => {
                let text = "a batch with an Idempotency-Key has no keys of its own";
                return Err(Problem::bad_request(text));
            }
            (Some(key), None) => proposal.key = Some(key),
            // A key of its own, too: it would be no key of this client's alone.
            (None, _) if !by_socket => return Err(no_key()),
            (None, _) => {}
        }
    }
    Ok(proposals.into())
}

/// The refusal of a request by TCP without a key.
pub(crate) fn no_key() -> Problem {
    let text = "an Idempotency-Key is needed, so that this can be sent again safely";
    Problem::new(StatusCode::BAD_REQUEST, "key-missing", text)
}

fn answer(kind: &Kind, receipts: Vec<ReceiptBody>) -> Result<Response, Problem> {
    let written = |error: io::Error| Problem::invalid(&error);
    let one = receipts.first().filter(|_| *kind != Kind::Batch).cloned();
    let spawned = one.as_ref().filter(|_| *kind == Kind::Spawn);
    let spawned = spawned.and_then(|receipt| receipt.task_id.as_ref()?.parse().ok());
    let text = match one {
        Some(receipt) => render::single(Form::Jsonl, receipt),
        None => render::single(Form::Jsonl, ReceiptsBody { receipts }),
    };
    let mut response = Response::new(Body::from(text.map_err(written)?));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(task) = spawned {
        let path = Question::Show(ShowQuestion { task }).target(None);
        headers.extend(HeaderValue::try_from(path).ok().map(|path| (LOCATION, path)));
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// An append that was refused, with the facts that a program decides by.
pub(crate) fn refused(error: &AppendError) -> Problem {
    let problem = Problem::of_code(error.code(), error);
    if let AppendError::Fenced { by } = error {
        return fenced(*by);
    }
    if let AppendError::KeyReused { seq } = error {
        return problem.with("seq", seq.get());
    }
    if let AppendError::Conflict { expected, actual } = error {
        let [expected, actual] = [expected, actual].map(|seq| seq.map(Seq::get));
        return problem.with("expected", expected).with("actual", actual);
    }
    problem
}
