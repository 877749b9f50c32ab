//! A ledger as a command that records has it: with its lock, or through the server that has it open.

use crate::{
    app::{App, Opened},
    exit::{Exit, Problem},
};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    io::{Read, Write as _},
    path::{self, Path, PathBuf},
    time::Duration,
};
use taskledger::{Code, Ledger, Options, command::Batch, ledger::Reader, wire};
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
        let path = path::absolute(&app.db)?.join(socket::NAME);
        // A socket that nobody listens at was left by a server that was killed.
        if socket::connect_now(&path).is_ok() {
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
            Self::There(_, path) => send(path, &wire::to_json(&batch)?),
        }
    }

    /// Lets go of it.
    pub fn close(self) {
        if let Self::Here(opened) = self {
            opened.close();
        }
    }
}

/// The part of a refusal that decides how the program ends.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

fn send(path: &Path, batch: &str) -> Result<Vec<ReceiptBody>> {
    let mut stream = socket::connect_now(path)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let len = batch.len();
    let head = format!(
        "POST /v1/append HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n"
    );
    // A server that refuses early answers before it has read everything: its answer says more.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(batch.as_bytes()));
    let mut answer = Vec::new();
    let got = Read::take(&mut stream, ANSWER_BYTES_MAX).read_to_end(&mut answer);
    let Some((status, body)) = taken_apart(&answer) else {
        let cause = sent.and(got.map(|_| ())).err();
        let why = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        let text =
            format!("the server that has the ledger did not answer{why}; this may be recorded");
        return Err(Problem::new(Exit::Unavailable, text)
            .hint("with the same --key, recording it again is safe")
            .into());
    };
    if status == 200 {
        let receipts: Single<ReceiptsBody> =
            serde_json::from_slice(body).context("the server's answer is not one")?;
        return Ok(receipts.body.receipts);
    }
    let refusal: Refusal =
        serde_json::from_slice(body).context("the server's answer is not one")?;
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == refusal.code);
    Err(Problem::new(code.map_or(Exit::Unavailable, errors::exit), refusal.detail).into())
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
