//! Does what a candidate asks for: surveys, promises, fetches, takes over, announces.

use super::{
    announce::{self, Told, tell},
    connection::{Connected, chain, connect},
    drive::is_passing,
};
use crate::{
    client::{Client, Recording},
    service::Service,
};
use std::{collections::VecDeque, time::Duration};
use taskledger::{
    ids::{Epoch, Head},
    ledger::NodeStatus,
    replication::{
        candidate::{
            ANSWER_MAX, Candidate, Effect, Event, Heard, Outcome, PromoteError, Unanswered, Wishes,
        },
        message::Message,
        standby,
    },
};
use taskledger_contract::answers::{NodeBody, ProblemBody, PromiseRequest, read_single};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

/// The number of tries to fetch the events of a node that has promised, and the pause between them.
const FETCHES_MAX: usize = 5;
const FETCH_PAUSE: Duration = Duration::from_millis(200);
/// The longest silence of a node that is fetched from.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Makes this node the primary. One at a time: a second call waits for the first.
///
/// # Cancel safety
/// Not cancel safe: spawn it.
pub(crate) async fn promote(service: Service, wishes: Wishes) -> Result<Outcome, PromoteError> {
    let nodes = service.nodes();
    let _one = nodes.promoting.lock().await;
    let failed = |what, why: String| PromoteError::Failed { what, why };
    let nonce = getrandom::u64().map_err(|error| failed("draw a number", error.to_string()))?;
    let own = service.ledger().node_status();
    let others = nodes.others();
    // What was heard of before the last start of this node is kept on its disk alone.
    let kept = service.ledger().reserved_numbers();
    let heard = nodes.heard();
    let heard = Heard { reserved: heard.reserved.max(kept), ..heard };
    let mut candidate = Candidate::new(own, others.len(), (wishes, heard));
    let mut due = VecDeque::from(candidate.step(nodes.now(), Event::Begin { nonce }));
    let mut tasks = JoinSet::new();
    loop {
        while let Some(effect) = due.pop_front() {
            let of = |peer: usize| others.get(peer).cloned();
            let service = service.clone();
            match effect {
                Effect::End(ended) => return ended,
                Effect::PromiseHere(epoch) => {
                    tasks.spawn(promise_here(service, epoch));
                }
                Effect::TakeOver { epoch, numbers_from } => {
                    tasks.spawn(take_over(service, epoch, numbers_from));
                }
                Effect::Survey(peer) => {
                    let client = of(peer);
                    tasks.spawn(answered(peer, async move { survey(client).await }));
                }
                Effect::Promise(peer, epoch) => {
                    let client = of(peer);
                    tasks.spawn(answered(peer, async move {
                        ask_promise(client, &service, epoch).await
                    }));
                }
                Effect::Announce(peer, epoch) => {
                    let client = of(peer);
                    tasks.spawn(answered(peer, async move {
                        let own = service.ledger().node_status();
                        let Some(client) = client else { return Err(unnamed()) };
                        match tell(&client, &service, epoch, own.head).await {
                            Told::Knows => Ok(own),
                            Told::Later(epoch) => Err(Unanswered::Higher(epoch)),
                            Told::Not => Err(Unanswered::Lost("it was not told".to_owned())),
                        }
                    }));
                }
                Effect::Fetch(peer, upto) => {
                    let (client, epoch) = (of(peer), candidate.epoch());
                    tasks.spawn(async move {
                        let Some(client) = client else {
                            return Event::Fetched(Err("it was not named".to_owned()));
                        };
                        Event::Fetched(fetch(&service, &client, epoch, upto).await)
                    });
                }
            }
        }
        let event = match tasks.join_next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => return Err(failed("go on", error.to_string())),
            None => return Err(failed("go on", "nothing is left to wait for".to_owned())),
        };
        due.extend(candidate.step(nodes.now(), event));
    }
}

fn unnamed() -> Unanswered {
    Unanswered::Lost("it was not named".to_owned())
}

/// The answer of a peer, or that it gave none in time.
async fn answered(
    peer: usize,
    asked: impl Future<Output = Result<NodeStatus, Unanswered>>,
) -> Event {
    let late = |_| Err(Unanswered::Lost(format!("no answer in {ANSWER_MAX:?}")));
    Event::Answered(peer, timeout(ANSWER_MAX, asked).await.unwrap_or_else(late))
}

