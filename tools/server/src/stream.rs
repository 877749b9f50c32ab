//! One stream, from its place in the log to its client.
//!
//! It reads on by itself ([`Place`]) until it has given all that there is, then follows the
//! [`Feed`](crate::feed), and goes back to reading by itself when that leaves it behind. It never holds
//! more than one piece ([`Outlet`]).

use crate::{
    feed::{Feeder, Given, Seat, Taken, Then},
    guard::Caller,
    outlet::{Outlet, Space},
    place::{Filled, Place},
    pools::Turn,
    problem::Problem,
    rooms,
    service::Service,
    text::{Form, RETRY},
    wanted::Wanted,
};
use axum::body::Bytes;
use std::{future::ready, pin::pin, sync::Arc};
use taskledger::{
    Code,
    ids::{Head, Size},
};
use taskledger_contract::questions::AskError;
use tokio::{
    select,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

/// A stream on its way.
pub(crate) struct Stream {
    service: Service,
    caller: Caller,
    wanted: Arc<Wanted>,
    form: Form,
    follow: bool,
    outlet: Outlet,
    /// A checkpoint is due: what was sent, if anything, does not end with one.
    due: bool,
    /// The last time at which something was sent.
    sent: Instant,
    _place: Option<rooms::Taken>,
}

/// The reason that a stream ends early.
enum Ended {
    /// The client is gone, or takes nothing.
    Gone,
    /// An event could not be read, or the client may read no more.
    Told(Problem),
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Self::Told(problem)
    }
}

impl From<AskError> for Ended {
    fn from(error: AskError) -> Self {
        Problem::of_code(error.code().unwrap_or(Code::StorageFailed), &error).into()
    }
}

impl Stream {
    /// `place` is held until the stream ends, if it holds one.
    pub(crate) fn new(
        service: &Service,
        caller: &Caller,
        (wanted, form, follow): (Wanted, Form, bool),
        outlet: Outlet,
        place: Option<rooms::Taken>,
    ) -> Self {
        Self {
            service: service.clone(),
            caller: caller.clone(),
            wanted: Arc::new(wanted),
            form,
            follow,
            outlet,
            due: true,
            sent: Instant::now(),
            _place: place,
        }
    }

    /// Sends until the end. A stream that is dropped before it says that it is whole, is cut.
    pub(crate) async fn run(mut self, place: Place) {
        let (closing, gone) = (self.service.closing().clone(), self.outlet.gone());
        let ended = select! {
            ended = self.send_all(place) => ended,
            () = closing.cancelled() => Ok(()),
            () = gone => return,
        };
        match ended {
            // Only a checkpoint ends a stream that is whole.
            Ok(()) if self.due => {}
            Ok(()) => self.outlet.end(),
            Err(Ended::Told(problem)) => {
                if self.send(self.form.problem(&problem)).await.is_ok() {
                    self.outlet.end();
                }
            }
            Err(Ended::Gone) => {}
        }
    }

    async fn send_all(&mut self, mut place: Place) -> Result<(), Ended> {
        if self.form == Form::Events {
            self.send(RETRY.to_owned()).await?;
        }
        loop {
            place = self.catch_up(place).await?;
            let service = self.service.clone();
            if !self.follow || self.has_ended(place.size()).await {
                return Ok(());
            }
            let spawn = |feeder: Feeder| {
                service.spawn(feeder.run(service.ledger().reader(), service.closing().clone()));
            };
            let seat = self.service.feed().join(&place, Arc::clone(&self.wanted), spawn);
            let size = self.live(&seat, place.head()).await?;
            drop(seat);
            let turn = self.turn().await;
            let reader = self.service.ledger().reader();
            let at = reader.run(move |reader| {
                let _turn = turn;
                Ok::<_, AskError>(Place::at(reader, size)?)
            });
            place = at.await?;
        }
    }

    /// True if the log ends with `size` events, and no more will come.
    async fn has_ended(&self, size: Size) -> bool {
        let reader = self.service.ledger().reader();
        select! {
            biased;
            grown = reader.grown(size) => grown.is_none(),
            () = ready(()) => false,
        }
    }

    /// Reads on by itself until all was given that is durable.
    async fn catch_up(&mut self, mut place: Place) -> Result<Place, Ended> {
        let mut held = None;
        loop {
            let before = place.size();
            let space = self.space().await?;
            let filled;
            (filled, place) = self.read(place, held.take()).await?;
            match filled {
                Filled::Piece(piece) if piece.is_empty() => drop(space),
                Filled::Piece(piece) => {
                    self.due = true;
                    self.give(space, piece)?;
                }
                Filled::NoRoom(bytes) => {
                    drop(space);
                    held = Some(self.room(bytes, &place).await?);
                    continue;
                }
            }
            if place.size() == before {
                if self.due {
                    self.send(self.form.checkpoint(place.head())).await?;
                    self.due = false;
                }
                return Ok(place);
            }
            // Much may be read of which nothing is wanted.
            if self.sent.elapsed() >= self.service.options().heartbeat {
                self.send(self.form.beat(place.head())).await?;
            }
        }
    }

