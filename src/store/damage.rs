//! Faults of stored bytes, as facts.

use crate::ids::{Head, LedgerId, Root};
use std::{error, sync::Arc};

/// A fault in a file of a store, or in an event in it. The file and the event stand beside it, in
/// [`Error::Damaged`](super::Error::Damaged).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is missing.
    #[error("it is missing")]
    Missing,
    /// The file is missing, but files beside it show that it was there.
    #[error("it is missing, though the other files of a ledger are here")]
    MissingBeside,
    /// The engine's file is missing. A rebuild makes it again.
    #[error("it is missing; a rebuild makes it anew")]
    MissingEngine,
    /// No file has the event any more: neither archive nor journal nor the sealed store.
    #[error("neither archive nor sealed blocks hold it")]
    Nowhere,
    /// The directory of journals holds none, though every ledger has one.
    #[error("there is no journal in it; sled and archive hold events up to {elsewhere}")]
    MissingJournal {
        /// The number of events in other files.
        elsewhere: u64,
    },
    /// The engine does not hold the block of the event. A rebuild makes it again.
    #[error("the block of this event is not in it; a rebuild makes it anew")]
    MissingBlock,
    /// The file is a directory, a pipe, a device or a link.
    #[error("it is no regular file")]
    NotRegular,
    /// A part of the file has a wrong form or a wrong checksum.
    #[error("{part} does not hold")]
    Malformed {
        /// The part, as `its header` or `the checksum of a chunk`.
        part: &'static str,
    },
    /// No copy of a record has a right checksum.
    #[error("neither of its two slots is valid")]
    NoValidSlot,
    /// A block of the engine has a wrong form. A rebuild makes it again.
    #[error("the block does not hold; a rebuild makes it anew")]
    MalformedBlock,
    /// A kept tree hash does not have 32 bytes. A rebuild makes it again.
    #[error("a tree hash has {len} bytes instead of 32; a rebuild makes it anew")]
    MalformedTreeHash {
        /// The number of its bytes.
        len: usize,
    },
    /// Two parts of the file contradict each other.
    #[error("{part} is not what {other} says")]
    Contradiction {
        /// One part, as `its index`.
        part: &'static str,
        /// The part that contradicts it, as `its trailer`.
        other: &'static str,
    },
    /// The file ends too early.
    #[error("it is cut off")]
    CutOff,
    /// The engine's file ends before the place up to which it was stable. A rebuild makes it again.
    #[error(
        "it was stable up to {stable}, but the segment of {needed} is not in it; a rebuild makes \
         it anew"
    )]
    CutShort {
        /// The byte of the engine's log up to which it was stable.
        stable: i64,
        /// The byte of the engine's log whose segment is missing.
        needed: i64,
    },
    /// The file is longer than any of its kind.
    #[error("{len} bytes; no journal has over {max} bytes")]
    TooLong {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The file belongs to another ledger.
    #[error("it belongs to ledger {found}")]
    OtherLedger {
        /// The ledger that it names.
        found: LedgerId,
    },
    /// The file does not hold the events that were written to it.
    #[error("it holds other events than were written")]
    OtherEvents,
    /// The file does not begin where the one before it ends.
    #[error("it does not follow event {after} of this ledger")]
    NotNext {
        /// The last event before it.
        after: u64,
    },
    /// Events are missing before the oldest journal.
    #[error("it is the oldest journal, and nothing follows event {after}")]
    Gap {
        /// The last event in any file.
        after: u64,
    },
    /// The file holds another number of events than it must.
    #[error("it ends at event {found}, not at event {expected}")]
    End {
        /// The size at which it must end.
        expected: u64,
        /// The size at which it ends.
        found: u64,
    },
    /// A journal does not end where the next one begins: one of the two belongs to another history.
    #[error(
        "it ends at event {} with root {}, but what follows begins after event {} with root {}",
        .found.size, .found.root, .next.size, .next.root
    )]
    Seam {
        /// The head at which it ends.
        found: Box<Head>,
        /// The head at which the next one begins.
        next: Box<Head>,
    },
    /// Files name different roots for the same size.
    #[error("the roots after event {size} are not the same everywhere")]
    Roots {
        /// The size.
        size: u64,
    },
    /// The frames do not hash to the root beside them.
    #[error("it names root {named}, but its frames give {computed}")]
    OtherRoot {
        /// The root beside them.
        named: Root,
        /// The root of the frames.
        computed: Root,
    },
    /// A durable group has a wrong form, a wrong checksum or a wrong place.
    #[error("a group that was durable does not hold, at byte {at}")]
    DurableGroup {
        /// The byte at which it begins.
        at: usize,
    },
    /// The reader of frames cannot read this one.
    #[error("{why}")]
    Frame {
        /// Its error.
        why: Arc<dyn error::Error + Send + Sync>,
    },
    /// The frame cannot be rewritten.
    #[error("it cannot be rewritten: {why}")]
    NotRewritten {
        /// The error of [`Rewrite`](super::Rewrite).
        why: Arc<dyn error::Error + Send + Sync>,
    },
}
