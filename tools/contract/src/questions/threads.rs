//! Threads, and the tasks of one.

use super::{AskError, Asked, Listed};
use crate::answers::{At, SpanItem, TaskItem, ThreadItem, notes};
use std::collections::BTreeMap;
use taskledger::{
    ids::{TaskId, ThreadId},
    query::{self, Scope},
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
        let (view, reader) = (asked.view(Scope::Thread(&self.thread))?, asked.reader);
        let forest = query::tree(&view.state, &self.thread);
        let depth = self.depth.unwrap_or(usize::MAX);
        let nodes = forest.nodes.iter().filter(|node| node.depth <= depth);
        let items = nodes.map(|node| {
            let mut bare = None;
            if self.without_results && node.task.result.is_some() {
                bare.insert(Task::clone(&node.task)).result = None;
            }
            let row = query::task_row(reader, &view.state, bare.as_ref().unwrap_or(&node.task))?;
            Ok(TaskItem::from(row).noted(notes(reader, &node.task, view.position)?))
        });
        let items = items.collect::<Result<_, AskError>>()?;
        Ok(Listed { at: At::from(&view), items })
    }
}

impl TimelineQuestion {
    /// The times.
    ///
    /// # Errors
    /// As [`query::as_of`].
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Listed<SpanItem>, AskError> {
        let view = asked.view(Scope::Thread(&self.thread))?;
        let forest = query::tree(&view.state, &self.thread);
        // A task that runs at the head runs on; of a recording, nothing is known past its last
        // event.
        let until = view.state.thread(&self.thread).map_or(view.time, |thread| thread.last);
        let timeline = query::timeline(&view.state, &self.thread, until);
        let depths: BTreeMap<&TaskId, usize> =
            forest.nodes.iter().map(|node| (&node.task.id, node.depth)).collect();
        let items = timeline.spans.iter().map(|span| {
            let depth = depths.get(&span.task.id).copied().unwrap_or(0);
            let notes = notes(asked.reader, &span.task, view.position)?;
            Ok(SpanItem::new(span, until, depth, notes))
        });
        let items = items.collect::<Result<_, AskError>>()?;
        Ok(Listed { at: At::from(&view), items })
    }
}
