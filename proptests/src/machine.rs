//! What can happen to a ledger, and what must then be true of it: the reference of the state
//! machine tests.
//!
//! A step is made without knowing what the ledger says. When the outcome of an append is unknown,
//! or power is lost, several pasts are allowed: [`Reference::worlds`] holds a plain ledger for
//! each, and the real one must be one of them. Start reading at [`Step`], then [`Reference::take`].

mod ask;
mod steps;

pub use ask::{Ask, Seen};
pub use steps::{OnDisk, OnFaults};

use crate::plain::{Answer, Plain};
use proptest::sample::Index;
use std::sync::Arc;
use taskledger::{
    command::Proposal,
    event::Entry,
    ids::{LedgerId, TaskId, ThreadId},
    store::faulty::Call,
    time::Millis,
};

/// Worlds that are kept apart before no more doubt is allowed.
const WORLDS_MAX: usize = 64;
/// Commits that may wait to be synced, so that a power cut has few outcomes.
const UNSYNCED_MAX: usize = 3;
/// Events after which nothing more is asked for.
const EVENTS_MAX: usize = 160;
/// Copies that one case makes.
const COPIES_MAX: u8 = 3;

/// One thing that happens to a ledger.
#[derive(Debug, Clone)]
pub enum Step {
    /// Somebody asks for a batch.
    Append(Vec<Ask>),
    /// The clock jumps.
    Clock(Millis),
    /// Everything written becomes durable.
    Sync,
    /// A snapshot is taken, and everything is sealed.
    Checkpoint,
    /// It is closed and opened.
    Close,
    /// Its process is killed, and another one opens it.
    Crash,
    /// The same, and its snapshots are gone.
    LoseSnapshots,
    /// The same, and a byte of its newest snapshot has changed.
    SpoilSnapshot(Index),
    /// Its sealed store is lost and made anew.
    Rebuild,
    /// Redacted texts are taken out of every file.
    Purge,
    /// A fork is made at this place, and perhaps gone on with.
    Fork {
        /// How much of it.
        at: Index,
        /// Whether what follows happens to the fork.
        stay: bool,
    },
    /// A backup is made, and a ledger of that, and perhaps gone on with.
    Restore {
        /// Whether what follows happens to the new ledger.
        stay: bool,
    },
    /// Events arrive that another ledger wrote.
    Ingest {
        /// About which tasks, and what they say.
        events: Vec<(Index, Arc<str>)>,
        /// What is wrong with the last of them.
        twist: Option<Twist>,
    },
    /// Somebody asks about the past.
    Look(Look),
    /// The power is gone, and what was not synced may be.
    PowerCut,
    /// A call to the device fails during an append; then the process ends, or the power is gone.
    FailAppend {
        /// What is asked for.
        asks: Vec<Ask>,
        /// Which call fails.
        call: Call,
        /// Whether the power goes with it.
        cut: bool,
    },
    /// The process is killed, and the next opening fails at this call to the device.
    FailOpen(u64),
    /// A store checkpoint fails at this call.
    FailCheckpoint(u64),
    /// A purge fails at this call; then the process ends.
    FailPurge(u64),
}

/// What is wrong with an event that does not continue a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Its number was there before.
    NumberBefore,
    /// Its number leaves one out.
    NumberAfter,
    /// It was recorded before the event before it.
    Earlier,
    /// It names no event before it of its task.
    TaskUnlinked,
    /// It names another event as the one before it in its thread.
    ThreadLinkedElsewhere,
    /// It is of a later epoch that nobody began.
    EpochNumber,
    /// It is of another writer of the same epoch number.
    EpochNonce,
    /// A writer began that is not the next one.
    Incarnation,
    /// Its text is not the one that it is bound to.
    Text,
    /// It leads to another head than the sender has said.
    Expectation,
}

/// A question about the past.
#[derive(Debug, Clone)]
pub struct Look {
    /// What is asked.
    pub what: What,
    /// Between how many events.
    pub from: Index,
    /// And how many.
    pub to: Index,
    /// About which task.
    pub task: Index,
    /// What had occurred by when.
    pub time: Millis,
    /// How many of them.
    pub limit: usize,
}

