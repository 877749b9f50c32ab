//! Copies of a history: forks, backup files, and the ledgers restored from them.
//!
//! Start reading at [`fork`]; [`origin`] is the memory of a copy.

pub(super) mod backup;
pub(super) mod fork;
pub(crate) mod origin;
