//! Questions about the past: what was true when, what changed, who started what and why.
//!
//! Everything here reads, through [`Source`], which a [`Reader`](crate::ledger::Reader) is. A task
//! or a thread is folded from its own events alone, found through their links from the newest
//! back, so its past costs what it is long, not what the log is long. No function here reads a
//! clock or remembers anything between calls, and none shows a text that was redacted. All of
//! them block on the disk: call them from `spawn_blocking` in async code.
//!
//! Start at [`Point`] (how a moment is written) and [`as_of`] (what was true then). The questions
//! about a state that is at hand are [`tree`], [`diff`], [`timeline`], [`tasks`] and [`threads`];
//! those about events are [`history`], [`why`] and [`first`].

mod as_of;
mod depth;
mod diff;
mod error;
mod first;
mod history;
mod marks;
mod moment;
mod point;
mod predicate;
mod rows;
mod source;
mod threads;
mod timeline;
mod tree;
mod walk;
mod why;

#[cfg(test)]
mod testing;

pub use as_of::{Scope, View, as_of};
pub use diff::{Change, Diff, DiffStat, Field, Value, diff};
pub use error::QueryError;
pub use first::first;
pub use history::{EventFilter, History, Order, history, history_of_task, history_of_thread};
pub use point::{
    Point, PointError, Position, format_duration, format_time, parse_duration, parse_time,
};
pub use predicate::{Atom, Comparison, Counted, PREDICATE_BYTES_MAX, Predicate, PredicateError};
pub use rows::{Sort, SortKey, TaskFilter, TaskRow, matching, task_row, tasks, text};
pub use source::Source;
pub use threads::{ThreadRow, thread_row, threads};
pub use timeline::{Span, Timeline, timeline};
pub use tree::{Forest, Node, tree, tree_across};
pub use why::{CancelRequest, Chain, ChainEnd, Link, why};
