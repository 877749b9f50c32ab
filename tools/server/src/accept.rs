//! Connections: their number, their pace, and their end.
//!
//! HTTP/1.1 alone, without a look at what else a client might speak, so that the limit on the time of a
//! head holds from the first byte. Each door has its own [places](crate::places); a connection over them is
//! told so and closed.

#[cfg(test)]
mod tests;

use crate::{
    guard::Peer,
    nodes::Shown,
    places::{Places, Slot},
    problem::Problem,
    service::Service,
    socket::Socket,
    timed::Timed,
};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    future::{Future, ready},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    select,
    task::JoinSet,
    time::{sleep, timeout},
};

/// The pause after a connection could not be taken, for want of descriptors most of all.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time in which a refusal is told.
const REFUSAL: Duration = Duration::from_secs(1);

/// The reason that a server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines, and what is sent would be read on the way, or
    /// anybody would be answered.
    #[error("{address} is not loopback: for other machines the server needs {lacks}")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
        /// The thing that the server lacks.
        lacks: &'static str,
    },
    /// The system refused.
    #[error("cannot listen")]
    Io(#[from] io::Error),
}

impl Service {
    /// Refuses an address at which the server may not listen.
    ///
    /// # Errors
    /// [`ServeError::NotLoopback`] for one that other machines reach, unless the server has TLS, and
    /// tokens or an authority of nodes.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), ServeError> {
        let lacks = match (&self.options().tls, &self.options().tokens) {
            _ if address.ip().is_loopback() => return Ok(()),
            (Some(_), Some(_)) => return Ok(()),
            (Some(tls), None) if tls.knows_nodes() => return Ok(()),
            (None, _) => "TLS",
            (Some(_), None) => "tokens",
        };
        Err(ServeError::NotLoopback { address, lacks })
    }

    /// Serves connections by TCP, until the server [stops](Self::stop); with TLS if the options have a
    /// certificate.
    ///
    /// # Errors
    /// As [`check_address`](Self::check_address).
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped, it cuts its connections.
    pub async fn serve_tcp(&self, listener: TcpListener) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        self.check_address(address)?;
        let tls = self.options().tls.is_some();
        if let Some(files) = &self.options().tls {
            files.look(self.options().clock.now());
        }
        let max = self.options().tcp_connections_max;
        let mut connections = Connections::new(self, "tcp_connections_max", max);
        loop {
            let (stream, client) = select! {
                taken = listener.accept() => match taken {
                    Ok(taken) => taken,
                    Err(error) => { not_taken(&error).await; continue }
                },
                () = self.closing().cancelled() => break,
            };
            // Of a server that listens at every address, the one that was called.
            let server = stream.local_addr().unwrap_or(address);
            let server = SocketAddr::new(server.ip().to_canonical(), server.port());
            let client = SocketAddr::new(client.ip().to_canonical(), client.port());
            let peer = Peer::Tcp { client, server, tls };
            // Answers are whole when they are written: nothing is gained by waiting for more.
            let _ = stream.set_nodelay(true);
            connections.take_tcp(stream, peer).await;
        }
        drop(listener); // who comes now is refused at once, instead of waiting for an end
        connections.end().await;
        Ok(())
    }

    /// Serves connections by socket, until the server [stops](Self::stop), and removes the socket.
    /// A process of another user is refused, whatever the mode of the socket says.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropped, it cuts its connections.
    pub async fn serve_socket(&self, socket: Socket) {
        let max = self.options().socket_connections_max;
        let mut connections = Connections::new(self, "socket_connections_max", max);
        loop {
            let stream = select! {
                taken = socket.accept() => match taken {
                    Ok(stream) => stream,
                    Err(error) => { not_taken(&error).await; continue }
                },
                () = self.closing().cancelled() => break,
            };
            if is_own(&stream) {
                connections.take_plain(stream, Peer::Socket).await;
            } else {
                let text = "the socket is for processes of its owner";
                connections
                    .refuse(ready(Ok((stream, None))), Problem::forbidden("other-user", text));
            }
        }
        drop(socket); // nobody finds it any more while the last answers are sent
        connections.end().await;
    }
}

/// The address by which a client is told from others. Of IPv6 it is the network of 64 bits: who has one
/// address has all of those in it.
pub(crate) fn told_apart(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(client) => Ipv6Addr::from_bits(client.to_bits() & (u128::MAX << 64)).into(),
        client @ IpAddr::V4(_) => client,
    }
}

async fn not_taken(error: &io::Error) {
    tracing::warn!(error = %error, "a connection could not be taken");
    sleep(PAUSE).await;
}

