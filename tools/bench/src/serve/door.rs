//! Where a server is asked: an address and what opens it.

use anyhow::{Context, Result};
use std::{net::SocketAddr, path::PathBuf};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::{TcpStream, UnixStream},
};

/// An address at which a server listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Socket(PathBuf),
}

/// Both directions of a connection.
pub(super) trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

/// A connection of either kind.
pub(super) type Stream = BufReader<Box<dyn Both>>;

impl Address {
    pub(super) async fn connect(&self) -> Result<Stream> {
        let stream: Box<dyn Both> = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await;
                let stream = stream.with_context(|| format!("connecting to {address}"))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                Box::new(stream.with_context(|| format!("connecting to {}", path.display()))?)
            }
        };
        Ok(BufReader::new(stream))
    }
}

/// An address of a ledger's server, and the token that is needed there.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) address: Address,
    pub(super) token: Option<String>,
}

impl Door {
    /// The lines that every request has.
    pub(super) fn lines(&self) -> String {
        let host = match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Socket(_) => "localhost".to_owned(),
        };
        let token = self.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n"));
        format!("host: {host}\r\n{}", token.unwrap_or_default())
    }
}
