//! The standbys of this node: which have a stream, and how far each is durable.
//!
//! A standby has one stream at a time: a newer one takes the place of the one before, and only its session may
//! acknowledge. Bounded: those that are connected, and the 64 that were heard of last. Nothing of it survives
//! the process; a standby says anew where it is. Start reading at [`Standbys::join`].

use crate::service::Service;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use taskledger::ids::{Head, NodeId};
use taskledger_contract::answers::hex;
use tokio_util::sync::CancellationToken;

/// The most standbys that are remembered while one of them is not connected.
const KNOWN_MAX: usize = 64;
/// The heads that were sent last, by which the root of an acknowledgement is known without a read.
const SENT_MAX: usize = 64;
/// Bytes of an event, until some were sent.
const EVENT_BYTES: u64 = 400;
/// The weight of what was seen before in the mean of the bytes of an event.
const SEEN: u64 = 7;

/// The standbys of a node.
#[derive(Debug)]
pub(crate) struct Standbys(Mutex<State>);

#[derive(Debug)]
struct State {
    known: BTreeMap<NodeId, Known>,
    /// About so many bytes has an event.
    event_bytes: u64,
}

#[derive(Debug)]
struct Known {
    stream: Option<Connected>,
    /// Its durable head, as it has said.
    durable: Head,
    heard: Instant,
}

#[derive(Debug)]
struct Connected {
    session: Session,
    replaced: CancellationToken,
    /// The newest heads that were sent.
    sent: VecDeque<Head>,
}

/// The name of a stream, which nobody else can tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Session([u8; 16]);

/// A standby, as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) node: NodeId,
    pub(super) connected: bool,
    pub(super) durable: Head,
}

/// The place of a stream among those of all standbys, until it is dropped.
pub(super) struct Seat {
    service: Service,
    node: NodeId,
    session: Session,
    replaced: CancellationToken,
}

impl Session {
    /// A new one; none if the system has no random numbers.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A session gives the right to acknowledge: no log holds it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Default for Standbys {
    fn default() -> Self {
        Self(Mutex::new(State { known: BTreeMap::new(), event_bytes: EVENT_BYTES }))
    }
}

impl Standbys {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a new stream of `node`, whose log is durable up to `after`. The stream that it had
    /// gives way.
    pub(super) fn join(service: &Service, node: NodeId, after: Head, session: Session) -> Seat {
        let replaced = CancellationToken::new();
        let stream = Connected { session, replaced: replaced.clone(), sent: VecDeque::new() };
        let mut state = service.standbys().state();
        state.forget(node);
        let known = Known { stream: Some(stream), durable: after, heard: Instant::now() };
        let before = state.known.insert(node, known);
        drop(state);
        if let Some(stream) = before.and_then(|known| known.stream) {
            stream.replaced.cancel();
        }
        Seat { service: service.clone(), node, session, replaced }
    }

    /// The node of a session, and true if `head` is one that was sent by it: then its root need not be
    /// looked up. `None` if the session is over.
    pub(super) fn session(&self, session: &str, head: Head) -> Option<(NodeId, bool)> {
        let state = self.state();
        let (node, known) = state.known.iter().find(|(_, known)| known.has(session))?;
        let sent = known.stream.as_ref().is_some_and(|stream| stream.sent.contains(&head));
        Some((*node, sent || known.durable == head))
    }

    /// Notes that the log of the standby with this session is durable up to `head`. False if the session
    /// is over.
    pub(super) fn acknowledge(&self, session: &str, head: Head) -> bool {
        let mut state = self.state();
        let Some(known) = state.known.values_mut().find(|known| known.has(session)) else {
            return false;
        };
        known.heard = Instant::now();
        // They may come in another order than they were sent.
        if head.size > known.durable.size {
            known.durable = head;
        }
        true
    }

    /// All that are known, by their nodes.
    pub(super) fn all(&self) -> Vec<Progress> {
        let state = self.state();
        let progress = |(node, known): (&NodeId, &Known)| {
            let (connected, durable) = (known.stream.is_some(), known.durable);
            Progress { node: *node, connected, durable }
        };
        state.known.iter().map(progress).collect()
    }

    /// About so many bytes do so many events have.
    pub(super) fn bytes_of(&self, events: u64) -> u64 {
        events.saturating_mul(self.state().event_bytes)
    }
}

impl State {
    /// Makes room for `node`, if it is new.
    fn forget(&mut self, node: NodeId) {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&node) {
            return;
        }
        let absent = self.known.iter().filter(|(_, known)| known.stream.is_none());
        let oldest = absent.min_by_key(|(_, known)| known.heard).map(|(node, _)| *node);
        if let Some(oldest) = oldest {
            self.known.remove(&oldest);
        }
    }
}

impl Known {
    fn has(&self, session: &str) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.session.to_string() == session)
    }
}

impl Seat {
    /// Waits until another stream of the node has taken its place. The future does not keep the seat.
    pub(super) fn replaced(&self) -> impl Future<Output = ()> + Send + 'static {
        self.replaced.clone().cancelled_owned()
    }

    /// Notes that events up to `head` were sent, so many of so many bytes.
    pub(super) fn sent(&self, head: Head, events: u64, bytes: u64) {
        let mut state = self.service.standbys().state();
        if let Some(mean) = bytes.checked_div(events) {
            state.event_bytes = (state.event_bytes * SEEN).saturating_add(mean) / (SEEN + 1);
        }
        let known = state.known.get_mut(&self.node).and_then(|known| known.stream.as_mut());
        if let Some(stream) = known.filter(|stream| stream.session == self.session) {
            if stream.sent.len() == SENT_MAX {
                stream.sent.pop_front();
            }
            stream.sent.push_back(head);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.service.standbys().state();
        if let Some(known) = state.known.get_mut(&self.node)
            && known.stream.as_ref().is_some_and(|stream| stream.session == self.session)
        {
            known.stream = None;
        }
    }
}

#[cfg(test)]
mod tests;
