//! The handles for the code of a task: its token, its owner's inbox, its own inbox, the log.

use super::{
    inbox::{InboxReceiver, InboxSender, Room},
    json::{LEVELS_MAX, levels},
    live::Table,
    news::{Attended, Telling},
    record,
    shapes::TaskEvent,
    supervise::text_bytes_max,
};
use crate::{
    command::{self, Batch, Proposal},
    event::Cause,
    ids::{IdError, Seq, TaskId, check_id},
    ledger::{AppendError, Ledger, Unit, Witness},
};
use serde_json::Value;
use std::{io, sync::Arc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The context of a task's code. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Its id.
    pub task_id: TaskId,
    /// Cancelled when the agent is asked to stop.
    pub cancel_token: CancellationToken,
    pub(super) owner_inbox: Option<InboxSender>,
    pub(super) ledger: Ledger,
    pub(super) table: Arc<Table>,
    /// The queue of emits to record, if the manager records them.
    pub(super) recorder: Option<mpsc::Sender<Emit>>,
}

/// The context of a sub-agent's code.
#[derive(Debug)]
pub struct AgentTaskContext {
    /// Its id.
    pub task_id: TaskId,
    /// Cancelled when the agent is asked to stop.
    pub cancel_token: CancellationToken,
    /// Puts messages into the agent's own inbox; give it to code that sends to the agent.
    pub inbox_sender: InboxSender,
    /// The agent's messages.
    pub inbox_receiver: InboxReceiver,
    pub(super) context: TaskContext,
}

/// Progress that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The event that records it.
    pub seq: Seq,
    /// True if the owner's inbox took it.
    pub delivered: bool,
}

/// Progress that waits to be recorded.
#[derive(Debug)]
pub(super) struct Emit {
    event_type: String,
    payload: Value,
    room: Option<Room>,
}

impl TaskContext {
    /// Sends some progress to the owner. `false` if there is no inbox, if it is full or closed, or
    /// if the progress is over the limits: 256 bytes of event type,
    /// [`Options::part_bytes_max`](crate::Options::part_bytes_max) and 512 levels of payload. Never
    /// blocks.
    ///
    /// Not recorded, unless the manager records every emit
    /// ([`ManagerOptions::record_emits`](super::ManagerOptions)): then it is sent once it is
    /// recorded, and `true` does not wait for that.
    ///
    /// # Cost
    /// O(payload).
    pub fn emit(&self, event_type: &str, payload: Value) -> bool {
        if !is_within(event_type, &payload, text_bytes_max(&self.ledger)) {
            tracing::warn!(task = %self.task_id, "progress over the limits was not told");
            return false;
        }
        let Some(recorder) = &self.recorder else {
            let event = custom(&self.task_id, event_type.to_owned(), payload);
            return self.owner_inbox.as_ref().is_some_and(|inbox| inbox.send(event.to_value()));
        };
        let room = self.owner_inbox.as_ref().and_then(|inbox| inbox.reserve().ok());
        let deliverable = room.is_some();
        let emit = Emit { event_type: event_type.to_owned(), payload, room };
        recorder.try_send(emit).is_ok() && deliverable
    }

    /// Records some progress, then sends it to the owner, with the number of the event.
    ///
    /// # Durability
    /// As [`Ledger::append`]. The owner gets only acknowledged progress.
    ///
    /// # Errors
    /// As [`Ledger::append`]; nothing was sent. The limits are those of [`emit`](Self::emit).
    ///
    /// # Cancel safety
    /// Not cancel safe: if it is dropped, the progress may be recorded. If it is recorded, it is
    /// sent.
    ///
    /// # Cost
    /// One append.
    ///
    /// # Example
    /// ```
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let task = manager
    ///     .spawn("session-1", "copy", None, "", parent, async |context| {
    ///         match context.record("progress", json!({ "files": 10 })).await {
    ///             Ok(_) => TaskResult::Success(json!(10)),
    ///             Err(error) => TaskResult::Failed(error.to_string()),
    ///         }
    ///     })
    ///     .await?;
    /// manager.wait(&task).await?;
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn record(&self, event_type: &str, payload: Value) -> Result<Recorded, AppendError> {
        let len = levels(&payload);
        if len > LEVELS_MAX {
            let (what, unit) = ("progress", Unit::Levels);
            return Err(AppendError::TooLarge { what, len, max: LEVELS_MAX, unit });
        }
        let inbox = self.owner_inbox.as_ref();
        let room = inbox.and_then(|inbox| Some((inbox.clone(), inbox.reserve().ok()?)));
        let proposal = proposal(&self.task_id, event_type, &payload);
        let telling = room.map(|(inbox, room)| {
            let event = custom(&self.task_id, event_type.to_owned(), payload);
            Telling::new(&self.table, inbox, &event, Some(room), None)
        });
        let attended = Attended::to(telling.as_ref());
        let seq = record::once(&self.ledger, proposal, witness(telling.as_ref())).await?.seq;
        attended.settle().await;
        let delivered = telling.is_some() && inbox.is_some_and(|inbox| !inbox.is_closed());
        Ok(Recorded { seq, delivered })
    }

