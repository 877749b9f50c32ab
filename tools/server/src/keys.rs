//! Idempotency keys: what a client sends, and the key of each command.

use crate::{guard::Caller, problem::Problem};
use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};
use taskledger::ids::Key;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Bytes of the header.
const BYTES_MAX: usize = 256;

/// The keys of the commands of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// The client sent none.
    None,
    /// The key itself is that of the first command; the others derive from it.
    First(Key),
    /// Each derives from this.
    Derived([u8; 32]),
}

impl Keys {
    /// The key of the command at `index`.
    pub(crate) fn of(&self, index: usize) -> Option<Key> {
        let place = u64::try_from(index).unwrap_or(u64::MAX).to_be_bytes();
        match self {
            Self::None => None,
            Self::First(key) if index == 0 => Some(*key),
            Self::First(key) => Some(cut(Sha256::new_with_prefix(key.0).chain_update(place))),
            Self::Derived(base) => Some(cut(Sha256::new_with_prefix(base).chain_update(place))),
        }
    }
}

fn cut(hash: Sha256) -> Key {
    let mut key = [0; 16];
    key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    Key(key)
}

/// The keys that the header gives. By the socket it is the key as `record --key` takes it. Clients with
/// tokens do not know of each other, so the key of one never is that of another.
pub(crate) fn keys_of(headers: &HeaderMap, caller: &Caller) -> Result<Keys, Problem> {
    let refuse = |why| Err(Problem::bad_request(format!("Idempotency-Key: {why}")));
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(Keys::None) };
    if given.next().is_some() {
        return refuse("it is given more than once");
    }
    let Ok(text) = value.to_str() else { return refuse("expected text") };
    let text = text.trim();
    // The header is a string of RFC 8941, which has quotes; most clients leave them out.
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > BYTES_MAX {
        return refuse("expected 1 to 256 bytes");
    }
    Ok(match caller.name() {
        None => Keys::First(hex_key(text).unwrap_or_else(|| Key::of(text))),
        Some(name) => {
            let hash = Sha256::new_with_prefix(b"taskledger http key\0")
                .chain_update(name.as_bytes())
                .chain_update([0])
                .chain_update(text);
            Keys::Derived(hash.finalize().into())
        }
    })
}

fn hex_key(text: &str) -> Option<Key> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(Key(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Role, tokens::Entry};
    use axum::http::HeaderValue;

    fn keys(name: Option<&str>, header: &'static str) -> Result<Keys, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(header));
        let role = Role::Append;
        let token =
            name.map(|name| Entry { name: name.into(), role, hash: [0; 32], expires: None });
        let caller = token.map_or(Caller::SOCKET, |token| Caller::holder(token, None));
        keys_of(&headers, &caller)
    }

    #[test]
    fn the_keys_of_two_clients_and_of_two_commands_are_never_the_same() {
        let mut all = Vec::new();
        for name in [Some("a"), Some("b"), None] {
            for header in ["1", "2"] {
                let keys = keys(name, header).unwrap();
                all.extend((0..4).map(|index| keys.of(index).unwrap().0));
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(keys(Some("a"), "\"1\"").unwrap(), keys(Some("a"), "1").unwrap());
    }

    #[test]
    fn by_the_socket_a_key_is_that_of_the_command_line() {
        let hex = keys(None, "00112233445566778899aabbccddeeff").unwrap().of(0).unwrap();
        assert_eq!(hex.0[..2], [0, 0x11]);
        assert_eq!(keys(None, "step 1").unwrap().of(0), Some(Key::of("step 1")));
    }

    #[test]
    fn a_key_that_is_empty_or_too_long_is_refused() {
        assert!(keys(None, "").is_err());
        assert!(keys(None, "\"\"").is_err());
        let long = "x".repeat(257).leak();
        assert!(keys(Some("a"), long).is_err());
    }
}
