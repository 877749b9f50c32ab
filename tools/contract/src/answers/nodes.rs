//! The nodes that hold one ledger, and how far each of them is.

use super::{Body, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskledger::{
    ids::{Epoch, Head, LedgerId, NodeId, Root, Size},
    ledger::{NodeStatus, Role},
};

/// A primary's time in charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpochItem {
    /// Grows by one with each promotion.
    pub number: u64,
    /// Random: it tells two of one number apart.
    pub nonce: u64,
}

/// A node of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeBody {
    /// The ledger's id.
    pub ledger: String,
    /// The node's id.
    pub node: String,
    /// `primary`, `standby`, `fenced`, `copying`, `divergent` or `read_only`.
    pub role: String,
    /// The epoch of its log; null if that is empty.
    pub epoch: Option<EpochItem>,
    /// The epoch below which it acknowledges nothing any more; null if it has promised none.
    pub promised: Option<EpochItem>,
    /// Its durable events.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
}

/// A standby, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowingBody {
    /// The node.
    pub node: NodeBody,
    /// `following`, `catching_up`, `disconnected` or `resting`: then an operator must act.
    pub state: String,
    /// Why it is not following, as far as is known.
    pub why: Option<String>,
    /// The address of the source that it follows, or tries to.
    pub source: Option<String>,
    /// The node of the source, once it has greeted.
    pub source_node: Option<String>,
    /// Events that the source is known to have and that are not durable here.
    pub lag_events: u64,
    /// About so many bytes of events.
    pub lag_bytes: u64,
    /// Milliseconds since it was last known to have all events; null if it never was.
    pub lag_ms: Option<u64>,
}

/// A standby, as its source sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StandbyItem {
    /// The standby's node id.
    pub node: String,
    /// True while it has a stream.
    pub connected: bool,
    /// Its durable events, as it has acknowledged.
    pub size: u64,
    /// Events of the source that it has not acknowledged.
    pub lag_events: u64,
    /// About so many bytes of events.
    pub lag_bytes: u64,
    /// Milliseconds since it last had all; null if it never had.
    pub lag_ms: Option<u64>,
}

/// A promotion that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotedBody {
    /// The node that is the primary now.
    pub node: NodeBody,
    /// True if an acknowledged event may have been lost.
    pub may_have_lost: bool,
    /// Of a loss: milliseconds since this node last had all; null if it never had.
    pub window_ms: Option<u64>,
    /// Of a loss: events of which was heard and that are not here. There may be others.
    pub window_events: u64,
    /// About so many bytes of them.
    pub window_bytes: u64,
    /// Addresses of nodes that do not know of it yet. They are told as long as this node runs.
    pub untold: Vec<String>,
}

/// A node that follows another primary than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejoinedBody {
    /// Its directory.
    pub path: String,
    /// Its events, which the primary has, too.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
    /// The directory in which its own history is kept; null if that did not part from the primary's.
    pub divergent: Option<String>,
    /// The events of that which are in no other history.
    pub events: u64,
    /// Redactions among them that are to be repeated: `taskledger divergent show` tells how.
    pub redactions: u64,
}

/// Asks for a promise to acknowledge nothing below an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromiseRequest {
    /// The epoch.
    pub epoch: EpochItem,
}

/// Says that an epoch has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpochRequest {
    /// The epoch.
    pub epoch: EpochItem,
    /// Events of the log with the first one of the epoch.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
}

/// Says how far a standby is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AckRequest {
    /// The session that the stream has named.
    pub session: String,
    /// Its durable events.
    pub size: u64,
    /// The root over them, in hex.
    pub root: String,
}

/// Asks a standby to become the primary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Go on without the primary: events that only it has are lost.
    #[serde(default)]
    pub accept_loss: bool,
    /// Go on only if the newest epoch that is heard of has this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_epoch: Option<u64>,
}

impl From<Epoch> for EpochItem {
    fn from(Epoch { number, nonce }: Epoch) -> Self {
        Self { number, nonce }
    }
}

impl From<EpochItem> for Epoch {
    fn from(EpochItem { number, nonce }: EpochItem) -> Self {
        Self { number, nonce }
    }
}

impl From<NodeStatus> for NodeBody {
    fn from(status: NodeStatus) -> Self {
        Self {
            ledger: status.ledger.to_string(),
            node: status.node.to_string(),
            role: role_name(status.role).to_owned(),
            epoch: status.epoch.map(Into::into),
            promised: status.promised.map(Into::into),
            size: status.head.size.get(),
            root: status.head.root.to_string(),
        }
    }
}

impl NodeBody {
    /// The same as the library has it; `None` if it is no node.
    #[must_use]
    pub fn status(&self) -> Option<NodeStatus> {
        let promised = self.promised.map(Epoch::from);
        let role = match self.role.as_str() {
            "primary" => Role::Primary,
            "standby" => Role::Standby,
            "fenced" => Role::Fenced { by: promised? },
            "copying" => Role::Copying,
            "read_only" => Role::ReadOnly,
            _ => return None,
        };
        Some(NodeStatus {
            ledger: LedgerId(from_hex(&self.ledger)?),
            node: NodeId(from_hex(&self.node)?),
            role,
            promised,
            epoch: self.epoch.map(Into::into),
            head: Head { size: Size::new(self.size), root: Root(from_hex(&self.root)?) },
        })
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Standby => "standby",
        Role::Fenced { .. } => "fenced",
        Role::Copying => "copying",
        Role::ReadOnly => "read_only",
    }
}

/// The bytes that exactly so many hexadecimal digits stand for.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl Body for NodeBody {
    const SCHEMA: &'static str = "taskledger.node/v1";
}

impl Body for FollowingBody {
    const SCHEMA: &'static str = "taskledger.following/v1";
}

impl Body for PromotedBody {
    const SCHEMA: &'static str = "taskledger.promoted/v1";
}

impl Body for RejoinedBody {
    const SCHEMA: &'static str = "taskledger.rejoined/v1";
}

impl Row for StandbyItem {
    const SCHEMA: &'static str = "taskledger.standbys/v1";
    const FIELDS: &'static [&'static str] =
        &["node", "connected", "size", "lag_events", "lag_bytes", "lag_ms"];

    fn name(&self) -> String {
        self.node.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        let by = Epoch { number: 3, nonce: u64::MAX };
        for role in [Role::Primary, Role::Standby, Role::Fenced { by }, Role::ReadOnly] {
            let status = NodeStatus {
                ledger: LedgerId([1; 16]),
                node: NodeId([0xab; 16]),
                role,
                promised: Some(by),
                epoch: Some(Epoch { number: 2, nonce: 0 }),
                head: Head { size: Size::new(7), root: Root([0xcd; 32]) },
            };
            let json = serde_json::to_string(&NodeBody::from(status)).unwrap();
            let read: NodeBody = serde_json::from_str(&json).unwrap();
            assert_eq!(read.status(), Some(status));
        }
    }

    #[test]
    fn digits_that_are_none_are_no_bytes() {
        assert_eq!(from_hex::<2>("0aFf"), Some([0x0a, 0xff]));
        assert_eq!([from_hex::<2>("0aF"), from_hex::<2>("0aFg"), from_hex::<2>("+aFf")], [None; 3]);
    }
}