    /// Waits until the task is asked to stop.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits. Made for one branch of a `select!`.
    pub async fn cancelled(&self) {
        self.cancel_token.cancelled().await;
    }

    /// Says whether the task was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel_token.is_cancelled()
    }
}

impl AgentTaskContext {
    /// As [`TaskContext::emit`].
    pub fn emit(&self, event_type: &str, payload: Value) -> bool {
        self.context.emit(event_type, payload)
    }

    /// As [`TaskContext::record`].
    ///
    /// # Durability
    /// As [`TaskContext::record`].
    ///
    /// # Errors
    /// As [`TaskContext::record`].
    ///
    /// # Cancel safety
    /// As [`TaskContext::record`].
    ///
    /// # Cost
    /// One append.
    pub async fn record(&self, event_type: &str, payload: Value) -> Result<Recorded, AppendError> {
        self.context.record(event_type, payload).await
    }

    /// Waits until the agent is asked to stop.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    pub async fn cancelled(&self) {
        self.context.cancelled().await;
    }

    /// Says whether the agent was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.context.is_cancelled()
    }

    /// All of it except the inbox, to clone and give to the agent's helpers: an inbox has one
    /// reader.
    pub fn task_context(&self) -> &TaskContext {
        &self.context
    }
}

/// Records the emits of a task, if every emit is recorded.
pub(super) struct Recorder {
    pub(super) ledger: Ledger,
    pub(super) table: Arc<Table>,
    pub(super) task: TaskId,
    pub(super) inbox: Option<InboxSender>,
    pub(super) giving_up: CancellationToken,
}

impl Recorder {
    /// Records in order, and then delivers. Ends when `closing` is cancelled and nothing waits.
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

    async fn record(&self, Emit { event_type, payload, room }: Emit) {
        let task = &self.task;
        let batch = Batch::from(proposal(task, &event_type, &payload));
        let event = custom(task, event_type, payload);
        let telling = self
            .inbox
            .clone()
            .zip(room)
            .map(|(inbox, room)| Telling::new(&self.table, inbox, &event, Some(room), None));
        let refused = |error: &AppendError| {
            tracing::warn!(%task, %error, "progress is not recorded yet: trying again");
        };
        let attended = Attended::to(telling.as_ref());
        let (witness, giving_up) = (witness(telling.as_ref()), &self.giving_up);
        let recorded =
            record::persistently(&self.ledger, &batch, witness.as_ref(), giving_up, refused);
        if let Err(error) = recorded.await {
            tracing::warn!(%task, %error, "progress could not be recorded");
            // The owner was promised it, so it is sent without a number.
            let parcel = telling.and_then(|telling| telling.take());
            if let (Some(parcel), Some(inbox)) = (parcel, &self.inbox) {
                drop(parcel);
                inbox.send(event.to_value());
            }
        }
        attended.settle().await;
    }
}

fn witness(telling: Option<&Arc<Telling>>) -> Option<Arc<dyn Witness>> {
    telling.cloned().map(|telling| -> Arc<dyn Witness> { telling })
}

fn proposal(task: &TaskId, event_type: &str, payload: &Value) -> Proposal {
    let cause = Cause { task: Some(task.clone()), ..Cause::default() };
    Proposal::new(command::Emit::new(task, event_type, payload.to_string())).cause(cause)
}

/// Says whether the ledger would take some progress, recorded or not.
fn is_within(event_type: &str, payload: &Value, part_bytes_max: usize) -> bool {
    /// A writer that takes so many bytes and no more.
    struct Left(usize);
    impl io::Write for Left {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let label = matches!(check_id(event_type), Ok(()) | Err(IdError::Empty));
    let flat = levels(payload) <= LEVELS_MAX;
    label && flat && serde_json::to_writer(Left(part_bytes_max), payload).is_ok()
}

/// Progress as the owner gets it; its number comes with its record.
fn custom(task: &TaskId, event_type: String, payload: Value) -> TaskEvent {
    TaskEvent::Custom { task_id: task.clone(), event_type, payload, seq: None }
}
