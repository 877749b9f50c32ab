//! Telling a ledger whose creation was cut short, which may be cleared, from one that has lost its
//! `NODE`, which may hold events that nobody has elsewhere.
//!
//! A name proves nothing: whoever renames or loses `NODE` must not lose the log with it. So what
//! counts is whether anything here could ever have been acknowledged.

use super::{
    dir,
    head::{Slot, read_slots},
    scan::{Rest, Scan},
};
use crate::store::{Error, disk::files::journal::list_journals};
use std::path::Path;

/// What `NODE` is called until everything else is there. No other write uses this name.
pub(crate) const NODE: &str = "NODE.tmp";

/// How often a creation writes `HEAD`.
const HEAD_WRITES: u64 = 2;

/// Whether anything in `root` could have been acknowledged. What cannot be told is taken for it.
///
/// # Errors
///
/// [`Error::Io`] if something could not be read.
pub(crate) fn may_hold_events(root: &Path) -> Result<bool, Error> {
    for place in [dir::ARCHIVE, dir::SNAPSHOTS] {
        if !dir::entries(&root.join(place))?.is_empty() {
            return Ok(true);
        }
    }
    let journal = match list_journals(root)?.as_slice() {
        [] => false,
        [only] => unless_unreadable(Scan::read(only).map(|scan| !is_new(&scan)))?,
        _ => true,
    };
    Ok(journal || unless_unreadable(head_was_moved(root))?)
}

/// Whether nothing was ever appended to a journal. A torn group counts: it was on its way.
fn is_new(scan: &Scan) -> bool {
    scan.groups.is_empty() && scan.rest == Rest::Zero
}

/// Whether `HEAD` was written by anything but a creation.
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

/// A file that is damaged, or of a later format, is not what a creation writes.
fn unless_unreadable(answer: Result<bool, Error>) -> Result<bool, Error> {
    match answer {
        Err(error @ Error::Io { .. }) => Err(error),
        answer => Ok(answer.unwrap_or(true)),
    }
}
