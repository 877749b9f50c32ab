//! Bounded queues of JSON values: how a task tells its owner, and how an agent is told.
//!
//! Knows nothing of tasks or ledgers. First in, first out for each sender. Nothing is dropped
//! silently: what does not fit comes back as `false` or as an error.

use crate::metrics;
use serde_json::Value;
use std::{fmt, sync::Arc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that an inbox holds unless it is told otherwise: some seconds of a chatty task.
pub const INBOX_MESSAGES_MAX: usize = 1_024;

/// Is told of messages that came too late for their reader.
pub trait OnInboxClosed: Send + Sync + 'static {
    /// The receiver is gone, and this message was not delivered. Must not block.
    fn closed(&self, message: &Value);
}

/// Where messages are put. Cheap to clone.
#[derive(Clone)]
pub struct InboxSender {
    sender: mpsc::Sender<Value>,
    on_closed: Option<Arc<dyn OnInboxClosed>>,
}

/// Where messages are taken from.
#[derive(Debug)]
pub struct InboxReceiver {
    receiver: mpsc::Receiver<Value>,
}

/// An inbox for [`INBOX_MESSAGES_MAX`] messages.
#[must_use]
pub fn inbox_channel() -> (InboxSender, InboxReceiver) {
    inbox_channel_of(INBOX_MESSAGES_MAX, None)
}

/// The same, with somebody who is told of what [`InboxSender::send`] could not deliver because
/// the receiver is gone.
#[must_use]
pub fn inbox_channel_with_fallback(
    on_closed: Arc<dyn OnInboxClosed>,
) -> (InboxSender, InboxReceiver) {
    inbox_channel_of(INBOX_MESSAGES_MAX, Some(on_closed))
}

/// An inbox for `messages_max` messages, at least one.
#[must_use]
pub fn inbox_channel_of(
    messages_max: usize,
    on_closed: Option<Arc<dyn OnInboxClosed>>,
) -> (InboxSender, InboxReceiver) {
    let (sender, receiver) = mpsc::channel(messages_max.max(1));
    (InboxSender { sender, on_closed }, InboxReceiver { receiver })
}

/// Why a message has no place in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// A place in an inbox that nobody else can take.
#[derive(Debug)]
pub(super) struct Slot {
    permit: mpsc::OwnedPermit<Value>,
    sender: InboxSender,
}

impl Slot {
    /// Fills the place. `false` if the receiver went away in the meantime.
    pub(super) fn fill(self, message: Value) -> bool {
        if self.sender.is_closed() {
            self.sender.tell_closed(&message);
            return false;
        }
        drop(self.permit.send(message));
        true
    }
}

impl InboxSender {
    /// Puts a message in. `false` if there is no room, or nobody to read it, of which the
    /// fallback is told.
    pub fn send(&self, message: Value) -> bool {
        self.offer(message).is_ok()
    }

    /// Puts a message in. `false` if there is no room, or nobody to read it. Tells nobody.
    pub fn try_send(&self, message: Value) -> bool {
        self.sender.try_send(message).is_ok()
    }

    /// Messages that wait, and places that are taken for some.
    pub fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// As [`send`](Self::send), and says why not.
    pub(super) fn offer(&self, message: Value) -> Result<(), Refused> {
        self.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                metrics::count(metrics::INBOX_FULL);
                Refused::Full
            }
            mpsc::error::TrySendError::Closed(message) => {
                self.tell_closed(&message);
                Refused::Closed
            }
        })
    }

    /// Takes a place, to be filled later.
    pub(super) fn reserve(&self) -> Result<Slot, Refused> {
        match self.sender.clone().try_reserve_owned() {
            Ok(permit) => Ok(Slot { permit, sender: self.clone() }),
            Err(mpsc::error::TrySendError::Full(_)) => {
                metrics::count(metrics::INBOX_FULL);
                Err(Refused::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Closed),
        }
    }

    /// Puts a message in, and waits for room if there is none. Not dropped before that, a
    /// message is either delivered or told to the fallback.
    pub(super) async fn deliver(&self, message: Value) -> bool {
        match self.sender.send(message).await {
            Ok(()) => true,
            Err(mpsc::error::SendError(message)) => {
                self.tell_closed(&message);
                false
            }
        }
    }

    fn tell_closed(&self, message: &Value) {
        if let Some(on_closed) = &self.on_closed {
            on_closed.closed(message);
        }
    }
}

impl fmt::Debug for InboxSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxSender")
            .field("messages", &self.len())
            .field("messages_max", &self.sender.max_capacity())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl InboxReceiver {
    /// The next message, if one waits.
    pub fn try_recv(&mut self) -> Option<Value> {
        self.receiver.try_recv().ok()
    }

    /// Every message that waits.
    pub fn drain(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.try_recv()).collect()
    }

    /// The next message; `None` once `cancel` is cancelled, or when none waits and every sender
    /// is gone. After a cancellation, what waits can still be taken by
    /// [`try_recv`](Self::try_recv).
    ///
    /// # Cancel safety
    /// Cancel safe: no message is lost.
    pub async fn recv_or_cancel(&mut self, cancel: Option<&CancellationToken>) -> Option<Value> {
        let Some(cancel) = cancel else { return self.receiver.recv().await };
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            message = self.receiver.recv() => message,
        }
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Whether every sender is gone, so that nothing more will come than what waits.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}
