//! The other side of a standby: greetings, frames, beats, and acknowledgements that are counted.

use crate::{mutants::Mutant, net::Said, world::World};
use std::time::Duration;
use taskledger::{
    Ledger, codec,
    ids::{Epoch, Head, LedgerId, NodeId, Size},
    ledger::{NodeStatus, ReadError, Role},
    replication::{
        message::{Beat, End, Frames, Message, Reason},
        standby::{Hello, Rest},
    },
    time::Millis,
};

/// Bytes of frames in one message: some batches.
const MESSAGE_BYTES: usize = 600;
/// Messages that are sent to a standby at once.
const AT_ONCE: usize = 4;
const BEAT: Duration = Duration::from_secs(1);

/// A stream to a standby.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    to: usize,
    node: NodeId,
    sent: Size,
    beat: Option<Duration>,
    /// The last head that the standby has acknowledged.
    pub(crate) acked: Size,
}

impl World {
    /// Answers a standby that asks for events.
    pub(crate) fn asked(
        &mut self,
        (node, from): (usize, usize),
        session: u64,
        (ledger, asker): (LedgerId, NodeId),
        (epoch, after): (Option<Epoch>, Head),
    ) {
        let Some(own) = self.status(node) else { return };
        let number = |epoch: Option<Epoch>| epoch.map_or(0, |epoch| epoch.number);
        if let Some(by) = epoch.filter(|_| number(epoch) > number(own.epoch)) {
            self.promise(node, by).ok();
        }
        let Some(process) = self.process(node) else { return };
        let own = process.ledger.node_status();
        let reply = if own.ledger != ledger {
            Some(Some(Rest::OtherLedger { own: ledger, found: own.ledger }))
        } else if own.role != Role::Primary {
            Some(None)
        } else if own.head.size < after.size {
            Some(Some(Rest::Behind { own: after.size, found: own.head.size }))
        } else if process.ledger.reader().root_at(after.size).ok() != Some(after.root) {
            Some(Some(Rest::Diverged))
        } else {
            None
        };
        if let Some(rest) = reply {
            self.send(node, from, Said::Refusal { session, rest });
            return;
        }
        process.sessions.retain(|_, other| other.node != asker);
        let stream =
            Session { to: from, node: asker, sent: after.size, beat: None, acked: Size::EMPTY };
        process.sessions.insert(session, stream);
        let NodeStatus { ledger, node: id, epoch, head, .. } = own;
        let hello = Hello { ledger, node: id, epoch, head };
        self.send(node, from, Said::Greeting { session, hello });
    }

    /// Sends what there is to the standbys of a node.
    pub(crate) fn pump(&mut self, node: usize) {
        let Some(process) = self.process(node) else { return };
        let sessions: Vec<_> = process.sessions.clone().into_iter().collect();
        for (id, mut session) in sessions {
            let Some(own) = self.status(node) else { return };
            let is_over = own.role != Role::Primary || self.net.is_blocked(node, session.to);
            let messages = match own.role {
                Role::Primary => self.due(node, &own, &mut session),
                Role::Fenced { by } => {
                    vec![Message::End(End { reason: Reason::Fenced, epoch: by })]
                }
                Role::Standby | Role::Copying | Role::ReadOnly => Vec::new(),
            };
            for message in messages {
                let mut bytes = Vec::new();
                message.encode(&mut bytes);
                self.send(node, session.to, Said::Stream { session: id, bytes });
            }
            if let Some(process) = self.process(node) {
                if is_over {
                    process.sessions.remove(&id);
                } else {
                    process.sessions.insert(id, session);
                }
            }
        }
    }

