//! Says what an import left in doubt about a task, which every view shows.

use taskledger::{
    event::{Action, Entry, Host, PartKind},
    query::{History, Position, QueryError, Scope, Source, history},
    state::Task,
};
use taskledger_interop::NOTE;

/// The notes on a task, oldest first. O(its events) for a task of a recording that has any beside
/// its spawn and its end; nothing is read for others.
///
/// # Errors
/// As [`history`].
pub fn notes(source: &impl Source, task: &Task, upto: Position) -> Result<Vec<String>, QueryError> {
    notes_holding(source, task, upto, |_| Ok(()))
}

/// Like [`notes`], and tells `hold` of the bytes of each note before it is kept.
///
/// # Errors
/// As [`history`], and those of `hold`.
pub fn notes_holding<E: From<QueryError>>(
    source: &impl Source,
    task: &Task,
    upto: Position,
    mut hold: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<String>, E> {
    let least = 1 + u64::from(task.terminal_seq.is_some());
    if task.record.host != Host::Imported || task.events <= least {
        return Ok(Vec::new());
    }
    let mut notes = Vec::new();
    let wanted = History::default().scope(Scope::Task(&task.id)).upto(upto);
    history(source, &wanted, |entry: Entry| -> Result<(), E> {
        if let Some(note) = note(&entry) {
            hold(size_of::<String>() + note.len())?;
            notes.push(note);
        }
        Ok(())
    })?;
    Ok(notes)
}

/// The notes among the events of a task.
#[must_use]
pub fn notes_in(history: &[Entry]) -> Vec<String> {
    history.iter().filter_map(note).collect()
}

/// The note that an event is, if it is one.
#[must_use]
pub fn note(entry: &Entry) -> Option<String> {
    let Action::Emitted { event_type } = &entry.event.action else { return None };
    let text = entry.text(PartKind::Content).filter(|_| **event_type == *NOTE)?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| text.to_string()))
}
