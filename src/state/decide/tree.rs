//! Rules of the tree: the parents that a task may have, its greatest depth, and no start below a
//! cancelled task.

use super::{
    super::{LedgerState, Rejection, Task},
    id_of, known,
};
use crate::{
    command::{ParentRef, Spawn},
    event::Parent,
    ids::{LedgerId, RunId},
};

/// The most levels that a tree of tasks can have.
pub const DEPTH_MAX: usize = 1_024;

/// The parent of a new task: never the task itself, and not too deep.
pub(super) fn placed(state: &LedgerState, spawn: &Spawn) -> Result<Option<Parent>, Rejection> {
    let Some(given) = &spawn.parent else { return Ok(None) };
    let parent = resolved(state, given)?;
    let same = spawn.task.as_ref().filter(|task| *task == parent.id());
    if let Some(task) = same
        && is_ours(state, given.ledger())
    {
        return Err(Rejection::Cycle { task: task.clone(), parent: task.clone() });
    }
    check_depth(parent_depth(state, Some(&parent)) + 1)?;
    Ok(Some(parent))
}

/// Decides once whether a parent is a task of this ledger.
pub(super) fn resolved(state: &LedgerState, parent: &ParentRef) -> Result<Parent, Rejection> {
    let id = match parent {
        ParentRef::Task(task) => id_of(task)?,
        ParentRef::InLedger { ledger: _, id } => id,
    };
    let (ledger, id) = (parent.ledger(), id.clone());
    if is_ours(state, ledger) && state.task(&id).is_some() {
        Ok(Parent::Local(id))
    } else {
        Ok(Parent::External { ledger, id })
    }
}

fn is_ours(state: &LedgerState, ledger: Option<LedgerId>) -> bool {
    ledger.is_none() || ledger == state.ledger()
}

fn parent_depth(state: &LedgerState, parent: Option<&Parent>) -> usize {
    match parent {
        Some(Parent::Local(parent)) => state.depth(parent),
        Some(Parent::External { .. }) | None => 0,
    }
}

fn check_depth(depth: usize) -> Result<(), Rejection> {
    if depth > DEPTH_MAX {
        return Err(Rejection::TooDeep { depth, max: DEPTH_MAX });
    }
    Ok(())
}

/// Checks that a task that moves, and all tasks below it, do not come below themselves or too deep.
pub(super) fn check_move(
    state: &LedgerState,
    task: &Task,
    to: Option<&Parent>,
) -> Result<(), Rejection> {
    let Some(Parent::Local(parent)) = to else { return Ok(()) };
    let below_itself =
        *parent == task.id || state.ancestors(parent).iter().any(|ancestor| ancestor.id == task.id);
    if below_itself {
        return Err(Rejection::Cycle { task: task.id.clone(), parent: parent.clone() });
    }
    let mut depth = parent_depth(state, to) + 1;
    let mut level = vec![&task.id];
    while !level.is_empty() {
        check_depth(depth)?;
        depth += 1;
        level = level.iter().flat_map(|id| state.children(id)).map(|task| &task.id).collect();
    }
    Ok(())
}

/// Checks that a Managed task does not start in a cancelled tree or by a cancelled run.
pub(super) fn check_not_cancelled(
    state: &LedgerState,
    run: Option<&RunId>,
    parent: Option<&Parent>,
) -> Result<(), Rejection> {
    check_run(state, run)?;
    let Some(Parent::Local(parent)) = parent else { return Ok(()) };
    let parent = known(state, parent)?;
    for above in std::iter::once(parent).chain(state.ancestors(&parent.id)) {
        if above.tree_cancel_seq.is_some() {
            return Err(Rejection::ParentCancelled { task: above.id.clone() });
        }
        if above.record.is_root() {
            check_run(state, above.record.run.as_ref())?;
        }
    }
    Ok(())
}

fn check_run(state: &LedgerState, run: Option<&RunId>) -> Result<(), Rejection> {
    match run {
        Some(run) if state.run_mark(run).is_some() => {
            Err(Rejection::ParentRunCancelled { run: run.clone() })
        }
        Some(_) | None => Ok(()),
    }
}
