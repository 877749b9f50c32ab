//! A ledger made of nothing but a list of events and the naive fold of it.
//!
//! It knows no bytes, no disk and no thread, and does in the plainest way what a real ledger
//! promises: numbers, times and links, idempotency keys, batches that are all or nothing, writers
//! that begin, copies. What it cannot know is left out on both sides by [`plainly`]: salts, hashes
//! and random numbers. Start reading at [`Plain::ask`].

mod again;

pub use again::{Asked, asked_again};

use crate::model::{Broken, Model, Said};
use proptest::sample::Index;
use std::sync::Arc;
use taskledger::{
    command::{Command, Emit, Proposal, Redact},
    event::{
        Action, Began, Cause, Commitment, Entry, Event, Origin, Part, PartBody, PartKind, PartSet,
    },
    ids::{Epoch, LedgerId, NodeId, Root, Seq, TaskId},
    time::Millis,
};

/// Numbers that are reserved at once when acknowledged events can be lost.
const RESERVED_AT_ONCE: u64 = 65_536;

/// A list of events, the fold of it, and who writes the next.
#[derive(Debug, Clone)]
pub struct Plain {
    entries: Vec<Entry>,
    /// What each event was asked for as.
    commands: Vec<Option<Command>>,
    model: Model,
    ledger: LedgerId,
    /// How the ledger came to be.
    came: Began,
    /// Why this writer began, until it has said so.
    began: Option<Began>,
    /// No id below this number is assigned.
    floor: u64,
    reserved: u64,
    /// Acknowledged events may be lost with the power.
    interval: bool,
    batch_events_max: usize,
    /// The size of the log before each commit that could still be lost.
    unsynced: Vec<usize>,
}

/// What is said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// For each proposal its event, its task, and whether it was there before.
    Receipts(Vec<(Seq, Option<TaskId>, bool)>),
    /// One of these rules is named.
    Refused(Broken),
    /// Whether a key was used for the same command cannot be told from the log.
    Unclear,
}

impl Plain {
    /// A ledger without events.
    #[must_use]
    pub fn new(ledger: LedgerId, interval: bool, batch_events_max: usize) -> Self {
        Self {
            entries: vec![],
            commands: vec![],
            model: Model::default(),
            ledger,
            came: Began::Created,
            began: Some(Began::Created),
            floor: 0,
            reserved: 0,
            interval,
            batch_events_max,
            unsynced: vec![],
        }
    }

    /// Every event as it was written.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The fold of them.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Which ledger it is.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// What the event with this number was asked for as.
    #[must_use]
    pub fn command(&self, seq: Seq) -> Option<&Command> {
        self.commands.get(place(seq))?.as_ref()
    }

    /// How the ledger came to be.
    #[must_use]
    pub fn came(&self) -> &Began {
        &self.came
    }

    /// How many events it has from the one that it is a copy of.
    #[must_use]
    pub fn came_with(&self) -> usize {
        match &self.came {
            Began::Forked(origin) | Began::RestoredFrom(origin) => {
                origin.at.map_or(0, |at| place(at) + 1)
            }
            Began::Created | Began::Opened | Began::Promoted => 0,
        }
    }

    /// How many commits could still be lost with the power.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Asks for a batch: all of it, or nothing.
    pub fn ask(&mut self, batch: &[Proposal], now: Millis) -> Answer {
        if batch.len() > self.batch_events_max {
            return Answer::Refused(Broken::from(["TooLarge"]));
        }
        let mut next = self.clone();
        if let Some(why) = next.began.take() {
            next.begin(why, now);
        }
        let (start, mut receipts) = (next.entries.len(), vec![]);
        for proposal in batch {
            match next.ask_one(proposal, now) {
                Answer::Receipts(receipt) => receipts.extend(receipt),
                refused @ (Answer::Refused(_) | Answer::Unclear) => return refused,
            }
        }
        let events = next.entries.iter_mut().skip(start);
        events.rev().skip(1).for_each(|entry| entry.batch_goes_on = true);
        // That a writer began is said with the first event that somebody asked for.
        if next.entries.len() > start {
            next.commit(self.entries.len(), self.model.next_number());
            *self = next;
        }
        Answer::Receipts(receipts)
    }

    fn ask_one(&mut self, proposal: &Proposal, now: Millis) -> Answer {
        if let Some(seq) = proposal.key.and_then(|key| self.model.key(&key)) {
            return self.ask_again(seq, proposal);
        }
        let broken = self.model.broken(&self.entries, proposal);
        if !broken.is_empty() {
            return Answer::Refused(broken);
        }
        let now = now.max(self.model.recorded());
        let occurred = proposal.occurred.unwrap_or(now);
        let number = self.model.next_number().max(self.floor);
        let said = self.model.said(&self.entries, proposal, occurred, number);
        let (seq, task) = (self.next_seq(), said.task.clone());
        let entry = self.entry(said, (now, occurred), proposal);
        self.push(entry, Some(proposal.command.clone()));
        Answer::Receipts(vec![(seq, task, false)])
    }

