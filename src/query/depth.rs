//! The depths of many tasks, without climbing the same ancestors again and again.

use crate::{event::Parent, ids::TaskId, state::LedgerState};
use std::collections::{BTreeMap, BTreeSet};

/// Gives the same depth as [`LedgerState::depth`], and remembers it.
#[derive(Debug)]
pub(super) struct Depths<'s> {
    state: &'s LedgerState,
    known: BTreeMap<&'s TaskId, usize>,
}

impl<'s> Depths<'s> {
    pub(super) fn new(state: &'s LedgerState) -> Self {
        Self { state, known: BTreeMap::new() }
    }

    /// 1 for a task without a parent here, one more for each ancestor; 0 if it is unknown.
    /// O(1) on average when all tasks of a tree are asked for.
    pub(super) fn of(&mut self, id: &TaskId) -> usize {
        let mut path = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = self.state.task(id);
        let mut depth = 0;
        while let Some(task) = at {
            if let Some(known) = self.known.get(&task.id) {
                depth = *known;
                break;
            }
            if !seen.insert(&task.id) {
                // A cycle: its tasks have no depth to build on.
                return self.state.depth(id);
            }
            path.push(&task.id);
            at = match &task.record.parent {
                Some(Parent::Local(parent)) => self.state.task(parent),
                Some(Parent::External { .. }) | None => None,
            };
        }
        for id in path.into_iter().rev() {
            depth += 1;
            self.known.insert(id, depth);
        }
        depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::testing::{Log, task};

    #[test]
    fn a_depth_is_that_of_the_state() {
        let mut log = Log::new();
        log.spawn("t", "a", None);
        log.spawn("t", "b", Some("a"));
        log.spawn("u", "c", Some("b"));
        log.spawn("t", "d", Some("elsewhere"));
        log.spawn("t", "e", Some("d"));
        let state = log.state_now();
        let mut depths = Depths::new(&state);
        for id in ["c", "b", "a", "e", "d", "c", "x"] {
            assert_eq!(depths.of(&task(id)), state.depth(&task(id)), "{id}");
        }
        assert_eq!(depths.of(&task("c")), 3);
        assert_eq!(depths.of(&task("d")), 1);
    }

    #[test]
    fn a_cycle_ends() {
        let mut log = Log::new();
        log.spawn("t", "a", None);
        log.spawn("t", "b", Some("a"));
        log.spawn("t", "c", Some("b"));
        log.forge_parent("a", Some("b"));
        let state = log.state_now();
        let mut depths = Depths::new(&state);
        for id in ["c", "b", "a"] {
            assert_eq!(depths.of(&task(id)), state.depth(&task(id)), "{id}");
        }
    }
}