/// True if the process at the other end belongs to the same user, or to root, whom nothing stops.
fn is_own(stream: &UnixStream) -> bool {
    let user = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == user || peer.uid() == 0)
}

/// Says why a connection is not served, and reads on for a moment: a connection that is closed over
/// bytes that nobody read takes the answer with it.
async fn refuse<S>(begun: impl Future<Output = Begun<S>>, problem: Problem)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let told = async {
        let (mut stream, _) = begun.await?;
        stream.write_all(problem.to_http().as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(REFUSAL, told).await;
}

/// A connection that has begun, and the certificate of a node that was shown on it.
type Begun<S> = io::Result<(S, Option<Shown>)>;

/// The connections of one door.
pub(crate) struct Connections<'a> {
    service: &'a Service,
    router: Router,
    places: Arc<Places>,
    served: JoinSet<()>,
}

impl<'a> Connections<'a> {
    pub(crate) fn new(service: &'a Service, limit: &'static str, max: usize) -> Self {
        let places = Places::new(limit, max, service.options().share_percent);
        Self { service, router: service.router(), places, served: JoinSet::new() }
    }

    /// Serves a connection by TCP, with TLS if the options have a certificate.
    async fn take_tcp<S>(&mut self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let options = self.service.options();
        let Some(tls) = options.tls.clone() else { return self.take_plain(stream, peer).await };
        // Timed below TLS: there each byte that leaves is seen.
        let stream = Timed::new(stream, options.write_timeout);
        let shaken = tls.handshake(stream, options.header_timeout, options.clock.now());
        let begun = async move {
            let stream = shaken.await?;
            let shown = Shown::on(stream.get_ref().1);
            Ok((stream, shown))
        };
        self.take(begun, peer).await;
    }

    /// Serves a connection without TLS.
    pub(crate) async fn take_plain<S>(&mut self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = Timed::new(stream, self.service.options().write_timeout);
        self.take(ready(Ok((stream, None))), peer).await;
    }

    /// Serves a connection, if there is a place for it, once it has begun. Until then it has its place
    /// as well.
    async fn take<S, B>(&mut self, begun: B, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        B: Future<Output = Begun<S>> + Send + 'static,
    {
        while self.served.try_join_next().is_some() {}
        match self.places.take(peer.address()).await {
            Ok(slot) => {
                let routes = self.router.clone();
                let routes = routes.layer(Extension(peer)).layer(Extension(slot.clone()));
                let service = self.service.clone();
                let open = service.metrics().connection(peer != Peer::Socket);
                self.served.spawn(async move {
                    let _open = open;
                    let begun = select! {
                        biased; // a connection that has begun is served to its end
                        begun = begun => begun,
                        () = slot.gave_way() => return gave_way(&service, &slot),
                        () = service.closing().cancelled() => return,
                    };
                    match begun {
                        Ok((stream, shown)) => {
                            let routes = match shown {
                                Some(shown) => routes.layer(Extension(shown)),
                                None => routes,
                            };
                            serve(service, routes, stream, slot).await;
                        }
                        Err(error) => {
                            let now = service.options().clock.now();
                            service.metrics().handshakes().failed(peer.client(), &error, now);
                        }
                    }
                });
            }
            Err(met) => {
                self.service.metrics().refused(met.name);
                self.refuse(begun, met.refuse("too many connections"));
            }
        }
    }

    /// Refuses a connection; where too many are being refused, without a word.
    fn refuse<S, B>(&mut self, begun: B, problem: Problem)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        B: Future<Output = Begun<S>> + Send + 'static,
    {
        if let Some(room) = self.places.refuse() {
            self.served.spawn(async move {
                refuse(begun, problem).await;
                drop(room);
            });
        }
    }

    /// Waits for the answers on their way, and cuts what takes too long.
    pub(crate) async fn end(mut self) {
        let drain = self.service.options().drain;
        let all = async { while self.served.join_next().await.is_some() {} };
        if timeout(drain, all).await.is_err() {
            tracing::warn!(connections = self.served.len(), "connections were cut at the end");
        }
        self.served.shutdown().await;
    }
}

/// Counts a connection that is cut since another one got its place.
fn gave_way(service: &Service, slot: &Slot) {
    service.metrics().refused(slot.limit());
    tracing::debug!(limit = slot.limit(), "a connection that had asked nothing gave way");
}

async fn serve<S>(service: Service, routes: Router, stream: S, slot: Slot)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let options = service.options();
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(options.header_bytes_max.max(8_192))
            .half_close(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
    );
    let ended = select! {
        ended = connection.as_mut() => ended,
        () = slot.gave_way() => return gave_way(&service, &slot),
        () = service.closing().cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection was cut");
    }
}
