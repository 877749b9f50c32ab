//! Drives the machine of a standby, as the server does.

use crate::{mutants::Mutant, net::Said, world::World};
use std::{collections::VecDeque, time::Duration};
use taskledger::{
    ids::{Epoch, Head, Size},
    ledger::{AppendError, Discontinuity, NodeStatus},
    replication::{
        message::{Decoder, Message},
        standby::{Effect, Event, Hello, Rest, Standby, Status},
    },
};

const ACK_MAX: Duration = Duration::from_secs(5);

/// A standby that follows, and its connection.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) machine: Standby,
    /// Which of the others is asked.
    source: usize,
    connection: Option<Connection>,
    /// Frames that are being written, and when they are.
    writing: Option<Writing>,
}

/// When it is done, in whose name it is taken, the frames and the head that they lead to.
type Writing = (Duration, Option<Epoch>, Vec<Vec<u8>>, Head);

#[derive(Debug)]
struct Connection {
    session: u64,
    to: usize,
    /// The epoch that the source said it has.
    epoch: Option<Epoch>,
    decoder: Decoder,
    messages: VecDeque<Message>,
    /// The acknowledgement that is under way.
    ack: Option<(u64, Duration)>,
}

impl Following {
    pub(crate) fn new(own: &NodeStatus) -> Self {
        let machine = Standby::new(own.ledger, own.head, own.epoch, own.promised);
        Self { machine, source: 0, connection: None, writing: None }
    }

    pub(crate) fn is_resting(&self) -> bool {
        matches!(self.machine.status(), Status::Resting(_))
    }
}

impl World {
    fn following(&mut self, node: usize) -> Option<&mut Following> {
        self.process(node)?.following.as_mut()
    }

    /// Lets time pass for a standby.
    pub(crate) fn tick_standby(&mut self, node: usize) {
        let now = self.now;
        let Some(following) = self.following(node) else { return };
        if following.writing.as_ref().is_some_and(|(done, ..)| *done <= now)
            && let Some((_, by, frames, expect)) = following.writing.take()
        {
            self.write(node, by, frames, expect);
        }
        let Some(following) = self.following(node) else { return };
        let connection = following.connection.as_mut();
        let late = connection.and_then(|it| it.ack.take_if(|(_, until)| *until <= now));
        if late.is_some() {
            self.tell(node, Event::AckAnswered(None));
        }
        self.tell(node, Event::Tick);
        self.read_on(node);
    }

    /// Tells the machine of an event, and does what it says.
    pub(crate) fn tell(&mut self, node: usize, event: Event) {
        let now = self.now;
        let lost = event == Event::Lost;
        let Some(following) = self.following(node) else { return };
        if lost {
            following.connection = None;
        }
        let effects = following.machine.step(now, event);
        if lost {
            following.source += 1;
        }
        for effect in effects {
            self.trace(|| format!("{node} {effect:?}"));
            self.act_standby(node, effect);
        }
    }

    fn act_standby(&mut self, node: usize, effect: Effect) {
        let (now, others) = (self.now, self.others(node));
        let delay = Duration::from_millis(self.random.below(60));
        let early = self.mutant == Some(Mutant::AckBeforeDurable);
        match effect {
            Effect::Connect { after, epoch } => {
                let session = self.draw_id();
                let Some(own) = self.status(node) else { return };
                let Some(following) = self.following(node) else { return };
                let to = others.get(following.source % others.len()).copied().unwrap_or_default();
                following.connection = Some(Connection {
                    session,
                    to,
                    epoch: None,
                    decoder: Decoder::default(),
                    messages: VecDeque::new(),
                    ack: None,
                });
                let (ledger, id) = (own.ledger, own.node);
                self.send(node, to, Said::Ask { session, ledger, node: id, epoch, after });
            }
            Effect::Disconnect => {
                let Some(following) = self.following(node) else { return };
                following.source += 1;
                if let Some(Connection { session, to, .. }) = following.connection.take() {
                    self.send(node, to, Said::Closed { session });
                }
            }
            Effect::Ingest { by, frames, expect } => {
                if let Some(following) = self.following(node) {
                    following.writing = Some((now + delay, by, frames, expect));
                }
                if early {
                    self.send_ack(node, expect);
                }
            }
            Effect::Ack(head) => self.send_ack(node, head),
            Effect::Reserve(upto) => {
                if let Some(process) = self.process(node) {
                    process.ledger.reserve_numbers_blocking(upto).ok();
                }
            }
        }
    }

