//! Opening after loss of power, when the sealed store has not kept what it was given.
//!
//! The sealed store is synced by flushes, and by nothing else. What it is given in between may reach
//! the disk in any order: sled reuses a segment, and that segment says that the log was stable up to
//! one that never got there. Opening would then wipe sled's log, so it is refused, and no ledger
//! should need an operator because its machine lost power. All of it is in archive and journal, so
//! it is made anew from there, and the old one kept in the quarantine.
//!
//! Knows no engine; the store tells whether it was given anything since it was synced.

use crate::{
    ledger::{Ledger, OpenError},
    store::Home,
};

/// What `attempt` says of the ledger in `home`; the second time, if the sealed store had to be made
/// anew.
pub(crate) fn open<T>(
    home: &dyn Home,
    attempt: impl Fn() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let error = match attempt() {
        Err(error) if may_be_cut_short(home, &error) => error,
        answer => return answer,
    };
    tracing::warn!(ledger = ?home, %error, "sled was cut short: it is made anew from archive and journal");
    match Ledger::rebuild_in(home, &mut |_, _| {}) {
        Ok(_) => attempt(),
        // It was more than that. The first error says what is wrong; a rebuild will say the other.
        Err(second) => {
            tracing::warn!(ledger = ?home, error = %second, "it could not be made anew");
            Err(error)
        }
    }
}

/// Whether loss of power can have left what `error` is about: it is about the sealed store, since
/// everything else holds, and that was given events that it was never synced with.
fn may_be_cut_short(home: &dyn Home, error: &OpenError) -> bool {
    let found = match error {
        OpenError::LostTail { found, .. } => *found,
        OpenError::Damaged { .. } | OpenError::Tampered { .. } | OpenError::Engine { .. } => 0,
        OpenError::NotFound { .. }
        | OpenError::Exists { .. }
        | OpenError::InUse { .. }
        | OpenError::UnsafeDir { .. }
        | OpenError::UnsupportedFormat { .. }
        | OpenError::Unfinished { .. }
        | OpenError::Io(_) => return false,
    };
    // A log that ends behind what is sealed has lost its own end, and the sealed store is the
    // witness of it.
    matches!(home.unsealed_since(), Ok(Some(sealed)) if found < sealed.max(1))
}
