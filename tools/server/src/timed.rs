//! A connection that ends when its client takes nothing for too long.
//!
//! It lies below TLS, which writes from a buffer of its own: above it, a client that takes a little at a
//! time looks as if it took nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A stream whose writes fail once none has made progress for `longest`.
#[derive(Debug)]
pub(crate) struct Timed<S> {
    stream: S,
    longest: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(crate) fn new(stream: S, longest: Duration) -> Self {
        Self { stream, longest, waiting: None }
    }

    /// Gives what a write gave, or an error when it has waited for too long.
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let longest = self.longest;
        let began = || Box::pin(sleep_until(Instant::now() + longest));
        ready!(self.waiting.get_or_insert_with(began).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_once_nothing_was_taken_for_too_long() {
        let (here, mut there) = duplex(8);
        let mut timed = Timed::new(here, Duration::from_secs(30));
        let began = Instant::now();
        let writer = async {
            timed.write_all(&[0; 64]).await.map_err(|error| (error.kind(), began.elapsed()))
        };
        let reader = async {
            // Slow, but not too slow: each read is progress.
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                let mut some = [0; 8];
                there.read_exact(&mut some).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! { ended = writer => ended, () = reader => Ok(()) };
        let expected = Duration::from_secs(4 * 29 + 30);
        let (kind, after) = ended.unwrap_err();
        assert_eq!((kind, after.as_secs()), (io::ErrorKind::TimedOut, expected.as_secs()));
    }
}
