//! The parts of an open store that the writing, sealing and reading threads share, and their locks.
//!
//! A lock here is held for memory accesses, or for one small write to the page cache; none while a
//! device is synced, sled is called or a file is read. There are four exceptions: `sealing`, which
//! only sealing code takes, `syncing`, which only syncing code takes, `journal` during the
//! change to the next one, and `opening` while sled is opened. Reads take none of the first three, and
//! the last one only if they need sled.

use super::{
    engine::{Beside, Engine},
    tail::Tail,
};
use crate::{
    ids::Head,
    store::{
        Error, FrameRead, Identity,
        disk::{
            files::{
                dir,
                head::{HeadFile, HeadRecord},
                journal::{Journal, Spare},
                lock::Lock,
            },
            options::DiskOptions,
        },
    },
};
use std::{
    collections::VecDeque,
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// A full journal that waits until sled holds all of it.
#[derive(Debug, Clone)]
pub(crate) struct Retired {
    pub(crate) path: PathBuf,
    pub(crate) before: Head,
    pub(crate) after: Head,
    /// The size of the file.
    pub(crate) bytes: u64,
}

/// The progress of every step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) record: HeadRecord,
    /// Bytes of frames that the opening found unsealed, or that were appended since.
    pub(crate) written_bytes: u64,
    pub(crate) synced_bytes: u64,
    pub(crate) sealed_bytes: u64,
}

impl Progress {
    /// Bytes that the next opening would have to read from journals.
    pub(crate) fn unsealed_bytes(&self) -> u64 {
        self.written_bytes - self.sealed_bytes
    }
}

/// The journals other than the current one, and what became of those before them.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    pub(crate) retired: VecDeque<Retired>,
    pub(crate) spare: Option<Spare>,
    /// The size of all archives.
    pub(crate) archived_bytes: u64,
}

impl Journals {
    /// The size of the full journals.
    pub(crate) fn full_bytes(&self) -> u64 {
        self.retired.iter().map(|retired| retired.bytes).sum()
    }

    /// The size of the log without the current journal; see [`super::sizes`].
    pub(crate) fn log_bytes(&self) -> u64 {
        self.full_bytes().saturating_add(self.archived_bytes.saturating_mul(2))
    }
}

/// Requests to the sealing thread.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) stop: bool,
    pub(crate) work: bool,
    /// An append waits for room.
    pub(crate) room: bool,
}

/// The state of sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sealing {
    /// Waits: the tree hashes of the tail were not given yet.
    Waiting,
    /// Blocks are moved to sled.
    Running,
    /// An error stopped it; a new opening may repair it.
    Stopped(String),
}

/// All parts of an open store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) options: DiskOptions,
    pub(crate) identity: Mutex<Identity>,
    pub(crate) lock: Mutex<Option<Lock>>,
    pub(crate) progress: Mutex<Progress>,
    /// Taken before `progress` when both are needed.
    pub(crate) head_file: Mutex<HeadFile>,
    pub(crate) head_sync: File,
    /// Set once this opening has made `HEAD` durable: what it found may be in memory only.
    pub(crate) head_durable: AtomicBool,
    /// Held while the journal is synced. Taken before `journal` when both are needed.
    pub(crate) syncing: Mutex<()>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) journals: Mutex<Journals>,
    pub(crate) tail: Mutex<Tail>,
    /// Signalled when the tail becomes shorter. Goes with `tail`.
    pub(crate) room: Condvar,
    pub(crate) engine: Mutex<Engine>,
    /// Held while sled is opened. Taken before `engine` when both are needed.
    pub(crate) opening: Mutex<()>,
    pub(crate) beside: Beside,
    /// Archive and journals, for reads without sled, once one was needed.
    pub(crate) cold: Mutex<Option<Arc<dyn FrameRead>>>,
    pub(crate) sealing: Mutex<Sealing>,
    /// Set while sealing runs, so that an append need not take `sealing`.
    pub(crate) seals: AtomicBool,
    /// Bytes in the tail that are worth sealing: more of them as long as sled is not open.
    pub(crate) seals_from: AtomicUsize,
    pub(crate) halted: AtomicBool,
    pub(crate) closed: AtomicBool,
    pub(crate) call: Mutex<Call>,
    pub(crate) called: Condvar,
    pub(crate) spares: AtomicU64,
}

/// Takes a lock. A thread that panicked while it held one has left nothing half done: every
/// critical section here is a few assignments.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The progress so far.
    pub(crate) fn progress(&self) -> Progress {
        *lock(&self.progress)
    }

    /// Refuses after a failure and after closing.
    pub(crate) fn check_running(&self) -> Result<(), Error> {
        let halted = self.halted.load(Ordering::SeqCst) || self.closed.load(Ordering::SeqCst);
        if halted { Err(Error::Halted) } else { Ok(()) }
    }

    /// Halts the store after an error, unless the error says that nothing was written.
    pub(crate) fn halting<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer
            && !error.is_retryable()
        {
            self.halted.store(true, Ordering::SeqCst);
        }
        answer
    }

    /// Writes `progress` to `HEAD`. Survives a crash of the process.
    pub(crate) fn write_head(&self) -> Result<(), Error> {
        // The file is locked first, so that a later writer writes newer values.
        let mut file = lock(&self.head_file);
        let record = self.progress().record;
        file.write(&record)
    }

    /// Writes `HEAD` so that it survives loss of power, and a fault in either slot. Two syncs.
    pub(crate) fn write_head_durably(&self) -> Result<(), Error> {
        for _ in 0..2 {
            self.write_head()?;
            self.sync_head()?;
        }
        self.head_durable.store(true, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn sync_head(&self) -> Result<(), Error> {
        self.head_sync.sync_data().map_err(dir::at("sync", &self.root.join("HEAD")))
    }

    /// Wakes the sealing thread to make room for an append.
    pub(crate) fn wake_for_room(&self) {
        lock(&self.call).room = true;
        self.wake();
    }

    /// Wakes the sealing thread for work.
    pub(crate) fn wake(&self) {
        let mut call = lock(&self.call);
        if !call.work {
            call.work = true;
            self.called.notify_one();
        }
    }

    /// A number that no spare of this opening has had.
    pub(crate) fn spare_number(&self) -> u64 {
        self.spares.fetch_add(1, Ordering::Relaxed)
    }

    /// The nonce of the journal that begins after `size` events.
    pub(crate) fn nonce(&self, size: u64) -> u64 {
        nonce(self.options.nonce_seed, &lock(&self.identity), size, self.spare_number())
    }

    /// The directory of sled number `engine`.
    pub(crate) fn engine_path(&self, engine: u64) -> PathBuf {
        dir::engine_path(&self.root, engine)
    }
}

/// Mixes the values that distinguish journals (`SplitMix64`).
pub(crate) fn nonce(seed: u64, identity: &Identity, size: u64, number: u64) -> u64 {
    let (low, high) = identity.node.0.split_at(8);
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    [word(low), word(high), size, number].iter().fold(seed, |mixed, next| {
        let mut z = (mixed ^ next).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
