//! Refusals: problem details (RFC 9457) of the contract's table, and of the server's own limits.

use crate::observe::{Expired, Limit};
use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;
use std::{error::Error, sync::Arc};
use taskledger::Code;
use taskledger_contract::{
    errors,
    questions::{AskError, RequestError},
    safe_json,
};

/// The longest text of a refusal, in characters. What was sent is repeated at most so far.
const DETAIL_CHARS_MAX: usize = 512;

/// The refusals that are the server's own, and no error of the ledger, with their statuses.
pub(crate) const OWN: [(u16, &str); 28] = [
    (400, "bad-request"),
    (400, "bad-host"),
    (400, "token-in-query"),
    (400, "key-missing"),
    (401, "unauthorized"),
    (403, "role"),
    (403, "host-not-allowed"),
    (403, "origin-not-allowed"),
    (403, "other-user"),
    (403, "other-node"),
    (404, "no-such-path"),
    (405, "method-not-allowed"),
    (408, "timeout"),
    (409, "loss-not-accepted"),
    (409, "not-promoted"),
    (409, "other-ledger"),
    (409, "higher-epoch"),
    (410, "session-gone"),
    (413, "too-large"),
    (415, "not-json"),
    (422, "answer-too-large"),
    (429, "limit"),
    (500, "no-answer"),
    (503, "limit"),
    (503, "not-promoted"),
    (503, "not-ready"),
    (503, "closing"),
    (508, "not-a-source"),
];

/// A refusal.
#[derive(Debug)]
pub(crate) struct Problem(Box<Told>);

#[derive(Debug)]
struct Told {
    status: StatusCode,
    /// The last part of its `type`.
    name: &'static str,
    detail: String,
    /// The seconds after which trying the same again may help.
    retry_after: Option<u16>,
    /// Members of its own.
    more: Vec<(&'static str, Value)>,
    /// The name of the token that was sent, if it has expired: for the log alone.
    expired: Option<Arc<str>>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, name: &'static str, detail: impl Into<String>) -> Self {
        let own = OWN.contains(&(status.as_u16(), name));
        let of_code = || Code::ALL.iter().any(|code| code.as_str() == name);
        debug_assert!(own || of_code(), "{status} {name} stands in no table");
        Self(Box::new(Told {
            status,
            name,
            detail: detail.into(),
            retry_after: None,
            more: Vec::new(),
            expired: None,
            header: None,
        }))
    }

    /// A refusal because of a limit of the server.
    pub(crate) fn limit(name: &'static str, max: usize, what: &str) -> Self {
        let detail = format!("{what}; the limit {name} is {max}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "limit", detail)
            .retry_after(1)
            .with("limit", name)
            .with("max", max)
    }

    /// A refusal for want of a token that holds.
    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// A refusal of a client that has tried too often.
    pub(crate) fn too_many_tries(max: usize) -> Self {
        let detail = "too many requests without a token that holds in the last minute";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "limit", detail)
            .retry_after(60)
            .with("limit", "failed_tokens_max")
            .with("max", max)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// A body that is not what it must be.
    pub(crate) fn invalid(error: &(dyn Error + 'static)) -> Self {
        Self::of_code(Code::Invalid, error)
    }

    pub(crate) fn forbidden(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, name, detail)
    }

    /// A method that a path does not take.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let detail = format!("this path takes {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
            .header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// An error of the ledger.
    pub(crate) fn of_code(code: Code, error: &(dyn Error + 'static)) -> Self {
        let status = StatusCode::from_u16(errors::http_status(code));
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut problem = Self::new(status, code.as_str(), chain(error));
        if code == Code::OutcomeUnknown {
            problem
                .0
                .detail
                .push_str("; with the same Idempotency-Key it is safe to send it again");
        }
        if matches!(status.as_u16(), 429 | 503 | 507) { problem.retry_after(1) } else { problem }
    }

    fn retry_after(mut self, seconds: u16) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same with a member of its own, after those that it has.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.more.push((name, value.into()));
        self
    }

    /// The same, of a request whose token has this name and holds no more. The log says so.
    pub(crate) fn of_expired(mut self, name: Arc<str>) -> Self {
        self.0.expired = Some(name);
        self
    }

    /// The same, and the connection ends with it.
    pub(crate) fn closing(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The same with a header of its own; one at most.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        next = cause.source();
    }
    told
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        if error == RequestError::NoPath {
            return Self::new(StatusCode::NOT_FOUND, "no-such-path", text);
        }
        Self::bad_request(text)
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error.code() {
            Some(code) => Self::of_code(code, &error),
            None => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no-answer", chain(&error)),
        }
    }
}

impl Told {
    /// The document. A text of a task that stands in it cannot act on a terminal.
    fn to_json(&self) -> String {
        // Texts and numbers are always written.
        safe_json::safe(&serde_json::to_string(self).unwrap_or_default()) + "\n"
    }
}

/// The members in the order of [`ProblemBody`](taskledger_contract::answers::ProblemBody).
impl Serialize for Told {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let detail: String = self.detail.chars().take(DETAIL_CHARS_MAX).collect();
        let mut members = to.serialize_map(None)?;
        members.serialize_entry("type", &format!("urn:taskledger:problem:{}", self.name))?;
        members.serialize_entry("title", &self.name.replace('-', " "))?;
        members.serialize_entry("status", &self.status.as_u16())?;
        members.serialize_entry("code", self.name)?;
        members.serialize_entry("detail", &detail)?;
        members.serialize_entry("retryable", &self.retry_after.is_some())?;
        for (name, value) in &self.more {
            members.serialize_entry(name, value)?;
        }
        members.end()
    }
}

impl Problem {
    /// The document on one line, without its end.
    pub(crate) fn to_line(&self) -> String {
        self.0.to_json().trim_end().to_owned()
    }

    /// The whole response as bytes, for a connection that is not served.
    pub(crate) fn to_http(&self) -> String {
        let (status, body) = (self.0.status, self.0.to_json());
        let retry = self.0.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n"));
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             {}connection: close\r\n\r\n{body}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
            retry.unwrap_or_default(),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0.to_json()));
        *response.status_mut() = self.0.status;
        let limit = self.0.more.iter().find(|(name, _)| *name == "limit");
        if let Some(limit) = limit.and_then(|(_, limit)| limit.as_str()) {
            response.extensions_mut().insert(Limit(limit.to_owned()));
        }
        if let Some(name) = self.0.expired {
            response.extensions_mut().insert(Expired(name));
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.0.retry_after.map(|seconds| (RETRY_AFTER, seconds.into())));
        headers.extend(self.0.header);
        response
    }
}
