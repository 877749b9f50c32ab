//! The files of a recording.

use std::path::{Path, PathBuf};

/// A file of a recording and how to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// How it is called in reports.
    pub shown: String,
}

impl Input {
    /// A file, called by its path.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), shown: path.display().to_string() }
    }
}
