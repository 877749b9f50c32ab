//! The live end of the log, read once for all streams.
//!
//! While a stream follows, one task, the feeder, reads each event as it becomes durable. The newest
//! events stay in a window of bounded bytes. A stream that has caught up takes a seat, and is woken
//! when the window has an event that it wants. One whose next event has left the window reads on by
//! itself, as does one that wants an event whose text is not there, and every one when the feeder ends. So the
//! feeder waits for no stream, and no stream for another. Start reading at [`Feed::join`].

use crate::{
    place::Place,
    text::{Room, Text},
    wanted::{Id, Index, Subject, Wanted},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use taskledger::{
    event::PartSet,
    ids::{Head, Size},
    ledger::Reader,
};
use taskledger_contract::questions::AskError;
use tokio::{select, sync::Notify};
use tokio_util::sync::CancellationToken;

/// The number of events that a stream looks at before others have their turn.
const LOOK_MAX: usize = 256;

/// The live end of a log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the feeder when the last follower is gone.
    left: Notify,
    room: Room,
    window_bytes_max: usize,
}

#[derive(Debug)]
struct State {
    /// The number of the feeder that runs, if one does.
    feeder: Option<u64>,
    feeders: u64,
    /// The newest events, without a gap: those after `start` up to `end`.
    window: VecDeque<Item>,
    window_bytes: usize,
    start: Size,
    end: Head,
    followers: BTreeMap<Id, Follower>,
    followers_ever: Id,
    index: Index,
}

#[derive(Debug)]
struct Follower {
    wanted: Arc<Wanted>,
    /// The events that it has seen before it came.
    seen: Size,
    /// The first event that it has not looked at and may want, by the size of the log with it. None:
    /// it wants nothing of what there is up to `end`.
    next: Option<u64>,
    /// The feeder that it followed is gone.
    left_alone: bool,
    woken: Arc<Notify>,
}

/// An event at the live end.
#[derive(Debug)]
pub(crate) struct Item {
    /// The size of the log with it.
    pub(crate) size: Size,
    pub(crate) subject: Subject,
    /// The parts of it that had been redacted when it was read.
    pub(crate) redacted: PartSet,
    /// None if no stream wanted it, or there was no room.
    pub(crate) text: Option<Text>,
}

impl Item {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.subject.bytes() + self.text.as_ref().map_or(0, Text::len)
    }
}

/// The events that a stream takes from the window.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Given>,
    /// The next step of the stream.
    pub(crate) then: Then,
}

/// An event that is wanted.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) size: Size,
    pub(crate) redacted: PartSet,
    pub(crate) text: Text,
}

/// The next step of a stream after the events that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Then {
    /// There may be more to take.
    #[default]
    More,
    /// This was all that it wants up to this head.
    Wait(Head),
    /// It reads on by itself, after so many events.
    Alone(Size),
}

/// A follower's place at the feed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    feed: Feed,
    id: Id,
    woken: Arc<Notify>,
}

impl Feed {
    pub(crate) fn new(room: Room, window_bytes_max: usize) -> Self {
        let (state, left) = (Mutex::new(State::new()), Notify::new());
        Self { shared: Arc::new(Shared { state, left, room, window_bytes_max }) }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.shared.room
    }

    /// Takes a seat for a stream that has seen the log up to `place`. The first one gives `spawn` the feeder
    /// to run. O(log followers).
    pub(crate) fn join(
        &self,
        place: &Place,
        wanted: Arc<Wanted>,
        spawn: impl FnOnce(Feeder),
    ) -> Seat {
        let mut state = self.state();
        let mut feeder = None;
        if state.feeder.is_none() {
            let number = state.begin(place.head());
            feeder = Some(Feeder { feed: self.clone(), number, place: place.clone() });
        }
        let seen = place.size();
        let (id, woken) = (state.followers_ever, Arc::new(Notify::new()));
        state.followers_ever += 1;
        let next = (seen < state.end.size).then(|| seen.get() + 1);
        if next.is_some() {
            woken.notify_one();
        }
        state.index.insert(id, &wanted);
        let follower = Follower { wanted, seen, next, left_alone: false, woken: woken.clone() };
        state.followers.insert(id, follower);
        drop(state);
        if let Some(feeder) = feeder {
            spawn(feeder);
        }
        Seat { feed: self.clone(), id, woken }
    }

