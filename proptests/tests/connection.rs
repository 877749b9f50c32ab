//! What the fuzzer of connections hands a server is answered, though its clock does not wait: only then
//! are its answers looked at.

#![allow(clippy::unwrap_used, reason = "tests")]

use taskledger_proptests::hostile::answered;

/// The statuses of the answers to these requests by the socket.
fn statuses(requests: &[(&str, &str)]) -> Vec<u16> {
    let requests = requests.iter().map(|(line, body)| {
        let length = body.len();
        let json = "content-type: application/json";
        format!("{line} HTTP/1.1\r\nhost: x\r\n{json}\r\ncontent-length: {length}\r\n\r\n{body}")
    });
    let sent: String = ["\0".to_owned()].into_iter().chain(requests).collect();
    let answered = String::from_utf8(answered(sent.as_bytes())).unwrap();
    let heads = answered.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_server_on_a_clock_that_is_paused_answers_all_that_is_asked() {
    let requests = [
        ("POST /v1/tasks", r#"{"thread_id":"t","task_type":"x","task_id":"a"}"#),
        ("GET /v1/tasks/a", ""),
        ("POST /v1/tasks/a/end", r#"{"status":"completed"}"#),
        ("POST /v1/tasks/a/end", r#"{"status":"failed"}"#),
        ("GET /v1/tasks", ""),
        ("GET /v1/tasks/b", ""),
        ("GET /v1/log?after=0&follow=false", ""),
    ];
    // A thread may be kept from answering for long just after it has given its turn back.
    let mut tries = (0..3).map(|_| statuses(&requests));
    assert!(tries.any(|found| found == [201, 200, 200, 409, 200, 404, 200]));
}

#[test]
fn a_stream_that_goes_on_shows_that_it_is_alive_until_its_client_goes() {
    let sent =
        b"\0GET /v1/log?follow=true HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    let mut tries = (0..3).map(|_| String::from_utf8(answered(sent)).unwrap());
    // Within a minute, one each 15 s.
    assert!(tries.any(|found| found.starts_with("HTTP/1.1 200") && found.matches(":\nid: ").count() == 3));
}
