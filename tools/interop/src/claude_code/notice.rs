//! `<task-notification>`: how a session is told that something in the background ended.

use super::shape::Line;
use taskledger::event::Outcome;

const OPEN: &str = "<task-notification>";
const CLOSE: &str = "</task-notification>";

/// One notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice<'a> {
    body: &'a str,
}

/// Every notification in a record, wherever the runtime put it.
pub(super) fn notices<'a>(line: &'a Line<'_>) -> impl Iterator<Item = Notice<'a>> {
    let attached = line.attachment.0.as_ref().and_then(|attachment| attachment.prompt.get());
    line.content.get().into_iter().chain(attached).chain(line.texts()).flat_map(in_text)
}

fn in_text(text: &str) -> impl Iterator<Item = Notice<'_>> {
    // A notification that is cut before its end is left out.
    let bodies = text.split(OPEN).skip(1).filter_map(|rest| rest.split_once(CLOSE));
    bodies.map(|(body, _)| Notice { body })
}

impl<'a> Notice<'a> {
    pub(super) fn call(self) -> Option<&'a str> {
        self.tag("<tool-use-id>", "</tool-use-id>")
    }

    pub(super) fn native(self) -> Option<&'a str> {
        self.tag("<task-id>", "</task-id>")
    }

    pub(super) fn summary(self) -> Option<&'a str> {
        self.tag("<summary>", "</summary>")
    }

    pub(super) fn result(self) -> Option<&'a str> {
        let (_, rest) = self.body.split_once("<result>")?;
        // The last one: a result may hold any text.
        rest.rsplit_once("</result>").map(|(result, _)| result)
    }

    /// How the task ended; `None` if it has not.
    pub(super) fn outcome(self) -> Option<Outcome> {
        outcome(self.tag("<status>", "</status>")?)
    }

    fn tag(self, open: &str, close: &str) -> Option<&'a str> {
        let (_, rest) = self.body.split_once(open)?;
        let (value, _) = rest.split_once(close)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }
}

/// The end that a status word tells of; `None` for a task that goes on.
pub(super) fn outcome(status: &str) -> Option<Outcome> {
    match status {
        "completed" => Some(Outcome::Completed),
        "failed" => Some(Outcome::Failed),
        "killed" | "stopped" => Some(Outcome::Cancelled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_of_a_text_is_found_and_a_cut_one_is_not() {
        let text = "ahead <task-notification><task-id>b1</task-id><status>killed</status>\
            <summary>a &lt;b&gt;</summary></task-notification> between \
            <task-notification><tool-use-id>t2</tool-use-id><status>running</status>\
            <result>one </result> two</result></task-notification>\
            <task-notification><task-id>b3</task-id><status>comple";
        let found: Vec<_> = in_text(text).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].native(), Some("b1"));
        assert_eq!(found[0].outcome(), Some(Outcome::Cancelled));
        assert_eq!(found[0].summary(), Some("a &lt;b&gt;"));
        assert_eq!((found[1].call(), found[1].outcome()), (Some("t2"), None));
        assert_eq!(found[1].result(), Some("one </result> two"));
    }
}
