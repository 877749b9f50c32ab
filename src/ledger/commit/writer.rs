//! The one writer: decides requests, writes them, and gives the results.
//!
//! It takes the waiting appends, up to a group's limits, makes one commit of them, and only then
//! answers. After a failed write or sync it answers [`AppendError::Halted`] until the ledger is
//! opened again. [`super::desk`] decides which thread has the writer, and when. `role` holds the requests
//! that decide who is in charge.

mod role;

pub(crate) use self::role::Turn;

use super::{
    core::{Core, Staging, Surroundings},
    request::{Alone, Append, Ingest, NotWritten, TakeOver},
    shared::Shared,
    staging::Published,
    witness::Answer,
};
use crate::{
    code::Code,
    codec,
    command::Proposal,
    ids::{Epoch, Head, Seq},
    ledger::{AppendError, Discontinuity, Durability, Options, PurgeError, Receipt, count_refused},
    metrics, store,
};
use std::{ops::ControlFlow, sync::Arc, time::Instant};

/// Task numbers that are reserved durably at once.
const NUMBERS_AT_ONCE: u64 = 65_536;

/// The writer. There is one, and one thread at a time holds it.
pub(crate) struct Writer {
    core: Core,
    shared: Arc<Shared>,
    options: Options,
}

/// Appends that become one commit.
pub(crate) struct Group {
    staging: Staging,
    answers: Answers,
}

/// Appends that were decided and wait for the commit: those that it records, and refusals that stand on
/// what it or the commit before it records.
type Answers = Vec<(Result<Vec<Receipt>, AppendError>, Answer)>;

/// The ledger is closed.
pub(crate) struct Closed {
    /// True if everything that was acknowledged is durable.
    pub(crate) whole: bool,
}

/// A group that was written, or was not, and is not yet answered.
pub(crate) struct Written {
    answers: Answers,
    /// The state with it; `None` if it holds no event.
    outcome: Result<Option<Arc<Published>>, NotWritten>,
    began: Instant,
    events: usize,
    span: tracing::Span,
}

impl Writer {
    pub(crate) fn new(core: Core, shared: Arc<Shared>, options: Options) -> Self {
        Self { core, shared, options }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Says whether writing these may wait for a device: to sync events that must be durable before
    /// them, to begin the next file, or for room. For `Interval`.
    pub(crate) fn may_wait<'a>(&self, mut appends: impl Iterator<Item = &'a Append>) -> bool {
        let reserves = self.runs_short(self.core.state().next_number())
            && appends.any(Append::asks_for_number);
        reserves || self.shared.log.append_may_wait()
    }

    /// Says whether to reserve numbers before `next` is assigned: half of them ahead, so that a
    /// caller that must not wait finds them reserved.
    fn runs_short(&self, next: u64) -> bool {
        next.saturating_add(NUMBERS_AT_ONCE / 2) > self.shared.log.reserved()
    }

    /// Opens a commit on top of the last one.
    pub(crate) fn begin(&self) -> Group {
        Group { staging: self.core.stage(), answers: Vec::new() }
    }

    /// The number of events that a group still takes; 0 if it is full in any way.
    pub(crate) fn room(&self, group: &Group) -> usize {
        if group.staging.bytes() >= self.options.group_bytes_max {
            return 0;
        }
        self.options.group_events_max.saturating_sub(group.staging.events())
    }

    /// Decides an append: it joins the group, or is refused. A refusal is answered with the group if an
    /// event that it may rest on could still be lost: "already ended" must not be said of an end that
    /// nobody is told of.
    pub(crate) fn decide(&self, group: &mut Group, append: Append) {
        let Append { batch, reply } = append;
        let decided = self.add(&mut group.staging, &batch);
        match decided {
            Err(refusal) if self.stands(&group.staging) => {
                count_refused(&refusal);
                reply.send(Err(refusal.into()));
            }
            decided => group.answers.push((decided, reply)),
        }
    }

    /// Says whether every event before the next one is as certain as its acknowledgement says.
    fn stands(&self, staging: &Staging) -> bool {
        let certain = match self.options.durability {
            Durability::Synced => self.shared.log.synced().size,
            Durability::Interval(_) => self.shared.log.written().size,
        };
        let base = if staging.is_empty() { self.core.state() } else { staging.state() };
        base.size() <= certain.get()
    }

    fn add(&self, staging: &mut Staging, batch: &[Proposal]) -> Result<Vec<Receipt>, AppendError> {
        if self.shared.is_halted() {
            return Err(AppendError::Halted);
        }
        self.surrounded(|around| self.core.add(staging, batch, around))
    }

