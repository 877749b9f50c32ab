//! Tells other nodes of the epoch in which this one is the primary, until each has answered.
//!
//! An old primary that comes back hears of its successor so, and acknowledges nothing more.

use super::{Nodes, connection::chain, promote::survey};
use crate::source::answers;
use crate::{
    client::{Client, Recording},
    service::Service,
};
use std::time::Duration;
use taskledger::{
    ids::{Epoch, Head},
    ledger::Role,
};
use taskledger_contract::answers::{EpochRequest, ProblemBody};
use tokio::{
    select,
    task::JoinSet,
    time::{sleep, timeout},
};

/// The first and the longest pause before a node that has not answered is told again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// The longest time in which a node is waited for before anything is recorded here.
const MEET_MAX: Duration = Duration::from_secs(2);

/// The answer of a node that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It knows.
    Knows,
    /// It knows of a later epoch.
    Later(Epoch),
    /// It has not answered, or not in a way that means something.
    Not,
}

/// Tells all others, for as long as this node is the primary of that epoch.
pub(super) async fn announce(service: &Service) {
    let nodes: &Nodes = service.nodes();
    let own = service.ledger().node_status();
    // The first epoch has no predecessor that could be in charge.
    let Some(epoch) = own.epoch.filter(|epoch| epoch.number > 1) else { return };
    let mut tasks = JoinSet::new();
    for client in nodes.others() {
        tasks.spawn(until_told(service.clone(), client.clone(), epoch, own.head));
    }
    select! {
        () = service.closing().cancelled() => {}
        () = async { while tasks.join_next().await.is_some() {} } => {}
    }
}

async fn until_told(service: Service, client: Client, epoch: Epoch, head: Head) {
    let mut pause = PAUSE.0;
    while service.ledger().role() == Role::Primary {
        match tell(&client, &service, epoch, head).await {
            Told::Knows => return,
            Told::Later(by) => fence(&service, by).await,
            Told::Not => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Fences this node if another one has a later epoch: it was away, or is an older copy of itself.
pub(super) async fn meet(service: &Service) {
    let own = service.ledger().node_status();
    let reached = |epoch: Option<Epoch>| epoch.map_or(0, |epoch| epoch.number);
    let mut tasks = JoinSet::new();
    for client in service.nodes().others() {
        let client = client.clone();
        tasks.spawn(async move { timeout(MEET_MAX, survey(Some(client))).await });
    }
    let mut later = None;
    while let Some(met) = tasks.join_next().await {
        if let Ok(Ok(Ok(other))) = met
            && other.ledger == own.ledger
            && reached(other.epoch) > reached(own.epoch).max(reached(later))
        {
            later = other.epoch;
        }
    }
    if let Some(by) = later {
        fence(service, by).await;
    }
}

/// Ends the reign of this node: the epoch `by` is above its own.
async fn fence(service: &Service, by: Epoch) {
    tracing::error!(epoch = %by, "another node is the primary of a later epoch");
    if let Err(problem) = answers::promise(service, by).await {
        tracing::error!(?problem, "this node could not be fenced");
    }
}

/// Tells a node once.
pub(super) async fn tell(client: &Client, service: &Service, epoch: Epoch, head: Head) -> Told {
    let ledger = service.ledger().reader().ledger_id();
    let (size, root) = (head.size.get(), head.root.to_string());
    let request = EpochRequest { epoch: epoch.into(), size, root };
    let Ok(body) = serde_json::to_vec(&request) else { return Told::Not };
    let (target, key, ledger) = ("/v1/replication/epoch", None, Some(ledger));
    let recording = Recording { target, key, ledger, body: body.into() };
    match client.record(recording).await {
        Ok(answer) if answer.status / 100 == 2 => Told::Knows,
        Ok(answer) => {
            let problem = serde_json::from_slice::<ProblemBody>(&answer.body).ok();
            let later = problem.and_then(|problem| problem.epoch).map(Epoch::from);
            match later.filter(|later| later.number > epoch.number) {
                Some(later) => Told::Later(later),
                None => Told::Not,
            }
        }
        Err(error) => {
            tracing::debug!(error = %chain(&error), "a node could not be told of the epoch");
            Told::Not
        }
    }
}
