//! Following a ledger: everything so far, a sign that this was all, then new events.

use crate::{
    event::Entry,
    ids::{Head, Seq},
    ledger::{
        Damage, ReadError, Reader,
        commit::shared::{Progress, decode},
    },
};
use std::collections::VecDeque;
use tokio::sync::watch;

/// The number of bytes that are read ahead at once.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// The next item of a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// An event: each exactly once, in order, and only when it survives loss of power.
    Event(Box<Entry>),
    /// Every event up to this head has been given; later ones are new. Given once.
    CaughtUp(Head),
}

/// The events of a ledger from some point on, and then each as it becomes durable.
///
/// A slow follower delays no other thread: it reads from the log, not from a queue.
#[derive(Debug)]
pub struct Follow {
    reader: Reader,
    progress: watch::Receiver<Progress>,
    next: Seq,
    ahead: VecDeque<Entry>,
    caught_up: bool,
}

impl Follow {
    /// Follows from after `after`, which an earlier follower has seen.
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history;
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub(crate) fn new(reader: Reader, after: Head) -> Result<Self, ReadError> {
        let found = reader.root_at(after.size)?;
        if found != after.root {
            return Err(ReadError::OtherHistory { expected: after, found });
        }
        let progress = reader.shared().watch_progress();
        let next = Seq::new(after.size + 1).unwrap_or(Seq::FIRST);
        Ok(Self { reader, progress, next, ahead: VecDeque::new(), caught_up: false })
    }

    /// Returns the next event, or the sign that there are no older ones; `None` once the ledger is
    /// closed or halted, so that nothing more will come.
    ///
    /// # Errors
    /// As [`Reader::entry`]. The next call tries the same event again. A follower that still has
    /// events to read when the ledger is closed gets [`ReadError::Store`]: with its
    /// [`resume_token`](Self::resume_token) it can continue when the ledger is open again.
    ///
    /// # Cancel safety
    /// Cancel safe: an event that was not returned is returned by the next call.
    ///
    /// # Cost
    /// Reads 256 KiB ahead, on the calling thread: about 1 ms once in some hundred events.
    pub async fn next(&mut self) -> Result<Option<Followed>, ReadError> {
        loop {
            // Asked before the read: an event that comes between the read and the end would be
            // missed otherwise.
            let ended = self.progress.borrow().ended;
            if let Some(given) = self.next_ready()? {
                return Ok(Some(given));
            }
            if ended || self.progress.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Like [`next`](Self::next), but `None` where that would wait.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_ready(&mut self) -> Result<Option<Followed>, ReadError> {
        if let Some(given) = self.pop_ahead() {
            return Ok(Some(given));
        }
        let head = self.progress.borrow_and_update().synced;
        if self.next.get() <= head.size {
            self.read_ahead(head)?;
            return Ok(self.pop_ahead());
        }
        if self.caught_up {
            return Ok(None);
        }
        self.caught_up = true;
        Ok(Some(Followed::CaughtUp(head)))
    }

    /// The head from which a later follower can continue after the last returned event.
    ///
    /// # Errors
    /// As [`Reader::root_at`].
    pub fn resume_token(&self) -> Result<Head, ReadError> {
        let waiting = u64::try_from(self.ahead.len()).unwrap_or(0);
        let size = self.next.leaf_index() - waiting;
        Ok(Head { size, root: self.reader.root_at(size)? })
    }

    /// Applies the redactions of the moment at which an event is given, not of that at which it was
    /// read.
    fn pop_ahead(&mut self) -> Option<Followed> {
        let mut entry = self.ahead.pop_front()?;
        entry.erase(self.reader.shared().redacted(entry.event.seq));
        Some(Followed::Event(Box::new(entry)))
    }

    fn read_ahead(&mut self, head: Head) -> Result<(), ReadError> {
        let frames = self.reader.shared().log.read(self.next, READ_AHEAD_BYTES)?;
        let mut next = self.next;
        let mut read = VecDeque::with_capacity(frames.len());
        for frame in &frames {
            if next.get() > head.size {
                break;
            }
            read.push_back(decode(next, frame)?);
            next = next.next().unwrap_or(next);
        }
        if read.is_empty() {
            return Err(ReadError::damaged(next, Damage::Missing));
        }
        self.ahead = read;
        self.next = next;
        Ok(())
    }
}
