//! Where appends wait, and whose turn it is.
//!
//! There is one [`Writer`]: whoever holds it decides and writes. There is one device: whoever holds
//! that syncs and answers. Two threads of the ledger take turns at both, so that the next group is
//! decided and encoded while the last one is synced. There is no delay window: a group is what came
//! until the device was free. A caller that finds nobody at work takes the turn itself where it may,
//! and no thread has to be woken for it.
//!
//! Knows neither rules nor files. Start reading at [`Desk::append`], then [`Desk::work`].

use super::{
    AppendError, Durability,
    request::Request,
    shared::Shared,
    writer::{Group, Writer},
};
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// Threads that take turns: one at the device, one that gathers.
pub(super) const THREADS: usize = 2;

/// Groups that a caller writes for others behind its own, before it calls a thread for the rest.
const GROUPS_FOR_OTHERS: usize = 2;

/// Who asks for an append, and so what may be done on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Its thread would do nothing but wait.
    Blocks,
    /// Its thread has other tasks to run: it never waits for a device.
    Awaits,
}

/// The one place that every append passes.
#[derive(Debug)]
pub(super) struct Desk {
    lines: Mutex<Lines>,
    /// Idle threads sleep here.
    called: Condvar,
    /// Whoever holds the writer sleeps here until there is more to decide, or the device is free.
    gatherer: Condvar,
    shared: Arc<Shared>,
    requests_max: usize,
    /// How often the device is synced; `None` if each group is, before it is answered.
    interval: Option<Duration>,
}

#[derive(Debug)]
struct Lines {
    waiting: VecDeque<Request>,
    /// `None` while somebody decides and writes.
    writer: Option<Box<Writer>>,
    /// Somebody syncs, or answers what it has synced.
    device_taken: bool,
    gathering: Gathering,
    /// Threads that sleep because there is nothing to do, and whether one of them was called.
    idle: usize,
    calling: bool,
    /// Since when something is written that no sync has covered, with an interval.
    unsynced_since: Option<Instant>,
    /// Nobody can ask any more.
    deserted: bool,
    /// Nothing is served any more.
    ended: bool,
}

/// What whoever holds the writer sleeps for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathering {
    /// It does not sleep.
    Awake,
    /// For more, or for the device.
    Hungry,
    /// For the device: the group has no room for more.
    Full,
}

