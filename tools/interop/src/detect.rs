//! Which recordings a path holds, and in which format each is. Looks at content, not at names.
//!
//! Start at [`find`]; [`Spooled`] makes a recording on standard input one that can be read twice.

use crate::{
    error::ReadError,
    lax::{Obj, Str},
    recording::{Format, Input},
};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// What is looked at before a format is given up.
const LOOK_LINES_MAX: usize = 200;
const LOOK_BYTES_MAX: u64 = 8 << 20;
/// How deep below a session's folder its transcripts can be.
const DEPTH_MAX: usize = 8;
/// How deep below a folder that was named recordings are looked for.
const FOLDERS_DEPTH_MAX: usize = 3;

/// The state revisions in a folder of that format.
pub(crate) const AWAKEN_STATES: &str = "background_task_state.snapshots.jsonl";
/// Messages to inboxes, beside them.
pub(crate) const AWAKEN_INBOX: &str = "inbox_events.jsonl";
/// Summaries, beside them.
pub(crate) const AWAKEN_SUMMARIES: &str = "task_summaries.json";

/// The files that make up one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The format to read it as.
    pub format: Format,
    /// Its files, the main one first.
    pub inputs: Vec<Input>,
}

/// Finds the recordings in `paths`: a file, a file with the folder of the same stem beside it, or
/// a folder of either. With `format` given, nothing is guessed.
///
/// # Errors
/// - [`ReadError::Io`] if a path cannot be read.
/// - [`ReadError::Unrecognised`] if a file that was named is in no known format.
/// - [`ReadError::Nothing`] if a folder holds no recording.
pub fn find(paths: &[PathBuf], format: Option<Format>) -> Result<Vec<Dataset>, ReadError> {
    let mut found: Vec<Dataset> = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let datasets = if fs::metadata(path).map_err(ReadError::io(path))?.is_dir() {
            in_folder(path, format)?
        } else if let Some(states) = states_beside(path, format) {
            vec![states]
        } else {
            vec![of_file(path, format)?]
        };
        for dataset in datasets {
            // `session*` names a session and its folder: one recording.
            let main = dataset.inputs.first().and_then(|input| fs::canonicalize(&input.path).ok());
            if main.is_none_or(|main| seen.insert(main)) {
                found.push(dataset);
            }
        }
    }
    Ok(found)
}

/// A recording that came through a pipe, kept in a temporary file so that it can be read twice.
#[derive(Debug)]
pub struct Spooled {
    file: tempfile::NamedTempFile,
}

impl Spooled {
    /// Copies `from` to its end. The file goes when this value is dropped.
    ///
    /// # Errors
    /// What the pipe or the file system said.
    pub fn new(mut from: impl Read) -> io::Result<Self> {
        let mut file = tempfile::NamedTempFile::new()?;
        io::copy(&mut from, &mut file)?;
        file.flush()?;
        Ok(Self { file })
    }

    /// The recording, called `-` in reports.
    ///
    /// # Errors
    /// [`ReadError::Unrecognised`] if no format is given and none is recognised.
    pub fn dataset(&self, format: Option<Format>) -> Result<Dataset, ReadError> {
        let path = self.file.path().to_owned();
        let unknown = || ReadError::Unrecognised { path: "-".into() };
        let format = match format {
            Some(format) => format,
            None => recognise(&path)?.ok_or_else(unknown)?,
        };
        Ok(Dataset { format, inputs: vec![Input { path, shown: "-".to_owned() }] })
    }
}

/// The format of a file, by what its first records hold; `None` if they fit none.
///
/// # Errors
/// [`ReadError::Io`] if the file cannot be read.
pub fn recognise(path: &Path) -> Result<Option<Format>, ReadError> {
    let file = File::open(path).map_err(ReadError::io(path))?;
    let mut reader = BufReader::new(file.take(LOOK_BYTES_MAX));
    let mut line = Vec::new();
    for _ in 0..LOOK_LINES_MAX {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(ReadError::io(path))? == 0 {
            break;
        }
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if let Some(format) = of_record(text) {
            return Ok(Some(format));
        }
    }
    Ok(None)
}

fn of_record(text: &[u8]) -> Option<Format> {
    let look: Look<'_> = serde_json::from_slice(text).ok()?;
    let kind = look.kind.get().unwrap_or_default();
    if look.schema.get().is_some_and(|schema| schema.starts_with("taskledger.event/")) {
        return Some(Format::Jsonl);
    }
    if look.key.is("background_task_state") || look.tasks.0.is_some() {
        return Some(Format::Awaken);
    }
    let copilot = ["session.", "subagent.", "tool.", "assistant.", "user.", "system."];
    if look.data.0.is_some() && copilot.iter().any(|start| kind.starts_with(start)) {
        return Some(Format::CopilotCli);
    }
    let silent = kind == "file-history-snapshot" || kind == "summary" && look.leaf.get().is_some();
    (look.session.get().is_some() && !kind.is_empty() || silent).then_some(Format::ClaudeCode)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look<'a> {
    #[serde(borrow)]
    schema: Str<'a>,
    #[serde(borrow)]
    key: Str<'a>,
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, rename = "sessionId")]
    session: Str<'a>,
    #[serde(borrow, rename = "leafUuid")]
    leaf: Str<'a>,
    tasks: Obj<Nothing>,
    data: Obj<Nothing>,
}

