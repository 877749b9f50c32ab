//! The part that the writer and every reader share: the store, and the published state.
//!
//! Publishing is one pointer swap, reading it one load: a reader keeps its version as long as it
//! needs it, and never delays the writer.

use super::{request::NotWritten, staging::Published};
use crate::{
    codec,
    event::{Entry, PartSet},
    ids::{Head, Seq, Size},
    ledger::{
        AppendError, Damage, ReadError,
        read::texts::{Withheld, withholding},
    },
    snapshot::{self, Rung},
    store::{self, FrameLog, NodeStore, SnapshotStore},
    sync::ArcSwap,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use tokio::sync::watch;

/// The news that followers wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) synced: Head,
    /// True once nothing more will come: the ledger is closed or halted.
    pub(crate) ended: bool,
}

/// The parts of an open store.
pub(crate) type Stores = (Arc<dyn FrameLog>, Arc<dyn SnapshotStore>, Arc<dyn NodeStore>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn FrameLog>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    /// The identity of this copy, with its role and its promise.
    pub(crate) node: Arc<dyn NodeStore>,
    published: ArcSwap<Published>,
    progress: watch::Sender<Progress>,
    halted: AtomicBool,
    /// The number of this writer. It is set at opening; an unfinished copy learns from its frames
    /// how many writers there were.
    incarnation: AtomicU64,
    kept: KeptSnapshots,
    snapshot_job: Mutex<SnapshotJob>,
    saving: Mutex<()>,
    /// The texts that were withheld so far.
    pub(crate) withheld: Withheld,
    /// True if the log was opened in spite of damage, so that copies take what there is.
    salvaged: AtomicBool,
}

/// The snapshots that are kept; see [`snapshot::surplus`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptSnapshots {
    pub(crate) newest: usize,
    pub(crate) distance: u64,
}

#[derive(Debug)]
struct SnapshotJob {
    /// The number of events in the newest snapshot.
    last: u64,
    /// True once this writer has published an event.
    moved: bool,
    running: Option<JoinHandle<()>>,
}

