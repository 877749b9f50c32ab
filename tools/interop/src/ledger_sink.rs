//! A ledger as an import sees it.

use crate::apply::{Known, Owner, Sink, SinkError};
use std::{collections::BTreeSet, error::Error, fmt};
use taskledger::{
    Ledger,
    command::Proposal,
    event::{Entry, Event, PartSet},
    ids::{Epoch, Key, Seq, TaskId},
    ledger::{AppendError, ReadError},
    state::{LedgerState, Rejection, Stamp, decide},
};

/// Has a batch appended by the process that has the ledger open.
pub type Append<'a> = Box<dyn FnMut(Vec<Proposal>) -> Result<(), SinkError> + 'a>;

/// An import's way into a [`Ledger`]. Asks its state, which it takes anew after each append.
pub struct LedgerSink<'a> {
    ledger: &'a Ledger,
    /// Appends where the ledger is only read here.
    elsewhere: Option<Append<'a>>,
    state: LedgerState,
    /// Events of a rehearsal, which follow the ledger's in `state` and nowhere else.
    rehearsed: Vec<Event>,
}

impl<'a> LedgerSink<'a> {
    /// An import into `ledger`. Its appends block: use it outside of async code.
    ///
    /// # Errors
    /// [`ReadError`] if what is true now could not be read.
    pub fn new(ledger: &'a Ledger) -> Result<Self, ReadError> {
        let state = ledger.reader().state()?;
        Ok(Self { ledger, elsewhere: None, state, rehearsed: Vec::new() })
    }

    /// An import into `ledger`, which is only read here: `append` has another process append. When it
    /// returns, `ledger` must show what was appended.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn through(ledger: &'a Ledger, append: Append<'a>) -> Result<Self, ReadError> {
        Ok(Self { elsewhere: Some(append), ..Self::new(ledger)? })
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
            let event = match self.rehearsed(seq) {
                Some(event) => event.clone(),
                None => cursor.event(seq)?,
            };
            keys.extend(event.key);
            // Links point back; one that does not would be walked for ever.
            next = before(&event).filter(|before| *before < seq);
        }
        Ok(keys)
    }

    fn rehearsed(&self, seq: Seq) -> Option<&Event> {
        let first = self.rehearsed.first()?.seq.get();
        self.rehearsed.get(usize::try_from(seq.get().checked_sub(first)?).ok()?)
    }

    /// The event that a proposal would be, folded into `state`.
    fn fold(state: &mut LedgerState, proposal: &Proposal) -> Result<Event, Rejection> {
        let now = proposal.occurred.unwrap_or_default().max(state.recorded());
        let draft = decide(state, proposal, Stamp { now, number_floor: 0 })?;
        let last_of_thread = draft.thread.as_ref().and_then(|id| state.thread(id));
        let last_of_task = draft.task.as_ref().and_then(|id| state.task(id));
        let event = Event {
            seq: state.size().next_seq().unwrap_or(Seq::FIRST),
            epoch: state.epoch().unwrap_or(Epoch { number: 1, nonce: 0 }),
            recorded: now,
            occurred: draft.occurred,
            prev_in_thread: last_of_thread.map(|thread| thread.last_seq),
            prev_in_task: last_of_task.map(|task| task.last_seq),
            thread: draft.thread,
            task: draft.task,
            cause: draft.cause,
            key: draft.key,
            action: draft.action,
            // Texts change nothing that an import asks for.
            parts: Vec::new(),
        };
        state.apply(&Entry {
            event: event.clone(),
            parts: Vec::new(),
            withheld: PartSet::default(),
            batch_goes_on: false,
        });
        Ok(event)
    }
}

impl fmt::Debug for LedgerSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSink").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Sink for LedgerSink<'_> {
    fn task(&self, id: &TaskId) -> Option<Known> {
        let task = self.state.task(id)?;
        Some(Known {
            thread: task.thread.clone(),
            parent: task.record.parent.as_ref().map(|parent| parent.id().clone()),
            status: task.status,
            completed: task.completed,
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
        if let Some(elsewhere) = &mut self.elsewhere {
            let appended = elsewhere(batch);
            self.state = self.ledger.reader().state().map_err(|e| SinkError::Failed(e.into()))?;
            return appended;
        }
        let appended = self.ledger.append_blocking(batch);
        self.state = self.ledger.reader().state().map_err(|e| SinkError::Failed(e.into()))?;
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

    fn rehearse(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError> {
        let mut state = self.state.clone();
        let mut events = Vec::new();
        for proposal in &batch {
            match Self::fold(&mut state, proposal) {
                Ok(event) => events.push(event),
                Err(rejection) => return Err(SinkError::Refused(rejection.into())),
            }
        }
        self.state = state;
        self.rehearsed.extend(events);
        Ok(())
    }
}
