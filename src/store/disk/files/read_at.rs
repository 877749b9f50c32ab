//! A file as bytes with places: the smallest part of one that a reader needs.

use std::{fmt, fs::File, io, os::unix::fs::FileExt};

/// Bytes that are read by their place.
pub(crate) trait ReadAt: fmt::Debug + Send + Sync {
    /// Fills as much of `bytes` as there is at `place`, and returns how much: less only at the end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<usize>;

    /// The length now.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;

    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if there are fewer; those of the system.
    fn read_exact_at(&self, bytes: &mut [u8], place: u64) -> io::Result<()> {
        let found = self.read_at(bytes, place)?;
        if found == bytes.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = place.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match FileExt::read_at(self, rest, at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Bytes in memory, as a file.
impl ReadAt for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<usize> {
        let from = usize::try_from(place).unwrap_or(usize::MAX).min(self.len());
        let there = self.get(from..).unwrap_or_default();
        let count = there.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..count), there.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(Vec::len(self)).unwrap_or(u64::MAX))
    }
}
