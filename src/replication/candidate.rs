//! A promotion, planned and forced, as one state machine without I/O.
//!
//! ```text
//! Survey ----> Promise ----> Fetch ----> TakeOver ----> Announce ----> done
//! (changes     (freezes      (only if    (from here on
//!  nothing)     the logs)     behind)     it is a primary)
//! ```
//!
//! The rounds are those of Paxos phase 1, with the log itself as the value. A node that has promised an epoch
//! acknowledges nothing below it, and says where its log ends only after that; so a primary that has
//! promised has told all that it ever acknowledged. That is the planned switch, and nothing is lost. Where the
//! primary cannot be asked, the operator has to accept a loss, and is told of it ([`Claim`]). Start reading
//! at [`Candidate::step`].

use crate::{
    ids::{Epoch, Head, LedgerId, NodeId, Size},
    ledger::{NodeStatus, Role},
};
use std::{cmp::Ordering, time::Duration};

/// The longest time in which a node answers.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Task numbers that a primary which is lost may have assigned since it was last heard of: a loss starts
/// above them.
pub const NUMBERS_LOST_MAX: u64 = 131_072;

/// A node that is asked, by its place among the addresses that the operator named.
pub type Peer = usize;

/// The wishes of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Go on without the primary: events that only it has are lost.
    pub accept_loss: bool,
    /// Go on only if the newest epoch that is heard of has this number.
    pub expect_epoch: Option<u64>,
}

/// The last that was heard of the source, for the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// The time since this node was known to have all; none if it never was.
    pub age: Option<Duration>,
    /// Events of which was heard and that are not here.
    pub events: u64,
    /// About so many bytes of them.
    pub bytes: u64,
    /// Task numbers below this may have been assigned.
    pub reserved: u64,
}

/// A promotion under way.
#[derive(Debug, Clone)]
pub struct Candidate {
    own: NodeStatus,
    wishes: Wishes,
    heard: Heard,
    peers: Vec<Answer>,
    phase: Phase,
    epoch: Epoch,
    /// The newest epoch in which events were heard of.
    newest: u64,
    /// Epochs above it, or beside it, that were promised, and may have begun.
    above: Vec<Epoch>,
    /// The claim, once it is decided: when it takes over.
    decided: Option<Claim>,
    /// Two epochs of that newest number.
    rivals: Option<(Epoch, Epoch)>,
    since: Duration,
}

/// The answers of a peer.
#[derive(Debug, Clone, Default)]
struct Answer {
    /// Its answer of this round; the error if it gave none.
    round: Option<Result<NodeStatus, Unanswered>>,
    promised: Option<NodeStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Survey,
    PromiseHere,
    Promise,
    Fetch(Head),
    TakeOver,
    Announce,
    Ended,
}

/// A peer has not done what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// No answer, for this reason.
    Lost(String),
    /// It has promised a higher epoch, or another one of this number.
    Higher(Epoch),
    /// It refuses, with these words.
    Refused(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The promotion begins.
    Begin {
        /// Random; of it 16 bits are taken.
        nonce: u64,
    },
    /// A peer has answered the survey, the promise or the announcement that it was sent.
    Answered(Peer, Result<NodeStatus, Unanswered>),
    /// This node has promised.
    PromisedHere(Result<NodeStatus, String>),
    /// The events were fetched, up to this head.
    Fetched(Result<Head, String>),
    /// This node is the primary now, up to this head.
    TookOver(Result<Head, String>),
    /// Time passed.
    Tick,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask a peer what it is.
    Survey(Peer),
    /// Promise the epoch here, durably.
    PromiseHere(Epoch),
    /// Ask a peer to promise the epoch.
    Promise(Peer, Epoch),
    /// Fetch events from a peer, which has promised, up to its head.
    Fetch(Peer, Head),
    /// Become the primary of the epoch; task numbers start at least here.
    TakeOver {
        /// The epoch.
        epoch: Epoch,
        /// The first task number.
        numbers_from: u64,
    },
    /// Tell a peer that the epoch has begun. Told again until it has answered, also after the end.
    Announce(Peer, Epoch),
    /// It is over.
    End(Result<Outcome, PromoteError>),
}

