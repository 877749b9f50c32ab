//! Several nodes of one ledger in one thread, with a network, disks, clocks and operators that a seed
//! decides.
//!
//! The nodes are the library's: its ledgers over faulty disks, and its state machines of a standby and of a
//! promotion. Only what `tools/server` does between them is played here: who is asked, what is answered,
//! when a question is late. After every step the checks of `docs/testing.md` are held. Start reading at
//! [`world::World::step`].

pub mod checks;
pub mod mutants;
pub mod net;
mod node;
mod operator;
mod promotion;
pub mod random;
mod rejoin;
mod run;
pub mod schedule;
mod source;
mod standby;
pub mod world;

pub use run::{Failure, Outcome, run, run_steps, shortest};
