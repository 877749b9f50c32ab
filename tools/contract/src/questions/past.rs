//! Questions about two moments, and about the first of many.

use super::{AskError, Asked};
use crate::answers::{At, ChangeItem, DiffBody, DiffCounts, EventLine, FirstBody};
use taskledger::{
    ids::ThreadId,
    query::{self, Atom, Point, Predicate, QueryError, Scope, View},
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

/// Asks for the first event of a thread after which a condition held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstQuestion {
    /// The thread.
    pub thread: ThreadId,
    /// The condition.
    pub condition: Predicate,
}

impl DiffQuestion {
    /// The changes.
    ///
    /// # Errors
    /// [`AskError::Moment`], as [`query::as_of`], and [`QueryError::Read`] if a long text could not be
    /// read.
    pub fn answer(&self, asked: &Asked<'_>) -> Result<DiffBody, AskError> {
        let view = |point: &Point| -> Result<View, AskError> {
            let position = asked.resolve(point)?;
            Ok(query::as_of(asked.reader, Scope::Thread(&self.thread), position)?)
        };
        let (from, to) = (view(&self.from)?, view(&self.to)?);
        let diff = query::diff(&from.state, &to.state, Some(&self.thread));
        let changes = diff.changes.iter().filter(|_| !self.stat);
        let items = changes.map(|change| ChangeItem::new(change, &to.state, asked.reader));
        let items = items.collect::<Result<_, QueryError>>()?;
        let stat = DiffCounts::from(diff.stat());
        Ok(DiffBody { from: At::from(&from), to: At::from(&to), stat, items })
    }
}

impl FirstQuestion {
    /// The event; none if the condition never held.
    ///
    /// # Errors
    /// - [`AskError::ElsewhereInLedger`], [`QueryError::UnknownTask`] for a status of a task that
    ///   the thread does not hold: it is never true, which would look like an answer.
    /// - As [`query::first`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<FirstBody, AskError> {
        self.check_names(asked)?;
        let found = query::first(asked.reader, &self.thread, &self.condition)?;
        Ok(FirstBody {
            at: At::head(asked.reader)?,
            condition: self.condition.to_string(),
            event: found.as_ref().map(EventLine::from),
        })
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
