//! A ledger as a command that records has it: with its lock, or through the server that has it open.

use crate::{
    app::{App, Opened, waiting},
    exit::Exit,
};
use anyhow::{Context as _, Error, Result};
use serde::Deserialize;
use std::{
    fmt,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{self, Path, PathBuf},
    time::{Duration, Instant},
};
use taskledger::{
    Code, Ledger, Options,
    command::{Batch, Proposal},
    ledger::{AppendError, Reader},
    wire,
};
use taskledger_contract::{
    answers::{ReceiptBody, ReceiptsBody, Single},
    errors,
};
use taskledger_server::socket::{self, SocketError};

/// The longest wait for a server's answer. Longer than a busy one takes.
const ANSWER: Duration = Duration::from_mins(1);
/// The longest wait until a server takes a connection, which one that is alive does at once.
const CONNECT: Duration = Duration::from_secs(1);
/// The pause before a server is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of an answer: the receipts of the largest batch are far fewer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A ledger that takes events.
pub enum Writing {
    /// This process has its lock.
    Here(Opened),
    /// A server has it, and listens.
    There(There),
}

/// A ledger that a server has.
pub struct There {
    reader: Reader,
    db: PathBuf,
    wait: Duration,
}

impl Writing {
    /// Asks the server in the ledger's directory, if one listens there; takes the lock if none does.
    pub fn open(app: &App) -> Result<Self> {
        // One that takes no connection now may do so in time.
        if let Ok(None) = server_of(&app.db) {
            return Ok(Self::Here(app.open()?));
        }
        let reader = Ledger::open_read_only(&app.db, Options::default())?.reader();
        Ok(Self::There(There { reader, db: app.db.clone(), wait: app.global.wait }))
    }

    /// Its past.
    pub fn reader(&self) -> &Reader {
        match self {
            Self::Here(opened) => &opened.reader,
            Self::There(there) => &there.reader,
        }
    }

    /// Records the batch. A server that is too busy, or takes no connection, has recorded nothing, and
    /// is asked again until `--wait` is over; so is the ledger itself once the server is gone.
    pub fn append(&mut self, batch: impl Into<Batch>) -> Result<Vec<ReceiptBody>> {
        let batch = batch.into();
        if let Self::There(there) = self {
            match there.send(&batch)? {
                Some(receipts) => return Ok(receipts),
                None => *self = Self::Here(there.open()?),
            }
        }
        let Self::Here(opened) = self else { return Err(AppendError::Halted.into()) };
        let receipts = opened.ledger.append_blocking(batch)?;
        Ok(receipts.iter().map(ReceiptBody::from).collect())
    }

    /// Lets go of it.
    pub fn close(self) {
        if let Self::Here(opened) = self {
            opened.close();
        }
    }
}

impl There {
    /// Has the server record the batch; `None` if it is gone, and nothing is recorded.
    #[expect(clippy::disallowed_methods, reason = "a server says of no event that it has room")]
    fn send(&self, batch: &[Proposal]) -> Result<Option<Vec<ReceiptBody>>> {
        let until = Instant::now() + self.wait;
        loop {
            let sent = match server_of(&self.db) {
                Ok(None) => return Ok(None),
                Ok(Some(path)) => send(&path, batch, ANSWER),
                Err(unsent) => Err(unsent.into()),
            };
            let unrecorded = |error: &Error| {
                error.downcast_ref().is_some_and(Unsent::is_unrecorded) && Instant::now() < until
            };
            match sent {
                Err(error) if unrecorded(&error) => std::thread::sleep(PAUSE),
                sent => return sent.map(Some),
            }
        }
    }

    fn open(&self) -> Result<Opened> {
        Ok(Opened::of(Ledger::open(&self.db, waiting(self.wait))?))
    }
}

/// The reason that a server has not recorded a batch, or may not have.
#[derive(Debug)]
pub enum Unsent {
    /// It refused it. The code is none if that is because of a limit of its own.
    Refused(Option<Code>, String),
    /// It takes no connection.
    Unreached(String),
    /// Its answer did not come: the batch may be recorded.
    Lost(String),
}