/// What a thread does next.
enum Job<'a> {
    /// Write what waits.
    Write(Turn<'a>),
    /// Something that is no append, with nobody else at work.
    Alone(Turn<'a>, Request),
    /// Sync what the interval has left.
    Sync(Turn<'a>),
    /// Everybody has gone: sync, and let go of the files.
    Leave(Turn<'a>),
}

impl Desk {
    pub(super) fn new(writer: Writer, shared: Arc<Shared>) -> Self {
        let options = writer.options();
        let requests_max = options.queue_requests_max;
        let interval = match options.durability {
            Durability::Synced => None,
            Durability::Interval(every) => Some(every),
        };
        let lines = Lines {
            waiting: VecDeque::new(),
            writer: Some(Box::new(writer)),
            device_taken: false,
            gathering: Gathering::Awake,
            idle: 0,
            calling: false,
            unsynced_since: None,
            deserted: false,
            ended: false,
        };
        Self {
            lines: Mutex::new(lines),
            called: Condvar::new(),
            gatherer: Condvar::new(),
            shared,
            requests_max,
            interval,
        }
    }

    /// Sees to an append: here and now if that is allowed, or by a thread. Either way its reply is
    /// answered.
    pub(super) fn append(&self, request: Request, caller: Caller) -> Result<(), AppendError> {
        let mut lines = self.lines();
        if lines.ended {
            return Err(AppendError::Halted);
        }
        if self.may_write_here(&lines, &request, caller) {
            let turn = self.turn(&mut lines, self.interval.is_none());
            drop(lines);
            self.write(turn, Some(request), GROUPS_FOR_OTHERS);
            return Ok(());
        }
        if lines.waiting.len() >= self.requests_max {
            return Err(AppendError::Busy { max: self.requests_max });
        }
        lines.waiting.push_back(request);
        self.call(lines, false);
        Ok(())
    }

    /// Queues what is no append, behind all that waits.
    pub(super) fn ask(&self, request: Request) -> Result<(), AppendError> {
        let mut lines = self.lines();
        if lines.ended {
            return Err(AppendError::Halted);
        }
        lines.waiting.push_back(request);
        self.call(lines, false);
        Ok(())
    }

    /// Nobody will ask any more: the threads end when all that waits is done.
    pub(super) fn desert(&self) {
        self.lines().deserted = true;
        self.called.notify_all();
    }

    /// What each thread of the ledger does until there is nothing left to do.
    pub(super) fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(turn) => self.write(turn, None, 0),
                Job::Alone(mut turn, request) => {
                    if turn.writer().serve(request).is_break() {
                        self.end();
                    }
                    turn.give_back();
                }
                Job::Sync(turn) => {
                    // A failure halts the ledger; whoever appends next is told.
                    let _ = self.shared.sync();
                    self.shared.announce_synced();
                    turn.give_back();
                }
                Job::Leave(mut turn) => {
                    // Every handle was dropped; nobody is left to be told how it went.
                    let _ = turn.writer().close();
                    self.end();
                    turn.give_back();
                }
            }
        }
    }

    /// Whether this caller may write what it asks for: nobody is before it, and its thread will
    /// not wait for longer than it is ready to.
    fn may_write_here(&self, lines: &Lines, request: &Request, caller: Caller) -> bool {
        let Some(writer) = lines.writer.as_ref().filter(|_| lines.waiting.is_empty()) else {
            return false;
        };
        match (self.interval, caller) {
            (None, Caller::Blocks) => !lines.device_taken,
            (None, Caller::Awaits) => false,
            (Some(_), Caller::Blocks) => true,
            (Some(_), Caller::Awaits) => !writer.may_wait(request),
        }
    }

    fn next(&self) -> Option<Job<'_>> {
        let mut lines = self.lines();
        loop {
            if lines.ended {
                return None;
            }
            if let Some(job) = self.job(&mut lines) {
                return Some(job);
            }
            lines.idle += 1;
            lines = match self.time_to_sync(&lines) {
                Some(wait) => {
                    let waited = self.called.wait_timeout(lines, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.called.wait(lines).unwrap_or_else(PoisonError::into_inner),
            };
            lines.idle -= 1;
            lines.calling = false;
        }
    }

    fn job(&self, lines: &mut Lines) -> Option<Job<'_>> {
        if lines.writer.is_some() {
            match lines.waiting.front() {
                Some(Request::Append { .. }) => return Some(Job::Write(self.turn(lines, false))),
                Some(_) if !lines.device_taken => {
                    let request = lines.waiting.pop_front()?;
                    return Some(Job::Alone(self.turn(lines, true), request));
                }
                None if lines.deserted && !lines.device_taken => {
                    return Some(Job::Leave(self.turn(lines, true)));
                }
                Some(_) | None => {}
            }
        }
        if self.time_to_sync(lines) == Some(Duration::ZERO) {
            lines.unsynced_since = None; // what is written from here on is for the next one
            lines.device_taken = true;
            return Some(Job::Sync(Turn { desk: self, writer: None, device: true, wrote: false }));
        }
        None
    }

    /// How long until the interval is over; `None` if there is nothing to sync, or somebody does.
    fn time_to_sync(&self, lines: &Lines) -> Option<Duration> {
        let since = lines.unsynced_since.filter(|_| !lines.device_taken)?;
        Some(self.interval?.saturating_sub(since.elapsed()))
    }

    /// Takes the writer, which must be there, and the device if that is asked for.
    fn turn(&self, lines: &mut Lines, device: bool) -> Turn<'_> {
        lines.device_taken |= device;
        Turn { desk: self, writer: lines.writer.take(), device, wrote: false }
    }

    /// One group commit: `first`, and what waits behind it. Then so many more, if more waits.
    fn write(&self, mut turn: Turn<'_>, first: Option<Request>, others: usize) {
        let mut group = turn.writer().begin();
        if let Some(request) = first {
            turn.writer().decide(&mut group, request);
        }
        self.gather(&mut turn, &mut group);
        let mut written = turn.writer().write(group);
        turn.wrote = true;
        if self.interval.is_none() {
            turn.give_back_writer();
            written.sync_and_publish(&self.shared);
            // Answered before the device is free: who is answered asks again, and is in the next
            // group instead of the one after it.
            written.answer(&self.shared);
            turn.give_back();
        } else {
            written.publish(&self.shared);
            written.answer(&self.shared);
            if others > 0 && self.appends_wait() {
                return self.write(turn, None, others - 1);
            }
            turn.give_back();
        }
    }

    fn appends_wait(&self) -> bool {
        matches!(self.lines().waiting.front(), Some(Request::Append { .. }))
    }

    /// Decides what comes, until there is no more and, where each group is synced, the device is
    /// free.
    fn gather(&self, turn: &mut Turn<'_>, group: &mut Group) {
        loop {
            let mut lines = self.lines();
            let mut came = lines.take_appends(turn.writer().room(group));
            if came.is_empty() {
                if self.interval.is_some() || turn.device {
                    return;
                }
                if !lines.device_taken {
                    lines.device_taken = true;
                    turn.device = true;
                    return;
                }
                let full = turn.writer().room(group) == 0;
                lines.gathering = if full { Gathering::Full } else { Gathering::Hungry };
                lines = self.gatherer.wait(lines).unwrap_or_else(PoisonError::into_inner);
                lines.gathering = Gathering::Awake;
                continue;
            }
            drop(lines);
            while turn.writer().room(group) > 0
                && let Some(request) = came.pop_front()
            {
                turn.writer().decide(group, request);
            }
            if !came.is_empty() {
                self.lines().put_back(came);
            }
        }
    }

    /// Wakes whoever can do something about what has changed. `clock`: somebody is to wait for the
    /// end of an interval that has begun.
    fn call(&self, mut lines: MutexGuard<'_, Lines>, clock: bool) {
        let appends = matches!(lines.waiting.front(), Some(Request::Append { .. }));
        let gatherer = match lines.gathering {
            Gathering::Awake => false,
            Gathering::Hungry => appends || !lines.device_taken,
            Gathering::Full => !lines.device_taken,
        };
        let asked = !lines.waiting.is_empty() || lines.deserted;
        let idle = lines.idle > 0 && !lines.calling && (clock || asked && lines.writer.is_some());
        if gatherer {
            lines.gathering = Gathering::Awake;
        }
        lines.calling |= idle;
        drop(lines);
        if gatherer {
            self.gatherer.notify_one();
        }
        if idle {
            self.called.notify_one();
        }
    }

    /// Nothing is served from here on; whoever waits was not written.
    fn end(&self) {
        let left = {
            let mut lines = self.lines();
            lines.ended = true;
            std::mem::take(&mut lines.waiting)
        };
        left.into_iter().for_each(Request::refuse);
        self.called.notify_all();
        self.gatherer.notify_all();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// The appends at the front of the queue, as many as have no more events than this.
    fn take_appends(&mut self, room: usize) -> VecDeque<Request> {
        let mut events = 0;
        let fits = |request: &&Request| {
            let fits = events < room;
            events += request.events().unwrap_or(room);
            fits && request.events().is_some()
        };
        let count = self.waiting.iter().take_while(fits).count();
        self.waiting.drain(..count).collect()
    }

    fn put_back(&mut self, requests: VecDeque<Request>) {
        for request in requests.into_iter().rev() {
            self.waiting.push_front(request);
        }
    }
}

