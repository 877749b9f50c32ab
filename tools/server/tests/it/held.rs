//! Requests that are being recorded: how many there may be, and the bytes of them, also when their
//! clients have gone away.

use crate::support::{Answer, PATIENCE, Server, until};
use serde_json::Value;
use std::{
    io::Write as _,
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
};
use taskledger::{
    Ledger, Options,
    time::{Clock, Millis},
};
use taskledger_server::{Role, options::ServerOptions, tokens};

/// The clock of a ledger. While it is held, the ledger records nothing and refuses nothing.
#[derive(Debug, Default)]
struct Gate {
    held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.opened.notify_all();
    }
}

impl Clock for Gate {
    fn now(&self) -> Millis {
        let held = self.held.lock().unwrap();
        drop(self.opened.wait_while(held, |held| *held).unwrap());
        Millis(0)
    }
}

/// A server of a ledger that can be held, and the tokens of two clients.
struct Held {
    gate: Arc<Gate>,
    server: Server,
    one: String,
    other: String,
}

impl Held {
    fn new(share: usize, limits: impl FnOnce(&mut ServerOptions)) -> Self {
        let gate = Arc::new(Gate::default());
        let ledger = Ledger::in_memory(Options::default().clock(gate.clone())).unwrap();
        let server = Server::with(ledger, |options| {
            options.share_percent = share;
            limits(options);
        });
        let token = |name: &str| tokens::add(&server.tokens, name, Role::Append, None).unwrap();
        let (one, other) = (token("one"), token("other"));
        gate.hold(true);
        Self { gate, server, one, other }
    }

    /// Asks that a task is recorded, with a description of so many bytes.
    fn post(&self, token: &str, number: usize, bytes: usize) -> TcpStream {
        let (host, text) = (self.server.address, "x".repeat(bytes));
        let body = format!(
            r#"{{"thread_id":"t","task_type":"x","task_id":"{number}","description":"{text}"}}"#
        );
        let mut stream = self.server.connect();
        let request = format!(
            "POST /v1/tasks HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nidempotency-key: {number}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// The same by the socket.
    fn by_socket(&self) -> UnixStream {
        let body = r#"{"thread_id":"t","task_type":"x","task_id":"local"}"#;
        let mut stream = UnixStream::connect(&self.server.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Sends requests of one client, one more than there is room for, until one is refused: then all
    /// the others are being recorded.
    fn fill(&self, room: usize, bytes: usize) -> Filled {
        let (tell, answers) = mpsc::channel();
        let mut streams = Vec::new();
        // One is refused.
        for number in 0..=room {
            let mut stream = self.post(&self.one, number, bytes);
            streams.push(stream.try_clone().unwrap());
            let tell = tell.clone();
            thread::spawn(move || tell.send(Answer::read(&mut stream)));
        }
        let refused = answers.recv_timeout(PATIENCE / 4).unwrap();
        Filled { streams, answers, problem: refused.refused(503, "limit") }
    }

    /// The number of connections by TCP.
    fn connections(&self) -> Option<f64> {
        let page = self.server.by_socket("/metrics").body;
        let series = "taskledger_http_connections{door=\"tcp\"} ";
        page.lines().find_map(|line| line.strip_prefix(series)?.parse().ok())
    }
}

/// Requests that take all the room that there is, and the refusal of one more.
struct Filled {
    streams: Vec<TcpStream>,
    answers: mpsc::Receiver<Answer>,
    problem: Value,
}

#[test]
fn requests_that_are_being_recorded_are_bounded_for_each_token_and_door() {
    for (share, room) in [(100, 4), (50, 2)] {
        let held = Held::new(share, |limits| limits.appends_max = 4);
        let Filled { answers, problem, .. } = held.fill(room, 1);
        assert_eq!((&problem["limit"], &problem["max"]), (&"appends_max".into(), &4.into()));
        assert_eq!(problem["share"], room);
        let mut other = held.post(&held.other, 77, 1);
        if share == 100 {
            Answer::read(&mut other).refused(503, "limit");
        }
        let mut by_socket = held.by_socket();
        held.gate.hold(false);
        for _ in 0..room {
            assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 201);
        }
        if share == 50 {
            assert_eq!(Answer::read(&mut other).status, 201, "it has a share of its own");
        }
        assert_eq!(Answer::read(&mut by_socket).status, 201, "and so has the socket");
        let mut again = held.post(&held.one, 78, 1);
        assert_eq!(Answer::read(&mut again).status, 201, "their places were given back");
    }
}

#[test]
fn a_request_whose_client_has_gone_has_its_place_until_it_is_recorded() {
    let held = Held::new(100, |limits| limits.appends_max = 2);
    let Filled { streams, .. } = held.fill(2, 1);
    for stream in streams {
        let _ = stream.shutdown(Shutdown::Both);
    }
    until("the clients are gone", || held.connections() == Some(0.0));
    Answer::read(&mut held.post(&held.one, 77, 1)).refused(503, "limit");
    held.gate.hold(false);
    let ledger = held.server.service.ledger();
    until("what they sent is recorded", || ledger.reader().head().size.get() == 3);
    let again = || Answer::read(&mut held.post(&held.one, 78, 1)).status == 201;
    until("their places are free", again);
}

#[test]
fn the_bytes_of_what_is_being_recorded_count_until_it_is() {
    let held = Held::new(100, |limits| limits.bodies_bytes_max = 9_000);
    let Filled { answers, problem, .. } = held.fill(5, 3_000);
    assert_eq!(problem["limit"], "bodies_bytes_max");
    held.gate.hold(false);
    for _ in 0..5 {
        answers.recv_timeout(PATIENCE).unwrap();
    }
    let mut again = held.post(&held.one, 78, 4_000);
    assert_eq!(Answer::read(&mut again).status, 201);
}
