//! One client takes all it can get. Another token, and the socket, are answered meanwhile.
//!
//! Each attack is also made where a token may have all (`share_percent` 100): there the other token is
//! refused, which shows that the attack bites.

use crate::support::{Answer, PATIENCE, Server, large, memory, until};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};
use taskledger::Ledger;
use taskledger_server::{Role, options::ServerOptions, tokens};

/// A server, the token of the client that attacks, and that of another one.
struct Attacked {
    server: Server,
    one: String,
    other: String,
}

impl Attacked {
    fn new(ledger: Ledger, share: usize, limits: impl FnOnce(&mut ServerOptions)) -> Self {
        let server = Server::with(ledger, |options| {
            options.share_percent = share;
            // Nothing is given back because it took too long.
            options.header_timeout = PATIENCE * 2;
            options.body_timeout = PATIENCE * 2;
            options.write_timeout = PATIENCE * 2;
            options.read_wait = Duration::from_millis(200);
            options.drain = Duration::from_millis(100);
            limits(options);
        });
        let token = |name: &str| {
            let token = tokens::add(&server.tokens, name, Role::Append, None).unwrap();
            format!("authorization: Bearer {token}")
        };
        let (one, other) = (token("one"), token("other"));
        Self { server, one, other }
    }

    /// Sends this as the client that attacks, and keeps the connection.
    fn hold(&self, method: &str, target: &str, lines: &str, body: &str) -> TcpStream {
        let (host, one) = (self.server.address, &self.one);
        let mut stream = self.server.connect();
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{one}\r\n{lines}\r\n{body}");
        // One that is refused may be closed by now.
        let _ = stream.write_all(request.as_bytes());
        stream
    }

    /// Asks as the other one.
    fn get(&self, target: &str) -> Answer {
        self.server.send("GET", target, &[&self.other], "")
    }

    /// Records as the other one.
    fn record(&self, key: usize) -> Answer {
        let key = format!("idempotency-key: {key}");
        let lines = [&*self.other, "content-type: application/json", &key];
        // Of some length, since a body takes no more room than it has bytes.
        let body = SPAWN.replace("another", &"a".repeat(2_000));
        self.server.send("POST", "/v1/tasks", &lines, &body)
    }

    fn record_by_socket(&self) -> Answer {
        let mut stream = self.by_socket("POST", "/v1/tasks", SPAWN.len(), SPAWN);
        Answer::read(&mut stream)
    }

