//! Questions about one task or one event.

use super::{AskError, Asked, Listed, streamed::Streamed, write_list};
use crate::{
    answers::{At, Body as _, EventLine, LinkItem, ProcessItem, ShowBody, TaskItem, note},
    render::Form,
};
use serde::Serialize;
use std::io;
use taskledger::{
    event::Entry,
    ids::{Seq, TaskId},
    query::{self, Chain, History, Scope, TaskRow, View},
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
        let (view, thread, row) = self.found(asked)?;
        let history = query::history_of_task(asked.reader, &self.task, view.position)?;
        Ok(ShowBody::new(&view, &thread.state, row, &history))
    }

    /// The task in its own view, the view of its thread, since relatives are not in the view of one
    /// task, and the task as a row.
    fn found(&self, asked: &Asked<'_>) -> Result<(View, View, TaskRow), AskError> {
        let view = asked.view(Scope::Task(&self.task))?;
        let Some(task) = view.state.task(&self.task) else {
            return Err(AskError::NotYet { task: self.task.clone() });
        };
        let thread = asked.view(Scope::Thread(&task.thread))?;
        let row = query::task_row(asked.reader, &thread.state, task)?;
        Ok((view, thread, row))
    }

    /// Writes what [`answer`](Self::answer) gives. Reads the events twice, since the notes and the
    /// process, which they tell of, stand before them.
    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let (view, thread, row) = self.found(asked)?;
        let wanted = History::default().scope(Scope::Task(&self.task)).upto(view.position);
        let (mut hold, mut notes, mut begin) = (asked.held(), Vec::new(), Vec::new());
        query::history(asked.reader, &wanted, |entry: Entry| -> Result<(), AskError> {
            if let Some(note) = note(&entry) {
                hold(size_of::<String>() + note.len())?;
                notes.push(note);
            }
            if begin.len() < 2 {
                begin.push(entry);
            }
            Ok(())
        })?;
        let body = ShowBody::new(&view, &thread.state, row, &begin);
        drop((thread, begin));
        let ShowBody { at, task, ancestors, children, process, history: _ } = body;
        let events = Streamed::<EventLine, _>::new(|take| {
            query::history(asked.reader, &wanted, |entry: Entry| take(EventLine::from(&entry)))
        });
        let (schema, task, history) = (ShowBody::SCHEMA, task.noted(notes), &events);
        let shown = Shown { schema, at, task, ancestors, children, process, history };
        events.write(&shown, form, out)
    }
}

/// A [`ShowBody`] whose history is written as it is read. A test holds the two together.
#[derive(Serialize)]
struct Shown<'a, H> {
    schema: &'static str,
    at: At,
    task: TaskItem,
    ancestors: Vec<String>,
    children: Vec<String>,
    process: Option<ProcessItem>,
    history: &'a H,
}

impl WhyQuestion {
    /// The chain as the library has it.
    ///
    /// # Errors
    /// As [`query::why`].
    fn chain(&self, asked: &Asked<'_>) -> Result<Chain, AskError> {
        Ok(query::why(asked.reader, &self.task, asked.position)?)
    }

    /// The links of the chain.
    ///
    /// # Errors
    /// As [`query::why`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<LinkItem>, AskError> {
        let items = LinkItem::of_chain(&self.chain(asked)?).collect();
        Ok(Listed { at: self.at(asked)?, items })
    }

    fn at(&self, asked: &Asked<'_>) -> Result<At, AskError> {
        Ok(At::from(&asked.view(Scope::Task(&self.task))?))
    }

    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let chain = query::why_holding(asked.reader, &self.task, asked.position, asked.held())?;
        write_list(&self.at(asked)?, LinkItem::of_chain(&chain).map(Ok), form, out)
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
