//! Erased texts that wait for the end of the history, which says whether they were redacted.
//!
//! A redaction comes later in the log than the event whose text it erases. So an audit knows only
//! at the end whether a missing text was redacted.

use crate::{event::PartSet, ids::Seq, state::LedgerState};

/// The most events that are kept to be judged, 16 bytes each; the rest is only counted. More than
/// any ledger redacts.
const KEPT_MAX: usize = 1 << 20;

/// The events whose texts are missing, and which texts.
#[derive(Debug, Default)]
pub(super) struct Absent {
    kept: Vec<(Seq, PartSet)>,
    more: u64,
}

impl Absent {
    pub(super) fn note(&mut self, seq: Seq, parts: PartSet) {
        if parts.is_empty() {
            return;
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push((seq, parts));
        } else {
            self.more += 1;
        }
    }

    /// Events with missing texts that `end`, the last state, does not list as redacted.
    pub(super) fn unexplained(&self, end: &LedgerState) -> impl Iterator<Item = Seq> {
        self.judged(end).filter_map(|(seq, redacted)| (!redacted).then_some(seq))
    }

    /// Events whose missing texts are all redacted.
    pub(super) fn explained(&self, end: &LedgerState) -> impl Iterator<Item = Seq> {
        self.judged(end).filter_map(|(seq, redacted)| redacted.then_some(seq))
    }

    fn judged(&self, end: &LedgerState) -> impl Iterator<Item = (Seq, bool)> {
        self.kept.iter().map(|(seq, parts)| (*seq, parts.minus(end.redacted(*seq)).is_empty()))
    }

    /// The number of events that are not judged, because there are too many.
    pub(super) fn unjudged(&self) -> u64 {
        self.more
    }
}
