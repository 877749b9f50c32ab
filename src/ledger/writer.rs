//! The one thread that owns core and store.
//!
//! A bounded queue in, acknowledgements out. It takes what waits, up to a group's limits, makes
//! one commit of it, and only then answers. There is no delay window: while one commit is synced,
//! the next one gathers in the queue. After a failed write or sync it answers
//! [`AppendError::Halted`] until the ledger is opened again.

use super::{
    AppendError, Durability, Options, Receipt,
    core::{Core, Staging, Surroundings},
    count_refused,
    shared::{Published, Shared},
};
use crate::{
    codec,
    ids::{Head, Seq},
    metrics,
    state::command::Proposal,
    store,
    sync::mpsc::{Receiver, RecvTimeoutError},
};
use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the writer thread can be asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Decide and write a batch.
    Append { batch: Vec<Proposal>, reply: Reply<Vec<Receipt>> },
    /// Write frames of another ledger; `expect` is the head that they must lead to.
    Ingest { frames: Vec<Vec<u8>>, expect: Option<Head>, reply: Reply<Head> },
    /// Make everything written so far durable.
    Sync { reply: Reply<Head> },
    /// Rewrite every file without the texts that are redacted.
    Erase { reply: oneshot::Sender<Result<(), store::Error>> },
    /// Sync, checkpoint and end.
    Close { reply: oneshot::Sender<Result<(), store::Error>> },
}

/// Runs until it is asked to close, or until nobody can ask any more.
pub(super) struct WriterThread {
    core: Core,
    shared: Arc<Shared>,
    options: Options,
    halted: bool,
    unsynced_since: Option<Instant>,
}

/// Appends that were decided and wait for the commit.
type Waiting = Vec<(Vec<Receipt>, Reply<Vec<Receipt>>)>;

