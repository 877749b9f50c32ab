//! Says what a format is: how it is recognised, read and written.
//!
//! A new format is one folder with an [`Importer`] or an [`Exporter`] in it, and one line in the
//! list of them at the root of this crate. Nothing else names a format.

use crate::{
    error::ReadError,
    input::Input,
    options::{Progress, ReadOptions},
    recording::Recording,
};
use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};
use taskledger::event::Entry;

/// Reads recordings of one format.
///
/// # Contract
///
/// - The same bytes give the same proposals with the same keys, so that importing again adds
///   nothing.
/// - A line that cannot be used is counted in the tally, with its number, and is no error.
pub trait Importer: fmt::Debug + Send + Sync {
    /// Its name on the command line. Never changes: it is part of the events' keys.
    fn id(&self) -> &'static str;

    /// Says what it reads, in a line.
    fn about(&self) -> &'static str;

    /// Says whether one line of a file, without its newline, can only be a record of this format.
    fn detect(&self, line: &[u8]) -> bool;

    /// Says whether the name of a file alone says that it is part of a recording of this format.
    fn knows(&self, file: &Path) -> bool {
        let _ = file;
        false
    }

    /// Sorts files of one folder into recordings, the main file of each first, and adds those that
    /// belong to a recording too and stand beside or below.
    fn gather(&self, files: &[PathBuf]) -> Vec<Vec<PathBuf>> {
        files.iter().map(|file| vec![file.clone()]).collect()
    }

    /// The main file of the one recording that a folder is part of, if it is part of one. It may
    /// stand in the folder or beside it.
    fn main_of(&self, folder: &Path) -> Option<PathBuf> {
        let _ = folder;
        None
    }

    /// Reads one recording in full and puts what it tells in order. O(bytes) time.
    ///
    /// # Errors
    /// [`ReadError::Io`] and [`ReadError::Changed`].
    fn read(
        &self,
        inputs: &[Input],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Recording, ReadError>;

    /// Reads several recordings, in which one may tell of what another began: one answer for
    /// each, in the same order.
    fn read_together(
        &self,
        recordings: &[&[Input]],
        options: &ReadOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Vec<Result<Recording, ReadError>> {
        recordings.iter().map(|inputs| self.read(inputs, options, progress)).collect()
    }
}

/// Writes a ledger's events in one format.
pub trait Exporter: fmt::Debug + Send + Sync {
    /// Its name on the command line.
    fn id(&self) -> &'static str;

    /// Says what it writes, in a line.
    fn about(&self) -> &'static str;

    /// Begins a document on `out`.
    fn write<'a>(&self, out: &'a mut dyn Write) -> Box<dyn Export + 'a>;
}

/// A document in the making: takes events in the order of the log.
pub trait Export {
    /// Takes one more event.
    ///
    /// # Errors
    /// What the writer said.
    fn event(&mut self, entry: &Entry) -> io::Result<()>;

    /// Ends the document.
    ///
    /// # Errors
    /// What the writer said.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A format that can be read: an [`Importer`], compared and shown by its id.
#[derive(Debug, Clone, Copy)]
pub struct Format(pub &'static dyn Importer);

impl Format {
    /// Its id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0.id()
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Format {}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The files that make up one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The format to read it as.
    pub format: Format,
    /// Its files, the main one first.
    pub inputs: Vec<Input>,
}
