//! Tasks as flat rows, for a table, a CSV file or a JSON list.

use super::{
    QueryError, Source,
    depth::Depths,
    texts::{Texts, Told, texts},
};
use crate::{
    event::{Entry, Parent, PartKind, PartSet, TaskStatus},
    ids::{AgentId, CallId, RunId, Seq, TaskId, ThreadId},
    ledger::ReadError,
    state::{LedgerState, Task, Text},
    time::Millis,
};
use std::{cmp::Ordering, sync::Arc};

/// One task, flat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its id.
    pub task_id: TaskId,
    /// The thread that owns it.
    pub thread_id: ThreadId,
    /// Its type.
    pub task_type: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its description; `None` if there is none or it was erased.
    pub description: Option<Arc<str>>,
    /// Its status.
    pub status: TaskStatus,
    /// The error with which it failed or was cancelled; `None` if there is none or it was erased.
    pub error: Option<Arc<str>>,
    /// Its result, as JSON text; `None` if there is none or it was erased.
    pub result: Option<Arc<str>>,
    /// The time at which it was created.
    pub created_at_ms: u64,
    /// The time at which it ended.
    pub completed_at_ms: Option<u64>,
    /// The task that spawned it, in this ledger or outside.
    pub parent_task_id: Option<TaskId>,
    /// The run that spawned it.
    pub run_id: Option<RunId>,
    /// The tool call that spawned it.
    pub call_id: Option<CallId>,
    /// The agent that spawned it.
    pub agent_id: Option<AgentId>,
    /// 1 for a task without a parent in the state, one more for each ancestor there.
    pub depth: usize,
    /// The event that created it.
    pub first_seq: u64,
    /// Its newest event.
    pub last_seq: u64,
    /// The texts that were erased. They are `None` here, though the task had them.
    pub erased: PartSet,
    /// The texts that are stored, but are not those that were recorded. They are `None` here.
    pub withheld: PartSet,
}

/// A condition on tasks. The default lets every task pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TaskFilter {
    /// The task belongs to this thread.
    pub thread: Option<ThreadId>,
    /// The task has one of these statuses; empty for any.
    pub statuses: Vec<TaskStatus>,
    /// The task has one of these types; empty for any.
    pub types: Vec<String>,
    /// This agent spawned the task.
    pub agent: Option<AgentId>,
    /// This run spawned the task. Spaces around run ids do not count.
    pub run: Option<RunId>,
    /// This tool call spawned the task.
    pub call: Option<CallId>,
    /// This task, of this ledger or another, spawned the task.
    pub parent: Option<TaskId>,
    /// The task was created then or later.
    pub since: Option<Millis>,
    /// The task was created then or earlier.
    pub until: Option<Millis>,
    /// The task ended then or later. A running task does not pass.
    pub ended_since: Option<Millis>,
    /// The task ended then or earlier. A running task does not pass.
    pub ended_until: Option<Millis>,
}

impl TaskFilter {
    setters! {
        ;
        into thread: Option<ThreadId>,
        into statuses: Vec<TaskStatus>,
        into types: Vec<String>,
        into agent: Option<AgentId>,
        into run: Option<RunId>,
        into call: Option<CallId>,
        into parent: Option<TaskId>,
        into since: Option<Millis>,
        into until: Option<Millis>,
        into ended_since: Option<Millis>,
        into ended_until: Option<Millis>,
    }
}

impl TaskFilter {
    /// Returns true if the task passes. O(statuses and types).
    #[must_use]
    pub fn passes(&self, task: &Task) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let record = &task.record;
        let run = |run: &RunId| run.as_str().trim().to_owned();
        same(self.thread.as_ref(), Some(&task.thread))
            && (self.statuses.is_empty() || self.statuses.contains(&task.status))
            && (self.types.is_empty() || self.types.iter().any(|t| **t == *record.task_type))
            && same(self.agent.as_ref(), record.agent.as_ref())
            && same(self.run.as_ref().map(run).as_ref(), record.run.as_ref().map(run).as_ref())
            && same(self.call.as_ref(), record.call.as_ref())
            && same(self.parent.as_ref(), record.parent.as_ref().map(Parent::id))
            && self.since.is_none_or(|since| record.created >= since)
            && self.until.is_none_or(|until| record.created <= until)
            && self.ended_since.is_none_or(|since| task.completed.is_some_and(|end| end >= since))
            && self.ended_until.is_none_or(|until| task.completed.is_some_and(|end| end <= until))
    }
}

