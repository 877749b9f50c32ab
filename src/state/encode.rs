//! A state as bytes, for snapshots and for comparing states: equal states, equal bytes.
//!
//! Writes only values that cannot be computed; the indexes are rebuilt. The bytes are no lasting
//! format: a version that cannot read them folds the log again.

use super::{
    Counts, DecodeError, LedgerState, Redaction, Task, Thread,
    bytes::{Encoder, Reader},
    keys::KEYS_MAX,
    row::{Above, Dictionary, Row},
};
use crate::{
    event::{Parent, PartSet},
    ids::{Epoch, Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use imbl::Vector;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, sync::Arc};

/// The version of the fold. It rises when the same events give another state, or the same state
/// gives other bytes. Snapshots of other versions are not read.
pub const FOLD_VERSION: u64 = 3;

impl LedgerState {
    /// The state as bytes. Equal states give equal bytes. O(state).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encoded(Cow::Borrowed)
    }

    /// The state as bytes, with each task as `shown` gives it.
    fn encoded<'s>(&'s self, shown: impl Fn(&'s Task) -> Cow<'s, Task>) -> Vec<u8> {
        let mut to = Encoder::default();
        to.number(FOLD_VERSION);
        to.number(self.size);
        to.number(self.recorded.0);
        to.option(self.ledger, |to, ledger| to.raw(&ledger.0));
        to.number(self.incarnation);
        to.count(self.epochs.len());
        for (seq, epoch) in &self.epochs {
            to.seq(*seq);
            to.number(epoch.number);
            to.raw(&epoch.nonce.to_le_bytes());
        }
        to.count(self.run_marks.len());
        for (run, seq) in &self.run_marks {
            to.text(run.as_str());
            to.seq(*seq);
        }
        to.count(self.redactions.len());
        for (seq, Redaction { parts, task }) in &self.redactions {
            to.seq(*seq);
            to.tag(parts.bits());
            to.option(task.as_ref(), |to, task| to.text(task.as_str()));
        }
        to.count(self.keys.len());
        for (key, seq) in self.keys.iter() {
            to.raw(&key.0);
            to.seq(seq);
        }
        to.count(self.threads.len());
        self.threads.iter().for_each(|thread| write_thread(&mut to, thread));
        to.count(self.tasks.len());
        self.tasks.iter().for_each(|task| to.text(task.id.as_str()));
        let mut words = Dictionary::default();
        self.tasks.iter().for_each(|task| self.write_task(&mut to, &mut words, &shown(task)));
        to.finish()
    }

    /// The state that [`to_bytes`](Self::to_bytes) wrote. O(bytes), in time and memory.
    ///
    /// # Errors
    /// The first value that `to_bytes` could not have written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(bytes);
        let found = from.number()?;
        if found != FOLD_VERSION {
            return Err(DecodeError::OtherFold { found, known: FOLD_VERSION });
        }
        let mut state = Self {
            size: from.number()?,
            recorded: Millis(from.number()?),
            ledger: from.option(|from| from.array().map(LedgerId))?,
            incarnation: from.number()?,
            ..Self::default()
        };
        state.read_heads(&mut from)?;
        state.read_threads(&mut from)?;
        state.read_tasks(&mut from)?;
        from.finish()?;
        Ok(state)
    }

    /// SHA-256 over the bytes: equal states, equal digests. O(state).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// SHA-256 over the state without the bodies of its texts, of which only the lengths count: equal for two
    /// nodes that folded the same events, also if one of them got an event after a text of it was redacted,
    /// and so without it. Comparable between equal [`FOLD_VERSION`]s. O(state).
    #[must_use]
    pub fn digest_without_texts(&self) -> [u8; 32] {
        Sha256::digest(self.encoded(|task| Cow::Owned(task.without_texts()))).into()
    }

    fn read_heads(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        for _ in 0..from.count()? {
            let seq = from.seq()?;
            let epoch = Epoch { number: from.number()?, nonce: u64::from_le_bytes(from.array()?) };
            self.epochs.push_back((seq, epoch));
        }
        for _ in 0..from.count()? {
            let run = from.id(RunId::new)?;
            if self.run_marks.get_max().is_some_and(|(last, _)| *last >= run) {
                return Err(from.invalid("order of run marks"));
            }
            let seq = from.seq()?;
            self.run_marks.insert(run, seq);
        }
        for _ in 0..from.count()? {
            let seq = from.seq()?;
            if self.redactions.get_max().is_some_and(|(last, _)| *last >= seq) {
                return Err(from.invalid("order of redactions"));
            }
            let parts = PartSet::from_bits(from.tag()?);
            let parts = parts.ok_or_else(|| from.invalid("set of parts"))?;
            let task = from.option(|from| from.id(TaskId::new))?;
            self.redactions.insert(seq, Redaction { parts, task });
        }
        let keys = from.count()?;
        if keys > KEYS_MAX {
            return Err(from.invalid("count of keys"));
        }
        for _ in 0..keys {
            let (key, seq) = (Key(from.array()?), from.seq()?);
            self.keys.push(key, seq);
        }
        Ok(())
    }

    fn read_threads(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        for _ in 0..from.count()? {
            let thread = read_thread(from)?;
            let Err(slot) = self.threads.probe(thread.id.as_str()) else {
                return Err(from.invalid("thread: its id is not new"));
            };
            self.threads.push(slot, Arc::new(thread));
        }
        Ok(())
    }

    fn read_tasks(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut ids = Vec::new();
        for _ in 0..from.count()? {
            ids.push(from.id(TaskId::new)?);
        }
        self.tasks.reserve(ids.len());
        let (mut words, mut links, mut absent) = (Dictionary::default(), Vec::new(), Vec::new());
        for (row, id) in ids.iter().enumerate() {
            let Err(slot) = self.tasks.probe(id.as_str()) else {
                return Err(from.invalid("task: its id is not new"));
            };
            let read = Row::read(from, &mut words)?;
            let home = self.threads.row(read.home);
            let thread = home.ok_or_else(|| from.invalid("thread of a task"))?.id.clone();
            let parent = self.linked(from, &read.above, row, &ids, &mut links)?;
            if let Above::Absent(parent) = &read.above {
                absent.push(parent.clone());
            }
            let home = read.home;
            let task = read.into_task(id.clone(), thread, home, parent);
            self.count(&task, row);
            self.enter(slot, task);
        }
        self.children.link_all(links);
        if absent.iter().any(|id| self.tasks.find(id.as_str()).is_some()) {
            return Err(from.invalid("parent: it is here"));
        }
        Ok(())
    }

    /// The parent of the task in row `row`, which becomes its child.
    pub(super) fn linked(
        &mut self,
        from: &Reader<'_>,
        above: &Above,
        row: usize,
        ids: &[TaskId],
        links: &mut Vec<(usize, usize)>,
    ) -> Result<Option<Parent>, DecodeError> {
        match above {
            Above::Row(parent) => {
                links.push((*parent, row));
                let id = ids.get(*parent).ok_or_else(|| from.invalid("parent"))?;
                return Ok(Some(Parent::Local(id.clone())));
            }
            Above::Absent(id) => self.children.link(id, None, row),
            Above::None | Above::External { .. } => {}
        }
        Ok(above.parent())
    }

    /// Counts a task that is about to be entered as row `row`, in its thread and in all.
    pub(super) fn count(&mut self, task: &Task, row: usize) {
        if let Some(thread) = self.threads.row_mut(task.home) {
            thread.rows.push_back(row);
            thread.tasks += 1;
            thread.counts.add(task.status);
        }
        self.counts.add(task.status);
    }
}