#[derive(Debug, Deserialize)]
struct Nothing {}

fn of_file(path: &Path, format: Option<Format>) -> Result<Dataset, ReadError> {
    let unknown = || ReadError::Unrecognised { path: path.to_owned() };
    let format = match format {
        Some(format) => format,
        None => recognise(path)?.ok_or_else(unknown)?,
    };
    let mut inputs = vec![input(path)];
    if format == Format::ClaudeCode {
        let below = path.with_extension("");
        if below != path && below.is_dir() {
            let mut files = Vec::new();
            transcripts(&below, 0, &mut files)?;
            files.sort();
            inputs.extend(files.iter().map(|file| input(file)));
        }
    }
    Ok(Dataset { format, inputs })
}

fn in_folder(path: &Path, format: Option<Format>) -> Result<Vec<Dataset>, ReadError> {
    let mut found = Vec::new();
    folders(path, format, FOLDERS_DEPTH_MAX, &mut found)?;
    if found.is_empty() {
        let format = format.map_or("known", Format::as_str);
        return Err(ReadError::Nothing { path: path.to_owned(), format });
    }
    Ok(found)
}

/// The recordings in a folder and in those below it. A session's own folder belongs to it, and
/// links are not followed.
fn folders(
    path: &Path,
    format: Option<Format>,
    levels: usize,
    found: &mut Vec<Dataset>,
) -> Result<(), ReadError> {
    match directly_in(path, format) {
        Ok(datasets) => found.extend(datasets),
        Err(ReadError::Nothing { .. }) => {}
        Err(error) => return Err(error),
    }
    let is_session = |path: &Path| with_suffix(path, ".jsonl").is_file();
    if levels == 0 || is_session(path) {
        return Ok(());
    }
    for below in entries(path)? {
        let kind = fs::symlink_metadata(&below).map_err(ReadError::io(&below))?.file_type();
        if kind.is_dir() && !is_session(&below) {
            folders(&below, format, levels - 1, found)?;
        }
    }
    Ok(())
}

fn directly_in(path: &Path, format: Option<Format>) -> Result<Vec<Dataset>, ReadError> {
    if let Some(states) = states_in(path, format) {
        return Ok(vec![states]);
    }
    let session = with_suffix(path, ".jsonl");
    if (path.join("subagents").is_dir() || path.join("workflows").is_dir()) && session.is_file() {
        return Ok(vec![of_file(&session, format)?]);
    }
    let mut found = Vec::new();
    for file in entries(path)? {
        let json = file.extension().is_some_and(|end| end == "jsonl" || end == "json");
        if json && file.is_file() {
            match of_file(&file, format) {
                Ok(dataset) => found.push(dataset),
                // Other files may stand among recordings.
                Err(ReadError::Unrecognised { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    if found.is_empty() {
        let format = format.map_or("known", Format::as_str);
        return Err(ReadError::Nothing { path: path.to_owned(), format });
    }
    Ok(found)
}

/// The recording in a folder of state revisions.
fn states_in(folder: &Path, format: Option<Format>) -> Option<Dataset> {
    if !folder.join(AWAKEN_STATES).is_file() || format.is_some_and(|f| f != Format::Awaken) {
        return None;
    }
    let names = [AWAKEN_STATES, AWAKEN_INBOX, AWAKEN_SUMMARIES];
    let files = names.map(|name| folder.join(name)).into_iter().filter(|file| file.is_file());
    Some(Dataset { format: Format::Awaken, inputs: files.map(|file| input(&file)).collect() })
}

/// The same, for a file in it: none of them means much without the others.
fn states_beside(file: &Path, format: Option<Format>) -> Option<Dataset> {
    let name = file.file_name()?;
    let known = [AWAKEN_STATES, AWAKEN_INBOX, AWAKEN_SUMMARIES].iter().any(|known| name == *known);
    known.then(|| states_in(file.parent()?, format)).flatten()
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

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let entries = fs::read_dir(folder).map_err(ReadError::io(folder))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(ReadError::io(folder))?;
    paths.sort();
    Ok(paths)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    // By components, so that a path with a slash at its end names the same.
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn input(path: &Path) -> Input {
    Input { path: path.to_owned(), shown: path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_what_its_records_hold() {
        let cases = [
            (r#"{"schema":"taskledger.event/v1","action":"began"}"#, Some(Format::Jsonl)),
            (r#"{"key":"background_task_state","value":{}}"#, Some(Format::Awaken)),
            (r#"{"tasks":{}}"#, Some(Format::Awaken)),
            (r#"{"type":"session.start","data":{}}"#, Some(Format::CopilotCli)),
            (r#"{"type":"user","sessionId":"s"}"#, Some(Format::ClaudeCode)),
            (r#"{"type":"file-history-snapshot"}"#, Some(Format::ClaudeCode)),
            (r#"{"type":"session_meta","payload":{}}"#, None),
            (r#"{"type":"response_item"}"#, None),
            ("{", None),
        ];
        for (record, format) in cases {
            assert_eq!(of_record(record.as_bytes()), format, "{record}");
        }
    }
}
