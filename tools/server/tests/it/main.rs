//! The server as its clients meet it: real connections, and little else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod contract;
mod fairness;
mod held;
mod hostile;
mod log;
mod manager;
mod metrics;
mod nodes;
mod openapi;
mod replication;
mod resumed;
mod silent;
mod spool;
mod support;
mod tls;
mod writes;
