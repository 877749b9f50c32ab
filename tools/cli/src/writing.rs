//! A ledger as a command that records has it: with its lock, or through the server that has it open.

use crate::{
    app::{App, Opened},
    exit::Exit,
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    fmt,
    io::{self, Read as _, Write as _},
    path::{self, Path, PathBuf},
    time::Duration,
};
use taskledger::{
    Code, Ledger, Options,
    command::{Batch, Proposal},
    ledger::Reader,
    wire,
};
use taskledger_contract::{
    answers::{ReceiptBody, ReceiptsBody, Single},
    errors,
};
use taskledger_server::socket;

/// The longest wait for a server's answer. Longer than a busy one takes.
const ANSWER: Duration = Duration::from_mins(1);
/// Bytes of an answer: the receipts of the largest batch are far fewer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A ledger that takes events.
pub enum Writing {
    /// This process has its lock.
    Here(Opened),
    /// A server has it, and listens.
    There(Reader, PathBuf),
}

impl Writing {
    /// Asks the server in the ledger's directory, if one listens there; takes the lock if none does.
    pub fn open(app: &App) -> Result<Self> {
        if let Some(path) = server_of(&app.db) {
            let ledger = Ledger::open_read_only(&app.db, Options::default())?;
            return Ok(Self::There(ledger.reader(), path));
        }
        Ok(Self::Here(app.open()?))
    }

    /// Its past.
    pub fn reader(&self) -> &Reader {
        match self {
            Self::Here(opened) => &opened.reader,
            Self::There(reader, _) => reader,
        }
    }

    /// Records the batch. A server is asked once.
    pub fn append(&mut self, batch: impl Into<Batch>) -> Result<Vec<ReceiptBody>> {
        let batch = batch.into();
        match self {
            Self::Here(opened) => {
                let receipts = opened.ledger.append_blocking(batch)?;
                Ok(receipts.iter().map(ReceiptBody::from).collect())
            }
            Self::There(_, path) => send(path, &batch),
        }
    }

    /// Lets go of it.
    pub fn close(self) {
        if let Self::Here(opened) = self {
            opened.close();
        }
    }
}

/// The reason that a server has not recorded a batch, or may not have.
#[derive(Debug)]
pub enum Unsent {
    /// It refused it. The code is none if that is because of a limit of its own.
    Refused(Option<Code>, String),
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
            Self::Refused(Some(Code::OutcomeUnknown) | None, _) | Self::Lost(_) => true,
            Self::Refused(Some(code), _) => [429, 503, 507].contains(&errors::http_status(*code)),
        }
    }

    /// How the program ends, and what helps.
    pub fn judged(&self) -> (Exit, Option<String>) {
        match self {
            Self::Refused(code, _) => (code.map_or(Exit::Unavailable, errors::exit), None),
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
/// left by a server that was killed.
pub fn server_of(db: &Path) -> Option<PathBuf> {
    let path = path::absolute(db).ok()?.join(socket::NAME);
    socket::connect_now(&path).is_ok().then_some(path)
}

/// Has a server record a batch.
pub fn send(path: &Path, batch: &[Proposal]) -> Result<Vec<ReceiptBody>> {
    let batch = wire::to_json(batch)?;
    let (sent, answer) = exchange(path, &batch);
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
fn exchange(path: &Path, batch: &str) -> (io::Result<()>, Vec<u8>) {
    let (mut answer, len) = (Vec::new(), batch.len());
    let head = format!(
        "POST /v1/append HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n"
    );
    let sent = socket::connect_now(path).map_err(io::Error::other).and_then(|mut stream| {
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        // A server that refuses early answers before it has read everything: its answer says more.
        let sent =
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(batch.as_bytes()));
        let got = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        sent.and(got.map(|_| ()))
    });
    (sent, answer)
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
