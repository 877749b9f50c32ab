//! Opening after a loss of power that has damaged the sealed store.
//!
//! Only flushes sync the sealed store. Bytes that it gets between two flushes may reach the disk in
//! any order: sled reuses a segment, and that segment says that the log was stable up to another
//! one that never got there. Opening would then wipe sled's log, so it is refused. But no ledger
//! should need an operator because its machine lost power. Archive and journal hold all of its
//! events, so it is made again from there, and the old one is kept in the quarantine.
//!
//! Knows no engine; the store says whether it got anything since it was synced.

use crate::{
    ledger::{Ledger, OpenError},
    store::Home,
};

/// The result of `attempt` for the ledger in `home`; if the sealed store had to be made again, that
/// of the second attempt.
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
        // There was another fault too. The first error names the first; a rebuild will name the
        // other.
        Err(second) => {
            tracing::warn!(ledger = ?home, error = %second, "it could not be made anew");
            Err(error)
        }
    }
}

/// Says whether loss of power can have caused `error`: it is about the sealed store, since all
/// other checks passed, and that store got events that it was never synced with.
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
        | OpenError::Diverged { .. }
        | OpenError::Option { .. }
        | OpenError::TakeOver { .. }
        | OpenError::Io(_) => return false,
    };
    // A log that ends before the sealed events has lost its own end, and the sealed store is the
    // witness of that.
    matches!(home.unsealed_since(), Ok(Some(sealed)) if found < sealed.max(1))
}
