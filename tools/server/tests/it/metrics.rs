//! The numbers of a server: who may see them, what they say, and what they never say.

use crate::support::{Answer, PATIENCE, Server, large, memory, until};
use std::io::{Read as _, Write as _};

/// The value of a series.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn numbers_are_for_those_who_may_ask() {
    let server = Server::new();
    let page = server.get("/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    server.send("GET", "/metrics", &[], "").refused(401, "unauthorized");
    server.send("POST", "/metrics", &[&server.bearer()], "").refused(405, "method-not-allowed");
    assert_eq!(server.by_socket("/metrics").status, 200);
}

#[test]
fn numbers_say_what_went_on_and_what_is() {
    let server = Server::with(large(1), |limits| limits.commands_max = 0);
    let bearer = format!("authorization: Bearer {}", server.writer);
    let lines = [&*bearer, "content-type: application/json", "idempotency-key: 1"];
    let spawn = r#"{"thread_id":"t","task_type":"x","task_id":"a"}"#;
    server.send("POST", "/v1/tasks", &lines, spawn).refused(413, "too-large");
    assert_eq!(server.get("/v1/threads").status, 200);
    assert_eq!(server.get("/v1/tasks/a").status, 404);
    let mut stream = server.connect();
    let (host, bearer) = (server.address, server.bearer());
    let follow = format!("GET /v1/log?follow=true HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n");
    stream.write_all(follow.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    let page = server.by_socket("/metrics").body;
    for (series, expected) in [
        (r#"taskledger_http_requests_total{method="GET",route="/v1/threads",status="200"}"#, 1.0),
        (
            r#"taskledger_http_requests_total{method="GET",route="/v1/tasks/{task}",status="404"}"#,
            1.0,
        ),
        (r#"taskledger_http_requests_total{method="POST",route="/v1/tasks",status="413"}"#, 1.0),
        (r#"taskledger_http_request_seconds_count{route="/v1/threads"}"#, 1.0),
        (r#"taskledger_http_request_seconds_bucket{route="/v1/threads",le="+Inf"}"#, 1.0),
        (r#"taskledger_http_refused_total{limit="commands_max"}"#, 1.0),
        ("taskledger_http_streams", 1.0),
        (r#"taskledger_http_connections{door="socket"}"#, 1.0),
        ("taskledger_log_events", 3.0),
        ("taskledger_ready", 1.0),
        ("taskledger_halted", 0.0),
        ("taskledger_shortfall", 0.0),
        ("taskledger_read_only", 0.0),
    ] {
        assert_eq!(value(&page, series), Some(expected), "{series}: {page}");
    }
    assert!(value(&page, r#"taskledger_http_connections{door="tcp"}"#) >= Some(1.0), "{page}");
    for series in ["process_open_fds", "process_max_fds", "process_resident_memory_bytes"] {
        assert!(value(&page, series) > Some(1.0), "{series}: {page}");
    }
    assert!(value(&page, "taskledger_last_event_age_seconds") >= Some(0.0), "{page}");
    assert!(!page.contains("taskledger_tls"), "there is no TLS: {page}");
    drop(stream);
    until("the connections are given back", || {
        let page = server.by_socket("/metrics").body;
        value(&page, r#"taskledger_http_connections{door="tcp"}"#) == Some(0.0)
            && value(&page, "taskledger_http_streams") == Some(0.0)
    });
}

#[test]
fn connections_that_are_refused_are_counted_by_their_limit() {
    let server = Server::with(memory(), |limits| {
        limits.tcp_connections_max = 1;
        limits.header_timeout = PATIENCE * 2;
    });
    let refused = || {
        let page = server.by_socket("/metrics").body;
        value(&page, r#"taskledger_http_refused_total{limit="tcp_connections_max"}"#)
    };
    // One that has asked nothing gives way, and is cut.
    let stranger = server.connect();
    let held = server.let_in();
    assert_eq!(Answer::read(&mut &stranger).status, 0);
    assert_eq!(refused(), Some(1.0));
    server.get("/healthz").refused(503, "limit");
    assert_eq!(refused(), Some(2.0));
    drop(held);
}

/// Clients name tasks, paths and methods; the number of series does not follow them.
#[test]
fn no_number_names_what_a_client_or_a_task_said() {
    const CANARY: &str = "cAnArY7";
    let server = Server::new();
    let say = |nth: usize| {
        let (bearer, id) =
            (format!("authorization: Bearer {}", server.writer), format!("{CANARY}{nth}"));
        let key = format!("idempotency-key: {id}");
        let spawn = format!(r#"{{"thread_id":"{id}","task_type":"{id}","task_id":"{id}"}}"#);
        let lines = [&*bearer, "content-type: application/json", &key];
        assert_eq!(server.send("POST", "/v1/tasks", &lines, &spawn).status, 201);
        assert_eq!(server.get(&format!("/v1/tasks/{id}")).status, 200);
        assert_eq!(server.get(&format!("/v1/tasks/{id}-not/why")).status, 404);
        assert_eq!(server.get(&format!("/v1/{id}/{id}")).status, 404);
        assert_eq!(server.get(&format!("/{id}")).status, 404);
        assert_eq!(server.send(&id, &format!("/v1/threads?{id}"), &[&bearer], "").status, 405);
    };
    say(0);
    let _ = server.by_socket("/metrics"); // it counts itself, once it was asked for
    let lines = || server.by_socket("/metrics").body.lines().count();
    let before = lines();
    (1..20).for_each(say);
    let page = server.by_socket("/metrics").body;
    assert_eq!(page.lines().count(), before, "{page}");
    assert!(!page.to_lowercase().contains(&CANARY.to_lowercase()), "{page}");
}
