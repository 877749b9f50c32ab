//! Says when the id of a tool call names that call and no other.
//!
//! Providers make ids in their own ways. Some draw them at random, so that one id is one call in
//! all recordings; some count the calls of a session, or of one answer. Only the form tells.

use crate::plan::key;
use taskledger::ids::TaskId;

/// Says what the form of an id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Drawn at random: the same id is the same call, in whichever session it stands.
    Unique,
    /// Counted, as `call_0` or `Task:3`: it means nothing without its session.
    Counted,
    /// It may be either.
    Unknown,
}

/// Beginnings that only ids drawn at random have.
const DRAWN: [&str; 4] = ["toolu_", "srvtoolu_", "tooluse_", "chatcmpl-tool-"];
/// Letters and digits without a break that nobody counts up to.
const DRAWN_LETTERS_MIN: usize = 16;
/// Digits of a counter.
const COUNTED_DIGITS_MAX: usize = 9;

/// Says what the form of `id` says.
pub(crate) fn form(id: &str) -> Form {
    if DRAWN.iter().any(|start| id.starts_with(start)) || is_uuid(id) {
        return Form::Unique;
    }
    let last = id.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    if last.len() >= DRAWN_LETTERS_MIN {
        return Form::Unique;
    }
    let counted = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if counted && last.len() <= COUNTED_DIGITS_MAX { Form::Counted } else { Form::Unknown }
}

/// Says whether `id` ends with a UUID.
fn is_uuid(id: &str) -> bool {
    let groups: Vec<&str> = id.rsplit('-').take(5).collect();
    let hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lens: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    matches!(lens.as_slice(), [12, 4, 4, 4, 8]) && groups.iter().take(4).all(hex)
}

/// The id of a task by this name; one that is too long for a ledger is known by its digest.
pub(crate) fn id(name: &str, call: &TaskId) -> TaskId {
    let digest = || format!("{:032x}", u128::from_be_bytes(key([name]).0));
    TaskId::new(name).or_else(|_| TaskId::new(digest())).unwrap_or_else(|_| call.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_drawn_stand_for_themselves_and_counted_ones_do_not() {
        for id in [
            "toolu_01AG8oRBtVzZcv8tXmQ9JL6z",
            "call_ZaF4lN5Ge6Jmm9hylom7groZ",
            "tooluse_x",
            "chatcmpl-tool-0f3a",
            "0f0f0f0f-aaaa-4bbb-8ccc-000000000001",
            "adk-0f0f0f0f-aaaa-4bbb-8ccc-000000000001",
        ] {
            assert_eq!(form(id), Form::Unique, "{id}");
        }
        for id in ["call_0", "Task:0", "functions.Task:12", "7", "call-3", "chat-tool_3/1"] {
            assert_eq!(form(id), Form::Counted, "{id}");
        }
        for id in ["call-a", "tu_review", "call_00ab"] {
            assert_eq!(form(id), Form::Unknown, "{id}");
        }
    }
}
