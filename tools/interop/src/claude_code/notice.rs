//! `<task-notification>` and its older names: how a session is told that something in the
//! background ended.
//!
//! Agents, watched commands and people can write such text too. What a notification says of ids
//! and status stands before the words of others in it; [`Notice`] looks nowhere else.

use taskledger::event::Outcome;

/// Says what a notification is called, and how it names what it is about.
const KINDS: [(&str, &str); 4] = [
    ("<task-notification>", "</task-notification>"),
    ("<agent-notification>", "</agent-notification>"),
    ("<bash-notification>", "</bash-notification>"),
    ("<shell-notification>", "</shell-notification>"),
];
const IDS: [(&str, &str); 4] = [
    ("<task-id>", "</task-id>"),
    ("<agent-id>", "</agent-id>"),
    ("<shell-id>", "</shell-id>"),
    ("<bash-id>", "</bash-id>"),
];

/// One notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice<'a> {
    /// Says what the runtime says: up to the summary, the result or the event.
    head: &'a str,
    /// The summary and what follows it, up to the result or the event.
    told: &'a str,
    body: &'a str,
    /// Says whether it has its first name, which came with ids that are never used again.
    pub(super) old: bool,
}

/// The notification that `text` begins with, up to its last closing tag.
pub(super) fn notice(text: &str) -> Option<Notice<'_>> {
    let text = text.trim_start();
    let (open, close) = KINDS.into_iter().find(|(open, _)| text.starts_with(open))?;
    let (body, _) = text.strip_prefix(open)?.rsplit_once(close)?;
    let words = ["<result>", "<event>"].into_iter().filter_map(|tag| body.find(tag)).min();
    let said = body.get(..words.unwrap_or(body.len()))?;
    let summary = said.find("<summary>").unwrap_or(said.len());
    let (head, told) = said.split_at(summary);
    Some(Notice { head, told, body, old: open != "<task-notification>" })
}

/// The first notification in `text`, wherever it begins: for a text that the runtime is known to
/// have written.
pub(super) fn notice_in(text: &str) -> Option<Notice<'_>> {
    let start = KINDS.into_iter().filter_map(|(open, _)| text.find(open)).min()?;
    notice(text.get(start..)?)
}

/// Notifications that stand somewhere in `text` but are not what it begins with.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = Notice<'_>> {
    let own = usize::from(notice(text).is_some());
    let starts = KINDS.into_iter().flat_map(move |(open, close)| {
        text.match_indices(open).map(move |(at, _)| (at, open, close))
    });
    let mut starts: Vec<_> = starts.collect();
    starts.sort_unstable();
    starts.into_iter().skip(own).filter_map(move |(at, open, close)| {
        let rest = text.get(at..)?.strip_prefix(open)?;
        let (body, _) = rest.split_once(close)?;
        Some(Notice { head: body, told: "", body, old: false })
    })
}

impl<'a> Notice<'a> {
    pub(super) fn call(self) -> Option<&'a str> {
        tag(self.head, "<tool-use-id>", "</tool-use-id>")
    }

    pub(super) fn native(self) -> Option<&'a str> {
        IDS.into_iter().find_map(|(open, close)| tag(self.head, open, close))
    }

    pub(super) fn summary(self) -> Option<&'a str> {
        let (_, rest) = self.told.split_once("<summary>")?;
        // The last one: a summary quotes what the task is for, which may hold any text.
        rest.rsplit_once("</summary>").map(|(summary, _)| summary.trim())
    }

    pub(super) fn result(self) -> Option<&'a str> {
        let (_, rest) = self.body.split_once("<result>")?;
        // The last one: a result may hold any text.
        rest.rsplit_once("</result>").map(|(result, _)| result)
    }

    /// Says what a watched command said.
    pub(super) fn event(self) -> Option<&'a str> {
        let (_, rest) = self.body.split_once("<event>")?;
        rest.rsplit_once("</event>").map(|(event, _)| event.trim())
    }

    /// Says how the task ended; `None` if it has not.
    pub(super) fn outcome(self) -> Option<Outcome> {
        let after = || Some(self.told.rsplit_once("</summary>")?.1);
        let status = |text| tag(text, "<status>", "</status>");
        outcome(status(self.head).or_else(|| status(after()?))?)
    }

    /// Says whether nothing but the monitor's own words say that its time is over.
    pub(super) fn timed_out(self) -> bool {
        self.event().is_some_and(|event| {
            let one = event.lines().count() == 1 && event.ends_with(']');
            one && event.starts_with("[Monitor timed out")
        })
    }
}

