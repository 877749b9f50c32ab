//! The parent of a task that is about to be recorded.

use crate::{exit::Problem, facts::Facts};
use anyhow::Result;
use taskledger::ids::TaskId;

/// Refuses a parent that is not where the arguments say: a typo would be on the record for good.
pub fn check_parent(
    facts: &Facts,
    parent: Option<&TaskId>,
    external: Option<&TaskId>,
) -> Result<()> {
    if let Some(id) = parent
        && !facts.has_task(id)?
    {
        let text = format!("no task {:?} that could be the parent", id.as_str());
        return Err(Problem::not_found(text)
            .hint(
                "`taskledger tasks` lists them; --external-parent names one outside of this ledger",
            )
            .into());
    }
    if let Some(id) = external
        && facts.has_task(id)?
    {
        let text = format!("task {:?} is in this ledger", id.as_str());
        return Err(Problem::usage(text).hint("--parent names it").into());
    }
    Ok(())
}
