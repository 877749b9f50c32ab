//! Copies of a history: forks, backup files, the ledgers restored from them, and the copy with which an
//! old primary joins a new one.
//!
//! Start reading at [`fork`], then [`rejoin`]; [`origin`] is the memory of a copy.

pub(super) mod backup;
pub(super) mod fork;
pub(crate) mod origin;
pub(super) mod rejoin;
pub(super) mod tail;
