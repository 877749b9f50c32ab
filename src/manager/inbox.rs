//! Bounded queues of JSON values, from a task to its owner and to an agent.
//!
//! Knows nothing of tasks or ledgers. First in, first out for each sender. Nothing is dropped
//! silently: a message without room comes back as `false` or as an error. News of the log waits for
//! room in the [`line`](super::line) of the inbox.

use super::line::{Line, News};
use crate::{metrics, sync::assert_no_lock_held};
use serde_json::Value;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// The default capacity of an inbox in messages: some seconds of a task that sends much.
pub const INBOX_MESSAGES_MAX: usize = 1_024;

/// Gets messages that came too late for their reader.
pub trait OnInboxClosed: Send + Sync + 'static {
    /// The receiver is gone, and this message was not delivered. Called with no lock held, on the
    /// thread that found out, which may be one of the ledger's: it must not block, nor wait for the
    /// ledger.
    fn closed(&self, message: &Value);
}

/// The sending side of an inbox. Cheap to clone.
#[derive(Clone)]
pub struct InboxSender {
    sender: mpsc::Sender<Value>,
    on_closed: Option<Arc<dyn OnInboxClosed>>,
    line: Arc<Line>,
}

/// The receiving side of an inbox.
#[derive(Debug)]
pub struct InboxReceiver {
    receiver: mpsc::Receiver<Value>,
    line: Arc<Line>,
}

/// Makes an inbox for [`INBOX_MESSAGES_MAX`] messages.
#[must_use]
pub fn inbox_channel() -> (InboxSender, InboxReceiver) {
    inbox_channel_of(INBOX_MESSAGES_MAX, None)
}

/// Makes the same, with a fallback that gets each message that [`InboxSender::send`] could not
/// deliver because the receiver is gone.
#[must_use]
pub fn inbox_channel_with_fallback(
    on_closed: Arc<dyn OnInboxClosed>,
) -> (InboxSender, InboxReceiver) {
    inbox_channel_of(INBOX_MESSAGES_MAX, Some(on_closed))
}

/// Makes an inbox for `messages_max` messages: at least one, and at most the limit of a channel of
/// tokio, an eighth of `usize::MAX`.
#[must_use]
pub fn inbox_channel_of(
    messages_max: usize,
    on_closed: Option<Arc<dyn OnInboxClosed>>,
) -> (InboxSender, InboxReceiver) {
    let (sender, receiver) = mpsc::channel(channel_capacity(messages_max));
    let line = Arc::new(Line::default());
    let sender = InboxSender { sender, on_closed, line: Arc::clone(&line) };
    (sender, InboxReceiver { receiver, line })
}

/// The capacity that a channel can have, near the wanted one.
pub(super) fn channel_capacity(messages: usize) -> usize {
    messages.clamp(1, Semaphore::MAX_PERMITS)
}

/// The reason that a message has no place in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// A reserved place in an inbox.
#[derive(Debug)]
pub(super) struct Room(mpsc::OwnedPermit<Value>);

impl Room {
    /// Fills the place. Callers check before that the receiver is still there.
    pub(super) fn fill(self, message: Value) {
        assert_no_lock_held();
        drop(self.0.send(message)); // wakes the reader
    }
}

impl InboxSender {
    /// Puts a message in. `false` if there is no room, or if the receiver is gone; then the
    /// fallback gets the message.
    pub fn send(&self, message: Value) -> bool {
        self.offer(message).is_ok()
    }

    /// Puts a message in. `false` if there is no room, or if the receiver is gone. Calls no
    /// fallback.
    pub fn try_send(&self, message: Value) -> bool {
        assert_no_lock_held();
        self.sender.try_send(message).is_ok()
    }

    /// The number of waiting messages and reserved places.
    pub fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Says whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Like [`send`](Self::send), and returns the reason of a refusal.
    fn offer(&self, message: Value) -> Result<(), Refused> {
        assert_no_lock_held();
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
    pub(super) fn reserve(&self) -> Result<Room, Refused> {
        let room = self.try_reserve();
        if room.as_ref().is_err_and(|refused| *refused == Refused::Full) {
            metrics::count(metrics::INBOX_FULL);
        }
        room
    }

    /// The same for news, which waits elsewhere if there is no place.
    pub(super) fn try_reserve(&self) -> Result<Room, Refused> {
        match self.sender.clone().try_reserve_owned() {
            Ok(permit) => Ok(Room(permit)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refused::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Closed),
        }
    }

    /// Says whether both put messages into one inbox.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.sender.same_channel(&other.sender)
    }

    /// Puts news in line, by its number. Calls no foreign code.
    pub(super) fn line_up(&self, news: News) {
        self.line.push(news);
    }

    /// Moves news from the line into the inbox, as far as there is room.
    pub(super) fn feed(&self) {
        self.line.feed();
    }

    /// The same. If another thread is doing so, waits until it has tried all news now in line.
    pub(super) async fn settle(&self) {
        self.line.settle().await;
    }

    /// Gives a message that came too late to the fallback. Returns true if there is one.
    pub(super) fn tell_closed(&self, message: &Value) -> bool {
        let Some(on_closed) = &self.on_closed else { return false };
        assert_no_lock_held();
        if catch_unwind(AssertUnwindSafe(|| on_closed.closed(message))).is_err() {
            tracing::warn!("the fallback of an inbox panicked");
        }
        true
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
        let message = self.receiver.try_recv().ok();
        self.line.feed();
        message
    }

    /// Every message that waits.
    pub fn drain(&mut self) -> Vec<Value> {
        let waiting = self.receiver.len();
        let messages = (0..waiting).map_while(|_| self.receiver.try_recv().ok()).collect();
        self.line.feed(); // news for which there was no room is there for the next one
        messages
    }

    /// Waits for the next message; `None` once `cancel` is cancelled, or when no message waits and
    /// every sender is gone. After a cancellation, [`try_recv`](Self::try_recv) still gives waiting
    /// messages.
    ///
    /// # Cancel safety
    /// Cancel safe: no message is lost.
    pub async fn recv_or_cancel(&mut self, cancel: Option<&CancellationToken>) -> Option<Value> {
        let message = match cancel {
            None => self.receiver.recv().await,
            Some(cancel) => tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                message = self.receiver.recv() => message,
            },
        };
        self.line.feed();
        message
    }

    /// The number of waiting messages.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Says whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Says whether every sender is gone: then only waiting messages will come.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }
}

impl Drop for InboxReceiver {
    /// Tells the news in line that the receiver is gone.
    fn drop(&mut self) {
        self.receiver.close();
        self.line.feed();
    }
}
