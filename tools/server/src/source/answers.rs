//! Questions of nodes to one another: what they are, how far a standby is, promises, and the news that an epoch
//! has begun. And the standbys, for people.

use super::{asked::speaks_for, is_meant, standbys::Progress, standing::higher, stream::durable};
use crate::{
    guard::{Caller, Role, needs},
    problem::Problem,
    reads::{LEDGER, form},
    routes::{Replicates, segments},
    service::Service,
    standby,
    writes::{check_json, read},
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;
use taskledger::{
    Code,
    ids::{Epoch, Head, LedgerId, Root, Size},
    ledger::{NodeStatus, PromiseError, ReadError, Reader},
    proof::Checkpoint,
    replication::standby::Event,
    time::Millis,
};
use taskledger_contract::{
    answers::{
        AckRequest, At, Body as Answer, CheckpointBody, EpochRequest, NodeBody, PromiseRequest,
        StandbyItem, from_hex,
    },
    questions::AskError,
    render::{self, Form},
};
use tokio::task::spawn_blocking;

/// Bytes of a body: all of them are short.
const BODY_BYTES_MAX: usize = 4 << 10;
/// The most that an epoch may be above those that are known. Numbers end, and a promise is for ever.
const EPOCHS_AHEAD_MAX: u64 = 1 << 20;

/// Answers a node.
pub(crate) async fn replicate(
    State(service): State<Service>,
    Extension(caller): Extension<Option<Caller>>,
    what: Replicates,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let answered = answer(&service, caller.as_ref(), what, &parts, body).await;
    answered.unwrap_or_else(Problem::into_response)
}

async fn answer(
    service: &Service,
    caller: Option<&Caller>,
    what: Replicates,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = needs(caller, what.role())?;
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::bad_request("this path has no parameters"));
    }
    let status = service.ledger().node_status();
    let meant = parts.headers.get(LEDGER).map(|id| {
        let id = id.to_str().ok().and_then(from_hex).map(LedgerId);
        id.ok_or_else(|| Problem::bad_request(format!("{LEDGER}: expected 32 hex digits")))
    });
    is_meant(&status, meant.transpose()?)?;
    match what {
        Replicates::Survey => told(status),
        Replicates::Root => root(service, caller, parts).await,
        Replicates::Follow => single(status.ledger, standby::status(service)),
        Replicates::Promote => {
            let request = body_of(service, caller, parts, body).await?;
            single(status.ledger, standby::answer(service, request).await?)
        }
        Replicates::Acknowledge => {
            acknowledge(service, caller, body_of(service, caller, parts, body).await?).await
        }
        Replicates::Promise => {
            let PromiseRequest { epoch } = body_of(service, caller, parts, body).await?;
            told(promise(service, epoch.into()).await?)
        }
        Replicates::Announce => {
            let EpochRequest { epoch, size, root } = body_of(service, caller, parts, body).await?;
            let epoch = Epoch::from(epoch);
            let Head { size, root } = head(size, &root)?;
            tracing::info!(%epoch, size = size.get(), %root, "an epoch has begun");
            // One that is there already says what the node knows.
            if status.epoch == Some(epoch) {
                return told(status);
            }
            told(promise(service, epoch).await?)
        }
    }
}

/// The body of a request.
async fn body_of<T: DeserializeOwned>(
    service: &Service,
    caller: &Caller,
    parts: &Parts,
    body: Body,
) -> Result<T, Problem> {
    check_json(&parts.headers)?;
    let kept = service.pools().body(caller, BODY_BYTES_MAX);
    let longest = service.options().body_timeout;
    let body = read(body, kept, "tcp_body_bytes_max", longest).await?;
    serde_json::from_slice(body.as_ref()).map_err(|error| Problem::invalid(&error))
}

fn head(size: u64, root: &str) -> Result<Head, Problem> {
    let root = from_hex(root).map(Root);
    let root = root.ok_or_else(|| Problem::bad_request("root: expected 64 hex digits"))?;
    Ok(Head { size: Size::new(size), root })
}

