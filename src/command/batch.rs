//! Several proposals that are recorded together or not at all.

use super::{Proposal, Spawn, Spawned};
use std::{ops::Deref, sync::Arc};

/// Proposals that are recorded together, in this order, or not at all. Cheap to clone: clones share
/// the proposals, so a refused batch can be tried again.
///
/// An array or a `Vec` of proposals or commands becomes a batch by `into`, and so does one alone.
/// Each is decided against the state after those before it, so a later one can be about a task that
/// an earlier one spawns, even while that task has no id:
///
/// ```
/// use taskledger::{Ledger, Options, ids::ThreadId};
/// use taskledger::command::{Batch, Emit, Finish, Spawn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = Ledger::in_memory(Options::default())?;
/// let thread = ThreadId::new("session-1")?;
/// let mut batch = Batch::new();
/// let agent = batch.spawn(Spawn::new(&thread, "sub_agent"));
/// let tool = batch.spawn(Spawn::new(&thread, "tool").parent(agent));
/// batch.add(Finish::completed(tool).result("[1, 2, 3]"));
/// batch.add(Emit::new(agent, "progress", r#"{"found":3}"#));
/// let receipts = ledger.append_blocking(batch)?;
/// assert_eq!(receipts[agent.index()].task.as_ref().map(|id| id.as_str()), Some("bg_0"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch(Arc<Vec<Proposal>>);

impl Batch {
    /// A batch without proposals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a proposal after the others.
    pub fn add(&mut self, proposal: impl Into<Proposal>) {
        Arc::make_mut(&mut self.0).push(proposal.into());
    }

    /// Adds a spawn after the others. The returned value names the task in later proposals of this
    /// batch, as their task or their parent; its `index` is that of the spawn's receipt.
    pub fn spawn(&mut self, spawn: Spawn) -> Spawned {
        let spawned = Spawned::at(self.len());
        self.add(spawn);
        spawned
    }
}

/// The proposals, in order.
impl Deref for Batch {
    type Target = [Proposal];

    fn deref(&self) -> &[Proposal] {
        &self.0
    }
}

impl<P: Into<Proposal>> FromIterator<P> for Batch {
    fn from_iter<I: IntoIterator<Item = P>>(proposals: I) -> Self {
        Self(Arc::new(proposals.into_iter().map(Into::into).collect()))
    }
}

impl<P: Into<Proposal>> From<P> for Batch {
    fn from(proposal: P) -> Self {
        Self(Arc::new(vec![proposal.into()]))
    }
}

impl<P: Into<Proposal>, const N: usize> From<[P; N]> for Batch {
    fn from(proposals: [P; N]) -> Self {
        proposals.into_iter().collect()
    }
}

impl<P: Into<Proposal> + Clone> From<&[P]> for Batch {
    fn from(proposals: &[P]) -> Self {
        proposals.iter().cloned().collect()
    }
}

impl<P: Into<Proposal>> From<Vec<P>> for Batch {
    fn from(proposals: Vec<P>) -> Self {
        proposals.into_iter().collect()
    }
}

/// Copies them only if a clone of the batch is still there.
impl From<Batch> for Vec<Proposal> {
    fn from(batch: Batch) -> Self {
        Arc::unwrap_or_clone(batch.0)
    }
}
