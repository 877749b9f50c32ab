//! Where appends wait, and whose turn it is.
//!
//! There is one [`Writer`]: whoever holds it decides and writes. There is one device: whoever holds
//! that syncs and answers. Two threads of the ledger take turns at both, so that the next group is
//! decided and encoded while the last one is synced. There is no delay window: a group is what came
//! until the device was free. A caller that finds nobody at work takes the turn itself where it
//! may, and no thread has to be woken for it.
//!
//! Knows neither rules nor files. Start reading at [`Desk::append`], then [`Desk::work`]. What
//! async code asks for comes in by [`Desk::append_later`].

mod later;
mod queue;

use self::queue::{Gathering, Queue, Ready, Service};
use super::{
    request::{Reply, Request},
    shared::Shared,
    writer::{Closed, Group, Writer},
};
use crate::{
    ids::Head,
    ledger::{AppendError, Durability},
    sync::{Condvar, Mutex, MutexGuard},
};
use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError},
};

/// Threads that take turns: one at the device, one that gathers.
pub(crate) const THREADS: usize = 2;

/// Groups that a caller writes for others behind its own, before it calls a thread for the rest.
const GROUPS_FOR_OTHERS: usize = 2;

/// The one place that every append passes.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: Mutex<Queue>,
    /// Idle threads sleep here.
    idle: Condvar,
    /// Whoever holds the writer sleeps here until there is more to decide, or the device is free.
    gatherer: Condvar,
    shared: Arc<Shared>,
    durability: Durability,
}

