//! What was measured of one ledger.

use super::made::Shape;
use crate::figures::Figures;

/// Times are in seconds; of single answers, every one is in it.
#[derive(Debug, Clone)]
pub(crate) struct Costs {
    pub(crate) shape: Shape,
    /// Events a second, in batches, at the end of filling it.
    pub(crate) filled: f64,
    pub(crate) open: Figures,
    /// Without a snapshot.
    pub(crate) replay: Figures,
    /// `SQLite`, the same events.
    pub(crate) plain: Figures,
    pub(crate) memory: Option<Memory>,
    pub(crate) parts: Parts,
    pub(crate) looks: Looks,
    /// The whole map as of a position.
    pub(crate) map: Figures,
    pub(crate) verify: Figures,
    pub(crate) bytes: Option<Bytes>,
}

/// Bytes by which processes of their own grew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Opening it.
    pub(crate) all: u64,
    /// Making the state of its snapshot, and nothing else.
    pub(crate) state: u64,
}

/// Opened to be read for one answer each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The last events.
    pub(crate) last: Figures,
    pub(crate) task: Figures,
    /// A thread of 100 events.
    pub(crate) thread: Figures,
    /// Every thread.
    pub(crate) all: Figures,
}

/// Single answers about threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks {
    pub(crate) as_of_100: Figures,
    pub(crate) as_of_1000: Figures,
    pub(crate) history: Figures,
    pub(crate) tree: Figures,
    pub(crate) get: Figures,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes {
    /// Of the encoded events.
    pub(crate) encoded: u64,
    pub(crate) all: u64,
    pub(crate) sled: u64,
    pub(crate) archive: u64,
}

impl Costs {
    pub(crate) fn of(shape: Shape, filled: f64) -> Self {
        Self {
            shape,
            filled,
            open: Figures::default(),
            replay: Figures::default(),
            plain: Figures::default(),
            memory: None,
            parts: Parts::default(),
            looks: Looks::default(),
            map: Figures::default(),
            verify: Figures::default(),
            bytes: None,
        }
    }
}
