//! Questions about two moments, and about the first of many.

use super::{AskError, Asked, streamed::Streamed};
use crate::{
    answers::{At, Body as _, ChangeItem, DiffBody, DiffCounts, EventLine, FirstBody},
    render::Form,
};
use serde::Serialize;
use std::io;
use taskledger::{
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
struct Compared {
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
    fn compare(&self, asked: &Asked<'_>) -> Result<Compared, AskError> {
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
    pub fn answer(&self, asked: &Asked<'_>) -> Result<DiffBody, AskError> {
        let compared = &self.compare(asked)?;
        let items = self.items(asked, compared).collect::<Result<_, QueryError>>()?;
        let Compared { from, to, diff } = compared;
        let stat = DiffCounts::from(diff.stat());
        Ok(DiffBody { from: At::from(from), to: At::from(to), stat, items })
    }

    /// The changes one by one; each reads its long texts when it is asked for.
    fn items<'a>(
        &self,
        asked: &'a Asked<'_>,
        compared: &'a Compared,
    ) -> impl Iterator<Item = Result<ChangeItem, QueryError>> {
        let changes = if self.stat { &[] } else { compared.diff.changes.as_slice() };
        let reader = asked.reader;
        changes.iter().map(move |change| ChangeItem::new(change, &compared.to.state, reader))
    }

    /// Writes what [`answer`](Self::answer) gives.
    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let compared = self.compare(asked)?;
        let changes = Streamed::<ChangeItem, _>::new(|take| {
            self.items(asked, &compared).try_for_each(|change| take(change?))
        });
        let told = Told {
            schema: DiffBody::SCHEMA,
            from: At::from(&compared.from),
            to: At::from(&compared.to),
            stat: DiffCounts::from(compared.diff.stat()),
            items: &changes,
        };
        changes.write(&told, form, out)
    }
}

/// A [`DiffBody`] whose changes are written as they are read. A test holds the two together.
#[derive(Serialize)]
struct Told<'a, I> {
    schema: &'static str,
    from: At,
    to: At,
    stat: DiffCounts,
    items: &'a I,
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
