//! The tree, held against RFC 6962's known roots and against `tlog_tiles` at every size.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