/// A promotion that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The epoch of which this node is the primary.
    pub epoch: Epoch,
    /// The head of the log with the beginning of that epoch.
    pub head: Head,
    /// The events that may have been lost.
    pub claim: Claim,
    /// The peers that do not know of it yet.
    pub untold: Vec<Peer>,
}

/// The events that a promotion may have lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// No acknowledged event: the primary has promised, and all its events are here.
    Nothing,
    /// Events that the primary acknowledged after it was last heard.
    Window(Heard),
}

/// The reason that a promotion was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromoteError {
    /// The primary cannot be asked.
    #[error(
        "the primary of epoch {epoch} cannot be asked, so events that only it has would be lost: {why}"
    )]
    NoPrimary {
        /// The newest epoch that is heard of.
        epoch: u64,
        /// The words of the nodes that gave no answer.
        why: String,
    },
    /// An epoch was promised that may have begun at a node which does not answer, and acknowledged events
    /// there.
    #[error("epoch {epoch} was promised, and may have begun at a node that was not asked")]
    Unsettled {
        /// The epoch.
        epoch: Epoch,
    },
    /// Two nodes took over in epochs of one number, as `--accept-loss` on both sides of a split allows:
    /// events that one of them acknowledged would be lost.
    #[error("epochs {one} and {other} both began: events of one of them would be lost")]
    Rivals {
        /// One of the epochs.
        one: Epoch,
        /// The other one.
        other: Epoch,
    },
    /// This node is the primary, and no epoch above its own was promised.
    #[error("this node is the primary already, of epoch {epoch}")]
    IsPrimary {
        /// Its epoch.
        epoch: Epoch,
    },
    /// The epoch is not the expected one.
    #[error("the newest epoch is {found}, not {expected}")]
    OtherEpoch {
        /// The number that was expected.
        expected: u64,
        /// The number that was heard of.
        found: u64,
    },
    /// A node is of another ledger.
    #[error("a node that was named has another ledger, {found}")]
    OtherLedger {
        /// Its ledger.
        found: LedgerId,
    },
    /// This node is none that can take over.
    #[error("this node is {role}, and cannot take over")]
    NotHere {
        /// Its role.
        role: Role,
    },
    /// Another promotion is under way, or was made.
    #[error("a node has promised epoch {promised}: another promotion is under way, or was made")]
    Outbid {
        /// That epoch.
        promised: Epoch,
    },
    /// The events that are missing here could not be had.
    #[error("the events up to {upto} cannot be fetched: {why}")]
    Unfetched {
        /// The end of the log that was to be fetched.
        upto: Size,
        /// The reason.
        why: String,
    },
    /// A step of this node failed.
    #[error("this node cannot {what}: {why}")]
    Failed {
        /// The step.
        what: &'static str,
        /// The reason.
        why: String,
    },
}

impl Candidate {
    /// A promotion of the node `own`, which asks so many peers.
    #[must_use]
    pub fn new(own: NodeStatus, peers: usize, (wishes, heard): (Wishes, Heard)) -> Self {
        Self {
            own,
            wishes,
            heard,
            peers: vec![Answer::default(); peers],
            phase: Phase::Survey,
            epoch: Epoch { number: 0, nonce: 0 },
            newest: 0,
            above: Vec::new(),
            rivals: None,
            decided: None,
            since: Duration::ZERO,
        }
    }

