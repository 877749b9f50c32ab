//! Several proposals that are recorded together or not at all.

use super::Proposal;
use std::{ops::Deref, sync::Arc};

/// Proposals that are recorded together, in this order, or not at all. Cheap to clone: clones share
/// the proposals, so a refused batch can be tried again.
///
/// An array or a `Vec` of proposals or commands becomes a batch by `into`, and so does one alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch(Arc<Vec<Proposal>>);

impl Batch {
    /// A batch without proposals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a proposal behind the others.
    pub fn add(&mut self, proposal: impl Into<Proposal>) {
        Arc::make_mut(&mut self.0).push(proposal.into());
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

impl<P: Into<Proposal>, const N: usize> From<[P; N]> for Batch {
    fn from(proposals: [P; N]) -> Self {
        proposals.into_iter().collect()
    }
}

impl<P: Into<Proposal>> From<Vec<P>> for Batch {
    fn from(proposals: Vec<P>) -> Self {
        proposals.into_iter().collect()
    }
}

impl From<Proposal> for Batch {
    fn from(proposal: Proposal) -> Self {
        Self(Arc::new(vec![proposal]))
    }
}

/// Copies them only if a clone of the batch is still there.
impl From<Batch> for Vec<Proposal> {
    fn from(batch: Batch) -> Self {
        Arc::unwrap_or_clone(batch.0)
    }
}
