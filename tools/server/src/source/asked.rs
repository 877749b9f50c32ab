//! The question of a standby or a candidate for the events after its own.

use crate::{
    client::FRAMES,
    guard::Caller,
    problem::Problem,
    reads::LEDGER,
    standby::wire::{EPOCH, NODE, parse_epoch},
};
use axum::http::{HeaderMap, HeaderName, header::ACCEPT};
use std::str::FromStr;
use taskledger::ids::{Epoch, Head, LedgerId, NodeId, Root, Size};
use taskledger_contract::answers::from_hex;

/// A question for events as frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The ledger that is meant.
    pub(super) ledger: LedgerId,
    /// The node that asks.
    pub(super) node: NodeId,
    /// The epoch of its log; none if that is empty.
    pub(super) epoch: Option<Epoch>,
    /// The head of its log.
    pub(super) after: Head,
    /// It goes on with events that are appended later.
    pub(super) follow: bool,
}

/// True if frames are asked for.
pub(crate) fn accepts_frames(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FRAMES))
}

impl Asked {
    /// Reads the question. `proved` is the node that the client has proved to be.
    pub(crate) fn read(
        params: Vec<(String, String)>,
        headers: &HeaderMap,
        proved: Option<NodeId>,
    ) -> Result<Self, Problem> {
        let (mut after, mut root, mut follow) = (None, None, None);
        for (name, value) in params {
            let bad = |why: &str| Problem::bad_request(format!("{name}: {why}"));
            let is_new = match name.as_str() {
                "after" => after
                    .replace(parse(&value).ok_or_else(|| bad("expected a number of events"))?)
                    .is_none(),
                "root" => root
                    .replace(Root(from_hex(&value).ok_or_else(|| bad("expected 64 hex digits"))?))
                    .is_none(),
                "follow" => follow
                    .replace(parse(&value).ok_or_else(|| bad("expected true or false"))?)
                    .is_none(),
                _ => return Err(bad("no parameter of a stream of frames")),
            };
            if !is_new {
                return Err(bad("it is given more than once"));
            }
        }
        let size = Size::new(after.unwrap_or(0));
        let root = root.or((size == Size::EMPTY).then_some(Root::EMPTY));
        let root = root.ok_or_else(|| Problem::bad_request("root: it is needed"))?;
        let epoch = header(headers, &EPOCH, parse_epoch, "NUMBER/NONCE")?;
        let ledger = header(headers, &LEDGER, |id| from_hex(id).map(LedgerId), "32 hex digits")?;
        let ledger = ledger.ok_or_else(|| missing(&LEDGER))?;
        let node = header(headers, &NODE, |id| from_hex(id).map(NodeId), "32 hex digits")?;
        let node = match (node, proved) {
            (Some(named), Some(proved)) if named != proved => return Err(other_node(proved)),
            (named, proved) => named.or(proved).ok_or_else(|| missing(&NODE))?,
        };
        let (after, follow) = (Head { size, root }, follow.unwrap_or(false));
        Ok(Self { ledger, node, epoch, after, follow })
    }
}

/// Refuses a caller that speaks for another node than the one that it has proved to be.
pub(super) fn speaks_for(caller: &Caller, node: NodeId) -> Result<(), Problem> {
    match caller.node() {
        Some(proved) if proved != node => Err(other_node(proved)),
        Some(_) | None => Ok(()),
    }
}

fn other_node(proved: NodeId) -> Problem {
    Problem::forbidden("other-node", format!("the certificate is that of node {proved}"))
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A header, if it is there.
fn header<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    read: impl Fn(&str) -> Option<T>,
    expected: &str,
) -> Result<Option<T>, Problem> {
    let bad = || Problem::bad_request(format!("{name}: expected {expected}, once"));
    let mut given = headers.get_all(name).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let value = value.to_str().ok().and_then(read).filter(|_| given.next().is_none());
    value.map(Some).ok_or_else(bad)
}

fn missing(name: &HeaderName) -> Problem {
    Problem::bad_request(format!("{name}: it is needed for a stream of frames"))
}
