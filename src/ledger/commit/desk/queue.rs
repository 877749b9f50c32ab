//! The queue of the desk: waiting requests, the writer, the sync, and the sleeping threads.
//!
//! Plain data under the desk's lock: nothing here waits or wakes a thread. Start reading at
//! [`Queue::ready`], which says what could be done now.

use super::super::{
    request::{Reply, Request},
    writer::Writer,
};
use crate::{ids::Head, ledger::AppendError};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Request>,
    requests_max: usize,
    /// `None` while a thread decides and writes.
    pub(super) writer: Option<Box<Writer>>,
    /// True while a thread syncs, or answers the appends that it has synced.
    pub(super) sync_taken: bool,
    /// The interval of syncs; `None` if each group is synced before it is answered.
    interval: Option<Duration>,
    /// The time since which written groups are not synced, with an interval.
    unsynced_since: Option<Instant>,
    pub(super) gathering: Gathering,
    /// The number of idle threads, and whether one of them was woken.
    idle: usize,
    called: bool,
    pub(super) service: Service,
}

/// The reason that the thread with the writer sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathering {
    /// It does not sleep.
    Awake,
    /// It waits for more appends, or for the device.
    Hungry,
    /// It waits for the device: the group has no room for more.
    Full,
}

/// The state of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Open,
    /// It does the waiting requests; no more will come.
    Draining,
    /// It does nothing any more.
    Ended,
}

/// A job that a thread could do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// Write the waiting appends: the writer is there.
    Write,
    /// Sync, because a caller asks or the interval is over: the device is free.
    Sync,
    /// A request other than an append, or the end: writer and device are free.
    Alone,
}

/// The threads to wake; each appears once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wakeups {
    pub(super) gatherer: bool,
    pub(super) idle: bool,
}

impl Queue {
    pub(super) fn new(writer: Writer, interval: Option<Duration>) -> Self {
        Self {
            waiting: VecDeque::new(),
            requests_max: writer.options().queue_requests_max,
            writer: Some(Box::new(writer)),
            sync_taken: false,
            interval,
            unsynced_since: None,
            gathering: Gathering::Awake,
            idle: 0,
            called: false,
            service: Service::Open,
        }
    }

    pub(super) fn check_open(&self) -> Result<(), AppendError> {
        if self.service == Service::Ended { Err(AppendError::Halted) } else { Ok(()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues an append, unless too many requests wait.
    pub(super) fn push_append(&mut self, append: Request) -> Result<(), AppendError> {
        if self.waiting.len() >= self.requests_max {
            return Err(AppendError::Busy { max: self.requests_max });
        }
        self.waiting.push_back(append);
        Ok(())
    }

    /// Queues a request other than an append, without a limit.
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    pub(super) fn pop(&mut self) -> Option<Request> {
        self.waiting.pop_front()
    }

    pub(super) fn next_is_append(&self) -> bool {
        self.waiting.front().is_some_and(|request| request.events().is_some())
    }

    /// The appends at the front of the queue.
    pub(super) fn appends(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter().take_while(|request| request.events().is_some())
    }

    /// The appends at the front of the queue: as many as begin within so many events.
    pub(super) fn take_appends(&mut self, room: usize) -> VecDeque<Request> {
        let (mut events, mut count) = (0, 0);
        for more in self.waiting.iter().map_while(Request::events) {
            if events >= room {
                break;
            }
            events += more;
            count += 1;
        }
        self.waiting.drain(..count).collect()
    }

    /// Returns the appends that were taken and found no room.
    pub(super) fn put_back(&mut self, requests: VecDeque<Request>) {
        requests.into_iter().rev().for_each(|request| self.waiting.push_front(request));
    }

    /// The job that a thread could do now.
    pub(super) fn ready(&self) -> Option<Ready> {
        let (writer, may_sync) = (self.writer.is_some(), !self.sync_taken);
        let asked = match self.waiting.front() {
            Some(Request::Append { .. }) => writer.then_some(Ready::Write),
            Some(Request::Sync { .. }) => may_sync.then_some(Ready::Sync),
            Some(Request::Ingest { .. } | Request::Erase { .. } | Request::Close { .. }) => {
                (writer && may_sync).then_some(Ready::Alone)
            }
            None if self.service == Service::Draining => {
                (writer && may_sync).then_some(Ready::Alone)
            }
            None => None,
        };
        let due = || (self.time_to_sync() == Some(Duration::ZERO)).then_some(Ready::Sync);
        asked.or_else(due)
    }

    /// The time until the interval is over; `None` if there is nothing to sync, or a sync is in
    /// progress.
    pub(super) fn time_to_sync(&self) -> Option<Duration> {
        let since = self.unsynced_since.filter(|_| !self.sync_taken)?;
        Some(self.interval?.saturating_sub(since.elapsed()))
    }

    /// Takes the right to sync; groups written from here on belong to the next sync. Returns the
    /// reply of the caller that asked for it, if one did.
    pub(super) fn begin_sync(&mut self) -> Option<Reply<Head>> {
        self.unsynced_since = None;
        self.sync_taken = true;
        match self.waiting.pop_front()? {
            Request::Sync { reply } => Some(reply),
            append_or_alone @ (Request::Append { .. }
            | Request::Ingest { .. }
            | Request::Erase { .. }
            | Request::Close { .. }) => {
                self.waiting.push_front(append_or_alone);
                None
            }
        }
    }

    /// Notes that a group was written, and says whether an interval begins with it.
    pub(super) fn note_written(&mut self) -> bool {
        let begins = self.interval.is_some() && self.unsynced_since.is_none();
        if begins {
            self.unsynced_since = Some(Instant::now());
        }
        begins
    }

    pub(super) fn fall_asleep(&mut self) {
        self.idle += 1;
    }

    pub(super) fn wake_up(&mut self) {
        self.idle -= 1;
        self.called = false;
    }

    /// The sleeping threads that could act now; with `clock`, also one to wait for the end of an
    /// interval. Each appears once.
    pub(super) fn wakeups(&mut self, clock: bool) -> Wakeups {
        let gatherer = match self.gathering {
            Gathering::Awake => false,
            Gathering::Hungry => self.next_is_append() || !self.sync_taken,
            Gathering::Full => !self.sync_taken,
        };
        let idle = self.idle > 0 && !self.called && (clock || self.ready().is_some());
        if gatherer {
            self.gathering = Gathering::Awake;
        }
        self.called |= idle;
        Wakeups { gatherer, idle }
    }

    /// Ends all work, and returns the requests left in the queue.
    pub(super) fn end(&mut self) -> VecDeque<Request> {
        self.service = Service::Ended;
        std::mem::take(&mut self.waiting)
    }
}
