//! A stream as text: lines of JSON, or server-sent events.
//!
//! Knows neither log nor connection. The text of an event is made once and holds both forms, so that
//! streams of either form can share it.

use crate::{
    options::ServerOptions,
    problem::Problem,
    rooms::{self, Taken, Token},
};
use axum::body::Bytes;
use std::{ops::Range, sync::Arc};
use taskledger::{event::Entry, ids::Head};
use taskledger_contract::{answers::EventLine, questions::AskError, safe_json};

/// The pause between two tries of a client that lost its stream, as a browser is told.
pub(crate) const RETRY: &str = "retry: 2000\n\n";

/// The most bytes that a byte of a frame becomes: a control character is `\u001b`.
const ESCAPED_BYTES: usize = 6;
/// The most bytes of the names and signs around the fields of an event.
const AROUND_BYTES: usize = 4 << 10;

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Lines,
    Events,
}

impl Form {
    /// The place of a stream, for a client that comes back. Events have it as their id.
    pub(crate) fn checkpoint(self, head: Head) -> String {
        let Head { size, root } = head;
        match self {
            Self::Lines => format!("{{\"checkpoint\":{{\"size\":{size},\"root\":\"{root}\"}}}}\n"),
            Self::Events => format!("id: {size}:{root}\nevent: checkpoint\ndata: {size}\n\n"),
        }
    }

    /// A sign of life, with the place of the stream.
    pub(crate) fn beat(self, head: Head) -> String {
        match self {
            Self::Lines => self.checkpoint(head),
            // An id without data is no event, and what a browser comes back with all the same.
            Self::Events => format!(":\nid: {}:{}\n\n", head.size, head.root),
        }
    }

    /// The last word of a stream that goes on no more.
    pub(crate) fn problem(self, problem: &Problem) -> String {
        let problem = problem.to_line();
        match self {
            Self::Lines => format!("{{\"problem\":{problem}}}\n"),
            Self::Events => format!("event: problem\ndata: {problem}\n\n"),
        }
    }
}

/// An event as text. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// The event as server-sent event.
    bytes: Bytes,
    /// The line of JSON in it, with its end.
    line: Range<usize>,
    head: Head,
}

impl Text {
    /// Writes an event, and the log after it. Of the room that was taken for it, only as much is kept
    /// as the text needs, until the last copy is gone. O(bytes).
    pub(crate) fn new(
        entry: &Entry,
        head: Head,
        mut room: Option<Taken>,
    ) -> Result<Self, AskError> {
        let mut text = format!("id: {}:{}\ndata: ", head.size, head.root);
        let begin = text.len();
        let json = safe_json::to_string(&EventLine::from(entry))?;
        text.reserve_exact(json.len() + 2); // what is counted is what is taken
        text.push_str(&json);
        text.push_str("\n\n");
        let line = begin..text.len() - 1;
        if let Some(room) = &mut room {
            room.keep(text.capacity());
        }
        Ok(Self { bytes: Bytes::from_owner(Kept { text, _room: room }), line, head })
    }

    pub(crate) fn of(&self, form: Form) -> Bytes {
        match form {
            Form::Lines => self.bytes.slice(self.line.clone()),
            Form::Events => self.bytes.clone(),
        }
    }

    /// The log up to the event.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The bytes of memory that it takes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

struct Kept {
    text: String,
    _room: Option<Taken>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The memory that a stream may take: a share of its own, and room for larger events that it has
/// together with others. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    large: Arc<rooms::Room>,
    /// The token that it is taken for.
    token: Option<Token>,
    share: usize,
}

impl Room {
    /// A room of its own, for the texts that all streams share.
    pub(crate) fn new(options: &ServerOptions) -> Self {
        let (name, max) = ("large_events_bytes_max", options.large_events_bytes_max);
        Self::of(&Arc::new(rooms::Room::new(name, max, 100)), None, options.stream_bytes_max)
    }

    pub(crate) fn of(large: &Arc<rooms::Room>, token: Option<&Token>, share: usize) -> Self {
        Self { large: Arc::clone(large), token: token.cloned(), share }
    }

