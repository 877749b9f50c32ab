//! The questions about a ledger, one type each, that every face puts in the same words.
//!
//! A question is asked of a [`Reader`] at a moment ([`Asked`]) and gives the types of
//! [`answers`](crate::answers). The command line shows these; a server sends what
//! [`Question::write`] writes, so the two cannot differ. A client reads it back by [`Ask`]. [`Question::parse`] reads a question from
//! the path and the parameters of a request, [`Question::target`] writes it as one.
//!
//! Everything here reads from disk, and blocks. Knows no terminal and no socket.

mod ask;
mod between;
mod error;
mod figures;
mod log;
mod one;
mod params;
mod past;
mod request;
mod streamed;
mod tasks;
mod threads;

#[cfg(test)]
mod tests;

pub use ask::{Ask, Withholds};
pub use between::{Between, time};
pub use error::AskError;
pub use figures::{CheckpointQuestion, GrowthQuestion, ProofQuestion, StatsQuestion};
pub use log::LogQuestion;
pub use one::{EventQuestion, ShowQuestion, WhyQuestion};
pub use past::{DiffQuestion, FirstQuestion};
pub use request::{Asking, RequestError};
pub use tasks::TasksQuestion;
pub use threads::{ThreadsQuestion, TimelineQuestion, TreeQuestion};

use crate::{
    answers::{At, Body, Row, Single},
    render::{self, Form},
};
use std::{io, path::Path};
use taskledger::{
    ids::Head,
    ledger::Reader,
    query::{self, Point, Position, Scope, View},
    time::Millis,
};

/// A ledger and the moment at which it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The ledger's past.
    pub reader: &'a Reader,
    /// Its directory, if it has one.
    pub directory: Option<&'a Path>,
    /// The moment that was named, if one was.
    pub at: Option<&'a Point>,
    /// The time from which "ago" counts back.
    pub now: Millis,
    /// The moment's place. It was resolved once, so that all parts of an answer are of one moment,
    /// also while others record.
    pub position: Position,
    /// The end of the log when it was resolved.
    pub head: Head,
    held_bytes_max: usize,
}

impl<'a> Asked<'a> {
    /// Asks about the moment `at`, or the head. Cheap, except for `rec:`; see [`Point::resolve`].
    ///
    /// # Errors
    /// [`AskError::Moment`] if the ledger has no such moment.
    pub fn new(
        reader: &'a Reader,
        directory: Option<&'a Path>,
        at: Option<&'a Point>,
        now: Millis,
    ) -> Result<Self, AskError> {
        let head = reader.head();
        let position = Position::Log(head.size);
        let held_bytes_max = usize::MAX;
        let mut asked = Self { reader, directory, at, now, position, head, held_bytes_max };
        if let Some(point) = at {
            asked.position = asked.resolve(point)?;
        }
        Ok(asked)
    }

    /// The same, for an answer that is written in memory of so many bytes. Texts that must be held before
    /// they are written end the answer beyond that: the notes on one task, the chain of
    /// [`WhyQuestion`]. All else is written as it is read by [`Question::write`].
    #[must_use]
    pub fn holding(self, held_bytes_max: usize) -> Self {
        Self { held_bytes_max, ..self }
    }

    /// Counts the bytes of one thing that is held.
    fn held(&self) -> impl FnMut(usize) -> Result<(), AskError> + use<> {
        let (mut held, bytes_max) = (0_usize, self.held_bytes_max);
        move |bytes| {
            held = held.saturating_add(bytes);
            (held <= bytes_max).then_some(()).ok_or(AskError::TooLarge { bytes_max })
        }
    }

    /// The place of another moment.
    ///
    /// # Errors
    /// [`AskError::Moment`] if the ledger has no such moment.
    pub fn resolve(&self, point: &Point) -> Result<Position, AskError> {
        if *point == Point::Head {
            return Ok(Position::Log(self.head.size));
        }
        let moment = |error| AskError::Moment { point: point.clone(), source: Box::new(error) };
        point.resolve(self.reader, self.now).map_err(moment)
    }

    /// The state of `scope` at the moment.
    ///
    /// # Errors
    /// As [`query::as_of`].
    pub fn view(&self, scope: Scope<'_>) -> Result<View, AskError> {
        Ok(query::as_of(self.reader, scope, self.position)?)
    }
}

/// A list, and the moment that it shows.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The moment.
    pub at: At,
    /// The items, in the order of the answer.
    pub items: Vec<T>,
}

