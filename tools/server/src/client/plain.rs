//! A connection in the clear, which finds out that the other end speaks TLS.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The first byte of what TLS answers to anything else: an alert, or a part of a handshake.
const RECORDS: [u8; 2] = [21, 22];

/// A connection in the clear.
#[derive(Debug)]
pub(super) struct Plain {
    stream: TcpStream,
    /// True once something came.
    begun: bool,
}

/// The other end answers in TLS, so it has not understood what was sent.
#[derive(Debug)]
pub(super) struct SpeaksTls;

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is one of TLS")
    }
}

impl std::error::Error for SpeaksTls {}

impl SpeaksTls {
    /// True if this is the error of a connection that found it out.
    pub(super) fn is_cause(error: &hyper::Error) -> bool {
        let cause = std::error::Error::source(error);
        let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        let found = cause.and_then(io::Error::get_ref);
        matches!(found.and_then(|inner| inner.downcast_ref()), Some(Self))
    }
}

impl Plain {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, begun: false }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        if let Some(first) = buf.filled().get(before)
            && !std::mem::replace(&mut self.begun, true)
            && RECORDS.contains(first)
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, SpeaksTls)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
