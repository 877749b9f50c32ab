//! What can be wrong with stored bytes, as facts.

use crate::ids::{Head, LedgerId, Root};
use std::{error, sync::Arc};

/// What does not hold of a file of a store, or of an event in it. The file and the event stand
/// beside it, in [`Error::Damaged`](super::Error::Damaged).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is not there.
    #[error("it is missing")]
    Missing,
    /// The file is not there, but what lies beside it shows that it was.
    #[error("it is missing, though the other files of a ledger are here")]
    MissingBeside,
    /// The engine's file is not there. A rebuild makes it anew.
    #[error("it is missing; a rebuild makes it anew")]
    MissingEngine,
    /// The directory of journals holds none, though every ledger has one.
    #[error("there is no journal in it; sled and archive hold events up to {elsewhere}")]
    MissingJournal {
        /// How many events are elsewhere.
        elsewhere: u64,
    },
    /// The engine does not hold the block of the event. A rebuild makes it anew.
    #[error("the block of this event is not in it; a rebuild makes it anew")]
    MissingBlock,
    /// A part of the file does not have its form, or not its checksum.
    #[error("{part} does not hold")]
    Malformed {
        /// Which part, as `its header` or `the checksum of a chunk`.
        part: &'static str,
    },
    /// None of the copies of a record has its checksum.
    #[error("neither of its two slots is valid")]
    NoValidSlot,
    /// A block of the engine does not have its form. A rebuild makes it anew.
    #[error("the block does not hold; a rebuild makes it anew")]
    MalformedBlock,
    /// A kept hash of the tree does not have 32 bytes. A rebuild makes it anew.
    #[error("a tree hash has {len} bytes instead of 32; a rebuild makes it anew")]
    MalformedTreeHash {
        /// How many bytes it has.
        len: usize,
    },
    /// Two parts of the file say different things.
    #[error("{part} is not what {other} says")]
    Contradiction {
        /// One part, as `its index`.
        part: &'static str,
        /// The part that says otherwise, as `its trailer`.
        other: &'static str,
    },
    /// The file ends too early.
    #[error("it is cut off")]
    CutOff,
    /// The engine's file ends before what it says was stable. A rebuild makes it anew.
    #[error(
        "it was stable up to {stable}, but the segment of {needed} is not in it; a rebuild makes \
         it anew"
    )]
    CutShort {
        /// Up to which byte of the engine's log it was stable.
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
    /// The file holds other events than were written to it.
    #[error("it holds other events than were written")]
    OtherEvents,
    /// The file does not go on where the one before it ends.
    #[error("it does not follow event {after} of this ledger")]
    NotNext {
        /// The last event before it.
        after: u64,
    },
    /// Events are missing before the oldest journal.
    #[error("it is the oldest journal, and nothing follows event {after}")]
    Gap {
        /// The last event that is anywhere.
        after: u64,
    },
    /// The file holds another number of events than it must.
    #[error("it ends at event {found}, not at event {expected}")]
    End {
        /// Where it must end.
        expected: u64,
        /// Where it ends.
        found: u64,
    },
    /// A journal does not end where the next one begins: one of the two is of another history.
    #[error(
        "it ends at event {} with root {}, but what follows begins after event {} with root {}",
        .found.size, .found.root, .next.size, .next.root
    )]
    Seam {
        /// Where it ends.
        found: Head,
        /// Where what follows begins.
        next: Head,
    },
    /// Files name different roots for the same size.
    #[error("the roots after event {size} are not the same everywhere")]
    Roots {
        /// The size.
        size: u64,
    },
    /// The frames do not hash to the root that stands with them.
    #[error("it names root {named}, but its frames give {computed}")]
    OtherRoot {
        /// The root that stands there.
        named: Root,
        /// The root that the frames give.
        computed: Root,
    },
    /// A group that was durable does not have its form, its checksum or its place.
    #[error("a group that was durable does not hold, at byte {at}")]
    DurableGroup {
        /// Where it begins, in bytes.
        at: usize,
    },
    /// What reads the frames cannot read this one.
    #[error("{why}")]
    Frame {
        /// What it says.
        why: Arc<dyn error::Error + Send + Sync>,
    },
    /// The frame cannot be rewritten.
    #[error("it cannot be rewritten: {why}")]
    NotRewritten {
        /// What [`Rewrite`](super::Rewrite) said.
        why: Arc<dyn error::Error + Send + Sync>,
    },
}
