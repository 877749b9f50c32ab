//! The requests to cancel that bind a part of the ledger, held against those of all of it.

use taskledger::{ids::TaskId, query::View, state::LedgerState};

/// Whether `view`, a part of what was true, knows the requests that bind these tasks as `all` of it
/// does: those of the tasks and of the ancestors that they have there, whatever thread they are of.
///
/// # Errors
/// The first difference.
pub fn same_marks<'t>(
    view: &View,
    tasks: impl IntoIterator<Item = &'t TaskId>,
    all: &LedgerState,
) -> Result<(), String> {
    for task in tasks.into_iter().filter_map(|id| all.task(id)) {
        for above in std::iter::once(task).chain(all.ancestors(&task.id)) {
            let of_run = |run| (view.run_mark(run), all.run_mark(run));
            let tree = (view.tree_mark(&above.id), all.tree_mark(&above.id));
            let run = above.record.run.as_ref().map_or((None, None), of_run);
            if tree.0 != tree.1 || run.0 != run.1 {
                let (task, above, position) = (&task.id, &above.id, view.position);
                return Err(format!(
                    "at {position:?} {above}, above {task}: its tree {tree:?}, its run {run:?}"
                ));
            }
        }
    }
    Ok(())
}
