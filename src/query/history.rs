//! The events of a thread, of a task, or of all of the log.

use super::{
    Position, QueryError, Scope, Source,
    moment::Moment,
    walk::{self, Flow, Pile},
};
use crate::{
    event::{ActionKind, Entry, Event},
    ids::{TaskId, ThreadId},
    ledger::Visited,
    state::LedgerState,
    time::Millis,
};
use std::ops::ControlFlow;

/// A question about events: which to show, and in which order.
///
/// The default is all of the log at its head, oldest first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct History<'a> {
    /// The thread or task whose events are shown, or the whole log.
    pub scope: Scope<'a>,
    /// The position of the last event to show; the head if `None`.
    pub upto: Option<Position>,
    /// The condition that each shown event meets.
    pub filter: EventFilter,
    /// The largest number of events to show: the newest that pass the filter, in either order.
    pub limit: Option<usize>,
    /// The order in which events are shown.
    pub order: Order,
}

impl<'a> History<'a> {
    setters! {
        set scope: Scope<'a>,
        set filter: EventFilter,
        set order: Order,
        ;
        into upto: Option<Position>,
        into limit: Option<usize>,
    }
}

impl Default for History<'_> {
    fn default() -> Self {
        Self {
            scope: Scope::All,
            upto: None,
            filter: EventFilter::default(),
            limit: None,
            order: Order::OldestFirst,
        }
    }
}

/// An order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The order of the log.
    #[default]
    OldestFirst,
    /// The reverse order of the log.
    NewestFirst,
}

/// A condition on events. The default lets every event pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventFilter {
    /// The event is about this task.
    pub task: Option<TaskId>,
    /// The event has one of these actions. Empty for any.
    pub actions: Vec<ActionKind>,
    /// The event occurred then or later.
    pub since: Option<Millis>,
    /// The event occurred then or earlier.
    pub until: Option<Millis>,
}

impl EventFilter {
    setters! {
        ;
        into task: Option<TaskId>,
        into actions: Vec<ActionKind>,
        into since: Option<Millis>,
        into until: Option<Millis>,
    }
}

impl EventFilter {
    /// Returns true if the event passes. O(actions).
    #[must_use]
    pub fn passes(&self, event: &Event) -> bool {
        self.task.as_ref().is_none_or(|task| event.task.as_ref() == Some(task))
            && (self.actions.is_empty() || self.actions.contains(&event.action.kind()))
            && self.since.is_none_or(|since| event.occurred >= since)
            && self.until.is_none_or(|until| event.occurred <= until)
    }
}

/// Visits the events that `wanted` describes, in its order, until `visit` says to stop.
///
/// # Cost
/// One read for each own event of the thread or task. With a limit, or newest first, only for those
/// from the newest down to the last one visited. The whole log costs a scan, or a scan of its end.
/// A filter by task is answered from that task's events. Memory is bounded.
///
/// # Errors
/// - [`QueryError::UnknownThread`] or [`QueryError::UnknownTask`] if the scope or the filter names
///   one that the ledger does not hold.
/// - [`QueryError::PastHead`] if the log is shorter than the position.
/// - [`QueryError::Damaged`] if the links between the events do not hold together.
/// - [`QueryError::Read`] if an event could not be read.
/// - Those of `visit`; see [`Visited`].
///
/// # Example
/// ```
/// use taskledger::query::{EventFilter, History, Order, history};
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
/// let wanted = History::default()
///     .filter(EventFilter::default().task(test.clone()))
///     .order(Order::NewestFirst)
///     .limit(1);
/// history(&reader, &wanted, |entry| {
///     assert_eq!(entry.event.action.as_str(), "terminated");
///     std::ops::ControlFlow::Continue(())
/// })?;
/// # Ok(())
/// # }
/// ```
pub fn history<V: Visited<QueryError>>(
    source: &impl Source,
    wanted: &History<'_>,
    mut visit: impl FnMut(Entry) -> V,
) -> Result<(), V::Error> {
    let scope = wanted.filter.task.as_ref().map_or(wanted.scope, Scope::Task);
    let (now, head) = if let (Scope::All, None | Some(Position::Log(_))) = (scope, wanted.upto) {
        // Asks for no task: that of an event matters only by a time of occurrence.
        (LedgerState::default(), source.now().map_err(QueryError::from)?.size)
    } else {
        let now = source.state_of(scope).map_err(QueryError::from)?;
        let head = now.size();
        (now, head)
    };
    let upto = wanted.upto.unwrap_or(Position::Log(head));
    let mut moment = Moment::new(head.get(), upto)?;
    let size = moment.size();
    if !overlaps(source, &now, wanted)? {
        return Ok(());
    }
    let mut read = source.cursor();
    let passes = |event: &Event| Moment::admits(upto, event) && wanted.filter.passes(event);
    let mut counted = |entry: Entry, visit: &mut dyn FnMut(Entry) -> Flow<V::Error>| {
        let kept = moment.keeps(&now, &mut read, &entry.event)?;
        if kept { visit(entry) } else { Ok(ControlFlow::Continue(())) }
    };
    if wanted.limit == Some(0) {
        return Ok(());
    }
    match (wanted.order, wanted.limit) {
        (Order::OldestFirst, None) => {
            walk::oldest_first(source, &now, scope, size, passes, |entry| {
                counted(entry, &mut |entry| visit(entry).flow())
            })
        }
        (Order::OldestFirst, Some(limit)) => {
            let mut pile = Pile::default();
            walk::newest_first(source, &now, scope, size, |entry| {
                if !passes(&entry.event) {
                    return Ok(ControlFlow::Continue(()));
                }
                counted(entry, &mut |entry| {
                    pile.push(entry);
                    Ok(enough(pile.len(), Some(limit)))
                })
            })?;
            pile.unpile(source, |entry| visit(entry).flow())
        }
        (Order::NewestFirst, limit) => {
            let mut shown = 0;
            walk::newest_first(source, &now, scope, size, |entry| {
                if !passes(&entry.event) {
                    return Ok(ControlFlow::Continue(()));
                }
                counted(entry, &mut |entry| {
                    shown += 1;
                    let flow = visit(entry).flow()?;
                    Ok(if flow.is_break() { flow } else { enough(shown, limit) })
                })
            })
        }
    }
}

