//! The files of tree hashes beside archives, opened when the first hash of one is asked for.
//!
//! They are given by their word. The root that judges them is that of the archive, not their own.

use super::{place::Files, seen::Archived};
use crate::{
    ids::{Head, LedgerId, TreeHash},
    store::{
        Error,
        disk::files::{archive, hashes::Hashes},
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The number of files that are kept open.
const OPEN: usize = 128;

/// The files that are open, newest first; `None` for one that is missing or of no use.
#[derive(Debug, Default)]
pub(super) struct HashFiles(Mutex<VecDeque<Found>>);

type Found = (String, Option<Arc<(Hashes, Head)>>);

impl HashFiles {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens files again when they are asked for.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// See [`FrameRead::tree_hash`](crate::store::FrameRead::tree_hash).
    pub(super) fn tree_hash(
        &self,
        index: u64,
        files: &dyn Files,
        ledger: Option<LedgerId>,
        archives: &[Archived],
    ) -> Result<Option<([u8; 32], Head)>, Error> {
        let Some((completed, _)) = TreeHash::place_of(index) else { return Ok(None) };
        let at = archives.partition_point(|archive| archive.last < completed);
        let holding = archives.get(at).filter(|archive| archive.first <= completed);
        let Some(holding) = holding else { return Ok(None) };
        let Some(found) = self.beside(holding, files, ledger)? else { return Ok(None) };
        let (hashes, end) = &*found;
        Ok(unless_damaged(hashes.get(index))?.flatten().map(|hash| (hash, *end)))
    }

    fn beside(
        &self,
        archived: &Archived,
        files: &dyn Files,
        ledger: Option<LedgerId>,
    ) -> Result<Option<Arc<(Hashes, Head)>>, Error> {
        let known = self.lock().iter().find(|(name, _)| *name == archived.name).cloned();
        if let Some((_, found)) = known {
            return Ok(found);
        }
        let found = unless_damaged(open(archived, files, ledger))?.flatten().map(Arc::new);
        let mut open = self.lock();
        open.truncate(OPEN - 1);
        open.push_front((archived.name.clone(), found.clone()));
        Ok(found)
    }
}

/// Opens the file beside an archive, and reads the end of the archive.
fn open(
    archived: &Archived,
    files: &dyn Files,
    ledger: Option<LedgerId>,
) -> Result<Option<(Hashes, Head)>, Error> {
    let Some(handle) = files.open(&archived.hashes())? else { return Ok(None) };
    let hashes = Hashes::over(handle.file, &files.root().join(archived.hashes()))?;
    let Some(handle) = files.open(&archived.name)? else { return Ok(None) };
    let span = archive::span_of(&*handle.file, &files.root().join(&archived.name))?;
    let same = hashes.span == span && ledger.is_none_or(|ledger| ledger == span.ledger);
    Ok(same.then_some((hashes, span.after)))
}

/// The answer, or `None` of a file that is damaged or of a later format: then events are hashed.
fn unless_damaged<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ (Error::Damaged { .. } | Error::UnsupportedFormat { .. })) => {
            tracing::debug!(%error, "tree hashes beside an archive are of no use");
            Ok(None)
        }
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