/// Writes a thread without the values that its tasks give.
fn write_thread(to: &mut Encoder, thread: &Thread) {
    write_heads_of_thread(to, thread);
    to.count(thread.cancels.len());
    thread.cancels.iter().for_each(|seq| to.seq(*seq));
}

/// Writes a thread without the requests to stop it either.
pub(super) fn write_heads_of_thread(to: &mut Encoder, thread: &Thread) {
    to.text(thread.id.as_str());
    to.number(thread.events);
    to.number(thread.first.0);
    to.number(thread.last.0);
    to.seq(thread.first_seq);
    to.seq(thread.last_seq);
}

/// A thread without tasks yet.
fn read_thread(from: &mut Reader<'_>) -> Result<Thread, DecodeError> {
    let mut thread = read_heads_of_thread(from)?;
    for _ in 0..from.count()? {
        let seq = from.seq()?;
        add_stop(&mut thread, seq).ok_or_else(|| from.invalid(STOPS))?;
    }
    Ok(thread)
}

const STOPS: &str = "order of requests to stop a thread";

/// Adds a request to stop all of a thread; `None` if it does not follow the last.
pub(super) fn add_stop(thread: &mut Thread, seq: Seq) -> Option<()> {
    let follows = thread.cancels.last().is_none_or(|last| *last < seq);
    follows.then(|| thread.cancels.push_back(seq))
}

/// A thread without requests to stop it, and without tasks.
pub(super) fn read_heads_of_thread(from: &mut Reader<'_>) -> Result<Thread, DecodeError> {
    Ok(Thread {
        id: from.id(ThreadId::new)?,
        counts: Counts::default(),
        tasks: 0,
        events: from.number()?,
        first: Millis(from.number()?),
        last: Millis(from.number()?),
        first_seq: from.seq()?,
        last_seq: from.seq()?,
        cancels: Vector::new(),
        rows: Vector::new(),
    })
}
