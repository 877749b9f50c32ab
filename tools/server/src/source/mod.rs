//! This node as the source of its standbys.
//!
//! A standby asks for the events after its own, and is sent them as frames, in whole batches, as long as it
//! listens. It says by another request how far its log is durable. A candidate that takes over asks for a
//! promise, fetches what it lacks, and says at last that its epoch has begun: from then on this node is fenced.
//! Everything that can be refused is refused before the stream begins. Start reading at [`begin`].
//!
//! | module | holds |
//! |---|---|
//! | `asked` | the question for a stream |
//! | `standing` | who may be given events |
//! | `batches` | the next events, read |
//! | `stream` | the stream on its way |
//! | `standbys` | who is connected, and how far |
//! | `answers` | acknowledgements, promises, and what is told of nodes |

pub(crate) mod answers;
pub(crate) mod asked;
mod batches;
pub(crate) mod standbys;
pub(crate) mod standing;
mod stream;

use self::{
    asked::Asked,
    batches::Batches,
    standbys::{Session, Standbys},
    standing::{Standing, fenced, not_a_source, took_over},
    stream::{Stream, durable},
};
use crate::{
    client::FRAMES,
    guard::Caller,
    log,
    outlet::outlet,
    places::Slot,
    problem::Problem,
    reads::LEDGER,
    service::Service,
    standby::wire::{EPOCH, HEAD, NODE, SESSION},
};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
    },
    response::Response,
};
use taskledger::{ids::LedgerId, ledger::NodeStatus};
use tokio::time::Instant;

/// Begins a stream of frames, or refuses it.
pub(crate) async fn begin(
    service: &Service,
    caller: &Caller,
    slot: Option<&Slot>,
    asked: Asked,
) -> Result<Response, Problem> {
    let status = service.ledger().node_status();
    is_meant(&status, Some(asked.ledger))?;
    if asked.node == status.node {
        return Err(not_a_source("this is the node that asks"));
    }
    let standing = Standing::of(&status)?;
    if let (Standing::Primary, Some(epoch)) = (standing, took_over(asked.epoch, status.epoch)) {
        // Events of that epoch are there already, so another node is in charge.
        answers::promise(service, epoch).await?;
        return Err(fenced(epoch));
    }
    standing.check(asked.follow)?;
    let permit = service.pools().standby_stream(caller)?;
    let turn = service.pools().turn(caller, false).await?;
    let after = asked.after;
    let reader = service.ledger().reader();
    let from = reader.run(move |reader| {
        let _turn = turn;
        Batches::after(reader, after)
    });
    let from = from.await.map_err(|error| log::refused(service, &error))?;
    let session = Session::new().map_err(no_session)?;
    let headers = greeting(service, session);
    let seat = Standbys::join(service, asked.node, after, session);
    // A host that serves by itself has no slots: there the stream holds its place.
    let place = match slot {
        Some(slot) => {
            slot.change(permit);
            None
        }
        None => Some(permit),
    };
    let (outlet, body) = outlet();
    let stream = Stream {
        service: service.clone(),
        caller: caller.clone(),
        seat,
        standing,
        follow: asked.follow,
        outlet,
        told: Instant::now(),
        _place: place,
    };
    tracing::info!(peer = %asked.node, size = asked.after.size.get(), "a standby is connected");
    service.spawn(stream.run(from));
    let mut response = Response::new(Body::new(body));
    *response.headers_mut() = headers;
    Ok(response)
}

/// The headers that tell of this node.
fn greeting(service: &Service, session: Session) -> HeaderMap {
    let (status, head) = (service.ledger().node_status(), durable(service));
    let epoch = status.epoch.map(|epoch| (EPOCH, epoch.to_string()));
    let named: [(HeaderName, String); 4] = [
        (LEDGER, status.ledger.to_string()),
        (NODE, status.node.to_string()),
        (SESSION, session.to_string()),
        (HEAD, format!("{}:{}", head.size, head.root)),
    ];
    let named = named.into_iter().chain(epoch);
    let mut headers: HeaderMap = named
        .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
        .collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FRAMES));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
}

/// Refuses a request that means another ledger; `None` means this one.
fn is_meant(status: &NodeStatus, meant: Option<LedgerId>) -> Result<(), Problem> {
    let own = status.ledger;
    if meant.is_none_or(|meant| meant == own) {
        return Ok(());
    }
    let text = format!("this is a node of ledger {own}, and another one is meant");
    let problem = Problem::new(StatusCode::CONFLICT, "other-ledger", text);
    let own = HeaderValue::try_from(own.to_string()).ok();
    Err(match own {
        Some(own) => problem.header(LEDGER, own),
        None => problem,
    })
}

fn no_session(error: getrandom::Error) -> Problem {
    let text = format!("the system has no random numbers: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", text)
}