/// The writer, the device or both, until they are given back.
struct Turn<'a> {
    desk: &'a Desk,
    writer: Option<Box<Writer>>,
    device: bool,
    wrote: bool,
}

impl Turn<'_> {
    fn writer(&mut self) -> &mut Writer {
        self.writer.as_deref_mut().unwrap_or_else(|| unreachable!("it was not given back"))
    }

    /// Lets others decide, while this one is at the device.
    fn give_back_writer(&mut self) {
        let mut lines = self.desk.lines();
        lines.writer = self.writer.take();
        self.desk.call(lines, false);
    }

    /// Gives back all that is held, and calls whoever waits for it.
    fn give_back(mut self) {
        let mut lines = self.desk.lines();
        if let Some(writer) = self.writer.take() {
            lines.writer = Some(writer);
        }
        if std::mem::take(&mut self.device) {
            lines.device_taken = false;
        }
        let begins = self.wrote && self.desk.interval.is_some() && lines.unsynced_since.is_none();
        if begins {
            lines.unsynced_since = Some(Instant::now());
        }
        self.desk.call(lines, begins);
    }
}

impl Drop for Turn<'_> {
    /// Only a panic leaves something to give back: nothing is written after it.
    fn drop(&mut self) {
        if self.writer.is_some() || self.device {
            self.desk.shared.set_halted();
            self.desk.lines().device_taken = false;
            self.desk.end();
            let _ = self.desk.shared.log.close();
        }
    }
}
