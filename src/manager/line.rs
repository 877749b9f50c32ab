//! News of the log on its way into an inbox: each once, in the order of the log.
//!
//! The thread that writes the log puts news in line when its event is published, so the line has
//! the order of the log. Several places feed it into the inbox: the task that it is about, the
//! reader of the inbox, the sender of later news. One at a time feeds, with no lock held while it
//! calls foreign code. Nothing here waits for a runtime, so nothing is lost when one goes away.
//!
//! Start reading at [`Line::feed`].

use super::{
    inbox::{InboxSender, Refused, Room},
    live::{Slot, Untold},
};
use crate::{
    ids::Seq,
    sync::{Mutex, MutexGuard, assert_no_lock_held},
};
use serde_json::Value;
use std::{collections::VecDeque, fmt, sync::PoisonError};
use tokio::sync::oneshot;

/// An event of the log for an owner.
pub(super) struct News {
    pub(super) seq: Seq,
    /// The message in the inbox, with its number.
    pub(super) message: Value,
    /// Keeps the inbox open until it is sent.
    pub(super) inbox: InboxSender,
    /// The place that was reserved for it, if there is one.
    pub(super) room: Option<Room>,
    /// Counts it until it is sent.
    pub(super) untold: Untold,
    /// The place of its task among those that run or wait to be told.
    pub(super) slot: Option<Slot>,
    /// Takes it back if the inbox is no longer read.
    pub(super) sender: Option<Box<dyn TakeBack>>,
}

/// A source of news that can send it to another inbox.
pub(super) trait TakeBack: Send {
    /// Called with no lock held, for news that was not sent.
    fn take_back(self: Box<Self>, seq: Seq);
}

/// The news that waits for room in one inbox.
#[derive(Default)]
pub(super) struct Line(Mutex<Waiting>);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(..)") // what is in it is not for logs
    }
}

#[derive(Default)]
struct Waiting {
    news: VecDeque<News>,
    /// The number of them that have a reserved place.
    rooms: usize,
    /// True while a thread feeds; true if another one came meanwhile.
    feeding: bool,
    again: bool,
    /// The callers that wait until all news that was in line when they came has been tried.
    tried: Vec<oneshot::Sender<()>>,
}

/// The result for the first news in line.
enum Fed {
    Told,
    NoRoom(News),
    /// The inbox is no longer read.
    Closed(News),
}

impl Line {
    /// Puts news in line, by its number.
    pub(super) fn push(&self, news: News) {
        let mut waiting = self.waiting();
        let place = waiting.news.iter().rposition(|before| before.seq <= news.seq);
        waiting.rooms += usize::from(news.room.is_some());
        waiting.news.insert(place.map_or(0, |place| place + 1), news);
    }

    /// Feeds the line into the inbox, as far as there is room; or leaves that to the thread that is
    /// feeding.
    pub(super) fn feed(&self) {
        let mut waiting = self.waiting();
        if std::mem::replace(&mut waiting.feeding, true) {
            waiting.again = true;
            return;
        }
        let mut refused = Vec::new();
        loop {
            waiting.again = false;
            let Some(first) = waiting.take_first() else { break };
            drop(waiting);
            let fed = first.feed();
            waiting = self.waiting();
            match fed {
                Fed::Told => {}
                Fed::Closed(news) => refused.push(news),
                Fed::NoRoom(news) => {
                    let more = waiting.put_first(news);
                    if !more && !waiting.again {
                        break;
                    }
                }
            }
        }
        waiting.feeding = false;
        let tried = std::mem::take(&mut waiting.tried);
        drop(waiting);
        assert_no_lock_held();
        refuse(refused);
        for tried in tried {
            let _ = tried.send(()); // it may have been dropped meanwhile
        }
    }

    /// Feeds. If another thread is feeding, waits until it has tried all news now in line.
    pub(super) async fn settle(&self) {
        let tried = {
            let mut waiting = self.waiting();
            waiting.feeding.then(|| {
                let (tried, is_tried) = oneshot::channel();
                waiting.again = true;
                waiting.tried.push(tried);
                is_tried
            })
        };
        match tried {
            Some(tried) => drop(tried.await),
            None => self.feed(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take_first(&mut self) -> Option<News> {
        let first = self.news.pop_front()?;
        self.rooms -= usize::from(first.room.is_some());
        Some(first)
    }

    /// Puts it back, with the place that later news has: the first is sent first. Returns true if
    /// there is such a place.
    fn put_first(&mut self, mut news: News) -> bool {
        if self.rooms > 0 {
            news.room = self.news.iter_mut().find_map(|behind| behind.room.take());
        }
        let has_room = news.room.is_some();
        self.news.push_front(news);
        has_room
    }
}

impl News {
    fn feed(mut self) -> Fed {
        if self.inbox.is_closed() {
            return Fed::Closed(self);
        }
        let room = match self.room.take() {
            Some(room) => Ok(room),
            None => self.inbox.try_reserve(),
        };
        match room {
            Ok(room) => {
                let Self { message, untold, slot, .. } = self;
                drop((untold, slot)); // whoever is told finds it told
                room.fill(message);
                Fed::Told
            }
            Err(Refused::Full) => Fed::NoRoom(self),
            Err(Refused::Closed) => Fed::Closed(self),
        }
    }
}

/// The inbox of these is no longer read. News that can go to another inbox is taken back, except
/// the first, by which the fallback learns that the inbox is closed.
fn refuse(refused: Vec<News>) {
    let mut back = Vec::new();
    for News { seq, message, inbox, untold, slot, sender, .. } in refused {
        let known = sender.is_some() && !back.is_empty();
        if !known && inbox.tell_closed(&message) {
            if sender.is_some() {
                back.push(None);
            }
            continue;
        }
        if let Some(sender) = sender {
            back.push(Some((sender, seq)));
        } else {
            tracing::warn!(%seq, "news for an inbox that nobody reads");
            untold.for_good();
        }
        drop(slot);
    }
    back.into_iter().flatten().for_each(|(sender, seq)| sender.take_back(seq));
}