/// An order of tasks. The default is the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    /// The key to sort by. Tasks with an equal key stay in the order of creation.
    pub key: SortKey,
    /// Puts the largest or latest first. Tasks without the key come last in either direction.
    pub descending: bool,
    /// The moment up to which a running task has run. Without it, a running task has no duration.
    pub now: Option<Millis>,
}

/// A key to sort tasks by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// The event that created the task: the order of creation in this ledger.
    #[default]
    Seq,
    /// The time of creation.
    Created,
    /// The time at which the task ended.
    Completed,
    /// Its newest event.
    Activity,
    /// The time from creation to end, or to [`Sort::now`] for a running task.
    Duration,
    /// Its id.
    Task,
    /// Its thread.
    Thread,
    /// Its type.
    Type,
    /// Its name.
    Name,
    /// Its status: running, completed, failed, cancelled.
    Status,
}

impl SortKey {
    /// Every key.
    pub const ALL: [Self; 10] = [
        Self::Seq,
        Self::Created,
        Self::Completed,
        Self::Activity,
        Self::Duration,
        Self::Task,
        Self::Thread,
        Self::Type,
        Self::Name,
        Self::Status,
    ];

    /// The word for it on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seq => "seq",
            Self::Created => "created",
            Self::Completed => "completed",
            Self::Activity => "activity",
            Self::Duration => "duration",
            Self::Task => "task",
            Self::Thread => "thread",
            Self::Type => "type",
            Self::Name => "name",
            Self::Status => "status",
        }
    }
}

/// The tasks of `state` that pass, sorted, at most `limit` of them, as rows.
///
/// `source` is the ledger of `state`: long texts, which a state does not hold, are read from it,
/// for the returned rows only.
///
/// # Cost
/// O(tasks of the thread, run, or of all), and a read for each long text.
///
/// # Errors
/// [`QueryError::Read`] if a long text could not be read.
///
/// # Example
/// ```
/// use taskledger::query::{Sort, TaskFilter, tasks};
/// # use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::{TaskId, ThreadId}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = Ledger::in_memory(Options::default())?;
/// # let thread = ThreadId::new("t")?;
/// # let (build, test) = (TaskId::new("build")?, TaskId::new("test")?);
/// # ledger.append_blocking([
/// #     Spawn::new(&thread, "agent").task(&build),
/// #     Spawn::new(&thread, "tool").task(&test).parent(&build),
/// # ])?;
/// # ledger.append_blocking(Finish::failed(&test, "2 of 31"))?;
/// // `test`, below `build`, has failed.
/// let reader = ledger.reader();
/// let filter = TaskFilter::default().statuses([taskledger::event::TaskStatus::Failed]);
/// let rows = tasks(&reader, &reader.state()?, &filter, Sort::default(), None)?;
/// assert_eq!(rows[0].error.as_deref(), Some("2 of 31"));
/// # Ok(())
/// # }
/// ```
pub fn tasks(
    source: &impl Source,
    state: &LedgerState,
    filter: &TaskFilter,
    sort: Sort,
    limit: Option<usize>,
) -> Result<Vec<TaskRow>, QueryError> {
    task_rows(source, state, filter, sort, limit).collect()
}

/// The rows of [`tasks`] one by one, each read when it is asked for. All of them would hold the long
/// texts of every task at once.
///
/// # Errors
/// Those of its items are those of [`tasks`].
pub fn task_rows<'s, S: Source>(
    source: &'s S,
    state: &'s LedgerState,
    filter: &TaskFilter,
    sort: Sort,
    limit: Option<usize>,
) -> impl Iterator<Item = Result<TaskRow, QueryError>> + use<'s, S> {
    let mut found: Vec<_> = matching(state, filter).collect();
    if sort != Sort::default() {
        found.sort_by(|a, b| sort.compare(a, b));
    }
    found.truncate(limit.unwrap_or(usize::MAX));
    let (mut depths, mut texts) = (Depths::new(state), texts(source));
    found.into_iter().map(move |task| row(&mut texts, depths.of(&task.id), task))
}

