use super::*;
use crate::{
    guard::{Peer, Role},
    nodes::Shown,
    routes::ROUTES,
    tokens::{self, TokenFile},
};
use axum::{
    body::Body,
    http::{Method, StatusCode, header::AUTHORIZATION, header::HOST},
};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use taskledger::{Options, ids::NodeId};

/// The roles of which each allows those before it.
const ORDER: [Role; 3] = [Role::Read, Role::Append, Role::Admin];

/// A service, and a token of each role.
fn service() -> (Service, tempfile::TempDir, Vec<(Role, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let tokens =
        Role::ALL.map(|role| (role, tokens::add(&file, role.as_str(), role, None).unwrap()));
    let mut options = ServerOptions::default();
    options.hosts.insert("x".to_owned());
    options.tokens = Some(Arc::new(TokenFile::open(&file).unwrap()));
    let ledger = Ledger::in_memory(Options::default()).unwrap();
    (Service::new(ledger, None, options), dir, tokens.to_vec())
}

/// True if a request is refused for its role.
async fn refused(service: &Service, request: axum::http::Request<Body>) -> bool {
    let response = TowerToHyperService::new(service.router()).call(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_ne!(status, StatusCode::UNAUTHORIZED, "{body:?}");
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    assert_eq!(told["code"] == "role", status == StatusCode::FORBIDDEN, "{told}");
    status == StatusCode::FORBIDDEN
}

fn request(is_get: bool, path: &str) -> axum::http::request::Builder {
    let method = if is_get { Method::GET } else { Method::POST };
    let path = path.replace("{seq}", "1").replace(['{', '}'], "");
    Request::builder().method(method).uri(path).header(HOST, "x")
}

#[tokio::test]
async fn each_role_may_do_what_it_allows_at_every_route_and_nothing_else() {
    let (service, _dir, tokens) = service();
    let place = |role: Role| ORDER.iter().position(|of| *of == role);
    for route in ROUTES {
        let needed = route.does.role();
        for (role, token) in &tokens {
            let allowed = match needed {
                None => true,
                Some(needed) => match (place(*role), place(needed)) {
                    (Some(has), Some(needs)) => has >= needs,
                    // Replication stands apart.
                    (None, _) | (_, None) => *role == needed,
                },
            };
            let request = request(route.does.is_get(), route.path)
                .header(AUTHORIZATION, format!("Bearer {token}"));
            let refused = refused(&service, request.body(Body::empty()).unwrap()).await;
            assert_eq!(refused, !allowed, "{role:?} {}", route.path);
        }
        // At the socket every role holds but replicate.
        let request = request(route.does.is_get(), route.path).extension(Peer::Socket);
        let refused = refused(&service, request.body(Body::empty()).unwrap()).await;
        assert_eq!(refused, needed == Some(Role::Replicate), "{}", route.path);
    }
}

#[tokio::test]
async fn a_certificate_counts_only_while_its_authority_is_trusted() {
    // As a connection whose certificate was good when it began; no authority is known any more.
    let (service, dir, _) = service();
    let (node, chain) = (NodeId([7; 16]), Arc::from([]));
    let shown = Shown { node, name: "node:07".into(), chain };
    let request =
        request(true, "/v1/threads").extension(shown.clone()).body(Body::empty()).unwrap();
    let response = TowerToHyperService::new(service.router()).call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    // A stream that is on its way ends as well, whatever its token says.
    let token = tokens::list(&dir.path().join("tokens")).unwrap().remove(0);
    assert!(Caller::holder(token.clone(), None).check(&service).is_ok());
    assert!(Caller::holder(token, Some(shown)).check(&service).is_err());
}
