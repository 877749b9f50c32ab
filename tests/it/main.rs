//! The public API of taskledger, as its users meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

mod another_store;
mod append;
mod audit;
mod batches;
mod concurrency;
mod copies;
mod disk;
mod follow;
mod forged;
mod forger;
mod ingest;
mod invariants;
mod looking;
mod manager;
mod power;
mod reads;
mod redaction;
mod rejoin;
mod roles;
mod scopes;
mod sizes;
mod spool;
mod stored;
mod support;
mod take_over;
mod turns;
