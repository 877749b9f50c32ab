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
use std::{future::ready, pin::pin, sync::Arc, time::Duration};
use taskledger::{
    Code,
    ids::{Head, Size},
};
use taskledger_contract::questions::AskError;
use tokio::{
    select,
    time::{Instant, timeout, timeout_at},
};

/// The time in which a client takes a sign of life, if it takes anything.
const SOON: Duration = Duration::from_secs(1);

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
        if self.follow {
            self.synced(&place).await?;
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
            let (size, head) = self.live(&seat, place.head()).await?;
            drop(seat);
            let space = self.space().await?;
            let (_space, (_, turn)) = self.right(space, None, head).await?;
            let reader = self.service.ledger().reader();
            let at = reader.run(move |reader| {
                let _turn = turn;
                Ok::<_, AskError>(Place::at(reader, size)?)
            });
            place = at.await?;
        }
    }

    /// Waits until the event that the client has named is durable: it may have a receipt before. The feed
    /// begins at no place that others have not come to.
    async fn synced(&mut self, place: &Place) -> Result<(), Ended> {
        let (reader, size) = (self.service.ledger().reader(), place.size());
        if size > Size::EMPTY {
            let grown = move || {
                let reader = reader.clone();
                async move { reader.grown(size.less(1)).await }
            };
            let space = self.space().await?;
            self.alive(space, place.head(), grown).await?;
        }
        Ok(())
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
        let (mut space, mut needed) = (self.space().await?, None);
        loop {
            let before = place.size();
            let (filled, right);
            (space, right) = self.right(space, needed.take(), place.head()).await?;
            (filled, place) = self.read(place, right).await?;
            match filled {
                Filled::Piece(piece) if piece.is_empty() => {}
                Filled::Piece(piece) => {
                    self.due = true;
                    self.give(space, piece)?;
                    space = self.space().await?;
                }
                Filled::NoRoom(bytes) => {
                    needed = Some(bytes);
                    continue;
                }
            }
            if place.size() == before {
                if self.due {
                    self.give(space, self.form.checkpoint(place.head()).into())?;
                    self.due = false;
                }
                return Ok(place);
            }
            // Much may be read of which nothing is wanted.
            if self.sent.elapsed() >= self.service.options().heartbeat {
                self.give(space, self.form.beat(place.head()).into())?;
                space = self.space().await?;
            }
        }
    }

    /// Reads on, on a thread that may block.
    async fn read(
        &self,
        mut place: Place,
        (held, turn): (Option<rooms::Taken>, Turn),
    ) -> Result<(Filled, Place), Ended> {
        self.caller.check(&self.service)?;
        let (wanted, form) = (Arc::clone(&self.wanted), self.form);
        let room = self.service.pools().stream_room(&self.caller);
        let reader = self.service.ledger().reader();
        let read = reader.run(move |reader| {
            let _turn = turn;
            let filled = place.fill(reader, (&wanted, form), &room, held)?;
            Ok::<_, AskError>((filled, place))
        });
        Ok(read.await?)
    }

    /// Waits for room for a large event, if the next one is, and for a turn to read. Nobody waits for an
    /// answer here, so a busy server only makes a stream slower. Whoever waits for room has no turn.
    async fn right(
        &mut self,
        space: Space,
        bytes: Option<usize>,
        at: Head,
    ) -> Result<(Space, (Option<rooms::Taken>, Turn)), Ended> {
        let (service, caller) = (self.service.clone(), self.caller.clone());
        let right = move || {
            let (service, caller) = (service.clone(), caller.clone());
            async move {
                let room = match bytes {
                    Some(bytes) => Some(service.pools().stream_room(&caller).take(bytes).await),
                    None => None,
                };
                (room, service.pools().wait_turn(&caller).await)
            }
        };
        self.alive(space, at, right).await
    }

    /// Waits for `right`, and says meanwhile that the stream is alive, `at` this place. Where the client does
    /// not take that soon, `right` is given up, which may hold what others wait for, and asked for anew.
    async fn alive<T, F: Future<Output = T> + Send>(
        &mut self,
        mut space: Space,
        at: Head,
        right: impl Fn() -> F,
    ) -> Result<(Space, T), Ended> {
        loop {
            {
                let mut right = pin!(right());
                loop {
                    let heard = self.sent + self.service.options().heartbeat;
                    if let Ok(right) = timeout_at(heard, right.as_mut()).await {
                        return Ok((space, right));
                    }
                    self.caller.check(&self.service)?;
                    self.give(space, self.form.beat(at).into())?;
                    match timeout(SOON, self.space()).await {
                        Ok(again) => space = again?,
                        Err(_) => break,
                    }
                }
            }
            space = self.space().await?;
        }
    }

    /// Follows the feed, from `from` on, until it must read on by itself: after so many events.
    /// Of these it has told the client as far as the head that is given too.
    async fn live(&mut self, seat: &Seat, from: Head) -> Result<(Size, Head), Ended> {
        let mut told = from;
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
                told = match (events.last(), then) {
                    (_, Then::Wait(end)) if end.size > told.size => end,
                    (Some(last), _) => last.text.head(),
                    (None, _) => told,
                };
                match then {
                    Then::Alone(size) => return Ok((size, told)),
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
