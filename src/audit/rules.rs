//! The legal transitions, checked on recorded events.
//!
//! This is not `decide` once more, which answers commands. It compares each recorded event with the
//! events before it, and knows only the rules that bind every event of every host.

use crate::{
    event::{Action, CancelScope, Entry, Parent, Restored},
    ids::TaskId,
    state::{LedgerState, Place, Task},
};

/// The rule that `entry` breaks at this place in `state`, in words; `None` if it breaks none.
pub(super) fn broken_rule(state: &LedgerState, place: &Place, entry: &Entry) -> Option<String> {
    let event = &entry.event;
    let known = state.task_at(place).map(|task| &**task);
    if state.size() == 0 && !matches!(event.action, Action::Began { .. }) {
        return Some("the first event does not say who began".to_owned());
    }
    if let Some(task) = known
        && event.thread.as_ref() != Some(&task.thread)
    {
        return Some(format!("task '{}' belongs to another thread", task.id));
    }
    if let Some(earlier) = event.key.as_ref().and_then(|key| state.key(key)) {
        return Some(format!("its key is that of event {earlier}"));
    }
    broken_transition(state, entry, known)
}

fn broken_transition(state: &LedgerState, entry: &Entry, known: Option<&Task>) -> Option<String> {
    let event = &entry.event;
    match &event.action {
        Action::Upserted { record } => match known {
            Some(task) => ended(task),
            None => missing_parent(state, record.parent.as_ref()).or_else(|| nameless(entry)),
        },
        Action::Terminated { .. } => known.map_or_else(|| Some(unknown(entry)), ended),
        Action::Restored { why: Restored::Orphaned { .. } } => {
            known.map_or_else(|| Some(unknown(entry)), ended)
        }
        Action::Restored { why: Restored::Snapshot { .. } } => match known {
            Some(task) => Some(format!("task '{}' is restored but was never gone", task.id)),
            None => nameless(entry),
        },
        Action::CancelRequested { scope, .. } => match scope {
            CancelScope::Task | CancelScope::Tree if known.is_none() => Some(unknown(entry)),
            CancelScope::Thread if event.thread.is_none() => {
                Some("a thread is cancelled that is not named".to_owned())
            }
            CancelScope::Task | CancelScope::Tree | CancelScope::Thread | CancelScope::Run(_) => {
                None
            }
        },
        Action::Messaged { .. } | Action::Emitted { .. } if known.is_none() => Some(unknown(entry)),
        Action::Messaged { .. } | Action::Emitted { .. } => None,
        Action::Redacted { seq, parts } => {
            let sensible = *seq < event.seq && !parts.is_empty();
            (!sensible).then(|| format!("event {seq} cannot be redacted here"))
        }
        Action::Began { .. } => (event.thread.is_some() || event.task.is_some())
            .then(|| "a writer began within a task or thread".to_owned()),
    }
}

fn ended(task: &Task) -> Option<String> {
    task.terminal_seq.map(|end| format!("task '{}' ended at {end}", task.id))
}

fn unknown(entry: &Entry) -> String {
    let name = entry.event.task.as_ref().map_or("without a name", TaskId::as_str);
    format!("task '{name}' was never spawned")
}

fn nameless(entry: &Entry) -> Option<String> {
    let complete = entry.event.task.is_some() && entry.event.thread.is_some();
    (!complete).then(|| "a task without an id or a thread".to_owned())
}

fn missing_parent(state: &LedgerState, parent: Option<&Parent>) -> Option<String> {
    match parent {
        Some(Parent::Local(id)) if state.task(id).is_none() => {
            Some(format!("its parent '{id}' was never spawned"))
        }
        Some(Parent::Local(_) | Parent::External { .. }) | None => None,
    }
}
