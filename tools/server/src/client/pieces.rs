//! A stream of bytes, as a source of events sends them.

use super::{Answer, Client, ClientError, answer};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header::ACCEPT};
use hyper::body::{Bytes, Incoming};
use tokio::task::JoinSet;

/// The kind of a stream of frames.
pub(crate) const FRAMES: &str = "application/vnd.taskledger.frames";

/// A stream of bytes. Dropping it ends the connection.
#[derive(Debug)]
pub struct Pieces {
    client: Client,
    headers: HeaderMap,
    body: Incoming,
    _connection: JoinSet<()>,
}

impl Client {
    /// Begins a stream of frames, or takes the refusal.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn frames(
        &self,
        target: &str,
        headers: impl IntoIterator<Item = (HeaderName, String)>,
    ) -> Result<Result<Pieces, Answer>, ClientError> {
        let mut request = self.request(Method::GET, target);
        request = request.header(ACCEPT, HeaderValue::from_static(FRAMES));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (response, connection) = self.send(request, Bytes::new()).await?;
        if response.status().is_success() {
            return Ok(Ok(Pieces::new(self.clone(), response, connection)));
        }
        Ok(Err(Answer::read(self, response).await?))
    }
}

impl Pieces {
    fn new(client: Client, response: Response<Incoming>, connection: JoinSet<()>) -> Self {
        let (head, body) = response.into_parts();
        Self { client, headers: head.headers, body, _connection: connection }
    }

    /// A header of the answer, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Lost`] if the stream was cut, or nothing came for too long.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        answer::next(&self.client, &mut self.body).await
    }
}
