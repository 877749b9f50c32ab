//! Questions about the past: the state at a moment, the changes between two, the reasons for a
//! task.
//!
//! Every function here reads through [`Source`], which [`Reader`](crate::ledger::Reader)
//! implements. A task or a thread is folded from its own events alone, which are found through
//! their links from the newest back. So the cost of its past grows with its own events, not with
//! the log. No function here reads a clock, remembers anything between calls, or shows a redacted
//! text. All of them block on the disk: in async code, call them within
//! [`Reader::run`](crate::ledger::Reader::run).
//!
//! Start at [`Point`], the notation for a moment, and [`as_of`], the state at one. Questions about
//! a state that the caller has: [`tree`], [`diff`], [`timeline`], [`tasks`] and [`threads`].
//! Questions about events: [`history`], [`why`] and [`first`].

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
mod texts;
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
pub use rows::{Sort, SortKey, TaskFilter, TaskRow, matching, task_row, task_rows, tasks};
pub use source::{Now, Source};
pub use texts::{Texts, Told, text, texts};
pub use threads::{ThreadRow, thread_row, threads};
pub use timeline::{Span, Timeline, timeline};
pub use tree::{Forest, Node, tree, tree_across};
pub use why::{CancelRequest, Chain, ChainEnd, Link, why, why_holding};
