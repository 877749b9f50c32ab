//! The real ledger and the real manager under a scheduler that tries interleavings.
//!
//! Each model is a few tasks that race, and what must hold however they do. A task that waits for
//! a signal which never comes is a deadlock, which the scheduler reports together with a schedule
//! that repeats it (`shuttle::replay`). `TASKLEDGER_MODEL_ROUNDS` says how many interleavings
//! each model is tried in; what takes part in a choice is listed in `src/sync.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "tests"
)]

mod bindings;
mod cancels;
mod ends;
mod names;
mod shows;
mod support;
mod turns;
