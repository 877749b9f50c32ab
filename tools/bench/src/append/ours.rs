//! The ledger: every event decided, linked, hashed into the tree and folded before it is
//! acknowledged.

use super::{
    Entrant, Promise,
    contest::{Appending, Caller, Contestant, Load},
};
use crate::workload::{CALLERS, proposal};
use anyhow::{Context, Result};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use taskledger::{Durability, Ledger, Options, command::Proposal};
use tokio::task::JoinSet;

/// What it is called in the tables.
pub(super) const OURS: &str = "taskledger";

pub(super) fn entrant(promise: Promise) -> Entrant {
    match promise {
        Promise::Durable => Entrant {
            name: OURS,
            means: "group in the journal, fdatasync",
            promised: "`Durability::Synced`; has been through power cuts, see [testing.md](testing.md)",
            open: Box::new(|path, _| Ok(Box::new(Ours::create(path, Durability::Synced)?))),
        },
        Promise::Written => Entrant {
            name: OURS,
            means: "group in the journal",
            promised: "`Durability::Interval`, 100 ms; has been through kills, see [testing.md](testing.md)",
            open: Box::new(|path, _| {
                let interval = Durability::Interval(Duration::from_millis(100));
                Ok(Box::new(Ours::create(path, interval)?))
            }),
        },
    }
}

struct Ours {
    ledger: Arc<Ledger>,
}

impl Ours {
    fn create(path: &Path, durability: Durability) -> Result<Self> {
        let ledger = Ledger::create(path, Options::default().durability(durability))?;
        Ok(Self { ledger: Arc::new(ledger) })
    }
}

impl Contestant for Ours {
    fn caller(&self, caller: usize) -> Result<Box<dyn Caller + '_>> {
        Ok(Box::new(OurCaller { ledger: &self.ledger, caller: u64::try_from(caller)?, next: 0 }))
    }

    fn append(&self, caller: usize, nth: usize, batch: usize) -> Result<Appending> {
        let next = u64::try_from(nth * batch)?;
        let batch = events(u64::try_from(caller)?, next, batch)?;
        let ledger = Arc::clone(&self.ledger);
        Ok(Box::pin(async move { Ok(ledger.append(batch).await.map(drop)?) }))
    }
}

/// The events of a caller, from number `from` on.
fn events(caller: u64, from: u64, count: usize) -> Result<Vec<Proposal>> {
    let numbers = (from..).take(count).map(|next| next * CALLERS.threads + caller);
    numbers.map(|number| proposal(number, CALLERS)).collect()
}

struct OurCaller<'a> {
    ledger: &'a Arc<Ledger>,
    caller: u64,
    next: u64,
}

impl OurCaller<'_> {
    fn batch(&mut self, count: usize) -> Result<Vec<Proposal>> {
        let batch = events(self.caller, self.next, count)?;
        self.next += u64::try_from(count)?;
        Ok(batch)
    }

    fn outstanding(
        &mut self,
        load: Load,
        until: Instant,
        done: &mut dyn FnMut(Duration),
    ) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut waiting = JoinSet::new();
            loop {
                // Filled up again by the half: the caller does not wake for each.
                if waiting.len() <= load.outstanding / 2 {
                    while waiting.len() < load.outstanding && Instant::now() < until {
                        let (batch, ledger) = (self.batch(load.batch)?, Arc::clone(self.ledger));
                        waiting.spawn(async move {
                            let began = Instant::now();
                            ledger.append(batch).await.map(|_| began.elapsed())
                        });
                    }
                }
                let Some(ended) = waiting.join_next().await else { return Ok(()) };
                done(ended.context("an append panicked")??);
            }
        })
    }
}

impl Caller for OurCaller<'_> {
    fn append(&mut self, load: Load, until: Instant, done: &mut dyn FnMut(Duration)) -> Result<()> {
        if load.outstanding > 1 {
            return self.outstanding(load, until, done);
        }
        while Instant::now() < until {
            let batch = self.batch(load.batch)?;
            let began = Instant::now();
            self.ledger.append_blocking(batch)?;
            done(began.elapsed());
        }
        Ok(())
    }
}
