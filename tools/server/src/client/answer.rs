//! Answers of a server, whole and line by line.

use super::{Client, ClientError};
use axum::http::{
    HeaderMap, Response,
    header::{CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use taskledger::ids::LedgerId;
use tokio::{task::JoinSet, time::timeout};

/// Bytes of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A whole answer, or a refusal.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The ledger that it is of, if it says so.
    pub ledger: Option<LedgerId>,
    /// The events that the log had, if it says so.
    pub size: Option<u64>,
    /// The text about events that are missing, of a ledger that is not whole.
    pub shortfall: Option<String>,
    /// The seconds after which it is to be asked again, if it says so.
    pub retry_after_s: Option<u32>,
    /// The document.
    pub body: Bytes,
}

/// A stream of lines. Dropping it ends the connection.
#[derive(Debug)]
pub struct Lines {
    client: Client,
    /// The ledger that it is of, if it says so.
    pub ledger: Option<LedgerId>,
    body: Incoming,
    /// The bytes that came and were not given yet.
    held: Vec<u8>,
    /// The number of these that hold no end of a line.
    looked: usize,
    _connection: JoinSet<()>,
}

impl Answer {
    pub(super) async fn read(
        client: &Client,
        response: Response<Incoming>,
    ) -> Result<Self, ClientError> {
        let (head, mut incoming) = response.into_parts();
        let is_refusal = !head.status.is_success();
        let max = if is_refusal { REFUSAL_BYTES_MAX } else { client.options.answer_bytes_max };
        let too_long = || ClientError::TooLong { address: client.address.clone(), max };
        // The end of the connection would be its end, also where it is cut.
        let is_bounded = head.headers.contains_key(CONTENT_LENGTH)
            || head.headers.contains_key(TRANSFER_ENCODING)
            || incoming.is_end_stream();
        if !is_bounded && !is_refusal {
            return Err(client.lost(" (it does not say where it ends)".to_owned()));
        }
        let told = text(&head.headers, CONTENT_LENGTH.as_str()).and_then(|len| len.parse().ok());
        if told.is_some_and(|len: usize| len > max) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(data) = next(client, &mut incoming).await? {
            if body.len() + data.len() > max {
                return Err(too_long());
            }
            body.extend_from_slice(&data);
        }
        Ok(Self {
            status: head.status.as_u16(),
            ledger: ledger(&head.headers),
            size: text(&head.headers, "taskledger-size").and_then(|size| size.parse().ok()),
            shortfall: text(&head.headers, "taskledger-shortfall").map(str::to_owned),
            retry_after_s: text(&head.headers, RETRY_AFTER.as_str()).and_then(|s| s.parse().ok()),
            body: body.into(),
        })
    }
}

impl Lines {
    pub(super) fn new(
        client: Client,
        response: Response<Incoming>,
        connection: JoinSet<()>,
    ) -> Self {
        let ledger = ledger(response.headers());
        let (held, looked) = (Vec::new(), 0);
        Self { client, ledger, body: response.into_body(), held, looked, _connection: connection }
    }

    /// The next line, without its end; `None` at the end of the stream.
    ///
    /// # Errors
    /// [`ClientError::Lost`] if the stream was cut, also in the middle of a line;
    /// [`ClientError::TooLong`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            let rest = self.held.get(self.looked..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.looked + end;
                let after = self.held.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.held, after);
                line.truncate(end);
                self.looked = 0;
                return Ok(Some(line));
            }
            self.looked = self.held.len();
            let max = self.client.options.line_bytes_max;
            if self.held.len() > max {
                return Err(ClientError::TooLong { address: self.client.address.clone(), max });
            }
            match next(&self.client, &mut self.body).await? {
                Some(data) => self.held.extend_from_slice(&data),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(self.client.lost(" (it ends within a line)".to_owned())),
            }
        }
    }
}

/// The next piece of a body; an error if none comes in time, or the body was cut.
pub(super) async fn next(
    client: &Client,
    body: &mut Incoming,
) -> Result<Option<Bytes>, ClientError> {
    loop {
        let frame = timeout(client.options.answer_timeout, body.frame()).await;
        match frame.map_err(|late| client.late(&late))? {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => return Err(client.lost(format!(" ({error})"))),
            None => return Ok(None),
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn ledger(headers: &HeaderMap) -> Option<LedgerId> {
    let hex = text(headers, crate::reads::LEDGER.as_str())?;
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
    Some(LedgerId(number.to_be_bytes()))
}
