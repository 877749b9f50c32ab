//! Length limits of everything in a frame, for encoding and decoding.

use super::{
    error::{PartsError, TooLarge},
    v1,
};
use crate::{
    event::{Commitment, DESCRIPTION_BYTES_MAX, PART_BYTES_MAX, PARTS_MAX, PartKind},
    ids::ID_BYTES_MAX,
};

/// The longest event, in bytes without the format byte.
pub const EVENT_BYTES_MAX: usize = 16 * 1024;

/// The longest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 8 + 4 + EVENT_BYTES_MAX + PARTS_MAX * (16 + PART_BYTES_MAX);

/// Limits that a writer may set below those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text of a part, in bytes; a value above [`PART_BYTES_MAX`] counts as that.
    pub part_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { part_bytes_max: PART_BYTES_MAX }
    }
}

/// Checks that no name is longer than [`ID_BYTES_MAX`]. Identifiers are checked by their type.
pub(super) fn check_names(event: &v1::Event<'_>) -> Result<(), TooLarge> {
    let name = |what, text: &str| TooLarge::check(what, text.len(), ID_BYTES_MAX);
    match &event.action {
        v1::Action::Upserted { record }
        | v1::Action::Restored { why: v1::Restored::Snapshot { record, .. } } => {
            name("task type", record.task_type)?;
            record.name.map_or(Ok(()), |text| name("name", text))
        }
        v1::Action::Messaged { from, .. } => name("sender", from),
        v1::Action::Emitted { event_type } => name("event type", event_type),
        v1::Action::Began { version, .. } => name("version", version),
        v1::Action::Terminated { .. }
        | v1::Action::Restored { why: v1::Restored::Orphaned { .. } }
        | v1::Action::CancelRequested { .. }
        | v1::Action::Redacted { .. } => Ok(()),
    }
}

/// Checks that there are at most [`PARTS_MAX`] parts, of distinct kinds, in the order of their
/// tags.
pub(super) fn check_order(parts: &[Commitment]) -> Result<(), PartsError> {
    if parts.len() > PARTS_MAX {
        return Err(PartsError::TooMany { count: parts.len(), max: PARTS_MAX });
    }
    let pairs = parts.iter().zip(parts.iter().skip(1));
    match pairs.map(|(a, b)| (a.kind, b.kind)).find(|(a, b)| a >= b) {
        Some((_, kind)) => Err(PartsError::Order { kind }),
        None => Ok(()),
    }
}

/// Checks that no part is longer than its kind allows.
pub(super) fn check_lengths(parts: &[Commitment], limits: Limits) -> Result<(), TooLarge> {
    let most = limits.part_bytes_max.min(PART_BYTES_MAX);
    parts.iter().try_for_each(|part| {
        let max = match part.kind {
            PartKind::Description => DESCRIPTION_BYTES_MAX.min(most),
            PartKind::Error | PartKind::Result | PartKind::Content | PartKind::Reason => most,
        };
        TooLarge::check(part.kind.as_str(), usize::try_from(part.len).unwrap_or(usize::MAX), max)
    })
}
