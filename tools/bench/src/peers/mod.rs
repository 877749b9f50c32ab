//! What people would use instead: embedded stores, one key an event, each as its own documentation
//! says that a commit is durable.

mod fjall;
mod redb;
mod sled;
mod sqlite;

use crate::append::{Entrant, Promise};

/// Those that can promise this.
pub(crate) fn entrants(promise: Promise) -> Vec<Entrant> {
    let mut entrants = vec![sqlite::entrant(promise), fjall::entrant(promise)];
    if promise == Promise::Durable {
        // Without a sync, redb and sled keep events in the process: its end would lose them.
        entrants.extend([redb::entrant(), sled::entrant()]);
    }
    entrants
}