/// What can be asked about the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The state after so many events.
    State,
    /// A thread as it was.
    Thread,
    /// A task as it was.
    Task,
    /// What had occurred by some time.
    Occurred,
    /// The events of a thread and of a task.
    History,
    /// What changed.
    Diff,
    /// That the past is still the same.
    Proofs,
    /// Single events and runs of them.
    Events,
    /// What came since.
    Follow,
    /// All of it, from bytes.
    Audit,
}

/// How a ledger is set up, for all that happens to it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// In a directory; else on a device that can fail.
    pub on_disk: bool,
    /// What the device does by chance.
    pub seed: u64,
    /// An acknowledgement does not wait for the device.
    pub interval: bool,
    /// How large a journal file is.
    pub journal_bytes: u64,
    /// Bytes that wake the sealing thread.
    pub seal_bytes: usize,
    /// How many snapshots are kept.
    pub snapshots_kept: usize,
    /// Events in one batch.
    pub batch_events_max: usize,
}

/// One past that is allowed.
#[derive(Debug, Clone)]
pub struct World {
    /// What the ledger is.
    pub plain: Plain,
    /// What was asked for in the last step.
    pub asked: Vec<Proposal>,
    /// What must be answered.
    pub answer: Answer,
    /// What arrived in the last step.
    pub arrived: Vec<Entry>,
    /// The copy that was made in the last step.
    pub copy: Option<Plain>,
}

/// What must be true of the ledger.
#[derive(Debug, Clone)]
pub struct Reference {
    /// How it was set up.
    pub setup: Setup,
    /// What time it is.
    pub clock: Millis,
    /// Every past that is allowed.
    pub worlds: Vec<World>,
    /// How many worlds the last step has made of each: those of the world `n` are `n * split` and
    /// the `split - 1` behind it.
    pub split: usize,
    /// How many copies were made.
    pub copies: u8,
}

