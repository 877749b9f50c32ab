//! A node among those that hold the ledger.

use super::Role;
use crate::ids::{Epoch, Head, LedgerId, NodeId};

/// A node, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its ledger.
    pub ledger: LedgerId,
    /// The node: one copy of the ledger.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// The epoch below which it acknowledges nothing any more, if it has promised one.
    pub promised: Option<Epoch>,
    /// The epoch of its log; none if that is empty.
    pub epoch: Option<Epoch>,
    /// Its durable head.
    pub head: Head,
}
