//! A state as bytes, for snapshots and for comparing states: equal states, equal bytes.
//!
//! Writes only values that cannot be computed; the indexes are rebuilt. The bytes are no lasting
//! format: a version that cannot read them folds the log again.

use super::{
    Counts, DecodeError, LedgerState, Redaction, TEXT_KEPT_BYTES_MAX, Task, Text, TextBody, Thread,
    bytes::{Encoder, Reader, Words},
    keys::KEYS_MAX,
};
use crate::{
    event::{Host, Parent, PartSet, TaskRecord, TaskStatus},
    ids::{AgentId, CallId, Epoch, Key, LedgerId, RunId, TaskId, ThreadId},
    time::Millis,
};
use imbl::Vector;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The version of the fold. It rises when the same events give another state, or the same state
/// gives other bytes. Snapshots of other versions are not read.
pub const FOLD_VERSION: u64 = 3;

impl LedgerState {
    /// The state as bytes. Equal states give equal bytes. O(state).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
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
        self.tasks.iter().for_each(|task| self.write_task(&mut to, &mut words, task));
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
        let (mut words, mut links) = (Dictionary::default(), Vec::new());
        for (row, id) in ids.iter().enumerate() {
            let Err(slot) = self.tasks.probe(id.as_str()) else {
                return Err(from.invalid("task: its id is not new"));
            };
            let (task, parent) = self.read_task(from, &mut words, id, &ids)?;
            let thread = self.threads.row_mut(task.home);
            let thread = thread.ok_or_else(|| from.invalid("thread of a task"))?;
            thread.rows.push_back(row);
            thread.tasks += 1;
            thread.counts.add(task.status);
            self.counts.add(task.status);
            match (parent, &task.record.parent) {
                (Some(parent), _) => links.push((parent, row)),
                (None, Some(Parent::Local(id))) => self.children.link(id, None, row),
                (None, _) => {}
            }
            self.enter(slot, task);
        }
        self.children.link_all(links);
        if words.absent.iter().any(|id| self.tasks.find(id.as_str()).is_some()) {
            return Err(from.invalid("parent: it is here"));
        }
        Ok(())
    }

    fn write_task(&self, to: &mut Encoder, words: &mut Dictionary, task: &Task) {
        to.count(task.home);
        self.write_record(to, words, &task.record);
        to.tag(status_tag(task.status));
        write_text(to, &task.description);
        to.option(task.error.as_ref(), write_text);
        to.option(task.result.as_ref(), write_text);
        to.option(task.completed, |to, at| to.number(at.0));
        to.seq(task.first_seq);
        to.seq(task.last_seq);
        to.optional_seq(task.terminal_seq);
        to.optional_seq(task.cancel_seq);
        to.optional_seq(task.tree_cancel_seq);
        to.number(task.last_activity.0);
        to.number(task.events);
    }

    fn read_task(
        &self,
        from: &mut Reader<'_>,
        words: &mut Dictionary,
        id: &TaskId,
        ids: &[TaskId],
    ) -> Result<(Task, Option<usize>), DecodeError> {
        let home = usize::try_from(from.number()?).unwrap_or(usize::MAX);
        let thread = self.threads.row(home).ok_or_else(|| from.invalid("thread of a task"))?;
        let (record, parent) = read_record(from, words, ids)?;
        let task = Task {
            id: id.clone(),
            thread: thread.id.clone(),
            record,
            status: read_status(from)?,
            description: read_text(from)?,
            error: from.option(read_text)?,
            result: from.option(read_text)?,
            completed: from.option(|from| from.number().map(Millis))?,
            first_seq: from.seq()?,
            last_seq: from.seq()?,
            terminal_seq: from.optional_seq()?,
            cancel_seq: from.optional_seq()?,
            tree_cancel_seq: from.optional_seq()?,
            last_activity: Millis(from.number()?),
            events: from.number()?,
            home,
        };
        Ok((task, parent))
    }

    fn write_record(&self, to: &mut Encoder, words: &mut Dictionary, record: &TaskRecord) {
        words.labels.write(to, &record.task_type);
        to.option(record.name.as_ref(), |to, name| words.labels.write(to, name));
        match &record.parent {
            None => to.tag(0),
            Some(Parent::Local(parent)) => {
                if let Some(row) = self.tasks.find(parent.as_str()) {
                    to.tag(1);
                    to.count(row);
                } else {
                    to.tag(2);
                    to.text(parent.as_str());
                }
            }
            Some(Parent::External { ledger, id }) => {
                to.tag(3);
                to.option(*ledger, |to, ledger| to.raw(&ledger.0));
                to.text(id.as_str());
            }
        }
        to.option(record.run.as_ref(), |to, run| words.runs.write(to, run));
        to.option(record.call.as_ref(), |to, call| to.text(call.as_str()));
        to.option(record.agent.as_ref(), |to, agent| words.agents.write(to, agent));
        to.number(record.created.0);
        match record.host {
            Host::Managed { incarnation, manager } => {
                to.tag(0);
                to.number(incarnation);
                to.number(manager.into());
            }
            Host::External => to.tag(1),
            Host::Imported => to.tag(2),
        }
    }
}

