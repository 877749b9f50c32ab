//! The reason that a task exists: the task that spawned it, the one that spawned that, up to the
//! root.

use super::{
    Position, QueryError, Scope, Source,
    moment::Moment,
    walk::{self, Flow},
};
use crate::{
    event::{Action, CancelScope, Cause, Entry, Parent, PartKind},
    ids::{LedgerId, Seq, TaskId},
    state::{LedgerState, Task},
    time::Millis,
};
use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

/// A task and its ancestors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// The task itself first, then its parent, and so on.
    pub links: Vec<Link>,
    /// The reason that the chain ends there.
    pub end: ChainEnd,
}

/// The reason that a [`Chain`] ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainEnd {
    /// The last task was spawned by no task.
    Root,
    /// The last task was spawned by a task that this ledger does not hold.
    External {
        /// The ledger that holds it, if known.
        ledger: Option<LedgerId>,
        /// Its id there.
        task: TaskId,
    },
    /// The last task was spawned by a task whose own spawn had not occurred at the position.
    Absent {
        /// That task.
        task: TaskId,
    },
    /// Its parent is in the chain already, which only a forged log can say.
    Cycle {
        /// That parent.
        task: TaskId,
    },
}

/// One task of a [`Chain`], and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The task as it was at the position. Its record names the run, call and agent that spawned
    /// it, and `first_seq` is the event of the spawn.
    pub task: Arc<Task>,
    /// The time at which that event occurred.
    pub spawned: Millis,
    /// The cause of that event.
    pub cause: Cause,
    /// The event that gave the task its parent: the spawn, or the last update that changed the
    /// parent.
    pub linked: Seq,
    /// The cause of that event.
    pub linked_by: Cause,
    /// Every request to stop this task or its tree, the first to stop its run, and the first to
    /// stop its thread while it ran. A request to stop a tree above it is in the link of the root
    /// of that tree.
    pub cancels: Vec<CancelRequest>,
}

/// A request to stop something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelRequest {
    /// The event that records it.
    pub seq: Seq,
    /// The time at which it occurred.
    pub occurred: Millis,
    /// The scope that was to stop.
    pub scope: CancelScope,
    /// The cause of the request.
    pub cause: Cause,
    /// The reason; `None` if none was given or it was erased.
    pub reason: Option<Arc<str>>,
}

/// Finds out why `task` exists, as the log had it at `position`.
///
/// # Cost
/// One read for each event of the task and of each of its ancestors.
///
/// # Errors
/// - [`QueryError::UnknownTask`] if the ledger does not hold the task; [`QueryError::NotYet`] if
///   it did not at that position.
/// - [`QueryError::PastHead`] if the log is shorter than the position.
/// - [`QueryError::Damaged`] if the links between the events do not hold together.
/// - [`QueryError::Read`] if an event could not be read.
///
/// # Example
/// ```
/// use taskledger::query::{Position, why};
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
/// let chain = why(&reader, &test, Position::Log(reader.head().size))?;
/// let path: Vec<_> = chain.links.iter().map(|link| link.task.id.as_str()).collect();
/// assert_eq!(path, ["test", "build"]);
/// # Ok(())
/// # }
/// ```
pub fn why(source: &impl Source, task: &TaskId, position: Position) -> Result<Chain, QueryError> {
    why_holding(source, task, position, |_| Ok(()))
}

