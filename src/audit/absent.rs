//! Texts that are gone, until the end of the history says whether they may be.
//!
//! A redaction comes later in the log than the event whose text it erases, so that a text is gone
//! by right is known only once everything is read.

use crate::{event::PartSet, ids::Seq, state::LedgerState};

/// Events that are kept to be judged, 16 bytes each; the rest is counted. More than anybody
/// redacts.
const KEPT_MAX: usize = 1 << 20;

/// Which texts of which events are gone.
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

    /// Events with texts that are gone and that `end`, the last state, does not say are redacted.
    pub(super) fn unexplained(&self, end: &LedgerState) -> impl Iterator<Item = Seq> {
        self.judged(end).filter_map(|(seq, redacted)| (!redacted).then_some(seq))
    }

    /// Events of which all texts that are gone are redacted.
    pub(super) fn explained(&self, end: &LedgerState) -> impl Iterator<Item = Seq> {
        self.judged(end).filter_map(|(seq, redacted)| redacted.then_some(seq))
    }

    fn judged(&self, end: &LedgerState) -> impl Iterator<Item = (Seq, bool)> {
        self.kept.iter().map(|(seq, parts)| (*seq, parts.minus(end.redacted(*seq)).is_empty()))
    }

    /// Events that are not judged, because there are too many.
    pub(super) fn unjudged(&self) -> u64 {
        self.more
    }
}
