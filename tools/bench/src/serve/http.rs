//! A client of HTTP/1.1 that does as little as it can: what it costs is part of what is measured.

use super::door::{Door, Stream};
use anyhow::{Context, Result, bail, ensure};
use std::{io::Write as _, time::Duration};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

/// The pause before a request that the server had no room for is sent again.
const PAUSE: Duration = Duration::from_millis(2);

/// A connection that is kept.
pub(super) struct Http {
    stream: Stream,
    lines: String,
    asked: Vec<u8>,
    answer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    /// None if the body comes in chunks.
    len: Option<usize>,
}

impl Http {
    pub(super) async fn connect(door: &Door) -> Result<Self> {
        let stream = door.address.connect().await?;
        Ok(Self { stream, lines: door.lines(), asked: Vec::new(), answer: Vec::new() })
    }

    /// Sends JSON under a key until it is recorded, and gives the answer.
    pub(super) async fn post(&mut self, path: &str, key: &str, body: &str) -> Result<&[u8]> {
        self.asked.clear();
        write!(
            self.asked,
            "POST {path} HTTP/1.1\r\n{}content-type: application/json\r\nidempotency-key: {key}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.lines,
            body.len()
        )?;
        loop {
            self.stream.get_mut().write_all(&self.asked).await?;
            let Head { status, len } = head(&mut self.stream).await?;
            self.answer.resize(len.context("an answer without a length")?, 0);
            self.stream.read_exact(&mut self.answer).await?;
            match status {
                200 | 201 => return Ok(&self.answer),
                429 | 503 => tokio::time::sleep(PAUSE).await,
                _ => bail!("{status}: {}", String::from_utf8_lossy(&self.answer)),
            }
        }
    }

    /// Asks for a stream of the log, in the form of server-sent events if it is wanted so.
    pub(super) async fn follow(mut self, target: &str, events: bool) -> Result<Lines> {
        let accept = if events { "text/event-stream" } else { "application/x-ndjson" };
        let lines = &self.lines;
        let asked = format!("GET {target} HTTP/1.1\r\n{lines}accept: {accept}\r\n\r\n");
        self.stream.get_mut().write_all(asked.as_bytes()).await?;
        let Head { status, len } = head(&mut self.stream).await?;
        ensure!(status == 200 && len.is_none(), "a stream was answered with {status}");
        Ok(Lines { stream: self.stream, left: 0, begun: false, line: Vec::new() })
    }
}

async fn head(stream: &mut Stream) -> Result<Head> {
    let (mut line, mut head) = (Vec::new(), Head { status: 0, len: Some(0) });
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
        let text = str::from_utf8(&line)?.strip_suffix("\r\n").context("the connection ended")?;
        if head.status == 0 {
            let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
            head.status = status.and_then(|status| status.parse().ok()).context("no answer")?;
        } else if text.is_empty() {
            return Ok(head);
        } else if let Some((name, value)) = text.split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                head.len = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.len = None;
            }
        }
    }
}

/// The lines of a body that comes in chunks.
pub(super) struct Lines {
    stream: Stream,
    /// Bytes of the chunk that were not read yet.
    left: usize,
    begun: bool,
    line: Vec<u8>,
}

impl Lines {
    /// The next line, with its end; none when the body has ended.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        loop {
            if self.left == 0 && !self.chunk().await? {
                return Ok(None);
            }
            let some = self.stream.fill_buf().await?;
            ensure!(!some.is_empty(), "the stream was cut");
            let some = some.get(..self.left.min(some.len())).unwrap_or(some);
            let end = some.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
            let taken = end.unwrap_or(some.len());
            self.line.extend(some.iter().take(taken));
            self.stream.consume(taken);
            self.left -= taken;
            if end.is_some() {
                return Ok(Some(&self.line));
            }
        }
    }

    /// Begins the next chunk; false if it is the last one.
    async fn chunk(&mut self) -> Result<bool> {
        let mut line = String::new();
        if self.begun {
            self.stream.read_line(&mut line).await?;
            ensure!(line == "\r\n", "a chunk does not end");
            line.clear();
        }
        self.begun = true;
        self.stream.read_line(&mut line).await?;
        self.left = usize::from_str_radix(line.trim_end(), 16).context("the stream was cut")?;
        Ok(self.left > 0)
    }
}

/// The number of the event that a receipt, or a line of the log, tells of.
pub(super) fn seq(json: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"seq\":";
    let place = json.windows(NAME.len()).position(|some| some == NAME)?;
    let digits = json.iter().skip(place + NAME.len()).take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::door::Both;
    use tokio::io::BufReader;

    fn stream(said: &'static str) -> Stream {
        let (here, mut there) = tokio::io::duplex(1 << 16);
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(there.write_all(said.as_bytes()))
            .unwrap();
        let both: Box<dyn Both> = Box::new(here);
        BufReader::with_capacity(7, both)
    }

    fn all(said: &'static str) -> Result<Vec<String>> {
        let mut lines = Lines { stream: stream(said), left: 0, begun: false, line: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut all = Vec::new();
            while let Some(line) = lines.next().await? {
                all.push(String::from_utf8_lossy(line).into_owned());
            }
            Ok(all)
        })
    }

    #[test]
    fn lines_are_whole_wherever_chunks_and_reads_are_cut() {
        let said = "9\r\none\ntwo\nt\r\n5\r\nhree\n\r\n0\r\n\r\n";
        assert_eq!(all(said).unwrap(), ["one\n", "two\n", "three\n"]);
        assert!(all("9\r\none\ntw").is_err(), "a stream that is cut has no end");
    }

    #[test]
    fn the_head_of_an_answer_tells_its_status_and_its_length() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let said = "HTTP/1.1 201 Created\r\nContent-Length: 12\r\nlocation: /v1\r\n\r\n";
        let found = runtime.block_on(head(&mut stream(said))).unwrap();
        assert_eq!(found, Head { status: 201, len: Some(12) });
        let said = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let found = runtime.block_on(head(&mut stream(said))).unwrap();
        assert_eq!(found, Head { status: 200, len: None });
    }

    #[test]
    fn the_number_of_an_event_is_found_in_its_line() {
        assert_eq!(seq(b"data: {\"schema\":\"x\",\"seq\":1204,\"epoch\":1}"), Some(1_204));
        assert_eq!(seq(b"{\"checkpoint\":{\"size\":7}}"), None);
    }
}
