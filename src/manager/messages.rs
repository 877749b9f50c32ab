//! Messages to agents: a slot is reserved, the message is recorded, then it fills the slot.

use super::{
    BackgroundTaskManager, SendError, TaskEvent, TaskLineage,
    inbox::{InboxSender, Refused},
    live::Table,
    news::{Attended, Telling},
    record,
};
use crate::{
    command::{self, Proposal},
    event::{Cause, Delivery},
    ids::{Key, TaskId},
    ledger::{Ledger, Receipt, Witness},
};
use serde_json::json;
use std::{borrow::Borrow, sync::Arc};

/// The event type of a message to an agent.
const AGENT_MESSAGE: &str = "agent_message";

impl BackgroundTaskManager {
    /// Sends a message to the inbox of a running sub-agent of `thread`. It is recorded with its
    /// sender and with the result of its delivery.
    ///
    /// # Durability
    /// `Ok` means that the message is acknowledged by the ledger and in the inbox.
    ///
    /// # Errors
    /// The first that applies of [`SendError::TaskNotFound`], [`SendError::NotOwner`],
    /// [`SendError::TaskTerminated`], [`SendError::NoInbox`], [`SendError::InboxClosed`] and
    /// [`SendError::InboxFull`]; the last two are recorded. [`SendError::State`] if the message
    /// could not be recorded: a content has at most 1 MiB
    /// ([`Options::part_bytes_max`](crate::Options::part_bytes_max)), a sender 256 bytes.
    ///
    /// # Cancel safety
    /// Once polled, it goes on even if it is dropped: a recorded message is delivered.
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
    /// let unknown = manager.send_task_inbox_message("bg_7", "session-1", "user", "hello").await;
    /// assert!(unknown.is_err(), "no such task runs");
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_task_inbox_message(
        &self,
        id: &(impl Borrow<str> + ?Sized),
        thread: &str,
        from: &str,
        content: &str,
    ) -> Result<(), SendError> {
        let options = SendOptions { thread: Some(thread.to_owned()), key: None };
        self.send_task_inbox_message_with(id, from, content, options).await?;
        Ok(())
    }

    /// Like [`send_task_inbox_message`](Self::send_task_inbox_message), with a key by which sending
    /// it again is the same as sending it once: for senders that may lose the answer. Returns the
    /// receipt of the event that records the delivery.
    ///
    /// A message whose key is on the record is not delivered again, whatever has become of its
    /// task: its receipt is [repeated](Receipt::repeated), and says that it was recorded. A message
    /// that was refused does not use its key up, but for one whose inbox closed while it was
    /// recorded ([`SendError::InboxClosed`]).
    ///
    /// # Durability
    /// As [`send_task_inbox_message`](Self::send_task_inbox_message).
    ///
    /// # Errors
    /// As [`send_task_inbox_message`](Self::send_task_inbox_message), and [`SendError::State`] with
    /// [`AppendError::KeyReused`](crate::ledger::AppendError::KeyReused) if the key is that of
    /// another command.
    ///
    /// # Cancel safety
    /// As [`send_task_inbox_message`](Self::send_task_inbox_message).
    ///
    /// # Cost
    /// One append.
    pub async fn send_task_inbox_message_with(
        &self,
        id: &(impl Borrow<str> + ?Sized),
        from: &str,
        content: &str,
        options: SendOptions,
    ) -> Result<Receipt, SendError> {
        let SendOptions { thread, key } = options;
        let bound = self.bound.get().ok_or(SendError::TaskNotFound)?;
        let id = TaskId::new(id.borrow()).map_err(|_| SendError::TaskNotFound)?;
        let inbox = {
            let state = bound.state();
            let task = state.task(&id).ok_or(SendError::TaskNotFound)?;
            if thread.is_some_and(|thread| task.thread.as_str() != thread) {
                return Err(SendError::NotOwner);
            }
            if key.is_some_and(|key| state.key(&key).is_some()) {
                None
            } else if task.status.is_terminal() {
                return Err(SendError::TaskTerminated(task.status));
            } else {
                let live = self.table.get(id.as_str());
                Some(live.and_then(|live| live.inbox.clone()).ok_or(SendError::NoInbox)?)
            }
        };
        let message = Message {
            ledger: bound.ledger.clone(),
            table: Arc::clone(&self.table),
            cause: TaskLineage::current().cause(bound.ledger_id()),
            task: id,
            from: from.to_owned(),
            content: content.to_owned(),
            key,
        };
        let sent = match inbox {
            Some(inbox) => self.to_the_end(message.send(inbox)).await,
            // The record says whether it is the same message, and gives its receipt.
            None => Some(message.record(Delivery::Delivered, None).await),
        };
        sent.unwrap_or(Err(SendError::InboxClosed))
    }
}

/// Options of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendOptions {
    /// The thread that must own the agent; `None` for any.
    pub thread: Option<String>,
    /// The idempotency key.
    pub key: Option<Key>,
}

struct Message {
    ledger: Ledger,
    table: Arc<Table>,
    cause: Cause,
    task: TaskId,
    from: String,
    content: String,
    key: Option<Key>,
}

impl Message {
    async fn send(self, inbox: InboxSender) -> Result<Receipt, SendError> {
        let (delivery, room) = match inbox.reserve() {
            Ok(room) => (Delivery::Delivered, Ok(room)),
            Err(Refused::Full) => (Delivery::InboxFull, Err(SendError::InboxFull)),
            Err(Refused::Closed) => (Delivery::InboxClosed, Err(SendError::InboxClosed)),
        };
        let room = match room {
            Ok(room) => room,
            Err(refused) => {
                drop(inbox); // the agent's receiver waits for every sender to go
                self.record(delivery, None).await?;
                return Err(refused);
            }
        };
        let event = TaskEvent::Custom {
            task_id: self.task.clone(),
            event_type: AGENT_MESSAGE.to_owned(),
            payload: json!({ "from": self.from, "content": self.content }),
            seq: None,
        };
        let telling = Telling::new(&self.table, inbox.clone(), &event, Some(room), None);
        let attended = Attended::to(Some(&telling));
        let receipt = self.record(delivery, Some(telling)).await?;
        let closed = inbox.is_closed();
        drop(inbox);
        attended.settle().await;
        // One that was there before was delivered then.
        if closed && !receipt.repeated { Err(SendError::InboxClosed) } else { Ok(receipt) }
    }

    async fn record(
        &self,
        delivery: Delivery,
        telling: Option<Arc<Telling>>,
    ) -> Result<Receipt, SendError> {
        let message = command::Message::new(&self.task, self.from.as_str(), self.content.as_str());
        let mut proposal = Proposal::new(message.delivery(delivery)).cause(self.cause.clone());
        // A message that did not arrive may be sent again with its key.
        proposal.key = self.key.filter(|_| delivery == Delivery::Delivered);
        let witness = telling.map(|telling| -> Arc<dyn Witness> { telling });
        record::once(&self.ledger, proposal, witness).await.map_err(SendError::State)
    }
}
