//! What is counted. Everything is in memory: a disk would be counted by how often it is asked.

use crate::workload::{self, Size};
use anyhow::{Context, Result, bail};
use std::{hint::black_box, time::Duration};
use taskledger::{
    Durability, Ledger, Options, codec,
    event::Entry,
    ids::Seq,
    query::{Position, Scope, as_of},
    snapshot,
    state::LedgerState,
};

/// Threads that take turns, each with tasks of ten events.
const SIZE: Size = Size { threads: 32, per_task: 10 };
/// The same, each with one task: more would be read on as many cores as there are.
const OF_ONE_TASK: Size = Size { threads: 32, per_task: 100 };
/// Events that are there before a question is asked: a hundred in each thread.
const EVENTS: u64 = 3_200;
/// Events of one append.
const BATCH: usize = 64;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// One event, in batches, decided, encoded, hashed, folded and acknowledged.
    Append,
    Encode,
    Decode,
    /// One event into a state.
    Fold,
    /// A thread of a hundred events as of its middle.
    AsOf,
    /// A snapshot of 320 tasks, decoded.
    Snapshot,
}

impl Operation {
    pub(super) const ALL: [Self; 6] =
        [Self::Append, Self::Encode, Self::Decode, Self::Fold, Self::AsOf, Self::Snapshot];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Fold => "fold",
            Self::AsOf => "as-of",
            Self::Snapshot => "snapshot",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|operation| operation.name() == name);
        found.with_context(|| format!("no operation is called {name}"))
    }

    /// How often it is done in the shorter run, and in the longer one: so much more that what the
    /// preparation takes more or less from run to run, about a hundredth, does not show.
    pub(super) fn times(self) -> (u64, u64) {
        match self {
            Self::Append => (EVENTS, 3 * EVENTS),
            Self::Encode | Self::Decode | Self::Fold => (EVENTS, 20 * EVENTS),
            Self::AsOf => (32, 96),
            Self::Snapshot => (1, 16),
        }
    }

    /// Does it so many times.
    pub(super) fn run(self, times: u64) -> Result<()> {
        match self {
            Self::Append => append(times),
            Self::Encode => again(&entries()?, times, |entry| {
                black_box(codec::encode(entry)?);
                Ok(())
            }),
            Self::Decode => {
                let entries = entries()?;
                let frames: Vec<_> = entries.iter().map(codec::encode).collect::<Result<_, _>>()?;
                again(&frames, times, |frame| {
                    black_box(codec::decode(frame)?);
                    Ok(())
                })
            }
            Self::Fold => {
                let (entries, mut state) = (entries()?, LedgerState::default());
                for entry in entries.iter().cycle().take(usize::try_from(times)?) {
                    if entry.event.seq == Seq::FIRST {
                        state = LedgerState::default();
                    }
                    state.apply(entry);
                }
                black_box(state);
                Ok(())
            }
            Self::AsOf => past(times),
            Self::Snapshot => {
                let reader = filled(SIZE)?.reader();
                let bytes = snapshot::encode(&reader.state()?, reader.head());
                again(&[bytes], times, |bytes| {
                    black_box(snapshot::decode(bytes)?);
                    Ok(())
                })
            }
        }
    }
}

fn again<T>(of: &[T], times: u64, mut once: impl FnMut(&T) -> Result<()>) -> Result<()> {
    of.iter().cycle().take(usize::try_from(times)?).try_for_each(&mut once)
}

fn append(times: u64) -> Result<()> {
    let durability = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::in_memory(Options::default().durability(durability))?;
    let events = 0..3 * EVENTS; // made in the shorter run as well: who asks pays for that
    let events: Vec<_> =
        events.map(|number| workload::proposal(number, SIZE)).collect::<Result<_>>()?;
    let batches = usize::try_from(times)? / BATCH;
    for batch in events.chunks(BATCH).take(batches) {
        ledger.append_blocking(batch)?;
    }
    // Closing would save the state, which is another operation.
    std::mem::forget(ledger);
    Ok(())
}

fn past(times: u64) -> Result<()> {
    let ledger = filled(OF_ONE_TASK)?;
    let reader = ledger.reader();
    for look in 0..times {
        let thread = workload::thread(look % OF_ONE_TASK.threads)?;
        let view = as_of(
            &reader,
            Scope::Thread(&thread),
            Position::Log(taskledger::ids::Size::new(EVENTS / 2)),
        )?;
        if view.state.tasks_len() == 0 {
            bail!("the thread has no tasks");
        }
        black_box(view);
    }
    Ok(())
}

fn entries() -> Result<Vec<Entry>> {
    workload::entries(&filled(SIZE)?)
}

fn filled(size: Size) -> Result<Ledger> {
    let ledger = Ledger::in_memory(Options::default())?;
    workload::fill(&ledger, (0..EVENTS).map(|number| workload::proposal(number, size)))?;
    Ok(ledger)
}
