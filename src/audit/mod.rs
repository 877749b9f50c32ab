//! Checks that trust no byte: they read a ledger again, file by file.
//!
//! The answer is a list of [`Finding`]s, each with the first event that is affected. Damage of any
//! kind is a finding, never a panic. Start reading at [`verify`].

mod absent;
mod content;
mod history;
mod live;
mod reading;
mod report;
mod rules;
mod sealed;
mod verify;

pub use live::verify_reader;
pub use report::{FINDINGS_MAX, Finding, FindingKind, Remedy, Report};
pub use verify::{VerifyOptions, verify, verify_in};
