//! taskledger: the flight recorder of agent tasks.

pub mod audit;
pub mod codec;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod proof;
pub mod query;
pub mod snapshot;
pub mod state;
pub mod store;
pub mod time;

pub use ledger::{Ledger, Options};
