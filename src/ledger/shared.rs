//! What the writer thread and every reader share: the store, and the state as last published.
//!
//! Publishing is one pointer swap, reading it one load: a reader keeps its version for as long as
//! it likes and never delays the writer.

use super::ReadError;
use crate::{
    codec,
    event::Entry,
    ids::{Head, Seq},
    proof::Tree,
    snapshot,
    state::LedgerState,
    store::{self, FrameLog, SnapshotStore},
};
use arc_swap::ArcSwap;
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::watch;

/// The state and the tree after the same events.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) state: LedgerState,
    pub(super) tree: Tree,
}

impl Published {
    fn head(&self) -> Head {
        self.tree.head()
    }
}

/// What followers wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) synced: Head,
    /// Nothing more will come: the ledger is closed or halted.
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) log: Arc<dyn FrameLog>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    published: ArcSwap<Published>,
    progress: watch::Sender<Progress>,
    snapshots_kept: usize,
    snapshot_job: Mutex<SnapshotJob>,
}

#[derive(Debug)]
struct SnapshotJob {
    /// Events in the newest snapshot.
    last: u64,
    running: Option<JoinHandle<()>>,
}

impl Shared {
    pub(super) fn new(
        log: Arc<dyn FrameLog>,
        snapshots: Arc<dyn SnapshotStore>,
        published: Published,
        last_snapshot: u64,
        snapshots_kept: usize,
    ) -> Self {
        Self {
            progress: watch::Sender::new(Progress { synced: log.synced(), ended: false }),
            published: ArcSwap::from_pointee(published),
            log,
            snapshots,
            snapshots_kept,
            snapshot_job: Mutex::new(SnapshotJob { last: last_snapshot, running: None }),
        }
    }

    pub(super) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    pub(super) fn head(&self) -> Head {
        self.published.load().head()
    }

    pub(super) fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn is_halted(&self) -> bool {
        self.progress.borrow().ended
    }

    pub(super) fn set_halted(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    pub(super) fn publish(self: &Arc<Self>, published: Published) {
        self.published.store(Arc::new(published));
        self.announce_synced();
        self.snapshot_if_due();
    }

    pub(super) fn announce_synced(&self) {
        let synced = self.log.synced();
        self.progress.send_if_modified(|progress| {
            let news = progress.synced.size < synced.size;
            if news {
                progress.synced = synced;
            }
            news
        });
    }

    /// The event as it is stored, whatever has been redacted since.
    pub(super) fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        let frames = self.log.read(seq, 1)?;
        match frames.first() {
            Some(frame) => decode(seq, frame),
            None => Err(ReadError::NoSuchEvent { seq, head: self.log.written() }),
        }
    }

    /// Starts a snapshot beside the writer if enough has happened since the last.
    fn snapshot_if_due(self: &Arc<Self>) {
        let mut job = self.snapshot_job.lock().unwrap_or_else(PoisonError::into_inner);
        if job.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let published = self.published();
        let (size, tasks) = (published.tree.size(), published.state.tasks_len());
        if !snapshot::due(size.saturating_sub(job.last), tasks) || self.log.synced().size < size {
            return;
        }
        job.last = size;
        let shared = Arc::clone(self);
        let take = move || {
            if let Err(error) = shared.take_snapshot(&published) {
                tracing::warn!(%error, "no snapshot could be taken: opening will take longer");
            }
        };
        job.running =
            std::thread::Builder::new().name("taskledger-snapshot".into()).spawn(take).ok();
    }

    pub(super) fn join_snapshot(&self) {
        let mut job = self.snapshot_job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = job.running.take() {
            let _ = running.join();
        }
    }

    /// Saves the published state now, unless a snapshot of it is there already.
    pub(super) fn snapshot_now(&self) -> Result<(), store::Error> {
        self.join_snapshot();
        let published = self.published();
        match Seq::last_of(published.tree.size()) {
            Some(at) if !self.snapshots.list()?.contains(&at) => self.take_snapshot(&published),
            _ => Ok(()),
        }
    }

    /// Removes every snapshot, which may hold erased texts, and takes a new one.
    pub(super) fn replace_snapshots(&self) -> Result<(), store::Error> {
        self.join_snapshot();
        for at in self.snapshots.list()? {
            self.snapshots.remove(at)?;
        }
        self.take_snapshot(&self.published())
    }

    fn take_snapshot(&self, published: &Published) -> Result<(), store::Error> {
        let head = published.head();
        let Some(at) = head.seq() else { return Ok(()) };
        let bytes = snapshot::encode(&published.state, head);
        self.snapshots.save(at, &bytes)?;
        tracing::info!(seq_last = at.get(), bytes = bytes.len(), "snapshot taken");
        let saved = self.snapshots.list()?;
        let surplus = saved.len().saturating_sub(self.snapshots_kept.max(1));
        saved.into_iter().take(surplus).try_for_each(|old| self.snapshots.remove(old))
    }
}

/// Decodes the frame of event `seq`.
pub(super) fn decode(seq: Seq, frame: &[u8]) -> Result<Entry, ReadError> {
    let entry = codec::decode(frame).map_err(|error| {
        if let codec::DecodeError::UnsupportedFormat { found, max, .. } = error {
            return ReadError::UnsupportedFormat { found, max };
        }
        ReadError::Damaged { seq, detail: error.to_string() }
    })?;
    if entry.event.seq != seq {
        let detail = format!("its frame says that it is event {}", entry.event.seq);
        return Err(ReadError::Damaged { seq, detail });
    }
    Ok(entry)
}