impl Reference {
    /// A new ledger.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let plain = Plain::new(crate::world::HERE, setup.interval, setup.batch_events_max);
        let worlds = vec![World::of(plain)];
        Self { setup, clock: Millis(1_000), worlds, split: 1, copies: 0 }
    }

    /// The id of the copy that is made next, or was made last.
    #[must_use]
    pub fn copy_id(copies: u8) -> LedgerId {
        LedgerId([100 + copies; 16])
    }

    /// Takes a step in every world.
    #[must_use]
    pub fn take(mut self, step: &Step) -> Self {
        let makes_copy = matches!(step, Step::Fork { .. } | Step::Restore { .. });
        self.copies += u8::from(makes_copy);
        if let Step::Clock(to) = step {
            self.clock = *to;
        }
        let worlds = std::mem::take(&mut self.worlds);
        self.split = self.outcomes(step);
        self.worlds = worlds.into_iter().flat_map(|world| self.happens(world, step)).collect();
        self
    }

    /// Whether the step can be taken.
    #[must_use]
    pub fn allows(&self, step: &Step) -> bool {
        let small = |world: &World| world.plain.entries().len() < EVENTS_MAX;
        let durable = |world: &World| self.setup.on_disk || world.plain.unsynced() < UNSYNCED_MAX;
        let clear = |asks: &[Ask]| {
            let unclear = |world: &World| {
                let (mut plain, asked) = (world.plain.clone(), ask::resolve(&world.plain, asks));
                plain.ask(&asked, self.clock) == Answer::Unclear
            };
            self.worlds.iter().all(|world| small(world) && durable(world) && !unclear(world))
        };
        let few = self.worlds.len() * self.outcomes(step) <= WORLDS_MAX;
        few && match step {
            Step::Append(asks) => clear(asks),
            Step::FailAppend { asks, cut, .. } => clear(asks) && !(*cut && self.setup.interval),
            Step::Ingest { .. } => self
                .worlds
                .iter()
                .all(|world| small(world) && world.plain.model().tasks().next().is_some()),
            Step::Fork { .. } | Step::Restore { .. } => self.copies < COPIES_MAX,
            Step::Clock(_)
            | Step::Sync
            | Step::Checkpoint
            | Step::Close
            | Step::Crash
            | Step::LoseSnapshots
            | Step::SpoilSnapshot(_)
            | Step::Rebuild
            | Step::Purge
            | Step::Look(_)
            | Step::PowerCut
            | Step::FailOpen(_)
            | Step::FailCheckpoint(_)
            | Step::FailPurge(_) => true,
        }
    }

    /// How many worlds a step makes of one.
    fn outcomes(&self, step: &Step) -> usize {
        if matches!(step, Step::FailAppend { .. }) {
            2
        } else if matches!(step, Step::PowerCut) && self.setup.interval {
            1 + UNSYNCED_MAX
        } else {
            1
        }
    }

    /// What becomes of one world.
    fn happens(&self, world: World, step: &Step) -> Vec<World> {
        let mut next = World::of(world.plain);
        let plain = &mut next.plain;
        match step {
            Step::Append(asks) => {
                next.asked = ask::resolve(plain, asks);
                next.answer = plain.ask(&next.asked, self.clock);
            }
            Step::Sync | Step::Purge => plain.sync(),
            Step::Close | Step::Rebuild => {
                plain.close();
                plain.open();
            }
            Step::Crash
            | Step::LoseSnapshots
            | Step::SpoilSnapshot(_)
            | Step::FailOpen(_)
            | Step::FailPurge(_) => plain.open(),
            Step::Fork { at, stay } => {
                let size = at.index(plain.entries().len() + 1);
                let fork = plain.fork(size, Self::copy_id(self.copies), self.clock);
                next.copied(fork, *stay);
            }
            Step::Restore { stay } => {
                let restored = plain.restore(Self::copy_id(self.copies));
                next.copied(restored, *stay);
            }
            Step::Ingest { events, twist } => {
                next.arrived = plain.foretell(events, self.clock);
                if twist.is_none() {
                    plain.ingest(next.arrived.clone());
                }
            }
            Step::PowerCut => return self.outcomes_of_power_cut(&next, step),
            Step::FailAppend { asks, call, .. } => {
                return self.outcomes_of_append(next, asks, *call);
            }
            Step::Clock(_) | Step::Checkpoint | Step::Look(_) | Step::FailCheckpoint(_) => {}
        }
        vec![next]
    }

    fn outcomes_of_power_cut(&self, world: &World, step: &Step) -> Vec<World> {
        let lost = 0..self.outcomes(step);
        lost.map(|commits| {
            let mut world = world.clone();
            world.plain.lose(commits);
            world.plain.open();
            world
        })
        .collect()
    }

    /// Not kept, and kept.
    fn outcomes_of_append(&self, world: World, asks: &[Ask], call: Call) -> Vec<World> {
        let mut kept = world.clone();
        kept.asked = ask::resolve(&kept.plain, asks);
        kept.answer = kept.plain.ask(&kept.asked, self.clock);
        let mut not_kept = World { plain: world.plain, ..kept.clone() };
        // Numbers are reserved, by a sync, before the write that gives them.
        if call == Call::Write {
            not_kept.plain.reserve_as(&kept.plain);
        }
        not_kept.plain.open();
        kept.plain.open();
        vec![not_kept, kept]
    }
}

impl World {
    fn of(plain: Plain) -> Self {
        let answer = Answer::Receipts(vec![]);
        Self { plain, asked: vec![], answer, arrived: vec![], copy: None }
    }

    fn copied(&mut self, copy: Plain, stay: bool) {
        if stay {
            self.plain = copy.clone();
        }
        self.copy = Some(copy);
    }

    /// The task that an index means, and its thread.
    #[must_use]
    pub fn task(&self, index: Index) -> Option<(&TaskId, &ThreadId)> {
        let tasks: Vec<_> = self.plain.model().tasks().collect();
        if tasks.is_empty() { None } else { Some(*index.get(&tasks)) }
    }
}