    fn due(&mut self, node: usize, own: &NodeStatus, session: &mut Session) -> Vec<Message> {
        let (now, mutant) = (self.now, self.mutant);
        let cut = mutant == Some(Mutant::BatchCut) && self.random.once_in(4);
        let Some(process) = self.process(node) else { return Vec::new() };
        let mut due = Vec::new();
        let beat = |sent: Size| {
            let reserved = process.ledger.reserved_numbers();
            let left = own.head.size.get() - sent.get();
            let beat = |epoch| Beat { epoch, head: own.head, left, reserved, now: Millis(0) };
            own.epoch.map(|epoch| Message::Beat(beat(epoch)))
        };
        // As the server does: before the first event, the numbers are told that may be given.
        if session.beat.is_none() {
            due.extend(beat(session.sent));
        }
        for _ in 0..AT_ONCE {
            let Ok(Some(frames)) = batches(&process.ledger, session.sent, MESSAGE_BYTES) else {
                break;
            };
            let frames = if cut { cut_short(&process.ledger, frames) } else { frames };
            session.sent = frames.head().map_or(session.sent, |head| head.size);
            due.push(Message::Frames(frames));
        }
        if session.beat.is_none_or(|last| now >= last + BEAT) || !due.is_empty() {
            session.beat = Some(now);
            due.extend(beat(session.sent));
        }
        due
    }

    /// Takes an acknowledgement: of the newest stream of the node, and of this history.
    pub(crate) fn acked(
        &mut self,
        (node, from): (usize, usize),
        session: u64,
        id: u64,
        head: Head,
    ) {
        let durable = self.checks.durable(from);
        let Some(process) = self.process(node) else { return };
        let same = process.ledger.reader().root_at(head.size).ok() == Some(head.root);
        let taken = match process.sessions.get_mut(&session).filter(|_| same) {
            Some(stream) => {
                stream.acked = stream.acked.max(head.size);
                Some(head.size)
            }
            None => None,
        };
        if taken.is_some_and(|size| size.get() > durable) {
            self.checks.fail(|| {
                format!(
                    "C1: node {from} has acknowledged {} and has {durable} durable",
                    head.size.get()
                )
            });
        }
        self.send(node, from, Said::AckAnswer { id, taken });
    }

    /// The events of a frozen node after `after`, for a candidate.
    pub(crate) fn fetched_from(&mut self, node: usize, after: Head) -> Option<Vec<u8>> {
        let process = self.process(node)?;
        let own = process.ledger.node_status();
        let is_frozen = match own.role {
            Role::Fenced { .. } | Role::Primary => true,
            Role::Standby => own.promised.map(|e| e.number) > own.epoch.map(|e| e.number),
            Role::Copying | Role::ReadOnly => false,
        };
        let same = process.ledger.reader().root_at(after.size).ok() == Some(after.root);
        let (mut bytes, mut size) = (Vec::new(), after.size);
        while let Ok(Some(frames)) = batches(&process.ledger, size, MESSAGE_BYTES) {
            size = frames.head()?.size;
            Message::Frames(frames).encode(&mut bytes);
        }
        (is_frozen && same).then_some(bytes)
    }
}

/// Whole batches after `after`, some bytes of them.
pub(crate) fn batches(
    ledger: &Ledger,
    after: Size,
    bytes_max: usize,
) -> Result<Option<Frames>, ReadError> {
    let reader = ledger.reader();
    let Some(first) = after.next_seq() else { return Ok(None) };
    let (mut frames, mut bytes, mut next) = (Vec::new(), 0, Some(first));
    while let Some(seq) = next {
        let Some(frame) = reader.frames(seq, 1)?.into_iter().next() else { break };
        let goes_on = codec::batch_goes_on(&frame);
        let kinds = reader.redacted(seq)?;
        let frame = codec::erase(&frame, kinds).unwrap_or(frame);
        bytes += frame.len();
        frames.push(frame);
        if bytes >= bytes_max && !goes_on {
            break;
        }
        next = seq.next();
    }
    if frames.is_empty() {
        return Ok(None);
    }
    let root = reader.root_at(after.more(u64::try_from(frames.len()).unwrap_or(u64::MAX)))?;
    Ok(Some(Frames { first, frames, root }))
}

/// The frames up to the middle of a batch, which is made to look like its end.
fn cut_short(ledger: &Ledger, mut frames: Frames) -> Frames {
    let Some(cut) = frames.frames.iter().position(|frame| codec::batch_goes_on(frame)) else {
        return frames;
    };
    frames.frames.truncate(cut + 1);
    if let Some(last) = frames.frames.last_mut() {
        *last = codec::end_batch(last).unwrap_or_default();
    }
    let size = frames.head().map_or(Size::EMPTY, |head| head.size);
    frames.root = ledger.reader().root_at(size).unwrap_or(frames.root);
    frames
}
