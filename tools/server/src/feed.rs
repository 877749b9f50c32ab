//! The events of a log from some head on, with the root after each of them.
//!
//! A feed reads the log by itself, so a slow one delays nobody. It keeps a tree of its own, since the
//! root after an event is what a client comes back with: the number alone would not tell a log that was
//! replaced by another one of the same length.

use std::sync::Arc;
use taskledger::{
    codec,
    event::{ActionKind, Entry, PartSet},
    ids::{Head, Seq, TaskId, ThreadId},
    ledger::{ReadError, Reader},
    proof::{Tree, leaf_hash},
};
use taskledger_contract::questions::AskError;

/// The number of bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The events that a client wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) thread: Option<ThreadId>,
    pub(crate) task: Option<TaskId>,
    /// Empty for any.
    pub(crate) actions: Vec<ActionKind>,
}

impl Wanted {
    fn passes(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        self.thread.as_ref().is_none_or(|thread| event.thread.as_ref() == Some(thread))
            && self.task.as_ref().is_none_or(|task| event.task.as_ref() == Some(task))
            && (self.actions.is_empty() || self.actions.contains(&event.action.kind()))
    }
}

/// A place in the log from which a client goes on.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    tree: Tree,
    wanted: Arc<Wanted>,
}

/// An event that is wanted, and the log after it.
pub(crate) type Fed = (Entry, Head);

impl Feed {
    /// A feed from after `after`, which a client has seen. O(log size) reads.
    ///
    /// # Errors
    /// [`ReadError::OtherHistory`] if `after` is not a head of this history;
    /// [`ReadError::NoSuchEvent`] if the log is shorter.
    pub(crate) fn after(reader: &Reader, after: Head, wanted: Wanted) -> Result<Self, ReadError> {
        let tree = reader.tree_at(after.size)?;
        if tree.root() != after.root {
            return Err(ReadError::OtherHistory { expected: after, found: tree.root() });
        }
        Ok(Self { tree, wanted: Arc::new(wanted) })
    }

    /// The log up to the last event that was looked at.
    pub(crate) fn head(&self) -> Head {
        self.tree.head()
    }

    /// The next events, of those that are durable: some of them, and of these the ones that are
    /// wanted. Looks at none if there are none. Each exactly once, in order.
    ///
    /// # Errors
    /// [`AskError`]; the feed stays where it was.
    pub(crate) fn read(&mut self, reader: &Reader) -> Result<Vec<Fed>, AskError> {
        let mut next = self.tree.size().next_seq().unwrap_or(Seq::FIRST);
        // If one of several cannot be read, those before it can.
        let frames = reader.frames(next, READ_BYTES).or_else(|_| reader.frames(next, 1))?;
        let (mut tree, mut fed) = (self.tree.clone(), Vec::new());
        for frame in frames {
            tree.push_hash(leaf_hash(codec::leaf(&frame)?));
            let redacted = reader.redacted(next)?;
            let entry = if redacted == PartSet::default() {
                codec::decode(&frame)?
            } else {
                codec::decode(&codec::erase(&frame, redacted)?)?
            };
            if self.wanted.passes(&entry) {
                fed.push((entry, tree.head()));
            }
            next = next.next().unwrap_or(next);
        }
        self.tree = tree;
        Ok(fed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::{
        Ledger, Options,
        command::{Finish, Redact, Spawn},
        event::PartKind,
        ids::{Root, Size},
    };

    fn ledger() -> Ledger {
        let ledger = Ledger::in_memory(Options::default()).unwrap();
        for number in 0..20 {
            let thread = ThreadId::new(format!("thread-{}", number % 3)).unwrap();
            let task = TaskId::new(format!("task-{number}")).unwrap();
            let spawn = Spawn::new(thread, "x").task(&task).description("secret");
            ledger.append_blocking(spawn).unwrap();
            ledger.append_blocking(Finish::completed(task)).unwrap();
        }
        ledger
    }

    fn all(feed: &mut Feed, reader: &Reader) -> Vec<Fed> {
        let mut all = Vec::new();
        loop {
            let before = feed.head();
            all.extend(feed.read(reader).unwrap());
            if feed.head() == before {
                return all;
            }
        }
    }

    #[test]
    fn from_every_head_a_feed_gives_the_rest_with_the_root_after_each_event() {
        let ledger = ledger();
        let reader = ledger.reader();
        let whole =
            all(&mut Feed::after(&reader, Head::EMPTY, Wanted::default()).unwrap(), &reader);
        assert_eq!(whole.len(), 41);
        for (place, (entry, head)) in whole.iter().enumerate() {
            assert_eq!(entry.event.seq.size(), head.size);
            assert_eq!(reader.root_at(head.size).unwrap(), head.root);
            let rest = all(&mut Feed::after(&reader, *head, Wanted::default()).unwrap(), &reader);
            assert_eq!(rest, whole[place + 1..]);
        }
    }

    #[test]
    fn what_is_not_wanted_moves_the_feed_and_is_not_given() {
        let ledger = ledger();
        let reader = ledger.reader();
        let thread = Some(ThreadId::new("thread-1").unwrap());
        let wanted = Wanted { thread, actions: vec![ActionKind::Terminated], ..Default::default() };
        let mut feed = Feed::after(&reader, Head::EMPTY, wanted).unwrap();
        let events = all(&mut feed, &reader);
        assert_eq!(events.len(), 7);
        assert!(
            events.iter().all(|(entry, _)| entry.event.action.kind() == ActionKind::Terminated)
        );
        assert_eq!(feed.head(), reader.head());
    }

    #[test]
    fn a_head_of_another_history_is_refused_before_anything_is_given() {
        let ledger = ledger();
        let reader = ledger.reader();
        let other = Head { size: Size::new(7), root: Root([7; 32]) };
        let refused = Feed::after(&reader, other, Wanted::default()).unwrap_err();
        assert!(matches!(refused, ReadError::OtherHistory { .. }), "{refused}");
        let longer = Head { size: Size::new(99), root: Root([7; 32]) };
        let refused = Feed::after(&reader, longer, Wanted::default()).unwrap_err();
        assert!(matches!(refused, ReadError::NoSuchEvent { .. }), "{refused}");
    }

    #[test]
    fn a_text_that_is_redacted_is_not_given_though_its_bytes_are_still_there() {
        let ledger = ledger();
        let reader = ledger.reader();
        let seq = Seq::new(2).unwrap();
        ledger.append_blocking(Redact::new(seq, PartSet::ALL, "a secret")).unwrap();
        let mut feed = Feed::after(&reader, Head::EMPTY, Wanted::default()).unwrap();
        let events = all(&mut feed, &reader);
        assert_eq!(events[1].0.text(PartKind::Description), None);
        assert!(events[3].0.text(PartKind::Description).is_some());
        assert_eq!(feed.head(), reader.head(), "the tree is over what was recorded");
    }
}
