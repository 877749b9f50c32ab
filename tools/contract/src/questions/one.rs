//! Questions about one task or one event.

use super::{AskError, Asked, Listed};
use crate::answers::{At, EventLine, LinkItem, ShowBody};
use taskledger::{
    ids::{Seq, TaskId},
    query::{self, Scope},
};

/// Asks for one task and the events about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowQuestion {
    /// The task.
    pub task: TaskId,
}

/// Asks for the chain that led to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyQuestion {
    /// The task.
    pub task: TaskId,
}

/// Asks for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventQuestion {
    /// Its number.
    pub seq: Seq,
}

impl ShowQuestion {
    /// The task, and the events about it up to the moment.
    ///
    /// # Errors
    /// - [`AskError::NotYet`] if the task came later.
    /// - As [`query::as_of`] and [`query::history_of_task`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<ShowBody, AskError> {
        let reader = asked.reader;
        let view = asked.view(Scope::Task(&self.task))?;
        let Some(task) = view.state.task(&self.task) else {
            return Err(AskError::NotYet { task: self.task.clone() });
        };
        // Relatives are not in the view of one task.
        let thread = asked.view(Scope::Thread(&task.thread))?;
        let row = query::task_row(reader, &thread.state, task)?;
        let history = query::history_of_task(reader, &self.task, view.position)?;
        Ok(ShowBody::new(&view, &thread.state, row, &history))
    }
}

impl WhyQuestion {
    /// The links of the chain.
    ///
    /// # Errors
    /// As [`query::why`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<LinkItem>, AskError> {
        let items = LinkItem::of_chain(&query::why(asked.reader, &self.task, asked.position)?);
        let view = asked.view(Scope::Task(&self.task))?;
        Ok(Listed { at: At::from(&view), items })
    }
}

impl EventQuestion {
    /// The event.
    ///
    /// # Errors
    /// As [`Reader::entry`](taskledger::ledger::Reader::entry).
    pub fn answer(self, asked: &Asked<'_>) -> Result<EventLine, AskError> {
        Ok(EventLine::from(&asked.reader.entry(self.seq)?))
    }
}
