//! Distinguishes an unfinished creation, which may be cleared, from a ledger that has lost its
//! `NODE`, which may hold the only copy of its events.
//!
//! A name proves nothing: renaming or losing `NODE` must not lose the log with it. So the test is
//! whether anything here could have been acknowledged.

use super::{
    dir,
    head::{Slot, read_slots},
    scan::{Rest, Scan},
};
use crate::store::{Error, disk::files::journal::list_journals};
use std::path::Path;

/// The name of `NODE` until all other files are there. No other write uses this name.
pub(crate) const NODE: &str = "NODE.tmp";

/// The number of times that a creation writes `HEAD`.
const HEAD_WRITES: u64 = 2;

/// Says whether anything in `root` could have been acknowledged. Says yes in case of doubt.
///
/// # Errors
///
/// [`Error::Io`] if a file could not be read.
pub(crate) fn may_hold_events(root: &Path) -> Result<bool, Error> {
    for place in [dir::ARCHIVE, dir::SNAPSHOTS] {
        if !dir::entries(&root.join(place))?.is_empty() {
            return Ok(true);
        }
    }
    let journal = match list_journals(root)?.as_slice() {
        [] => false,
        [only] => true_if_unreadable(Scan::read(only).map(|scan| !is_new(&scan)))?,
        _ => true,
    };
    Ok(journal || true_if_unreadable(head_was_moved(root))?)
}

/// Says whether no group was ever appended to a journal. A torn group counts: it was being
/// appended.
fn is_new(scan: &Scan) -> bool {
    scan.groups.is_empty() && scan.rest == Rest::Zero
}

/// Says whether anything but a creation has written `HEAD`.
fn head_was_moved(root: &Path) -> Result<bool, Error> {
    let path = root.join("HEAD");
    if dir::read_small(&path)?.is_none() {
        return Ok(false);
    }
    let slots = read_slots(&dir::open_to_read(&path)?, &path)?;
    Ok(slots.iter().any(|slot| match slot {
        Slot::Valid(record) => record.written.size > 0 || record.generation > HEAD_WRITES,
        Slot::Blank | Slot::Bad => false,
    }))
}

/// Takes an unreadable file for one that a creation does not write: damaged, or of a later format.
fn true_if_unreadable(answer: Result<bool, Error>) -> Result<bool, Error> {
    match answer {
        Err(error @ Error::Io { .. }) => Err(error),
        answer => Ok(answer.unwrap_or(true)),
    }
}
