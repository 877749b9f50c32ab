//! Events that match.

use super::{AskError, Asked, Between, Listed};
use crate::{
    answers::{At, EventLine},
    render::{self, Form},
};
use std::io;
use taskledger::{
    event::{ActionKind, Entry},
    ids::{Size, TaskId, ThreadId},
    query::{self, EventFilter, History, Order, Point, Position, Scope},
    time::Millis,
};

/// Asks for events: all, or those of a thread or task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuestion {
    /// Of this thread.
    pub thread: Option<ThreadId>,
    /// About this task.
    pub task: Option<TaskId>,
    /// With one of these actions; empty for any.
    pub actions: Vec<ActionKind>,
    /// Occurred then or later; for a place in the log, that event or later ones.
    pub since: Option<Point>,
    /// Occurred then or earlier; for a place in the log, that event or earlier ones.
    pub until: Option<Point>,
    /// The last so many; `None` for all.
    pub count: Option<usize>,
    /// Newest first.
    pub reverse: bool,
}

impl LogQuestion {
    /// The events that are wanted, and the number before which none is.
    ///
    /// # Errors
    /// [`AskError::Moment`] if the ledger has no such moment.
    pub fn wanted(&self, asked: &Asked<'_>) -> Result<(History<'_>, u64), AskError> {
        let between = Between::of(asked, self.since.as_ref(), self.until.as_ref())?;
        let (first, last) = between.seqs.unwrap_or((0, u64::MAX));
        let (upto, until) = ends(asked.position, last, between.until);
        let filter = EventFilter::default().task(self.task.clone()).actions(self.actions.clone());
        let wanted = History::default()
            .scope(self.thread.as_ref().map_or(Scope::All, Scope::Thread))
            .upto(upto)
            .filter(filter.since(between.since).until(until))
            .limit(self.count)
            .order(if self.reverse { Order::NewestFirst } else { Order::OldestFirst });
        Ok((wanted, first))
    }

    /// The events, all in memory: [`write`](Self::write) needs none.
    ///
    /// # Errors
    /// As [`query::history`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<EventLine>, AskError> {
        let (wanted, from) = self.wanted(asked)?;
        let at = At::position(wanted.upto.unwrap_or(asked.position), asked.reader)?;
        let mut items = Vec::new();
        query::history(asked.reader, &wanted, |entry: Entry| -> Result<(), AskError> {
            items.extend((entry.event.seq.get() >= from).then(|| EventLine::from(&entry)));
            Ok(())
        })?;
        Ok(Listed { at, items })
    }

    /// Writes the events one by one, so that a long log takes no memory.
    ///
    /// # Errors
    /// As [`query::history`], and [`AskError::Write`].
    pub fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let (wanted, from) = self.wanted(asked)?;
        let at = At::position(wanted.upto.unwrap_or(asked.position), asked.reader)?;
        out.write_all(render::list_begin::<EventLine>(form, &at)?.as_bytes())?;
        let mut first = true;
        query::history(asked.reader, &wanted, |entry: Entry| -> Result<(), AskError> {
            // The events before it are the oldest, so a limit counts none of them that it should
            // not.
            if entry.event.seq.get() >= from {
                let item = EventLine::from(&entry);
                render::write_item(form, &item, std::mem::take(&mut first), out)?;
            }
            Ok(())
        })?;
        Ok(out.write_all(render::list_end(form).as_bytes())?)
    }
}

/// The end, if a last event was named besides the moment that is shown.
fn ends(at: Position, last: u64, until: Option<Millis>) -> (Position, Option<Millis>) {
    match at {
        _ if last == u64::MAX => (at, until),
        Position::Log(size) => (Position::Log(size.min(Size::new(last))), until),
        Position::Occurred(time) => {
            (Position::Log(Size::new(last)), Some(until.map_or(time, |until| until.min(time))))
        }
    }
}
