//! The description of the server, held against the server.

use crate::support::{Answer, Server, memory};
use serde_json::Value;
use taskledger::{
    command::{Finish, Spawn},
    ids::{TaskId, ThreadId},
};
use taskledger_server::{Role, tokens};

/// A server with an event for each question.
fn server() -> Server {
    let ledger = memory();
    let (thread, task) = (ThreadId::new("t").unwrap(), TaskId::new("a").unwrap());
    ledger.append_blocking(Spawn::new(thread, "x").task(&task)).unwrap();
    ledger.append_blocking(Finish::failed(&task, "no")).unwrap();
    Server::with(ledger, |_| {})
}

struct Operation {
    path: String,
    is_get: bool,
    told: Value,
}

fn operations(server: &Server) -> Vec<Operation> {
    let answer = server.get("/v1/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{thread}", "t").replace("{task}", "a").replace("{seq}", "2");
        let path = path.replace("{size}", "2");
        for (method, told) in methods.as_object().unwrap() {
            found.push(Operation {
                path: path.clone(),
                is_get: method == "get",
                told: told.clone(),
            });
        }
    }
    found
}

/// A value for a parameter.
fn sample(param: &Value) -> String {
    let schema = &param["schema"];
    if let Some(word) = schema["enum"].get(0).and_then(Value::as_str) {
        return word.to_owned();
    }
    match (schema["type"].as_str().unwrap(), param["name"].as_str().unwrap()) {
        ("boolean", _) => "false".to_owned(),
        ("integer", _) => "1".to_owned(),
        (_, "at" | "since" | "until" | "from" | "to") => "%40-1".to_owned(),
        (_, "ended_since" | "ended_until") => "-10m".to_owned(),
        (_, "status") => "failed,running".to_owned(),
        (_, "action") => "terminated".to_owned(),
        (_, "where") => "failed%3E0".to_owned(),
        (_, "root") => "0".repeat(64),
        (_, "thread") => "t".to_owned(),
        (_, "task" | "parent") => "a".to_owned(),
        _ => "x".to_owned(),
    }
}

/// Expects that those of the answer's headers that are the server's own are told of.
#[track_caller]
fn headers_are_told_of(told: &Value, answer: &Answer) {
    if ![200, 201].contains(&answer.status) {
        return;
    }
    let headers = told["responses"][answer.status.to_string()]["headers"].as_object();
    let headers: Vec<_> =
        headers.into_iter().flatten().map(|(name, _)| name.to_lowercase()).collect();
    for line in answer.head.lines().skip(1) {
        let name = line.split(':').next().unwrap();
        let own = name.starts_with("taskledger-") || ["etag", "location"].contains(&name);
        assert!(!own || headers.iter().any(|told| told == name), "{name}: {told}");
    }
}

#[test]
fn a_request_that_records_may_name_the_ledger_that_it_means() {
    let server = server();
    let admin = tokens::add(&server.tokens, "admin", Role::Admin, None).unwrap();
    let bearer = format!("authorization: Bearer {admin}");
    let node = tokens::add(&server.tokens, "node", Role::Replicate, None).unwrap();
    let other = format!("taskledger-ledger: {}", "0".repeat(32));
    for Operation { path, is_get, told } in operations(&server) {
        let named = told["parameters"].as_array().unwrap().iter();
        let named = named.filter(|param| param["name"] == "Taskledger-Ledger").count();
        assert_eq!(named, usize::from(!is_get), "{path}");
        if !is_get {
            let token = if told["x-taskledger-role"] == "replicate" { &node } else { &admin };
            let of_nodes = path.starts_with("/v1/replication/");
            let name = if of_nodes { "other-ledger" } else { "other-history" };
            let bearer = format!("authorization: Bearer {token}");
            let lines = [&*bearer, "content-type: application/json", &other];
            server.send("POST", &path, &lines, "{}").refused(409, name);
        }
    }
    let lines = [&*bearer, "content-type: application/json", "idempotency-key: 1"];
    let spawn = r#"{"thread_id":"t","task_type":"x"}"#;
    let answer = server.send("POST", "/v1/tasks", &lines, spawn);
    assert!(answer.header("location").is_some(), "{answer:?}");
    let spawned = |it: &Operation| it.path == "/v1/tasks" && !it.is_get;
    let told = operations(&server).into_iter().find(spawned).unwrap().told;
    headers_are_told_of(&told, &answer);
}

