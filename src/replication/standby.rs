//! A standby as it follows its source: one state machine, without I/O.
//!
//! ```text
//!            Connect                Hello                     Ended, silence, errors that pass
//!  Idle ---------------> Greeting ---------> Following ------------------------------> Idle, later
//!                            |                   |
//!                            +---- Refused ------+---- what only an operator can mend ---> Resting
//! ```
//!
//! One ingest is under way at a time, and one acknowledgement; whoever drives the machine reads the next
//! message when [`Standby::wants_message`] says so, so that memory is bounded by one message. An
//! acknowledgement is made of a head that an ingest has made durable, and of nothing else. Start reading at
//! [`Standby::step`].

use super::message::{Beat, End, Frames, Message};
use crate::{
    code::Code,
    ids::{Epoch, Head, LedgerId, NodeId, Size},
    time::Millis,
};
use std::{collections::VecDeque, time::Duration};

/// The longest silence of a source that is believed to be there. It beats each second.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The longest time until a source has answered.
pub const GREETING_MAX: Duration = Duration::from_secs(8);
/// The first and the longest pause before it connects again.
pub const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The number of heads of the source that are kept to tell the lag.
const HEADS_MAX: usize = 64;

/// A node that follows a source.
#[derive(Debug, Clone)]
pub struct Standby {
    ledger: LedgerId,
    /// The epoch that it has promised.
    promised: Option<Epoch>,
    /// The epoch of its log.
    epoch: Option<Epoch>,
    /// Its durable head.
    durable: Head,
    phase: Phase,
    /// Pauses double up to the longest.
    pause: Duration,
    /// Frames are being written.
    ingesting: bool,
    /// An acknowledgement is under way.
    acking: bool,
    /// The last head that the source has taken.
    acked: Size,
    source: Source,
}

/// The state of the connection.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Idle { until: Duration },
    Greeting { since: Duration },
    Following { heard: Duration, goal: Size, epoch: Option<Epoch> },
    Resting(Rest),
}

/// The source, as far as was heard.
#[derive(Debug, Clone, Default)]
struct Source {
    node: Option<NodeId>,
    beat: Option<(Beat, Duration)>,
    /// Bytes that came since the last beat.
    came: u64,
    /// Heads that were heard of and are not reached, with the time.
    ahead: VecDeque<(Size, Duration)>,
    /// The last time at which this node was known to have all.
    level: Option<Duration>,
    /// The least that the clock here was ever found ahead of the source's when a beat came, in
    /// milliseconds: that of the beat which was the least on its way.
    ahead_ms: Option<i128>,
    reserved: u64,
}

/// The reason that a standby does nothing more until an operator acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rest {
    /// The source is of another ledger.
    #[error("the source has ledger {found}, this is {own}")]
    OtherLedger {
        /// The ledger here.
        own: LedgerId,
        /// The ledger there.
        found: LedgerId,
    },
    /// The source has another history: the events here after their last common one are not there.
    #[error("the source has another history; here are events that it has not")]
    Diverged,
    /// The source is behind: it has fewer events of the same epoch than there are here.
    #[error(
        "the source has {found} events, and here are {own}: it has lost some, or is an older copy"
    )]
    Behind {
        /// The number of events here.
        own: Size,
        /// The number of events there.
        found: Size,
    },
    /// An event, or a message, is of a newer format.
    #[error("the source is newer: {what} {found} is not known here")]
    NeedsUpgrade {
        /// The thing that is not known.
        what: &'static str,
        /// Its number.
        found: u32,
    },
    /// The ledger here takes no events any more.
    #[error("the ledger here takes no events any more: {why}")]
    Halted {
        /// The kind of the error.
        code: Code,
        /// Its words.
        why: String,
    },
    /// This node became a primary.
    #[error("this node is the primary")]
    TookOver,
}

