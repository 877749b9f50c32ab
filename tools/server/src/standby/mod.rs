//! A server that follows another node, and may take over from it.
//!
//! The state is that of [`taskledger::replication`]: [`drive`] does for it what [`Standby`] asks for, and
//! [`promote`] what a candidate does. Start reading at [`Nodes`].

mod announce;
mod connection;
mod drive;
mod promote;
mod routes;
pub(crate) mod wire;

pub(crate) use promote::promote;
pub(crate) use routes::{answer, status};

use crate::{client::Client, service::Service};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use taskledger::{
    Ledger,
    ids::NodeId,
    ledger::Role,
    replication::{
        candidate::Heard,
        standby::{Effect, Event, Lag, Standby, Status},
    },
};
use tokio::sync::Notify;

/// The other nodes of a ledger, and what this one does about them.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// The nodes that were named: sources to follow, in this order, and whom a promotion asks.
    others: Vec<Client>,
    began: Instant,
    state: Mutex<State>,
    /// Wakes the driver.
    posted: Notify,
    /// One promotion at a time.
    promoting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    standby: Standby,
    /// Events that the driver has not taken yet.
    events: VecDeque<Event>,
    /// The one of the others that it follows or tries.
    source: usize,
    /// The last reason for not following.
    why: Option<String>,
    /// Sources that have refused for good, one after the other.
    refused: usize,
}

impl Nodes {
    pub(crate) fn new(ledger: &Ledger, others: Vec<Client>) -> Self {
        let own = ledger.node_status();
        let standby = Standby::new(own.ledger, own.head, own.epoch, own.promised);
        let events = VecDeque::new();
        let state = State { standby, events, source: 0, why: None, refused: 0 };
        Self {
            others,
            began: Instant::now(),
            state: Mutex::new(state),
            posted: Notify::new(),
            promoting: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn others(&self) -> &[Client] {
        &self.others
    }

    /// The name of a node that was named.
    fn name_of(&self, place: usize) -> String {
        self.others.get(place).map(|other| other.address().to_string()).unwrap_or_default()
    }

    /// The time of the state machine.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the driver take an event of this process.
    pub(crate) fn post(&self, event: Event) {
        self.state().events.push_back(event);
        self.posted.notify_one();
    }

    fn step(&self, event: Event) -> Vec<Effect> {
        let now = self.now();
        self.state().standby.step(now, event)
    }

    /// The state of the standby, how far it is behind, and the reason if it does not follow.
    pub(crate) fn followed(&self) -> (Status, Lag, Option<String>) {
        let state = self.state();
        let status = state.standby.status();
        let why = match &status {
            Status::Resting(rest) => Some(rest.to_string()),
            Status::Disconnected => state.why.clone(),
            Status::CatchingUp | Status::Following => None,
        };
        (status, state.standby.lag(self.now()), why)
    }

    /// The address of the source, and its node once it has greeted.
    pub(crate) fn source(&self) -> (Option<String>, Option<NodeId>) {
        let state = self.state();
        let name = (!self.others.is_empty()).then(|| self.name_of(state.source));
        (name, state.standby.source())
    }

    /// The last that was heard of the source.
    fn heard(&self) -> Heard {
        let state = self.state();
        let Lag { events, bytes, age } = state.standby.lag(self.now());
        Heard { age, events, bytes, reserved: state.standby.reserved() }
    }
}

impl Service {
    /// Names the other nodes of the ledger: a standby follows the first of them that takes it, and a
    /// promotion asks all of them. Once; later ones are ignored.
    #[must_use]
    pub fn with_nodes(self, others: Vec<Client>) -> Self {
        self.set_nodes(Nodes::new(self.ledger(), others));
        self
    }

    /// Asks the other nodes, before anything is recorded, whether one of them has taken over meanwhile; then this
    /// one is fenced. A node that does not answer within two seconds is not waited for.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn meet_nodes(&self) {
        if self.ledger().role() == Role::Primary {
            announce::meet(self).await;
        }
    }

    /// Follows a source while the ledger is a standby, and tells the other nodes of the epoch while it is
    /// a primary, until the server [stops](Self::stop).
    ///
    /// # Cancel safety
    /// Cancel safe: events that are on their way may still be written, and are not acknowledged.
    pub async fn follow_source(&self) {
        if self.nodes().others().is_empty() {
            return;
        }
        if self.ledger().role() == Role::Standby {
            drive::drive(self).await;
        }
        if self.ledger().role() == Role::Primary && !self.closing().is_cancelled() {
            announce::announce(self).await;
        }
    }
}
