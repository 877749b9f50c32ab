//! The log as a stream.

use crate::support::{PATIENCE, Server, large, memory, until};
use serde_json::Value;
use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    command::{Finish, Spawn},
    ids::{TaskId, ThreadId},
    time::{Clock, ManualClock, Millis},
};
use taskledger_server::{Role, tokens};

/// A stream that is read line by line.
pub(crate) struct Stream {
    pub(crate) status: u16,
    head: String,
    from: BufReader<TcpStream>,
    lines: VecDeque<String>,
    rest: String,
    /// The server said that this was all.
    pub(crate) whole: bool,
}

impl Stream {
    fn open(server: &Server, target: &str, lines: &[&str]) -> Self {
        Self::as_client(server, target, &[lines, &[&server.bearer()]].concat())
    }

    fn as_client(server: &Server, target: &str, lines: &[&str]) -> Self {
        let mut stream = server.connect();
        let host = server.address;
        let lines = [lines, &[""]].concat().join("\r\n");
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut from = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && from.read_line(&mut head).unwrap() > 0 {}
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let (lines, rest, whole) = (VecDeque::new(), String::new(), false);
        Self { status, head: head.to_ascii_lowercase(), from, lines, rest, whole }
    }

    pub(crate) fn events(server: &Server, target: &str, id: Option<&str>) -> Self {
        let id = id.map_or("x-none: 1".to_owned(), |id| format!("last-event-id: {id}"));
        Self::open(server, target, &["accept: text/event-stream", &id])
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<String> {
        while self.lines.is_empty() {
            let mut size = String::new();
            self.from.read_line(&mut size).ok().filter(|len| *len > 0)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.from.read_exact(&mut chunk).ok()?;
            if size == 0 {
                self.whole = true;
                return None;
            }
            self.rest.push_str(str::from_utf8(&chunk[..size]).unwrap());
            while let Some(end) = self.rest.find('\n') {
                self.lines
                    .push_back(self.rest.drain(..=end).collect::<String>().trim_end().to_owned());
            }
        }
        self.lines.pop_front()
    }

    fn json(&mut self) -> Option<Value> {
        self.line().map(|line| serde_json::from_str(&line).unwrap())
    }

    /// The next event of a stream of events: its id and its number.
    pub(crate) fn event(&mut self) -> Option<(String, u64)> {
        let mut id = String::new();
        loop {
            let line = self.line()?;
            if let Some(found) = line.strip_prefix("id: ") {
                found.clone_into(&mut id);
            } else if let Some(data) = line.strip_prefix("data: {") {
                let json: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
                return Some((id, json["seq"].as_u64().unwrap()));
            }
        }
    }
}

fn spawn(ledger: &Ledger, number: usize) {
    let thread = ThreadId::new(format!("thread-{}", number % 4)).unwrap();
    let task = TaskId::new(format!("task-{number}")).unwrap();
    ledger.append_blocking(Spawn::new(thread, "x").task(task)).unwrap();
}

fn some(events: usize) -> Ledger {
    let ledger = memory();
    (1..events).for_each(|number| spawn(&ledger, number)); // and the event of the writer
    ledger
}

#[test]
fn lines_are_the_events_of_the_log_and_end_with_a_place_to_go_on_from() {
    let server = Server::with(some(9), |_| {});
    let mut stream = Stream::open(&server, "/v1/log?after=2", &[]);
    assert_eq!(stream.status, 200);
    assert!(stream.head.contains("application/x-ndjson"), "{}", stream.head);
    for seq in 3..=9 {
        assert_eq!(stream.json().unwrap()["seq"], seq);
    }
    let end = stream.json().unwrap();
    assert_eq!(end["checkpoint"]["size"], 9);
    assert_eq!(end["checkpoint"]["root"], server.service.ledger().reader().head().root.to_string());
    assert_eq!(stream.line(), None);
    // The same lines as those of the question.
    let asked = server.get("/v1/log?format=jsonl&since=3").body;
    let mut stream = Stream::open(&server, "/v1/log?after=2", &[]);
    for line in asked.lines() {
        assert_eq!(stream.line().as_deref(), Some(line));
    }
}

#[test]
fn a_client_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let server = Server::with(some(3), |_| {});
    let ledger = server.service.ledger().clone();
    let writer = std::thread::spawn(move || (3..400).for_each(|number| spawn(&ledger, number)));
    let (mut seen, mut id) = (0, None);
    while seen < 400 {
        let mut stream = Stream::events(&server, "/v1/log", id.as_deref());
        assert_eq!(stream.status, 200);
        // It goes away in the middle, again and again.
        for _ in 0..37 {
            let Some((last, seq)) = stream.event() else { break };
            assert_eq!(seq, seen + 1);
            (seen, id) = (seq, Some(last));
            if seen == 400 {
                break;
            }
        }
    }
    writer.join().unwrap();
}

