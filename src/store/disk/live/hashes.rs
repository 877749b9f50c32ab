//! Writing the files of tree hashes that are missing beside archives: of archives that were just made,
//! and of those that an older version has made.
//!
//! Such a file saves time to readers that have no sled and changes no answer, so nothing fails without
//! it: it is tried again after the next flush.

use super::shared::Shared;
use crate::store::{
    Error,
    disk::{
        files::{archive, dir, hashes},
        options::Steps,
    },
    sled::Sled,
};
use std::path::Path;

/// The files that are written after one flush, so that the first one of an older ledger is not long.
const AT_ONCE: usize = 8;

impl Shared {
    /// Writes missing files, those of the newest archives first. Logs errors.
    pub(crate) fn write_missing_hashes(&self) {
        if let Err(error) = self.try_missing_hashes() {
            let ledger = self.root.display();
            tracing::debug!(%ledger, %error, "tree hashes of an archive were not written");
        }
    }

    fn try_missing_hashes(&self) -> Result<(), Error> {
        let archives = archive::list(&self.root)?;
        let missing = archives.iter().rev().filter(|path| !hashes::path_of(path).exists());
        for path in missing.take(AT_ONCE) {
            write(path, &*self.engine()?)?;
            self.steps_at("tree hashes of an archive written");
        }
        Ok(())
    }
}

/// Writes the files of all archives anew, and removes those that are beside no archive.
///
/// # Errors
///
/// As [`hashes::write`].
pub(crate) fn write_all(root: &Path, from: &Sled, steps: &Steps) -> Result<(), Error> {
    for path in dir::entries(&root.join(dir::ARCHIVE))? {
        if hashes::archive_of(&path).is_some_and(|archive| !archive.exists()) {
            dir::remove(&path)?;
            steps.at("tree hashes of no archive removed");
        }
    }
    for path in archive::list(root)? {
        write(&path, from)?;
        steps.at("tree hashes of an archive written");
    }
    Ok(())
}

fn write(path: &Path, from: &Sled) -> Result<(), Error> {
    let span = archive::span_of(&dir::open_to_read(path)?, path)?;
    if !hashes::write(path, &span, from)? {
        tracing::debug!(archive = %path.display(), "sled does not have all its tree hashes");
    }
    Ok(())
}
