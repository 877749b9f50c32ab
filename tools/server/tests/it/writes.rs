//! Recording over HTTP.

use crate::support::{Answer, Server, memory};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    command::{Emit, Proposal},
    event::PartKind,
    ids::{Seq, TaskId},
    wire,
};
use taskledger_server::{Role, tokens};

/// Posts as the writer.
fn post(server: &Server, path: &str, key: &str, body: &str) -> Answer {
    let bearer = format!("authorization: Bearer {}", server.writer);
    let key = format!("idempotency-key: {key}");
    server.send("POST", path, &[&bearer, "content-type: application/json", &key], body)
}

fn by_socket(server: &Server, path: &str, lines: &str, body: &str) -> Answer {
    let mut stream = UnixStream::connect(&server.socket).unwrap();
    let len = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {lines}content-length: {len}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    Answer::read(&mut stream)
}

#[track_caller]
fn json(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn size(server: &Server) -> u64 {
    server.service.ledger().reader().head().size.get()
}

const SPAWN: &str = r#"{"thread_id":"t","task_type":"shell","task_id":"a","description":"make"}"#;

#[test]
fn a_task_is_recorded_from_spawn_to_end_and_read_back() {
    let server = Server::new();
    let spawned = post(&server, "/v1/tasks", "1", SPAWN);
    let receipt = json(&spawned, 201);
    assert_eq!(spawned.header("location"), Some("/v1/tasks/a"));
    assert_eq!(
        receipt,
        json!({"schema": "taskledger.receipt/v1", "seq": 2, "task_id": "a",
        "repeated": false, "durable": true})
    );
    let progress = r#"{"event_type":"progress","content":{"percent": 50}}"#;
    json(&post(&server, "/v1/tasks/a/events", "2", progress), 200);
    json(&post(&server, "/v1/tasks/a/update", "3", r#"{"name":"compile"}"#), 200);
    json(&post(&server, "/v1/tasks/a/cancel", "4", r#"{"scope":"tree","reason":"late"}"#), 200);
    let end = r#"{"status":"completed","result":{"b":1, "a":[ ]},"occurred_ms":5,"cause":{"agent_id":"x"}}"#;
    assert_eq!(json(&post(&server, "/v1/tasks/a/end", "5", end), 200)["seq"], 6);
    let shown = json(&server.get("/v1/tasks/a"), 200);
    assert_eq!(
        (&shown["task"]["status"], &shown["task"]["name"]),
        (&"completed".into(), &"compile".into())
    );
    let entry = server.service.ledger().reader().entry(Seq::new(6).unwrap()).unwrap();
    // Byte for byte: a client that sends it again sends the same command.
    assert_eq!(entry.text(PartKind::Result).map(|text| &**text), Some(r#"{"b":1, "a":[ ]}"#));
    assert_eq!(entry.event.occurred.0, 5);
}

#[test]
fn a_request_that_is_sent_again_is_recorded_once_and_has_the_same_receipt() {
    let server = Server::new();
    let spawn = r#"{"thread_id":"t","task_type":"shell"}"#;
    let first = json(&post(&server, "/v1/tasks", "once", spawn), 201);
    let again = json(&post(&server, "/v1/tasks", "\"once\"", spawn), 201);
    assert_eq!((&again["seq"], &again["task_id"]), (&first["seq"], &first["task_id"]));
    assert_eq!((&first["repeated"], &again["repeated"]), (&false.into(), &true.into()));
    assert_eq!(size(&server), 2);
    let other = post(&server, "/v1/tasks", "once", SPAWN);
    assert_eq!(other.refused(422, "key-reused")["seq"], 2);
    // Another client's key of the same text is another key.
    let token = tokens::add(&server.tokens, "second", Role::Append, None).unwrap();
    let bearer = format!("authorization: Bearer {token}");
    let lines = [&*bearer, "content-type: application/json", "idempotency-key: once"];
    json(&server.send("POST", "/v1/tasks", &lines, SPAWN), 201);
    let missing = server.send("POST", "/v1/tasks", &lines[..2], SPAWN);
    missing.refused(400, "key-missing");
    // By the socket none is needed.
    let body = r#"{"thread_id":"t","task_type":"x","task_id":"local"}"#;
    json(&by_socket(&server, "/v1/tasks", "", body), 201);
}

#[test]
fn by_tcp_no_key_leaves_the_names_of_its_token() {
    let server = Server::new();
    let key = "00112233445566778899aabbccddeeff";
    let batch = format!(
        r#"{{"schema":"taskledger.batch/v1","commands":[{{"key":"{key}","command":{{"spawn":{{"thread_id":"t","task_type":"x"}}}}}}]}}"#
    );
    let bearer = format!("authorization: Bearer {}", server.writer);
    let lines = [&*bearer, "content-type: application/json"];
    let before = size(&server);
    server.send("POST", "/v1/append", &lines, &batch).refused(400, "key-missing");
    post(&server, "/v1/append", "k", &batch).refused(400, "bad-request");
    assert_eq!(size(&server), before);
    // By the socket it is the key that `record --key` takes.
    json(&by_socket(&server, "/v1/append", "", &batch), 200);
}

#[test]
fn a_batch_is_recorded_whole_or_not_at_all() {
    let server = Server::new();
    let batch = |last: &str| {
        format!(
            r#"{{"schema":"taskledger.batch/v1","commands":[
                {{"command":{{"spawn":{{"thread_id":"t","task_type":"agent"}}}}}},
                {{"command":{{"spawn":{{"thread_id":"t","task_type":"tool","parent_task_id":{{"spawned":0}}}}}}}},
                {{"command":{{"end":{{"task_id":{last},"status":"completed","result":[1]}}}}}}]}}"#
        )
    };
    let before = size(&server);
    post(&server, "/v1/append", "b", &batch("\"nobody\"")).refused(404, "unknown-task");
    assert_eq!(size(&server), before);
    let good = batch(r#"{"spawned":1}"#);
    let receipts = json(&post(&server, "/v1/append", "b", &good), 200);
    assert_eq!(receipts["receipts"].as_array().unwrap().len(), 3);
    assert_eq!(receipts["receipts"][1]["task_id"], receipts["receipts"][2]["task_id"]);
    let again = json(&post(&server, "/v1/append", "b", &good), 200);
    assert!(again["receipts"].as_array().unwrap().iter().all(|one| one["repeated"] == true));
    let commands = vec![json!({"command": {"spawn": {"thread_id": "t", "task_type": "x"}}}); 1_025];
    let large = json!({"schema": "taskledger.batch/v1", "commands": commands}).to_string();
    assert_eq!(post(&server, "/v1/append", "c", &large).refused(413, "too-large")["max"], 1_024);
}

/// The work of other processes is told by the server's own user alone.
#[test]
fn commands_of_an_importer_are_taken_by_the_socket_alone() {
    let server = Server::new();
    json(&post(&server, "/v1/tasks", "1", SPAWN), 201);
    let task = TaskId::new("a").unwrap();
    let batch = wire::import_to_json(&[Proposal::new(Emit::new(task, "p", "no JSON"))]).unwrap();
    let before = size(&server);
    let refused = post(&server, "/v1/append", "2", &batch);
    assert!(json(&refused, 400)["detail"].as_str().unwrap().contains("importer"), "{refused:?}");
    assert_eq!(size(&server), before);
    json(&by_socket(&server, "/v1/append", "", &batch), 200);
    assert_eq!(size(&server), before + 1);
}

/// Another ledger may have come to the address since the client asked.
#[test]
fn what_is_meant_for_another_ledger_is_not_recorded() {
    let server = Server::new();
    let own = server.service.ledger().reader().ledger_id().to_string();
    let before = size(&server);
    for other in ["0".repeat(32), String::new(), own.to_uppercase() + "0"] {
        let line = format!("taskledger-ledger: {other}\r\n");
        by_socket(&server, "/v1/tasks", &line, SPAWN).refused(409, "other-history");
    }
    assert_eq!(size(&server), before);
    json(&by_socket(&server, "/v1/tasks", &format!("taskledger-ledger: {own}\r\n"), SPAWN), 201);
}

#[test]
fn a_refusal_records_nothing_and_says_what_was_wrong() {
    let server = Server::new();
    json(&post(&server, "/v1/tasks", "1", SPAWN), 201);
    json(&post(&server, "/v1/tasks/a/end", "2", r#"{"status":"failed","error":"no"}"#), 200);
    let before = size(&server);
    for (path, body, status, name) in [
        ("/v1/tasks", SPAWN, 409, "task-exists"),
        ("/v1/tasks/a/end", r#"{"status":"completed"}"#, 409, "already-ended"),
        ("/v1/tasks/b/end", r#"{"status":"completed"}"#, 404, "unknown-task"),
        ("/v1/tasks/a/end", r#"{"status":"lost"}"#, 400, "invalid"),
        ("/v1/tasks/a/end", r#"{"status":"completed","task_id":"b"}"#, 400, "invalid"),
        ("/v1/tasks/a/end", r#"{"status":"completed","status":"failed"}"#, 400, "invalid"),
        ("/v1/tasks/a/end", r#"{"status":"completed","colour":"red"}"#, 400, "invalid"),
        ("/v1/tasks/a/end", r#"{"status":"completed"} "#, 409, "already-ended"),
        ("/v1/tasks/a/end", r#"{"status":"completed"}]}"#, 400, "invalid"),
        ("/v1/tasks/a/cancel", r#"{"scope":"all"}"#, 400, "invalid"),
        ("/v1/tasks/a/cancel", r#"{"target":{"thread":"t"}}"#, 400, "invalid"),
        ("/v1/tasks", "", 400, "invalid"),
        ("/v1/tasks", "[]", 400, "invalid"),
        (
            "/v1/append",
            r#"{"schema":"taskledger.batch/v9","commands":[]}"#,
            426,
            "unsupported-format",
        ),
        ("/v1/tasks?dry=true", SPAWN, 400, "bad-request"),
        ("/v1/threads", "{}", 405, "method-not-allowed"),
        ("/v1/nothing", "{}", 404, "no-such-path"),
    ] {
        post(&server, path, "new", body).refused(status, name);
    }
    let expect = r#"{"thread_id":"t","task_type":"x","expect":{"thread_id":"t","seq":2}}"#;
    let conflict = post(&server, "/v1/tasks", "new", expect).refused(409, "conflict");
    assert_eq!((&conflict["expected"], &conflict["actual"]), (&2.into(), &3.into()));
    let bearer = format!("authorization: Bearer {}", server.writer);
    let text = server.send("POST", "/v1/tasks", &[&bearer, "content-type: text/plain"], SPAWN);
    text.refused(415, "not-json");
    let form = "content-type: application/x-www-form-urlencoded";
    server.send("POST", "/v1/tasks", &[&bearer, form], "a=b").refused(415, "not-json");
    assert_eq!(size(&server), before);
}

/// The body of one command is not rewritten before it is read: an error names a place in what was sent.
#[test]
fn a_body_that_cannot_be_read_is_refused_with_the_place_as_it_was_sent() {
    let server = Server::new();
    let told = |path: &str, body: &str| {
        let problem = post(&server, path, "1", body).refused(400, "invalid");
        problem["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        told("/v1/tasks", "{\"thread_id\":\"t\"}"),
        "no command \"spawn\": missing field `task_type` at line 1 column 17"
    );
    assert_eq!(
        told("/v1/tasks/a/end", "{\n \"occurred_ms\": 1,\n \"status\": 5}"),
        "no command \"end\": expected value at line 3 column 12"
    );
    let cancel = told("/v1/tasks/a/cancel", "{\"scope\":\"all\"}");
    assert!(cancel.ends_with("expected `task` or `tree` at line 1 column 14"), "{cancel}");
    let message = told("/v1/tasks/a/messages", "{\"from\":\"x\",\n\"content\":1}");
    assert!(message.ends_with("expected a string at line 2 column 11"), "{message}");
    let (good, bad) = (r#"{"command":{"redact":{"seq":1,"parts":[],"reason":""}}}"#, "{}");
    let batch = format!(r#"{{"schema":"taskledger.batch/v1","commands":[{good},{bad}]}}"#);
    let column = batch.len() - 2;
    assert_eq!(
        told("/v1/append", &batch),
        format!(
            "no batch of commands: command 1: missing field `command` at line 1 column {column}"
        )
    );
}

#[test]
fn a_token_records_what_its_role_allows() {
    let server = Server::new();
    json(&post(&server, "/v1/tasks", "1", SPAWN), 201);
    let lines = [&*server.bearer(), "content-type: application/json", "idempotency-key: 9"];
    server.send("POST", "/v1/tasks", &lines, SPAWN).refused(403, "role");
    server.send("POST", "/v1/tasks", &lines[1..], SPAWN).refused(401, "unauthorized");
    let redact = r#"{"seq":2,"parts":["description"],"reason":"secret"}"#;
    post(&server, "/v1/admin/redact", "2", redact).refused(403, "role");
    let batch = format!(
        r#"{{"schema":"taskledger.batch/v1","commands":[{{"command":{{"redact":{redact}}}}}]}}"#
    );
    post(&server, "/v1/append", "2", &batch).refused(403, "role");
    let admin = tokens::add(&server.tokens, "admin", Role::Admin, None).unwrap();
    let bearer = format!("authorization: Bearer {admin}");
    let lines = [&*bearer, "content-type: application/json", "idempotency-key: 2"];
    json(&server.send("POST", "/v1/admin/redact", &lines, redact), 200);
    let shown = json(&server.get("/v1/tasks/a"), 200);
    assert_eq!(shown["task"]["erased"], json!(["description"]));
}

#[test]
fn a_body_over_its_limit_is_refused_before_it_takes_memory() {
    let server = Server::with(memory(), |limits| {
        limits.tcp_body_bytes_max = 1_000;
        limits.socket_body_bytes_max = 4_000;
        limits.bodies_bytes_max = 8_000;
    });
    let spawn = |bytes: usize| {
        format!(r#"{{"thread_id":"t","task_type":"x","description":"{}"}}"#, "x".repeat(bytes))
    };
    let problem = post(&server, "/v1/tasks", "1", &spawn(2_000)).refused(413, "too-large");
    assert_eq!((&problem["limit"], &problem["max"]), (&"tcp_body_bytes_max".into(), &1_000.into()));
    json(&by_socket(&server, "/v1/tasks", "", &spawn(2_000)), 201);
    let problem = by_socket(&server, "/v1/tasks", "", &spawn(4_000)).refused(413, "too-large");
    let limit = (&problem["limit"], &problem["max"]);
    assert_eq!(limit, (&"socket_body_bytes_max".into(), &4_000.into()));
    // One that does not say its length.
    let (host, bearer) = (server.address, format!("authorization: Bearer {}", server.writer));
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    let answer = server.raw(&format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\ncontent-type: application/json\r\n\
         connection: close\r\nidempotency-key: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}"
    ));
    answer.refused(413, "too-large");
    // What was refused has given its room back, and what is sent whole has it all.
    for key in 0..20 {
        json(&post(&server, "/v1/tasks", &format!("again-{key}"), &spawn(800)), 201);
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_cut() {
    let server = Server::with(memory(), |limits| limits.body_timeout = Duration::from_millis(200));
    let (host, bearer) = (server.address, format!("authorization: Bearer {}", server.writer));
    let mut stream = server.connect();
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\ncontent-type: application/json\r\n\
         connection: close\r\nidempotency-key: x\r\ncontent-length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let problem = Answer::read(&mut stream).refused(408, "timeout");
    assert_eq!((&problem["limit"], &problem["max"]), (&"body_timeout".into(), &200.into()));
}

#[test]
fn what_a_client_sent_is_recorded_though_it_goes_away_before_the_answer() {
    let server = Server::new();
    let (host, bearer) = (server.address, format!("authorization: Bearer {}", server.writer));
    for number in 0..50 {
        let body = format!(r#"{{"thread_id":"t","task_type":"x","task_id":"gone-{number}"}}"#);
        let len = body.len();
        let mut stream = server.connect();
        let request = format!(
            "POST /v1/tasks HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\ncontent-type: application/json\r\n\
             idempotency-key: gone-{number}\r\ncontent-length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        if number % 2 == 0 {
            stream.read_exact(&mut [0; 1]).unwrap();
        }
        drop(stream);
        // Whether or not it arrived, sending it again records it once.
        let receipt = json(&post(&server, "/v1/tasks", &format!("gone-{number}"), &body), 201);
        assert!(number % 2 == 1 || receipt["repeated"] == true, "{receipt}");
    }
    assert_eq!(size(&server), 51);
}

#[test]
fn a_ledger_that_is_only_read_takes_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let _writer = Ledger::create(&path, Options::default()).unwrap();
    let server = Server::with(Ledger::open_read_only(&path, Options::default()).unwrap(), |_| {});
    post(&server, "/v1/tasks", "1", SPAWN).refused(421, "not-primary");
}

#[test]
fn many_clients_record_at_once_and_none_is_lost_or_doubled() {
    let server = Server::new();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..25 {
                    let id = format!("{client}-{number}");
                    let body =
                        format!(r#"{{"thread_id":"t-{client}","task_type":"x","task_id":"{id}"}}"#);
                    for _ in 0..2 {
                        assert_eq!(post(server, "/v1/tasks", &id, &body).status, 201);
                    }
                }
            });
        }
    });
    let tasks = json(&server.get("/v1/tasks"), 200);
    assert_eq!(tasks["items"].as_array().unwrap().len(), 200);
    assert_eq!(size(&server), 201);
}
