//! The log as a stream: lines of JSON, or server-sent events.
//!
//! Everything that can be refused is refused before the stream begins. A stream then ends because its
//! client goes away or takes nothing for too long, the server stops, or the ledger ends; or an event
//! cannot be read or the client's token holds no more, which the stream says.

use crate::{
    feed::{Fed, Feed, Wanted},
    guard::Caller,
    places::Slot,
    problem::Problem,
    reads::{Address, LEDGER},
    rooms::Taken,
    service::Service,
};
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
    },
    response::Response,
};
use http_body_util::{
    BodyExt as _,
    channel::{Channel, Sender},
};
use std::fmt::Write as _;
use taskledger::{
    Code,
    event::ActionKind,
    ids::{Head, Root, Size},
    ledger::ReadError,
};
use taskledger_contract::{answers::EventLine, questions::AskError, safe_json};
use tokio::{
    select,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Pieces of a stream that wait for their client: with those that the system holds, some 256 KiB.
const PIECES: usize = 2;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// The pause between two tries of a client that lost its stream, as a browser is told.
const RETRY: &str = "retry: 2000\n\n";

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Events,
}

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
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Root(bytes))
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
    let feed = reader.run(move |reader| {
        let _turn = turn;
        if any_root {
            after.root = reader.root_at(after.size)?;
        }
        Feed::after(reader, after, wanted)
    });
    let feed = feed.await.map_err(|error| refused(service, &error))?;
    // A host that serves by itself has no slots: there the stream holds its place.
    let place = match slot {
        Some(slot) => {
            slot.change(permit);
            None
        }
        None => Some(permit),
    };
    let (sender, body) = Channel::<Bytes, Lost>::new(PIECES);
    let gone = CancellationToken::new();
    let present = gone.clone().drop_guard();
    let stream = Stream {
        service: service.clone(),
        caller: caller.clone(),
        form,
        follow,
        sender,
        gone,
        due: true,
        sent: Instant::now(),
        _place: place,
    };
    service.spawn(stream.run(feed));
    // Gone with the connection, and then the task ends and gives its place back.
    let body = body.map_frame(move |frame| {
        let _ = &present;
        frame
    });
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
fn refused(service: &Service, error: &ReadError) -> Problem {
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

/// A stream was cut on this side, so its end is no end of the log.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the stream was cut")]
struct Lost;

struct Stream {
    service: Service,
    caller: Caller,
    form: Form,
    follow: bool,
    sender: Sender<Bytes, Lost>,
    /// The client is gone.
    gone: CancellationToken,
    /// A checkpoint is due: what was sent, if anything, does not end with one.
    due: bool,
    /// The last time at which something was sent.
    sent: Instant,
    _place: Option<Taken>,
}

impl Stream {
    /// Sends until the end. Its reads take turns like any other.
    async fn run(mut self, mut feed: Feed) {
        let (closing, gone) = (self.service.closing().clone(), self.gone.clone());
        select! {
            ended = self.send_all(&mut feed) => match ended {
                Ok(()) => {}
                Err(Ended::Told(problem)) => {
                    // The last word: a stream that is cut would take it with it.
                    let _ = self.send(self.problem(&problem)).await;
                }
                Err(Ended::Gone) => self.sender.abort(Lost),
            },
            // Only a checkpoint ends a stream that is whole.
            () = closing.cancelled() => if self.due { self.sender.abort(Lost) },
            () = gone.cancelled() => {}
        }
    }

    async fn send_all(&mut self, feed: &mut Feed) -> Result<(), Ended> {
        if self.form == Form::Events {
            self.send(RETRY.to_owned()).await?;
        }
        loop {
            let before = feed.head();
            for piece in self.read(feed).await? {
                self.due |= !piece.is_empty();
                self.send(piece).await?;
            }
            let head = feed.head();
            if head != before {
                // Much may be read of which nothing is wanted.
                if self.sent.elapsed() >= self.service.options().heartbeat {
                    self.send(self.beat(head)).await?;
                }
                continue;
            }
            if self.due {
                self.send(self.checkpoint(before)).await?;
                self.due = false;
            }
            if !self.follow || !self.wait(before).await? {
                return Ok(());
            }
        }
    }

    /// Reads on, on a thread that may block, and writes what is wanted in pieces.
    async fn read(&self, feed: &mut Feed) -> Result<Vec<String>, Ended> {
        let turn = loop {
            // Nobody waits for an answer here, so a busy server only makes a stream slower.
            if let Ok(turn) = self.service.pools().turn(&self.caller, false).await {
                break turn;
            }
        };
        self.caller.check(&self.service)?;
        let (form, mut ahead) = (self.form, feed.clone());
        let reader = self.service.ledger().reader();
        let read = reader.run(move |reader| {
            let _turn = turn;
            let events = ahead.read(reader)?;
            Ok::<_, AskError>((pieces(form, &events)?, ahead))
        });
        let (pieces, ahead) = read.await.map_err(|error| unreadable(&error))?;
        *feed = ahead;
        Ok(pieces)
    }

    /// Waits for new events, and tells the client now and then that the stream is alive. False once
    /// no more will come.
    async fn wait(&mut self, seen: Head) -> Result<bool, Ended> {
        let reader = self.service.ledger().reader();
        let heartbeat = self.service.options().heartbeat;
        loop {
            let grown = timeout_at(self.sent + heartbeat, reader.grown(seen.size)).await;
            if let Ok(grown) = grown {
                return Ok(grown.is_some());
            }
            self.caller.check(&self.service)?;
            self.send(self.beat(seen)).await?;
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        if text.is_empty() {
            return Ok(());
        }
        let longest = self.service.options().write_timeout;
        match timeout(longest, self.sender.send_data(text.into())).await {
            Ok(Ok(())) => {
                self.sent = Instant::now();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Ended::Gone),
        }
    }

    /// Where the stream stands, for a client that comes back. Events have it as their id.
    fn checkpoint(&self, head: Head) -> String {
        match self.form {
            Form::Lines => {
                format!(
                    "{{\"checkpoint\":{{\"size\":{},\"root\":\"{}\"}}}}\n",
                    head.size, head.root
                )
            }
            Form::Events => format!(
                "id: {}:{}\nevent: checkpoint\ndata: {}\n\n",
                head.size, head.root, head.size
            ),
        }
    }

    fn beat(&self, head: Head) -> String {
        match self.form {
            Form::Lines => self.checkpoint(head),
            // An id without data is no event, and what a browser comes back with all the same.
            Form::Events => format!(":\nid: {}:{}\n\n", head.size, head.root),
        }
    }

    fn problem(&self, problem: &Problem) -> String {
        let problem = problem.to_line();
        match self.form {
            Form::Lines => format!("{{\"problem\":{problem}}}\n"),
            Form::Events => format!("event: problem\ndata: {problem}\n\n"),
        }
    }
}

/// The reason that a stream ends early.
enum Ended {
    /// The client is gone, or takes nothing.
    Gone,
    /// An event could not be read, or the client may read no more.
    Told(Problem),
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Self::Told(problem)
    }
}

fn unreadable(error: &AskError) -> Problem {
    Problem::of_code(error.code().unwrap_or(Code::StorageFailed), error)
}

/// Events in pieces of bounded size: none is cut, so a large one is a piece alone.
fn pieces(form: Form, events: &[Fed]) -> Result<Vec<String>, AskError> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    for (entry, head) in events {
        let line = safe_json::to_string(&EventLine::from(entry))?;
        if !piece.is_empty() && piece.len() + line.len() > PIECE_BYTES {
            pieces.push(std::mem::take(&mut piece));
        }
        // Writing to a string cannot fail.
        let _ = match form {
            Form::Lines => writeln!(piece, "{line}"),
            Form::Events => writeln!(piece, "id: {}:{}\ndata: {line}\n", head.size, head.root),
        };
    }
    pieces.push(piece);
    Ok(pieces)
}
