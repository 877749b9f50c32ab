//! A server of its own for each test, and a client that can misbehave.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use taskledger::{
    Ledger, Options,
    command::{Finish, Spawn},
    ids::{TaskId, ThreadId},
};
use taskledger_server::{
    Role, Service,
    options::ServerOptions,
    socket::Socket,
    tokens::{self, TokenFile},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Longer than anything takes here: what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that listens at both kinds of address.
pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) tokens: PathBuf,
    pub(crate) reader: String,
    pub(crate) writer: String,
    served: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(memory(), |_| {})
    }

    pub(crate) fn with(ledger: Ledger, limits: impl FnOnce(&mut ServerOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        let reader = tokens::add(&file, "reader", Role::Read, None).unwrap();
        let writer = tokens::add(&file, "writer", Role::Append, None).unwrap();
        let mut options = ServerOptions::default();
        options.tokens = Some(Arc::new(TokenFile::open(&file).unwrap()));
        options.drain = Duration::from_secs(5);
        limits(&mut options);
        let service = Service::new(ledger, None, options);
        let (tell, told) = mpsc::channel();
        let (serving, socket) = (service.clone(), dir.path().join("test.sock"));
        let at = socket.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let socket = Socket::at(&at).unwrap();
                let by_socket = serving.serve_socket(socket);
                let (by_tcp, (), kept) =
                    tokio::join!(serving.serve_tcp(listener), by_socket, serving.keep_up());
                by_tcp.unwrap();
                kept.unwrap();
            });
        });
        let address = told.recv_timeout(PATIENCE).unwrap();
        let server = Self {
            service,
            address,
            socket,
            tokens: file,
            reader,
            writer,
            served: Some(thread),
            _dir: dir,
        };
        until("the socket is there", || UnixStream::connect(&server.socket).is_ok());
        server
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends this, and reads until the server closes the connection.
    pub(crate) fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // The server may have answered and closed before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        Answer::read(&mut stream)
    }

    /// Asks by TCP with these lines besides those that every request has.
    pub(crate) fn send(&self, method: &str, target: &str, lines: &[&str], body: &str) -> Answer {
        let lines = [lines, &["connection: close"]].concat().join("\r\n");
        let (host, len) = (self.address, body.len());
        self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\ncontent-length: {len}\r\n\r\n{body}"
        ))
    }

    /// A connection that is let in, and stays open for as long as the limits allow.
    pub(crate) fn let_in(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(self.lasting().as_bytes()).unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        stream
    }

    /// A request of the reader after which the connection stays open.
    pub(crate) fn lasting(&self) -> String {
        let (host, bearer) = (self.address, self.bearer());
        format!("GET /v1/threads HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n\r\n")
    }

    /// Asks as the reader.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[&self.bearer()], "")
    }

    pub(crate) fn bearer(&self) -> String {
        format!("authorization: Bearer {}", self.reader)
    }

    /// Asks by the socket.
    pub(crate) fn by_socket(&self, target: &str) -> Answer {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(&mut self) {
        self.service.stop();
        if let Some(served) = self.served.take() {
            served.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Status 0 if the connection ended without an answer.
    pub(crate) fn read(stream: &mut impl std::io::Read) -> Self {
        let mut bytes = Vec::new();
        let mut some = [0; 4096];
        // A connection that is cut counts as one that ends.
        while let Ok(len @ 1..) = stream.read(&mut some) {
            bytes.extend_from_slice(&some[..len]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Expects a refusal of this status and name.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, name: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["type"], format!("urn:taskledger:problem:{name}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        // No member that clients are not told of.
        let told: taskledger_contract::answers::ProblemBody =
            serde_json::from_value(problem.clone()).unwrap();
        assert_eq!(serde_json::to_value(told).unwrap(), problem);
        problem
    }
}

pub(crate) fn memory() -> Ledger {
    Ledger::in_memory(Options::default()).unwrap()
}

/// Waits until something holds.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another process or a connection is waited for")]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A ledger with so many results of about a mebibyte.
pub(crate) fn large(mebibytes: usize) -> Ledger {
    let ledger = memory();
    let thread = ThreadId::new("t").unwrap();
    for number in 0..mebibytes {
        let task = TaskId::new(format!("task-{number}")).unwrap();
        ledger.append_blocking(Spawn::new(&thread, "big").task(&task)).unwrap();
        let result = format!("\"{}\"", "x".repeat(1_000_000));
        ledger.append_blocking(Finish::completed(task).result(result)).unwrap();
    }
    ledger
}