/// Takes an acknowledgement: of this history, up to its durable head, by the newest stream of the node.
async fn acknowledge(
    service: &Service,
    caller: &Caller,
    AckRequest { session, size, root }: AckRequest,
) -> Result<Response, Problem> {
    let head = head(size, &root)?;
    let gone = || Problem::new(StatusCode::GONE, "session-gone", "no stream has this session");
    let (node, is_known) = service.standbys().session(&session, head).ok_or_else(gone)?;
    speaks_for(caller, node)?;
    if !is_known {
        check_history(service, caller, head).await?;
    }
    if !service.standbys().acknowledge(&session, head) {
        return Err(gone());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses a head that is none of this log as far as it is durable.
async fn check_history(service: &Service, caller: &Caller, head: Head) -> Result<(), Problem> {
    let own = durable(service);
    let other = |found: Root| {
        let error = ReadError::OtherHistory { expected: head, found };
        let problem = Problem::of_code(Code::OtherHistory, &error);
        Err(problem.with("size", own.size.get()).with("root", own.root.to_string()))
    };
    if head.size > own.size {
        return other(own.root);
    }
    let turn = service.pools().turn(caller, false).await?;
    let reader = service.ledger().reader();
    let root = reader.run(move |reader| {
        let _turn = turn;
        reader.root_at(head.size)
    });
    match root.await {
        Ok(found) if found == head.root => Ok(()),
        Ok(found) => other(found),
        Err(error) => Err(Problem::of_code(error.code(), &error)),
    }
}

/// Promises an epoch. The promise is given to its end also where nobody waits for it.
pub(crate) async fn promise(service: &Service, epoch: Epoch) -> Result<NodeStatus, Problem> {
    let own = service.ledger().node_status();
    let highest = [own.epoch, own.promised].into_iter().flatten().map(|epoch| epoch.number).max();
    if epoch.number > highest.unwrap_or(0).saturating_add(EPOCHS_AHEAD_MAX) {
        return Err(Problem::bad_request("the epoch is too far ahead: no promotions led there"));
    }
    let working = service.clone();
    let promised = spawn_blocking(move || {
        let promised = working.ledger().promise_blocking(epoch);
        working.role_changed();
        promised
    });
    match promised.await {
        Ok(Ok(status)) => {
            tracing::warn!(%epoch, role = %status.role, "this node has promised an epoch");
            // One that follows gives up a source below it.
            service.nodes().post(Event::Promised(epoch));
            Ok(status)
        }
        Ok(Err(PromiseError::Higher { promised })) => Err(higher(promised)),
        Ok(Err(error)) => Err(Problem::of_code(error.code(), &error)),
        Err(died) => {
            let text = format!("whether the promise was given is not known: {died}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", text))
        }
    }
}

/// A node as it is now.
fn told(status: NodeStatus) -> Result<Response, Problem> {
    single(status.ledger, NodeBody::from(status))
}

fn single(ledger: LedgerId, body: impl Answer) -> Result<Response, Problem> {
    let text = render::single(Form::Jsonl, body);
    Ok(json(text.map_err(|error| Problem::invalid(&error))?, ledger, Form::Json))
}

/// The checkpoint at the size that the path names.
async fn root(service: &Service, caller: &Caller, parts: &Parts) -> Result<Response, Problem> {
    let segments = segments(parts.uri.path())?;
    let size = segments.last().and_then(|size| size.parse().ok()).map(Size::new);
    let size = size.ok_or_else(|| Problem::bad_request("expected a number of events"))?;
    let turn = service.pools().turn(caller, false).await?;
    let reader = service.ledger().reader();
    let asked = reader.run(move |reader| {
        let _turn = turn;
        let root = reader.root_at(size)?;
        Ok::<_, ReadError>(Checkpoint { ledger: reader.ledger_id(), size, root })
    });
    let checkpoint = asked.await.map_err(|error| Problem::of_code(error.code(), &error))?;
    single(
        service.ledger().reader().ledger_id(),
        CheckpointBody::new(&checkpoint, checkpoint.to_text()),
    )
}

fn json(text: String, ledger: LedgerId, form: Form) -> Response {
    let kind = match form {
        Form::Json => "application/json",
        Form::Jsonl => "application/x-ndjson",
    };
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(HeaderValue::try_from(ledger.to_string()).ok().map(|id| (LEDGER, id)));
    response
}

/// Answers with the standbys of this node.
pub(crate) async fn standbys(
    State(service): State<Service>,
    Extension(caller): Extension<Option<Caller>>,
    request: Request,
) -> Response {
    list(&service, caller.as_ref(), request).await.unwrap_or_else(Problem::into_response)
}

async fn list(
    service: &Service,
    caller: Option<&Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = needs(caller, Role::Read)?;
    let (_, mut params) = crate::reads::parts(request.uri())?;
    let form = form(&mut params, request.headers())?;
    if let Some((name, _)) = params.first() {
        return Err(Problem::bad_request(format!("unknown parameter {name:?}")));
    }
    let turn = service.pools().turn(caller, false).await?;
    let (asked, reader) = (service.clone(), service.ledger().reader());
    let written = reader.run(move |reader| {
        let _turn = turn;
        let at = At::head(reader)?;
        let items = items(&asked, reader);
        write(form, &at, &items).map_err(AskError::Write)
    });
    Ok(json(written.await?, service.ledger().reader().ledger_id(), form))
}

fn write(form: Form, at: &At, items: &[StandbyItem]) -> std::io::Result<String> {
    let mut text = render::list_begin::<StandbyItem>(form, at)?;
    for (place, item) in items.iter().enumerate() {
        text.push_str(&render::list_item(form, item, place == 0)?);
    }
    text.push_str(render::list_end(form));
    Ok(text)
}

/// The standbys, and how far each is behind. A read for each that lacks something.
pub(crate) fn items(service: &Service, reader: &Reader) -> Vec<StandbyItem> {
    let (own, now) = (durable(service), service.options().clock.now());
    let item = |Progress { node, connected, durable }| {
        let lag_events = own.size.get().saturating_sub(durable.size.get());
        StandbyItem {
            node: node.to_string(),
            connected,
            size: durable.size.get(),
            lag_events,
            lag_bytes: service.standbys().bytes_of(lag_events),
            lag_ms: if lag_events == 0 { Some(0) } else { since(reader, durable.size, now) },
        }
    };
    service.standbys().all().into_iter().map(item).collect()
}

/// The time since the first event was recorded that is not among `size`. `None` if it cannot be read.
fn since(reader: &Reader, size: Size, now: Millis) -> Option<u64> {
    let first = reader.entry(size.next_seq()?).ok()?;
    Some(now.0.saturating_sub(first.event.recorded.0))
}