/// Like [`why`], and tells `hold` of the bytes of each part of the chain before it is kept. A chain has
/// as many requests to stop as there were, each with its reason: an error of `hold` ends it in time.
///
/// # Errors
/// As [`why`], and those of `hold`.
pub fn why_holding<E: From<QueryError>>(
    source: &impl Source,
    task: &TaskId,
    position: Position,
    mut hold: impl FnMut(usize) -> Result<(), E>,
) -> Result<Chain, E> {
    let state_of = |task: &TaskId| source.state_of(Scope::Task(task)).map_err(QueryError::from);
    let mut now = state_of(task)?;
    let mut seen = BTreeSet::new();
    let mut links = Vec::new();
    let mut next = task.clone();
    let end = loop {
        seen.insert(next.clone());
        if now.task(&next).is_none() {
            // It was an ancestor then and is none now.
            now = state_of(&next)?;
        }
        let link = match link(source, &now, &next, position, &mut hold)? {
            Some(link) => link,
            None if links.is_empty() => {
                return Err(QueryError::NotYet { task: next, at: position }.into());
            }
            None => break ChainEnd::Absent { task: next },
        };
        let parent = link.task.record.parent.clone();
        links.push(link);
        next = match parent {
            None => break ChainEnd::Root,
            Some(Parent::External { ledger, id }) => {
                break ChainEnd::External { ledger, task: id };
            }
            Some(Parent::Local(id)) if seen.contains(&id) => break ChainEnd::Cycle { task: id },
            Some(Parent::Local(id)) => id,
        };
    };
    Ok(Chain { links, end })
}

/// One link; `None` if the task was not there at the position.
fn link<E: From<QueryError>>(
    source: &impl Source,
    now: &LedgerState,
    id: &TaskId,
    position: Position,
    hold: &mut impl FnMut(usize) -> Result<(), E>,
) -> Result<Option<Link>, E> {
    let mut moment = Moment::new(now.size().get(), position)?;
    let size = moment.size();
    let mut read = source.cursor();
    let mut state = LedgerState::default();
    let mut spawn: Option<(Millis, Cause)> = None;
    let mut linked: Option<(Seq, Cause)> = None;
    let mut cancels = Vec::new();
    let keep = |event: &_| Moment::admits(position, event);
    walk::oldest_first(source, now, Scope::Task(id), size, keep, |entry| -> Flow<E> {
        let event = &entry.event;
        if moment.keeps(now, &mut read, event)? {
            let before = state.task(id).map(|task| task.record.parent.clone());
            state.apply(&entry);
            let after = state.task(id).map(|task| task.record.parent.clone());
            if before.is_none() && after.is_some() {
                spawn = Some((event.occurred, event.cause.clone()));
            }
            if before != after {
                linked = Some((event.seq, event.cause.clone()));
            }
            if let Some(request) = cancel_request(&entry) {
                hold(request.bytes())?;
                cancels.push(request);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let (Some(task), Some((spawned, cause)), Some((linked, linked_by))) =
        (state.task(id).cloned(), spawn, linked)
    else {
        return Ok(None);
    };
    let of_run = task.record.run.as_ref().and_then(|run| now.run_mark(run));
    let ran = |seq: &Seq| task.terminal_seq.is_none_or(|terminal| *seq < terminal);
    let of_thread = now.thread_request(&task.thread, task.first_seq).filter(ran);
    for seq in of_run.into_iter().chain(of_thread).filter(|seq| seq.get() <= size) {
        let entry = read(seq).map_err(QueryError::from)?;
        let counts = Moment::admits(position, &entry.event);
        cancels.extend(cancel_request(&entry).filter(|_| counts));
    }
    let description = task.description.held().map_or(0, |text| text.len());
    hold(size_of::<Link>() + size_of::<Task>() + description)?;
    cancels.sort_by_key(|request| request.seq);
    cancels.dedup_by_key(|request| request.seq);
    Ok(Some(Link { task, spawned, cause, linked, linked_by, cancels }))
}

impl CancelRequest {
    /// The memory that it takes, roughly.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.reason.as_ref().map_or(0, |reason| reason.len())
    }
}

fn cancel_request(entry: &Entry) -> Option<CancelRequest> {
    let Entry { event, .. } = entry;
    let Action::CancelRequested { scope, deadline: _ } = &event.action else { return None };
    Some(CancelRequest {
        seq: event.seq,
        occurred: event.occurred,
        scope: scope.clone(),
        cause: event.cause.clone(),
        reason: entry.text(PartKind::Reason).cloned(),
    })
}

#[cfg(test)]
mod tests;
