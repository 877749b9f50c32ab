//! The places of connections at a door.
//!
//! Until it has sent a request that is let in, a connection is a stranger, and gives way: where every
//! place is taken, a new connection gets that of the oldest stranger, of the addresses that have the most
//! of them. So connections that say nothing keep nobody out, and a flood from one address pushes out its
//! own. One that was let in keeps its place, and counts against the share of its token.

use crate::rooms::{Met, Room, Taken, Token};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Connections that are being told that there is no room for them.
const REFUSED_MAX: usize = 32;
/// Connections that have given way and are not closed yet.
const LEAVING_MAX: usize = 32;

/// The places of one door.
#[derive(Debug)]
pub(crate) struct Places {
    room: Room,
    refused: Room,
    leaving: Room,
    strangers: Mutex<Strangers>,
}

#[derive(Debug, Default)]
struct Strangers {
    /// Of each address, or of the socket, by their age.
    of: BTreeMap<Option<IpAddr>, BTreeMap<u64, Weak<Place>>>,
    next: u64,
}

/// The place of a connection, until it is closed.
#[derive(Debug, Clone)]
pub(crate) struct Slot(Arc<Place>);

#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
    number: u64,
    held: Mutex<Held>,
    gave_way: CancellationToken,
}

#[derive(Debug)]
struct Held {
    taken: Taken,
    owner: Owner,
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Stranger,
    /// A process at the socket, or the holder of a token.
    Client(Option<Token>),
    /// A stream, which has a place among those instead.
    Stream,
}

impl Places {
    pub(crate) fn new(name: &'static str, max: usize, share_percent: usize) -> Arc<Self> {
        let room = Room::new(name, max, share_percent);
        let refused = Room::new("refused", REFUSED_MAX, 100);
        let leaving = Room::new("leaving", LEAVING_MAX, 100);
        Arc::new(Self { room, refused, leaving, strangers: Mutex::default() })
    }

    /// A place for a new connection. Waits until it is closed whose place it gets, if too many are
    /// about to be: meanwhile others wait to be accepted, and none is lost.
    pub(crate) async fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Slot, Met> {
        let taken = match self.room.take(None, 1) {
            Ok(taken) => taken,
            Err(met) => self.make_way().await.ok_or(met)?,
        };
        let mut strangers = self.strangers();
        let number = strangers.next;
        strangers.next += 1;
        let place = Arc::new(Place {
            places: Arc::clone(self),
            address,
            number,
            held: Mutex::new(Held { taken, owner: Owner::Stranger }),
            gave_way: CancellationToken::new(),
        });
        strangers.of.entry(address).or_default().insert(number, Arc::downgrade(&place));
        Ok(Slot(place))
    }

    /// Room to tell a connection that there is none for it; none if too many are told.
    pub(crate) fn refuse(&self) -> Option<Taken> {
        self.refused.take(None, 1).ok()
    }

    /// The place of a stranger, which is cut.
    async fn make_way(&self) -> Option<Taken> {
        let leaving = self.leaving.wait(None).await;
        let stranger = self.strangers().oldest()?;
        stranger.gave_way.cancel();
        Some(mem::replace(&mut stranger.held().taken, leaving))
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strangers {
    /// Takes out the oldest one of the addresses that have the most. O(addresses).
    fn oldest(&mut self) -> Option<Arc<Place>> {
        loop {
            let firsts = self.of.iter().filter_map(|(address, places)| {
                let (number, place) = places.first_key_value()?;
                Some(((places.len(), Reverse(*number)), *address, place))
            });
            let ((_, Reverse(number)), address, place) = firsts.max_by_key(|(by, ..)| *by)?;
            let place = place.upgrade();
            self.remove(address, number);
            if place.is_some() {
                return place;
            }
        }
    }

    /// False if it was not there any more.
    fn remove(&mut self, address: Option<IpAddr>, number: u64) -> bool {
        let Some(places) = self.of.get_mut(&address) else { return false };
        let was_there = places.remove(&number).is_some();
        if places.is_empty() {
            self.of.remove(&address);
        }
        was_there
    }
}

impl Slot {
    /// Says that a request was let in: from now on the connection is that of this token.
    ///
    /// # Errors
    /// [`Met`] if the token has its share of connections, or if this one has just given way.
    pub(crate) fn belongs_to(&self, token: Option<&Token>) -> Result<(), Met> {
        let places = &self.0.places;
        let mut held = self.0.held();
        let owner = Owner::Client(token.cloned());
        if held.owner == owner || held.owner == Owner::Stream {
            return Ok(());
        }
        if let Some(token) = token {
            places.room.charge(&mut held.taken, token)?;
        }
        let was_stranger = held.owner == Owner::Stranger;
        if was_stranger && !places.strangers().remove(self.0.address, self.0.number) {
            held.taken.uncharge(); // it is the place of another one, or about to be
            return Err(places.room.limit());
        }
        held.owner = owner;
        Ok(())
    }

    /// Changes the place for another one: the connection counts as a stream from now on. It does so
    /// when the stream has ended too, for as long as its client takes the rest.
    pub(crate) fn change(&self, place: Taken) {
        *self.0.held() = Held { taken: place, owner: Owner::Stream };
    }

    /// The name of the limit that it counts against.
    pub(crate) fn limit(&self) -> &'static str {
        self.0.places.room.limit().name
    }

    /// Ends when the connection has given its place away, and is to be cut.
    pub(crate) fn gave_way(&self) -> WaitForCancellationFuture<'_> {
        self.0.gave_way.cancelled()
    }
}

