//! A network that loses, delays, repeats and reorders, in each direction by itself.

use crate::random::Random;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use taskledger::{
    ids::{Epoch, Head, LedgerId, NodeId, Size},
    ledger::NodeStatus,
    replication::{
        candidate::Unanswered,
        standby::{Hello, Rest},
    },
};

/// What one node says to another.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// A standby asks for events after its own.
    Ask { session: u64, ledger: LedgerId, node: NodeId, epoch: Option<Epoch>, after: Head },
    /// The source greets.
    Greeting { session: u64, hello: Hello },
    /// The source refuses: for good, or for now.
    Refusal { session: u64, rest: Option<Rest> },
    /// A message of the stream, as bytes.
    Stream { session: u64, bytes: Vec<u8> },
    /// The standby has hung up.
    Closed { session: u64 },
    /// The durable head of a standby.
    Ack { session: u64, id: u64, head: Head },
    /// The source has taken it, or not.
    AckAnswer { id: u64, taken: Option<Size> },
    /// A candidate asks.
    Question { round: u64, what: Question },
    /// The answer to it.
    Answer { round: u64, what: Question, status: Box<Result<NodeStatus, Unanswered>> },
    /// A candidate asks a frozen node for the events after its own.
    Fetch { round: u64, after: Head },
    /// They, as messages; none if the node has none to give.
    Fetched { round: u64, bytes: Vec<u8> },
}

/// What a candidate asks of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Survey,
    Promise(Epoch),
    Announce(Epoch),
}

/// Something on its way.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) said: Said,
}

/// The network.
#[derive(Debug, Default)]
pub struct Net {
    under_way: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
    blocked: BTreeSet<(usize, usize)>,
    /// The time at which the last message of a stream arrives: a stream is in order.
    streams: BTreeMap<u64, Duration>,
    /// Nothing is lost any more.
    pub(crate) is_calm: bool,
}

impl Net {
    pub(crate) fn block(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
    }

    pub(crate) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Sends, now. What is under way when a link is cut is lost, too.
    pub(crate) fn send(&mut self, now: Duration, random: &mut Random, packet: Packet) {
        if !self.is_calm && random.once_in(30) {
            return;
        }
        let mut at = now + Duration::from_millis(1 + random.below(40));
        if !self.is_calm && random.once_in(20) {
            at += Duration::from_millis(random.below(3_000));
        }
        if let Said::Stream { session, .. } = packet.said
            && (self.is_calm || !random.once_in(40))
        {
            let last = self.streams.entry(session).or_default();
            at = at.max(*last);
            *last = at;
        }
        if !self.is_calm && random.once_in(20) {
            let again = at + Duration::from_millis(random.below(20_000));
            self.put(again, packet.clone());
        }
        self.put(at, packet);
    }

    fn put(&mut self, at: Duration, packet: Packet) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), packet);
    }

    /// The next one that has arrived by `now`.
    pub(crate) fn arrived(&mut self, now: Duration) -> Option<(Duration, Packet)> {
        loop {
            let first = self.under_way.first_entry()?;
            if first.key().0 > now {
                return None;
            }
            let ((at, _), packet) = first.remove_entry();
            if !self.is_blocked(packet.from, packet.to) {
                return Some((at, packet));
            }
        }
    }
}
