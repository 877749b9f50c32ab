//! Probes: is the process alive, and can it do its work? Neither holds data.

use crate::{problem::Problem, service::Service};
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use std::time::Duration;
use taskledger::{ledger::Role, query::parse_duration, replication::standby::Status};

/// Answers as long as the process does.
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// Answers whether questions are answered from the end of the log, and whether appends are taken if
/// the ledger is one that takes them.
///
/// Of a standby `max_lag=DURATION` asks, too, whether it had all events of its source so lately.
pub(crate) async fn ready(State(service): State<Service>, uri: Uri) -> Response {
    let refuse = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why);
    if let Some(why) = service.not_ready() {
        return refuse(why.to_owned()).into_response();
    }
    let max_lag = match max_lag(&uri) {
        Ok(max_lag) => max_lag,
        Err(problem) => return problem.into_response(),
    };
    if service.ledger().role() != Role::Standby {
        return "ready\n".into_response();
    }
    let (status, lag, _) = service.nodes().followed();
    if let Status::Resting(rest) = status {
        return refuse(format!("the standby waits for an operator: {rest}")).into_response();
    }
    match max_lag.filter(|max| lag.age.is_none_or(|age| age > *max)) {
        None => "ready\n".into_response(),
        Some(max) => {
            let text =
                format!("the standby had all events of its source more than {max:?} ago, or never");
            refuse(text).into_response()
        }
    }
}

/// The longest lag that is asked for, if one is.
fn max_lag(uri: &Uri) -> Result<Option<Duration>, Problem> {
    let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(None) };
    let max = query.strip_prefix("max_lag=").and_then(parse_duration);
    max.map(Some).ok_or_else(|| Problem::bad_request("expected max_lag=DURATION, such as 5s"))
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
