//! What the code of a task may touch: its token, its owner's inbox, its own inbox, the record.

use super::{
    inbox::{InboxReceiver, InboxSender, Slot},
    record,
    shapes::TaskEvent,
};
use crate::{
    command::{Command, Proposal},
    event::Cause,
    ids::{IdError, Seq, TaskId, check_id},
    ledger::{AppendError, Ledger},
};
use serde_json::Value;
use std::io;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a task's code is given. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Its id.
    pub task_id: TaskId,
    /// Cancelled when it is asked to stop.
    pub cancel_token: CancellationToken,
    pub(super) owner_inbox: Option<InboxSender>,
    pub(super) ledger: Ledger,
    /// Where every emit goes to be recorded, if the manager does that.
    pub(super) recorder: Option<mpsc::Sender<Emit>>,
}

/// What a sub-agent's code is given.
#[derive(Debug)]
pub struct AgentTaskContext {
    /// Its id.
    pub task_id: TaskId,
    /// Cancelled when it is asked to stop.
    pub cancel_token: CancellationToken,
    /// Puts messages into its own inbox, for those whom it gives this to.
    pub inbox_sender: InboxSender,
    /// What it is sent.
    pub inbox_receiver: InboxReceiver,
}

/// Progress that is on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The event that records it.
    pub seq: Seq,
    /// Whether the owner's inbox took it.
    pub delivered: bool,
}

/// Progress that waits to be recorded.
#[derive(Debug)]
pub(super) struct Emit {
    event_type: String,
    payload: Value,
    slot: Option<Slot>,
}

impl TaskContext {
    /// Tells the owner of some progress. `false` if there is no inbox to tell, or it is full or
    /// closed, or if the progress is over the limits: 256 bytes of event type, and
    /// [`Options::part_bytes_max`](crate::Options::part_bytes_max) of payload. Not recorded, unless
    /// the manager records every emit ([`ManagerOptions::record_emits`](super::ManagerOptions)):
    /// then it is told once it is recorded, which `true` does not wait for. Never blocks.
    ///
    /// # Cost
    /// O(payload).
    pub fn emit(&self, event_type: &str, payload: Value) -> bool {
        if !is_within(event_type, &payload, self.ledger.options().part_bytes_max) {
            tracing::warn!(task = %self.task_id, "progress over the limits was not told");
            return false;
        }
        let Some(recorder) = &self.recorder else {
            let event = self.custom(event_type, payload, None);
            return self.owner_inbox.as_ref().is_some_and(|inbox| inbox.send(event));
        };
        let slot = self.owner_inbox.as_ref().and_then(|inbox| inbox.reserve().ok());
        let deliverable = slot.is_some();
        let emit = Emit { event_type: event_type.to_owned(), payload, slot };
        recorder.try_send(emit).is_ok() && deliverable
    }

    /// Records some progress, then tells the owner of it, with the number of the event.
    ///
    /// # Durability
    /// As [`Ledger::append`]. The owner is told only of what is acknowledged.
    ///
    /// # Errors
    /// As [`Ledger::append`]; nothing was told.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped, the progress may be recorded and not told.
    ///
    /// # Cost
    /// One append.
    pub async fn record(&self, event_type: &str, payload: Value) -> Result<Recorded, AppendError> {
        let slot = self.owner_inbox.as_ref().and_then(|inbox| inbox.reserve().ok());
        let proposal = proposal(&self.task_id, event_type, &payload);
        let seq = record::once(&self.ledger, proposal).await?.seq;
        let event = self.custom(event_type, payload, Some(seq));
        Ok(Recorded { seq, delivered: slot.is_some_and(|slot| slot.fill(event)) })
    }

    /// Waits until the task is asked to stop.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits. Made for one side of a `select!`.
    pub async fn cancelled(&self) {
        self.cancel_token.cancelled().await;
    }

    /// Whether the task was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_token.is_cancelled()
    }

    fn custom(&self, event_type: &str, payload: Value, seq: Option<Seq>) -> Value {
        custom(&self.task_id, event_type.to_owned(), payload, seq)
    }
}

/// Records what a task emits, if every emit is recorded.
pub(super) struct Recorder {
    pub(super) ledger: Ledger,
    pub(super) task: TaskId,
    pub(super) giving_up: CancellationToken,
}

impl Recorder {
    /// Records in order, and then delivers. Ends when `closing` is cancelled and nothing waits any
    /// more.
    pub(super) async fn record_emits(
        self,
        mut emits: mpsc::Receiver<Emit>,
        closing: CancellationToken,
    ) {
        loop {
            let emit = tokio::select! {
                biased;
                emit = emits.recv() => emit,
                () = closing.cancelled(), if !emits.is_closed() => {
                    emits.close();
                    continue;
                }
            };
            let Some(emit) = emit else { return };
            self.record(emit).await;
        }
    }

    async fn record(&self, Emit { event_type, payload, slot }: Emit) {
        let task = &self.task;
        let proposal = proposal(task, &event_type, &payload);
        let refused = |error: &AppendError| {
            tracing::warn!(%task, %error, "progress is not recorded yet: trying again");
        };
        let recorded =
            record::persistently(&self.ledger, &proposal, &self.giving_up, refused).await;
        let seq = match recorded {
            Ok(receipt) => Some(receipt.seq),
            Err(error) => {
                tracing::warn!(%task, %error, "progress could not be recorded");
                None
            }
        };
        if let Some(slot) = slot {
            slot.fill(custom(task, event_type, payload, seq));
        }
    }
}

fn proposal(task: &TaskId, event_type: &str, payload: &Value) -> Proposal {
    let command = Command::Emit {
        task: task.clone(),
        event_type: event_type.into(),
        content: payload.to_string().into(),
    };
    let cause = Cause { task: Some(task.clone()), ..Cause::default() };
    Proposal { cause, ..Proposal::new(command) }
}

/// Whether the ledger would take some progress, recorded or not.
fn is_within(event_type: &str, payload: &Value, part_bytes_max: usize) -> bool {
    /// Takes so many bytes and no more.
    struct Room(usize);
    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let label = matches!(check_id(event_type), Ok(()) | Err(IdError::Empty));
    label && serde_json::to_writer(Room(part_bytes_max), payload).is_ok()
}

fn custom(task: &TaskId, event_type: String, payload: Value, seq: Option<Seq>) -> Value {
    let task_id = task.clone();
    TaskEvent::Custom { task_id, event_type, payload, seq: seq.map(Seq::get) }.to_value()
}
