//! The server as its clients meet it: real connections, and little else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod contract;
mod hostile;
mod log;
mod metrics;
mod silent;
mod support;
mod tls;
mod writes;
