//! Shapes that stand for statuses, so that no colour is needed to tell them apart.

use crate::escape::Charset;
use taskledger::event::TaskStatus;
use taskledger_interop::jsonl::EventLine;

/// The shape of a status, one column wide.
#[must_use]
pub const fn shape(status: TaskStatus, charset: Charset) -> char {
    match (status, charset) {
        (TaskStatus::Running, Charset::Unicode) => '\u{25d0}',
        (TaskStatus::Running, Charset::Ascii) => '~',
        (TaskStatus::Completed, Charset::Unicode) => '\u{2714}',
        (TaskStatus::Completed, Charset::Ascii) => '+',
        (TaskStatus::Failed, Charset::Unicode) => '\u{2718}',
        (TaskStatus::Failed, Charset::Ascii) => 'x',
        (TaskStatus::Cancelled, Charset::Unicode) => '\u{2298}',
        (TaskStatus::Cancelled, Charset::Ascii) => '-',
    }
}

/// A status as people are shown it: shape and word.
#[must_use]
pub fn shape_and_word(status: TaskStatus, charset: Charset) -> String {
    format!("{} {}", shape(status, charset), status.as_str())
}

/// The status that an event leads to, whose shape stands for the event.
#[must_use]
pub fn status_after(event: &EventLine) -> Option<TaskStatus> {
    let named = |word: &Option<String>| {
        TaskStatus::ALL.into_iter().find(|status| word.as_deref() == Some(status.as_str()))
    };
    match (event.action.as_str(), event.why.as_deref()) {
        ("upserted", _) => Some(TaskStatus::Running),
        ("terminated", _) => named(&event.outcome),
        ("restored", Some("orphaned")) => Some(TaskStatus::Failed),
        ("restored", _) => named(&event.status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_statuses_share_a_shape() {
        for charset in [Charset::Unicode, Charset::Ascii] {
            let shapes: BTreeSet<char> =
                TaskStatus::ALL.iter().map(|status| shape(*status, charset)).collect();
            assert_eq!(shapes.len(), TaskStatus::ALL.len());
        }
    }
}
