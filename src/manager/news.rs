//! News of an event for its owner, from before the event is in the log until the news is in line.
//!
//! Start reading at [`Telling`].

use super::{
    inbox::{InboxSender, Room},
    line::News,
    live::{Live, Slot, Table},
    shapes::TaskEvent,
};
use crate::{
    ids::Seq,
    ledger::{AppendError, Receipt, Witness},
    metrics,
    state::Rejection,
    sync::Mutex,
};
use serde_json::Value;
use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// News of an event that is on its way into the log. It is put in line when the event is published,
/// so that the line has the order of the log.
#[derive(Debug)]
pub(super) struct Telling {
    table: Arc<Table>,
    inbox: InboxSender,
    parcel: Mutex<Option<Parcel>>,
    /// The code that waited for the append is gone: the thread that answers it feeds the line.
    unattended: AtomicBool,
}

/// News without its number.
pub(super) struct Parcel {
    message: Value,
    room: Option<Room>,
    slot: Option<Slot>,
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parcel(..)") // what is in it is not for logs
    }
}

impl Telling {
    /// `room` is the place that was kept in the inbox, `slot` that of the task that ends.
    pub(super) fn new(
        table: &Arc<Table>,
        inbox: InboxSender,
        event: &TaskEvent,
        room: Option<Room>,
        slot: Option<Slot>,
    ) -> Arc<Self> {
        let parcel = Mutex::new(Some(Parcel { message: event.to_value(), room, slot }));
        let (table, unattended) = (Arc::clone(table), AtomicBool::new(false));
        Arc::new(Self { table, inbox, parcel, unattended })
    }

    /// Takes the news that is not sent yet.
    pub(super) fn take(&self) -> Option<Parcel> {
        self.parcel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sends news of another event instead, if nothing was sent yet: other code recorded that
    /// event.
    pub(super) fn tell_instead(&self, event: &TaskEvent, seq: Seq) {
        if let Some(parcel) = self.take() {
            self.line_up(Parcel { message: event.to_value(), ..parcel }, seq);
        }
    }

    /// Waits until the news is in the inbox, or waits for room there.
    pub(super) async fn settle(&self) {
        self.inbox.settle().await;
    }

    /// The code that waited for the append is gone.
    pub(super) fn leave(&self) {
        self.unattended.store(true, Ordering::SeqCst);
        self.inbox.feed();
    }

    /// Counts news that will not be sent.
    fn lose(&self) {
        if self.take().is_some() {
            self.table.wait_to_tell().for_good();
        }
    }

    fn line_up(&self, parcel: Parcel, seq: Seq) {
        let Parcel { mut message, room, slot } = parcel;
        if let Some(fields) = message.as_object_mut() {
            fields.insert("seq".to_owned(), seq.get().into());
        }
        self.inbox.line_up(News {
            seq,
            message,
            inbox: self.inbox.clone(),
            room,
            untold: self.table.wait_to_tell(),
            slot: slot.map(Slot::park),
            sender: None,
        });
    }
}

impl Witness for Telling {
    fn shown(&self, receipts: &[Receipt]) {
        // News of an event that was there before was told then.
        let Some(receipt) = receipts.first().filter(|receipt| !receipt.repeated) else { return };
        if let Some(parcel) = self.take() {
            self.line_up(parcel, receipt.seq);
        }
    }

    fn answered(&self, _outcome: Result<&[Receipt], &AppendError>) {
        if self.unattended.load(Ordering::SeqCst) {
            self.inbox.feed();
        }
    }
}

/// Stands beside an append that is awaited. If the waiting code is dropped, a recorded event is
/// still announced.
pub(super) struct Attended(Option<Arc<Telling>>);

impl Attended {
    pub(super) fn to(telling: Option<&Arc<Telling>>) -> Self {
        Self(telling.cloned())
    }

    /// The append was answered: waits until its news is in the inbox, or waits for room there.
    pub(super) async fn settle(mut self) {
        if let Some(telling) = &self.0 {
            telling.settle().await;
        }
        self.0 = None;
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if let Some(telling) = self.0.take() {
            telling.leave();
        }
    }
}

/// The end of a task that was dropped with its runtime, on its way into the log. No code waits for
/// it, so the thread that answers it does the rest.
#[derive(Debug)]
pub(super) struct LastWord {
    pub(super) table: Arc<Table>,
    pub(super) live: Arc<Live>,
    pub(super) telling: Option<Arc<Telling>>,
}

impl Witness for LastWord {
    fn shown(&self, receipts: &[Receipt]) {
        if let Some(telling) = &self.telling {
            telling.shown(receipts);
        }
    }

    fn answered(&self, outcome: Result<&[Receipt], &AppendError>) {
        let id = &self.live.id;
        let ended = match outcome {
            Ok(_) => Ok(()),
            // Its own end was on its way when it was dropped, or other code has recorded one.
            Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => {
                self.telling.iter().for_each(|telling| telling.lose());
                Ok(())
            }
            Err(error) => {
                metrics::count(metrics::OUTCOMES_LOST);
                tracing::error!(task = %id, %error, "its end cannot be recorded: an orphan");
                self.table.note_unrecorded(id, error.clone());
                Err(error.clone())
            }
        };
        self.telling.iter().for_each(|telling| telling.leave());
        self.live.tell_end(ended);
    }
}