    fn ask_again(&self, seq: Seq, proposal: &Proposal) -> Answer {
        let redacted = self.model.redactions().contains_key(&seq);
        let Some(stored) = self.command(seq) else { return Answer::Unclear };
        match asked_again(&proposal.command, stored, redacted) {
            Asked::Again => {
                let task = self.entries.get(place(seq)).and_then(|entry| entry.event.task.clone());
                Answer::Receipts(vec![(seq, task, true)])
            }
            Asked::Another => Answer::Refused(Broken::from(["KeyReused"])),
            Asked::Unclear => Answer::Unclear,
        }
    }

    /// The next event, which says this.
    fn entry(&self, said: Said, (now, occurred): (Millis, Millis), proposal: &Proposal) -> Entry {
        let commitment = |(kind, text): &(_, Arc<str>)| Commitment {
            kind: *kind,
            len: u32::try_from(text.len()).unwrap_or(u32::MAX),
            digest: [0; 32],
        };
        let event = Event {
            occurred,
            prev_in_thread: said.thread.as_ref().and_then(|id| self.model.last_of_thread(id)),
            prev_in_task: said.task.as_ref().and_then(|id| self.model.last_of_task(id)),
            thread: said.thread,
            task: said.task,
            cause: proposal.cause.clone(),
            key: proposal.key,
            parts: said.texts.iter().map(commitment).collect(),
            ..self.event(said.action, now)
        };
        let part = |(kind, text)| Part { kind, body: Some(PartBody { salt: [0; 16], text }) };
        let parts = said.texts.into_iter().map(part).collect();
        Entry { event, parts, withheld: PartSet::default(), batch_goes_on: false }
    }

    /// The next event, about nothing.
    #[must_use]
    pub fn event(&self, action: Action, now: Millis) -> Event {
        Event {
            seq: self.next_seq(),
            epoch: self.model.epoch().unwrap_or(Epoch { number: 1, nonce: 0 }),
            recorded: now.max(self.model.recorded()),
            occurred: now,
            thread: None,
            task: None,
            prev_in_thread: None,
            prev_in_task: None,
            cause: Cause::default(),
            key: None,
            action,
            parts: vec![],
        }
    }

    /// Events as another ledger could have written them behind those that are here: something that
    /// these tasks told.
    #[must_use]
    pub fn foretell(&self, events: &[(Index, Arc<str>)], now: Millis) -> Vec<Entry> {
        let mut next = self.clone();
        for (task, content) in events {
            let tasks: Vec<_> = self.model.tasks().collect();
            let (task, thread) = *task.get(&tasks);
            let said = Said {
                thread: Some(thread.clone()),
                task: Some(task.clone()),
                action: Action::Emitted { event_type: "arrived".into() },
                texts: vec![(PartKind::Content, Arc::clone(content))],
            };
            let command = Command::from(Emit::new(task.clone(), "arrived", Arc::clone(content)));
            let entry = next.entry(said, (now, now), &Proposal::from(command));
            next.push(entry, None);
        }
        next.entries.split_off(self.entries.len())
    }

    /// Takes events that another ledger wrote.
    pub fn ingest(&mut self, entries: Vec<Entry>) {
        let (size, number) = (self.entries.len(), self.model.next_number());
        for entry in entries {
            self.push(entry, None);
        }
        self.commit(size, number);
        self.sync();
    }

    /// Everything is durable.
    pub fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// The last writer let go of everything in order.
    pub fn close(&mut self) {
        self.sync();
        self.reserved = self.reserved.min(self.model.next_number().max(self.floor));
    }

    /// The power is gone, and with it the last `commits` of those that were not synced.
    pub fn lose(&mut self, commits: usize) {
        let first = self.unsynced.len().saturating_sub(commits);
        if let Some(size) = self.unsynced.get(first).copied() {
            self.entries.truncate(size);
            self.commands.truncate(size);
            self.model = Model::of(&self.entries);
        }
        self.sync();
    }

    /// The next writer opens what there is, which makes it durable.
    pub fn open(&mut self) {
        self.sync();
        self.floor = self.reserved;
        let known = self.model.ledger() == Some(self.ledger);
        self.began = Some(if known { Began::Opened } else { self.came.clone() });
    }

    /// The ids that another history of the same ledger reserved are reserved in this one.
    pub fn reserve_as(&mut self, other: &Self) {
        self.reserved = other.reserved;
    }

