//! A client of a server: one connection for each request, with limits on time and bytes.
//!
//! Believes nothing that a server says beyond its status: an answer is bounded, one that is cut is an
//! error and no short answer, and a token goes by TLS or to this machine alone. Start at [`Client`].

mod address;
mod answer;
mod connect;
mod distrust;
mod node;
mod pieces;
mod plain;
mod tls;

#[cfg(test)]
mod tests;

pub use address::{Address, AddressError};
pub use answer::{Answer, Lines};
pub use distrust::Distrust;
pub use node::NodeFiles;
pub(crate) use pieces::FRAMES;
pub use pieces::Pieces;
pub use tls::{TlsError, trust};

use axum::http::{
    HeaderName, HeaderValue, Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use plain::SpeaksTls;
use std::{fmt, io, sync::Arc, time::Duration};
use taskledger::ids::{LedgerId, NodeId};
use tokio::{
    task::JoinSet,
    time::{error::Elapsed, timeout},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The limits of a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The longest time until a connection is there, with TLS. 5 s: one that is alive takes it at once.
    pub connect_timeout: Duration,
    /// The longest time in which nothing of an answer comes. 60 s: longer than a busy server takes.
    pub answer_timeout: Duration,
    /// Bytes of one answer. 64 MiB, as the server's own limit.
    pub answer_bytes_max: usize,
    /// Bytes of one line of a stream. 32 MiB: the largest event, whose texts may be six times as long
    /// as JSON, is shorter.
    pub line_bytes_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_mins(1),
            answer_bytes_max: 64 << 20,
            line_bytes_max: 32 << 20,
        }
    }
}

/// A secret by which a server knows its client. Never shown, also not by `Debug`.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes the text of a token; `None` if no token looks like that.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value =
            HeaderValue::try_from(format!("Bearer {text}")).ok().filter(|_| is_token)?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The reason that there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is one of another machine, without TLS. Nothing was sent.
    #[error("{address} is on another machine, and http would show what is said: name it by https")]
    Plain {
        /// The address.
        address: Address,
    },
    /// The server has no certificate that is trusted. Nothing was sent.
    #[error("{address} does not prove who it is")]
    Untrusted {
        /// The address.
        address: Address,
        /// The fault that was found.
        source: Distrust,
    },
    /// The address says TLS, and the server answers in the clear. Nothing was sent.
    #[error("the server at {address} does not speak TLS")]
    NoTls {
        /// The address.
        address: Address,
    },
    /// The address says no TLS, and the server speaks nothing else: it has understood nothing.
    #[error("the server at {address} speaks TLS alone")]
    OnlyTls {
        /// The address.
        address: Address,
    },
    /// No connection came about. Nothing was sent.
    #[error("no server can be reached at {address}")]
    Unreached {
        /// The address.
        address: Address,
        /// The error of the system.
        source: io::Error,
    },
    /// The connection was there, and no whole answer came: what was to be recorded may be.
    #[error("the server at {address} gave no whole answer{why}")]
    Lost {
        /// The address.
        address: Address,
        /// The reason, in parentheses.
        why: String,
    },
    /// The answer is longer than an answer may be.
    #[error("the answer of {address} is longer than {max} bytes")]
    TooLong {
        /// The address.
        address: Address,
        /// The limit.
        max: usize,
    },
}

impl ClientError {
    /// True if the server has not got the request: it is safe to send it again as it is.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Plain { .. }
            | Self::Untrusted { .. }
            | Self::NoTls { .. }
            | Self::OnlyTls { .. }
            | Self::Unreached { .. } => true,
            Self::Lost { .. } | Self::TooLong { .. } => false,
        }
    }
}

/// A client of one server. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    token: Option<Token>,
    tls: Option<Arc<rustls::ClientConfig>>,
    files: Option<Arc<NodeFiles>>,
    node: Option<NodeId>,
    options: ClientOptions,
}

/// A batch, or one command, to be recorded.
#[derive(Debug, Clone)]
pub struct Recording<'a> {
    /// The path: `/v1/append`.
    pub target: &'a str,
    /// The `Idempotency-Key`, which is needed by TCP.
    pub key: Option<&'a str>,
    /// The ledger that is meant: a server of another one refuses.
    pub ledger: Option<LedgerId>,
    /// The JSON.
    pub body: Bytes,
}