    fn by_socket(&self, method: &str, target: &str, len: usize, body: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.server.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
}

const SPAWN: &str = r#"{"thread_id":"t","task_type":"x","description":"by another one"}"#;

/// The head of a body that is longer than what is sent of it.
const HALF: &str =
    "content-type: application/json\r\nidempotency-key: x\r\ncontent-length: 2000\r\n";

/// The status of an answer that begins.
fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

#[test]
fn one_token_cannot_take_all_streams() {
    for (share, answered) in [(100, 503), (50, 200)] {
        let attacked = Attacked::new(memory(), share, |limits| limits.streams_max = 6);
        let open = || attacked.hold("GET", "/v1/log?follow=true", "", "");
        let mut held: Vec<TcpStream> = (0..40).map(|_| open()).collect();
        let taken = held.iter_mut().filter_map(|held| (status(held) == 200).then_some(())).count();
        assert_eq!(taken, 6 * share / 100);
        let answer = attacked.get("/v1/log?follow=false&after=0");
        assert_eq!(answer.status, answered, "{answer:?}");
        assert_eq!(attacked.server.by_socket("/v1/log?follow=false&after=0").status, 200);
    }
}

#[test]
fn one_token_cannot_take_all_connections() {
    for (share, answered) in [(100, 503), (50, 200)] {
        let attacked = Attacked::new(memory(), share, |limits| limits.tcp_connections_max = 8);
        let mut held: Vec<TcpStream> = Vec::new();
        for _ in 0..200 {
            // Each is let in, and stays.
            let mut stream = attacked.hold("GET", "/v1/threads", "", "");
            if status(&mut stream) == 200 {
                held.push(stream);
            }
        }
        assert_eq!(held.len(), 8 * share / 100);
        let answer = attacked.get("/v1/threads");
        assert_eq!(answer.status, answered, "{answer:?}");
        let refused = attacked.server.send("GET", "/v1/threads", &[&attacked.one], "");
        let problem = refused.refused(503, "limit");
        assert_eq!(
            (&problem["limit"], &problem["max"]),
            (&"tcp_connections_max".into(), &8.into())
        );
        assert_eq!(problem["share"].as_u64(), (share == 50).then_some(4));
        assert_eq!(attacked.server.by_socket("/v1/threads").status, 200);
    }
}

/// They have shown no token, and all clients of a machine have its one address.
#[test]
fn connections_that_ask_nothing_keep_nobody_out() {
    let attacked = Attacked::new(memory(), 50, |limits| {
        limits.tcp_connections_max = 8;
        limits.socket_connections_max = 8;
    });
    let silent = |number: usize| {
        let mut stream = attacked.server.connect();
        let begin: &[u8] =
            if number.is_multiple_of(2) { b"" } else { b"GET /v1/threads HTTP/1.1\r\nx:" };
        let _ = stream.write_all(begin);
        stream
    };
    let held: Vec<TcpStream> = (0..300).map(silent).collect();
    let at_socket = || UnixStream::connect(&attacked.server.socket).unwrap();
    let held_there: Vec<UnixStream> = (0..100).map(|_| at_socket()).collect();
    for key in 0..8 {
        assert_eq!(attacked.get("/v1/threads").status, 200);
        assert_eq!(attacked.record(key).status, 201);
        assert_eq!(attacked.server.by_socket("/v1/threads").status, 200);
    }
    drop((held, held_there));
}

#[test]
fn one_token_that_reads_nothing_of_its_answers_leaves_room_for_those_of_others() {
    for (share, answered) in [(100, 503), (50, 200)] {
        let attacked = Attacked::new(large(12), share, |limits| {
            limits.answer_bytes_max = 14 << 20;
            limits.answers_bytes_max = 32 << 20;
        });
        let (mut held, mut taken) = (Vec::new(), 0);
        for _ in 0..20 {
            let mut stream = attacked.hold("GET", "/v1/log", "", "");
            taken += usize::from(status(&mut stream) == 200);
            held.push(stream);
        }
        assert_eq!(taken, 2 * share / 100);
        let answer = attacked.get("/v1/log");
        assert_eq!(answer.status, answered, "{}", answer.head);
        assert_eq!(attacked.server.by_socket("/v1/log").status, 200);
        drop(held);
    }
}

/// True if a stream that begins at a large event is told three times that it waits.
fn waits_for_room(attacked: &Attacked, bearer: &str) -> bool {
    let mut stream = attacked.server.connect();
    let host = attacked.server.address;
    let target = "/v1/log?follow=false&after=2";
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut lines, mut beats) = (BufReader::new(stream).lines(), 0);
    while beats < 3 {
        let line = lines.next().unwrap().unwrap();
        if line.contains("\"seq\":3,") {
            return false;
        }
        beats += usize::from(line.contains("checkpoint"));
    }
    true
}

/// Each of its streams holds a large event, of which its client takes nothing.
#[test]
fn one_token_cannot_take_all_room_for_large_events() {
    for share in [100, 50] {
        let attacked = Attacked::new(large(24), share, |limits| {
            limits.large_events_bytes_max = 4 << 20;
            limits.heartbeat = Duration::from_millis(200);
        });
        let open = || attacked.hold("GET", "/v1/log?follow=true&after=2", "", "");
        let mut held = vec![open()];
        let mut hold_until_waits = |bearer: &str| {
            while !waits_for_room(&attacked, bearer) {
                assert!(held.len() < 60, "there is room without end");
                held.push(open());
            }
        };
        hold_until_waits(&attacked.one);
        if share == 100 {
            hold_until_waits(&attacked.other);
        } else {
            until("another one has room", || !waits_for_room(&attacked, &attacked.other));
        }
        let answer = attacked.server.by_socket("/v1/log?follow=false&after=48");
        assert!(answer.body.contains("\"seq\":49,"), "the socket has its own");
        drop(held);
    }
}

