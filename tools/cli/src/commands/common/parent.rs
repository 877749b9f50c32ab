//! The parent of a task that is about to be recorded.

use crate::exit::Problem;
use anyhow::Result;
use taskledger::{ids::TaskId, ledger::Reader};

/// Refuses a parent that is not where the arguments say: a typo would be on the record for good.
pub fn check_parent(
    reader: &Reader,
    parent: Option<&TaskId>,
    external: Option<&TaskId>,
) -> Result<()> {
    if let Some(id) = parent
        && reader.task(id)?.is_none()
    {
        let text = format!("no task {:?} that could be the parent", id.as_str());
        return Err(Problem::not_found(text)
            .hint(
                "`taskledger tasks` lists them; --external-parent names one outside of this ledger",
            )
            .into());
    }
    if let Some(id) = external
        && reader.task(id)?.is_some()
    {
        let text = format!("task {:?} is in this ledger", id.as_str());
        return Err(Problem::usage(text).hint("--parent names it").into());
    }
    Ok(())
}