pub(super) async fn survey(client: Option<Client>) -> Result<NodeStatus, Unanswered> {
    let client = client.ok_or_else(unnamed)?;
    let answer = client.ask("/v1/replication/node").await;
    node_of(answer)
}

async fn ask_promise(
    client: Option<Client>,
    service: &Service,
    epoch: Epoch,
) -> Result<NodeStatus, Unanswered> {
    let client = client.ok_or_else(unnamed)?;
    let ledger = service.ledger().reader().ledger_id();
    let body = serde_json::to_vec(&PromiseRequest { epoch: epoch.into() });
    let body = body.map_err(|error| Unanswered::Refused(error.to_string()))?;
    let (target, key, ledger) = ("/v1/replication/promise", None, Some(ledger));
    node_of(client.record(Recording { target, key, ledger, body: body.into() }).await)
}

fn node_of(
    answer: Result<crate::client::Answer, crate::client::ClientError>,
) -> Result<NodeStatus, Unanswered> {
    let answer = answer.map_err(|error| Unanswered::Lost(chain(&error)))?;
    if answer.status == 200 {
        let node: Option<NodeBody> = read_single(&answer.body).ok();
        let status = node.and_then(|node| node.status());
        return status.ok_or_else(|| Unanswered::Lost("its answer is not that of a node".into()));
    }
    let problem = serde_json::from_slice::<ProblemBody>(&answer.body);
    let Ok(problem) = problem else {
        return Err(Unanswered::Lost(format!("it answers with status {}", answer.status)));
    };
    match problem.epoch {
        Some(epoch) if problem.code == "higher-epoch" => Err(Unanswered::Higher(epoch.into())),
        _ => Err(Unanswered::Refused(problem.detail)),
    }
}

async fn promise_here(service: Service, epoch: Epoch) -> Event {
    let ledger = service.ledger().clone();
    let promised = spawn_blocking(move || ledger.promise_blocking(epoch)).await;
    Event::PromisedHere(match promised {
        Ok(Ok(status)) => {
            service.role_changed();
            service.nodes().post(standby::Event::Promised(epoch));
            Ok(status)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

async fn take_over(service: Service, epoch: Epoch, numbers_from: u64) -> Event {
    let ledger = service.ledger().clone();
    let taken = spawn_blocking(move || ledger.take_over_blocking(epoch, numbers_from)).await;
    Event::TookOver(match taken {
        Ok(Ok(head)) => {
            service.role_changed();
            service.nodes().post(standby::Event::TookOver);
            let announcing = service.clone();
            service.spawn(async move { announce::announce(&announcing).await });
            Ok(head)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// Fetches the events up to `upto` from a node that has promised, and writes them.
async fn fetch(
    service: &Service,
    client: &Client,
    epoch: Epoch,
    upto: Head,
) -> Result<Head, String> {
    let mut last = String::new();
    for _ in 0..FETCHES_MAX {
        match fetch_once(service, client, epoch, upto).await {
            Ok(head) if head == upto => return Ok(head),
            Ok(head) => last = format!("the stream ended at {}", head.size),
            Err((why, passes)) if passes => last = why,
            Err((why, _)) => return Err(why),
        }
        sleep(FETCH_PAUSE).await;
    }
    Err(last)
}

/// One try; of an error, the second says whether it may pass.
async fn fetch_once(
    service: &Service,
    client: &Client,
    epoch: Epoch,
    upto: Head,
) -> Result<Head, (String, bool)> {
    let own = service.ledger().node_status();
    let mut head = own.head;
    let connected = connect(client.clone(), own, head, own.epoch, false).await;
    let mut connection = match connected {
        Connected::Greeted(connection, _) => connection,
        Connected::Refused(rest) => return Err((rest.to_string(), false)),
        Connected::Lost(why) => return Err((why, true)),
    };
    while head.size < upto.size {
        let next = timeout(SILENCE_MAX, connection.next()).await;
        match next.map_err(|_| ("the source is silent".to_owned(), true))? {
            (standby::Event::Message(Message::Frames(frames)), _) => {
                let Some(expect) = frames.head() else { break };
                let (ledger, frames) = (service.ledger().clone(), frames.frames);
                let written = ledger.ingest_by(epoch, frames, Some(expect)).await;
                head = written.map_err(|error| (error.to_string(), is_passing(&error)))?;
            }
            (standby::Event::Message(Message::Beat(_)), _) => {}
            (_, why) => return Err((why.unwrap_or_else(|| "the stream ended".into()), true)),
        }
    }
    Ok(head)
}