    /// The bytes of text that a stream takes at once, except for one event that is larger. A text of
    /// this size and one that [`needs`](Self::needed) no room make a share.
    pub(crate) fn half_share(&self) -> usize {
        self.share / 2
    }

    /// The room to take before an event is written whose frame has so many bytes: as much as its text
    /// could need. `None` if the share of a stream is enough.
    pub(crate) fn needed(&self, frame_bytes: usize) -> Option<usize> {
        let most = frame_bytes.saturating_mul(ESCAPED_BYTES).saturating_add(AROUND_BYTES);
        // One event may have all that its stream can get, so that none waits for ever.
        let needed = self.most(most);
        (most > self.half_share()).then_some(needed)
    }

    /// So many bytes, or the most that its stream can get.
    pub(crate) fn most(&self, bytes: usize) -> usize {
        bytes.min(self.large.most(self.token.as_ref()))
    }

    pub(crate) fn try_take(&self, bytes: usize) -> Option<Taken> {
        self.large.take(self.token.as_ref(), bytes).ok()
    }

    /// Waits for room, in turn.
    ///
    /// # Cancel safety
    /// Cancel safe: a place in the queue is lost.
    pub(crate) async fn take(&self, bytes: usize) -> Taken {
        self.large.wait_for(self.token.as_ref(), bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::{
        Ledger, Options,
        codec::encode,
        command::{Finish, Spawn},
        ids::{Seq, ThreadId},
    };

    /// A log with an event of every size, and of bytes that become six.
    fn entries() -> Vec<Entry> {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        let thread = ThreadId::new("\u{e000}".repeat(80)).unwrap();
        for len in [0, 1, 100, 10_000, 200_000] {
            for letter in ["x", "\u{1b}", "\u{9b}", "\u{202e}", "\u{e0041}", "\"", "\n"] {
                let text = letter.repeat(len / letter.len());
                let spawn = ledger.append_blocking(Spawn::new(&thread, "t")).unwrap().remove(0);
                let finish = Finish::failed(spawn.task.unwrap(), text.as_str());
                ledger.append_blocking(finish).unwrap();
            }
        }
        let (reader, mut all) = (ledger.reader(), Vec::new());
        let last = reader.head().seq().unwrap();
        let visit = |entry| {
            all.push(entry);
            std::ops::ControlFlow::<()>::Continue(())
        };
        reader.scan(Seq::FIRST, last, visit).unwrap();
        all
    }

    #[test]
    fn both_forms_are_the_same_line_and_fit_the_room_that_was_taken() {
        let options = ServerOptions { stream_bytes_max: 0, ..Default::default() };
        let room = Room::new(&options);
        for entry in entries() {
            let line = safe_json::to_string(&EventLine::from(&entry)).unwrap() + "\n";
            let head = Head { size: entry.event.seq.size(), ..Head::EMPTY };
            let frame = encode(&entry).unwrap();
            let needed = room.needed(frame.len()).unwrap();
            let text = Text::new(&entry, head, room.try_take(needed)).unwrap();
            assert_eq!(text.of(Form::Lines), line);
            let event = format!("id: {}:{}\ndata: {line}\n", head.size, head.root);
            assert_eq!(text.of(Form::Events), event);
            assert!(text.len() <= needed, "{} {needed}", text.len());
            // Room for the text alone, until its last copy is gone.
            assert_eq!(room.large.taken(), text.len(), "and no more was allocated");
            let copy = text.of(Form::Lines);
            drop(text);
            assert!(room.large.taken() > 0);
            drop(copy);
            assert_eq!(room.large.taken(), 0);
        }
    }

    #[tokio::test]
    async fn an_event_larger_than_all_room_takes_all_of_it_and_waits_for_others() {
        let options = ServerOptions {
            stream_bytes_max: 8 << 10,
            large_events_bytes_max: 10_000,
            ..Default::default()
        };
        let room = Room::new(&options);
        assert_eq!(room.needed(0), None, "the share of a stream is enough");
        assert_eq!(room.needed(1), Some(4_102));
        let all = room.needed(1 << 20).unwrap();
        assert_eq!(all, 10_000);
        let other = room.try_take(1).unwrap();
        assert!(room.try_take(all).is_none());
        drop(other);
        assert_eq!(room.take(all).await.units(), 10_000);
    }
}