#[test]
fn bodies_that_come_in_part_keep_nobody_from_recording() {
    for (share, answered) in [(100, 503), (50, 201)] {
        let attacked = Attacked::new(memory(), share, |limits| limits.bodies_bytes_max = 16 << 10);
        let part = "x".repeat(1_500);
        let held: Vec<TcpStream> =
            (0..60).map(|_| attacked.hold("POST", "/v1/tasks", HALF, &part)).collect();
        if answered == 201 {
            for key in 0..5 {
                let answer = attacked.record(key);
                assert_eq!(answer.status, 201, "{answer:?}");
            }
        } else {
            until("all room is taken", || attacked.record(0).status == answered);
        }
        assert_eq!(attacked.record_by_socket().status, 201);
        drop(held);
    }
}

/// Each would be 24 MiB: three of them were all that there is.
#[test]
fn bodies_that_are_announced_and_do_not_come_take_no_room() {
    let attacked = Attacked::new(memory(), 50, |_| {});
    let lines =
        "content-type: application/json\r\nidempotency-key: x\r\ncontent-length: 2000000\r\n";
    let held: Vec<TcpStream> =
        (0..90).map(|_| attacked.hold("POST", "/v1/tasks", lines, "")).collect();
    let at_socket: Vec<UnixStream> =
        (0..31).map(|_| attacked.by_socket("POST", "/v1/tasks", 24 << 20, "{")).collect();
    // The last of them was let in before this one is.
    assert_eq!(attacked.record_by_socket().status, 201);
    assert_eq!(attacked.record(0).status, 201);
    let again = attacked.server.send(
        "POST",
        "/v1/tasks",
        &[&attacked.one, "content-type: application/json", "idempotency-key: y"],
        SPAWN,
    );
    assert_eq!(again.status, 201, "its own bodies take none either: {again:?}");
    drop((held, at_socket));
}

/// Hundreds of requests at once, each for all of the log, as fast as they are answered.
#[test]
fn one_token_that_asks_without_end_keeps_nobody_waiting() {
    let attacked = Attacked::new(large(8), 50, |limits| limits.reads_max = 2);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = attacked.hold("HEAD", "/v1/log", "connection: close\r\n", "");
                    Answer::read(&mut stream);
                }
            });
        }
        let answers = (0..12).map(|key| {
            let by_socket = [attacked.server.by_socket("/v1/threads").status];
            [attacked.get("/v1/threads").status, by_socket[0], attacked.record(key).status]
        });
        let answers: Vec<[u16; 3]> = answers.collect();
        stop.store(true, Ordering::Relaxed);
        assert!(answers.iter().all(|answers| *answers == [200, 200, 201]), "{answers:?}");
    });
}

/// Two tokens may take all that TCP has; the socket has its own.
#[test]
fn what_all_tokens_take_together_is_nothing_of_the_socket() {
    let attacked = Attacked::new(large(12), 100, |limits| {
        limits.tcp_connections_max = 16;
        limits.streams_max = 4;
        limits.answer_bytes_max = 14 << 20;
        limits.answers_bytes_max = 28 << 20;
        limits.bodies_bytes_max = 8 << 10;
    });
    let streams = (0..4).map(|_| attacked.hold("GET", "/v1/log?follow=true", "", ""));
    let mut held: Vec<TcpStream> = streams.collect();
    held.extend((0..2).map(|_| attacked.hold("GET", "/v1/log", "", "")));
    assert!(held.iter_mut().all(|held| status(held) == 200));
    assert_eq!(attacked.get("/v1/log").status, 503);
    let part = "x".repeat(1_500);
    while attacked.record(0).status != 503 {
        assert!(held.len() < 16, "bodies have room without end");
        held.push(attacked.hold("POST", "/v1/tasks", HALF, &part));
    }
    loop {
        let mut stream = attacked.hold("GET", "/v1/threads", "", "");
        if status(&mut stream) != 200 {
            break;
        }
        held.push(stream);
    }
    assert_eq!(attacked.get("/v1/threads").status, 503);
    assert_eq!(attacked.server.by_socket("/v1/log").status, 200);
    assert_eq!(attacked.server.by_socket("/v1/log?follow=false&after=0").status, 200);
    assert_eq!(attacked.record_by_socket().status, 201);
    drop(held);
}
