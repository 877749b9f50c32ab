//! Rules of names and texts: their contents and their lengths.

use super::super::{LedgerState, Rejection, number::number_of};
use crate::{
    event::{DESCRIPTION_BYTES_MAX, PART_BYTES_MAX, PartKind},
    ids::{IdError, ThreadId, check_id},
};
use std::sync::Arc;

/// Names that no Managed task can have, since they stand for other tasks.
pub const RESERVED_NAMES: [&str; 4] = ["parent", "self", "all", "broadcast"];

pub(super) fn check_name(name: Option<&Arc<str>>) -> Result<(), Rejection> {
    name.map_or(Ok(()), |name| check_id(name)).map_err(|source| Rejection::InvalidName { source })
}

/// The rules by which a name finds one running task of a thread.
pub(super) fn check_managed_name(
    state: &LedgerState,
    thread: &ThreadId,
    name: Option<&Arc<str>>,
) -> Result<(), Rejection> {
    let Some(name) = name else { return Ok(()) };
    if RESERVED_NAMES.contains(&&**name) {
        return Err(Rejection::ReservedName { name: Arc::clone(name) });
    }
    if number_of(name).is_some() {
        return Err(Rejection::NameLooksLikeId { name: Arc::clone(name) });
    }
    if let Some(holder) = state.running_named(thread, name) {
        return Err(Rejection::NameTaken { name: Arc::clone(name), task: holder.id.clone() });
    }
    Ok(())
}

/// Checks a short text that a caller wrote: as an identifier, but it may be empty.
pub(super) fn check_label(what: &'static str, text: &str) -> Result<(), Rejection> {
    match check_id(text) {
        Ok(()) | Err(IdError::Empty) => Ok(()),
        Err(source) => Err(Rejection::InvalidLabel { what, source }),
    }
}

pub(super) fn check_text(kind: PartKind, text: &str) -> Result<(), Rejection> {
    let max = match kind {
        PartKind::Description => DESCRIPTION_BYTES_MAX,
        PartKind::Error | PartKind::Result | PartKind::Content | PartKind::Reason => PART_BYTES_MAX,
    };
    if text.len() > max {
        return Err(Rejection::TooLarge { what: kind.as_str(), len: text.len(), max });
    }
    Ok(())
}