    /// The end of the log, as far as it was read.
    #[cfg(test)]
    pub(crate) fn end(&self) -> Head {
        self.state().end
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a follower wants the event.
    fn is_wanted(&self, subject: &Subject) -> bool {
        let state = self.state();
        state.index.candidates(subject).any(|id| {
            state.followers.get(&id).is_some_and(|follower| follower.wanted.passes(subject))
        })
    }

    /// Reads on from `place`, the end of the window. Blocks on the disk.
    fn read(&self, number: u64, mut place: Place, reader: &Reader) -> Result<Place, AskError> {
        let items = place.items(reader, |subject| self.is_wanted(subject), self.room())?;
        self.push(number, items, place.head());
        Ok(place)
    }

    /// Adds the next events to the window, and wakes those who want one.
    fn push(&self, number: u64, items: Vec<Item>, end: Head) {
        let mut state = self.state();
        if state.feeder != Some(number) {
            return;
        }
        let mut woken = Vec::new();
        for item in items {
            state.offer(&item, &mut woken);
            state.window_bytes += item.bytes();
            state.window.push_back(item);
        }
        state.end = end;
        state.forget(self.shared.window_bytes_max);
        drop(state);
        for follower in woken {
            follower.notify_one();
        }
    }

    /// Ends the feeder if nobody follows. True if it has ended.
    fn rest(&self, number: u64) -> bool {
        let mut state = self.state();
        if state.feeder == Some(number) && state.followers.is_empty() {
            state.end_feeder();
        }
        state.feeder != Some(number)
    }

    /// Ends the feeder: those who follow it read on by themselves.
    fn stop(&self, number: u64) {
        let mut state = self.state();
        if state.feeder != Some(number) {
            return;
        }
        state.end_feeder();
        let end = state.end.size;
        for follower in state.followers.values_mut().filter(|follower| !follower.left_alone) {
            follower.left_alone = true;
            follower.next.get_or_insert(follower.seen.max(end).get() + 1);
            follower.woken.notify_one();
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            feeder: None,
            feeders: 0,
            window: VecDeque::new(),
            window_bytes: 0,
            start: Size::EMPTY,
            end: Head::EMPTY,
            followers: BTreeMap::new(),
            followers_ever: 0,
            index: Index::default(),
        }
    }

    /// Begins at `head`, with an empty window.
    fn begin(&mut self, head: Head) -> u64 {
        self.feeders += 1;
        self.feeder = Some(self.feeders);
        (self.start, self.end) = (head.size, head);
        self.feeders
    }

    fn end_feeder(&mut self) {
        self.feeder = None;
        self.window.clear();
        self.window_bytes = 0;
    }

    /// Notes those who want an event and have nothing else to look at.
    fn offer(&mut self, item: &Item, woken: &mut Vec<Arc<Notify>>) {
        for id in self.index.candidates(&item.subject) {
            let Some(follower) = self.followers.get_mut(&id) else { continue };
            let is_new = item.size > follower.seen && follower.next.is_none();
            if is_new && follower.wanted.passes(&item.subject) {
                follower.next = Some(item.size.get());
                woken.push(Arc::clone(&follower.woken));
            }
        }
    }

    /// Keeps the newest events that fit, and the last one in any case.
    fn forget(&mut self, bytes_max: usize) {
        while self.window_bytes > bytes_max && self.window.len() > 1 {
            let Some(oldest) = self.window.pop_front() else { break };
            self.window_bytes -= oldest.bytes();
            self.start = oldest.size;
        }
    }

    /// The events from the next one of a follower on, up to about `bytes`.
    fn take(&mut self, id: Id, bytes: usize) -> Taken {
        let (mut taken, mut sum) = (Taken::default(), 0);
        let Some(follower) = self.followers.get_mut(&id) else { return taken };
        let Some(mut next) = follower.next else {
            taken.then = Then::Wait(self.end);
            return taken;
        };
        if follower.left_alone || next <= self.start {
            taken.then = Then::Alone(Size::new(next - 1));
            return taken;
        }
        let passed = usize::try_from(next - self.start.get() - 1).unwrap_or(usize::MAX);
        for item in self.window.range(passed.min(self.window.len())..).take(LOOK_MAX) {
            if follower.wanted.passes(&item.subject) {
                let Some(text) = &item.text else {
                    taken.then = Then::Alone(Size::new(next - 1));
                    return taken;
                };
                // A large one goes alone.
                if sum >= bytes || (sum > 0 && text.len() > bytes) {
                    break;
                }
                sum += text.len();
                let (size, redacted, text) = (item.size, item.redacted, text.clone());
                taken.events.push(Given { size, redacted, text });
            }
            next = item.size.get() + 1;
        }
        follower.next = (next <= self.end.size).then_some(next);
        if follower.next.is_none() {
            taken.then = Then::Wait(self.end);
        }
        taken
    }
}

impl Seat {
    /// Waits until there may be something to take.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Takes the next events: a share of a stream at most, or one that is larger. Each exactly once, in
    /// order; what is redacted since it was read is for the caller to see. Looks at 256 at most.
    pub(crate) fn take(&self) -> Taken {
        self.feed.state().take(self.id, self.feed.shared.room.half_share())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        if let Some(follower) = state.followers.remove(&self.id) {
            state.index.remove(self.id, &follower.wanted);
        }
        if state.followers.is_empty() {
            self.feed.shared.left.notify_one();
        }
    }
}

/// The one reader at the live end. However it ends, those who follow it read on by themselves.
pub(crate) struct Feeder {
    feed: Feed,
    number: u64,
    place: Place,
}

impl Feeder {
    /// Reads each event as it becomes durable, until nobody follows, the ledger or the server ends, or
    /// an event cannot be read: each stream that comes to it says so by itself.
    pub(crate) async fn run(mut self, reader: Reader, closing: CancellationToken) {
        loop {
            select! {
                grown = reader.grown(self.place.size()) => if grown.is_none() { return },
                () = self.feed.shared.left.notified() => {
                    if self.feed.rest(self.number) {
                        return;
                    }
                    continue;
                }
                () = closing.cancelled() => return,
            }
            let (feed, number, place) = (self.feed.clone(), self.number, self.place.clone());
            let read = reader.run(move |reader| feed.read(number, place, reader));
            match read.await {
                Ok(place) => self.place = place,
                Err(error) => {
                    tracing::debug!(error = %error, "the streams read on by themselves");
                    return;
                }
            }
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.feed.stop(self.number);
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
