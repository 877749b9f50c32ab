//! A new ledger, and who may read it.

use taskledger::{Options, store::DiskOptions};

/// The options of a new ledger.
pub fn readable(group_read: bool) -> Options {
    Options::default().store(DiskOptions::default().group_read(group_read))
}
