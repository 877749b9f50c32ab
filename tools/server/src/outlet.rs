//! The way from a stream to its connection: one piece at a time, and whole only if that is said.
//!
//! A piece holds its memory until the system has taken its last byte, and no other one begins before.
//! So a stream holds one piece, however slow its client is. A stream that ends without
//! [`Outlet::end`], because its task panics or is dropped, cuts its connection.

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

/// Bytes that a connection takes at once.
const SLICE_BYTES: usize = 16 << 10;

/// A stream was cut on this side, so its end is no end of the log.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the stream was cut")]
pub(crate) struct Cut;

/// The end of the stream.
#[derive(Debug)]
pub(crate) struct Outlet {
    pieces: mpsc::Sender<Part>,
    /// Space for one piece.
    space: Arc<Semaphore>,
    /// The number of slices that the connection has taken.
    taken: Arc<AtomicU64>,
}

/// The end of the connection.
#[derive(Debug)]
pub(crate) struct Intake {
    parts: mpsc::Receiver<Part>,
    piece: Bytes,
    taken: Arc<AtomicU64>,
    whole: bool,
}

#[derive(Debug)]
enum Part {
    Piece(Bytes),
    End,
}

/// The right to send a piece: the one before is gone.
#[derive(Debug)]
pub(crate) struct Space {
    _permit: OwnedSemaphorePermit,
}

struct Held {
    bytes: Bytes,
    _space: Space,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Both ends.
pub(crate) fn outlet() -> (Outlet, Intake) {
    // A piece, and the end behind it.
    let (pieces, parts) = mpsc::channel(2);
    let (space, taken) = (Arc::new(Semaphore::new(1)), Arc::<AtomicU64>::default());
    let intake = Intake { parts, piece: Bytes::new(), taken: Arc::clone(&taken), whole: false };
    (Outlet { pieces, space, taken }, intake)
}

impl Outlet {
    /// Waits until the client has taken all. `None` if it goes away, or takes nothing for `longest`
    /// (noticed within twice that).
    pub(crate) async fn ready(&self, longest: Duration) -> Option<Space> {
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            match timeout(longest, Arc::clone(&self.space).acquire_owned()).await {
                Ok(permit) => {
                    let space = permit.ok().map(|permit| Space { _permit: permit });
                    return space.filter(|_| !self.pieces.is_closed());
                }
                Err(_) if self.taken.load(Ordering::Relaxed) == before => return None,
                Err(_) => {} // slow, and not still
            }
        }
    }

    /// Sends a piece. `None` if the client is gone.
    pub(crate) fn send(&self, space: Space, bytes: Bytes) -> Option<()> {
        let piece = Bytes::from_owner(Held { bytes, _space: space });
        self.pieces.try_send(Part::Piece(piece)).ok()
    }

    /// Says that what was sent is whole.
    pub(crate) fn end(self) {
        let _ = self.pieces.try_send(Part::End);
    }

    /// Waits until the client is gone. The future does not keep the stream from being cut.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let pieces = self.pieces.clone();
        async move { pieces.closed().await }
    }
}

impl HttpBody for Intake {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        while self.piece.is_empty() {
            if self.whole {
                return Poll::Ready(None);
            }
            match ready!(self.parts.poll_recv(context)) {
                Some(Part::Piece(piece)) => self.piece = piece,
                Some(Part::End) => self.whole = true,
                None => return Poll::Ready(Some(Err(Cut))),
            }
        }
        let len = self.piece.len().min(SLICE_BYTES);
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(len)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    const LONGEST: Duration = Duration::from_secs(30);

    async fn send(outlet: &Outlet, bytes: &'static [u8]) -> Option<()> {
        outlet.send(outlet.ready(LONGEST).await?, Bytes::from_static(bytes))
    }

    #[tokio::test]
    async fn a_stream_is_whole_only_if_its_task_said_so() {
        let (outlet, intake) = outlet();
        send(&outlet, b"all").await.unwrap();
        outlet.end();
        assert_eq!(intake.collect().await.unwrap().to_bytes(), "all");
        let (outlet, mut intake) = super::outlet();
        send(&outlet, b"half").await.unwrap();
        drop(outlet);
        // What was sent is given, and then no end.
        assert_eq!(intake.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        intake.frame().await.unwrap().unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_keeps_the_next_one_waiting_until_its_last_byte_is_gone() {
        let (outlet, mut intake) = outlet();
        let piece = Bytes::from(vec![b'x'; SLICE_BYTES + 1]);
        outlet.send(outlet.ready(LONGEST).await.unwrap(), piece).unwrap();
        let first = intake.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), SLICE_BYTES);
        let second = intake.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(second.len(), 1);
        drop(second);
        let began = Instant::now();
        assert!(outlet.ready(LONGEST).await.is_none(), "the connection still has some of it");
        assert_eq!(began.elapsed(), LONGEST);
        drop(first);
        outlet.ready(LONGEST).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_is_waited_for_and_one_that_is_gone_is_not() {
        let (outlet, mut intake) = outlet();
        let piece = Bytes::from(vec![b'x'; 4 * SLICE_BYTES]);
        outlet.send(outlet.ready(LONGEST).await.unwrap(), piece).unwrap();
        let slow = async {
            for _ in 0..4 {
                tokio::time::sleep(LONGEST / 2).await;
                intake.frame().await.unwrap().unwrap();
            }
            intake
        };
        let (space, intake) = tokio::join!(outlet.ready(LONGEST), slow);
        assert!(space.is_some());
        let gone = outlet.gone();
        drop((space, intake));
        gone.await;
        assert!(outlet.ready(LONGEST).await.is_none());
    }
}
