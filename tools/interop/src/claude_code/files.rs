//! Which files belong to a session: its transcript, and those of its agents below it.

use crate::{
    detect::{entries, with_suffix},
    error::ReadError,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How deep below a session's folder its transcripts can be.
const DEPTH_MAX: usize = 8;

/// The transcript, and those of the agents in the folder of the same stem.
pub(super) fn of(file: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut files = Vec::new();
    let below = file.with_extension("");
    if below != file && below.is_dir() {
        transcripts(&below, 0, &mut files)?;
        files.sort();
    }
    files.insert(0, file.to_owned());
    Ok(files)
}

/// The transcript beside a session's folder.
pub(super) fn main_of(folder: &Path) -> Option<PathBuf> {
    let session = with_suffix(folder, ".jsonl");
    let own = folder.join("subagents").is_dir() || folder.join("workflows").is_dir();
    Some(session).filter(|session| own && session.is_file())
}

fn transcripts(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    for path in entries(folder)? {
        // Links are not followed: a recording ends where its folder ends.
        let kind = fs::symlink_metadata(&path).map_err(ReadError::io(&path))?.file_type();
        let agent =
            path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("agent-"));
        if kind.is_dir() && depth < DEPTH_MAX {
            transcripts(&path, depth + 1, files)?;
        } else if kind.is_file() && agent && path.extension().is_some_and(|end| end == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}
