//! Nodes of a ledger as they tell of themselves over HTTP.

use axum::http::HeaderName;
use taskledger::ids::Epoch;

pub(crate) const NODE: HeaderName = HeaderName::from_static("taskledger-node");
pub(crate) const EPOCH: HeaderName = HeaderName::from_static("taskledger-epoch");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("taskledger-session");
/// The durable head of a source, `SIZE:ROOT`.
pub(crate) const HEAD: HeaderName = HeaderName::from_static("taskledger-head");

/// An epoch as `NUMBER/NONCE`, the nonce in 16 hexadecimal digits.
pub(crate) fn parse_epoch(text: &str) -> Option<Epoch> {
    let (number, nonce) = text.split_once('/')?;
    let is_hex = nonce.len() == 16 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nonce = u64::from_str_radix(nonce, 16).ok().filter(|_| is_hex)?;
    Some(Epoch { number: number.parse().ok()?, nonce })
}

/// Milliseconds; the most that there are for longer.
pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