/// The greeting of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its node.
    pub node: NodeId,
    /// The epoch of its log.
    pub epoch: Option<Epoch>,
    /// Its durable head.
    pub head: Head,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The source greets.
    Hello(Hello),
    /// The source refuses, and will again.
    Refused(Rest),
    /// The connection could not be made, was refused for now, has ended, or makes no sense.
    Lost,
    /// A message of the source.
    Message(Message),
    /// The frames are durable.
    Ingested {
        /// The head with them.
        head: Head,
        /// The epoch of the log with them.
        epoch: Option<Epoch>,
    },
    /// The frames could not be written. `rest` unless it may go later.
    IngestFailed {
        /// The reason, if only an operator can mend it.
        rest: Option<Rest>,
    },
    /// The source has taken the acknowledgement of a head, or not.
    AckAnswered(Option<Size>),
    /// This node has promised to follow nobody below an epoch.
    Promised(Epoch),
    /// This node took over.
    TookOver,
    /// An operator asks to try again.
    Retry,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the source for the events after a head.
    Connect {
        /// The head.
        after: Head,
        /// The epoch of the log here.
        epoch: Option<Epoch>,
    },
    /// Give the connection up.
    Disconnect,
    /// Write these frames, which must lead to this head.
    Ingest {
        /// The epoch of the source, in whose name they are taken; they may be of earlier ones.
        by: Option<Epoch>,
        /// The frames.
        frames: Vec<Vec<u8>>,
        /// The head.
        expect: Head,
    },
    /// Tell the source that the log is durable up to a head.
    Ack(Head),
    /// Keep task numbers below this for tasks of the source.
    Reserve(u64),
}

/// The distance of a standby from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Events that the source was heard to have and that are not durable here.
    pub events: u64,
    /// About so many bytes of events.
    pub bytes: u64,
    /// The age of what is shown here: the time since this node was known to have all. None if it never
    /// was.
    pub age: Option<Duration>,
}

/// The state of a standby, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No connection; it will be tried again.
    Disconnected,
    /// It is connected, and has not all events that the source had then.
    CatchingUp,
    /// It is connected, and had all events at least once since then.
    Following,
    /// It waits for an operator.
    Resting(Rest),
}

impl Standby {
    /// A node whose log is durable up to `durable`.
    #[must_use]
    pub fn new(
        ledger: LedgerId,
        durable: Head,
        epoch: Option<Epoch>,
        promised: Option<Epoch>,
    ) -> Self {
        Self {
            ledger,
            promised,
            epoch,
            durable,
            phase: Phase::Idle { until: Duration::ZERO },
            pause: PAUSE.0,
            ingesting: false,
            acking: false,
            acked: Size::EMPTY,
            source: Source::default(),
        }
    }