#[test]
fn another_history_is_refused_before_the_stream_begins() {
    let server = Server::with(some(9), |_| {});
    let root = "ab".repeat(32);
    let open = |target: &str, id: Option<&str>| Stream::events(&server, target, id).status;
    assert_eq!(open("/v1/log", Some(&format!("5:{root}"))), 409);
    assert_eq!(open("/v1/log", Some(&format!("99:{root}"))), 409);
    assert_eq!(open("/v1/log", Some("5")), 400);
    let line = ["accept: text/event-stream"];
    let send = |target: &str| server.send("GET", target, &[&server.bearer(), line[0]], "");
    let problem = send(&format!("/v1/log?after=5&root={root}")).refused(409, "other-history");
    assert_eq!(problem["size"], 9);
    send("/v1/log?after=99").refused(409, "other-history");
    for target in [
        "/v1/log?after=x",
        "/v1/log?after=1&root=00",
        "/v1/log?color=1",
        "/v1/log?follow=1",
        "/v1/log?after=1&after=2",
        "/v1/log?action=none",
    ] {
        send(target).refused(400, "bad-request");
    }
    let good = server.service.ledger().reader();
    let root = good.root_at(taskledger::ids::Size::new(5)).unwrap();
    assert_eq!(open("/v1/log", Some(&format!("5:{root}"))), 200);
    assert_eq!(server.send("GET", "/v1/log?follow=true", &[], "").status, 401);
}

/// The stream goes on until it says that its token holds no more.
#[track_caller]
fn ends_unauthorized(mut stream: Stream) {
    loop {
        let line = stream.json().unwrap();
        if line["checkpoint"].is_null() {
            assert_eq!(line["problem"]["code"], "unauthorized", "{line}");
            break;
        }
    }
    assert_eq!(stream.line(), None);
}

#[test]
fn a_stream_ends_with_its_token() {
    let clock = std::sync::Arc::new(ManualClock::at(Millis(0)));
    let given = clock.clone();
    let server = Server::with(some(2), move |limits| {
        limits.heartbeat = Duration::from_millis(50);
        limits.clock = given;
    });
    let open = |token: &str| {
        let bearer = format!("authorization: Bearer {token}");
        let mut stream = Stream::as_client(&server, "/v1/log?follow=true&after=2", &[&bearer]);
        assert_eq!(stream.json().unwrap()["checkpoint"]["size"], 2);
        stream
    };
    let other = open(&server.reader);
    let short = tokens::add(&server.tokens, "short", Role::Read, Some(Millis(60_000))).unwrap();
    let expiring = open(&short);
    clock.set(Millis(60_000));
    ends_unauthorized(expiring);
    // Another token of the same name is none of it.
    let stream = open(&server.writer);
    tokens::revoke(&server.tokens, "writer").unwrap();
    tokens::add(&server.tokens, "writer", Role::Append, None).unwrap();
    ends_unauthorized(stream);
    std::fs::remove_file(&server.tokens).unwrap();
    ends_unauthorized(other);
}

#[test]
fn a_stream_whose_token_is_gone_gets_no_event_that_comes_then() {
    let server = Server::with(some(2), |limits| limits.heartbeat = PATIENCE * 2);
    let mut stream = Stream::open(&server, "/v1/log?follow=true&after=2", &[]);
    assert_eq!(stream.json().unwrap()["checkpoint"]["size"], 2);
    tokens::revoke(&server.tokens, "reader").unwrap();
    spawn(server.service.ledger(), 2);
    ends_unauthorized(stream);
}

#[test]
fn a_stream_whose_token_is_gone_ends_while_it_still_reads_on() {
    // More than the system holds for a client.
    let server = Server::with(large(24), |_| {});
    let mut stream = Stream::open(&server, "/v1/log?after=0", &[]);
    assert_eq!(stream.json().unwrap()["seq"], 1);
    tokens::revoke(&server.tokens, "reader").unwrap();
    let mut last = Value::Null;
    while let Some(line) = stream.json() {
        last = line;
    }
    assert_eq!(last["problem"]["code"], "unauthorized");
    assert!(stream.whole);
}

#[test]
fn a_stream_is_filtered_and_says_how_far_it_is_all_the_same() {
    let server = Server::with(some(9), |limits| limits.heartbeat = Duration::from_millis(100));
    let mut stream =
        Stream::open(&server, "/v1/log?follow=true&thread=thread-1&action=terminated", &[]);
    assert_eq!(stream.json().unwrap()["checkpoint"]["size"], 9);
    // Alive, and nothing to say.
    assert_eq!(stream.json().unwrap()["checkpoint"]["size"], 9);
    let end = |task: &str| {
        let task = TaskId::new(task).unwrap();
        server.service.ledger().append_blocking(Finish::completed(task)).unwrap();
    };
    end("task-2"); // of another thread
    end("task-1");
    let mut told = Vec::new();
    while told.last() != Some(&11) {
        let line = stream.json().unwrap();
        told.extend(line["seq"].as_u64());
    }
    assert_eq!(told, [11]);
}