    /// Reads on, on a thread that may block.
    async fn read(
        &self,
        mut place: Place,
        held: Option<OwnedSemaphorePermit>,
    ) -> Result<(Filled, Place), Ended> {
        let turn = self.turn().await;
        self.caller.check(&self.service)?;
        let (wanted, form) = (Arc::clone(&self.wanted), self.form);
        let room = self.service.feed().room().clone();
        let reader = self.service.ledger().reader();
        let read = reader.run(move |reader| {
            let _turn = turn;
            let filled = place.fill(reader, (&wanted, form), &room, held)?;
            Ok::<_, AskError>((filled, place))
        });
        Ok(read.await?)
    }

    /// Waits for a turn to read. Nobody waits for an answer here, so a busy server only makes a stream
    /// slower.
    async fn turn(&self) -> Turn {
        loop {
            if let Ok(turn) = self.service.pools().turn(&self.caller, false).await {
                return turn;
            }
        }
    }

    /// Waits for room for a large event, and says meanwhile that the stream is alive.
    async fn room(&mut self, bytes: u32, place: &Place) -> Result<OwnedSemaphorePermit, Ended> {
        let service = self.service.clone();
        let mut room = pin!(service.feed().room().take(bytes));
        loop {
            let heard = self.sent + service.options().heartbeat;
            if let Ok(room) = timeout_at(heard, room.as_mut()).await {
                return room.map_err(|_| Ended::Gone);
            }
            self.caller.check(&service)?;
            self.send(self.form.beat(place.head())).await?;
        }
    }

    /// Follows the feed, from `from` on, until it must read on by itself: after so many events.
    async fn live(&mut self, seat: &Seat, from: Head) -> Result<Size, Ended> {
        loop {
            let heard = self.sent + self.service.options().heartbeat;
            let silent = timeout_at(heard, seat.woken()).await.is_err();
            loop {
                let space = self.space().await?;
                self.caller.check(&self.service)?;
                let Taken { events, then } = self.unchanged(seat.take())?;
                let piece = self.piece(&events, then, from, silent);
                if !piece.is_empty() {
                    self.give(space, piece)?;
                }
                match then {
                    Then::Alone(size) => return Ok(size),
                    Then::Wait(_) if !self.due => break,
                    Then::Wait(_) | Then::More => {}
                }
            }
        }
    }

    /// Of the events that were taken, those before one of which a text was redacted since it was read:
    /// that one the stream reads by itself.
    fn unchanged(&self, mut taken: Taken) -> Result<Taken, Ended> {
        let reader = self.service.ledger().reader();
        for (place, Given { size, redacted, .. }) in taken.events.iter().enumerate() {
            let now = size.last_seq().map(|seq| reader.redacted(seq)).transpose();
            if now.map_err(AskError::from)? != Some(*redacted) {
                taken.then = Then::Alone(size.less(1));
                taken.events.truncate(place);
                break;
            }
        }
        Ok(taken)
    }

    /// The piece that tells of `events`, and of the place of the stream if this is all, or it was silent
    /// for too long.
    fn piece(&mut self, events: &[Given], then: Then, from: Head, silent: bool) -> Bytes {
        self.due |= !events.is_empty();
        if let [one] = events
            && one.text.len() > self.service.feed().room().half_share()
        {
            return one.text.of(self.form);
        }
        let mut piece = Vec::new();
        for event in events {
            piece.extend_from_slice(&event.text.of(self.form));
        }
        if let Then::Wait(end) = then {
            let head = if end.size < from.size { from } else { end };
            if self.due {
                piece.extend_from_slice(self.form.checkpoint(head).as_bytes());
                self.due = false;
            } else if silent {
                piece.extend_from_slice(self.form.beat(head).as_bytes());
            }
        }
        piece.into()
    }

    /// Waits until the client has taken the last piece.
    async fn space(&self) -> Result<Space, Ended> {
        let longest = self.service.options().write_timeout;
        self.outlet.ready(longest).await.ok_or(Ended::Gone)
    }

    fn give(&mut self, space: Space, piece: Bytes) -> Result<(), Ended> {
        self.sent = Instant::now();
        self.outlet.send(space, piece).ok_or(Ended::Gone)
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        let space = self.space().await?;
        self.give(space, text.into())
    }
}

#[cfg(test)]
mod tests;
