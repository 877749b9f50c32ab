//! The files of a ledger, one module each: how it is laid out, read and written.
//!
//! Nothing here runs by itself. Start reading at [`sector`], which most files begin with.

pub(super) mod archive;
pub(super) mod dir;
pub(super) mod engines;
pub(super) mod head;
pub(super) mod journal;
pub(super) mod node;
pub(super) mod scan;
pub(super) mod sector;
pub(super) mod snapshots;
pub(super) mod unfinished;