#[test]
fn a_stream_in_which_nothing_is_wanted_is_neither_silent_nor_loud() {
    let heartbeat = Duration::from_millis(200);
    let server = Server::with(some(3), move |limits| limits.heartbeat = heartbeat);
    let began = std::time::Instant::now();
    let mut stream = Stream::open(&server, "/v1/log?follow=true&action=terminated", &[]);
    assert_eq!(stream.json().unwrap()["checkpoint"]["size"], 3);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut told, mut sizes) = (0, Vec::new());
    std::thread::scope(|scope| {
        // Never silent for as long as a heartbeat: only the stream itself can be.
        scope.spawn(|| {
            let mut number = 3;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                spawn(server.service.ledger(), number);
                number += 1;
            }
        });
        while told < 4 {
            told += 1;
            sizes.push(stream.json().unwrap()["checkpoint"]["size"].as_u64().unwrap());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert!(began.elapsed() >= heartbeat * 4, "{:?} {sizes:?}", began.elapsed());
}

#[test]
fn a_stream_that_reads_for_long_and_finds_nothing_says_how_far_it_is() {
    let ledger = memory();
    let text = "x".repeat(4_000);
    for _ in 0..99 {
        let thread = ThreadId::new("t").unwrap();
        ledger.append_blocking(Spawn::new(thread, "x").description(&*text)).unwrap();
    }
    // Any time is too long.
    let server = Server::with(ledger, |limits| limits.heartbeat = Duration::ZERO);
    let mut stream = Stream::open(&server, "/v1/log?follow=false&action=terminated", &[]);
    let mut sizes = Vec::new();
    while let Some(line) = stream.json() {
        sizes.push(line["checkpoint"]["size"].as_u64().unwrap());
    }
    assert!(sizes.len() > 3 && sizes.is_sorted(), "{sizes:?}");
    assert_eq!((stream.whole, sizes.last()), (true, Some(&100)));
}

#[test]
fn streams_have_a_budget_of_their_own_and_give_it_back() {
    let server = Server::with(some(3), |limits| {
        limits.streams_max = 3;
        limits.share_percent = 100;
        limits.tcp_connections_max = 2;
        limits.heartbeat = PATIENCE * 2; // not by a heartbeat that fails
    });
    let open = || Stream::events(&server, "/v1/log", None);
    // More streams than connections: they are not counted as such.
    let streams: Vec<Stream> = (0..3)
        .map(|_| {
            let stream = open();
            assert_eq!(stream.status, 200);
            stream
        })
        .collect();
    let refused = server.send("GET", "/v1/log?follow=true", &[&server.bearer()], "");
    assert_eq!(refused.refused(503, "limit")["limit"], "streams_max");
    assert_eq!(server.get("/v1/threads").status, 200);
    drop(streams);
    until("their places are free", || open().status == 200);
}

#[test]
fn a_stream_has_its_place_until_its_client_has_taken_the_rest() {
    let ledger = some(2);
    let big = format!("\"{}\"", "x".repeat(1_000_000));
    let task = TaskId::new("task-1").unwrap();
    ledger.append_blocking(Finish::completed(task).result(big.as_str())).unwrap();
    let server = Server::with(ledger, |limits| {
        limits.streams_max = 1;
        limits.write_timeout = PATIENCE * 2;
    });
    // A socket holds far less than this event.
    let mut slow = UnixStream::connect(&server.socket).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /v1/log?follow=false HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 12]).unwrap();
    let open = || server.by_socket("/v1/log?follow=false&after=3").status;
    assert_eq!(open(), 503);
    while slow.read(&mut [0; 4096]).unwrap() > 0 {}
    until("its place is free", || open() == 200);
}

#[test]
fn a_stream_that_is_not_read_costs_the_writer_nothing_and_is_cut() {
    let server = Server::with(some(3), |limits| {
        limits.write_timeout = Duration::from_millis(500);
        limits.streams_max = 1;
    });
    let stalled = Stream::events(&server, "/v1/log", None);
    assert_eq!(stalled.status, 200);
    let ledger = server.service.ledger();
    let task = |number: usize| TaskId::new(format!("big-{number}")).unwrap();
    let thread = ThreadId::new("t").unwrap();
    let big = format!("\"{}\"", "x".repeat(1_000_000));
    for number in 0..24 {
        ledger.append_blocking(Spawn::new(&thread, "x").task(task(number))).unwrap();
        ledger.append_blocking(Finish::completed(task(number)).result(big.as_str())).unwrap();
    }
    until("it is cut", || Stream::events(&server, "/v1/log?after=1", None).status == 200);
}