#[test]
fn every_route_that_is_told_of_is_there_and_takes_what_is_told_of() {
    let server = server();
    let operations = operations(&server);
    let node = tokens::add(&server.tokens, "node", Role::Replicate, None).unwrap();
    assert!(operations.len() > 20, "{}", operations.len());
    for Operation { path, is_get, told } in operations {
        if !is_get {
            let bearer = format!("authorization: Bearer {}", server.writer);
            let key = format!("idempotency-key: {path}");
            let lines = [&*bearer, "content-type: application/json", &key];
            let answer = server.send("POST", &path, &lines, "{}");
            // Nothing is recorded by an empty object but a request to stop.
            assert!([200, 400, 403, 409].contains(&answer.status), "{path}: {answer:?}");
            headers_are_told_of(&told, &answer);
            continue;
        }
        let params = told["parameters"].as_array().unwrap().iter();
        let (needed, others): (Vec<_>, Vec<_>) =
            params.filter(|param| param["in"] == "query").partition(|it| it["required"] == true);
        let pair = |param: &Value| format!("{}={}", param["name"].as_str().unwrap(), sample(param));
        let base: Vec<String> = needed.iter().map(|param| pair(param)).collect();
        let of_node = told["x-taskledger-role"] == "replicate";
        let token = if of_node { &node } else { &server.reader };
        let bearer = format!("authorization: Bearer {token}");
        let answer = server.send("GET", &format!("{path}?{}", base.join("&")), &[&bearer], "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        headers_are_told_of(&told, &answer);
        for missing in &base {
            let without: Vec<_> = base.iter().filter(|pair| *pair != missing).cloned().collect();
            let answer = server.get(&format!("{path}?{}", without.join("&")));
            answer.refused(400, "bad-request");
        }
        for param in others {
            // Part of the question for a stream, which begins after so many events.
            let stream = if param["name"] == "root" { "after=1&" } else { "" };
            let target = format!("{path}?{stream}{}&{}", pair(param), base.join("&"));
            let answer = server.get(&target);
            // The root of the sample is that of another history.
            let expected = if param["name"] == "root" { 409 } else { 200 };
            assert_eq!(answer.status, expected, "{target}: {answer:?}");
        }
    }
}

#[test]
fn every_route_needs_the_role_that_is_told_of() {
    let server = server();
    let admin = tokens::add(&server.tokens, "admin", Role::Admin, None).unwrap();
    let roles = [("read", &server.reader), ("append", &server.writer), ("admin", &admin)];
    for Operation { path, is_get, told } in operations(&server) {
        let method = if is_get { "GET" } else { "POST" };
        let Some(role) = told.get("x-taskledger-role") else {
            assert_eq!(server.send(method, &path, &[], "").status, 200, "{path}");
            continue;
        };
        server.send(method, &path, &[], "").refused(401, "unauthorized");
        // None of these is that of nodes, and each allows those before it.
        let least = roles.iter().position(|(name, _)| role == name).unwrap_or(roles.len());
        for (place, (_, token)) in roles.iter().enumerate() {
            let bearer = format!("authorization: Bearer {token}");
            let answer = server.send(method, &path, &[&bearer], "");
            assert_eq!(answer.status == 403, place < least, "{path}: {answer:?}");
        }
    }
}

#[test]
fn a_path_is_refused_with_the_methods_that_it_takes() {
    let server = server();
    for (method, path, allowed) in [
        ("DELETE", "/v1/tasks", "get, head, post"),
        ("POST", "/v1/threads", "get, head"),
        ("GET", "/v1/tasks/a/messages", "post"),
        ("PUT", "/v1/openapi.json", "get, head"),
    ] {
        let bearer = format!("authorization: Bearer {}", server.writer);
        let answer = server.send(method, path, &[&bearer], "");
        answer.refused(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}
