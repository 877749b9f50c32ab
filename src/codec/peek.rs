//! The beginning of an event: enough to know whose it is, for a tenth of the cost of decoding it.
//!
//! Checks the checksum of the frame, and reads no further than the tag of the action: whoever uses
//! an event decodes it.

use super::{DecodeError, Layout, v1};
use crate::{ids::Seq, time::Millis};

/// The beginning of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peek<'a> {
    pub(crate) seq: Seq,
    pub(crate) recorded: Millis,
    pub(crate) thread: Option<&'a str>,
    pub(crate) task: Option<&'a str>,
    pub(crate) told: Told,
}

/// The kind of fact that an event tells, as far as a part of a state asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The event may begin a task or give it another parent.
    Task,
    /// The event asks to stop all of its thread.
    Stop,
    /// The event changes what is true beside its task and its thread: a writer began, a run is to
    /// stop, or texts are redacted.
    Mark,
    /// Anything else.
    Other,
}

/// Reads the beginning of the event in a frame. O(bytes) for the checksum, some 60 ns besides.
///
/// # Errors
///
/// As [`decode`](super::decode), as far as it is read.
pub(crate) fn peek(frame: &[u8]) -> Result<Peek<'_>, DecodeError> {
    let layout = Layout::checked(frame)?;
    let (peeked, next) = v1::peek(layout.event)?;
    let told = match (peeked.action, next) {
        // Upserted; Restored, of which a snapshot begins a task.
        (0 | 2, _) => Told::Task,
        // CancelRequested: for a task or its tree, it tells of these; for a thread.
        (3, Some(0 | 1)) | (1 | 4 | 5, _) => Told::Other,
        (3, Some(2)) => Told::Stop,
        (3, Some(found @ 4..)) => {
            return Err(DecodeError::UnsupportedFormat { what: "cancel scope", found, max: 3 });
        }
        // CancelRequested for a run; Redacted; Began.
        (3, Some(3)) | (6 | 7, _) => Told::Mark,
        (3, None) => return Err(DecodeError::Malformed { why: "it ends early" }),
        (found, _) => return Err(DecodeError::UnsupportedFormat { what: "action", found, max: 7 }),
    };
    let seq = Seq::new(peeked.seq).ok_or(DecodeError::Malformed { why: "its number is 0" })?;
    let recorded = Millis(peeked.recorded);
    Ok(Peek { seq, recorded, thread: peeked.thread, task: peeked.task, told })
}
