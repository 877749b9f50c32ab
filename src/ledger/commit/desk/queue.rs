//! The queue of the desk: waiting requests, the writer, the sync, and the sleeping threads.
//!
//! Plain data under the desk's lock: nothing here waits or wakes a thread. Start reading at
//! [`Queue::ready`], which says what could be done now.

use super::super::{
    request::{Alone, Append, Reply, Request},
    writer::Writer,
};
use crate::{
    ids::Head,
    ledger::{AppendError, PromiseError, PurgeError, Role, TakeOverError},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(super) struct Queue {
    /// The requests, in the order in which they came.
    waiting: VecDeque<Request>,
    /// The number of them that are no appends.
    jobs: usize,
    appends_max: usize,
    jobs_max: usize,
    /// The role of the ledger.
    pub(super) role: Role,
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

/// The reason that a request was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The ledger is halted or closed.
    Ended,
    /// The most requests wait already.
    Full { max: usize },
}

impl From<NotTaken> for AppendError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Ended => Self::Halted,
            NotTaken::Full { max } => Self::Busy { max },
        }
    }
}

impl From<NotTaken> for PurgeError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Ended => Self::Halted,
            NotTaken::Full { max } => Self::Busy { max },
        }
    }
}

impl From<NotTaken> for PromiseError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Ended => Self::Halted,
            NotTaken::Full { max } => Self::Busy { max },
        }
    }
}

impl From<NotTaken> for TakeOverError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Ended => Self::Halted,
            NotTaken::Full { max } => Self::Busy { max },
        }
    }
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
    /// A close waits, after all earlier requests. Only another close is taken.
    Closing,
    /// Every handle is dropped: waiting requests are done, and no more will come.
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
    /// Leave for good: both are there.
    Leave,
}

/// The threads to wake; each appears once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wakeups {
    pub(super) gatherer: bool,
    pub(super) idle: bool,
}

impl Queue {
    pub(super) fn new(writer: Writer, role: Role, interval: Option<Duration>) -> Self {
        Self {
            waiting: VecDeque::new(),
            jobs: 0,
            appends_max: writer.options().queue_requests_max,
            jobs_max: writer.options().queue_jobs_max,
            role,
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

    pub(super) fn check_open(&self) -> Result<(), NotTaken> {
        match self.service {
            Service::Open | Service::Draining => Ok(()),
            Service::Closing | Service::Ended => Err(NotTaken::Ended),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues an append, unless too many wait.
    pub(super) fn push_append(&mut self, append: Append) -> Result<(), NotTaken> {
        if self.waiting.len() - self.jobs >= self.appends_max {
            return Err(NotTaken::Full { max: self.appends_max });
        }
        self.waiting.push_back(Request::Append(append));
        Ok(())
    }

    /// Queues a request other than an append, after all waiting ones, unless too many of its kind wait.
    pub(super) fn push_job(&mut self, job: Request) -> Result<(), NotTaken> {
        if self.jobs >= self.jobs_max {
            return Err(NotTaken::Full { max: self.jobs_max });
        }
        self.jobs += 1;
        self.waiting.push_back(job);
        Ok(())
    }

    /// Queues a close. The first one is always taken.
    pub(super) fn push_close(&mut self, close: Alone) -> Result<(), NotTaken> {
        match self.service {
            Service::Open | Service::Draining => self.service = Service::Closing,
            Service::Closing if self.jobs <= self.jobs_max => {}
            Service::Closing => return Err(NotTaken::Full { max: self.jobs_max }),
            Service::Ended => return Err(NotTaken::Ended),
        }
        self.jobs += 1;
        self.waiting.push_back(Request::Alone(close));
        Ok(())
    }

    pub(super) fn next_is_append(&self) -> bool {
        matches!(self.waiting.front(), Some(Request::Append(_)))
    }

    /// The appends at the front of the queue.
    pub(super) fn appends(&self) -> impl Iterator<Item = &Append> {
        self.waiting.iter().map_while(|request| match request {
            Request::Append(append) => Some(append),
            Request::Sync(_) | Request::Alone(_) => None,
        })
    }

    /// Takes the append at the front of the queue.
    fn pop_append(&mut self) -> Option<Append> {
        match self.waiting.pop_front()? {
            Request::Append(append) => Some(append),
            job @ (Request::Sync(_) | Request::Alone(_)) => {
                self.waiting.push_front(job);
                None
            }
        }
    }

    /// Takes the request at the front of the queue if it needs writer and sync.
    pub(super) fn pop_alone(&mut self) -> Option<Alone> {
        match self.waiting.pop_front()? {
            Request::Alone(alone) => {
                self.jobs -= 1;
                Some(alone)
            }
            other @ (Request::Append(_) | Request::Sync(_)) => {
                self.waiting.push_front(other);
                None
            }
        }
    }

    /// Takes the appends at the front of the queue: as many as begin within so many events.
    pub(super) fn take_appends(&mut self, room: usize) -> VecDeque<Append> {
        let (mut taken, mut events) = (VecDeque::new(), 0);
        while events < room
            && let Some(append) = self.pop_append()
        {
            events += append.events();
            taken.push_back(append);
        }
        taken
    }

    /// Returns the appends that were taken and found no room.
    pub(super) fn put_back(&mut self, appends: VecDeque<Append>) {
        let requests = appends.into_iter().rev().map(Request::Append);
        requests.for_each(|request| self.waiting.push_front(request));
    }

    /// The job that a thread could do now.
    pub(super) fn ready(&self) -> Option<Ready> {
        let (writer, may_sync) = (self.writer.is_some(), !self.sync_taken);
        let asked = match self.waiting.front() {
            Some(Request::Append(_)) => writer.then_some(Ready::Write),
            Some(Request::Sync(_)) => may_sync.then_some(Ready::Sync),
            Some(Request::Alone(_)) => (writer && may_sync).then_some(Ready::Alone),
            None if self.service == Service::Draining => {
                (writer && may_sync).then_some(Ready::Leave)
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
            Request::Sync(reply) => {
                self.jobs -= 1;
                Some(reply)
            }
            other @ (Request::Append(_) | Request::Alone(_)) => {
                self.waiting.push_front(other);
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

    /// Changes the role, and returns the waiting requests that a ledger of the new one does not take,
    /// each with the reason.
    pub(super) fn change_role(&mut self, role: Role) -> Vec<(Request, AppendError)> {
        self.role = role;
        let mut refused = Vec::new();
        for request in std::mem::take(&mut self.waiting) {
            match request.check(role) {
                Ok(()) => self.waiting.push_back(request),
                Err(error) => {
                    self.jobs -= usize::from(!matches!(request, Request::Append(_)));
                    refused.push((request, error));
                }
            }
        }
        refused
    }

    /// Ends all work, and returns the requests left in the queue.
    pub(super) fn end(&mut self) -> VecDeque<Request> {
        self.service = Service::Ended;
        self.jobs = 0;
        std::mem::take(&mut self.waiting)
    }
}
