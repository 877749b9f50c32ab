//! Opening after loss of power, when sled has not kept what it was given.
//!
//! sled is synced by flushes, and by nothing else. What it is given in between may reach
//! the disk in any order: a segment that is used again says that the log was stable up to one that
//! never got there. Opening would then wipe sled's log, so it is refused, and no ledger should need
//! an operator because its machine lost power. All of it is in archive and journal, so sled is made
//! anew from there, and the old one kept in the quarantine.
//!
//! Knows nothing of sled; whether it was given anything since it was synced is told by the store.

use crate::{
    ledger::{Ledger, OpenError, Options},
    store::disk,
};
use std::path::Path;

/// What opening says of the ledger in `path`; the second time, if sled had to be made anew.
pub(crate) fn open<T>(
    path: &Path,
    options: Options,
    attempt: impl Fn(Options) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let error = match attempt(options.clone()) {
        Err(error) if may_be_cut_short(path, &error) => error,
        answer => return answer,
    };
    let ledger = path.display();
    tracing::warn!(%ledger, %error, "sled was cut short: it is made anew from archive and journal");
    match Ledger::rebuild(path, &options, &mut |_, _| {}) {
        Ok(_) => attempt(options),
        // It was more than that. The first error says what is wrong; a rebuild will say the other.
        Err(second) => {
            tracing::warn!(%ledger, error = %second, "it could not be made anew");
            Err(error)
        }
    }
}

/// Whether loss of power can have left what `error` is about: it is about sled, since everything
/// else holds, and sled was given events that it was never synced with.
fn may_be_cut_short(path: &Path, error: &OpenError) -> bool {
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
    // A log that ends behind what is sealed has lost its own end, and sled is the witness of it.
    matches!(disk::unsealed_since(path), Ok(Some(sealed)) if found < sealed.max(1))
}
