//! The saved state to begin with: the newest one that is of this history.
//!
//! A snapshot that cannot be read or that is of another history costs time and nothing else, so it
//! is skipped. Start reading at [`newest`].

use crate::{
    code::Code,
    ids::{Root, Seq},
    snapshot,
    state::LedgerState,
    store::SnapshotStore,
};

/// The state to begin with, and what was found on the way to it.
pub(crate) struct Newest {
    /// The state; empty if no snapshot can be used.
    pub(crate) state: LedgerState,
    /// Snapshots that can never be used: damaged, or of another history.
    pub(crate) useless: Vec<Seq>,
}

/// The newest of the snapshots `saved` (oldest first) that ends at or before event `last` and
/// belongs to the history that `root_at` tells the root of. Where that is not known it is skipped.
///
/// # Errors
/// Those of `root_at`.
pub(crate) fn newest<E>(
    snapshots: &dyn SnapshotStore,
    saved: &[Seq],
    last: Option<Seq>,
    mut root_at: impl FnMut(u64) -> Result<Option<Root>, E>,
) -> Result<Newest, E> {
    let mut useless = Vec::new();
    for at in saved.iter().rev().copied().filter(|at| Some(*at) <= last) {
        let bytes = match snapshots.load(at) {
            Ok(bytes) => bytes,
            // Another thread has removed it since they were listed.
            Err(error) if error.code() == Code::NotFound => continue,
            Err(error) => {
                tracing::warn!(%at, %error, "snapshot cannot be read: skipped");
                continue;
            }
        };
        match snapshot::decode(&bytes) {
            Ok((state, head)) => {
                let found = if head.seq() == Some(at) {
                    root_at(head.size.get())?.map(|root| root == head.root)
                } else {
                    Some(false)
                };
                match found {
                    Some(true) => return Ok(Newest { state, useless }),
                    Some(false) => {}
                    None => continue,
                }
                tracing::warn!(%at, "snapshot is of another history: skipped");
                useless.push(at);
            }
            Err(error) => {
                tracing::warn!(%at, %error, "snapshot is unusable: skipped");
                // Another version may use what this one cannot.
                useless.extend((error.code() != Code::UnsupportedFormat).then_some(at));
            }
        }
    }
    Ok(Newest { state: LedgerState::default(), useless })
}