/// A question of any kind. One for each command that reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The threads.
    Threads(ThreadsQuestion),
    /// Tasks that match.
    Tasks(TasksQuestion),
    /// The tree of a thread.
    Tree(TreeQuestion),
    /// The times of a thread's tasks.
    Timeline(TimelineQuestion),
    /// One task and its history.
    Show(ShowQuestion),
    /// The chain that led to a task.
    Why(WhyQuestion),
    /// The changes between two moments.
    Diff(DiffQuestion),
    /// The first event after which a condition held.
    First(FirstQuestion),
    /// One event.
    Event(EventQuestion),
    /// Events that match.
    Log(LogQuestion),
    /// Figures.
    Stats(StatsQuestion),
    /// Size and root.
    Checkpoint(CheckpointQuestion),
    /// The proof that an event is in the log.
    Proof(ProofQuestion),
    /// The proof that the log only grew.
    Growth(GrowthQuestion),
}

impl Question {
    /// Writes the answer to `out`, as it is read: a list item by item, so that no more than one is held.
    ///
    /// # Errors
    /// [`AskError`] if there is no answer; part of one may be written by then.
    pub fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        match self {
            Self::Threads(question) => {
                let Listed { at, items } = question.answer(asked)?;
                write_list(&at, items.into_iter().map(Ok), form, out)
            }
            Self::Tasks(question) => question.write(asked, form, out),
            Self::Tree(question) => question.write(asked, form, out),
            Self::Timeline(question) => question.write(asked, form, out),
            Self::Why(question) => question.write(asked, form, out),
            Self::Log(question) => question.write(asked, form, out),
            Self::Show(question) => question.write(asked, form, out),
            Self::Diff(question) => question.write(asked, form, out),
            Self::First(question) => write_single(question.answer(asked)?, form, out),
            Self::Event(question) => {
                Ok(render::write_document(form, &question.answer(asked)?, out)?)
            }
            Self::Stats(question) => write_single(question.answer(asked)?, form, out),
            Self::Checkpoint(question) => write_single(question.answer(asked)?, form, out),
            Self::Proof(question) => write_single(question.answer(asked)?, form, out),
            Self::Growth(question) => write_single(question.answer(asked)?, form, out),
        }
    }

    /// True if the answer needs the map of all tasks, which takes memory and time.
    #[must_use]
    pub fn needs_whole_map(&self) -> bool {
        match self {
            Self::Threads(_) | Self::Stats(_) => true,
            Self::Tasks(question) => question.thread.is_none(),
            Self::Tree(_)
            | Self::Timeline(_)
            | Self::Show(_)
            | Self::Why(_)
            | Self::Diff(_)
            | Self::First(_)
            | Self::Event(_)
            | Self::Log(_)
            | Self::Checkpoint(_)
            | Self::Proof(_)
            | Self::Growth(_) => false,
        }
    }

    /// True if the answer at the moment `at` follows from the events alone: with the same head, it
    /// is the same bytes. Others depend on the clock, or on the files.
    #[must_use]
    pub fn follows_from_events(&self, at: Option<&Point>) -> bool {
        let timeless = |point: Option<&Point>| !matches!(point, Some(Point::Ago(_)));
        let own = match self {
            Self::Tasks(question) => question.is_timeless(at),
            Self::Diff(question) => timeless(Some(&question.from)) && timeless(Some(&question.to)),
            Self::Log(question) => {
                timeless(question.since.as_ref()) && timeless(question.until.as_ref())
            }
            Self::Stats(_) => false,
            Self::Threads(_)
            | Self::Tree(_)
            | Self::Timeline(_)
            | Self::Show(_)
            | Self::Why(_)
            | Self::First(_)
            | Self::Event(_)
            | Self::Checkpoint(_)
            | Self::Proof(_)
            | Self::Growth(_) => true,
        };
        own && timeless(at)
    }
}

fn write_single<T: Body>(body: T, form: Form, out: &mut impl io::Write) -> Result<(), AskError> {
    Ok(render::write_document(form, &Single::new(body), out)?)
}

/// Writes a list, each item as it comes.
fn write_list<T: Row>(
    at: &At,
    items: impl IntoIterator<Item = Result<T, AskError>>,
    form: Form,
    out: &mut impl io::Write,
) -> Result<(), AskError> {
    out.write_all(render::list_begin::<T>(form, at)?.as_bytes())?;
    let mut first = true;
    for item in items {
        render::write_item(form, &item?, std::mem::take(&mut first), out)?;
    }
    Ok(out.write_all(render::list_end(form).as_bytes())?)
}
