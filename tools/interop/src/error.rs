//! Why a recording could not be read or brought into a ledger.

use std::{io, path::PathBuf};

/// Why a recording could not be read. A broken line is not one of these: it is counted and skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file could not be opened or read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Says what the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing in the file says which format it is in: name the format instead of `auto`.
    #[error("{} is in none of the known formats{}", .path.display(), likeness(*.like))]
    Unrecognised {
        /// The file or directory.
        path: PathBuf,
        /// The tool whose recordings it looks like, if that is known.
        like: Option<&'static str>,
    },
    /// A pipe in a folder: it is not waited for. Name it by itself.
    #[error("{} is a pipe", .path.display())]
    Pipe {
        /// The pipe.
        path: PathBuf,
    },
    /// A folder is too far below the one that was named. Name it by itself.
    #[error("{} is too deep to be looked into", .path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A directory holds no recording of the format.
    #[error("no {format} recording in {}", .path.display())]
    Nothing {
        /// The directory.
        path: PathBuf,
        /// Says what was looked for.
        format: &'static str,
    },
    /// The file is no longer what the first pass read: read it again.
    #[error("{} changed while it was read, at byte {offset}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Says where the record was.
        offset: u64,
    },
}

fn likeness(like: Option<&str>) -> String {
    like.map(|like| format!(": it looks like a recording of {like}")).unwrap_or_default()
}

impl ReadError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Why an import stopped. What was appended before stays; importing again completes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The recording could not be read on.
    #[error("the recording cannot be read on")]
    Read(#[from] ReadError),
    /// The ledger failed, rather than refused one event.
    #[error("the ledger took no more events after {appended} of them")]
    Ledger {
        /// Events that this import had appended.
        appended: u64,
        /// Says what the ledger said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
