//! The events that a stream wants, and which of many streams want an event.

use std::collections::{BTreeMap, BTreeSet};
use taskledger::{
    event::{ActionKind, Event},
    ids::{TaskId, ThreadId},
};

/// The events that a client wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) thread: Option<ThreadId>,
    pub(crate) task: Option<TaskId>,
    /// Empty for any.
    pub(crate) actions: Vec<ActionKind>,
}

impl Wanted {
    pub(crate) fn passes(&self, of: &Subject) -> bool {
        self.thread.as_ref().is_none_or(|thread| of.thread.as_ref() == Some(thread))
            && self.task.as_ref().is_none_or(|task| of.task.as_ref() == Some(task))
            && (self.actions.is_empty() || self.actions.contains(&of.kind))
    }
}

/// The subject of an event, by which it is wanted or not.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    thread: Option<ThreadId>,
    task: Option<TaskId>,
    kind: ActionKind,
}

impl Subject {
    pub(crate) fn of(event: &Event) -> Self {
        let (thread, task) = (event.thread.clone(), event.task.clone());
        Self { thread, task, kind: event.action.kind() }
    }

    /// The bytes of memory that it takes besides itself: the ids, each with its two counters.
    pub(crate) fn bytes(&self) -> usize {
        let ids =
            [self.thread.as_ref().map(ThreadId::as_str), self.task.as_ref().map(TaskId::as_str)];
        ids.into_iter().flatten().map(|id| id.len() + 2 * size_of::<usize>()).sum()
    }
}

/// The number of a follower.
pub(crate) type Id = u64;

/// The followers that may want an event: found by its task and its thread, so that those who follow
/// others cost nothing.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Those that name a task, by it.
    tasks: BTreeMap<TaskId, BTreeSet<Id>>,
    /// Those that name a thread and no task, by it.
    threads: BTreeMap<ThreadId, BTreeSet<Id>>,
    /// All others.
    all: BTreeSet<Id>,
}

impl Index {
    pub(crate) fn insert(&mut self, id: Id, wanted: &Wanted) {
        let ids = match (&wanted.task, &wanted.thread) {
            (Some(task), _) => self.tasks.entry(task.clone()).or_default(),
            (None, Some(thread)) => self.threads.entry(thread.clone()).or_default(),
            (None, None) => &mut self.all,
        };
        ids.insert(id);
    }

    pub(crate) fn remove(&mut self, id: Id, wanted: &Wanted) {
        match (&wanted.task, &wanted.thread) {
            (Some(task), _) => remove(&mut self.tasks, task, id),
            (None, Some(thread)) => remove(&mut self.threads, thread, id),
            (None, None) => drop(self.all.remove(&id)),
        }
    }

    /// Those that may want an event, each once: their filters decide. O(log followers), and those.
    pub(crate) fn candidates(&self, of: &Subject) -> impl Iterator<Item = Id> {
        let of_task = of.task.as_ref().and_then(|task| self.tasks.get(task));
        let of_thread = of.thread.as_ref().and_then(|thread| self.threads.get(thread));
        of_task.into_iter().chain(of_thread).chain([&self.all]).flatten().copied()
    }
}

fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Id>>, key: &K, id: Id) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_subject_count() {
        let of_ids = "thread".len() + "task".len();
        assert!(subject("thread", "task").bytes() > of_ids);
    }

    fn subject(thread: &str, task: &str) -> Subject {
        let (thread, task) = (ThreadId::new(thread).unwrap(), TaskId::new(task).unwrap());
        Subject { thread: Some(thread), task: Some(task), kind: ActionKind::Terminated }
    }

    #[test]
    fn an_event_is_looked_up_by_its_task_and_its_thread_and_those_who_left_are_not_found() {
        let mut index = Index::default();
        let wanted = |thread: Option<&str>, task: Option<&str>| Wanted {
            thread: thread.map(|id| ThreadId::new(id).unwrap()),
            task: task.map(|id| TaskId::new(id).unwrap()),
            actions: Vec::new(),
        };
        let all = [
            wanted(None, None),
            wanted(Some("a"), None),
            wanted(None, Some("1")),
            wanted(Some("a"), Some("1")),
            wanted(Some("b"), None),
        ];
        (0..).zip(&all).for_each(|(id, wanted)| index.insert(id, wanted));
        let found = |index: &Index, of: &Subject| index.candidates(of).collect::<BTreeSet<_>>();
        assert_eq!(found(&index, &subject("a", "1")), BTreeSet::from([0, 1, 2, 3]));
        assert_eq!(found(&index, &subject("b", "2")), BTreeSet::from([0, 4]));
        let none = Subject { thread: None, task: None, kind: ActionKind::Redacted };
        assert_eq!(found(&index, &none), BTreeSet::from([0]));
        (0..).zip(&all).for_each(|(id, wanted)| index.remove(id, wanted));
        assert!(index.tasks.is_empty() && index.threads.is_empty() && index.all.is_empty());
    }

    #[test]
    fn an_event_passes_if_every_part_of_the_filter_names_it() {
        let of = subject("a", "1");
        let mut wanted = Wanted::default();
        assert!(wanted.passes(&of));
        wanted.actions = vec![ActionKind::Redacted];
        assert!(!wanted.passes(&of));
        wanted.actions.push(ActionKind::Terminated);
        wanted.thread = Some(ThreadId::new("a").unwrap());
        assert!(wanted.passes(&of));
        wanted.task = Some(TaskId::new("2").unwrap());
        assert!(!wanted.passes(&of));
    }
}
