//! The room of a door: turns, streams, bytes, and the share of it that one token may take.
//!
//! A unit that is taken counts twice, against what the door has and against the share of the token.
//! As one share is less than the whole, a token that takes all it can leaves room for others. Knows
//! nothing of requests. Start at [`Room`].

use crate::problem::Problem;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The name of a token, or of a node that has none. Processes at the socket have none, and no shares: they are of one user.
pub(crate) type Token = Arc<str>;

/// So many units of something, for one door.
#[derive(Debug)]
pub(crate) struct Room {
    name: &'static str,
    max: usize,
    /// The most that one token may take.
    share: usize,
    free: Arc<Semaphore>,
    /// Of tokens that have taken some, or wait for some.
    shares: Mutex<BTreeMap<Token, Weak<Semaphore>>>,
}

/// Units that were taken, until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    share: Option<OwnedSemaphorePermit>,
    of_all: Option<OwnedSemaphorePermit>,
}

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit {name} is {max}")]
pub(crate) struct Met {
    pub(crate) name: &'static str,
    pub(crate) max: usize,
    /// The share of one token, if that was met.
    pub(crate) share: Option<usize>,
}

impl Met {
    /// The refusal that names the limit, and the share if that was met.
    pub(crate) fn refuse(self, what: &str) -> Problem {
        let Self { name, max, share } = self;
        let Some(share) = share else { return Problem::limit(name, max, what) };
        let what = format!("{what}: by share_percent one token may have {share} of them");
        Problem::limit(name, max, &what).with("share", share)
    }
}

impl Room {
    pub(crate) fn new(name: &'static str, max: usize, share_percent: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let share = max.saturating_mul(share_percent.min(100)) / 100;
        let (free, shares) = (Arc::new(Semaphore::new(max)), Mutex::default());
        Self { name, max, share: share.max(1), free, shares }
    }

    /// Takes so many units at once, or none.
    pub(crate) fn take(&self, token: Option<&Token>, units: usize) -> Result<Taken, Met> {
        let share = token.map(|token| self.take_share(token, units)).transpose()?;
        let units = u32::try_from(units).map_err(|_| self.limit())?;
        let of_all = Arc::clone(&self.free).try_acquire_many_owned(units);
        Ok(Taken { share, of_all: Some(of_all.map_err(|_| self.limit())?) })
    }

    /// The most that one who asks may have.
    pub(crate) fn most(&self, token: Option<&Token>) -> usize {
        if token.is_some() { self.share } else { self.max }
    }

    /// Waits for one unit, as [`wait_for`](Self::wait_for) does.
    pub(crate) async fn wait(&self, token: Option<&Token>) -> Taken {
        self.wait_for(token, 1).await
    }

    /// Waits for so many units, at most [`most`](Self::most). Those of others do not matter to a token
    /// that has its whole share.
    ///
    /// # Cancel safety
    /// Cancel safe: a place in the queue is lost.
    pub(crate) async fn wait_for(&self, token: Option<&Token>, units: usize) -> Taken {
        let units = u32::try_from(units.min(self.most(token))).unwrap_or(u32::MAX);
        // The semaphores are never closed.
        let share = match token {
            Some(token) => self.share_of(token).acquire_many_owned(units).await.ok(),
            None => None,
        };
        let of_all = Arc::clone(&self.free).acquire_many_owned(units).await.ok();
        Taken { share, of_all }
    }

    /// The units that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }

    /// The limit of the door.
    pub(crate) fn limit(&self) -> Met {
        self.met(false)
    }

    /// The limit that one who asks now would meet; `None` if there is room.
    pub(crate) fn full(&self, token: Option<&Token>) -> Option<Met> {
        let free = |room: &Semaphore| room.available_permits() > 0;
        if token.is_some_and(|token| !free(&self.share_of(token))) {
            return Some(self.met(true));
        }
        (!free(&self.free)).then(|| self.limit())
    }

    /// Counts what was taken without a token against the share of one, and of no other any more.
    pub(crate) fn charge(&self, held: &mut Taken, token: &Token) -> Result<(), Met> {
        let share = self.take_share(token, 1)?;
        held.share = Some(share);
        Ok(())
    }

