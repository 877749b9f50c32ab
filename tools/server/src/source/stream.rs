//! One stream of a standby, from its place in the log to its connection.
//!
//! It holds one piece at a time ([`Outlet`]): a standby that is slow slows its own stream, and no other one
//! and no writer. Each piece is whole messages, so that a stream that ends never leaves half a batch. Start
//! reading at [`Stream::run`].

use super::{
    batches::{BatchError, Batches, Encoded, Read},
    standbys::Seat,
    standing::Standing,
};
use crate::{
    guard::Caller,
    outlet::{Outlet, Space},
    pools::Turn,
    problem::{Problem, chain},
    rooms,
    service::Service,
};
use axum::body::Bytes;
use std::{pin::pin, time::Duration};
use taskledger::{
    ids::{Epoch, Head, Size},
    ledger::Reader,
    replication::message::{Beat, End, Message, Reason},
};
use tokio::{
    select,
    time::{Instant, sleep, timeout, timeout_at},
};

/// The pause between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// An epoch that no log has, for one that has none yet.
const NO_EPOCH: Epoch = Epoch { number: 0, nonce: 0 };

/// A stream on its way.
pub(super) struct Stream {
    pub(super) service: Service,
    pub(super) caller: Caller,
    pub(super) seat: Seat,
    pub(super) standing: Standing,
    pub(super) follow: bool,
    pub(super) outlet: Outlet,
    /// The last time at which the standby was told of the state of this node.
    pub(super) told: Instant,
    pub(super) _place: Option<rooms::Taken>,
}

/// The reason that a stream is cut: nothing more is said.
enum Cut {
    /// The standby is gone, or takes nothing.
    Gone,
    /// It may read no more.
    Refused(Problem),
    /// The next batch cannot be read.
    Unreadable(BatchError),
}

impl Stream {
    /// Sends until the end. A stream that is dropped before it has said that it ends, is cut.
    pub(super) async fn run(mut self, from: Batches) {
        let (gone, stopped) = (self.outlet.gone(), self.stopped());
        let ended = select! {
            ended = self.send_all(from) => ended,
            end = stopped => Ok(end),
            () = gone => return,
        };
        match ended {
            Ok(end) => {
                let mut bytes = Vec::new();
                Message::End(end).encode(&mut bytes);
                if let Ok(space) = self.space().await
                    && self.give(space, bytes, None).is_ok()
                {
                    self.outlet.end();
                }
            }
            Err(Cut::Gone) => {}
            Err(Cut::Refused(problem)) => {
                tracing::info!(problem = problem.to_line(), "a stream of a standby was cut");
            }
            Err(Cut::Unreadable(error)) => {
                tracing::error!(error = chain(&error), "a standby cannot be given the next events");
            }
        }
    }

