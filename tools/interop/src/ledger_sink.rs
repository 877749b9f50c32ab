//! A ledger as an import sees it.

use crate::apply::{Known, Owner, Sink, SinkError};
use std::{collections::BTreeSet, error::Error};
use taskledger::{
    Ledger,
    command::Proposal,
    event::Event,
    ids::{Key, Seq, TaskId},
    ledger::{AppendError, ReadError},
    state::LedgerState,
};

/// An import's way into a [`Ledger`]. Asks its state, which it takes anew after each append.
#[derive(Debug)]
pub struct LedgerSink<'a> {
    ledger: &'a Ledger,
    state: LedgerState,
}

impl<'a> LedgerSink<'a> {
    /// An import into `ledger`. Its appends block: use it outside of async code.
    #[must_use]
    pub fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, state: ledger.reader().state() }
    }

    fn walk(
        &self,
        last: Option<Seq>,
        before: impl Fn(&Event) -> Option<Seq>,
    ) -> Result<BTreeSet<Key>, ReadError> {
        let reader = self.ledger.reader();
        let mut cursor = reader.cursor();
        let mut keys = BTreeSet::new();
        let mut next = last;
        while let Some(seq) = next {
            let event = cursor.entry(seq)?.event;
            keys.extend(event.key);
            // Links point back; one that does not would be walked for ever.
            next = before(&event).filter(|before| *before < seq);
        }
        Ok(keys)
    }
}

impl Sink for LedgerSink<'_> {
    fn task(&self, id: &TaskId) -> Option<Known> {
        let task = self.state.task(id)?;
        Some(Known {
            thread: task.thread.clone(),
            parent: task.record.parent.as_ref().map(|parent| parent.id().clone()),
            terminal: task.status.is_terminal(),
        })
    }

    fn remembers(&self, key: &Key) -> bool {
        self.state.key(key).is_some()
    }

    fn keys(&self, owner: &Owner) -> Result<BTreeSet<Key>, Box<dyn Error + Send + Sync>> {
        Ok(match owner {
            Owner::Task(id) => {
                let last = self.state.task(id).map(|task| task.last_seq);
                self.walk(last, |event| event.prev_in_task)?
            }
            Owner::Thread(id) => {
                let last = self.state.thread(id).map(|thread| thread.last_seq);
                self.walk(last, |event| event.prev_in_thread)?
            }
        })
    }

    fn append(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError> {
        let appended = self.ledger.append_blocking(batch);
        self.state = self.ledger.reader().state();
        match appended {
            Ok(_) => Ok(()),
            // Only these are about what was asked for; the others are about the ledger.
            Err(
                error @ (AppendError::Rejected(_)
                | AppendError::TooLarge { .. }
                | AppendError::Conflict { .. }
                | AppendError::KeyReused { .. }),
            ) => Err(SinkError::Refused(error.into())),
            Err(error) => Err(SinkError::Failed(error.into())),
        }
    }
}
