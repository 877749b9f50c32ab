//! From the facts of a recording to proposals, each with a key that is the same in every run.

use crate::{
    lines::Span,
    notes::{NOTE, Note},
    options::ReadOptions,
    sort::{Class, Fill, Sorter, Step},
    tally::bad_id,
    text,
};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};
use taskledger::{
    command::{Command, Emit, Finish, Message, ParentRef, Proposal, Spawn},
    event::{Cause, Host, Outcome},
    ids::{AgentId, CallId, Key, RunId, TaskId, ThreadId, check_id},
    time::Millis,
};

/// Says what a recording says of a task.
#[derive(Debug, Clone)]
pub(crate) struct TaskFacts {
    pub(crate) id: TaskId,
    pub(crate) thread: ThreadId,
    pub(crate) kind: Arc<str>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) description: Arc<str>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) run: Option<RunId>,
    pub(crate) call: Option<CallId>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) created: Option<Millis>,
    /// Says where it goes among the other steps: a time, or what stands for it.
    pub(crate) order: u64,
}

/// Says what a recording says of the end of a task.
#[derive(Debug)]
pub(crate) struct EndFacts {
    pub(crate) outcome: Outcome,
    pub(crate) at: Option<Millis>,
    pub(crate) order: u64,
    pub(crate) error: Option<Arc<str>>,
    pub(crate) result: Option<Arc<str>>,
    /// Says where the texts are, if they are not here.
    pub(crate) fill: Option<(Span, Box<dyn Texts>)>,
    /// The thread of another session that told of it.
    pub(crate) told_by: Option<ThreadId>,
}

/// Says how a format reads the texts of an end out of a record.
pub(crate) trait Texts: fmt::Debug + Send + Sync {
    /// Adds them to `finish`; none if the record is not what it was.
    fn read(&self, record: &str, finish: &mut Finish) -> Option<()>;
}

/// An end without its texts, and how to read them.
#[derive(Debug)]
struct Untold {
    proposal: Proposal,
    texts: Box<dyn Texts>,
}

impl Fill for Untold {
    fn proposal(&self, record: &str, _: &ReadOptions) -> Option<Proposal> {
        let mut proposal = self.proposal.clone();
        if let Command::Finish(finish) = &mut proposal.command {
            self.texts.read(record, finish)?;
        }
        Some(proposal)
    }
}

/// Collects the facts of one recording.
#[derive(Debug)]
pub(crate) struct Plan {
    format: &'static str,
    sorter: Sorter,
}

impl Plan {
    pub(crate) fn new(format: &'static str) -> Self {
        Self { format, sorter: Sorter::default() }
    }

    /// Adds the spawn of a task and, if it has ended, its end.
    pub(crate) fn task(&mut self, facts: TaskFacts, end: Option<EndFacts>) {
        if let Some(end) = end {
            self.finish(&facts, end);
        }
        let mut spawn = Spawn::new(&facts.thread, facts.kind)
            .task(&facts.id)
            .description(facts.description)
            .host(Host::Imported);
        spawn.name = facts.name;
        spawn.parent = facts.parent.clone().map(ParentRef::from);
        spawn.run.clone_from(&facts.run);
        spawn.call.clone_from(&facts.call);
        spawn.agent.clone_from(&facts.agent);
        spawn.created = facts.created;
        let mut proposal = Proposal::new(spawn);
        proposal.key = Some(self.key(&facts.thread, &facts.id, &["spawn"]));
        proposal.occurred = facts.created;
        proposal.cause = Cause::default()
            .task(facts.parent.clone())
            .run(facts.run)
            .call(facts.call)
            .agent(facts.agent);
        let step = Step::Ready(Box::new(proposal));
        self.sorter.spawn(&facts.id, facts.parent.as_ref(), facts.order, step);
    }

