//! What people would use instead: one key an event, each as its own documentation says that a
//! commit is durable. Four in this process, two as servers where they are installed.

mod fjall;
mod postgres;
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
    let (mut entrants, mut skipped) =
        (vec![sqlite::entrant(promise), fjall::entrant(promise)], Vec::new());
    if promise == Promise::Durable {
        // Without a sync, redb and sled keep events in the process: its end would lose them.
        entrants.extend([redb::entrant(), sled::entrant()]);
        for entrant in [redis::entrant(place), postgres::entrant(place)] {
            match entrant {
                Ok(entrant) => entrants.push(entrant),
                Err(why) => skipped.push(why),
            }
        }
    }
    (entrants, skipped)
}