    /// Takes an event at a time, and says what is to be done. After [`Effect::End`] only answers to
    /// announcements change anything.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        match (self.phase, event) {
            (Phase::Survey, Event::Begin { nonce }) => {
                self.epoch.nonce = nonce_of(self.own.node, nonce);
                self.since = now;
                if !matches!(self.own.role, Role::Primary | Role::Standby | Role::Fenced { .. }) {
                    return self.fail(PromoteError::NotHere { role: self.own.role });
                }
                let asked = (0..self.peers.len()).map(Effect::Survey).collect();
                if self.peers.is_empty() { self.surveyed() } else { asked }
            }
            (Phase::Survey | Phase::Promise | Phase::Announce, Event::Answered(peer, answer)) => {
                if let Some(known) = self.peers.get_mut(peer) {
                    known.round = Some(answer);
                }
                self.round_done()
            }
            (Phase::Survey | Phase::Promise | Phase::Announce, Event::Tick)
                if now >= self.since + ANSWER_MAX =>
            {
                for peer in &mut self.peers {
                    let late = || Err(Unanswered::Lost("no answer in time".to_owned()));
                    peer.round.get_or_insert_with(late);
                }
                self.round_done()
            }
            (Phase::PromiseHere, Event::PromisedHere(Ok(own))) => self.promised_here(now, own),
            (Phase::PromiseHere, Event::PromisedHere(Err(why))) => {
                self.fail(PromoteError::Failed { what: "promise", why })
            }
            (Phase::Fetch(goal), Event::Fetched(Ok(head))) if head == goal => {
                self.own.head = head;
                self.take_over()
            }
            (Phase::Fetch(goal), Event::Fetched(Ok(_))) => {
                let why = "they lead to another head".to_owned();
                self.fail(PromoteError::Unfetched { upto: goal.size, why })
            }
            (Phase::Fetch(goal), Event::Fetched(Err(why))) => {
                self.fail(PromoteError::Unfetched { upto: goal.size, why })
            }
            (Phase::TakeOver, Event::TookOver(Ok(head))) => self.took_over(now, head),
            (Phase::TakeOver, Event::TookOver(Err(why))) => {
                self.fail(PromoteError::Failed { what: "take over", why })
            }
            _ => Vec::new(),
        }
    }

    /// The epoch that it is for, once it has asked for promises.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn round_done(&mut self) -> Vec<Effect> {
        if self.peers.iter().any(|peer| peer.round.is_none()) {
            return Vec::new();
        }
        match self.phase {
            Phase::Survey => self.surveyed(),
            Phase::Promise => self.promised(),
            Phase::Announce => self.announced(),
            Phase::PromiseHere | Phase::Fetch(_) | Phase::TakeOver | Phase::Ended => Vec::new(),
        }
    }

    /// Goes on to the promises if enough can be had, before anybody is asked to promise: a promise that
    /// leads to nothing stops a primary, or keeps a standby from following it.
    fn surveyed(&mut self) -> Vec<Effect> {
        let known = || self.peers.iter().filter_map(|peer| peer.round.as_ref()?.as_ref().ok());
        if let Some(other) = known().find(|node| node.ledger != self.own.ledger) {
            return self.fail(PromoteError::OtherLedger { found: other.ledger });
        }
        let all: Vec<NodeStatus> = known().copied().chain([self.own]).collect();
        let newest = all.iter().filter_map(|node| node.epoch).map(|epoch| epoch.number).max();
        self.newest = newest.unwrap_or(0);
        if let Some(expected) = self.wishes.expect_epoch
            && expected != self.newest
        {
            return self.fail(PromoteError::OtherEpoch { expected, found: self.newest });
        }
        let promised = all.iter().filter_map(|node| node.promised);
        let begun = |epoch: &Epoch| all.iter().any(|node| node.epoch == Some(*epoch));
        let above = promised.clone().filter(|epoch| epoch.number >= self.newest && !begun(epoch));
        self.above = above.collect();
        self.rivals = rivals(all.iter(), self.newest);
        if self.own.role == Role::Primary
            && self.above.is_empty()
            && self.rivals.is_none()
            && let Some(epoch) = self.own.epoch.filter(|epoch| epoch.number == self.newest)
        {
            return self.fail(PromoteError::IsPrimary { epoch });
        }
        if !self.wishes.accept_loss {
            if let Some(epoch) = unsettled(&self.above, all.iter()) {
                return self.fail(PromoteError::Unsettled { epoch });
            }
            if let Some((one, other)) = self.rivals {
                return self.fail(PromoteError::Rivals { one, other });
            }
            if !all.iter().any(|node| reigns(node, self.newest)) {
                return self
                    .fail(PromoteError::NoPrimary { epoch: self.newest, why: self.unanswered() });
            }
        }
        let highest = promised.map(|epoch| epoch.number).max().unwrap_or(0);
        self.epoch.number = self.newest.max(highest).saturating_add(1);
        self.phase = Phase::PromiseHere;
        vec![Effect::PromiseHere(self.epoch)]
    }

    fn promised_here(&mut self, now: Duration, own: NodeStatus) -> Vec<Effect> {
        self.own = own;
        (self.phase, self.since) = (Phase::Promise, now);
        let mut asked = Vec::new();
        for (peer, answer) in self.peers.iter_mut().enumerate() {
            // One that was not there for the survey is not waited for again.
            if let Some(Ok(_)) = answer.round {
                answer.round = None;
                asked.push(Effect::Promise(peer, self.epoch));
            }
        }
        if asked.is_empty() { self.promised() } else { asked }
    }

    /// Chooses the log that is furthest, of those that are frozen.
    fn promised(&mut self) -> Vec<Effect> {
        for peer in &mut self.peers {
            let answer = peer.round.as_ref().and_then(|answer| answer.as_ref().ok()).copied();
            // An answer to the survey that comes late is no promise.
            peer.promised = answer.filter(|node| node.promised == Some(self.epoch));
            if let Some(Err(Unanswered::Higher(promised))) = peer.round {
                return self.fail(PromoteError::Outbid { promised });
            }
        }
        let others = self.peers.iter().enumerate();
        let others = others.filter_map(|(peer, answer)| Some((peer, answer.promised?)));
        let best = others.max_by(|(_, a), (_, b)| further(a, b));
        if !self.wishes.accept_loss && self.claim() != Claim::Nothing {
            return self
                .fail(PromoteError::NoPrimary { epoch: self.newest, why: self.unanswered() });
        }
        match best {
            Some((peer, best)) if further(&best, &self.own) == Ordering::Greater => {
                self.phase = Phase::Fetch(best.head);
                vec![Effect::Fetch(peer, best.head)]
            }
            _ => self.take_over(),
        }
    }

    fn take_over(&mut self) -> Vec<Effect> {
        let claim = self.claim();
        self.decided = Some(claim);
        let numbers_from = match claim {
            Claim::Nothing => 0,
            Claim::Window(heard) => heard.reserved.saturating_add(NUMBERS_LOST_MAX),
        };
        self.phase = Phase::TakeOver;
        vec![Effect::TakeOver { epoch: self.epoch, numbers_from }]
    }

    fn took_over(&mut self, now: Duration, head: Head) -> Vec<Effect> {
        self.own.head = head;
        (self.phase, self.since) = (Phase::Announce, now);
        for peer in &mut self.peers {
            peer.round = None;
        }
        let told: Vec<_> =
            (0..self.peers.len()).map(|peer| Effect::Announce(peer, self.epoch)).collect();
        if told.is_empty() { self.announced() } else { told }
    }

    fn announced(&mut self) -> Vec<Effect> {
        self.phase = Phase::Ended;
        let peers = self.peers.iter().enumerate();
        let untold = peers.filter(|(_, peer)| !matches!(peer.round, Some(Ok(_))));
        let untold = untold.map(|(peer, _)| peer).collect();
        let claim = self.decided.unwrap_or(Claim::Window(self.heard));
        let (epoch, head) = (self.epoch, self.own.head);
        vec![Effect::End(Ok(Outcome { epoch, head, claim, untold }))]
    }

    /// Nothing is lost if the primary of the newest epoch that is heard of has promised, and none above or
    /// beside it can have begun: it holds every event that was acknowledged.
    fn claim(&self) -> Claim {
        let others = self.peers.iter().filter_map(|peer| peer.promised.as_ref());
        let all = others.chain([&self.own]);
        let newest = self.newest_promised();
        let whole = self.is_whole(newest);
        let unsettled = unsettled(&self.above, all.clone());
        let rivals = self.rivals.or_else(|| rivals(all, newest));
        if whole && unsettled.is_none() && rivals.is_none() {
            Claim::Nothing
        } else {
            Claim::Window(self.heard)
        }
    }

    /// The newest epoch: since the survey a log may have reached a later one.
    fn newest_promised(&self) -> u64 {
        let others = self.peers.iter().filter_map(|peer| peer.promised.as_ref()?.epoch);
        let newest = others.chain(self.own.epoch).map(|epoch| epoch.number).max();
        newest.unwrap_or(0).max(self.newest)
    }

    /// True if this node is, or has or will fetch all of, the log of the one that decided in the newest epoch. A
    /// longer log of that epoch, or another one of that length, is none that the same node wrote: it was put
    /// back from a copy.
    fn is_whole(&self, newest: u64) -> bool {
        let others: Vec<&NodeStatus> =
            self.peers.iter().filter_map(|peer| peer.promised.as_ref()).collect();
        let furthest = |node: &NodeStatus| {
            let all = others.iter().copied().chain([&self.own]);
            let mut same = all.filter(|other| further(other, node) != Ordering::Less);
            same.all(|other| other.head == node.head)
        };
        let mut all = others.iter().copied().chain([&self.own]);
        all.any(|node| reigns(node, newest) && furthest(node))
    }

    fn unanswered(&self) -> String {
        let errors = self.peers.iter().filter_map(|peer| peer.round.as_ref()?.as_ref().err());
        let words: Vec<_> = errors
            .map(|error| match error {
                Unanswered::Lost(why) | Unanswered::Refused(why) => why.clone(),
                Unanswered::Higher(epoch) => format!("epoch {epoch} was promised"),
            })
            .collect();
        if words.is_empty() { "it was not named".to_owned() } else { words.join("; ") }
    }

    fn fail(&mut self, error: PromoteError) -> Vec<Effect> {
        self.phase = Phase::Ended;
        vec![Effect::End(Err(error))]
    }
}

