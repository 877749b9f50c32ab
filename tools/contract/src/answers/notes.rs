//! Says what an import left in doubt about a task, which every view shows.

use taskledger::{
    event::{Action, Entry, Host, PartKind},
    query::{Position, QueryError, Source, history_of_task},
    state::Task,
};
use taskledger_interop::NOTE;

/// The notes on a task, oldest first. O(its events) for a task of a recording that has any beside
/// its spawn and its end; nothing is read for others.
///
/// # Errors
/// As [`history_of_task`].
pub fn notes(source: &impl Source, task: &Task, upto: Position) -> Result<Vec<String>, QueryError> {
    let least = 1 + u64::from(task.terminal_seq.is_some());
    if task.record.host != Host::Imported || task.events <= least {
        return Ok(Vec::new());
    }
    Ok(notes_in(&history_of_task(source, &task.id, upto)?))
}

/// The notes among the events of a task.
#[must_use]
pub fn notes_in(history: &[Entry]) -> Vec<String> {
    let note = |entry: &&Entry| matches!(&entry.event.action, Action::Emitted { event_type } if **event_type == *NOTE);
    let text = |entry: &Entry| {
        let text = entry.text(PartKind::Content)?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| text.to_string()))
    };
    history.iter().filter(note).filter_map(text).collect()
}