/// The words of a state's tasks.
#[derive(Default)]
struct Dictionary {
    /// Names and types.
    labels: Words<Arc<str>>,
    runs: Words<RunId>,
    agents: Words<AgentId>,
    /// Parents that are written by their id, since the state does not hold them.
    absent: Vec<TaskId>,
}

/// A record, and the place of its parent.
fn read_record(
    from: &mut Reader<'_>,
    words: &mut Dictionary,
    ids: &[TaskId],
) -> Result<(TaskRecord, Option<usize>), DecodeError> {
    let label = |text: &str| Ok(text.into());
    let task_type = words.labels.read(from, label)?;
    let name = from.option(|from| words.labels.read(from, label))?;
    let (parent, place) = read_parent(from, words, ids)?;
    let record = TaskRecord {
        task_type,
        name,
        parent,
        run: from.option(|from| words.runs.read(from, RunId::new))?,
        call: from.option(|from| from.id(CallId::new))?,
        agent: from.option(|from| words.agents.read(from, AgentId::new))?,
        created: Millis(from.number()?),
        host: match from.tag()? {
            0 => Host::Managed {
                incarnation: from.number()?,
                manager: u32::try_from(from.number()?).map_err(|_| from.invalid("manager"))?,
            },
            1 => Host::External,
            2 => Host::Imported,
            _ => return Err(from.invalid("host")),
        },
    };
    Ok((record, place))
}

fn read_parent(
    from: &mut Reader<'_>,
    words: &mut Dictionary,
    ids: &[TaskId],
) -> Result<(Option<Parent>, Option<usize>), DecodeError> {
    let parent = match from.tag()? {
        0 => return Ok((None, None)),
        1 => {
            let row = usize::try_from(from.number()?).unwrap_or(usize::MAX);
            let id = ids.get(row).ok_or_else(|| from.invalid("parent"))?;
            return Ok((Some(Parent::Local(id.clone())), Some(row)));
        }
        2 => {
            let id = from.id(TaskId::new)?;
            words.absent.push(id.clone());
            Parent::Local(id)
        }
        3 => Parent::External {
            ledger: from.option(|from| from.array().map(LedgerId))?,
            id: from.id(TaskId::new)?,
        },
        _ => return Err(from.invalid("parent")),
    };
    Ok((Some(parent), None))
}

const fn status_tag(status: TaskStatus) -> u8 {
    match status {
        TaskStatus::Running => 0,
        TaskStatus::Completed => 1,
        TaskStatus::Failed => 2,
        TaskStatus::Cancelled => 3,
    }
}

fn read_status(from: &mut Reader<'_>) -> Result<TaskStatus, DecodeError> {
    let tag = from.tag()?;
    let status = TaskStatus::ALL.into_iter().find(|status| status_tag(*status) == tag);
    status.ok_or_else(|| from.invalid("status"))
}

fn write_text(to: &mut Encoder, text: &Text) {
    to.seq(text.seq);
    match &text.body {
        TextBody::Kept(kept) | TextBody::Saved(kept) => {
            to.tag(0);
            to.text(kept);
        }
        TextBody::Stored => {
            to.tag(1);
            to.number(text.len.into());
        }
        TextBody::Erased => {
            to.tag(2);
            to.number(text.len.into());
        }
        TextBody::Withheld => {
            to.tag(3);
            to.number(text.len.into());
        }
    }
}

/// Reads a text. One that is there is only [saved](TextBody::Saved): nothing proves it.
fn read_text(from: &mut Reader<'_>) -> Result<Text, DecodeError> {
    let seq = from.seq()?;
    let body = match from.tag()? {
        0 => {
            let text = from.text()?;
            if text.len() > TEXT_KEPT_BYTES_MAX {
                return Err(from.invalid("text: it is too long to be held"));
            }
            return Ok(Text::saved(seq, text.into()));
        }
        1 => TextBody::Stored,
        2 => TextBody::Erased,
        3 => TextBody::Withheld,
        _ => return Err(from.invalid("text")),
    };
    let len = u32::try_from(from.number()?).map_err(|_| from.invalid("length"))?;
    Ok(Text { seq, len, body })
}

/// Writes a thread without the values that its tasks give.
fn write_thread(to: &mut Encoder, thread: &Thread) {
    to.text(thread.id.as_str());
    to.number(thread.events);
    to.number(thread.first.0);
    to.number(thread.last.0);
    to.seq(thread.first_seq);
    to.seq(thread.last_seq);
    to.count(thread.cancels.len());
    thread.cancels.iter().for_each(|seq| to.seq(*seq));
}

/// A thread without tasks yet.
fn read_thread(from: &mut Reader<'_>) -> Result<Thread, DecodeError> {
    let mut thread = Thread {
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
    };
    for _ in 0..from.count()? {
        let seq = from.seq()?;
        if thread.cancels.last().is_some_and(|last| *last >= seq) {
            return Err(from.invalid("order of requests to stop a thread"));
        }
        thread.cancels.push_back(seq);
    }
    Ok(thread)
}