#[test]
fn a_stream_ends_when_the_ledger_or_the_server_does() {
    let mut server = Server::with(some(3), |_| {});
    let mut stream = Stream::open(&server, "/v1/log?follow=true", &[]);
    while stream.json().unwrap()["checkpoint"].is_null() {}
    server.service.ledger().close_blocking().unwrap();
    assert_eq!(stream.line(), None);
    drop(server);
    server = Server::with(some(3), |_| {});
    let mut stream = Stream::events(&server, "/v1/log", None);
    assert_eq!(stream.event().unwrap().1, 1);
    server.stop();
    while stream.line().is_some() {}
}

#[test]
fn a_stop_ends_a_stream_as_whole_only_after_its_checkpoint() {
    let big = format!("\"{}\"", "x".repeat(1_000_000));
    let ledger = some(3);
    for number in 0..16 {
        let task = TaskId::new(format!("big-{number}")).unwrap();
        let thread = ThreadId::new("t").unwrap();
        ledger.append_blocking(Spawn::new(thread, "x").task(&task)).unwrap();
        ledger.append_blocking(Finish::completed(task).result(big.as_str())).unwrap();
    }
    let mut server = Server::with(ledger, |_| {});
    let mut all = Stream::open(&server, "/v1/log?follow=true&after=35", &[]);
    assert_eq!(all.json().unwrap()["checkpoint"]["size"], 35);
    // Still in the middle: it has more to give than the system holds for a client.
    let mut half = Stream::open(&server, "/v1/log?follow=true", &[]);
    assert_eq!(half.json().unwrap()["seq"], 1);
    server.service.stop();
    while half.line().is_some() {}
    assert!(!half.whole);
    assert_eq!(all.line(), None);
    assert!(all.whole);
    server.stop();
}

/// A clock that stops the task that asks it.
#[derive(Debug, Default)]
struct Trap(std::sync::atomic::AtomicBool);

impl Clock for Trap {
    fn now(&self) -> Millis {
        assert!(!self.0.load(std::sync::atomic::Ordering::SeqCst), "a panic that is meant");
        Millis(0)
    }
}

#[test]
fn a_stream_that_dies_in_the_middle_is_cut() {
    let trap = std::sync::Arc::new(Trap::default());
    let given = trap.clone();
    let server = Server::with(some(3), move |limits| limits.clock = given);
    let open = |target: &str| Stream::open(&server, target, &[]);
    let mut live = open("/v1/log?follow=true&after=3");
    assert_eq!(live.json().unwrap()["checkpoint"]["size"], 3);
    trap.0.store(true, std::sync::atomic::Ordering::SeqCst);
    spawn(server.service.ledger(), 3);
    while live.line().is_some() {}
    assert!(!live.whole, "a cut, and no end");
    trap.0.store(false, std::sync::atomic::Ordering::SeqCst);
    // Others go on.
    assert_eq!(open("/v1/log?after=3").json().unwrap()["seq"], 4);
}

#[test]
fn many_followers_get_every_event_once_and_in_order_with_its_root() {
    let server = Server::with(some(3), |_| {});
    let streams: Vec<Stream> = (0..32).map(|_| Stream::events(&server, "/v1/log", None)).collect();
    std::thread::scope(|scope| {
        let followed = streams.into_iter().map(|mut stream| {
            scope.spawn(move || (1..=300).map(|_| stream.event().unwrap()).collect::<Vec<_>>())
        });
        let followed: Vec<_> = followed.collect();
        (3..300).for_each(|number| spawn(server.service.ledger(), number));
        let reader = server.service.ledger().reader();
        let root = |size: u64| reader.root_at(taskledger::ids::Size::new(size)).unwrap();
        let all: Vec<_> = (1..=300).map(|seq| (format!("{seq}:{}", root(seq)), seq)).collect();
        for events in followed {
            assert_eq!(events.join().unwrap(), all);
        }
    });
}

#[test]
fn a_ledger_that_is_only_read_is_streamed_as_another_process_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let writer = Ledger::create(&path, Options::default()).unwrap();
    spawn(&writer, 1);
    let reading = Ledger::open_read_only(&path, Options::default()).unwrap();
    let server = Server::with(reading, |_| {});
    let mut stream = Stream::events(&server, "/v1/log", None);
    for seq in 1..=2 {
        assert_eq!(stream.event().unwrap().1, seq);
    }
    for number in 2..40 {
        spawn(&writer, number);
    }
    for seq in 3..=40 {
        let (id, found) = stream.event().unwrap();
        assert_eq!(found, seq);
        let root = writer.reader().root_at(taskledger::ids::Size::new(seq)).unwrap();
        assert_eq!(id, format!("{seq}:{root}"));
    }
}
