//! The files of a recording.

use crate::{error::ReadError, spool};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file of a recording and how to call it.
#[derive(Debug, Clone)]
pub struct Input {
    /// Says where its text is.
    pub path: PathBuf,
    /// Says how it is called in reports.
    pub shown: String,
    /// Says where it was found: another place than `path` for what came through a pipe, or packed.
    pub at: PathBuf,
    /// Why what could be unpacked of it is not all.
    pub(crate) cut: Option<Arc<str>>,
    /// The temporary file at `path`, which goes with the last of these.
    kept: Option<Arc<tempfile::TempPath>>,
}

impl PartialEq for Input {
    fn eq(&self, other: &Self) -> bool {
        let of = |input: &Self| (input.path.clone(), input.shown.clone(), input.kept.is_some());
        of(self) == of(other) && self.at == other.at
    }
}

impl Eq for Input {}

impl Input {
    /// A file, called by its path.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        let (path, shown) = (path.to_owned(), path.display().to_string());
        Self { at: path.clone(), path, shown, cut: None, kept: None }
    }

    /// A file, unpacked into a temporary one if it is packed or in UTF-16.
    ///
    /// # Errors
    /// [`ReadError::Io`] if it cannot be read or unpacked.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::open_some(path, spool::UNPACKED_BYTES_MAX)
    }

    /// The same, of which only so many bytes are needed.
    pub(crate) fn open_some(path: &Path, bytes_max: u64) -> Result<Self, ReadError> {
        if !spool::is_packed(path).map_err(ReadError::io(path))? {
            return Ok(Self::file(path));
        }
        let file = fs::File::open(path).map_err(ReadError::io(path))?;
        let spooled = spool::copy(file, bytes_max).map_err(ReadError::io(path))?;
        Ok(Self::spooled(spooled, path.to_owned(), path.display().to_string()))
    }

    /// Says what came through a pipe. It has no name of its own.
    pub(crate) fn piped(spooled: spool::Copied, shown: String) -> Self {
        Self::spooled(spooled, "stdin".into(), shown)
    }

    fn spooled(spooled: spool::Copied, at: PathBuf, shown: String) -> Self {
        let spool::Copied { file, cut } = spooled;
        let kept = file.into_temp_path();
        Self { path: kept.to_path_buf(), shown, at, cut, kept: Some(Arc::new(kept)) }
    }
}

/// The name of a file without what says how it is written: `a` for `a.jsonl` and `a.jsonl.gz`.
pub(crate) fn stem(path: &Path) -> Option<String> {
    bare(path).file_name().map(|name| name.to_string_lossy().into_owned())
}

/// The path without what says how a file is written.
pub(crate) fn bare(path: &Path) -> PathBuf {
    let packed = path.extension().is_some_and(|end| end == "gz" || end == "zst");
    let path = if packed { path.with_extension("") } else { path.to_owned() };
    path.with_extension("")
}

/// Says whether a name is that of a file of lines, packed or not.
pub(crate) fn has_lines(path: &Path) -> bool {
    let ends = |path: &Path, known: [&str; 2]| {
        path.extension().is_some_and(|end| known.iter().any(|known| end == *known))
    };
    let lines = ["jsonl", "json"];
    ends(path, lines) || ends(path, ["gz", "zst"]) && ends(&path.with_extension(""), lines)
}
