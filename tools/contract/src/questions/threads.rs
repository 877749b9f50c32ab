//! Threads, and the tasks of one.

use super::{AskError, Asked, Listed, write_list};
use crate::{
    answers::{At, SpanItem, TaskItem, ThreadItem, notes_holding},
    render::Form,
};
use std::{collections::BTreeMap, io};
use taskledger::{
    ids::{TaskId, ThreadId},
    ledger::Reader,
    query::{self, Forest, Scope, Timeline, View},
    state::Task,
};

/// Asks for the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadsQuestion;

/// Asks for the tasks of a thread in the order of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeQuestion {
    /// The thread.
    pub thread: ThreadId,
    /// The deepest level that is told, from 0; `None` for all.
    pub depth: Option<usize>,
    /// True to leave the results out, which may be most of the answer.
    pub without_results: bool,
}

/// Asks when the tasks of a thread ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineQuestion {
    /// The thread.
    pub thread: ThreadId,
}

impl ThreadsQuestion {
    /// The threads.
    ///
    /// # Errors
    /// As [`query::as_of`].
    pub fn answer(self, asked: &Asked<'_>) -> Result<Listed<ThreadItem>, AskError> {
        let view = asked.view(Scope::All)?;
        let items = query::threads(&view.state).into_iter().map(ThreadItem::from).collect();
        Ok(Listed { at: At::from(&view), items })
    }
}

impl TreeQuestion {
    /// The tasks.
    ///
    /// # Errors
    /// As [`query::as_of`] and [`query::task_row`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<TaskItem>, AskError> {
        let view = asked.view(Scope::Thread(&self.thread))?;
        self.told(asked.reader, &view, &query::tree(&view.state, &self.thread))
    }

    /// The tasks of a tree that grew from a view of the thread.
    ///
    /// # Errors
    /// As [`query::task_row`].
    fn told(
        &self,
        reader: &Reader,
        view: &View,
        forest: &Forest,
    ) -> Result<Listed<TaskItem>, AskError> {
        let items = self.items(reader, view, forest, || |_: usize| Ok(()));
        Ok(Listed { at: At::from(view), items: items.collect::<Result<_, AskError>>()? })
    }

    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let view = asked.view(Scope::Thread(&self.thread))?;
        let forest = query::tree(&view.state, &self.thread);
        let items = self.items(asked.reader, &view, &forest, || asked.held());
        write_list(&At::from(&view), items, form, out)
    }

    /// The tasks one by one; each reads its long texts when it is asked for. `held` counts what one
    /// holds.
    fn items<'a, H: FnMut(usize) -> Result<(), AskError>>(
        &self,
        reader: &'a Reader,
        view: &'a View,
        forest: &'a Forest,
        held: impl Fn() -> H + 'a,
    ) -> impl Iterator<Item = Result<TaskItem, AskError>> {
        let (depth, without_results) = (self.depth.unwrap_or(usize::MAX), self.without_results);
        forest.nodes.iter().filter(move |node| node.depth <= depth).map(move |node| {
            let mut bare = None;
            if without_results && node.task.result.is_some() {
                bare.insert(Task::clone(&node.task)).result = None;
            }
            let row = query::task_row(reader, &view.state, bare.as_ref().unwrap_or(&node.task))?;
            let notes = notes_holding(reader, &node.task, view.position, held())?;
            Ok(TaskItem::from(row).noted(notes))
        })
    }
}

impl TimelineQuestion {
    /// The times as the library has them, the tree, and the view that both come from.
    ///
    /// # Errors
    /// As [`query::as_of`].
    fn spans(&self, asked: &Asked<'_>) -> Result<(View, Forest, Timeline), AskError> {
        let view = asked.view(Scope::Thread(&self.thread))?;
        let forest = query::tree(&view.state, &self.thread);
        // A task that runs at the head runs on; of a recording, nothing is known past its last
        // event.
        let until = view.state.thread(&self.thread).map_or(view.time, |thread| thread.last);
        let timeline = query::timeline(&view.state, &self.thread, until);
        Ok((view, forest, timeline))
    }

    /// The times.
    ///
    /// # Errors
    /// As [`query::as_of`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<SpanItem>, AskError> {
        let spans = self.spans(asked)?;
        let items = items(asked, &spans).collect::<Result<_, AskError>>()?;
        Ok(Listed { at: At::from(&spans.0), items })
    }

    pub(super) fn write(
        &self,
        asked: &Asked<'_>,
        form: Form,
        out: &mut impl io::Write,
    ) -> Result<(), AskError> {
        let spans = self.spans(asked)?;
        write_list(&At::from(&spans.0), items(asked, &spans), form, out)
    }
}

/// The times one by one; each reads its notes when it is asked for.
fn items<'a>(
    asked: &'a Asked<'_>,
    (view, forest, timeline): &'a (View, Forest, Timeline),
) -> impl Iterator<Item = Result<SpanItem, AskError>> {
    let depths = forest.nodes.iter().map(|node| (&node.task.id, node.depth));
    let depths: BTreeMap<&TaskId, usize> = depths.collect();
    timeline.spans.iter().map(move |span| {
        let depth = depths.get(&span.task.id).copied().unwrap_or(0);
        let notes = notes_holding(asked.reader, &span.task, view.position, asked.held())?;
        let until = view.state.thread(&span.task.thread).map_or(view.time, |thread| thread.last);
        Ok(SpanItem::new(span, until, depth, notes))
    })
}
