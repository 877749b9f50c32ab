//! The reasons not to trust a server, told apart by what helps against each.

use rustls::{CertificateError, Error, pki_types::UnixTime};
use taskledger::{query::format_time, time::Millis};

/// What `webpki` says of a server that shows the certificate of an authority. `rustls` hands it on as an
/// error that it has no name for.
const AUTHORITY_ITSELF: &str = "CaUsedAsEndEntity";
/// Names of a certificate that are told.
const NAMES_TOLD_MAX: usize = 8;

/// The reason that a server is not trusted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// No authority was named, and none is trusted by itself.
    #[error("no authority is trusted")]
    NoAuthority,
    /// No authority that is trusted has signed the certificate.
    #[error("no authority that is trusted has signed its certificate")]
    OtherAuthority,
    /// The certificate is for others than the server that was called.
    #[error("its certificate is not for {name}{}", told(.names))]
    OtherName {
        /// The name by which the server was called.
        name: String,
        /// The names and addresses that the certificate is for.
        names: Vec<String>,
    },
    /// The certificate holds no more.
    #[error("its certificate expired at {}", format_time(*.at))]
    Expired {
        /// The time from which on it does not hold.
        at: Millis,
    },
    /// The certificate does not hold yet.
    #[error("its certificate is not valid before {}", format_time(*.from))]
    NotYetValid {
        /// The time from which on it holds.
        from: Millis,
    },
    /// The certificate is one of an authority, which vouches for servers and is none.
    #[error("its certificate is one of an authority (CA), not of a server")]
    AuthorityItself,
    /// The certificate is not that of the node that was meant.
    #[error("its certificate is not that of the node that is meant")]
    OtherNode,
    /// A node is meant, which proves which one it is by TLS alone.
    #[error("a node proves which one it is by TLS alone")]
    Unproven,
    /// TLS failed in another way.
    #[error("TLS failed")]
    Tls(#[source] Error),
}

impl Distrust {
    /// The reason that a server which was called by `name` failed the handshake.
    pub(super) fn of(error: &Error, name: &str) -> Self {
        let at = |time: UnixTime| Millis(time.as_secs().saturating_mul(1_000));
        let unnamed = || Self::Tls(error.clone());
        let Error::InvalidCertificate(fault) = error else { return unnamed() };
        if let CertificateError::NotValidForNameContext { presented, .. } = fault {
            let names = presented.iter().map(|name| plain(name)).collect();
            return Self::OtherName { name: name.to_owned(), names };
        }
        if let CertificateError::ExpiredContext { not_after, .. } = fault {
            return Self::Expired { at: at(*not_after) };
        }
        if let CertificateError::NotValidYetContext { not_before, .. } = fault {
            return Self::NotYetValid { from: at(*not_before) };
        }
        if let CertificateError::Other(other) = fault
            && other.to_string() == AUTHORITY_ITSELF
        {
            return Self::AuthorityItself;
        }
        // The second one is of an authority with the name of one that is trusted, and another key.
        let other = [CertificateError::UnknownIssuer, CertificateError::BadSignature];
        if other.contains(fault) { Self::OtherAuthority } else { unnamed() }
    }
}

/// The name in what `rustls` says of one: `DnsName("localhost")`.
fn plain(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

fn told(names: &[String]) -> String {
    if names.is_empty() {
        return ", and names no server".to_owned();
    }
    let some = names.iter().take(NAMES_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMES_TOLD_MAX { ", .." } else { "" };
    format!(", but for {some}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_told_plainly_and_not_all_of_many() {
        assert_eq!(plain("DnsName(\"localhost\")"), "localhost");
        assert_eq!(plain("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain("DirectoryName"), "DirectoryName");
        assert_eq!(told(&[]), ", and names no server");
        let many: Vec<String> = (0..9).map(|nth| nth.to_string()).collect();
        assert_eq!(told(&many), ", but for 0, 1, 2, 3, 4, 5, 6, 7, ..");
    }
}
