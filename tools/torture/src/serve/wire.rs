//! A client of HTTP/1.1 that waits: requests on a connection that is kept, and streams.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// The longest wait for a connection by TCP.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of a line that any answer may have.
const LINE_BYTES_MAX: usize = 1 << 20;

trait Both: Read + Write + Send {}

impl<S: Read + Write + Send> Both for S {}

/// A connection, by TCP with a token or by the socket without.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Both>>,
    lines: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The number of events that the log had.
    pub(super) size: Option<u64>,
    pub(super) body: String,
}

struct Head {
    status: u16,
    len: Option<usize>,
    size: Option<u64>,
}

/// The error in place of bytes that were to come.
fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    pub(super) fn by_tcp(to: SocketAddr, token: &str, silence: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, CONNECT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(silence))?;
        let lines = format!("host: {to}\r\nauthorization: Bearer {token}\r\n");
        Ok(Self { stream: BufReader::new(Box::new(stream)), lines })
    }

    pub(super) fn by_socket(path: &Path, silence: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(silence))?;
        Ok(Self { stream: BufReader::new(Box::new(stream)), lines: "host: x\r\n".to_owned() })
    }

    /// Sends JSON under a key.
    pub(super) fn post(&mut self, path: &str, key: &str, body: &str) -> io::Result<Answer> {
        let more = format!(
            "content-type: application/json\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n",
            body.len()
        );
        self.send(&format!("POST {path} HTTP/1.1\r\n{}{more}\r\n{body}", self.lines))?;
        self.answer()
    }

    pub(super) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.send(&format!("GET {target} HTTP/1.1\r\n{}\r\n", self.lines))?;
        self.answer()
    }

    /// Asks for a stream; the answer if it is refused.
    pub(super) fn stream(mut self, target: &str, more: &str) -> io::Result<Result<Lines, Answer>> {
        self.send(&format!("GET {target} HTTP/1.1\r\n{}{more}\r\n", self.lines))?;
        let Head { status, len, size } = self.head()?;
        if let (200, None) = (status, len) {
            return Ok(Ok(Lines { stream: self.stream, left: 0, begun: false }));
        }
        let body = self.body(len)?;
        Ok(Err(Answer { status, size, body }))
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let Head { status, len, size } = self.head()?;
        let body = self.body(len)?;
        Ok(Answer { status, size, body })
    }

    fn body(&mut self, len: Option<usize>) -> io::Result<String> {
        let len = len.filter(|len| *len <= LINE_BYTES_MAX);
        let mut body = vec![0; len.ok_or_else(|| strange("an answer without a length"))?];
        self.stream.read_exact(&mut body)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn head(&mut self) -> io::Result<Head> {
        let mut head = Head { status: 0, len: Some(0), size: None };
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.strip_suffix("\r\n").ok_or_else(|| strange("the connection ended"))?;
            if head.status == 0 {
                let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
                let status = status.and_then(|status| status.parse().ok());
                head.status = status.ok_or_else(|| strange("no answer"))?;
            } else if line.is_empty() {
                return Ok(head);
            } else if let Some((name, value)) = line.split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => head.len = value.parse().ok(),
                    "transfer-encoding" => head.len = None,
                    "taskledger-size" => head.size = value.parse().ok(),
                    _ => {}
                }
            }
        }
    }
}

/// The lines of a body that comes in chunks.
pub(super) struct Lines {
    stream: BufReader<Box<dyn Both>>,
    left: usize,
    begun: bool,
}

impl Lines {
    /// The next line, without its end; none when the body has ended.
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            if self.left == 0 && !self.chunk()? {
                return Ok(None);
            }
            let some = self.stream.fill_buf()?;
            if some.is_empty() || line.len() > LINE_BYTES_MAX {
                return Err(strange("the stream was cut"));
            }
            let some = some.get(..self.left.min(some.len())).unwrap_or(some);
            let end = some.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
            let taken = end.unwrap_or(some.len());
            line.extend(some.iter().take(taken));
            self.stream.consume(taken);
            self.left -= taken;
            if end.is_some() {
                line.pop();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    fn chunk(&mut self) -> io::Result<bool> {
        let mut line = String::new();
        if self.begun {
            self.stream.read_line(&mut line)?;
            line.clear();
        }
        self.begun = true;
        self.stream.read_line(&mut line)?;
        let left = usize::from_str_radix(line.trim_end(), 16);
        self.left = left.map_err(|_| strange("the stream was cut"))?;
        Ok(self.left > 0)
    }
}
