//! The memory that one question takes, and a standby, of a ledger whose texts are as long as clients can
//! make them.
//!
//! A binary of its own, since its allocator counts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code, reason = "a test")]

#[path = "../it/support.rs"]
mod support;

use peak_alloc::PeakAlloc;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
};
use support::{Server, memory};
use taskledger::{
    Ledger,
    command::{Cancel, Emit, Finish, Spawn},
    ids::{Root, TaskId, ThreadId},
};
use taskledger_server::{Role, tokens};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One test at a time: what one allocates is of no other.
static ONE: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;
/// The limit of an answer here.
const ANSWER_BYTES_MAX: usize = 4 * MIB;
/// The bytes of events that a read may hold besides (docs/http.md), and of a server.
const BESIDES_BYTES: usize = 64 * MIB;

/// A thread of 160 tasks with long results, and a task of 300 long events: 230 MB of texts.
fn long() -> Ledger {
    let ledger = memory();
    let thread = ThreadId::new("t").unwrap();
    let task = |number: usize| TaskId::new(format!("task-{number}")).unwrap();
    let big = TaskId::new("big").unwrap();
    ledger.append_blocking(Spawn::new(&thread, "big").task(&big)).unwrap();
    for number in 0..160 {
        ledger.append_blocking(Spawn::new(&thread, "x").task(task(number))).unwrap();
    }
    let text = "x".repeat(500_000);
    let json = format!("\"{text}\"");
    for number in 0..160 {
        ledger.append_blocking(Finish::completed(task(number)).result(json.as_str())).unwrap();
    }
    for _ in 0..100 {
        ledger.append_blocking(Cancel::task(&big).reason(text.as_str())).unwrap();
        for kind in ["progress", "taskledger.note"] {
            ledger.append_blocking(Emit::new(&big, kind, json.as_str())).unwrap();
        }
    }
    ledger
}

#[test]
fn a_question_takes_no_more_memory_than_its_limit_however_long_the_texts_are() {
    let _one = ONE.lock();
    let server = Server::with(long(), |limits| limits.answer_bytes_max = ANSWER_BYTES_MAX);
    let held = HEAP.current_usage();
    assert!(held > 200_000_000, "the texts are in memory: {held}");
    for target in [
        "/v1/tasks/big",
        "/v1/tasks/big/why",
        "/v1/threads/t/tree",
        "/v1/tasks?thread=t",
        "/v1/tasks",
        "/v1/log?task=big",
        "/v1/log?thread=t",
        "/v1/diff?thread=t&from=162",
    ] {
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let problem = server.by_socket(target).refused(422, "answer-too-large");
        assert_eq!(problem["limit"], "answer_bytes_max");
        let took = HEAP.peak_usage().saturating_sub(before);
        assert!(took < ANSWER_BYTES_MAX + BESIDES_BYTES, "{target} took {took} bytes");
    }
    assert_eq!(server.by_socket("/v1/threads/t/timeline").status, 200);
}

/// A stream of the whole log for a standby, of which nothing is read yet but its head.
fn standby(server: &Server, token: &str, node: usize) -> TcpStream {
    let (host, ledger) = (server.address, server.service.ledger().reader().ledger_id());
    let mut stream = server.connect();
    let request = format!(
        "GET /v1/log?after=0&root={}&follow=false HTTP/1.1\r\nhost: {host}\r\n\
         accept: application/vnd.taskledger.frames\r\nauthorization: Bearer {token}\r\n\
         taskledger-ledger: {ledger}\r\ntaskledger-node: {node:032x}\r\n\r\n",
        Root::EMPTY
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut begin = [0; 16];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin[..12], b"HTTP/1.1 200");
    stream
}

#[test]
fn a_standby_takes_the_memory_of_one_message_however_far_it_is_behind() {
    let _one = ONE.lock();
    let server = Server::with(long(), |_| {});
    let token = tokens::add(&server.tokens, "standby", Role::Replicate, None).unwrap();
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    // As many as one token may have do not read on, and one reads all.
    let _stalled: Vec<_> = (1..16).map(|node| standby(&server, &token, node)).collect();
    let mut stream = standby(&server, &token, 16);
    let (mut all, mut some) = (0, vec![0; MIB]);
    while let Ok(len @ 1..) = stream.read(&mut some) {
        all += len;
    }
    assert!(all > 200_000_000, "{all}");
    let took = HEAP.peak_usage().saturating_sub(before);
    assert!(took < 16 * 3 * MIB + BESIDES_BYTES, "it took {took} bytes");
}
