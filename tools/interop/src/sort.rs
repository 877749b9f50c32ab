//! The order in which a recording is appended.
//!
//! Recordings are not in time order, and children are often written before their parents. A step
//! goes by the time at which it happened, but never before the spawn of its task, nor a spawn
//! before the spawn of its parent: the ledger decides once whether it holds a parent.

use crate::{lines::Span, options::ReadOptions};
use std::{collections::BTreeMap, fmt};
use taskledger::{command::Proposal, ids::TaskId};

/// One proposal, or where to read it.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is all there.
    Ready(Box<Proposal>),
    /// Its texts, or all of it, are read from a record when they are needed.
    Read { span: Span, fill: Box<dyn Fill> },
}

/// Says what a format keeps of a proposal until its record is read again.
pub(crate) trait Fill: fmt::Debug + Send + Sync {
    /// The proposal, with the texts of `record`; none if the record is not what it was.
    fn proposal(&self, record: &str, options: &ReadOptions) -> Option<Proposal>;
}

/// Says where a step stands among those of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Spawn,
    Middle,
    End,
}

/// Collects steps in the order of the files and sorts them.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    by_id: BTreeMap<TaskId, u32>,
    tasks: Vec<Place>,
    items: Vec<Item>,
}

#[derive(Debug, Default)]
struct Place {
    parent: Option<u32>,
    /// Of its first spawn.
    order: Option<u64>,
    placed: Option<(u64, u32)>,
    /// Says whether it is on the path that is being walked.
    walked: bool,
}

/// There can be one for each line of a large export, so it is small.
#[derive(Debug)]
struct Item {
    order: u64,
    class: Class,
    depth: u32,
    /// Says where it was added.
    place: usize,
    task: Option<u32>,
    step: Step,
}

impl Sorter {
    /// A sorter with room for so many steps.
    pub(crate) fn with_capacity(steps: usize) -> Self {
        Self { items: Vec::with_capacity(steps), ..Self::default() }
    }

    /// Adds the spawn of a task; says whether it is the first one.
    pub(crate) fn spawn(
        &mut self,
        task: &TaskId,
        parent: Option<&TaskId>,
        order: u64,
        step: Step,
    ) -> bool {
        let parent = parent.filter(|parent| *parent != task).map(|parent| self.number(parent));
        let number = self.number(task);
        let first = self.place(number).is_none_or(|place| place.order.is_none());
        if let Some(place) = self.tasks.get_mut(index(number)) {
            place.parent = place.parent.or(parent);
            place.order = Some(place.order.map_or(order, |before| before.min(order)));
        }
        self.add(Some(number), Class::Spawn, order, step);
        first
    }

    /// Adds anything else, about a task or not.
    pub(crate) fn about(&mut self, task: Option<&TaskId>, class: Class, order: u64, step: Step) {
        let task = task.map(|task| self.number(task));
        self.add(task, class, order, step);
    }

    /// The steps in order. O(n log n).
    pub(crate) fn sort(mut self) -> Vec<Step> {
        self.place_all();
        for item in &mut self.items {
            let place = item.task.and_then(|task| self.tasks.get(index(task))?.placed);
            let (order, depth) = place.unwrap_or_default();
            item.order = item.order.max(order);
            item.depth = if item.class == Class::Spawn { depth } else { 0 };
        }
        self.items.sort_unstable_by_key(|item| (item.order, item.class, item.depth, item.place));
        self.items.into_iter().map(|item| item.step).collect()
    }

    fn add(&mut self, task: Option<u32>, class: Class, order: u64, step: Step) {
        let place = self.items.len();
        self.items.push(Item { order, class, depth: 0, place, task, step });
    }

    fn number(&mut self, id: &TaskId) -> u32 {
        if let Some(number) = self.by_id.get(id) {
            return *number;
        }
        let number = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        self.tasks.push(Place::default());
        self.by_id.insert(id.clone(), number);
        number
    }

    fn place(&self, number: u32) -> Option<&Place> {
        self.tasks.get(index(number))
    }

    /// Gives every task the latest order among itself and its ancestors, and its depth.
    fn place_all(&mut self) {
        let mut path = Vec::new();
        for start in 0..self.tasks.len() {
            let mut at = u32::try_from(start).ok();
            // Up to an ancestor that has its place; a cycle ends at the task that it began with.
            while let Some(number) = at {
                match self.tasks.get_mut(index(number)) {
                    Some(place) if place.placed.is_none() && !place.walked => {
                        place.walked = true;
                        path.push(number);
                        at = place.parent;
                    }
                    Some(_) | None => break,
                }
            }
            let mut above = at.and_then(|number| self.place(number)?.placed);
            while let Some(number) = path.pop() {
                if let Some(place) = self.tasks.get_mut(index(number)) {
                    let (order, depth) = above.unwrap_or_default();
                    // A task that is only named has no spawn to wait for.
                    let own = place.order.map_or(0, |own| own.max(order));
                    place.placed = Some((own, depth.saturating_add(1)));
                    above = place.placed;
                }
            }
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::wildcard_enum_match_arm, reason = "tests want one kind and no other")]

    use super::*;
    use taskledger::command::Orphan;

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    fn step(name: &str) -> Step {
        Step::Ready(Box::new(Orphan::new(id(name), "").into()))
    }

    fn names(sorter: Sorter) -> Vec<String> {
        let name = |step: Step| match step {
            Step::Ready(proposal) => proposal.command.task_id().unwrap().to_string(),
            other @ Step::Read { .. } => panic!("{other:?}"),
        };
        sorter.sort().into_iter().map(name).collect()
    }

    #[test]
    fn steps_go_by_time_and_parents_before_children_at_equal_times() {
        let mut sorter = Sorter::default();
        sorter.about(Some(&id("b")), Class::End, 7, step("b ends"));
        sorter.spawn(&id("c"), Some(&id("b")), 5, step("c"));
        sorter.spawn(&id("b"), Some(&id("a")), 5, step("b"));
        sorter.spawn(&id("a"), None, 5, step("a"));
        sorter.about(Some(&id("a")), Class::Middle, 6, step("a tells"));
        assert_eq!(names(sorter), ["a", "b", "c", "a tells", "b ends"]);
    }

    #[test]
    fn nothing_of_a_task_goes_before_its_spawn_nor_a_spawn_before_that_of_its_parent() {
        let mut sorter = Sorter::default();
        sorter.spawn(&id("child"), Some(&id("parent")), 1, step("child"));
        sorter.about(Some(&id("child")), Class::End, 2, step("child ends"));
        sorter.spawn(&id("parent"), None, 9, step("parent"));
        sorter.spawn(&id("other"), None, 3, step("other"));
        assert_eq!(names(sorter), ["other", "parent", "child", "child ends"]);
    }

    #[test]
    fn tasks_that_are_each_others_parents_are_still_all_there() {
        let mut sorter = Sorter::default();
        sorter.spawn(&id("a"), Some(&id("b")), 1, step("a"));
        sorter.spawn(&id("b"), Some(&id("c")), 2, step("b"));
        sorter.spawn(&id("c"), Some(&id("a")), 3, step("c"));
        sorter.spawn(&id("d"), Some(&id("d")), 4, step("d"));
        assert_eq!(names(sorter).len(), 4);
    }
}