impl WriterThread {
    pub(super) fn new(core: Core, shared: Arc<Shared>, options: Options) -> Self {
        Self { core, shared, options, halted: false, unsynced_since: None }
    }

    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let flow = match self.next_request(queue) {
                Ok(request) => self.serve(request, queue),
                Err(RecvTimeoutError::Timeout) => {
                    self.sync_if_due();
                    ControlFlow::Continue(())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // Every handle was dropped; nobody is left to be told how it went.
                    let _ = self.close();
                    ControlFlow::Break(())
                }
            };
            if flow.is_break() {
                return;
            }
        }
    }

    fn next_request(&self, queue: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        match self.time_to_sync() {
            Some(wait) => queue.recv_timeout(wait),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Does what is asked, and answers; whoever no longer waits for the answer is not missed.
    fn serve(&mut self, request: Request, queue: &Receiver<Request>) -> ControlFlow<()> {
        match request {
            Request::Append { batch, reply } => {
                if let Some(next) = self.append(&batch, reply, queue) {
                    return self.serve(next, queue);
                }
            }
            Request::Ingest { frames, expect, reply } => {
                let _ = reply.send(self.ingest(&frames, expect));
            }
            Request::Sync { reply } => {
                let _ = reply.send(self.sync());
            }
            Request::Erase { reply } => {
                let _ = reply.send(self.erase());
            }
            Request::Close { reply } => {
                let _ = reply.send(self.close());
                refuse_waiting(queue);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// One group commit: this batch and those that wait behind it. Returns a request that was
    /// found in the queue and is not an append.
    fn append(
        &mut self,
        batch: &[Proposal],
        reply: Reply<Vec<Receipt>>,
        queue: &Receiver<Request>,
    ) -> Option<Request> {
        let mut staging = self.core.stage();
        let mut waiting: Waiting = Vec::new();
        let mut left_over = None;
        self.decide(&mut staging, batch, reply, &mut waiting);
        while staging.events() < self.options.group_events_max
            && staging.bytes() < self.options.group_bytes_max
        {
            match queue.try_recv() {
                Ok(Request::Append { batch, reply }) => {
                    self.decide(&mut staging, &batch, reply, &mut waiting);
                }
                Ok(other) => {
                    left_over = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let outcome = self.commit(staging);
        self.answer(waiting, &outcome);
        self.sync_if_due();
        left_over
    }

    fn answer(&self, waiting: Waiting, outcome: &Result<(), AppendError>) {
        let durable = self.shared.log.synced();
        for (mut receipts, reply) in waiting {
            for receipt in &mut receipts {
                receipt.durable = receipt.seq.get() <= durable.size;
            }
            let answer = outcome.clone().inspect_err(count_refused).map(|()| receipts);
            let _ = reply.send(answer);
        }
    }

    fn decide(
        &mut self,
        staging: &mut Staging,
        batch: &[Proposal],
        reply: Reply<Vec<Receipt>>,
        waiting: &mut Waiting,
    ) {
        if self.halted {
            count_refused(&AppendError::Halted);
            let _ = reply.send(Err(AppendError::Halted));
            return;
        }
        let shared = &self.shared;
        let lookup =
            |seq: Seq| shared.entry(seq).map_err(|e| AppendError::Invalid { why: e.to_string() });
        let around = Surroundings {
            now: self.options.clock.now(),
            entropy: &*self.options.entropy,
            options: &self.options,
            lookup: &lookup,
        };
        match self.core.add(staging, batch, &around) {
            Ok(receipts) => waiting.push((receipts, reply)),
            Err(refusal) => {
                count_refused(&refusal);
                drop(reply.send(Err(refusal)));
            }
        }
    }

    /// Writes what was staged, makes it as durable as it has to be, and shows it.
    fn commit(&mut self, staging: Staging) -> Result<(), AppendError> {
        if staging.is_empty() {
            return Ok(());
        }
        let (began, events, bytes) = (Instant::now(), staging.events(), staging.bytes());
        let span = tracing::debug_span!("ledger.commit", events, bytes);
        let _entered = span.enter();
        self.write(&staging)?;
        match self.options.durability {
            Durability::Synced => self.sync_log()?,
            Durability::Interval(_) => {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
        }
        self.core.commit(staging);
        self.publish();
        metrics::observe(metrics::COMMIT, began.elapsed());
        metrics::count_many(metrics::APPENDED_EVENTS, events);
        Ok(())
    }

    fn write(&mut self, staging: &Staging) -> Result<(), AppendError> {
        self.reserve_numbers(staging)?;
        let Some(group) = staging.group() else { return Ok(()) };
        match self.shared.log.append(group) {
            Ok(()) => Ok(()),
            Err(store::Error::Full { .. }) => Err(AppendError::DiskFull),
            Err(store::Error::TooLarge { what, len, max }) => {
                Err(AppendError::TooLarge { what, len, max })
            }
            Err(store::Error::Busy { .. }) => {
                Err(AppendError::Busy { max: self.options.queue_requests_max })
            }
            Err(error) => Err(self.halt(&error)),
        }
    }

    /// Under `Interval`, an id could be acknowledged, lost with the power and given again. So
    /// numbers are reserved durably, many at a time, before the first of them is given.
    fn reserve_numbers(&mut self, staging: &Staging) -> Result<(), AppendError> {
        const NUMBERS_AT_ONCE: u64 = 65_536;
        let next = staging.state().next_number();
        let needed = match self.options.durability {
            Durability::Synced => false,
            Durability::Interval(_) => next > self.core.state().next_number(),
        };
        if needed && next > self.shared.log.reserved() {
            let reserved = next.saturating_add(NUMBERS_AT_ONCE);
            self.shared.log.reserve(reserved).map_err(|error| self.halt(&error))?;
        }
        Ok(())
    }

    fn ingest(&mut self, frames: &[Vec<u8>], expect: Option<Head>) -> Result<Head, AppendError> {
        if self.halted {
            return Err(AppendError::Halted);
        }
        let (len, max) = (frames.iter().map(Vec::len).sum::<usize>(), self.options.batch_bytes_max);
        if len > max {
            return Err(AppendError::TooLarge { what: "frames, in bytes,", len, max });
        }
        let mut staging = self.core.stage();
        Core::add_frames(&mut staging, frames)?;
        let head = staging.head();
        if let Some(expected) = expect
            && expected != head
        {
            let why = format!("the root is {}, expected {}", head.root, expected.root);
            let at = head.seq().unwrap_or(Seq::FIRST);
            return Err(AppendError::NotContinuation { at, why });
        }
        if !staging.is_empty() {
            self.write(&staging)?;
            self.sync_log()?;
            self.core.commit(staging);
            self.shared.set_incarnation(self.core.incarnation());
            self.publish();
        }
        Ok(head)
    }

    fn sync(&mut self) -> Result<Head, AppendError> {
        if self.halted {
            return Err(AppendError::Halted);
        }
        self.sync_log()?;
        self.shared.announce_synced();
        Ok(self.shared.log.synced())
    }

    fn sync_log(&mut self) -> Result<(), AppendError> {
        self.unsynced_since = None;
        match self.shared.log.sync() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.halt(&error)),
        }
    }

    fn time_to_sync(&self) -> Option<Duration> {
        let Durability::Interval(every) = self.options.durability else { return None };
        Some(every.saturating_sub(self.unsynced_since?.elapsed()))
    }

    fn sync_if_due(&mut self) {
        if !self.halted && self.time_to_sync() == Some(Duration::ZERO) {
            // A failure halts the ledger; whoever appends next is told.
            let _ = self.sync();
        }
    }

    fn publish(&self) {
        let state = self.core.state().clone();
        self.shared.publish(Published { state, tree: self.core.tree().clone() });
    }

    fn erase(&mut self) -> Result<(), store::Error> {
        let state = self.core.state().clone();
        let Some(upto) = Seq::last_of(state.size()) else { return Ok(()) };
        if self.halted {
            return Err(store::Error::Halted);
        }
        self.shared.log.sync().inspect_err(|error| drop(self.halt(error)))?;
        self.unsynced_since = None;
        self.shared.announce_synced();
        let held = self.shared.hold_snapshots();
        self.shared.log.erase(upto, &|seq, frame| {
            let parts = state.redacted(seq);
            let erased = (!parts.is_empty()).then(|| codec::erase(frame, parts));
            erased.transpose().map_err(|error| error.to_string())
        })?;
        self.shared.replace_snapshots(&held)
    }

    fn halt(&mut self, error: &store::Error) -> AppendError {
        tracing::error!(%error, "storage failed: the ledger takes no more appends");
        self.halted = true;
        self.shared.set_halted();
        AppendError::OutcomeUnknown { key: None }
    }

    /// Makes durable what is written, tells followers, and lets go. The order matters: a follower
    /// that is told of the end has been told of every event before it.
    fn close(&mut self) -> Result<(), store::Error> {
        let synced = if self.halted { Ok(()) } else { self.sync_and_settle() };
        self.shared.announce_synced();
        self.shared.set_halted();
        self.shared.join_snapshot();
        synced.and(self.shared.log.close())
    }

    fn sync_and_settle(&mut self) -> Result<(), store::Error> {
        self.shared.log.sync()?;
        let next = self.core.state().next_number();
        if self.shared.log.reserved() > next {
            // Everything is synced at a clean end, so no reserved number can have been lost.
            self.shared.log.reserve(next)?;
        }
        Ok(())
    }
}

impl Drop for WriterThread {
    /// Also after a panic: whoever waits is told that nothing more comes, and the lock is given
    /// back.
    fn drop(&mut self) {
        self.shared.set_halted();
        let _ = self.shared.log.close();
    }
}

/// Appends that came too late: nothing of them was written.
fn refuse_waiting(queue: &Receiver<Request>) {
    while let Ok(request) = queue.try_recv() {
        if let Request::Append { reply, .. } = request {
            let _ = reply.send(Err(AppendError::Halted));
        }
    }
}

impl std::fmt::Debug for WriterThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterThread").field("halted", &self.halted).finish_non_exhaustive()
    }
}
