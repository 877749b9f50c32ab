//! Reading recorded texts, also after the ledger was closed.
//!
//! A state holds short texts; the others are in the log, which cannot be read after the ledger is
//! closed. So the newest texts are kept when a manager shuts down, up to a limit. Start reading at
//! [`Past`].

use crate::{
    event::Entry,
    ids::Seq,
    ledger::{ReadError, Reader},
    state::{LedgerState, TextBody},
};
use std::{collections::BTreeMap, sync::OnceLock};

/// The most bytes of texts that are kept after the ledger is closed.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// The number of tasks, the newest, whose views are kept completely.
const VIEWS_KEPT: usize = 1_024;

/// The events of a ledger, and some of them for longer than it is open.
#[derive(Debug)]
pub(super) struct Past {
    reader: Reader,
    kept: OnceLock<BTreeMap<Seq, Entry>>,
}

impl Past {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, kept: OnceLock::new() }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// One event.
    ///
    /// # Errors
    /// As [`Reader::entry`].
    pub(super) fn entry(&self, seq: Seq) -> Result<Entry, ReadError> {
        match self.kept.get().and_then(|kept| kept.get(&seq)) {
            Some(entry) => Ok(entry.clone()),
            None => self.reader.entry(seq),
        }
    }

    /// Keeps events for reads after the ledger is closed.
    pub(super) fn keep(&self, kept: BTreeMap<Seq, Entry>) {
        let _ = self.kept.set(kept); // the first who closed it saw the same
    }
}

/// Reads the events to keep before a ledger is closed: long texts of its newest tasks, and the
/// events that their views show. Blocks; skips events that cannot be read.
pub(super) fn worth_keeping(reader: &Reader) -> BTreeMap<Seq, Entry> {
    let state = reader.current();
    let mut cursor = reader.cursor();
    let (mut kept, mut bytes) = (BTreeMap::new(), 0_usize);
    for seq in asked_for(&state) {
        let Ok(entry) = cursor.entry(seq) else { continue };
        let texts = entry.parts.iter().filter_map(|part| part.body.as_ref());
        bytes += texts.map(|body| body.text.len()).sum::<usize>();
        if bytes > KEPT_BYTES_MAX {
            break;
        }
        kept.insert(seq, entry);
    }
    kept
}

/// The events that reads of tasks ask for, those of the newest tasks first.
fn asked_for(state: &LedgerState) -> Vec<Seq> {
    let tasks: Vec<_> = state.tasks().collect();
    let mut asked = Vec::new();
    for (age, task) in tasks.into_iter().rev().enumerate() {
        if age < VIEWS_KEPT {
            asked.push(task.first_seq);
            asked.extend(task.terminal_seq);
            asked.extend(state.request_to_stop(&task.id));
        }
        let texts = std::iter::once(&task.description).chain(&task.error).chain(&task.result);
        asked.extend(
            texts
                .filter(|text| matches!(text.body, TextBody::Stored | TextBody::Saved(_)))
                .map(|text| text.seq),
        );
    }
    asked
}
