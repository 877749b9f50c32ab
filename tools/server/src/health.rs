//! Probes: is the process alive, and can it do its work? Neither holds data.

use crate::{problem::Problem, service::Service};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use taskledger::ledger::Role;

/// Answers as long as the process does.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// Answers whether questions are answered from the end of the log, and whether appends are taken if
/// the ledger is one that takes them.
pub(crate) async fn ready(State(service): State<Service>) -> Response {
    match service.not_ready() {
        None => "ready\n".into_response(),
        Some(why) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why).into_response()
        }
    }
}

impl Service {
    /// The reason that the server cannot do its work, as `/readyz` says it; `None` while it can. O(1).
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.closing().is_cancelled() {
            Some("the server stops")
        } else if self.ledger().is_halted() {
            Some("the ledger is halted: open it again")
        } else if matches!(self.ledger().role(), Role::Fenced { .. }) {
            Some("the node is fenced: another one is in charge")
        } else if self.ledger().role() == Role::ReadOnly && !self.freshness().is_fresh() {
            Some("the end of the log could not be read for some seconds")
        } else {
            None
        }
    }
}
