//! The address of a server.

use axum::http::Uri;
use std::{
    fmt,
    path::{self, PathBuf},
    str::FromStr,
};

/// The port of `http` and of `https` where none is named.
const PORTS: [u16; 2] = [80, 443];

/// The address of a server: `unix:PATH`, `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Socket(PathBuf),
    Tcp(Tcp),
}

/// A host, and whether it is spoken to by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) name: String,
    pub(super) port: u16,
    /// As it was written.
    authority: String,
}

/// The reason that a text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address of a server: expected unix:PATH, http://HOST:PORT or https://HOST:PORT{why}"
)]
pub struct AddressError {
    why: &'static str,
}

impl Address {
    /// The address of a socket.
    #[must_use]
    pub fn socket(path: PathBuf) -> Self {
        Self(Place::Socket(path))
    }

    /// True if it is a socket, which takes neither token nor TLS.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        matches!(self.0, Place::Socket(_))
    }

    /// True if the server is spoken to by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(&self.0, Place::Tcp(tcp) if tcp.tls)
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }

    /// The name by which the server is called.
    pub(super) fn host(&self) -> &str {
        match &self.0 {
            Place::Socket(_) => "localhost",
            Place::Tcp(tcp) => &tcp.authority,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let no = |why| AddressError { why };
        if let Some(path) = text.strip_prefix("unix:") {
            // Commands of a `run` may be elsewhere.
            let path = path::absolute(path).map_err(|_| no("; the path is empty"))?;
            return Ok(Self(Place::Socket(path)));
        }
        let uri: Uri = text.parse().map_err(|_| no(""))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(no("")),
        };
        let authority = uri.authority().ok_or_else(|| no(""))?;
        if authority.as_str().contains('@') {
            return Err(no("; a token does not belong into an address"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(no(", and nothing behind it"));
        }
        let [plain, safe] = PORTS;
        let port = authority.port_u16().unwrap_or(if tls { safe } else { plain });
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if name.is_empty() {
            return Err(no(""));
        }
        Ok(Self(Place::Tcp(Tcp { tls, name, port, authority: authority.as_str().to_owned() })))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Socket(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp(Tcp { tls: true, authority, .. }) => write!(f, "https://{authority}"),
            Place::Tcp(Tcp { tls: false, authority, .. }) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_out_as_it_went_in() {
        for text in [
            "unix:/a b/c.sock",
            "http://127.0.0.1:7300",
            "https://ledger.example",
            "http://[::1]:80",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let Place::Tcp(tcp) = "https://[::1]".parse::<Address>().unwrap().0 else { panic!() };
        assert_eq!((tcp.name.as_str(), tcp.port, tcp.tls), ("::1", 443, true));
        assert!("unix:x".parse::<Address>().unwrap().to_string().starts_with("unix:/"));
        assert_eq!("http://x/".parse::<Address>().unwrap().to_string(), "http://x");
    }

    #[test]
    fn what_is_no_address_or_would_be_half_of_one_is_refused() {
        for text in [
            "",
            "unix:",
            "ledger",
            "/a/b",
            "ftp://x",
            "http://",
            "http://:80",
            "http://u:p@x",
            "http://x/v1",
            "http://x?token=1",
            "127.0.0.1:7300",
            "http://x y",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