impl Place {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.strangers().remove(self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, pin::pin, time::Duration};
    use tokio::time::timeout;

    const ONE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

    fn cut(slot: &Slot) -> bool {
        slot.0.gave_way.is_cancelled()
    }

    async fn many(places: &Arc<Places>, address: Option<IpAddr>, count: usize) -> Vec<Slot> {
        let mut slots = Vec::new();
        for _ in 0..count {
            slots.push(places.take(address).await.unwrap());
        }
        slots
    }

    #[tokio::test]
    async fn a_new_connection_gets_the_place_of_the_oldest_stranger_of_the_address_with_the_most() {
        let places = Places::new("connections_max", 5, 50);
        let quiet = places.take(OTHER).await.unwrap();
        let loud = many(&places, ONE, 4).await;
        let more = many(&places, ONE, 9).await;
        assert!(!cut(&quiet));
        assert!(loud.iter().all(cut) && more.iter().take(5).all(cut));
        assert!(!more.iter().skip(5).any(cut));
        drop((loud, more));
        assert_eq!(places.strangers().of.len(), 1);
    }

    #[tokio::test]
    async fn of_addresses_that_have_as_many_the_oldest_stranger_gives_way() {
        let places = Places::new("connections_max", 5, 50);
        let take = |last| places.take(Some(IpAddr::from([10, 0, 0, last])));
        let mut flood = Vec::new();
        for last in 1..=4 {
            flood.push(take(last).await.unwrap());
        }
        let highest = take(255).await.unwrap();
        for last in 5..=8 {
            flood.push(take(last).await.unwrap());
        }
        assert!(flood.iter().take(4).all(cut) && !cut(&highest));
        assert!(!flood.iter().skip(4).any(cut));
        flood.push(take(9).await.unwrap());
        assert!(cut(&highest), "it is the oldest one now");
    }

    #[tokio::test]
    async fn a_connection_that_was_let_in_gives_way_to_nobody() {
        let places = Places::new("connections_max", 4, 50);
        let [one, other] = ["one", "other"].map(Token::from);
        let take = async |token: &Token| {
            let slot = places.take(ONE).await.unwrap();
            slot.belongs_to(Some(token)).map(|()| slot)
        };
        let known = [take(&one).await.unwrap(), take(&one).await.unwrap()];
        assert_eq!(take(&one).await.unwrap_err().share, Some(2));
        let others = [take(&other).await.unwrap(), take(&other).await.unwrap()];
        assert_eq!(places.take(ONE).await.unwrap_err(), places.room.limit());
        assert!(!known.iter().chain(&others).any(cut));
        // Its next request may have another token.
        assert_eq!(known[0].belongs_to(Some(&one)), Ok(()));
        assert!(known[0].belongs_to(Some(&other)).is_err());
        drop(others);
        assert_eq!(known[0].belongs_to(Some(&other)), Ok(()));
        assert!(take(&one).await.is_ok());
    }

    #[tokio::test]
    async fn one_that_has_given_way_is_let_in_no_more() {
        let places = Places::new("connections_max", 1, 50);
        let first = places.take(None).await.unwrap();
        let second = places.take(None).await.unwrap();
        assert!(cut(&first) && first.belongs_to(None).is_err());
        second.belongs_to(None).unwrap();
        assert!(places.take(None).await.is_err());
        second.change(Taken::default());
        places.take(None).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_is_let_in_while_it_gives_way_takes_nothing_of_its_share() {
        let places = Places::new("connections_max", 2, 50);
        let one = Token::from("one");
        let slot = places.take(ONE).await.unwrap();
        let _ = places.strangers().oldest().unwrap();
        assert!(slot.belongs_to(Some(&one)).is_err());
        assert_eq!(places.room.full(Some(&one)), None);
    }

    #[test]
    fn those_that_are_told_that_there_is_no_room_are_bounded() {
        let places = Places::new("connections_max", 1, 50);
        let told: Vec<_> = (0..REFUSED_MAX).map(|_| places.refuse().unwrap()).collect();
        assert!(places.refuse().is_none());
        drop(told);
        assert!(places.refuse().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_not_closed_yet_are_bounded_and_the_next_one_waits() {
        let places = Places::new("connections_max", 1, 50);
        let mut first = many(&places, None, LEAVING_MAX + 1).await;
        let mut next = pin!(places.take(None));
        assert!(timeout(Duration::from_secs(9), &mut next).await.is_err());
        drop(first.remove(0));
        next.await.unwrap();
    }
}