impl Unsent {
    /// True if a rule of the ledger forbids it, so that it would be refused again.
    pub fn is_rule(&self) -> bool {
        let Self::Refused(Some(code), _) = self else { return false };
        [400, 404, 409, 413, 422].contains(&errors::http_status(*code))
    }

    /// True if the same batch, with keys, may be recorded in a while.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(Some(Code::OutcomeUnknown), _) | Self::Lost(_) => true,
            Self::Refused(..) | Self::Unreached(_) => self.is_unrecorded(),
        }
    }

    /// True if nothing was recorded, and the same batch may be in a while.
    pub fn is_unrecorded(&self) -> bool {
        match self {
            Self::Refused(None, _) | Self::Unreached(_) => true,
            Self::Refused(Some(code), _) => [429, 503, 507].contains(&errors::http_status(*code)),
            Self::Lost(_) => false,
        }
    }

    /// How the program ends, and what helps.
    pub fn judged(&self) -> (Exit, Option<String>) {
        match self {
            Self::Refused(code, _) => (code.map_or(Exit::Unavailable, errors::exit), None),
            Self::Unreached(_) => (Exit::Unavailable, None),
            Self::Lost(_) => {
                let hint = "with the same --key, recording it again is safe";
                (Exit::Unavailable, Some(hint.to_owned()))
            }
        }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, detail) => f.write_str(detail),
            Self::Unreached(why) => {
                write!(f, "the server that has the ledger takes no connection ({why})")
            }
            Self::Lost(why) => {
                write!(
                    f,
                    "the server that has the ledger did not answer{why}; this may be recorded"
                )
            }
        }
    }
}

impl std::error::Error for Unsent {}

/// The part of a refusal that decides what to do.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

/// The socket of the server that has the ledger, if one listens. A socket that nobody listens at was
/// left by a server that was killed. Blocks for as long as [`CONNECT`]: a server that hangs is one.
pub fn server_of(db: &Path) -> Result<Option<PathBuf>, Unsent> {
    let Ok(db) = path::absolute(db) else { return Ok(None) };
    let path = db.join(socket::NAME);
    match socket::connect_now(&path, CONNECT) {
        Ok(_) => Ok(Some(path)),
        Err(SocketError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
            Err(Unsent::Unreached(source.to_string()))
        }
        Err(_) => Ok(None),
    }
}

/// Has a server record a batch. Blocks for at most some `longest` for each of its steps.
pub fn send(path: &Path, batch: &[Proposal], longest: Duration) -> Result<Vec<ReceiptBody>> {
    let batch = wire::to_json(batch)?;
    let stream = socket::connect_now(path, CONNECT.min(longest))
        .map_err(|error| Unsent::Unreached(error.to_string()))?;
    let (sent, answer) = exchange(stream, &batch, longest);
    let Some((status, body)) = taken_apart(&answer) else {
        let why = sent.err().map(|cause| format!(" ({cause})")).unwrap_or_default();
        return Err(Unsent::Lost(why).into());
    };
    if status == 200 {
        let receipts: Single<ReceiptsBody> =
            serde_json::from_slice(body).context("the server's answer is not one")?;
        return Ok(receipts.body.receipts);
    }
    let refusal: Refusal =
        serde_json::from_slice(body).context("the server's answer is not one")?;
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == refusal.code);
    Err(Unsent::Refused(code, refusal.detail).into())
}

/// All that came for an answer, and whether everything went well.
fn exchange(mut stream: UnixStream, batch: &str, longest: Duration) -> (io::Result<()>, Vec<u8>) {
    let (mut answer, len) = (Vec::new(), batch.len());
    let head = format!(
        "POST /v1/append HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n"
    );
    let mut exchanged = || {
        stream.set_read_timeout(Some(longest))?;
        stream.set_write_timeout(Some(longest))?;
        // A server that refuses early answers before it has read everything: its answer says more.
        let sent =
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(batch.as_bytes()));
        let got = (&stream).take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        sent.and(got.map(|_| ()))
    };
    (exchanged(), answer)
}

/// Status and body of an answer, if it is whole.
fn taken_apart(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?);
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() == length).then_some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(taken_apart(whole), Some((200, &b"{}"[..])));
        for end in 0..whole.len() {
            assert_eq!(taken_apart(&whole[..end]), None, "{end}");
        }
    }
}
