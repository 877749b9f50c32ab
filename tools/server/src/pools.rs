//! Limits of what goes on at once: reads, and the bytes of answers.

use crate::{options::ServerOptions, problem::Problem};
use axum::{body::Bytes, http::StatusCode};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The pools of a server.
#[derive(Debug)]
pub(crate) struct Pools {
    reads: Arc<Semaphore>,
    map_reads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Bytes of answers that are made or sent.
    answers: Arc<AtomicUsize>,
    /// Bytes of what is being recorded.
    bodies: Arc<AtomicUsize>,
    options: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    reads_max: usize,
    map_reads_max: usize,
    streams_max: usize,
    read_wait: Duration,
    answer_bytes_max: usize,
    answers_bytes_max: usize,
    bodies_bytes_max: usize,
}

/// The right to read. Held until the read has ended, whether or not its client waits for it.
#[derive(Debug)]
pub(crate) struct Turn {
    _read: OwnedSemaphorePermit,
    _map: Option<OwnedSemaphorePermit>,
}

impl Pools {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self {
            reads: Arc::new(Semaphore::new(options.reads_max)),
            map_reads: Arc::new(Semaphore::new(options.map_reads_max)),
            streams: Arc::new(Semaphore::new(options.streams_max)),
            answers: Arc::default(),
            bodies: Arc::default(),
            options: Limits {
                reads_max: options.reads_max,
                map_reads_max: options.map_reads_max,
                streams_max: options.streams_max,
                read_wait: options.read_wait,
                answer_bytes_max: options.answer_bytes_max,
                answers_bytes_max: options.answers_bytes_max,
                bodies_bytes_max: options.bodies_bytes_max,
            },
        }
    }

    /// Waits for a turn to read, of the whole map too if that is needed: first for the rarer one, so
    /// that those who wait for it keep nobody else waiting.
    pub(crate) async fn turn(&self, map: bool) -> Result<Turn, Problem> {
        let limits = self.options;
        let take = async {
            let mut of_map = None;
            if map {
                of_map = Some(Arc::clone(&self.map_reads).acquire_owned().await);
            }
            (of_map, Arc::clone(&self.reads).acquire_owned().await)
        };
        let Ok((of_map, read)) = timeout(limits.read_wait, take).await else {
            let waited = format!("waited {:?} for a turn to read", limits.read_wait);
            let of_map = map && self.map_reads.available_permits() == 0;
            let (name, max) = if of_map {
                ("map_reads_max", limits.map_reads_max)
            } else {
                ("reads_max", limits.reads_max)
            };
            return Err(Problem::limit(name, max, &waited));
        };
        // The semaphores are never closed.
        let closed = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "closing");
        let map = of_map.transpose().map_err(closed)?;
        Ok(Turn { _read: read.map_err(closed)?, _map: map })
    }

    /// The right to a stream.
    pub(crate) fn stream(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let max = self.options.streams_max;
        let full = |_| Problem::limit("streams_max", max, "too many streams");
        Arc::clone(&self.streams).try_acquire_owned().map_err(full)
    }

    /// The number of streams.
    pub(crate) fn streams_open(&self) -> usize {
        self.options.streams_max.saturating_sub(self.streams.available_permits())
    }

    /// Room for a body of so many bytes.
    pub(crate) fn body(&self, bytes: usize) -> Result<Held, Problem> {
        let max = self.options.bodies_bytes_max;
        let mut held = Held { all: Arc::clone(&self.bodies), bytes: 0 };
        let full = |_| Problem::limit("bodies_bytes_max", max, "too many bytes are being recorded");
        held.more(bytes, max).map_err(full)?;
        Ok(held)
    }

    /// An empty answer.
    pub(crate) fn answer(&self) -> Answer {
        let held = Held { all: Arc::clone(&self.answers), bytes: 0 };
        Answer { bytes: Vec::new(), held, limits: self.options }
    }
}

/// The share of an answer, or of a body, in the memory of all.
#[derive(Debug)]
pub(crate) struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    fn more(&mut self, bytes: usize, max: usize) -> Result<(), Full> {
        let sum = |all: usize| all.checked_add(bytes).filter(|sum| *sum <= max);
        let taken = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
        taken.map_err(|_| Full::All { max })?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An answer in the making, in bounded memory.
#[derive(Debug)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    held: Held,
    limits: Limits,
}

/// The limit that an answer met.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Full {
    #[error("an answer of more than {max} bytes")]
    One { max: usize },
    #[error("answers of {max} bytes in all")]
    All { max: usize },
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        match full {
            Full::One { max } => {
                let detail = format!(
                    "the answer has more bytes than answer_bytes_max allows, {max}: narrow it, or \
                     read /v1/log as a stream"
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "answer-too-large", detail)
            }
            Full::All { max } => Self::limit("answers_bytes_max", max, "too many bytes of answers"),
        }
    }
}

impl Answer {
    /// The bytes. They count until the last copy is gone: sent, or its client is.
    pub(crate) fn finish(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl io::Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (len, max) = (self.bytes.len() + bytes.len(), self.limits.answer_bytes_max);
        if len > max {
            return Err(io::Error::other(Full::One { max }));
        }
        if len > self.bytes.capacity() {
            let wanted = len.max(self.bytes.capacity() * 2).clamp(1024, max);
            let more = wanted - self.held.bytes;
            self.held.more(more, self.limits.answers_bytes_max).map_err(io::Error::other)?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn pools(answer: usize, all: usize) -> Pools {
        Pools::new(&ServerOptions {
            answer_bytes_max: answer,
            answers_bytes_max: all,
            ..Default::default()
        })
    }

    fn full(error: &io::Error) -> Full {
        *error.get_ref().unwrap().downcast_ref().unwrap()
    }

    #[test]
    fn an_answer_over_its_limit_ends_before_it_takes_more_memory() {
        let pools = pools(4_096, 1 << 20);
        let mut answer = pools.answer();
        answer.write_all(&[b'x'; 4_096]).unwrap();
        let error = answer.write_all(b"x").unwrap_err();
        assert!(matches!(full(&error), Full::One { max: 4_096 }));
        assert!(answer.bytes.capacity() <= 4_096);
    }

    #[test]
    fn the_bytes_of_answers_count_until_they_are_gone() {
        let pools = pools(8_192, 10_000);
        let mut one = pools.answer();
        one.write_all(&[b'x'; 8_192]).unwrap();
        let sent = one.finish();
        let copy = sent.clone();
        let mut other = pools.answer();
        let error = other.write_all(&[b'x'; 4_000]).unwrap_err();
        assert!(matches!(full(&error), Full::All { max: 10_000 }));
        drop((sent, other));
        assert!(pools.answer().write_all(&[b'x'; 4_000]).is_err(), "a copy still holds the bytes");
        drop(copy);
        pools.answer().write_all(&[b'x'; 8_000]).unwrap();
        assert_eq!(pools.answers.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_gets_no_turn_is_told_which_limit_it_met() {
        let options = ServerOptions { reads_max: 2, map_reads_max: 1, ..Default::default() };
        let pools = Pools::new(&options);
        let map = pools.turn(true).await.unwrap();
        let refused = pools.turn(true).await.unwrap_err();
        assert!(format!("{refused:?}").contains("limit map_reads_max"), "{refused:?}");
        let read = pools.turn(false).await.unwrap();
        let refused = pools.turn(false).await.unwrap_err();
        assert!(format!("{refused:?}").contains("limit reads_max"), "{refused:?}");
        drop((map, read));
        pools.turn(true).await.unwrap();
    }
}