    /// Takes an event at a time (since any fixed moment; it never goes back), and says what is to be done,
    /// in this order. O(1), and O(bytes) of a message.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        match event {
            Event::Tick => self.tick(now),
            Event::Hello(hello) => self.greeted(now, hello),
            Event::Refused(rest) => self.rest(rest),
            Event::Lost => self.lost(now),
            Event::Message(message) => self.message(now, message),
            Event::Ingested { head, epoch } => self.ingested(now, head, epoch),
            Event::IngestFailed { rest } => {
                self.ingesting = false;
                match rest {
                    Some(rest) => self.rest(rest),
                    None => self.give_up(now),
                }
            }
            Event::AckAnswered(taken) => self.ack_answered(now, taken),
            Event::Promised(epoch) => {
                self.promised = Some(epoch);
                self.give_up(now)
            }
            Event::TookOver => self.rest(Rest::TookOver),
            Event::Retry => {
                if matches!(self.phase, Phase::Resting(_) | Phase::Idle { .. }) {
                    self.pause = PAUSE.0;
                    self.phase = Phase::Idle { until: now };
                }
                self.tick(now)
            }
        }
    }

    /// The time of the next [`Event::Tick`]; none while it rests, or writes: its own disk may be slower
    /// than a source may be silent.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        match self.phase {
            _ if self.ingesting => None,
            Phase::Idle { until } => Some(until),
            Phase::Greeting { since } => Some(since + GREETING_MAX),
            Phase::Following { heard, .. } => Some(heard + SILENCE_MAX),
            Phase::Resting(_) => None,
        }
    }

    /// Says whether the next message may be read.
    #[must_use]
    pub fn wants_message(&self) -> bool {
        !self.ingesting && matches!(self.phase, Phase::Following { .. })
    }

    /// The last beat that was heard, and when.
    #[must_use]
    pub fn beat(&self) -> Option<(Beat, Duration)> {
        self.source.beat
    }

    /// The node of the source, if it has ever greeted.
    #[must_use]
    pub fn source(&self) -> Option<NodeId> {
        self.source.node
    }

    /// Task numbers below this may have been assigned by the source.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.source.reserved
    }

    /// The state of it.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Idle { .. } | Phase::Greeting { .. } => Status::Disconnected,
            Phase::Following { goal, .. } if self.durable.size < *goal => Status::CatchingUp,
            Phase::Following { .. } => Status::Following,
            Phase::Resting(rest) => Status::Resting(rest.clone()),
        }
    }

    /// The distance from the source, as far as it has heard of that.
    #[must_use]
    pub fn lag(&self, now: Duration) -> Lag {
        let known = self.source.beat.map(|(beat, _)| beat);
        let events = known.map_or(0, |beat| beat.head.size.get());
        let events = events.saturating_sub(self.durable.size.get());
        let bytes = known.map_or(0, |beat| beat.left.saturating_sub(self.source.came));
        let age = self.source.level.map(|level| now.saturating_sub(level));
        Lag { events, bytes: if events == 0 { 0 } else { bytes }, age }
    }

    fn tick(&mut self, now: Duration) -> Vec<Effect> {
        if self.next_tick().is_none_or(|due| due > now) {
            return Vec::new();
        }
        match self.phase {
            Phase::Idle { .. } => {
                self.phase = Phase::Greeting { since: now };
                vec![Effect::Connect { after: self.durable, epoch: self.epoch }]
            }
            Phase::Greeting { .. } | Phase::Following { .. } => self.give_up(now),
            Phase::Resting(_) => Vec::new(),
        }
    }

    fn greeted(&mut self, now: Duration, hello: Hello) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return Vec::new();
        }
        if hello.ledger != self.ledger {
            return self.rest(Rest::OtherLedger { own: self.ledger, found: hello.ledger });
        }
        // An old primary, which does not know yet that another one took over or is about to.
        let lowest = self.promised.max_by_number(self.epoch);
        if lowest.is_some_and(|lowest| hello.epoch.is_none_or(|epoch| below(epoch, lowest))) {
            return self.give_up(now);
        }
        if hello.head.size < self.durable.size {
            let (own, found) = (self.durable.size, hello.head.size);
            return self.rest(Rest::Behind { own, found });
        }
        if self.source.node != Some(hello.node) {
            self.source.ahead_ms = None;
        }
        self.source.node = Some(hello.node);
        let (heard, goal) = (now, hello.head.size);
        self.phase = Phase::Following { heard, goal, epoch: hello.epoch };
        self.heard_of(now, hello.head.size);
        Vec::new()
    }

    fn message(&mut self, now: Duration, message: Message) -> Vec<Effect> {
        let Phase::Following { heard, epoch, .. } = &mut self.phase else { return Vec::new() };
        *heard = now;
        let by = *epoch;
        match message {
            // What goes on elsewhere, or comes while another one is written, is not of this stream.
            Message::Frames(frames)
                if self.ingesting || Some(frames.first) != self.durable.size.next_seq() =>
            {
                self.give_up(now)
            }
            Message::Frames(frames) => self.ingest(now, by, frames),
            Message::Beat(beat) => self.beaten(now, beat),
            Message::End(End { .. }) => self.give_up(now),
        }
    }

    fn ingest(&mut self, now: Duration, by: Option<Epoch>, frames: Frames) -> Vec<Effect> {
        let Some(expect) = frames.head() else { return self.give_up(now) };
        let bytes = u64::try_from(frames.bytes()).unwrap_or(u64::MAX);
        self.source.came = self.source.came.saturating_add(bytes);
        self.ingesting = true;
        vec![Effect::Ingest { by, frames: frames.frames, expect }]
    }

    fn beaten(&mut self, now: Duration, beat: Beat) -> Vec<Effect> {
        let sent = self.sent(now, beat);
        self.heard_of(sent, beat.head.size);
        (self.source.beat, self.source.came) = (Some((beat, now)), 0);
        if let Phase::Following { epoch, .. } = &mut self.phase {
            *epoch = Some(beat.epoch);
        }
        if beat.reserved <= self.source.reserved {
            return Vec::new();
        }
        self.source.reserved = beat.reserved;
        vec![Effect::Reserve(beat.reserved)]
    }

    /// The time here at which a beat was sent, as far as can be told: one that waited on its way, or in a
    /// process that was stopped, tells of a state that is as old. A clock there that is set back makes it look
    /// older.
    fn sent(&mut self, now: Duration, beat: Beat) -> Duration {
        let millis = |time: Duration| i128::try_from(time.as_millis()).unwrap_or(i128::MAX);
        let ahead = millis(now) - i128::from(beat.now.0);
        let least = self.source.ahead_ms.map_or(ahead, |least| least.min(ahead));
        self.source.ahead_ms = Some(least);
        let late = u64::try_from(ahead - least).unwrap_or(u64::MAX);
        now.saturating_sub(Duration::from_millis(late))
    }

    fn ingested(&mut self, now: Duration, head: Head, epoch: Option<Epoch>) -> Vec<Effect> {
        self.ingesting = false;
        (self.durable, self.epoch) = (head, epoch);
        self.reached();
        // Only a stream that gives events is one that works.
        self.pause = PAUSE.0;
        if let Phase::Following { heard, .. } = &mut self.phase {
            *heard = now;
        }
        self.ack()
    }

    /// Acknowledges what is durable, unless an acknowledgement is under way.
    fn ack(&mut self) -> Vec<Effect> {
        let follows = matches!(self.phase, Phase::Following { .. });
        if !follows || self.acking || self.durable.size <= self.acked {
            return Vec::new();
        }
        self.acking = true;
        vec![Effect::Ack(self.durable)]
    }

    fn ack_answered(&mut self, now: Duration, taken: Option<Size>) -> Vec<Effect> {
        // One of a connection that was given up says nothing of this one.
        if !std::mem::take(&mut self.acking) {
            return Vec::new();
        }
        match taken {
            Some(size) => {
                self.acked = self.acked.max(size);
                self.ack()
            }
            None => self.give_up(now),
        }
    }

    fn give_up(&mut self, now: Duration) -> Vec<Effect> {
        let effects = match self.phase {
            Phase::Greeting { .. } | Phase::Following { .. } => vec![Effect::Disconnect],
            Phase::Idle { .. } | Phase::Resting(_) => Vec::new(),
        };
        self.lost(now);
        effects
    }

    fn lost(&mut self, now: Duration) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Resting(_)) {
            self.phase = Phase::Idle { until: now + self.pause };
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
        (self.acking, self.acked) = (false, Size::EMPTY);
        Vec::new()
    }

    fn rest(&mut self, rest: Rest) -> Vec<Effect> {
        let connected = matches!(self.phase, Phase::Greeting { .. } | Phase::Following { .. });
        self.phase = Phase::Resting(rest);
        (self.acking, self.acked) = (false, Size::EMPTY);
        if connected { vec![Effect::Disconnect] } else { Vec::new() }
    }

    /// Notes that the source has so many events now.
    fn heard_of(&mut self, now: Duration, size: Size) {
        let ahead = &mut self.source.ahead;
        if ahead.len() == HEADS_MAX {
            ahead.remove(HEADS_MAX / 2);
        }
        ahead.push_back((size, now));
        self.reached();
    }

    /// Notes which of the heads that were heard of are reached.
    fn reached(&mut self) {
        let durable = self.durable.size;
        while let Some((_, heard)) = self.source.ahead.pop_front_if(|(size, _)| *size <= durable) {
            self.source.level = self.source.level.max(Some(heard));
        }
    }
}

/// True if `epoch` is of an earlier number.
fn below(epoch: Epoch, than: Epoch) -> bool {
    epoch.number < than.number
}

/// The higher of two epochs that may be there.
trait MaxByNumber {
    fn max_by_number(self, other: Self) -> Self;
}

impl MaxByNumber for Option<Epoch> {
    fn max_by_number(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) if below(a, b) => Some(b),
            (None, other) => other,
            (own, _) => own,
        }
    }
}

/// The clock of the source beside the one here, as the last beat tells: how much it is ahead.
#[must_use]
pub fn skew(beat: Beat, now: Millis) -> i64 {
    let (source, here) = (i128::from(beat.now.0), i128::from(now.0));
    i64::try_from(source - here).unwrap_or(if source > here { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests;