/// The tasks that pass, in the order of creation. O(tasks of the thread, run, or of all).
///
/// # Example
/// ```
/// use taskledger::query::{TaskFilter, matching};
/// # use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::{TaskId, ThreadId}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = Ledger::in_memory(Options::default())?;
/// # let thread = ThreadId::new("t")?;
/// # let (build, test) = (TaskId::new("build")?, TaskId::new("test")?);
/// # ledger.append_blocking([
/// #     Spawn::new(&thread, "agent").task(&build),
/// #     Spawn::new(&thread, "tool").task(&test).parent(&build),
/// # ])?;
/// # ledger.append_blocking(Finish::failed(&test, "2 of 31"))?;
/// // `test`, below `build`, has failed.
/// let reader = ledger.reader();
/// let filter = TaskFilter::default().parent(build.clone());
/// assert_eq!(matching(&reader.state()?, &filter).count(), 1);
/// # Ok(())
/// # }
/// ```
pub fn matching<'s>(
    state: &'s LedgerState,
    filter: &TaskFilter,
) -> impl Iterator<Item = &'s Arc<Task>> {
    let candidates: Box<dyn Iterator<Item = &'s Arc<Task>>> = match (&filter.thread, &filter.run) {
        (Some(thread), _) => Box::new(state.tasks_in(thread).collect::<Vec<_>>().into_iter()),
        (None, Some(run)) => Box::new(state.tasks_of_run(run).collect::<Vec<_>>().into_iter()),
        (None, None) => Box::new(state.tasks()),
    };
    candidates.filter(move |task| filter.passes(task))
}

/// One task as a row. O(depth), and a read for each long text.
///
/// # Errors
/// [`QueryError::Read`] if a long text could not be read.
pub fn task_row(
    source: &impl Source,
    state: &LedgerState,
    task: &Task,
) -> Result<TaskRow, QueryError> {
    row(&mut texts(source), state.depth(&task.id), task)
}

fn row<R>(texts: &mut Texts<R>, depth: usize, task: &Task) -> Result<TaskRow, QueryError>
where
    R: FnMut(Seq) -> Result<Entry, ReadError>,
{
    let (mut erased, mut withheld) = (PartSet::default(), PartSet::default());
    let mut read = |of: Option<&Text>, kind| -> Result<Option<Arc<str>>, QueryError> {
        let Some(of) = of else { return Ok(None) };
        Ok(match texts.told(of, kind)? {
            Told::Text(text) => Some(text),
            Told::Erased => {
                erased = erased.with(kind);
                None
            }
            Told::Withheld => {
                withheld = withheld.with(kind);
                None
            }
        })
    };
    let description = read(Some(&task.description), PartKind::Description)?;
    let error = read(task.error.as_ref(), PartKind::Error)?;
    let result = read(task.result.as_ref(), PartKind::Result)?;
    let record = &task.record;
    Ok(TaskRow {
        task_id: task.id.clone(),
        thread_id: task.thread.clone(),
        task_type: Arc::clone(&record.task_type),
        name: record.name.clone(),
        description,
        status: task.status,
        error,
        result,
        created_at_ms: record.created.0,
        completed_at_ms: task.completed.map(|at| at.0),
        parent_task_id: record.parent.as_ref().map(|parent| parent.id().clone()),
        run_id: record.run.clone(),
        call_id: record.call.clone(),
        agent_id: record.agent.clone(),
        depth,
        first_seq: task.first_seq.get(),
        last_seq: task.last_seq.get(),
        erased,
        withheld,
    })
}

impl Sort {
    fn compare(self, a: &Task, b: &Task) -> Ordering {
        let ran = |task: &Task| {
            let end = task.completed.or(self.now.filter(|_| !task.status.is_terminal()));
            end.map(|end| end.0.saturating_sub(task.record.created.0))
        };
        match self.key {
            SortKey::Seq => self.order(Some(a.first_seq), Some(b.first_seq)),
            SortKey::Created => self.order(Some(a.record.created), Some(b.record.created)),
            SortKey::Completed => self.order(a.completed, b.completed),
            SortKey::Activity => self.order(Some(a.last_seq), Some(b.last_seq)),
            SortKey::Duration => self.order(ran(a), ran(b)),
            SortKey::Task => self.order(Some(&a.id), Some(&b.id)),
            SortKey::Thread => self.order(Some(&a.thread), Some(&b.thread)),
            SortKey::Type => self.order(Some(&a.record.task_type), Some(&b.record.task_type)),
            SortKey::Name => self.order(a.record.name.as_ref(), b.record.name.as_ref()),
            SortKey::Status => self.order(Some(a.status), Some(b.status)),
        }
    }

    /// Compares two keys. Sorting is stable, so equal keys keep the order of creation.
    fn order<T: Ord>(self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.descending => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests;
