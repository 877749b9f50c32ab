//! Following a ledger: everything so far, a sign that this was all, then new events.

use crate::{
    event::Entry,
    ids::{Head, Seq, Size, ThreadId},
    ledger::{
        ReadError, Reader,
        commit::shared::{Progress, decode},
        read::texts::check,
    },
};
use std::{collections::VecDeque, fmt, future::Future, pin::Pin};
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
    /// The first event that is not read yet.
    next: Seq,
    ahead: VecDeque<Entry>,
    /// The read that goes on beside the executor, if one does.
    reading: Option<Reading>,
    caught_up: bool,
    /// The thread whose events are given; `None` for all.
    thread: Option<ThreadId>,
}

/// The next step of a follower.
enum Step {
    Give(Followed),
    /// Read the events that are durable up to this head.
    Read(Head),
    Wait,
}

/// Events that were read: those to give, and the one after the last that was read.
type Batch = (VecDeque<Entry>, Seq);

/// A read that goes on. It is kept while a caller is not there to wait for it.
struct Reading(Pin<Box<dyn Future<Output = Result<Batch, ReadError>> + Send>>);

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
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
        let next = after.size.next_seq().unwrap_or(Seq::FIRST);
        let (ahead, reading) = (VecDeque::new(), None);
        Ok(Self { reader, progress, next, ahead, reading, caught_up: false, thread: None })
    }

    /// Gives the events of one thread only. Events of no thread, such as the beginning of a writer
    /// or the cancelling of a run, are left out.
    #[must_use]
    pub fn of_thread(mut self, thread: ThreadId) -> Self {
        self.ahead.retain(|entry| entry.event.thread.as_ref() == Some(&thread));
        self.reading = None;
        self.thread = Some(thread);
        self
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
    /// Cancel safe: an event that was not returned is returned by the next call, and a read that
    /// has begun is not begun again.
    ///
    /// # Cost
    /// Reads 256 KiB ahead by [`Reader::run`], never on the calling thread: about 1 ms once in some
    /// hundred events.
    pub async fn next(&mut self) -> Result<Option<Followed>, ReadError> {
        loop {
            // Asked before the read: an event that comes between the read and the end would be
            // missed otherwise.
            let ended = self.progress.borrow().ended;
            if let Some(reading) = &mut self.reading {
                let read = reading.0.as_mut().await;
                self.reading = None;
                (self.ahead, self.next) = read?;
            }
            match self.step()? {
                Step::Give(given) => return Ok(Some(given)),
                Step::Read(head) => self.reading = Some(self.begin(head)),
                Step::Wait if ended || self.progress.changed().await.is_err() => return Ok(None),
                Step::Wait => {}
            }
        }
    }

    /// Like [`next`](Self::next), but reads on the calling thread, and `None` where it would have
    /// to wait for new events.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_ready(&mut self) -> Result<Option<Followed>, ReadError> {
        loop {
            match self.step()? {
                Step::Give(given) => return Ok(Some(given)),
                Step::Read(head) => {
                    self.reading = None;
                    let thread = self.thread.as_ref();
                    (self.ahead, self.next) = read(&self.reader, self.next, head, thread)?;
                }
                Step::Wait => return Ok(None),
            }
        }
    }

    /// The head from which a later follower can continue after the last returned event. Reads
    /// O(log size) events: async code calls it within [`Reader::run`].
    ///
    /// # Errors
    /// As [`Reader::root_at`].
    pub fn resume_token(&self) -> Result<Head, ReadError> {
        let next = self.ahead.front().map_or(self.next, |entry| entry.event.seq);
        let size = next.leaf_index();
        Ok(Head { size: Size::new(size), root: self.reader.root_at(Size::new(size))? })
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        if let Some(given) = self.pop_ahead()? {
            return Ok(Step::Give(given));
        }
        Ok(self.step_on())
    }

    /// The next step when nothing was read ahead.
    fn step_on(&mut self) -> Step {
        let head = self.progress.borrow_and_update().synced;
        if self.next.get() <= head.size.get() {
            return Step::Read(head);
        }
        if self.caught_up {
            return Step::Wait;
        }
        self.caught_up = true;
        Step::Give(Followed::CaughtUp(head))
    }

    /// Applies the redactions of the moment at which an event is given, not of that at which it was
    /// read. An event with a text that was changed stays the next one, until that is redacted.
    fn pop_ahead(&mut self) -> Result<Option<Followed>, ReadError> {
        if let Some(entry) = self.ahead.front_mut() {
            entry.erase(self.reader.shared().redacted(entry.event.seq));
            check(entry)?;
        }
        Ok(self.ahead.pop_front().map(|entry| Followed::Event(Box::new(entry))))
    }

    /// The read of the events up to `head`, which waits until it is polled.
    fn begin(&self, head: Head) -> Reading {
        let (reader, next, thread) = (self.reader.clone(), self.next, self.thread.clone());
        Reading(Box::pin(async move {
            reader.run(move |reader| read(reader, next, head, thread.as_ref())).await
        }))
    }
}

/// Reads events from `next` on, up to `head` and up to [`READ_AHEAD_BYTES`].
fn read(
    reader: &Reader,
    mut next: Seq,
    head: Head,
    thread: Option<&ThreadId>,
) -> Result<Batch, ReadError> {
    let frames = reader.shared().log.read(next, READ_AHEAD_BYTES)?;
    if frames.is_empty() {
        return Err(ReadError::missing(next));
    }
    let mut entries = VecDeque::new();
    for frame in &frames {
        if next.get() > head.size.get() {
            break;
        }
        let entry = decode(next, frame)?;
        if thread.is_none_or(|thread| entry.event.thread.as_ref() == Some(thread)) {
            entries.push_back(entry);
        }
        next = next.next().unwrap_or(next);
    }
    Ok((entries, next))
}
