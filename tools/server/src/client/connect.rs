//! Connections to a server.

use super::{
    Client, ClientError, Distrust,
    address::{Place, Tcp},
    plain::Plain,
};
use crate::{nodes, socket};
use rustls::pki_types::ServerName;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The bytes of a connection, whatever carries them.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// Connects, within the time that is allowed for it.
pub(super) async fn connect(client: &Client) -> Result<Box<dyn Carrier>, ClientError> {
    if client.node.is_some() && !client.address.is_tls() {
        let (address, source) = (client.address.clone(), Distrust::Unproven);
        return Err(ClientError::Untrusted { address, source });
    }
    let longest = client.options.connect_timeout;
    let connected = async {
        match client.address.place() {
            Place::Socket(path) => match socket::connect(path).await {
                Ok(stream) => Ok(carried(stream)),
                Err(socket::SocketError::Io { source, .. }) => Err(unreached(client, source)),
                Err(error) => Err(unreached(client, io::Error::other(error))),
            },
            Place::Tcp(tcp) => by_tcp(client, tcp).await,
        }
    };
    timeout(longest, connected).await.unwrap_or_else(|_| {
        let late = format!("no connection in {longest:?}");
        Err(unreached(client, io::Error::new(io::ErrorKind::TimedOut, late)))
    })
}

async fn by_tcp(client: &Client, tcp: &Tcp) -> Result<Box<dyn Carrier>, ClientError> {
    let failed = |source| unreached(client, source);
    let found = lookup_host((tcp.name.as_str(), tcp.port)).await.map_err(failed)?;
    let found: Vec<SocketAddr> = found.collect();
    // A name is what its answer says: one that leads elsewhere gets nothing in the clear.
    let usable = |address: &&SocketAddr| tcp.tls || is_here(address.ip());
    let usable: Vec<SocketAddr> = found.iter().filter(usable).copied().collect();
    if usable.is_empty() && !found.is_empty() {
        return Err(ClientError::Plain { address: client.address.clone() });
    }
    let stream = first_of(&usable, client.options.connect_timeout).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    if !tcp.tls {
        return Ok(Box::new(Plain::new(stream)));
    }
    let address = || client.address.clone();
    let untrusted = |source| ClientError::Untrusted { address: address(), source };
    let own = client.files.as_ref().map(|files| files.config());
    let config = own.or_else(|| client.tls.clone());
    let config = config.ok_or_else(|| untrusted(Distrust::NoAuthority))?;
    let name = ServerName::try_from(tcp.name.clone()).map_err(io::Error::other).map_err(failed)?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        // What rustls says is about trust, unless it was given no TLS; all else is the connection.
        match error.get_ref().and_then(|it| it.downcast_ref()) {
            Some(rustls::Error::InvalidMessage(_)) => ClientError::NoTls { address: address() },
            Some(fault) => untrusted(Distrust::of(fault, &tcp.name)),
            None => failed(ended_within_handshake(error)),
        }
    })?;
    let shown =
        stream.get_ref().1.peer_certificates().and_then(|shown| nodes::named(shown.first()?));
    if client.node.is_some_and(|node| shown != Some(node)) {
        return Err(untrusted(Distrust::OtherNode));
    }
    Ok(Box::new(stream))
}

/// The same error in words that do not need those of TLS.
fn ended_within_handshake(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(error.kind(), "the connection ended within the handshake of TLS");
    }
    error
}

/// A connection to the first address that takes one. Each has its share of the time: one that says
/// nothing does not keep the others from being tried.
async fn first_of(addresses: &[SocketAddr], longest: Duration) -> io::Result<TcpStream> {
    let share = longest / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => {
                let late = format!("{address} takes no connection in {share:?}");
                last = io::Error::new(io::ErrorKind::TimedOut, late);
            }
        }
    }
    Err(last)
}

fn carried(stream: impl Carrier + 'static) -> Box<dyn Carrier> {
    Box::new(stream)
}

fn is_here(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn unreached(client: &Client, source: io::Error) -> ClientError {
    ClientError::Unreached { address: client.address.clone(), source }
}
