//! The connection of a standby to its source.

use super::wire::{EPOCH, HEAD, NODE, SESSION, parse_epoch};
use crate::{
    client::{Answer, Client, ClientError, Pieces},
    reads::LEDGER,
};
use std::future::pending;
use taskledger::{
    ids::{Epoch, Head, LedgerId, NodeId, Root, Size},
    ledger::NodeStatus,
    replication::{
        message::{Decoder, MessageError},
        standby::{Event, Hello, Rest},
    },
};
use taskledger_contract::answers::{ProblemBody, from_hex};

/// Bytes of a session's name.
const SESSION_BYTES_MAX: usize = 64;

/// A stream of a source.
#[derive(Debug)]
pub(super) struct Connection {
    pieces: Pieces,
    decoder: Decoder,
    /// The name by which the source knows this stream.
    pub(super) session: String,
}

/// The end of an attempt to connect.
#[derive(Debug)]
pub(super) enum Connected {
    Greeted(Box<Connection>, Hello),
    /// It refuses, and will again.
    Refused(Rest),
    /// It may be there later.
    Lost(String),
}

/// Asks a source for the events after `after`; with `goes_on`, for those to come, too.
pub(super) async fn connect(
    client: Client,
    own: NodeStatus,
    after: Head,
    epoch: Option<Epoch>,
    goes_on: bool,
) -> Connected {
    let target = format!("/v1/log?after={}&root={}&follow={goes_on}", after.size, after.root);
    let mut headers = vec![(LEDGER, own.ledger.to_string()), (NODE, own.node.to_string())];
    headers.extend(epoch.map(|epoch| (EPOCH, epoch.to_string())));
    match client.frames(&target, headers).await {
        Ok(Ok(pieces)) => greeted(pieces),
        Ok(Err(answer)) => refused(&answer, own.ledger, after.size),
        Err(error) => Connected::Lost(chain(&error)),
    }
}

fn greeted(pieces: Pieces) -> Connected {
    let hello = || {
        let epoch = pieces.header(&EPOCH);
        let (size, root) = pieces.header(&HEAD)?.split_once(':')?;
        Some(Hello {
            ledger: LedgerId(from_hex(pieces.header(&LEDGER)?)?),
            node: NodeId(from_hex(pieces.header(&NODE)?)?),
            epoch: match epoch {
                Some(epoch) => Some(parse_epoch(epoch)?),
                None => None,
            },
            head: Head { size: Size::new(size.parse().ok()?), root: Root(from_hex(root)?) },
        })
    };
    let session = pieces.header(&SESSION).filter(|name| name.len() <= SESSION_BYTES_MAX);
    match (hello(), session.map(str::to_owned)) {
        (Some(hello), Some(session)) => {
            let connection = Connection { pieces, decoder: Decoder::default(), session };
            Connected::Greeted(Box::new(connection), hello)
        }
        _ => Connected::Lost("the answer is not that of a source".to_owned()),
    }
}

/// Of a refusal: whether it will be another one later.
fn refused(answer: &Answer, own: LedgerId, size: Size) -> Connected {
    let Ok(problem) = serde_json::from_slice::<ProblemBody>(&answer.body) else {
        return Connected::Lost(format!("the source answers with status {}", answer.status));
    };
    let code = problem.code.as_str();
    match code {
        "other-ledger" => match answer.ledger {
            Some(found) => Connected::Refused(Rest::OtherLedger { own, found }),
            None => Connected::Lost(problem.detail),
        },
        "other-history" => match problem.size.map(Size::new) {
            Some(found) if found < size => Connected::Refused(Rest::Behind { own: size, found }),
            _ => Connected::Refused(Rest::Diverged),
        },
        _ => Connected::Lost(problem.detail),
    }
}

impl Connection {
    /// The next event of the connection; with what is to be told of it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> (Event, Option<String>) {
        loop {
            match self.decoder.next_message() {
                Ok(Some(message)) => return (Event::Message(message), None),
                Ok(None) => {}
                Err(MessageError::Unsupported { what, found }) => {
                    let found = u32::from(found);
                    return (Event::Refused(Rest::NeedsUpgrade { what, found }), None);
                }
                Err(error) => return (Event::Lost, Some(error.to_string())),
            }
            match self.pieces.next().await {
                Ok(Some(piece)) => self.decoder.push(&piece),
                Ok(None) => return (Event::Lost, Some("the source has ended the stream".into())),
                Err(error) => return (Event::Lost, Some(chain(&error))),
            }
        }
    }
}

/// The next event of a connection, where there is one to read from.
pub(super) async fn next_of(connection: Option<&mut Connection>) -> (Event, Option<String>) {
    match connection {
        Some(connection) => connection.next().await,
        None => pending().await,
    }
}

/// An error and its causes.
pub(super) fn chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
