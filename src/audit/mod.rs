//! Checks that believe nothing: a ledger read again, from bytes.
//!
//! Answers with [`Finding`]s, each naming the first event that is affected; damage of any kind is a
//! finding, never a panic. Start reading at [`verify`].

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
pub use report::{FINDINGS_MAX, Finding, FindingKind, Report};
pub use verify::{VerifyOptions, verify, verify_in};