impl Client {
    /// A client of the server at `address`. Connects to nothing.
    #[must_use]
    pub fn new(address: Address, options: ClientOptions) -> Self {
        Self { address, token: None, tls: None, files: None, node: None, options }
    }

    /// Sends this token by TCP; a socket needs none.
    #[must_use]
    pub fn token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Trusts servers as this configuration does, which [`trust`] makes. Without one nothing is asked
    /// by `https`.
    #[must_use]
    pub fn tls(self, config: Arc<rustls::ClientConfig>) -> Self {
        Self { tls: Some(config), ..self }
    }

    /// Shows the certificate in these files to the server, and trusts servers as they say, instead of a
    /// configuration of [`tls`](Self::tls).
    #[must_use]
    pub fn files(self, files: Arc<NodeFiles>) -> Self {
        Self { files: Some(files), ..self }
    }

    /// Asks no server but this node: one whose certificate names another node, or none, is not trusted, nor
    /// one that is asked without TLS.
    #[must_use]
    pub fn node(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }

    /// True if it shows a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The address of the server.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Asks a question, and takes its whole answer, or the refusal.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal is an [`Answer`].
    ///
    /// # Cancel safety
    /// Cancel safe: a question changes nothing.
    pub async fn ask(&self, target: &str) -> Result<Answer, ClientError> {
        let request = self.request(Method::GET, target);
        self.whole(request, Bytes::new()).await
    }

    /// Has something recorded. Not sent twice by itself.
    ///
    /// # Errors
    /// [`ClientError`]: if it is not [`is_unsent`](ClientError::is_unsent), it may be recorded.
    ///
    /// # Cancel safety
    /// Not cancel safe: it may be recorded all the same.
    pub async fn record(&self, recording: Recording<'_>) -> Result<Answer, ClientError> {
        let mut request = self.request(Method::POST, recording.target);
        let json = HeaderValue::from_static("application/json");
        request = request.header(CONTENT_TYPE, json);
        if let Some(key) = recording.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(ledger) = recording.ledger {
            request = request.header(crate::reads::LEDGER, ledger.to_string());
        }
        self.whole(request, recording.body).await
    }

    /// Begins a stream of lines, or takes the refusal.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn stream(&self, target: &str) -> Result<Result<Lines, Answer>, ClientError> {
        let lines = HeaderValue::from_static("application/x-ndjson");
        let request = self.request(Method::GET, target).header(ACCEPT, lines);
        let (response, connection) = self.send(request, Bytes::new()).await?;
        if response.status().is_success() {
            return Ok(Ok(Lines::new(self.clone(), response, connection)));
        }
        Ok(Err(Answer::read(self, response).await?))
    }

    fn request(&self, method: Method, target: &str) -> axum::http::request::Builder {
        let mut request =
            Request::builder().method(method).uri(target).header(HOST, self.address.host());
        if let Some(Token(token)) = self.token.as_ref().filter(|_| !self.address.is_socket()) {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request
    }

    async fn whole(
        &self,
        request: axum::http::request::Builder,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let (response, _connection) = self.send(request, body).await?;
        Answer::read(self, response).await
    }

    async fn send(
        &self,
        request: axum::http::request::Builder,
        body: Bytes,
    ) -> Result<(hyper::Response<hyper::body::Incoming>, JoinSet<()>), ClientError> {
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| self.lost(format!(" ({error})")))?;
        let stream = connect::connect(self).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let shaken = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| self.failed(&error))?;
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            // The request says what became of it.
            let _ = connection.await;
        });
        let response = timeout(self.options.answer_timeout, sender.send_request(request)).await;
        let response = response.map_err(|late| self.late(&late))?;
        Ok((response.map_err(|error| self.failed(&error))?, connections))
    }

    /// The error of a connection that failed before an answer began.
    fn failed(&self, error: &hyper::Error) -> ClientError {
        if SpeaksTls::is_cause(error) {
            return ClientError::OnlyTls { address: self.address.clone() };
        }
        self.lost(format!(" ({error})"))
    }

    fn lost(&self, why: String) -> ClientError {
        ClientError::Lost { address: self.address.clone(), why }
    }

    fn late(&self, _: &Elapsed) -> ClientError {
        self.lost(format!(" (none in {:?})", self.options.answer_timeout))
    }
}
