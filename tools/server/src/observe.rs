//! A look at each request: it is counted, and told in the log where that is wanted.
//!
//! All that is counted and told comes from closed sets or from the operator: the method, the template of
//! the path, the status, the name of a token. Nothing of what a client or a task says.

use crate::{routes, service::Service};
use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use std::{sync::Arc, time::Instant};

/// The name of the token of a request, beside its response.
#[derive(Debug, Clone)]
pub(crate) struct Client(pub(crate) Arc<str>);

/// The name of the token of a request that was refused since the token has expired, beside its response.
#[derive(Debug, Clone)]
pub(crate) struct Expired(pub(crate) Arc<str>);

/// The limit that a request met, beside its response.
#[derive(Debug, Clone)]
pub(crate) struct Limit(pub(crate) String);

/// The template of a path that leads to nothing.
const OTHER: &str = "other";

/// Counts a request, and tells of it at level `info`, once the head of its response is there.
pub(crate) async fn observe(
    State(service): State<Service>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let (method, route) = (method(request.method()), route(request.uri().path()));
    let mut response = next.run(request).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    let client = response.extensions_mut().remove::<Client>();
    let expired = response.extensions_mut().remove::<Expired>();
    let limit = response.extensions_mut().remove::<Limit>();
    service.metrics().request(method, route, status, took);
    if let Some(Limit(limit)) = limit {
        service.metrics().refused(&limit);
    }
    let token = expired.is_some().then_some("expired");
    let client = client.map(|Client(name)| name).or(expired.map(|Expired(name)| name));
    tracing::info!(
        method,
        route,
        status,
        elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        client = client.as_deref(),
        token,
        // A stream has no length.
        bytes = response.body().size_hint().exact(),
        "request"
    );
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => OTHER,
    }
}

/// The template of a path.
fn route(path: &str) -> &'static str {
    routes::template(path).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route that is added stands in the documentation, so it is found here.
    #[test]
    fn every_documented_path_has_a_template_without_ids() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `/v1/"));
        let templates: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
        assert!(templates.len() > 20, "{templates:?}");
        for template in templates {
            let template = format!("/v1/{template}");
            let fill = |segment: &str| segment.replace('{', "a%2F").replace('}', "");
            let path: Vec<String> = template.split('/').map(fill).collect();
            assert_eq!(route(&path.join("/")), template);
        }
    }

    #[test]
    fn a_path_that_leads_to_nothing_is_one_of_many() {
        for path in ["/", "", "/v1/", "/v1/x", "/v1/tasks/a/b", "/v1/tasks/a/why/b", "/v2/tasks"] {
            assert_eq!(route(path), OTHER, "{path}");
        }
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }
}
