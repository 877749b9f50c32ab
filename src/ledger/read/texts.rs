//! Texts held against the commitments of their events, before anybody sees them.
//!
//! The hash tree covers the commitments, and a checksum can be made right by whoever changes a
//! text. So every read of texts goes through one of these functions:
//!
//! | for | a text that was changed |
//! |---|---|
//! | single events, followers, copies: [`checked`] | is an error that names event and part |
//! | questions about the past: [`withholding`] | is missing, and named in the entry |
//! | folds: [`folded`] | is missing in the state, if the state would hold it |
//!
//! Redacted texts are removed first: one that nobody is shown does no harm.

use crate::{
    codec,
    event::{Entry, Part, PartKind, PartSet},
    ids::Seq,
    ledger::{
        ReadError,
        commit::shared::{decode, unreadable},
    },
    state,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The most texts that are remembered: a forger may change all of them.
const NAMED_MAX: usize = 1_000;

/// The texts that reads of one ledger have withheld so far, since they are not what was recorded.
/// Cheap to clone; outlives the ledger, and does not keep it open.
#[derive(Debug, Clone, Default)]
pub struct Withheld(Arc<Mutex<BTreeSet<(Seq, PartKind)>>>);

impl Withheld {
    /// Each text that was withheld, in the order of the log: the first 1,000 that were met.
    #[must_use]
    pub fn list(&self) -> Vec<(Seq, PartKind)> {
        self.known().iter().copied().collect()
    }

    pub(crate) fn note(&self, seq: Seq, kinds: PartSet) {
        if kinds.is_empty() {
            return;
        }
        let mut known = self.known();
        for kind in kinds.iter() {
            let first = known.is_empty();
            if known.len() >= NAMED_MAX || !known.insert((seq, kind)) {
                continue;
            }
            let part = kind.as_str();
            // Once: whoever changes one text may change them all.
            if first {
                tracing::warn!(event = %seq, part, "a text is not what was recorded: it is withheld, as are others like it");
            } else {
                tracing::debug!(event = %seq, part, "a text is not what was recorded");
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<(Seq, PartKind)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes the frame of event `seq`, without the texts that are redacted.
///
/// # Errors
/// [`ReadError::Damaged`] also if a text is not the one that was recorded.
pub(crate) fn checked(seq: Seq, frame: &[u8], redacted: PartSet) -> Result<Entry, ReadError> {
    let mut entry = decode(seq, frame)?;
    entry.erase(redacted);
    check(&entry)?;
    Ok(entry)
}

/// Checks the texts of an event that was decoded.
pub(crate) fn check(entry: &Entry) -> Result<(), ReadError> {
    codec::check_parts(entry).map_err(|error| unreadable(entry.event.seq, error))
}

/// Decodes the frame of event `seq`, without the texts that are redacted and those that were `asked`
/// for and are not what was recorded.
pub(crate) fn withholding(
    seq: Seq,
    frame: &[u8],
    (redacted, asked): (PartSet, fn(&Part) -> bool),
    withheld: &Withheld,
) -> Result<Entry, ReadError> {
    let mut entry = decode(seq, frame)?;
    entry.erase(redacted);
    withheld.note(seq, codec::withhold(&mut entry, asked));
    Ok(entry)
}

/// Decodes the frame of event `seq` for a fold: holds only the texts that a state holds against
/// their commitments.
///
/// The texts that are withheld depend on the frame alone, so that each fold of a log gives the same state;
/// the caller notes it, once it knows what is redacted.
pub(crate) fn folded(seq: Seq, frame: &[u8]) -> Result<Entry, ReadError> {
    let mut entry = decode(seq, frame)?;
    codec::withhold(&mut entry, state::holds);
    Ok(entry)
}
