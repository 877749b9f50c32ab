//! A standby of a test: it asks, reads messages, and writes what it is given.

use crate::support::{Answer, Server};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};
use taskledger::{
    Ledger, Options,
    ids::{Epoch, Head, NodeId},
    replication::message::{Beat, Decoder, End, Frames, Message},
    store::MemStore,
};
use taskledger_server::{Role, tokens};

/// The role that standbys have, as a token.
pub(super) fn token(server: &Server) -> String {
    tokens::add(&server.tokens, "standby", Role::Replicate, None).unwrap()
}

/// A node that asks.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) token: String,
    pub(super) node: NodeId,
    pub(super) epoch: Option<Epoch>,
    pub(super) ledger: String,
}

impl Peer {
    pub(super) fn new(server: &Server, number: u8) -> Self {
        let ledger = server.service.ledger().reader().ledger_id().to_string();
        Self { token: token(server), node: NodeId([number; 16]), epoch: None, ledger }
    }

    /// The lines of its requests.
    pub(super) fn lines(&self) -> Vec<String> {
        let epoch = self.epoch.map(|epoch| format!("taskledger-epoch: {epoch}"));
        let mut lines = vec![
            format!("authorization: Bearer {}", self.token),
            format!("taskledger-node: {}", self.node),
            format!("taskledger-ledger: {}", self.ledger),
        ];
        lines.extend(epoch);
        lines
    }

    /// Begins a stream of the events after a head.
    pub(super) fn follow(&self, server: &Server, after: Head) -> Stream {
        Stream::begin(server, &target(after, true), self)
    }

    /// Asks for what there is after a head.
    pub(super) fn fetch(&self, server: &Server, after: Head) -> Stream {
        Stream::begin(server, &target(after, false), self)
    }

    /// Asks for a stream that is refused.
    pub(super) fn refused(&self, server: &Server, target: &str) -> Answer {
        let lines = [self.lines(), vec![accept()]].concat();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        server.send("GET", target, &lines, "")
    }

    pub(super) fn post(&self, server: &Server, path: &str, body: &serde_json::Value) -> Answer {
        let lines = [self.lines(), vec!["content-type: application/json".to_owned()]].concat();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        server.send("POST", path, &lines, &body.to_string())
    }

    pub(super) fn ack(&self, server: &Server, session: &str, head: Head) -> Answer {
        let (size, root) = (head.size.get(), head.root.to_string());
        let body = serde_json::json!({ "session": session, "size": size, "root": root });
        self.post(server, "/v1/replication/acks", &body)
    }
}

pub(super) fn target(after: Head, follow: bool) -> String {
    format!("/v1/log?after={}&root={}&follow={follow}", after.size, after.root)
}

fn accept() -> String {
    "accept: application/vnd.taskledger.frames".to_owned()
}

/// A stream of messages.
pub(super) struct Stream {
    pub(super) head: String,
    from: BufReader<TcpStream>,
    decoder: Decoder,
    /// All bytes that came.
    pub(super) bytes: Vec<u8>,
    /// The server said that this was all.
    pub(super) whole: bool,
}

impl Stream {
    fn begin(server: &Server, target: &str, peer: &Peer) -> Self {
        let mut stream = server.connect();
        let lines = [peer.lines(), vec![accept(), String::new()]].concat().join("\r\n");
        let host = server.address;
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut from = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && from.read_line(&mut head).unwrap() > 0 {}
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (decoder, bytes) = (Decoder::default(), Vec::new());
        Self { head: head.to_ascii_lowercase(), from, decoder, bytes, whole: false }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn session(&self) -> String {
        self.header("taskledger-session").unwrap().to_owned()
    }

    /// The next message; `None` at the end.
    pub(super) fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return Some(message);
            }
            let mut size = String::new();
            self.from.read_line(&mut size).ok().filter(|len| *len > 0)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.from.read_exact(&mut chunk).ok()?;
            if size == 0 {
                self.whole = true;
                return None;
            }
            self.bytes.extend_from_slice(&chunk[..size]);
            self.decoder.push(&chunk[..size]);
        }
    }

    /// The next frames.
    pub(super) fn frames(&mut self) -> Frames {
        loop {
            match self.message() {
                Some(Message::Frames(frames)) => return frames,
                Some(Message::Beat(_)) => {}
                other => panic!("no frames but {other:?}"),
            }
        }
    }

    /// The end of the stream, without more frames before.
    pub(super) fn end(&mut self) -> End {
        loop {
            match self.message() {
                Some(Message::End(end)) => return end,
                Some(Message::Beat(_)) => {}
                other => panic!("no end but {other:?}"),
            }
        }
    }

    pub(super) fn beat(&mut self) -> Beat {
        match self.message() {
            Some(Message::Beat(beat)) => beat,
            other => panic!("no beat but {other:?}"),
        }
    }

    /// Writes what comes, until the standby has as many events as its source has now.
    pub(super) fn fill(&mut self, server: &Server, standby: &Ledger) {
        let all = server.service.ledger().reader().head();
        while standby.reader().head() != all {
            match self.message().unwrap() {
                Message::Frames(frames) => {
                    let head = frames.head();
                    assert!(!taskledger::codec::batch_goes_on(frames.frames.last().unwrap()));
                    standby.ingest_blocking(frames.frames, head).unwrap();
                }
                Message::Beat(_) => {}
                Message::End(end) => panic!("{end:?}"),
            }
        }
    }
}

/// An empty standby of the ledger of a server.
pub(super) fn standby(server: &Server) -> Ledger {
    let ledger = server.service.ledger().reader().ledger_id();
    Ledger::create_standby_in(&MemStore::new(), ledger, Options::default()).unwrap()
}