fn tag<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    let (value, _) = rest.split_once(close)?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// A value that the runtime wrote between tags at the beginning of a text, before the output of
/// a command or an agent.
pub(super) fn told(text: &str, name: &str) -> Option<String> {
    let words = ["<output>", "<stdout>", "<stderr>", "<result>", "<error>"];
    let end = words.into_iter().filter_map(|tag| text.find(tag)).min();
    let head = text.get(..end.unwrap_or(text.len()))?.trim_start();
    head.starts_with('<').then_some(())?;
    tag(head, &format!("<{name}>"), &format!("</{name}>")).map(str::to_owned)
}

/// The end that a status word tells of; `None` for a task that goes on.
pub(super) fn outcome(status: &str) -> Option<Outcome> {
    match status {
        "completed" | "complete" | "success" | "succeeded" | "done" => Some(Outcome::Completed),
        "failed" | "error" | "errored" | "failure" | "crashed" => Some(Outcome::Failed),
        "killed" | "stopped" | "cancelled" | "canceled" | "interrupted" | "aborted"
        | "terminated" | "timed_out" | "timeout" => Some(Outcome::Cancelled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_what_a_text_begins_with_up_to_its_last_closing_tag() {
        let text = " <task-notification>\n<task-id>b1</task-id><tool-use-id>t1</tool-use-id>\
            <status>completed</status><summary>a &lt;b&gt;</summary><result>one \
            <task-notification><task-id>b2</task-id><status>failed</status></task-notification> \
            two</result>\n</task-notification>";
        let found = notice(text).unwrap();
        assert_eq!((found.native(), found.call()), (Some("b1"), Some("t1")));
        assert_eq!(found.outcome(), Some(Outcome::Completed));
        assert_eq!(found.summary(), Some("a &lt;b&gt;"));
        assert!(found.result().unwrap().ends_with(" two"));
        let inside: Vec<_> = quoted(text).map(Notice::native).collect();
        assert_eq!(inside, [Some("b2")]);
        assert_eq!(notice(&format!("see: {text}")), None);
        assert_eq!(notice("<task-notification><task-id>b3</task-id><status>comple"), None);
    }

    #[test]
    fn what_a_command_or_a_description_says_is_no_status() {
        let event = "<task-notification><task-id>m</task-id><summary>x <status>failed</status>\
            </summary><event><status>failed</status></event></task-notification>";
        assert_eq!(notice(event).unwrap().outcome(), None);
        let summary = "<task-notification><task-id>m</task-id><summary>a</summary>\
            <status>killed</status></task-notification>";
        assert_eq!(notice(summary).unwrap().outcome(), Some(Outcome::Cancelled));
        let inside = "<task-notification><task-id>m</task-id><summary>a</summary>\
            <status>killed</status><summary></summary></task-notification>";
        assert_eq!(notice(inside).unwrap().outcome(), None, "a description that closes its tag");
        let output = "<status>running</status>\n<stdout>\n<status>failed</status></stdout>";
        assert_eq!(told(output, "status").as_deref(), Some("running"));
        assert_eq!(told("it said <status>failed</status>", "status"), None);
    }

    #[test]
    fn the_older_names_are_known() {
        let text = "<agent-notification><agent-id>a8</agent-id><status>failed</status>\
            </agent-notification>";
        let found = notice(text).unwrap();
        assert_eq!((found.native(), found.outcome()), (Some("a8"), Some(Outcome::Failed)));
        let text = "<bash-notification><shell-id>b6</shell-id></bash-notification>";
        assert_eq!(notice(text).unwrap().native(), Some("b6"));
    }
}
