//! The routes of a standby: its state, and its promotion.

use super::{promote, wire};
use crate::{problem::Problem, service::Service};
use axum::http::StatusCode;
use taskledger::replication::{
    candidate::{Claim, Outcome, PromoteError, Wishes},
    standby::Status,
};
use taskledger_contract::answers::{FollowingBody, NodeBody, PromoteRequest, PromotedBody};
use tokio::sync::oneshot;

/// The state of this node as a standby.
pub(crate) fn status(service: &Service) -> FollowingBody {
    let nodes = service.nodes();
    let (state, lag, why) = nodes.followed();
    let (source, source_node) = nodes.source();
    FollowingBody {
        node: service.ledger().node_status().into(),
        state: match state {
            Status::Disconnected => "disconnected",
            Status::CatchingUp => "catching_up",
            Status::Following => "following",
            Status::Resting(_) => "resting",
        }
        .to_owned(),
        why,
        source,
        source_node: source_node.map(|node| node.to_string()),
        lag_events: lag.events,
        lag_bytes: lag.bytes,
        lag_ms: lag.age.map(wire::millis),
    }
}

/// Makes this node the primary, whatever becomes of the client.
pub(crate) async fn answer(
    service: &Service,
    request: PromoteRequest,
) -> Result<PromotedBody, Problem> {
    let PromoteRequest { accept_loss, expect_epoch } = request;
    let wishes = Wishes { accept_loss, expect_epoch };
    let (tell, told) = oneshot::channel();
    let own = service.clone();
    service.spawn(async move {
        let _ = tell.send(promote(own, wishes).await);
    });
    let died = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", "it has died");
    match told.await.map_err(|_| died())? {
        Ok(outcome) => Ok(promoted(service, &outcome)),
        Err(error) => Err(refusal(&error)),
    }
}

fn promoted(service: &Service, outcome: &Outcome) -> PromotedBody {
    let window = match outcome.claim {
        Claim::Nothing => None,
        Claim::Window(heard) => Some(heard),
    };
    let nodes = service.nodes();
    PromotedBody {
        node: NodeBody::from(service.ledger().node_status()),
        may_have_lost: window.is_some(),
        window_ms: window.and_then(|heard| heard.age).map(wire::millis),
        window_events: window.map_or(0, |heard| heard.events),
        window_bytes: window.map_or(0, |heard| heard.bytes),
        untold: outcome.untold.iter().map(|peer| nodes.name_of(*peer)).collect(),
    }
}

/// A promotion that was not made. Nothing was lost; a promise that was made stays.
fn refusal(error: &PromoteError) -> Problem {
    let (status, name) = match error {
        PromoteError::NoPrimary { .. }
        | PromoteError::Unsettled { .. }
        | PromoteError::Rivals { .. } => (StatusCode::CONFLICT, "loss-not-accepted"),
        PromoteError::IsPrimary { .. }
        | PromoteError::OtherEpoch { .. }
        | PromoteError::OtherLedger { .. }
        | PromoteError::NotHere { .. }
        | PromoteError::Outbid { .. } => (StatusCode::CONFLICT, "not-promoted"),
        PromoteError::Unfetched { .. } | PromoteError::Failed { .. } | _ => {
            (StatusCode::SERVICE_UNAVAILABLE, "not-promoted")
        }
    };
    Problem::new(status, name, error.to_string())
}