impl Shared {
    pub(crate) fn new(
        (log, snapshots, node): Stores,
        published: Arc<Published>,
        last_snapshot: u64,
        kept: KeptSnapshots,
    ) -> Self {
        Self {
            progress: watch::Sender::new(Progress { synced: log.synced(), ended: false }),
            published: ArcSwap::new(published),
            halted: AtomicBool::new(false),
            log,
            snapshots,
            node,
            incarnation: AtomicU64::new(0),
            kept,
            snapshot_job: Mutex::new(SnapshotJob {
                last: last_snapshot,
                moved: false,
                running: None,
            }),
            saving: Mutex::new(()),
            withheld: Withheld::default(),
            salvaged: AtomicBool::new(false),
        }
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// O(log size): the root is hashed anew each time.
    pub(crate) fn head(&self) -> Head {
        self.published.load().tree.head()
    }

    /// The number of published events. O(1).
    pub(crate) fn size(&self) -> Size {
        self.published.load().tree.size()
    }

    /// The number of events that are durable and published. O(1).
    pub(crate) fn durable(&self) -> u64 {
        self.log.synced().size.min(self.size()).get()
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    pub(crate) fn set_incarnation(&self, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::Release);
    }

    pub(crate) fn is_salvaged(&self) -> bool {
        self.salvaged.load(Ordering::Acquire)
    }

    pub(crate) fn set_salvaged(&self) {
        self.salvaged.store(true, Ordering::Release);
    }

    pub(crate) fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    pub(crate) fn set_halted(&self) {
        self.halted.store(true, Ordering::Release);
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// Halts after a storage failure: nothing is written from here on, and appends in flight may be
    /// lost.
    pub(crate) fn halt(&self, error: &store::Error) -> NotWritten {
        tracing::error!(%error, "storage failed: the ledger takes no more appends");
        self.set_halted();
        NotWritten::Unknown
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<(), NotWritten> {
        if self.is_halted() {
            return Err(AppendError::Halted.into());
        }
        self.log.sync().map(drop).map_err(|error| self.halt(&error))
    }

    /// Publishes a state that was only read: nothing is saved.
    pub(crate) fn show(&self, published: Arc<Published>) {
        self.published.store(published);
        self.announce_synced();
    }

    pub(crate) fn publish(self: &Arc<Self>, published: Arc<Published>) {
        self.published.store(published);
        self.announce_synced();
        self.snapshot_if_due();
    }

    /// Announces to followers the durable events, as far as they are published; later ones are
    /// announced when they are published.
    pub(crate) fn announce_synced(&self) {
        let synced = self.log.synced();
        if synced.size > self.size() {
            return;
        }
        self.progress.send_if_modified(|progress| {
            let news = progress.synced.size < synced.size;
            if news {
                progress.synced = synced;
            }
            news
        });
    }

    /// The event with its redacted texts, if they are still stored. A text that is not what was
    /// recorded is missing.
    pub(crate) fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        let frames = self.log.read(seq, 1)?;
        match frames.first() {
            Some(frame) => withholding(seq, frame, (PartSet::default(), |_| true), &self.withheld),
            None => Err(ReadError::NoSuchEvent { seq, head: self.log.written() }),
        }
    }

    /// The texts of this event that no view shows.
    pub(crate) fn redacted(&self, seq: Seq) -> PartSet {
        self.published.load().state.redacted(seq)
    }

    /// Starts a snapshot beside the writer if enough has happened since the last.
    fn snapshot_if_due(self: &Arc<Self>) {
        let mut job = self.snapshot_job.lock().unwrap_or_else(PoisonError::into_inner);
        job.moved = true;
        if job.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let published = self.published();
        let (size, tasks) = (published.tree.size(), published.state.tasks_len());
        if !snapshot::due(size.get().saturating_sub(job.last), tasks) {
            return;
        }
        drop(published);
        job.last = size.get();
        let shared = Arc::clone(self);
        let take = move || {
            if let Err(error) = shared.take_snapshot(&shared.hold_snapshots()) {
                tracing::warn!(%error, "no snapshot could be taken: opening will take longer");
            }
        };
        let thread = std::thread::Builder::new().name("taskledger-snapshot".into());
        job.running = thread.spawn(take).ok();
    }

    /// Takes a snapshot at the end, if the next opening would replay much without it. All that is
    /// published must be durable.
    pub(crate) fn snapshot_to_close(&self) {
        self.join_snapshot();
        let (last, moved) = {
            let job = self.snapshot_job.lock().unwrap_or_else(PoisonError::into_inner);
            (job.last, job.moved)
        };
        let published = self.published();
        let since = published.tree.size().get().saturating_sub(last);
        if !moved || !snapshot::due_to_close(since, published.state.tasks_len()) {
            return;
        }
        drop(published);
        if let Err(error) = self.take_snapshot(&self.hold_snapshots()) {
            tracing::warn!(%error, "no snapshot could be taken: opening will take longer");
        }
    }

    pub(crate) fn join_snapshot(&self) {
        let running = {
            let mut job = self.snapshot_job.lock().unwrap_or_else(PoisonError::into_inner);
            job.running.take()
        };
        if let Some(running) = running {
            let _ = running.join();
        }
    }

    /// Keeps other threads from saving a snapshot. A state that was captured before a purge must
    /// not be saved after it, so capturing and saving are one step under this.
    pub(crate) fn hold_snapshots(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes every snapshot but the newest: they may hold erased texts.
    pub(crate) fn remove_older_snapshots(
        &self,
        newest: Seq,
        _held: &MutexGuard<'_, ()>,
    ) -> Result<(), store::Error> {
        let older = self.snapshots.list()?.into_iter().filter(|at| *at != newest);
        older.into_iter().try_for_each(|at| self.snapshots.remove(at))
    }

    /// Saves the published state, unless it is saved already.
    pub(crate) fn take_snapshot(&self, held: &MutexGuard<'_, ()>) -> Result<(), store::Error> {
        let published = self.published();
        let Some(at) = published.tree.head().seq() else { return Ok(()) };
        if self.snapshots.list()?.contains(&at) {
            return Ok(());
        }
        self.save_snapshot(&published, held)?;
        self.remove_surplus_snapshots(at)
    }

    /// Saves a published state, which it makes durable, in place of any that was saved there.
    pub(crate) fn save_snapshot(
        &self,
        published: &Published,
        _held: &MutexGuard<'_, ()>,
    ) -> Result<(), store::Error> {
        let head = published.tree.head();
        let Some(at) = head.seq() else { return Ok(()) };
        let span = tracing::info_span!("snapshot.take", seq_last = at.get());
        let _entered = span.enter();
        if self.log.synced().size < head.size {
            // With an interval, the published state is nearly always ahead of the durable one.
            self.log.sync().inspect_err(|error| drop(self.halt(error)))?;
            self.announce_synced();
        }
        let bytes = snapshot::encode(&published.state, head);
        self.snapshots.save(at, &bytes)?;
        tracing::info!(bytes = bytes.len(), "snapshot taken");
        Ok(())
    }

    /// Removes snapshots that are not worth their room. One beyond the log belongs to lost events,
    /// and never counts.
    fn remove_surplus_snapshots(&self, newest: Seq) -> Result<(), store::Error> {
        let (mut sound, mut surplus) = (Vec::new(), Vec::new());
        for at in self.snapshots.list()? {
            if at <= newest {
                sound.push(Rung { at, bytes: self.snapshots.bytes(at)? });
            } else {
                surplus.push(at);
            }
        }
        surplus.extend(snapshot::surplus(&sound, self.kept.newest, self.kept.distance));
        surplus.into_iter().try_for_each(|at| self.snapshots.remove(at))
    }
}

/// Decodes the frame of event `seq`.
pub(crate) fn decode(seq: Seq, frame: &[u8]) -> Result<Entry, ReadError> {
    let entry = codec::decode(frame).map_err(|error| unreadable(seq, error))?;
    if entry.event.seq != seq {
        return Err(ReadError::damaged(seq, Damage::OtherEvent { found: entry.event.seq }));
    }
    Ok(entry)
}

/// Makes the error for event `seq` that cannot be read; a newer version is not damage.
pub(crate) fn unreadable(seq: Seq, error: codec::DecodeError) -> ReadError {
    if let codec::DecodeError::UnsupportedFormat { what, found, max } = error {
        return ReadError::UnsupportedFormat { what, found, max };
    }
    ReadError::damaged(seq, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proof::Tree,
        state::LedgerState,
        store::{Group, MemStore},
    };

    /// The published state of a log of so many events.
    fn published(size: u64) -> Arc<Published> {
        let mut tree = Tree::default();
        (0..size).for_each(|_| drop(tree.push(b"an event")));
        Arc::new(Published::new(LedgerState::default(), tree))
    }

    // A follower reads up to the announced head, with the redactions of the published state.
    #[test]
    fn what_is_durable_is_announced_when_it_is_published() {
        let store = Arc::new(MemStore::new());
        let kept = KeptSnapshots { newest: 1, distance: 1 };
        let shared = Arc::new(Shared::new(
            (store.clone(), store.clone(), store.clone()),
            published(0),
            0,
            kept,
        ));
        let progress = shared.watch_progress();
        let announced = || progress.borrow().synced;
        let (one, two) = (published(1), published(2));
        for Head { size, root } in [one.tree.head(), two.tree.head()] {
            let (first, frames) = (Seq::new(size.get()).unwrap(), [b"an event".to_vec()]);
            store.append(Group { first, frames: &frames, root, tree_hashes: &[] }).unwrap();
        }
        store.sync().unwrap();
        shared.announce_synced();
        assert_eq!(announced(), Head::EMPTY);
        shared.publish(one);
        assert_eq!(announced(), Head::EMPTY, "the second is durable too, and not shown yet");
        assert_eq!(shared.durable(), 1);
        shared.publish(Arc::clone(&two));
        assert_eq!(announced(), two.tree.head());
    }
}