    fn send_ack(&mut self, node: usize, head: Head) {
        let (id, until, durable) = (self.draw_id(), self.now + ACK_MAX, self.checks.durable(node));
        if head.size.get() > durable {
            self.checks
                .fail(|| format!("C1: node {node} acknowledges {}, not durable", head.size.get()));
        }
        let Some(following) = self.following(node) else { return };
        let Some(connection) = following.connection.as_mut() else { return };
        let second = connection.ack.replace((id, until)).is_some();
        let (to, session) = (connection.to, connection.session);
        if second {
            self.checks.fail(|| format!("C15: node {node} has two acknowledgements under way"));
        }
        self.send(node, to, Said::Ack { session, id, head });
    }

    fn write(&mut self, node: usize, by: Option<Epoch>, frames: Vec<Vec<u8>>, expect: Head) {
        let mutant = self.mutant;
        let Some(process) = self.process(node) else { return };
        let source = process.following.as_ref().and_then(|it| it.connection.as_ref()?.epoch);
        let trusted = match (mutant, process.ledger.node_status().promised) {
            (Some(Mutant::EpochIgnored), Some(promised)) => by.max(Some(promised)),
            _ => by,
        };
        let written = match trusted {
            Some(by) => process.ledger.ingest_by_blocking(by, frames, Some(expect)),
            None => process.ledger.ingest_blocking(frames, Some(expect)),
        };
        let epoch = process.ledger.node_status().epoch;
        self.trace(|| format!("{node} wrote {written:?}"));
        let event = match written {
            Ok(head) => {
                self.observe(node);
                self.checks.ingested(node, source.or(by).or(epoch));
                Event::Ingested { head, epoch }
            }
            Err(AppendError::Halted | AppendError::OutcomeUnknown { .. }) => {
                return self.kill(node, true);
            }
            Err(error) => Event::IngestFailed { rest: rest_of(&error) },
        };
        self.tell(node, event);
    }

    /// Reads messages as long as the machine wants some.
    fn read_on(&mut self, node: usize) {
        loop {
            let Some(following) = self.following(node) else { return };
            if !following.machine.wants_message() {
                return;
            }
            let Some(connection) = following.connection.as_mut() else { return };
            let Some(message) = connection.messages.pop_front() else { return };
            if let Message::Beat(beat) = &message {
                connection.epoch = Some(beat.epoch);
            }
            self.tell(node, Event::Message(message));
        }
    }

    pub(crate) fn greeted(&mut self, node: usize, session: u64, mut hello: Hello) {
        let ignore = self.mutant == Some(Mutant::EpochIgnored);
        let promised = self.status(node).and_then(|own| own.promised);
        let Some(following) = self.following(node) else { return };
        let Some(connection) = following.connection.as_mut() else { return };
        if connection.session == session {
            connection.epoch = hello.epoch;
            if ignore {
                hello.epoch = hello.epoch.max(promised);
            }
            self.tell(node, Event::Hello(hello));
        }
    }

    pub(crate) fn refused(&mut self, node: usize, session: u64, rest: Option<Rest>) {
        if self.is_of(node, session) {
            self.tell(node, rest.map_or(Event::Lost, Event::Refused));
        }
    }

    fn is_of(&mut self, node: usize, session: u64) -> bool {
        let connection = self.following(node).and_then(|it| it.connection.as_ref());
        connection.is_some_and(|it| it.session == session)
    }

    pub(crate) fn streamed(&mut self, node: usize, session: u64, bytes: &[u8]) {
        if !self.is_of(node, session) {
            return;
        }
        let Some(following) = self.following(node) else { return };
        let Some(connection) = following.connection.as_mut() else { return };
        connection.decoder.push(bytes);
        match connection.decoder.next_message() {
            Ok(Some(message)) => connection.messages.push_back(message),
            Ok(None) => {}
            Err(_) => return self.tell(node, Event::Lost),
        }
        self.read_on(node);
    }

    pub(crate) fn ack_answered(&mut self, node: usize, id: u64, taken: Option<Size>) {
        let all = self.mutant == Some(Mutant::LateAnswersCounted);
        let Some(following) = self.following(node) else { return };
        let Some(connection) = following.connection.as_mut() else { return };
        let is_it = connection.ack.take_if(|(under_way, _)| *under_way == id).is_some();
        if is_it || all {
            self.tell(node, Event::AckAnswered(taken));
        }
    }
}

/// Of frames that could not be written: the reason, if trying again does not help.
fn rest_of(error: &AppendError) -> Option<Rest> {
    if let AppendError::NotContinuation { why, .. } = error {
        let is_spoiled = matches!(why, Discontinuity::Frame(_) | Discontinuity::Batch);
        return (!is_spoiled).then_some(Rest::Diverged);
    }
    matches!(error, AppendError::NotStandby).then_some(Rest::TookOver)
}
