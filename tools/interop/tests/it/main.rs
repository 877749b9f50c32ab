//! Recordings against the facts that they must give, through the public API alone.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod again;
mod cases;
mod facts;
mod files;
mod fixtures;
mod native;
mod shared;
mod torn;
mod toy;