/// What a thread does next.
enum Job<'a> {
    /// Write what waits.
    Write(Hold<'a>),
    /// Sync what is written, because the interval is over or somebody asks.
    Sync(Hold<'a>, Option<Reply<Head>>),
    /// Something that is no append, with nobody else at work.
    Alone(Hold<'a>, Request),
    /// Everybody has gone: sync, and let go of the files.
    Leave(Hold<'a>),
}

impl Desk {
    pub(crate) fn new(writer: Writer, shared: Arc<Shared>) -> Self {
        let durability = writer.options().durability;
        let interval = match durability {
            Durability::Synced => None,
            Durability::Interval(every) => Some(every),
        };
        Self {
            queue: Mutex::new(Queue::new(writer, interval)),
            idle: Condvar::new(),
            gatherer: Condvar::new(),
            shared,
            durability,
        }
    }

    /// Sees to an append whose thread would do nothing but wait: here and now if nobody is before
    /// it, or by a thread. Either way its reply is answered.
    pub(crate) fn append(&self, append: Request) -> Result<(), AppendError> {
        let mut queue = self.queue();
        queue.check_open()?;
        let synced = self.durability == Durability::Synced;
        if queue.is_empty() && queue.writer.is_some() && !(synced && queue.sync_taken) {
            let hold = self.hold(&mut queue, synced);
            drop(queue);
            self.write(hold, Some(append), GROUPS_FOR_OTHERS);
            return Ok(());
        }
        queue.push_append(append)?;
        self.call(queue, false);
        Ok(())
    }

    /// Queues what is no append, behind all that waits.
    pub(crate) fn ask(&self, request: Request) -> Result<(), AppendError> {
        let mut queue = self.queue();
        queue.check_open()?;
        queue.push(request);
        self.call(queue, false);
        Ok(())
    }

    /// Nobody will ask any more: the threads end when all that waits is done.
    pub(crate) fn drain(&self) {
        let mut queue = self.queue();
        if queue.service == Service::Open {
            queue.service = Service::Draining;
        }
        drop(queue);
        self.idle.notify_all();
    }

    /// What each thread of the ledger does until there is nothing left to do.
    pub(crate) fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(hold) => self.write(hold, None, 0),
                Job::Sync(hold, reply) => {
                    let synced = self.shared.sync();
                    self.shared.announce_synced();
                    // A failure halts the ledger: whoever appends next is told of it as well.
                    let answer = synced.map(|()| self.shared.log.synced());
                    let _ = reply.map(|reply| reply.send(answer));
                    hold.give_back();
                }
                Job::Alone(mut hold, request) => {
                    if let ControlFlow::Break(Closed { whole }) = hold.writer().serve(request) {
                        self.end(whole);
                    }
                    hold.give_back();
                }
                Job::Leave(mut hold) => {
                    // Nobody is left to be told how it went.
                    let whole = hold.writer().close().is_ok();
                    self.end(whole);
                    hold.give_back();
                }
            }
        }
    }

    /// Sleeps until there is something to do; `None` when there never will be.
    fn next(&self) -> Option<Job<'_>> {
        let mut queue = self.queue();
        while queue.service != Service::Ended {
            if let Some(ready) = queue.ready() {
                return Some(self.job(&mut queue, ready));
            }
            queue.fall_asleep();
            queue = match queue.time_to_sync() {
                Some(wait) => {
                    let waited = self.idle.wait_timeout(queue, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.idle.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
            queue.wake_up();
        }
        None
    }

    fn job(&self, queue: &mut Queue, ready: Ready) -> Job<'_> {
        match ready {
            Ready::Write => Job::Write(self.hold(queue, false)),
            Ready::Sync => {
                let reply = queue.begin_sync();
                Job::Sync(Hold { desk: self, writer: None, may_sync: true, wrote: false }, reply)
            }
            Ready::Alone => {
                let hold = self.hold(queue, true);
                match queue.pop() {
                    Some(request) => Job::Alone(hold, request),
                    None => Job::Leave(hold),
                }
            }
        }
    }

    /// One group commit: `first`, and what waits behind it. Then so many more, if more waits.
    fn write(&self, mut hold: Hold<'_>, first: Option<Request>, others: usize) {
        let mut group = hold.writer().begin();
        if let Some(append) = first {
            hold.writer().decide(&mut group, append);
        }
        self.gather(&mut hold, &mut group);
        let mut written = hold.writer().write(group);
        hold.wrote = true;
        if self.durability == Durability::Synced {
            hold.give_back_writer();
            written.sync_and_publish(&self.shared);
            // Answered before the device is free: who is answered asks again, and is in the next
            // group instead of the one after it.
            written.answer(&self.shared);
            return hold.give_back();
        }
        written.publish(&self.shared);
        if others > 0 && self.queue().next_is_append() {
            written.answer(&self.shared);
            return self.write(hold, None, others - 1);
        }
        // Who is answered finds the writer here when it asks again.
        hold.give_back();
        written.answer(&self.shared);
    }

    /// Decides what comes, until there is no more and, where each group is synced, the device is
    /// free.
    fn gather(&self, hold: &mut Hold<'_>, group: &mut Group) {
        loop {
            let room = hold.writer().room(group);
            let mut queue = self.queue();
            let mut came = queue.take_appends(room);
            if !came.is_empty() {
                drop(queue);
                while hold.writer().room(group) > 0
                    && let Some(append) = came.pop_front()
                {
                    hold.writer().decide(group, append);
                }
                self.queue().put_back(came);
                continue;
            }
            if self.durability != Durability::Synced || hold.may_sync {
                return;
            }
            if !queue.sync_taken {
                queue.sync_taken = true;
                hold.may_sync = true;
                return;
            }
            queue.gathering = if room == 0 { Gathering::Full } else { Gathering::Hungry };
            queue = self.gatherer.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.gathering = Gathering::Awake;
        }
    }

    /// Wakes whoever can do something about what has changed; with `clock`, also somebody to wait
    /// for the end of an interval that has begun.
    fn call(&self, mut queue: MutexGuard<'_, Queue>, clock: bool) {
        let wakeups = queue.wakeups(clock);
        drop(queue);
        if wakeups.gatherer {
            self.gatherer.notify_one();
        }
        if wakeups.idle {
            self.idle.notify_one();
        }
    }

    /// Nothing is done from here on; what waits was not written. `closed` as for
    /// [`Request::refuse`].
    fn end(&self, closed: bool) {
        let left = self.queue().end();
        left.into_iter().for_each(|request| request.refuse(closed));
        self.idle.notify_all();
        self.gatherer.notify_all();
    }

    /// Takes the writer, which must be there, and the device if that is asked for.
    fn hold(&self, queue: &mut Queue, may_sync: bool) -> Hold<'_> {
        queue.sync_taken |= may_sync;
        Hold { desk: self, writer: queue.writer.take(), may_sync, wrote: false }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer, the device or both, until they are given back.
struct Hold<'a> {
    desk: &'a Desk,
    writer: Option<Box<Writer>>,
    may_sync: bool,
    wrote: bool,
}

impl Hold<'_> {
    fn writer(&mut self) -> &mut Writer {
        self.writer.as_deref_mut().unwrap_or_else(|| unreachable!("it was not given back"))
    }

    /// Lets others decide, while this one is at the device.
    fn give_back_writer(&mut self) {
        let mut queue = self.desk.queue();
        queue.writer = self.writer.take();
        self.desk.call(queue, false);
    }

    /// Gives back all that is held, and calls whoever waits for it.
    fn give_back(mut self) {
        let mut queue = self.desk.queue();
        if let Some(writer) = self.writer.take() {
            queue.writer = Some(writer);
        }
        if std::mem::take(&mut self.may_sync) {
            queue.sync_taken = false;
        }
        let interval_begins = self.wrote && queue.note_written();
        self.desk.call(queue, interval_begins);
    }
}

impl Drop for Hold<'_> {
    /// Only a panic leaves something to give back: nothing is written after it.
    fn drop(&mut self) {
        if self.writer.is_some() || self.may_sync {
            self.desk.shared.set_halted();
            self.desk.queue().sync_taken = false;
            self.desk.end(false);
            let _ = self.desk.shared.log.close();
        }
    }
}