/// The nonce of an epoch that a node chooses: it tells by which node the epoch is begun, if it is, and 16
/// random bits tell it from that of a copy of the node's directory.
fn nonce_of(node: NodeId, random: u64) -> u64 {
    chooser(node) << 16 | random & 0xffff
}

/// The first 48 bits of a node's id.
fn chooser(NodeId(id): NodeId) -> u64 {
    id.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) >> 16
}

/// The highest of these epochs that may have begun: the node that chose it is not among those that are asked,
/// or has begun it. One that is there and has not begun it never will, once it has promised a higher one.
fn unsettled<'a>(above: &[Epoch], nodes: impl Iterator<Item = &'a NodeStatus>) -> Option<Epoch> {
    let nodes: Vec<&NodeStatus> = nodes.collect();
    let is_settled = |epoch: &Epoch| {
        nodes.iter().any(|node| {
            let number = node.epoch.map_or(0, |reached| reached.number);
            chooser(node.node) == epoch.nonce >> 16 && number < epoch.number
        })
    };
    above.iter().copied().filter(|epoch| !is_settled(epoch)).max()
}

/// True if the node is the one that decided in that epoch, the newest.
fn reigns(node: &NodeStatus, newest: u64) -> bool {
    let decides = matches!(node.role, Role::Primary | Role::Fenced { .. });
    decides && node.epoch.map_or(0, |epoch| epoch.number) == newest
}

/// Two epochs of that number in which the logs of nodes are: two nodes took over, and neither has all events.
fn rivals<'a>(nodes: impl Iterator<Item = &'a NodeStatus>, number: u64) -> Option<(Epoch, Epoch)> {
    let mut epochs = nodes.filter_map(|node| node.epoch).filter(|epoch| epoch.number == number);
    let one = epochs.next()?;
    Some((one, epochs.find(|other| *other != one)?))
}

/// Which of two logs is further: by the epoch first, since a longer log of an earlier one was given up.
fn further(a: &NodeStatus, b: &NodeStatus) -> Ordering {
    let by = |node: &NodeStatus| (node.epoch.map_or(0, |epoch| epoch.number), node.head.size);
    by(a).cmp(&by(b))
}

#[cfg(test)]
mod tests;