    /// Adds progress of a task, the `number`-th that it told.
    pub(crate) fn told(
        &mut self,
        facts: &TaskFacts,
        at: (Option<Millis>, u64),
        number: usize,
        what: Told,
    ) {
        let task = facts.id.clone();
        let (occurred, order) = at;
        let command = match what {
            Told::Progress { event_type, content } => {
                Command::from(Emit::new(task, event_type, content))
            }
            Told::Message { from, content } => Command::from(Message::new(task, from, content)),
        };
        let key = self.key(&facts.thread, &facts.id, &["told", &number.to_string()]);
        let mut proposal = Proposal::new(command).key(key);
        proposal.occurred = occurred;
        let step = Step::Ready(Box::new(proposal));
        self.sorter.about(Some(&facts.id), Class::Middle, order, step);
    }

    /// Adds what is in doubt about a task.
    pub(crate) fn note(&mut self, facts: &TaskFacts, note: &Note) {
        let key = self.key(&facts.thread, &facts.id, &["note", note.kind]);
        let mut proposal = Proposal::new(Emit::new(&facts.id, NOTE, note.content())).key(key);
        proposal.occurred = note.at;
        let step = Step::Ready(Box::new(proposal));
        self.sorter.about(Some(&facts.id), Class::Middle, note.order, step);
    }

    /// The steps in order.
    pub(crate) fn steps(self) -> Vec<Step> {
        self.sorter.sort()
    }

    /// Adds the end of a task of another session.
    pub(crate) fn stray(&mut self, task: &TaskId, thread: &ThreadId, end: EndFacts) {
        self.end(task, thread, end);
    }

    fn finish(&mut self, facts: &TaskFacts, end: EndFacts) {
        self.end(&facts.id, &facts.thread, end);
    }

    fn end(&mut self, task: &TaskId, thread: &ThreadId, end: EndFacts) {
        let mut finish = Finish::new(task, end.outcome);
        finish.error = end.error;
        finish.result = end.result;
        finish.completed = end.at;
        let by = end.told_by.as_ref().map(ThreadId::as_str);
        let words: Vec<&str> = std::iter::once("finish").chain(by).collect();
        let mut proposal = Proposal::new(finish).key(self.key(thread, task, &words));
        proposal.occurred = end.at;
        let step = match end.fill {
            Some((span, texts)) => Step::Read { span, fill: Box::new(Untold { proposal, texts }) },
            None => Step::Ready(Box::new(proposal)),
        };
        self.sorter.about(Some(task), Class::End, end.order, step);
    }

    fn key(&self, thread: &ThreadId, task: &TaskId, what: &[&str]) -> Key {
        key_of(self.format, thread, task, what)
    }
}

/// Says what a task told while it ran.
#[derive(Debug)]
pub(crate) enum Told {
    Progress { event_type: Arc<str>, content: Arc<str> },
    Message { from: Arc<str>, content: Arc<str> },
}

/// The key of what a recording of this format says of a task.
pub(crate) fn key_of(format: &str, thread: &ThreadId, task: &TaskId, what: &[&str]) -> Key {
    key([format, thread.as_str(), task.as_str()].into_iter().chain(what.iter().copied()))
}

/// 16 bytes that are the same for the same words, and for no others.
pub(crate) fn key<'a>(words: impl IntoIterator<Item = &'a str>) -> Key {
    let mut hash = Sha256::new();
    for word in words {
        // With its length, so that no two lists of words run together to the same bytes.
        hash.update(u64::try_from(word.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(word.as_bytes());
    }
    let mut key = [0; 16];
    key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    Key(key)
}

/// A text that must obey the rules of names; none if it is empty.
pub(crate) fn name(what: &'static str, text: Option<&str>) -> Result<Option<Arc<str>>, String> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => check_id(text).map(|()| Some(text.into())).map_err(bad_id(what)),
        None => Ok(None),
    }
}

/// A description, cut to its limit; empty if there is none.
pub(crate) fn description(text: Option<&str>) -> Arc<str> {
    text::description(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_apart_what_only_looks_the_same_when_joined() {
        assert_eq!(key(["ab", "c"]), key(["ab", "c"]));
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_ne!(key(["ab"]), key(["ab", ""]));
    }

    #[test]
    fn a_name_that_breaks_the_rules_is_an_answer_and_no_panic() {
        assert_eq!(name("name", Some("")), Ok(None));
        assert!(name("name", Some("a\nb")).unwrap_err().starts_with("name: control character"));
        assert!(name("name", Some(&"x".repeat(257))).unwrap_err().contains("257 bytes"));
    }
}