    fn take_share(&self, token: &Token, units: usize) -> Result<OwnedSemaphorePermit, Met> {
        let units = u32::try_from(units).map_err(|_| self.met(true))?;
        self.share_of(token).try_acquire_many_owned(units).map_err(|_| self.met(true))
    }

    fn share_of(&self, token: &Token) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(token).and_then(Weak::upgrade) {
            return share;
        }
        // As many as there are tokens at work, and no more.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(Arc::clone(token), Arc::downgrade(&share));
        share
    }

    fn met(&self, share: bool) -> Met {
        Met { name: self.name, max: self.max, share: share.then_some(self.share) }
    }
}

impl Taken {
    /// Counts it against the share of nobody any more.
    pub(crate) fn uncharge(&mut self) {
        self.share = None;
    }

    /// Adds what was taken of the same room for the same token.
    pub(crate) fn add(&mut self, more: Self) {
        let add = |to: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>| match (
            to.as_mut(),
            more,
        ) {
            (Some(to), Some(more)) => to.merge(more),
            (None, more) => *to = more,
            (Some(_), None) => {}
        };
        add(&mut self.share, more.share);
        add(&mut self.of_all, more.of_all);
    }

    /// The units that it holds.
    pub(crate) fn units(&self) -> usize {
        self.of_all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Gives back all but so many units.
    pub(crate) fn keep(&mut self, units: usize) {
        for held in [&mut self.share, &mut self.of_all].into_iter().flatten() {
            drop(held.split(held.num_permits().saturating_sub(units)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> [Token; 2] {
        ["one", "other"].map(Token::from)
    }

    #[test]
    fn a_token_that_takes_all_it_can_leaves_room_for_another_one() {
        let room = Room::new("things_max", 10, 50);
        let [one, other] = tokens();
        let mut held: Vec<Taken> = (0..5).map(|_| room.take(Some(&one), 1).unwrap()).collect();
        let met = room.take(Some(&one), 1).unwrap_err();
        assert_eq!(met, Met { name: "things_max", max: 10, share: Some(5) });
        assert_eq!(room.full(Some(&one)), Some(met));
        assert_eq!(room.full(Some(&other)), None);
        held.push(room.take(Some(&other), 5).unwrap());
        let met = Met { name: "things_max", max: 10, share: None };
        assert_eq!(room.take(None, 1).unwrap_err(), met);
        drop(held);
        room.take(None, 10).unwrap();
        assert_eq!(room.free.available_permits(), 10);
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let room = Room::new("bytes_max", 10, 50);
        let [one, other] = tokens();
        let held = room.take(Some(&other), 5).unwrap();
        assert!(room.take(Some(&one), 6).is_err());
        let rest = room.take(None, 3).unwrap();
        assert!(room.take(Some(&one), 3).is_err(), "the door has no more");
        drop((held, rest));
        room.take(Some(&one), 5).unwrap();
    }

    #[test]
    fn units_are_added_and_given_back_together() {
        let room = Room::new("bytes_max", 10, 50);
        let [one, other] = tokens();
        let mut held = room.take(Some(&one), 2).unwrap();
        held.add(room.take(Some(&one), 3).unwrap());
        assert_eq!(room.take(Some(&one), 1).unwrap_err().share, Some(5));
        held.keep(1);
        assert_eq!((held.units(), room.taken()), (1, 1));
        drop(room.take(Some(&one), 4).unwrap());
        drop(held);
        let mut held = room.take(None, 1).unwrap();
        room.charge(&mut held, &one).unwrap();
        room.charge(&mut held, &other).unwrap();
        assert!(room.take(Some(&one), 5).is_ok(), "what is charged to another one is its no more");
        drop(held);
        let shares = room.shares.lock().unwrap();
        assert!(shares.values().all(|share| share.upgrade().is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_waits_for_its_own_share_and_keeps_nobody_else_waiting() {
        let room = Room::new("turns_max", 4, 50);
        let [one, other] = tokens();
        let held = [room.wait(Some(&one)).await, room.wait(Some(&one)).await];
        let mut third = std::pin::pin!(room.wait(Some(&one)));
        assert!(tokio::time::timeout(std::time::Duration::from_secs(9), &mut third).await.is_err());
        let others = [room.wait(Some(&other)).await, room.wait(Some(&other)).await];
        drop(held);
        third.await;
        drop(others);
    }
}