    /// Waits until the stream must end though there may be more to send. Keeps nothing of it.
    fn stopped(&self) -> impl Future<Output = End> + Send + 'static {
        let (service, standing, replaced) =
            (self.service.clone(), self.standing, self.seat.replaced());
        async move {
            let other = select! {
                () = service.closing().cancelled() => Reason::Closing,
                () = replaced => Reason::Replaced,
                by = other_standing(&service, standing) => match by {
                    Some(epoch) => return End { reason: Reason::Fenced, epoch },
                    None => Reason::Closing,
                },
            };
            End { reason: other, epoch: epoch_of(&service) }
        }
    }

    async fn send_all(&mut self, mut at: Batches) -> Result<End, Cut> {
        let space = self.space().await?;
        self.beat(space, at.size())?;
        loop {
            at = self.catch_up(at).await?;
            let (reader, size) = (self.service.ledger().reader(), at.size());
            let goes_on = self.follow && self.grown(&reader, size).await?;
            if !goes_on {
                // The last piece says that this is all, up to the head of its beat.
                let epoch = match self.standing {
                    Standing::Frozen(epoch) => {
                        return Ok(End { reason: Reason::Fenced, epoch });
                    }
                    Standing::Primary => epoch_of(&self.service),
                };
                return Ok(End { reason: Reason::Closing, epoch });
            }
        }
    }

    /// Waits until more than `size` events are durable, and beats meanwhile. False if no more will come.
    async fn grown(&mut self, reader: &Reader, size: Size) -> Result<bool, Cut> {
        loop {
            if let Ok(grown) = timeout_at(self.told + BEAT, reader.grown(size)).await {
                return Ok(grown.is_some());
            }
            let space = self.space().await?;
            self.caller.check(&self.service).map_err(Cut::Refused)?;
            self.beat(space, size)?;
        }
    }

    /// Sends all that is durable, and then a beat.
    async fn catch_up(&mut self, mut at: Batches) -> Result<Batches, Cut> {
        let mut needed = None;
        loop {
            let (space, (room, turn)) = self.right(needed.take(), at.size()).await?;
            let read;
            (read, at) = self.read(at, room, turn).await?;
            match read {
                Read::NoRoom(bytes) => needed = Some(bytes),
                Read::None => {
                    self.beat(space, at.size())?;
                    return Ok(at);
                }
                Read::Message(Encoded { mut bytes, events, room }) => {
                    let (head, len) = (at.head(), u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    let is_all = durable(&self.service).size <= head.size;
                    if is_all || self.told.elapsed() >= BEAT {
                        self.tell(at.size(), &mut bytes);
                    }
                    self.seat.sent(head, events, len);
                    self.give(space, bytes, room)?;
                    if is_all {
                        return Ok(at);
                    }
                }
            }
        }
    }

    /// Reads on, on a thread that may block.
    async fn read(
        &self,
        mut at: Batches,
        held: Option<rooms::Taken>,
        turn: Turn,
    ) -> Result<(Read, Batches), Cut> {
        self.caller.check(&self.service).map_err(Cut::Refused)?;
        let room = self.service.pools().stream_room(&self.caller);
        let reader = self.service.ledger().reader();
        let read = reader.run(move |reader| {
            let _turn = turn;
            let read = at.read(reader, &room, held)?;
            Ok::<_, BatchError>((read, at))
        });
        read.await.map_err(Cut::Unreadable)
    }

    /// Waits until the standby has taken the last piece, for room for a large batch, if the next one is, and
    /// for a turn to read. Beats meanwhile; as long as the standby takes no beat, it holds nothing that others
    /// wait for.
    async fn right(
        &mut self,
        bytes: Option<usize>,
        at: Size,
    ) -> Result<(Space, (Option<rooms::Taken>, Turn)), Cut> {
        loop {
            let mut space = self.space().await?;
            let (service, caller) = (self.service.clone(), self.caller.clone());
            let mut right = pin!(async move {
                let room = match bytes {
                    Some(bytes) => Some(service.pools().stream_room(&caller).take(bytes).await),
                    None => None,
                };
                (room, service.pools().wait_turn(&caller).await)
            });
            loop {
                let beat = Instant::now() + BEAT;
                if let Ok(right) = timeout_at(beat, right.as_mut()).await {
                    return Ok((space, right));
                }
                self.caller.check(&self.service).map_err(Cut::Refused)?;
                self.beat(space, at)?;
                match timeout(BEAT, self.space()).await {
                    Ok(again) => space = again?,
                    Err(_) => break,
                }
            }
        }
    }

    /// Sends a beat alone.
    fn beat(&mut self, space: Space, sent: Size) -> Result<(), Cut> {
        let mut bytes = Vec::new();
        self.tell(sent, &mut bytes);
        self.give(space, bytes, None)
    }

    /// Adds the state of this node to a piece, after which `sent` events are sent.
    fn tell(&mut self, sent: Size, bytes: &mut Vec<u8>) {
        let service = &self.service;
        let head = durable(service);
        let left = head.size.get().saturating_sub(sent.get());
        let beat = Beat {
            epoch: epoch_of(service),
            head,
            left: service.standbys().bytes_of(left),
            reserved: service.ledger().reserved_numbers(),
            now: service.options().clock.now(),
        };
        Message::Beat(beat).encode(bytes);
        self.told = Instant::now();
    }

    /// Waits until the standby has taken the last piece.
    async fn space(&self) -> Result<Space, Cut> {
        let longest = self.service.options().write_timeout;
        self.outlet.ready(longest).await.ok_or(Cut::Gone)
    }

    /// Sends a piece, which keeps its room until it is taken.
    fn give(&self, space: Space, bytes: Vec<u8>, room: Option<rooms::Taken>) -> Result<(), Cut> {
        let piece = match room {
            Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
            None => bytes.into(),
        };
        self.outlet.send(space, piece).ok_or(Cut::Gone)
    }
}

struct Held {
    bytes: Vec<u8>,
    _room: rooms::Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Waits until the node has another standing than this: the epoch by which it is frozen now, if it is.
async fn other_standing(service: &Service, standing: Standing) -> Option<Epoch> {
    let mut changes = service.role_changes();
    loop {
        let now = Standing::of(&service.ledger().node_status());
        match now {
            Ok(now) if now == standing => {}
            Ok(Standing::Frozen(by)) => return Some(by),
            Ok(Standing::Primary) | Err(_) => return None,
        }
        // A host may change the role without the server.
        select! {
            _ = changes.changed() => {}
            () = sleep(BEAT) => {}
        }
    }
}

/// The log up to its last event that is durable and shown.
pub(super) fn durable(service: &Service) -> Head {
    let reader = service.ledger().reader();
    let (synced, shown) = (reader.synced(), reader.head());
    if shown.size < synced.size { shown } else { synced }
}

fn epoch_of(service: &Service) -> Epoch {
    service.ledger().node_status().epoch.unwrap_or(NO_EPOCH)
}
