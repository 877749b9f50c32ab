//! Reads: of the head, of the past, and of new events.
//!
//! Nothing here writes. Start reading at [`reader`].

pub(super) mod cursor;
pub(super) mod follow;
pub(super) mod hashes;
pub(crate) mod links;
pub(crate) mod look;
pub(super) mod pool;
pub(super) mod reader;
pub(super) mod replay;
pub(super) mod saved;
pub(super) mod scoped;
pub(super) mod since;
pub(crate) mod texts;
pub(super) mod visited;
