//! Every limit and default of a ledger, with its unit and its reason.

use super::OpenError;
use crate::{
    codec,
    event::PART_BYTES_MAX,
    store::{self, DiskOptions, GROUP_BYTES_MAX},
    time::{Clock, Entropy, OsEntropy, SystemClock},
};
use std::{sync::Arc, time::Duration};

/// The most bytes of frames that a store takes as one group.
pub(super) const GROUP_LIMIT: usize = GROUP_BYTES_MAX;

/// The defaults of [`Options::group_bytes_max`] and [`Options::batch_bytes_max`].
const GROUP_BYTES: usize = 1 << 20;
const BATCH_BYTES: usize = 16 << 20;

const _: () = assert!(
    codec::FRAME_BYTES_MAX <= store::FRAME_BYTES_MAX,
    "the store takes every frame that the codec makes"
);
const _: () = assert!(
    codec::FRAME_BYTES_MAX <= BATCH_BYTES && GROUP_BYTES + BATCH_BYTES <= GROUP_BYTES_MAX,
    "a batch holds any one frame, and fits the store behind a group that is nearly full"
);

/// The failure that an acknowledged append survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Loss of power: the device has synced it. One sync for all appends that wait.
    #[default]
    Synced,
    /// A crash of the process (`kill -9`). The device is synced at least this often, so loss of
    /// power can cost the last so much time of acknowledged events.
    Interval(Duration),
}

/// Options of a ledger. `Options::default()` is right for most.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use taskledger::{Ledger, Options, time::{ManualClock, Millis}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::at(Millis(1_700_000_000_000))); // in a test
/// let ledger = Ledger::in_memory(Options::default().clock(clock).queue_requests_max(64))?;
/// assert_eq!(ledger.options().queue_requests_max, 64);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The meaning of an acknowledgement. Default: [`Durability::Synced`].
    pub durability: Durability,
    /// Appends that may wait for the writer before [`AppendError::Busy`]. 4,096: some seconds of
    /// work on a slow disk, and a bound on memory.
    ///
    /// [`AppendError::Busy`]: super::AppendError::Busy
    pub queue_requests_max: usize,
    /// Other requests that may wait for the writer before they are `Busy`: frames to ingest, syncs
    /// and purges. 64: each has a caller that waits for it. Frames that wait are in memory.
    pub queue_jobs_max: usize,
    /// Reads that run at once off an executor, by [`Reader::run`] and by followers, each on a
    /// thread of its own that is started when it is needed. 16: disks answer several at once. At
    /// least 1.
    ///
    /// [`Reader::run`]: super::Reader::run
    pub reads_at_once_max: usize,
    /// Events in one commit. 256: past that a sync is already spread thin enough. At least 1.
    pub group_events_max: usize,
    /// Bytes in one commit. 1 MiB: well under a millisecond of a disk's bandwidth. At least 1.
    pub group_bytes_max: usize,
    /// Events in one batch, which is one commit. 4,096.
    pub batch_events_max: usize,
    /// Bytes in one batch. 16 MiB, so that it fits a journal file. A batch may join a group that
    /// is nearly full, so with [`group_bytes_max`](Self::group_bytes_max) it may be at most 64 MiB,
    /// which is what a store takes at once.
    pub batch_bytes_max: usize,
    /// Bytes in one text beside an event. 1 MiB, which is also what the format allows.
    pub part_bytes_max: usize,
    /// The newest snapshots that are kept. 2: the newest, and one to fall back on.
    pub snapshots_kept: usize,
    /// The distance in events between older snapshots that are kept. The whole map of a past moment
    /// costs one of them and at most so many events. 250,000: half a second. They are farther apart
    /// where they would take more than [`BYTES_PER_EVENT`] for each event of the log. A purge
    /// removes them, since they may hold texts that must be erased.
    ///
    /// [`BYTES_PER_EVENT`]: crate::snapshot::BYTES_PER_EVENT
    pub snapshot_distance: u64,
    /// Options of the store on disk.
    pub store: DiskOptions,
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The source of random numbers for salts, nonces and ids.
    pub entropy: Arc<dyn Entropy>,
}

impl Options {
    setters! {
        set durability: Durability,
        set queue_requests_max: usize,
        set queue_jobs_max: usize,
        set reads_at_once_max: usize,
        set group_events_max: usize,
        set group_bytes_max: usize,
        set batch_events_max: usize,
        set batch_bytes_max: usize,
        set part_bytes_max: usize,
        set snapshots_kept: usize,
        set snapshot_distance: u64,
        set store: DiskOptions,
        set clock: Arc<dyn Clock>,
        set entropy: Arc<dyn Entropy>,
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            queue_requests_max: 4_096,
            queue_jobs_max: 64,
            reads_at_once_max: 16,
            group_events_max: 256,
            group_bytes_max: GROUP_BYTES,
            batch_events_max: 4_096,
            batch_bytes_max: BATCH_BYTES,
            part_bytes_max: PART_BYTES_MAX,
            snapshots_kept: 2,
            snapshot_distance: 250_000,
            store: DiskOptions::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }
}

impl Options {
    /// Says whether a batch may be too large here that the defaults take.
    pub(super) fn is_strict(&self) -> bool {
        let default = Self::default();
        self.batch_events_max < default.batch_events_max
            || self.batch_bytes_max < default.batch_bytes_max
            || self.part_bytes_max < default.part_bytes_max
    }

    /// Refuses values with which a ledger cannot work.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let at_least_one = [
            ("reads_at_once_max", self.reads_at_once_max),
            ("group_events_max", self.group_events_max),
            ("group_bytes_max", self.group_bytes_max),
        ];
        for (option, value) in at_least_one {
            if value == 0 {
                return Err(OpenError::Option { option, value, min: 1, max: usize::MAX });
            }
        }
        let sums = [
            ("group_bytes_max", self.group_bytes_max, 0),
            ("batch_bytes_max", self.batch_bytes_max, self.group_bytes_max),
        ];
        for (option, value, beside) in sums {
            let max = GROUP_LIMIT.saturating_sub(beside);
            if value > max {
                return Err(OpenError::Option { option, value, min: 1, max });
            }
        }
        Ok(())
    }
}
