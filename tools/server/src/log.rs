//! The log as a stream: lines of JSON, or server-sent events.
//!
//! Everything that can be refused is refused before the stream begins. A stream then ends because its
//! client goes away or takes nothing for too long, the server stops, or the ledger ends; or an event
//! cannot be read or the client's token holds no more, which the stream says.

use crate::{
    guard::Caller,
    outlet::outlet,
    place::Place,
    places::Slot,
    problem::Problem,
    reads::{Address, LEDGER},
    service::Service,
    stream::Stream,
    text::Form,
    wanted::Wanted,
};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
    },
    response::Response,
};
use taskledger::{
    Code,
    event::ActionKind,
    ids::{Head, Root, Size},
    ledger::ReadError,
};
use taskledger_contract::answers::from_hex;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A question for a stream.
#[derive(Debug)]
pub(crate) struct Asked {
    form: Form,
    after: Head,
    /// The root was not named, so any history will do.
    any_root: bool,
    follow: bool,
    wanted: Wanted,
}

/// True if the request for the log is one for a stream.
pub(crate) fn is_stream((segments, params): &Address, headers: &HeaderMap) -> bool {
    let named = |name: &str| params.iter().any(|(found, _)| found == name);
    segments.as_slice() == ["log"] && (accepts_events(headers) || named("follow") || named("after"))
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// Reads the question.
pub(crate) fn parse(params: Vec<(String, String)>, headers: &HeaderMap) -> Result<Asked, Problem> {
    let form = if accepts_events(headers) { Form::Events } else { Form::Lines };
    let mut asked = Asked {
        form,
        after: Head::EMPTY,
        any_root: false,
        follow: form == Form::Events,
        wanted: Wanted::default(),
    };
    let (mut after, mut root, mut seen) = (None, None, Vec::new());
    for (name, value) in params {
        let bad = |why: &str| Problem::bad_request(format!("{name}: {why}"));
        if seen.contains(&name) {
            return Err(bad("it is given more than once"));
        }
        match name.as_str() {
            "after" => {
                after = Some(value.parse().map_err(|_| bad("expected a number of events"))?);
            }
            "root" => root = Some(parse_root(&value).ok_or_else(|| bad("expected 64 hex digits"))?),
            "follow" => asked.follow = value.parse().map_err(|_| bad("expected true or false"))?,
            "thread" => asked.wanted.thread = Some(value.parse().map_err(|_| bad("no thread id"))?),
            "task" => asked.wanted.task = Some(value.parse().map_err(|_| bad("no task id"))?),
            "action" => {
                let kind =
                    |text: &str| ActionKind::ALL.into_iter().find(|kind| kind.as_str() == text);
                let kinds: Option<Vec<_>> = value.split(',').map(kind).collect();
                asked.wanted.actions = kinds.ok_or_else(|| bad("no kind of event"))?;
            }
            _ => {
                return Err(Problem::bad_request(format!(
                    "unknown parameter {name:?} of a stream"
                )));
            }
        }
        seen.push(name);
    }
    // What a browser sends when it comes back is newer than the address it began with.
    if let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        let id = id.to_str().ok().and_then(parse_id);
        asked.after = id.ok_or_else(|| Problem::bad_request("Last-Event-ID: expected SEQ:ROOT"))?;
        return Ok(asked);
    }
    asked.after.size = Size::new(after.unwrap_or(0));
    asked.any_root = root.is_none();
    asked.after.root = root.unwrap_or(Root::EMPTY);
    Ok(asked)
}

fn parse_id(id: &str) -> Option<Head> {
    let (size, root) = id.split_once(':')?;
    Some(Head { size: Size::new(size.parse().ok()?), root: parse_root(root)? })
}

fn parse_root(text: &str) -> Option<Root> {
    from_hex(text).map(Root)
}

/// Begins a stream, or refuses it.
pub(crate) async fn begin(
    service: &Service,
    caller: &Caller,
    slot: Option<&Slot>,
    asked: Asked,
) -> Result<Response, Problem> {
    let permit = service.pools().stream(caller)?;
    let turn = service.pools().turn(caller, false).await?;
    let Asked { form, mut after, any_root, follow, wanted } = asked;
    let reader = service.ledger().reader();
    let at = reader.run(move |reader| {
        let _turn = turn;
        if any_root {
            after.root = reader.root_at(after.size)?;
        }
        Place::after(reader, after)
    });
    let at = at.await.map_err(|error| refused(service, &error))?;
    // A host that serves by itself has no slots: there the stream holds its place.
    let place = match slot {
        Some(slot) => {
            slot.change(permit);
            None
        }
        None => Some(permit),
    };
    let (outlet, body) = outlet();
    let stream = Stream::new(service, caller, (wanted, form, follow), outlet, place);
    service.spawn(stream.run(at));
    let mut response = Response::new(Body::new(body));
    let kind = match form {
        Form::Lines => "application/x-ndjson",
        Form::Events => "text/event-stream",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let ledger = service.ledger().reader().ledger_id().to_string();
    headers.extend(HeaderValue::try_from(ledger).ok().map(|ledger| (LEDGER, ledger)));
    Ok(response)
}

/// A client that has another history is told where this one ends.
pub(crate) fn refused(service: &Service, error: &ReadError) -> Problem {
    let head = service.ledger().reader().head();
    // A longer history than this one is another one, too.
    let longer = matches!(error, ReadError::NoSuchEvent { .. });
    let code = if longer { Code::OtherHistory } else { error.code() };
    let problem = Problem::of_code(code, error);
    if code != Code::OtherHistory {
        return problem;
    }
    problem.with("size", head.size.get()).with("root", head.root.to_string())
}
