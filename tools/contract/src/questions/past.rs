//! Questions about two moments, and about the first of many.

use super::{AskError, Asked};
use crate::answers::{At, ChangeItem, DiffBody, DiffCounts, EventLine, FirstBody};
use taskledger::{
    event::Entry,
    ids::ThreadId,
    query::{self, Atom, Diff, Point, Predicate, QueryError, Scope, View},
};

/// Asks for the changes between two moments of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffQuestion {
    /// The thread.
    pub thread: ThreadId,
    /// The first moment.
    pub from: Point,
    /// The second moment.
    pub to: Point,
    /// Only how many changes of each kind there are.
    pub stat: bool,
}

/// Two moments of a thread, and what differs.
#[derive(Debug)]
pub struct Compared {
    /// The first moment.
    pub from: View,
    /// The second moment.
    pub to: View,
    /// The changes.
    pub diff: Diff,
}

/// Asks for the first event of a thread after which a condition held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstQuestion {
    /// The thread.
    pub thread: ThreadId,
    /// The condition.
    pub condition: Predicate,
}

impl DiffQuestion {
    /// Compares the two moments.
    ///
    /// # Errors
    /// [`AskError::Moment`], and as [`query::as_of`].
    pub fn compare(&self, asked: &Asked<'_>) -> Result<Compared, AskError> {
        let view = |point: &Point| -> Result<View, AskError> {
            let position = asked.resolve(point)?;
            Ok(query::as_of(asked.reader, Scope::Thread(&self.thread), position)?)
        };
        let (from, to) = (view(&self.from)?, view(&self.to)?);
        let diff = query::diff(&from.state, &to.state, Some(&self.thread));
        Ok(Compared { from, to, diff })
    }

    /// The changes.
    ///
    /// # Errors
    /// [`QueryError::Read`] if a long text could not be read.
    pub fn answer(&self, asked: &Asked<'_>, compared: &Compared) -> Result<DiffBody, AskError> {
        let Compared { from, to, diff } = compared;
        let changes = diff.changes.iter().filter(|_| !self.stat);
        let items = changes.map(|change| ChangeItem::new(change, asked.reader));
        let items = items.collect::<Result<_, QueryError>>()?;
        let stat = DiffCounts::from(diff.stat());
        Ok(DiffBody { from: At::from(from), to: At::from(to), stat, items })
    }
}

impl FirstQuestion {
    /// The event, as it is told and as it is; none if the condition never held.
    ///
    /// # Errors
    /// - [`AskError::ElsewhereInLedger`], [`QueryError::UnknownTask`] for a status of a task that
    ///   the thread does not hold: it is never true, which would look like an answer.
    /// - As [`query::first`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<(FirstBody, Option<Entry>), AskError> {
        self.check_names(asked)?;
        let found = query::first(asked.reader, &self.thread, &self.condition)?;
        let body = FirstBody {
            at: At::head(asked.reader)?,
            condition: self.condition.to_string(),
            event: found.as_ref().map(EventLine::from),
        };
        Ok((body, found))
    }

    fn check_names(&self, asked: &Asked<'_>) -> Result<(), AskError> {
        for atom in self.condition.atoms() {
            let Atom::Status { task, .. } = atom else { continue };
            let Some(found) = asked.reader.task(task)? else {
                return Err(QueryError::UnknownTask { task: task.clone() }.into());
            };
            if found.thread != self.thread {
                return Err(AskError::ElsewhereInLedger {
                    task: task.clone(),
                    thread: self.thread.clone(),
                    found: found.thread.clone(),
                });
            }
        }
        Ok(())
    }
}
