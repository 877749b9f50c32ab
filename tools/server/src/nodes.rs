//! Nodes and their certificates: the name of a node in one, and the one that a client has shown.
//!
//! A node is a copy of a ledger, in a directory of its own. Its certificate names it by a URI among the
//! subject alternative names, [`PREFIX`] and its id. [`tls`](crate::tls) says who has signed it, and
//! `guard` what a node may do.

use crate::rooms::Token;
use rustls::{CommonState, pki_types::CertificateDer};
use std::sync::Arc;
use taskledger::ids::NodeId;
use webpki::EndEntityCert;

/// The beginning of the name of a node in its certificate. The id follows, as 32 hexadecimal digits.
pub const PREFIX: &str = "urn:taskledger:node:";

/// The name of a node in its certificate.
#[must_use]
pub fn name(node: NodeId) -> String {
    format!("{PREFIX}{node}")
}

/// The node that a certificate names. `None` if it names none or several, or is no certificate. Says
/// nothing of who has signed it.
#[must_use]
pub fn named(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut ids = certificate.valid_uri_names().filter_map(|name| name.strip_prefix(PREFIX));
    let id = ids.next()?;
    ids.next().is_none().then(|| parse(id))?
}

/// The id of a node in the one form that it has: 32 hexadecimal digits in lower case.
#[must_use]
pub fn parse(text: &str) -> Option<NodeId> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_id = text.len() == 32 && text.bytes().all(digit);
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_id)?;
    Some(NodeId(number.to_be_bytes()))
}

/// The certificate of a node that a client has shown on a connection, as the handshake has found it good.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) node: NodeId,
    /// By which its share is counted, and by which logs name it. No token has a colon in its name.
    pub(crate) name: Token,
    /// The certificate, then those between it and the authority.
    pub(crate) chain: Arc<[CertificateDer<'static>]>,
}

impl Shown {
    /// The certificate that was shown on a connection, if one was, and if it is that of a node.
    pub(crate) fn on(connection: &CommonState) -> Option<Self> {
        let chain = connection.peer_certificates()?;
        let node = named(chain.first()?)?;
        Some(Self { node, name: format!("node:{node}").into(), chain: chain.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn of(uris: &[&str]) -> Option<NodeId> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names.extend(uris.iter().map(uri));
        named(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn a_certificate_names_one_node_or_none() {
        let (one, other) = (NodeId([0xab; 16]), NodeId([1; 16]));
        assert_eq!(of(&[&name(one)]), Some(one));
        assert_eq!(of(&["spiffe://x/y", &name(one), "urn:taskledger:nodes"]), Some(one));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[&name(one), &name(other)]), None, "it is not told which");
        assert_eq!(of(&[&name(one), &name(one).to_uppercase()]), Some(one));
        for odd in [
            name(one).to_uppercase(),
            name(one).replace("ab", "AB"),
            name(one) + "0",
            name(one).replacen("ab", "", 1),
            name(one).replacen("ab", "+b", 1),
            format!(" {}", name(one)),
        ] {
            assert_eq!(of(&[&odd]), None, "{odd}");
            assert_eq!(
                of(&[&name(other), &odd]),
                if odd.starts_with(PREFIX) { None } else { Some(other) }
            );
        }
        assert_eq!(named(&CertificateDer::from(b"nonsense".to_vec())), None);
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let node = NodeId(*b"0123456789abcdef");
        assert_eq!(parse(&node.to_string()), Some(node));
        assert_eq!(parse(""), None);
    }
}
