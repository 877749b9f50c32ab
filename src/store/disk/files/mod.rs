//! The files of a ledger, one module each: layout, reading and writing.
//!
//! Nothing here runs by itself. Start reading at [`sector`], the beginning of most files.

pub(super) mod archive;
pub(super) mod dir;
pub(super) mod engines;
pub(super) mod hashes;
pub(super) mod head;
pub(super) mod journal;
pub(super) mod lock;
pub(super) mod node;
pub(super) mod read_at;
pub(super) mod scan;
pub(super) mod sector;
pub(super) mod snapshots;
pub(super) mod unfinished;
pub(super) mod upto;
