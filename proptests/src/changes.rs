//! Doing what a difference says, so that it can be held against where it should lead.

use std::collections::BTreeMap;
use taskledger::{
    event::{Parent, TaskStatus},
    ids::TaskId,
    query::{Change, Diff, Field, Value},
    state::{LedgerState, Task},
};

/// What can be seen of the tasks of a state.
pub type Visible = BTreeMap<TaskId, Seen>;

/// What can be seen of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    status: TaskStatus,
    parent: Option<Parent>,
    fields: BTreeMap<Field, Value>,
}

/// What can be seen of these tasks.
pub fn visible<'s>(tasks: impl IntoIterator<Item = &'s std::sync::Arc<Task>>) -> Visible {
    tasks.into_iter().map(|task| (task.id.clone(), seen(task))).collect()
}

/// What can be seen of all of a state.
#[must_use]
pub fn all_visible(state: &LedgerState) -> Visible {
    visible(state.tasks())
}

fn seen(task: &Task) -> Seen {
    let fields = Field::ALL.into_iter().filter_map(|field| Some((field, field.of(task)?)));
    Seen { status: task.status, parent: task.record.parent.clone(), fields: fields.collect() }
}

/// Does to `before` what `diff` says.
///
/// # Errors
/// The first change that cannot be done, because what it starts from is not there.
pub fn done(mut before: Visible, diff: &Diff) -> Result<Visible, String> {
    for change in &diff.changes {
        do_one(&mut before, change).ok_or_else(|| format!("cannot be done: {change:?}"))?;
    }
    Ok(before)
}

fn do_one(tasks: &mut Visible, change: &Change) -> Option<()> {
    match change {
        Change::Spawned { task } => {
            let new = Seen { status: TaskStatus::Running, ..seen(task) };
            tasks.insert(task.id.clone(), new).is_none().then_some(())
        }
        Change::Vanished { task } => {
            let gone = tasks.remove(&task.id)?;
            (gone == seen(task)).then_some(())
        }
        Change::Ended { task, from, to } => replace(&mut tasks.get_mut(task)?.status, from, to),
        Change::Reparented { task, from, to } => {
            replace(&mut tasks.get_mut(task)?.parent, from, to)
        }
        Change::Changed { task, field, from, to } => {
            let fields = &mut tasks.get_mut(task)?.fields;
            let was = match to {
                Some(to) => fields.insert(*field, to.clone()),
                None => fields.remove(field),
            };
            (was == *from && from != to).then_some(())
        }
    }
}

/// A change that starts from what is there, and changes it.
fn replace<T: Clone + PartialEq>(held: &mut T, from: &T, to: &T) -> Option<()> {
    let was = std::mem::replace(held, to.clone());
    (was == *from && from != to).then_some(())
}
