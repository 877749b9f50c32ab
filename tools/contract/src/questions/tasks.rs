//! Tasks that match.

use super::{AskError, Asked, Between, Listed, between, write_list};
use crate::{
    answers::{At, TaskItem, notes_holding},
    render::Form,
};
use std::io;
use taskledger::{
    event::TaskStatus,
    ids::{AgentId, CallId, RunId, TaskId, ThreadId},
    query::{self, Point, Scope, Sort, SortKey, TaskFilter, View},
    time::Millis,
};

/// Asks for the tasks that match, of all threads or one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TasksQuestion {
    /// Of this thread.
    pub thread: Option<ThreadId>,
    /// With one of these statuses; empty for any.
    pub status: Vec<TaskStatus>,
    /// Of one of these types; empty for any.
    pub types: Vec<String>,
    /// Spawned by this agent.
    pub agent: Option<AgentId>,
    /// Spawned by this run.
    pub run: Option<RunId>,
    /// Spawned by this tool call.
    pub call: Option<CallId>,
    /// Spawned by this task.
    pub parent: Option<TaskId>,
    /// Created then or later; for a place in the log, spawned by that event or later.
    pub since: Option<Point>,
    /// Created then or earlier; for a place in the log, spawned by that event or earlier.
    pub until: Option<Point>,
    /// Ended at this time or later.
    pub ended_since: Option<Point>,
    /// Ended at this time or earlier.
    pub ended_until: Option<Point>,
    /// The order.
    pub sort: SortKey,
    /// The other way round.
    pub reverse: bool,
    /// The first so many; `None` for all.
    pub count: Option<usize>,
}

impl TasksQuestion {
    /// The view that holds the tasks.
    ///
    /// # Errors
    /// As [`query::as_of`].
    pub fn view(&self, asked: &Asked<'_>) -> Result<View, AskError> {
        asked.view(self.thread.as_ref().map_or(Scope::All, Scope::Thread))
    }

    /// The conditions: on the tasks, and on the numbers of the events that spawned them, which the
    /// library does not filter by.
    ///
    /// # Errors
    /// [`AskError::Moment`] or [`AskError::NoTime`] for a point that does not fit.
    pub fn filter(&self, asked: &Asked<'_>) -> Result<(TaskFilter, Between), AskError> {
        let between = Between::of(asked, self.since.as_ref(), self.until.as_ref())?;
        let ended = |point: Option<&Point>| -> Result<Option<Millis>, AskError> {
            point.map(|point| between::time(point, asked.now)).transpose()
        };
        let filter = TaskFilter::default()
            .since(between.since)
            .until(between.until)
            .ended_since(ended(self.ended_since.as_ref())?)
            .ended_until(ended(self.ended_until.as_ref())?)
            .thread(self.thread.clone())
            .statuses(self.status.clone())
            .types(self.types.clone())
            .agent(self.agent.clone())
            .run(self.run.clone())
            .call(self.call.clone())
            .parent(self.parent.clone());
        Ok((filter, between))
    }

    /// The tasks.
    ///
    /// # Errors
    /// As [`filter`](Self::filter) and [`query::tasks`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<TaskItem>, AskError> {
        let view = self.view(asked)?;
        let items = self.items(asked, &view)?.collect::<Result<_, AskError>>()?;
        Ok(Listed { at: At::from(&view), items })
    }

    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let view = self.view(asked)?;
        write_list(&At::from(&view), self.items(asked, &view)?, form, out)
    }

    /// The tasks one by one; each reads its long texts when it is asked for.
    fn items<'a>(
        &self,
        asked: &'a Asked<'_>,
        view: &'a View,
    ) -> Result<impl Iterator<Item = Result<TaskItem, AskError>>, AskError> {
        let (filter, between) = self.filter(asked)?;
        let now = if asked.at.is_some() { view.time } else { asked.now };
        let sort = Sort { key: self.sort, descending: self.reverse, now: Some(now) };
        // Places in the log are not the library's to filter by, so neither is the count then.
        let limit = self.count.filter(|_| between.seqs.is_none());
        let rows = query::task_rows(asked.reader, &view.state, &filter, sort, limit);
        let rows =
            rows.filter(move |row| row.as_ref().map_or(true, |row| between.holds(row.first_seq)));
        Ok(rows.take(self.count.unwrap_or(usize::MAX)).map(move |row| {
            let (row, hold) = (row?, asked.held());
            let notes = match view.state.task(&row.task_id) {
                Some(task) => notes_holding(asked.reader, task, view.position, hold)?,
                None => Vec::new(),
            };
            Ok(TaskItem::from(row).noted(notes))
        }))
    }

    /// True if no part of the question counts from the clock, when asked at the moment `at`.
    pub(super) fn is_timeless(&self, at: Option<&Point>) -> bool {
        let points = [&self.since, &self.until, &self.ended_since, &self.ended_until];
        let ago = points.iter().any(|point| matches!(point, Some(Point::Ago(_))));
        // What runs now has run until now.
        !ago && (self.sort != SortKey::Duration || at.is_some())
    }
}
