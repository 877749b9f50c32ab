//! The events that count at a position.
//!
//! ```text
//! as_of          which scope, which position
//!   |            the head, or the whole ledger at a log position: state or snapshot answers
//!   v
//! moment.fold    one empty state, and a test for each event: did it count by then?
//!   |       ^
//!   v       |    events, oldest first
//! walk           one event to the one before it, by its links, newest first; then turned round
//!   |            (a long thread is cut at its tasks and read on several cores: walk/share)
//!   v
//! marks.gather   cancel requests from other threads, for the tasks of the folded state
//!   |       ^
//!   v       |    an ancestor in another thread that has changed since: as it was then
//! moment.fold    the same for that one task; it gathers no marks, so this ends here
//!   |
//!   v
//! View           the state and the marks
//! ```
//!
//! Start reading at [`Moment::fold`]. Knows nothing of marks and snapshots.

use super::{
    Position, QueryError, Scope, Source,
    source::Folded,
    walk::{self, Flow},
};
use crate::{
    event::{Entry, Event},
    ids::{Seq, Size, TaskId},
    ledger::ReadError,
    state::LedgerState,
};
use std::{collections::BTreeMap, ops::ControlFlow};

/// A position in a log of known size, and for each task that was met: had it been spawned by then?
#[derive(Debug)]
pub(super) struct Moment {
    position: Position,
    size: u64,
    spawned: BTreeMap<TaskId, bool>,
}

impl Moment {
    /// Places `position` in a log of `head` events.
    ///
    /// # Errors
    /// [`QueryError::PastHead`] if the log is shorter.
    pub(super) fn new(head: u64, position: Position) -> Result<Self, QueryError> {
        let size = match position {
            Position::Log(size) if size > head => {
                return Err(QueryError::PastHead { size: size.get(), head });
            }
            Position::Log(size) => size,
            Position::Occurred(_) => Size::new(head),
        };
        Ok(Self { position, size: size.get(), spawned: BTreeMap::new() })
    }

    /// Folds the events of `scope` that count. Costs a read for each event of a thread or task, or
    /// a scan of the whole log.
    ///
    /// # Errors
    /// As those of a walk: the scope is unknown, links do not hold, an event could not be read.
    pub(super) fn fold(
        mut self,
        source: &impl Source,
        now: &LedgerState,
        scope: Scope<'_>,
    ) -> Result<LedgerState, QueryError> {
        let (source, mut state) = (&Folded(source), LedgerState::default());
        let mut read = source.cursor();
        let (position, size) = (self.position, self.size);
        let keep = |event: &_| Self::admits(position, event);
        walk::oldest_first(source, now, scope, size, keep, |entry| -> Flow {
            if self.keeps(now, &mut read, &entry.event)? {
                state.apply(&entry);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(state)
    }

    /// No event after this many counts.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns true if the event had happened by then, without a look at the spawn of its task.
    /// O(1).
    pub(super) fn admits(position: Position, event: &Event) -> bool {
        match position {
            Position::Log(size) => event.seq.get() <= size,
            Position::Occurred(at) => event.occurred <= at,
        }
    }

    /// Returns true if the event counts: it had happened by then, and so had the spawn of its task.
    ///
    /// Reads the spawn if it was not visited before.
    pub(super) fn keeps(
        &mut self,
        state: &LedgerState,
        read: &mut impl FnMut(Seq) -> Result<Entry, ReadError>,
        event: &Event,
    ) -> Result<bool, QueryError> {
        let admitted = Self::admits(self.position, event);
        let (Position::Occurred(at), Some(task)) = (self.position, &event.task) else {
            return Ok(admitted);
        };
        if event.prev_in_task.is_none() {
            self.spawned.insert(task.clone(), admitted);
            return Ok(admitted);
        }
        if !admitted {
            return Ok(false);
        }
        if let Some(spawned) = self.spawned.get(task) {
            return Ok(*spawned);
        }
        let spawned = match state.task(task) {
            Some(task) => read(task.first_seq)?.event.occurred <= at,
            None => false,
        };
        self.spawned.insert(task.clone(), spawned);
        Ok(spawned)
    }
}
