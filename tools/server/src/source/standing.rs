//! The standing of a node before those that ask it for events: in charge, frozen, or none.

use crate::problem::Problem;
use axum::http::StatusCode;
use std::cmp::Ordering;
use taskledger::{
    Code,
    ids::Epoch,
    ledger::{NodeStatus, Role},
};
use taskledger_contract::answers::EpochItem;

/// The standing of a node that has events to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the primary.
    Primary,
    /// Its log does not grow: it has promised this epoch to a candidate, which may fetch what it lacks. A
    /// standby that only follows would get events here that the next primary may not have.
    Frozen(Epoch),
}

impl Standing {
    /// The standing of this node.
    ///
    /// # Errors
    /// The refusal of one that has none: a standby that follows a primary, and a ledger that is only read.
    pub(super) fn of(status: &NodeStatus) -> Result<Self, Problem> {
        match status.role {
            Role::Primary => Ok(Self::Primary),
            Role::Fenced { by } => Ok(Self::Frozen(by)),
            Role::Standby => status
                .promised
                .filter(|promised| number(Some(*promised)) > number(status.epoch))
                .map(Self::Frozen)
                .ok_or_else(|| not_a_source("this node is a standby itself")),
            Role::Copying | Role::ReadOnly => Err(not_a_source("this node is no primary")),
        }
    }

    /// Refuses a node that would follow a log that does not grow.
    pub(super) fn check(self, follow: bool) -> Result<(), Problem> {
        match self {
            Self::Frozen(by) if follow => Err(fenced(by)),
            Self::Primary | Self::Frozen(_) => Ok(()),
        }
    }
}

/// Says that the log `asked` of a standby is of a higher epoch than that of its source, so that another node
/// took over from the source.
pub(super) fn took_over(asked: Option<Epoch>, own: Option<Epoch>) -> Option<Epoch> {
    asked.filter(|_| number(asked).cmp(&number(own)) == Ordering::Greater)
}

fn number(epoch: Option<Epoch>) -> u64 {
    epoch.map_or(0, |epoch| epoch.number)
}

/// The refusal of a node that gives no events to others.
pub(super) fn not_a_source(why: &str) -> Problem {
    Problem::new(StatusCode::LOOP_DETECTED, "not-a-source", why)
}

/// The refusal of a node from which another one took over.
pub(crate) fn fenced(by: Epoch) -> Problem {
    let text = format!("this node is fenced by epoch {by}: another node is in charge");
    Problem::new(StatusCode::MISDIRECTED_REQUEST, Code::Fenced.as_str(), text)
        .with("epoch", member(by))
}

/// The refusal of a promise by a node that has promised, or has, another epoch that is not below.
pub(super) fn higher(epoch: Epoch) -> Problem {
    let text = format!("this node has promised epoch {epoch}, which is not below");
    Problem::new(StatusCode::CONFLICT, "higher-epoch", text).with("epoch", member(epoch))
}

/// An epoch as a member of a refusal.
fn member(epoch: Epoch) -> serde_json::Value {
    serde_json::to_value(EpochItem::from(epoch)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskledger::ids::{Head, LedgerId, NodeId};

    fn status(role: Role, epoch: Option<u64>, promised: Option<u64>) -> NodeStatus {
        let epoch_of = |number| Epoch { number, nonce: 7 };
        NodeStatus {
            ledger: LedgerId([1; 16]),
            node: NodeId([2; 16]),
            role,
            promised: promised.map(epoch_of),
            epoch: epoch.map(epoch_of),
            head: Head::EMPTY,
        }
    }

    #[test]
    fn a_standby_gives_events_to_a_candidate_alone() {
        let by = Epoch { number: 2, nonce: 7 };
        let of = |role, epoch, promised| Standing::of(&status(role, epoch, promised)).ok();
        assert_eq!(of(Role::Primary, Some(1), None), Some(Standing::Primary));
        assert_eq!(of(Role::Fenced { by }, Some(1), Some(2)), Some(Standing::Frozen(by)));
        assert_eq!(of(Role::Standby, Some(1), Some(2)), Some(Standing::Frozen(by)));
        assert_eq!(of(Role::Standby, None, Some(2)), Some(Standing::Frozen(by)));
        // It follows the node that took over: its promise is kept, and its log grows.
        assert_eq!(of(Role::Standby, Some(2), Some(2)), None);
        assert_eq!(of(Role::Standby, Some(1), None), None);
        assert_eq!(of(Role::ReadOnly, Some(1), Some(2)), None);
        assert!(Standing::Primary.check(true).is_ok());
        assert!(Standing::Frozen(by).check(false).is_ok());
        assert!(Standing::Frozen(by).check(true).is_err());
    }

    #[test]
    fn equal_numbers_take_over_from_nobody() {
        let epoch = |number, nonce| Some(Epoch { number, nonce });
        assert_eq!(took_over(epoch(2, 1), epoch(1, 9)), epoch(2, 1));
        assert_eq!(took_over(epoch(1, 1), None), epoch(1, 1));
        for asked in [epoch(2, 1), epoch(1, 1), None] {
            assert_eq!(took_over(asked, epoch(2, 9)), None);
        }
    }
}