/// Every event of a thread up to a position, oldest first.
///
/// Holds all of them in memory at once; [`history`] visits them one by one.
///
/// # Errors
/// As [`history`].
///
/// # Example
/// ```
/// use taskledger::query::{Position, history_of_thread};
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
/// let all = history_of_thread(&reader, &thread, Position::Log(reader.head().size))?;
/// assert_eq!(all.len(), 3);
/// # Ok(())
/// # }
/// ```
pub fn history_of_thread(
    source: &impl Source,
    thread: &ThreadId,
    upto: Position,
) -> Result<Vec<Entry>, QueryError> {
    collect(source, Scope::Thread(thread), upto)
}

/// Every event of a task up to a position, oldest first.
///
/// Holds all of them in memory at once; [`history`] visits them one by one.
///
/// # Errors
/// As [`history`].
///
/// # Example
/// ```
/// use taskledger::query::{Position, history_of_task};
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
/// let all = history_of_task(&reader, &test, Position::Log(reader.head().size))?;
/// assert_eq!(all.len(), 2);
/// # Ok(())
/// # }
/// ```
pub fn history_of_task(
    source: &impl Source,
    task: &TaskId,
    upto: Position,
) -> Result<Vec<Entry>, QueryError> {
    collect(source, Scope::Task(task), upto)
}

fn collect(
    source: &impl Source,
    scope: Scope<'_>,
    upto: Position,
) -> Result<Vec<Entry>, QueryError> {
    let mut entries = Vec::new();
    history(source, &History { scope, upto: Some(upto), ..History::default() }, |entry| {
        entries.push(entry);
    })?;
    Ok(entries)
}

/// Says whether an event can be both in the scope and about the filter's task, which `now` holds.
fn overlaps(
    source: &impl Source,
    now: &LedgerState,
    wanted: &History<'_>,
) -> Result<bool, QueryError> {
    let Some(id) = &wanted.filter.task else { return Ok(true) };
    let Some(task) = now.task(id) else {
        return Err(QueryError::UnknownTask { task: id.clone() });
    };
    match wanted.scope {
        Scope::All => Ok(true),
        Scope::Task(other) => Ok(other == id),
        Scope::Thread(thread) if task.thread == *thread => Ok(true),
        Scope::Thread(thread) => match source.state_of(Scope::Thread(thread))?.thread(thread) {
            Some(_) => Ok(false),
            None => Err(QueryError::UnknownThread { thread: thread.clone() }),
        },
    }
}

fn enough(count: usize, limit: Option<usize>) -> ControlFlow<()> {
    if limit.is_some_and(|limit| count >= limit) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
