//! The files of a session: its transcript, and those of its agents, which stand below it or, in
//! older versions, beside it.

use super::Look;
use crate::{
    detect::{entries, with_suffix},
    input::{Input, bare, has_lines, stem},
    mend,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// Says how deep below a session's folder its transcripts can be.
const DEPTH_MAX: usize = 8;
/// Says what is read of a transcript to learn whose it is.
const LOOK_BYTES_MAX: u64 = 4 << 20;
const LOOK_LINES_MAX: usize = 20;

/// Sorts files of one folder into sessions, the transcript of each first. A transcript brings the
/// agents of its session that stand beside it, also those that were not named.
pub(super) fn gather(files: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    let (named, mains): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|f| is_agent(f));
    let folder = mains.first().and_then(|main| main.parent());
    let mut agents: Vec<PathBuf> = named.iter().copied().cloned().collect();
    for file in folder.map(entries_of).unwrap_or_default() {
        if is_agent(&file) && has_lines(&file) && file.is_file() && !agents.contains(&file) {
            agents.push(file);
        }
    }
    agents.sort();
    let mut by_session: BTreeMap<Option<String>, Vec<PathBuf>> = BTreeMap::new();
    for agent in agents {
        by_session.entry(session_of(&agent)).or_default().push(agent);
    }
    let mut sessions = Vec::new();
    for main in mains {
        let mut files = vec![main.clone()];
        let below = bare(main);
        if below != *main && below.is_dir() {
            let mut found = Vec::new();
            transcripts(&below, 0, &mut found);
            found.sort();
            files.extend(found);
        }
        if by_session.keys().any(Option::is_some) {
            for id in [stem(main), session_of(main)] {
                files
                    .extend(by_session.remove(&id.filter(|id| !id.is_empty())).unwrap_or_default());
            }
        }
        sessions.push(files);
    }
    // Agents whose session is not there stand for it, if they were named.
    for files in by_session.into_values() {
        let files: Vec<PathBuf> = files.into_iter().filter(|file| named.contains(&file)).collect();
        if !files.is_empty() {
            sessions.push(files);
        }
    }
    sessions
}

/// The transcript beside a session's folder.
pub(super) fn main_of(folder: &Path) -> Option<PathBuf> {
    let own = folder.join("subagents").is_dir() || folder.join("workflows").is_dir();
    let beside = [".jsonl", ".jsonl.gz", ".jsonl.zst"].map(|end| with_suffix(folder, end));
    beside.into_iter().find(|session| own && session.is_file())
}

fn entries_of(folder: &Path) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let found = entries(here).unwrap_or_default();
    let name = |path: PathBuf| path.file_name().map(|name| folder.join(name));
    found.into_iter().filter_map(name).collect()
}

fn is_agent(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("agent-"))
}

/// The session that a transcript's first records name.
fn session_of(path: &Path) -> Option<String> {
    let input = Input::open_some(path, LOOK_BYTES_MAX).ok()?;
    let mut reader = BufReader::new(File::open(&input.path).ok()?.take(LOOK_BYTES_MAX));
    let mut line = Vec::new();
    for _ in 0..LOOK_LINES_MAX {
        line.clear();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            break;
        }
        let bytes = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let text = mend::record(bytes.trim_ascii());
        let look: Option<Look<'_>> = serde_json::from_str(&text).ok();
        if let Some(session) = look.and_then(|look| look.session.owned()) {
            return Some(session);
        }
    }
    None
}

/// The transcripts below a session's folder. One that cannot be looked into stands for itself: it
/// is reported when it is read.
fn transcripts(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(found) = entries(folder) else {
        files.push(folder.to_owned());
        return;
    };
    for path in found {
        // Links are not followed: a recording ends where its folder ends.
        let Ok(kind) = fs::symlink_metadata(&path).map(|meta| meta.file_type()) else { continue };
        if kind.is_dir() && depth < DEPTH_MAX {
            transcripts(&path, depth + 1, files);
        } else if kind.is_file() && is_agent(&path) && is_transcript(&path) {
            files.push(path);
        }
    }
}

fn is_transcript(path: &Path) -> bool {
    has_lines(path) && path.extension().is_none_or(|end| end != "json")
}
