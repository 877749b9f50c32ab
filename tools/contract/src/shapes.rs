//! Shapes that stand for statuses, so that no colour is needed to tell them apart.

use crate::escape::Charset;
use taskledger::event::{Action, Restored, TaskStatus};

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
pub fn status_after(action: &Action) -> Option<TaskStatus> {
    match action {
        Action::Upserted { .. } => Some(TaskStatus::Running),
        Action::Terminated { outcome, .. } => Some((*outcome).into()),
        Action::Restored { why: Restored::Snapshot { status, .. } } => Some(*status),
        Action::Restored { why: Restored::Orphaned { .. } } => Some(TaskStatus::Failed),
        Action::CancelRequested { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. }
        | Action::Redacted { .. }
        | Action::Began { .. } => None,
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