    /// The answer of `ask` to the values that a batch needs besides itself.
    fn surrounded<T>(&self, ask: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let shared = &self.shared;
        let lookup = |seq: Seq| {
            shared
                .entry(seq)
                .map_err(|error| AppendError::Unreadable { seq, source: Arc::new(error) })
        };
        let around = Surroundings {
            now: self.options.clock.now(),
            entropy: &*self.options.entropy,
            options: &self.options,
            lookup: &lookup,
        };
        ask(&around)
    }

    /// Writes a group. The next one may be decided on top of it at once: if this one cannot be made
    /// durable, nothing is ever written again.
    pub(crate) fn write(&mut self, group: Group) -> Written {
        let Group { staging, answers } = group;
        let (began, events, bytes) = (Instant::now(), staging.events(), staging.bytes());
        let span = tracing::debug_span!("ledger.commit", events, bytes);
        let outcome = span.in_scope(|| self.commit(staging));
        Written { answers, outcome, began, events, span }
    }

    fn commit(&mut self, staging: Staging) -> Result<Option<Arc<Published>>, NotWritten> {
        if self.shared.is_halted() {
            // The group before it failed while this one gathered, and this one may stand on it:
            // with a known key, even if nothing is left to write.
            return Err(AppendError::Halted.into());
        }
        if staging.is_empty() {
            return Ok(None);
        }
        self.append(&staging)?;
        Ok(Some(self.core.commit(staging)))
    }

    fn append(&mut self, staging: &Staging) -> Result<(), NotWritten> {
        self.reserve_numbers(staging)?;
        let Some(group) = staging.group() else { return Ok(()) };
        self.shared.log.append(group).map_err(|error| match AppendError::of_refusal(error) {
            Ok(refusal) => refusal.into(),
            Err(failure) => self.shared.halt(&failure),
        })
    }

    /// Reserves numbers durably, many at a time, before the first of them is assigned. Under
    /// `Interval`, an id could otherwise be acknowledged, lost with the power and assigned again.
    fn reserve_numbers(&mut self, staging: &Staging) -> Result<(), NotWritten> {
        let next = staging.state().next_number();
        let needed = match self.options.durability {
            Durability::Synced => false,
            Durability::Interval(_) => next > self.core.state().next_number(),
        };
        if needed && self.runs_short(next) {
            let reserved = next.saturating_add(NUMBERS_AT_ONCE);
            self.shared.log.reserve(reserved).map_err(|error| self.shared.halt(&error))?;
        }
        Ok(())
    }

    /// Serves a request that needs the right to sync as well, and answers. A caller that no longer
    /// waits for the answer misses nothing. Breaks if it was a close.
    pub(crate) fn serve(&mut self, alone: Alone, turn: &mut Turn<'_>) -> ControlFlow<Closed> {
        match alone {
            Alone::Ingest(Ingest { frames, expect, by, reply }) => {
                let _ = reply.send(self.ingest(&frames, expect, by));
            }
            Alone::Purge(reply) => {
                let _ = reply.send(self.purge());
            }
            Alone::Promise(epoch, reply) => {
                let _ = reply.send(self.promise(epoch, turn));
            }
            Alone::TakeOver(TakeOver { epoch, numbers_from, reply }) => {
                let _ = reply.send(self.take_over(epoch, numbers_from, turn));
            }
            Alone::Reserve(upto, reply) => {
                let _ = reply.send(self.reserve(upto));
            }
            Alone::Close(reply) => {
                let closed = self.close();
                let whole = closed.is_ok();
                let _ = reply.send(closed);
                return ControlFlow::Break(Closed { whole });
            }
        }
        ControlFlow::Continue(())
    }

    /// Writes frames in the name of epoch `by`, or of the one that they lead to.
    fn ingest(
        &mut self,
        frames: &[Vec<u8>],
        expect: Option<Head>,
        by: Option<Epoch>,
    ) -> Result<Head, NotWritten> {
        if self.shared.is_halted() {
            return Err(AppendError::Halted.into());
        }
        let mut staging = self.core.stage();
        self.core.add_frames(&mut staging, frames)?;
        self.check_promise(by.or(staging.state().epoch()))?;
        let head = staging.head();
        if let Some(expected) = expect
            && expected != head
        {
            let at = head.seq().unwrap_or(Seq::FIRST);
            let why = Discontinuity::Root { expected, found: head };
            return Err(AppendError::NotContinuation { at, why }.into());
        }
        if !staging.is_empty() {
            self.write_durably(staging)?;
        }
        Ok(head)
    }

