//! The flight recorder of agent runtimes: an event-sourced ledger of tasks.
//!
//! Every state action of a task (spawn, update, end, cancel request, message, restore) is an
//! immutable event in a log that is durable before it is acknowledged. The state is the fold of that
//! log, so restore, audit and time travel are one operation: replay.
//!
//! ```
//! use taskledger::{Ledger, Options, audit::verify_reader, command::{Finish, Spawn}};
//! use taskledger::{event::TaskStatus, ids::ThreadId, query::{Position, Scope, as_of}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("ledger");
//! let ledger = Ledger::open_or_create(&path, Options::default())?;
//! let thread = ThreadId::new("session-1")?;
//! // When an append returns, its events survive loss of power. In async code: `append(..).await`.
//! let spawned = ledger.append_blocking(Spawn::new(&thread, "agent"))?.remove(0);
//! let task = spawned.task.ok_or("a spawn has a task")?;
//! ledger.append_blocking(Finish::failed(&task, "out of tokens"))?;
//!
//! let reader = ledger.reader(); // before the end was recorded, the task was running
//! let then = as_of(&reader, Scope::Thread(&thread), Position::after(spawned.seq))?;
//! assert_eq!(then.state.task(&task).map(|task| task.status), Some(TaskStatus::Running));
//!
//! assert!(verify_reader(&reader).is_ok()); // and nobody has changed what was recorded
//! # ledger.close_blocking()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! - [`Ledger`] appends, [`Reader`](ledger::Reader) reads, [`Follow`](ledger::Follow) follows.
//! - [`state`] holds the state after some events, and every rule.
//! - [`manager`] runs tasks and sub-agents on tokio, and records every state action.
//! - [`query`] answers questions about the past; [`audit`] checks all of it, from bytes.
//! - Every error has a [`Code`], which a program maps to an exit code or an HTTP status.
//! - [`event`] and [`command`] are the types of recorded facts and of requests.
//! - [`wire`] writes commands as JSON, for a server and for the spool beside a ledger in use.
//! - [`replication`] is the protocol between a primary and its standbys, without a network.
//! - [`proof`] makes and checks proofs; [`store`] is for a store of one's own.
//! - [`codec`] makes frames of events: an inclusion proof is about the leaf of a frame.
//! - [`snapshot`] is public for tools and tests, and is not part of the API.
//!
//! Programs that embed it are in `docs/examples`, one for each use by a host. `docs/architecture.md`
//! has layers, entry points and invariants, `docs/format.md` the bytes.

#[macro_use]
mod setters;

mod ahead;
pub mod audit;
pub mod code;
pub mod codec;
pub mod command;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod manager;
mod metrics;
pub mod proof;
pub mod query;
pub mod replication;
pub mod snapshot;
pub mod state;
pub mod store;
mod sync;
pub mod time;
pub mod wire;

pub use code::Code;
pub use ledger::{Durability, Ledger, Options};
pub use manager::BackgroundTaskManager;
#[cfg(all(feature = "test-util", not(shuttle)))]
pub use sync::locks_held;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
