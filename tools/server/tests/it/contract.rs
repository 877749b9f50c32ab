//! Routes, statuses and headers.

use crate::support::{Server, memory};
use taskledger::{
    Ledger,
    command::{Finish, Spawn},
    ids::{TaskId, ThreadId},
};

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn story() -> Ledger {
    let ledger = memory();
    let thread = ThreadId::new("a/b c").unwrap();
    ledger.append_blocking(Spawn::new(&thread, "plan").task(task("root"))).unwrap();
    let test = Spawn::new(&thread, "shell").task(task("test")).parent(task("root"));
    ledger.append_blocking(test.description("cargo test")).unwrap();
    ledger.append_blocking(Finish::failed(task("test"), "2 of 31")).unwrap();
    ledger
}

#[test]
fn every_question_has_its_path_and_its_contract() {
    let server = Server::with(story(), |_| {});
    for (target, schema) in [
        ("/v1/threads", "threads"),
        ("/v1/tasks?status=failed,running&sort=task&reverse=true&count=5", "tasks"),
        ("/v1/threads/a%2Fb%20c/tree?depth=1", "tasks"),
        ("/v1/threads/a%2Fb%20c/timeline", "timeline"),
        ("/v1/tasks/test", "task"),
        ("/v1/tasks/test/why", "why"),
        ("/v1/diff?thread=a/b+c&from=%40-1", "diff"),
        ("/v1/first?thread=a%2Fb+c&where=failed%3E0", "first"),
        ("/v1/events/2", "event"),
        ("/v1/log?thread=a%2Fb%20c&action=terminated&count=1", "log"),
        ("/v1/stats", "stats"),
        ("/v1/checkpoint?at=3", "checkpoint"),
        ("/v1/prove/2?with_texts=true", "proof"),
        ("/v1/prove?since=1", "consistency"),
    ] {
        let answer = server.get(target);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["schema"], format!("taskledger.{schema}/v1"), "{target}");
        assert_eq!(answer.header("taskledger-size"), Some("4"), "{target}");
        assert_eq!(answer.header("allow"), None, "{target}");
        let same = server.by_socket(target);
        assert_eq!((same.status, same.body), (200, answer.body), "{target}");
        let lines =
            server.send("GET", target, &[&server.bearer(), "accept: application/x-ndjson"], "");
        assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
        for line in lines.body.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        let head = server.send("HEAD", target, &[&server.bearer()], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{target}");
    }
}

#[test]
fn a_refusal_is_a_problem_with_the_status_of_its_kind() {
    let server = Server::with(story(), |_| {});
    for (target, status, name) in [
        ("/v1/tasks/nobody", 404, "unknown-task"),
        ("/v1/threads/nowhere/tree", 404, "unknown-thread"),
        ("/v1/events/99", 404, "no-such-event"),
        ("/v1/tasks/test?at=spawn:root", 404, "not-yet"),
        ("/v1/tasks/test?at=end:root", 404, "not-ended"),
        ("/v1/threads?at=@-x", 400, "bad-request"),
        ("/v1/threads?colour=red", 400, "bad-request"),
        ("/v1/threads?format=csv", 400, "bad-request"),
        ("/v1/prove/4?at=2", 400, "invalid"),
        ("/v1/checkpoint?at=2026-01-31T12:00:00Z", 400, "not-log-position"),
        ("/v1/nothing", 404, "no-such-path"),
        ("/nothing", 404, "no-such-path"),
        ("/v1/tasks/%ff", 400, "bad-request"),
    ] {
        let problem = server.get(target).refused(status, name);
        assert_eq!(problem["retryable"], false);
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    let put = server.send("PUT", "/v1/threads", &[&server.bearer()], "");
    put.refused(405, "method-not-allowed");
    assert!(put.header("allow").is_some_and(|allow| allow.contains("get")), "{put:?}");
}

#[test]
fn a_client_that_has_the_answer_is_told_that_it_is_still_the_same() {
    let server = Server::with(story(), |_| {});
    let first = server.get("/v1/threads");
    let etag = first.header("etag").unwrap().to_owned();
    let known = |target: &str| {
        let line = format!("if-none-match: \"other\", {etag}");
        server.send("GET", target, &[&server.bearer(), &line], "")
    };
    let same = known("/v1/threads");
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some(&*etag)));
    let lines = known("/v1/threads?format=jsonl");
    assert_eq!(lines.status, 200, "another form is another answer");
    // What depends on the clock or on files has no tag.
    for target in ["/v1/stats", "/v1/tasks?sort=duration", "/v1/threads?at=-10m"] {
        let answer = known(target);
        assert_eq!((answer.status, answer.header("etag")), (200, None), "{target}");
    }
    server.service.ledger().append_blocking(Finish::completed(task("root"))).unwrap();
    let next = known("/v1/threads");
    assert!(next.status == 200 && next.header("etag") != Some(&*etag), "{next:?}");
}

#[test]
fn an_answer_of_another_run_of_the_server_is_not_the_same() {
    let one = Server::with(story(), |_| {});
    // The same history, and perhaps another program.
    let other = Server::with(one.service.ledger().clone(), |_| {});
    let etag = one.get("/v1/threads").header("etag").unwrap().to_owned();
    let ask = |server: &Server| {
        let line = format!("if-none-match: {etag}");
        server.send("GET", "/v1/threads", &[&server.bearer(), &line], "").status
    };
    assert_eq!((ask(&one), ask(&other)), (304, 200));
}

#[test]
fn health_needs_no_token_and_readiness_says_when_nothing_can_be_recorded() {
    let server = Server::with(story(), |_| {});
    let ask = |path: &str| server.send("GET", path, &[], "");
    assert_eq!((ask("/healthz").status, ask("/readyz").status), (200, 200));
    server.service.ledger().close_blocking().unwrap();
    assert_eq!(ask("/healthz").status, 200);
    ask("/readyz").refused(503, "not-ready");
}

/// What docs/http.md shows is what is answered, byte for byte, and the order of the schema.
#[test]
fn a_refusal_is_the_one_of_the_documentation() {
    let docs = include_str!("../../../../docs/http.md");
    let shown = docs.lines().find(|line| line.starts_with("{\"type\":\"urn:taskledger:problem:"));
    let server = Server::with(story(), |_| {});
    let answer = server.get("/v1/tasks/bg_9");
    answer.refused(404, "unknown-task");
    assert_eq!(answer.body.trim_end(), shown.unwrap());
    let conflict = server.get("/v1/log?after=99").body;
    let told: taskledger_contract::answers::ProblemBody = serde_json::from_str(&conflict).unwrap();
    assert_eq!(serde_json::to_string(&told).unwrap(), conflict.trim_end());
}