    /// Writes events, makes them durable and then publishes them, with any durability.
    fn write_durably(&mut self, staging: Staging) -> Result<(), NotWritten> {
        self.append(&staging)?;
        self.shared.sync()?;
        let published = self.core.commit(staging);
        self.shared.set_incarnation(self.core.incarnation());
        self.shared.publish(published);
        Ok(())
    }

    fn purge(&mut self) -> Result<(), PurgeError> {
        let state = self.core.state().clone();
        let Some(upto) = state.size().last_seq() else { return Ok(()) };
        if self.shared.is_halted() {
            return Err(PurgeError::Halted);
        }
        self.shared.log.sync().inspect_err(|error| drop(self.shared.halt(error)))?;
        self.shared.announce_synced();
        let held = self.shared.hold_snapshots();
        // Sealing needs much room at once, and frees journals, so it comes before the snapshot.
        self.shared.log.flush()?;
        // This one holds no redacted text. The others go only when it is there: without any, a reader
        // beside the purge would fold from the first event. That is slow, and no reason not to purge.
        match self.shared.save_snapshot(&self.shared.published(), &held) {
            Err(error) if error.code() == Code::DiskFull => {
                tracing::warn!(%error, "no snapshot is taken before the purge");
            }
            saved => saved?,
        }
        self.shared.log.erase(upto, &|seq, frame| {
            let parts = state.redacted(seq);
            let erased = (!parts.is_empty()).then(|| codec::erase(frame, parts));
            Ok(erased.transpose()?)
        })?;
        Ok(self.shared.remove_older_snapshots(upto, &held)?)
    }

    /// Makes all written events durable, tells followers, saves the state if that is worth it, and
    /// closes. The order matters: a follower that learns of the end has learnt of every event before
    /// it.
    pub(crate) fn close(&mut self) -> Result<(), store::Error> {
        let halted = self.shared.is_halted();
        let synced = if halted { Ok(()) } else { self.sync_and_settle() };
        self.shared.announce_synced();
        self.shared.set_halted();
        if synced.is_ok() && !halted {
            self.shared.snapshot_to_close();
        }
        self.shared.join_snapshot();
        synced.and(self.shared.log.close())
    }

    fn sync_and_settle(&mut self) -> Result<(), store::Error> {
        self.shared.log.sync()?;
        // A number below the floor may be one that another node gave, or that was lost before.
        let next = self.core.state().next_number().max(self.core.number_floor());
        if self.shared.log.reserved() > next {
            // After a clean end everything is synced, so no number reserved since can have been lost.
            self.shared.log.reserve(next)?;
        }
        Ok(())
    }
}

impl Written {
    /// Makes the group durable, and then publishes it.
    pub(crate) fn sync_and_publish(&mut self, shared: &Arc<Shared>) {
        if matches!(self.outcome, Ok(Some(_)))
            && let Err(error) = self.span.in_scope(|| shared.sync())
        {
            self.outcome = Err(error);
        }
        self.publish(shared);
    }

    /// Publishes the group.
    pub(crate) fn publish(&mut self, shared: &Arc<Shared>) {
        if let Ok(published) = &mut self.outcome
            && let Some(published) = published.take()
        {
            let recorded = || {
                let answers = self.answers.iter();
                answers.filter_map(|(decided, answer)| Some((decided.as_deref().ok()?, answer)))
            };
            recorded().for_each(|(receipts, answer)| answer.recorded(receipts));
            shared.publish(published);
            recorded().for_each(|(receipts, answer)| answer.shown(receipts));
            metrics::observe(metrics::COMMIT, self.began.elapsed());
            metrics::count_many(metrics::APPENDED_EVENTS, self.events);
        }
    }

    /// Answers every caller that waits.
    pub(crate) fn answer(self, shared: &Shared) {
        let durable = shared.log.synced();
        for (decided, reply) in self.answers {
            let answer = match (decided, &self.outcome) {
                (Ok(mut receipts), Ok(_)) => {
                    for receipt in &mut receipts {
                        receipt.durable = receipt.seq.get() <= durable.size.get();
                    }
                    Ok(receipts)
                }
                (Err(refusal), Ok(_)) => Err(refusal.into()),
                // Of a refused append nothing was written, whatever became of the others.
                (Err(_), Err(NotWritten::Unknown)) => Err(AppendError::Halted.into()),
                (_, Err(error)) => Err(error.clone()),
            };
            if let Err(error) = &answer {
                count_refused(&error.clone().of_append(None));
            }
            reply.send(answer);
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("state", self.core.state()).finish_non_exhaustive()
    }
}
