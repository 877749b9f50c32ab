//! A whole state from its sections.

use super::{Section, Table, narrow};
use crate::{
    event::PartSet,
    ids::{Epoch, Key, LedgerId, RunId, Seq, TaskId},
    state::{
        DecodeError, LedgerState, Redaction, Thread,
        bytes::Reader,
        encode::{add_stop, read_heads_of_thread},
        keys::KEYS_MAX,
        row::{Above, Dictionary, Row},
    },
    time::Millis,
};
use std::sync::Arc;

/// A state that takes its sections in, in the order in which they were written.
#[derive(Default)]
pub(crate) struct Loading {
    state: LedgerState,
    ids: Vec<TaskId>,
    /// Places of parents and children.
    links: Vec<(usize, usize)>,
    /// Parents that are told by their id, since the state does not hold them.
    absent: Vec<TaskId>,
}

impl Loading {
    /// Takes in a section of the table. Those that only help to find rows tell nothing new.
    ///
    /// # Errors
    /// The first value that is not valid.
    pub(crate) fn section(&mut self, table: Table, section: &Section) -> Result<(), DecodeError> {
        let mut from = Reader::new(&section.bytes);
        let mut words = Dictionary::default();
        for _ in 0..section.count {
            match table {
                Table::Heads => self.heads(&mut from)?,
                Table::Epochs => self.epoch(&mut from)?,
                Table::RunMarks => self.run_mark(&mut from)?,
                Table::Redactions => self.redaction(&mut from)?,
                Table::Keys => self.key(&mut from)?,
                Table::Threads => self.thread(&mut from)?,
                Table::Stops => self.stop(&mut from)?,
                Table::Ids => self.ids.push(from.id(TaskId::new)?),
                Table::Tasks => self.task(&mut from, &mut words)?,
                Table::Lists | Table::ThreadOrder | Table::TaskOrder => return Ok(()),
            }
        }
        from.finish()
    }

    /// The state of all sections.
    ///
    /// # Errors
    /// If sections are missing, or do not belong together.
    pub(crate) fn finish(self) -> Result<LedgerState, DecodeError> {
        let Self { mut state, ids, links, absent } = self;
        state.children.link_all(links);
        let invalid = |what| Err(DecodeError::Invalid { what, at: 0 });
        if ids.len() != state.tasks.len() {
            return invalid("count of tasks");
        }
        if absent.iter().any(|id| state.tasks.find(id.as_str()).is_some()) {
            return invalid("parent: it is here");
        }
        Ok(state)
    }

    fn heads(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.state.size = from.number()?;
        self.state.recorded = Millis(from.number()?);
        self.state.ledger = from.option(|from| from.array().map(LedgerId))?;
        self.state.incarnation = from.number()?;
        Ok(())
    }

    fn epoch(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let seq = fixed_seq(from)?;
        let (number, nonce) = (fixed(from)?, fixed(from)?);
        self.state.epochs.push_back((seq, Epoch { number, nonce }));
        Ok(())
    }

    fn run_mark(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let run = from.id(RunId::new)?;
        if self.state.run_marks.get_max().is_some_and(|(last, _)| *last >= run) {
            return Err(from.invalid("order of run marks"));
        }
        self.state.run_marks.insert(run, from.seq()?);
        Ok(())
    }

    fn redaction(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let seq = from.seq()?;
        if self.state.redactions.get_max().is_some_and(|(last, _)| *last >= seq) {
            return Err(from.invalid("order of redactions"));
        }
        let parts = PartSet::from_bits(from.tag()?);
        let parts = parts.ok_or_else(|| from.invalid("set of parts"))?;
        let task = from.option(|from| from.id(TaskId::new))?;
        self.state.redactions.insert(seq, Redaction { parts, task });
        Ok(())
    }

    fn key(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.state.keys.len() == KEYS_MAX {
            return Err(from.invalid("count of keys"));
        }
        let key = Key(from.array()?);
        self.state.keys.push(key, fixed_seq(from)?);
        Ok(())
    }

    fn thread(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (thread, _) = read_thread(from)?;
        let Err(slot) = self.state.threads.probe(thread.id.as_str()) else {
            return Err(from.invalid("thread: its id is not new"));
        };
        self.state.threads.push(slot, Arc::new(thread));
        Ok(())
    }

    fn stop(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (row, seq) = read_stop(from)?;
        let thread = self.state.threads.row_mut(row);
        let added = thread.and_then(|thread| add_stop(thread, seq));
        added.ok_or_else(|| from.invalid("request to stop a thread"))
    }

    fn task(&mut self, from: &mut Reader<'_>, words: &mut Dictionary) -> Result<(), DecodeError> {
        let Self { state, ids, links, absent } = self;
        let row = state.tasks.len();
        if row == 0 {
            state.tasks.reserve(ids.len());
        }
        let id = ids.get(row).ok_or_else(|| from.invalid("task without an id"))?;
        let Err(slot) = state.tasks.probe(id.as_str()) else {
            return Err(from.invalid("task: its id is not new"));
        };
        let read = Row::read(from, words)?;
        let home = read.home;
        let thread = state.threads.row(home).map(|thread| thread.id.clone());
        let thread = thread.ok_or_else(|| from.invalid("thread of a task"))?;
        let parent = state.linked(from, &read.above, row, ids, links)?;
        if let Above::Absent(parent) = &read.above {
            absent.push(parent.clone());
        }
        let task = read.into_task(id.clone(), thread, home, parent);
        state.count(&task, row);
        state.enter(slot, task);
        Ok(())
    }
}

/// A thread without tasks and without requests to stop it, and the places of its tasks in the
/// table of lists.
pub(super) fn read_thread(
    from: &mut Reader<'_>,
) -> Result<(Thread, std::ops::Range<u64>), DecodeError> {
    let thread = read_heads_of_thread(from)?;
    let (first, count) = (from.number()?, from.number()?);
    let end = first.checked_add(count).ok_or_else(|| from.invalid("list of a thread"))?;
    Ok((thread, first..end))
}

/// The row of a thread, and a request to stop it.
pub(super) fn read_stop(from: &mut Reader<'_>) -> Result<(usize, Seq), DecodeError> {
    let row = u32::from_le_bytes(from.array()?);
    Ok((narrow(row.into()), fixed_seq(from)?))
}

fn fixed(from: &mut Reader<'_>) -> Result<u64, DecodeError> {
    Ok(u64::from_le_bytes(from.array()?))
}

fn fixed_seq(from: &mut Reader<'_>) -> Result<Seq, DecodeError> {
    let seq = Seq::new(fixed(from)?);
    seq.ok_or_else(|| from.invalid("seq"))
}
