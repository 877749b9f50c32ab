//! What people would use instead: one key an event, each as its own documentation says that a
//! commit is durable. Four in this process, two as servers where they are installed. Two of them also
//! do the job of the ledger, instead of being handed bytes.

mod fjall;
pub(crate) mod postgres;
mod redb;
mod redis;
mod replay;
mod server;
mod sled;
mod sqlite;

use crate::append::{Entrant, Promise};
use std::path::Path;

pub(crate) use replay::Sqlite;

/// Those that can promise this, and those that could and are not there. Servers keep their files
/// in `place`.
pub(crate) fn entrants(promise: Promise, place: &Path) -> (Vec<Entrant>, Vec<String>) {
    let (mut entrants, mut skipped) = (Vec::from(sqlite::entrants(promise)), Vec::new());
    entrants.push(fjall::entrant(promise));
    if promise == Promise::Durable {
        // Without a sync, redb and sled keep events in the process: its end would lose them.
        entrants.extend([redb::entrant(), sled::entrant()]);
        match redis::entrant(place) {
            Ok(entrant) => entrants.push(entrant),
            Err(why) => skipped.push(why),
        }
        match postgres::entrants(place) {
            Ok(both) => entrants.extend(both),
            Err(why) => skipped.push(why),
        }
    }
    (entrants, skipped)
}
