//! The program as a shell sees it: arguments in, standard output, standard error and exit code out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod answers;
mod beside;
mod between;
mod cancel;
mod certs;
mod contract;
mod copies;
mod demo;
mod divergent;
mod drill;
mod erased;
mod errors;
mod examples;
mod forged;
#[path = "../../../../tests/it/forger.rs"]
mod forger;
mod full;
mod hostile;
mod imports;
mod interrupts;
mod logs;
mod operated;
mod options;
mod pipes;
mod proofs;
mod queue;
mod record;
mod recordings;
mod repairs;
mod run;
mod run_signals;
mod served;
mod serving;
mod support;
mod through;
mod through_tls;
mod watching;