    /// A new ledger of the first `size` events. Later redactions count in it, and are repeated.
    #[must_use]
    pub fn fork(&self, size: usize, ledger: LedgerId, now: Millis) -> Self {
        let mut fork = self.copy(size, ledger, Began::Forked);
        let here = fork.model.redactions().clone();
        for (seq, parts) in self.model.redactions().clone() {
            let Some(entry) = fork.entries.get(place(seq)).filter(|_| place(seq) < size) else {
                continue;
            };
            let has = entry.parts.iter();
            let has: PartSet = has.map(|part| part.kind).collect();
            let done = here.get(&seq).copied().unwrap_or_default();
            let missing = parts.minus(done);
            if has.minus(has.minus(missing)).is_empty() {
                continue;
            }
            let reason = "redacted in the ledger that this one was forked from";
            fork.ask(&[Redact::new(seq, missing, reason).into()], now);
        }
        fork
    }

    /// A new ledger of a backup of this one.
    #[must_use]
    pub fn restore(&self, ledger: LedgerId) -> Self {
        self.copy(self.entries.len(), ledger, Began::RestoredFrom)
    }

    fn copy(&self, size: usize, ledger: LedgerId, came: fn(Origin) -> Began) -> Self {
        let at = self.entries.get(..size).and_then(<[_]>::last).map(|entry| entry.event.seq);
        let came = came(Origin { ledger: self.ledger, at, root: Root([0; 32]) });
        let (interval, batch) = (self.interval, self.batch_events_max);
        let mut copy = Self { came: came.clone(), ..Self::new(ledger, interval, batch) };
        copy.began = Some(came);
        let (commands, mut shown) = (self.commands.clone(), self.shown(size));
        // Whatever the cut leaves of a batch is a batch.
        shown.iter_mut().last().into_iter().for_each(|last| last.batch_goes_on = false);
        for (entry, command) in shown.into_iter().zip(commands) {
            copy.push(entry, command);
        }
        copy.commit(0, 0);
        copy.sync();
        copy
    }

    /// The first `size` events as they are shown now: without the texts that were redacted since.
    #[must_use]
    pub fn shown(&self, size: usize) -> Vec<Entry> {
        let mut shown = self.entries.get(..size).unwrap_or(&self.entries).to_vec();
        for entry in &mut shown {
            let redacted = self.model.redactions().get(&entry.event.seq);
            entry.erase(redacted.copied().unwrap_or_default());
        }
        shown
    }

    fn begin(&mut self, why: Began, now: Millis) {
        let number = self.model.epoch().map_or(0, |epoch| epoch.number);
        let number = if why == Began::Opened { number } else { number + 1 };
        let action = Action::Began {
            ledger: self.ledger,
            // Which copy it is has no meaning yet; the real ones are given the same.
            node: NodeId(self.ledger.0),
            version: env!("CARGO_PKG_VERSION").into(),
            incarnation: self.model.incarnation() + 1,
            why,
        };
        let event = Event { epoch: Epoch { number, nonce: 0 }, ..self.event(action, now) };
        self.push(
            Entry { event, parts: vec![], withheld: PartSet::default(), batch_goes_on: false },
            None,
        );
    }

    /// What was added behind the first `size` events is written. Numbers that a loss of power
    /// could make free again are reserved before they are given.
    fn commit(&mut self, size: usize, number: u64) {
        let next = self.model.next_number();
        if self.interval && next > number && next > self.reserved {
            self.reserved = next + RESERVED_AT_ONCE;
        }
        if self.interval {
            self.unsynced.push(size);
        }
    }

    fn push(&mut self, entry: Entry, command: Option<Command>) {
        self.model.fold(&entry);
        self.entries.push(entry);
        self.commands.push(command);
    }

    fn next_seq(&self) -> Seq {
        Seq::new(self.model.size() + 1).unwrap_or(Seq::FIRST)
    }
}

/// An entry without what nobody can foretell: salts, hashes and random numbers.
#[must_use]
pub fn plainly(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    entry.event.epoch.nonce = 0;
    entry.event.parts.iter_mut().for_each(|part| part.digest = [0; 32]);
    entry.parts.iter_mut().filter_map(|part| part.body.as_mut()).for_each(|body| {
        body.salt = [0; 16];
    });
    if let Action::Began { why: Began::Forked(origin) | Began::RestoredFrom(origin), .. } =
        &mut entry.event.action
    {
        origin.root = Root([0; 32]);
    }
    entry
}

/// Where the event with this number stands in a list of all events.
#[must_use]
pub fn place(seq: Seq) -> usize {
    usize::try_from(seq.leaf_index()).unwrap_or(usize::MAX)
}

/// A number of events as the ledger counts them.
#[must_use]
pub fn wide(events: usize) -> u64 {
    u64::try_from(events).unwrap_or(u64::MAX)
}
