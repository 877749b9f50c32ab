//! The format, held against golden frames, against its document, and against hostile bytes.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod batches;
mod document;
mod golden;
mod hostile;
mod parts;
mod peek;
