//! The desk: requests wait here, and threads take turns.
//!
//! There is one [`Writer`]: the thread that holds it decides and writes. There is one sync at a
//! time: its thread syncs and answers. Two threads of the ledger take turns at both, so that the
//! next group is decided and encoded while the last one is synced. There is no delay window: a
//! group is all that came before the device was free. A caller that finds no thread at work takes
//! the turn itself where it may, and no thread has to be woken for it.
//!
//! The desk holds the [`Role`] of the ledger and checks each request against it. Knows neither
//! rules nor files. Start reading at [`Desk::append`], then [`Desk::work`]. Async appends enter by
//! [`Desk::append_later`], other requests by [`Desk::ask`].

mod later;
mod queue;

use self::queue::{Gathering, NotTaken, Queue, Ready, Service};
use super::{
    request::{Alone, Append, Reply, Request},
    shared::Shared,
    witness::FenceWitness,
    writer::{Closed, Group, Turn, Writer},
};
use crate::{
    ids::{Epoch, Head},
    ledger::{AppendError, Durability, Role, count_refused},
    store,
    sync::{Condvar, Mutex, MutexGuard},
};
use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError, Weak},
};
use tokio::sync::oneshot;

/// The number of threads that take turns: one syncs, one gathers.
pub(crate) const THREADS: usize = 2;

/// The number of groups that a caller writes for others after its own, before it wakes a thread for
/// the rest.
const GROUPS_FOR_OTHERS: usize = 2;

/// The one place that every request passes.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: Mutex<Queue>,
    /// Idle threads sleep here.
    idle: Condvar,
    /// The thread with the writer sleeps here until there is more to decide, or the device is free.
    gatherer: Condvar,
    shared: Arc<Shared>,
    durability: Durability,
    /// Those that are told when the ledger is fenced.
    fences: Mutex<Vec<Weak<dyn FenceWitness>>>,
}

/// The next job of a thread.
enum Job<'a> {
    /// Write the waiting appends.
    Write(Hold<'a>),
    /// Sync the written groups, because the interval is over or a caller asks.
    Sync(Hold<'a>, Option<Reply<Head>>),
    /// A request that needs the writer and the right to sync, with no other thread at work.
    Alone(Hold<'a>, Alone),
    /// Every handle is dropped: sync, and close the files.
    Leave(Hold<'a>),
}

impl Desk {
    pub(crate) fn new(writer: Writer, shared: Arc<Shared>, role: Role) -> Self {
        let durability = writer.options().durability;
        let interval = match durability {
            Durability::Synced => None,
            Durability::Interval(every) => Some(every),
        };
        Self {
            queue: Mutex::new(Queue::new(writer, role, interval)),
            idle: Condvar::new(),
            gatherer: Condvar::new(),
            shared,
            durability,
            fences: Mutex::default(),
        }
    }

    /// The role of the ledger.
    pub(crate) fn role(&self) -> Role {
        self.queue().role
    }

    /// Gives the ledger another role. Waiting requests were taken in the old one and are served.
    pub(crate) fn set_role(&self, role: Role) {
        self.queue().role = role;
    }

    /// Gives the ledger another role, and refuses the waiting requests that it does not take. Called
    /// by the thread that has the writer: none of them is decided yet, and none will be.
    fn change_role(&self, role: Role) {
        let refused = self.queue().change_role(role);
        for (request, error) in refused {
            if matches!(request, Request::Append(_)) {
                count_refused(&error);
            }
            request.refuse_with(error, false);
        }
    }

    /// Tells this witness when the ledger is fenced, as long as it exists.
    pub(crate) fn watch_fence(&self, witness: Weak<dyn FenceWitness>) {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.retain(|known| known.strong_count() > 0);
        fences.push(witness);
    }

    /// Tells every witness that the ledger is fenced.
    fn tell_fenced(&self, by: Epoch) {
        let fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fences.iter().filter_map(Weak::upgrade).for_each(|witness| witness.fenced(by));
    }

    /// Serves an append whose thread would only wait: here if the writer is free and nothing waits, or by
    /// a thread of the ledger. Its reply is answered in both cases.
    pub(crate) fn append(&self, append: Append) -> Result<(), AppendError> {
        let mut queue = self.admit(Role::check_append)?;
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

    /// Queues a request other than an append, after all waiting ones, if the role allows it.
    pub(crate) fn ask<E: From<NotTaken>>(
        &self,
        may: impl FnOnce(Role) -> Result<(), E>,
        job: Request,
    ) -> Result<(), E> {
        let mut queue = self.admit(may)?;
        queue.push_job(job)?;
        self.call(queue, false);
        Ok(())
    }

    /// Queues a close, after all waiting requests. After it, only another close is taken. Returns `None`
    /// if the ledger is closed, or if more calls than [`queue_jobs_max`] wait for that.
    ///
    /// [`queue_jobs_max`]: crate::ledger::Options::queue_jobs_max
    pub(crate) fn close(&self) -> Option<oneshot::Receiver<Result<(), store::Error>>> {
        let (reply, answer) = oneshot::channel();
        let mut queue = self.queue();
        queue.push_close(Alone::Close(reply)).ok()?;
        self.call(queue, false);
        Some(answer)
    }

    /// Ends the threads when all waiting requests are done. Called when no handle is left.
    pub(crate) fn drain(&self) {
        let mut queue = self.queue();
        if queue.service == Service::Open {
            queue.service = Service::Draining;
        }
        drop(queue);
        self.idle.notify_all();
    }

    /// The loop of each thread of the ledger, until there is nothing left to do.
    pub(crate) fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(hold) => self.write(hold, None, 0),
                Job::Sync(hold, reply) => {
                    let synced = self.shared.sync();
                    self.shared.announce_synced();
                    // A failure halts the ledger, so the next append gets an error as well.
                    let answer = synced.map(|()| self.shared.log.synced());
                    let _ = reply.map(|reply| reply.send(answer));
                    hold.give_back();
                }
                Job::Alone(mut hold, alone) => {
                    let mut became = None;
                    let mut change = |role| {
                        self.change_role(role);
                        became = Some(role);
                    };
                    let mut turn = Turn { role: self.role(), change: &mut change };
                    let served = hold.writer().serve(alone, &mut turn);
                    if let ControlFlow::Break(Closed { whole }) = served {
                        self.end(whole);
                    }
                    hold.give_back();
                    if let Some(Role::Fenced { by }) = became {
                        self.tell_fenced(by);
                    }
                }
                Job::Leave(mut hold) => {
                    // No caller is left to get the result.
                    let whole = hold.writer().close().is_ok();
                    self.end(whole);
                    hold.give_back();
                }
            }
        }
    }

    /// Sleeps until there is a job; `None` when there will be no more.
    fn next(&self) -> Option<Job<'_>> {
        let mut queue = self.queue();
        while queue.service != Service::Ended {
            let ready = queue.ready();
            if let Some(job) = ready.and_then(|ready| self.job(&mut queue, ready)) {
                return Some(job);
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

    fn job(&self, queue: &mut Queue, ready: Ready) -> Option<Job<'_>> {
        Some(match ready {
            Ready::Write => Job::Write(self.hold(queue, false)),
            Ready::Sync => {
                let reply = queue.begin_sync();
                Job::Sync(Hold { desk: self, writer: None, may_sync: true, wrote: false }, reply)
            }
            Ready::Alone => {
                let alone = queue.pop_alone()?;
                Job::Alone(self.hold(queue, true), alone)
            }
            Ready::Leave => Job::Leave(self.hold(queue, true)),
        })
    }

    /// Makes one group commit of `first` and the appends after it, then up to `others` more groups.
    fn write(&self, mut hold: Hold<'_>, first: Option<Append>, others: usize) {
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
            // Answered before the device is free: a caller that gets its answer asks again, and is
            // in the next group instead of the one after it.
            written.answer(&self.shared);
            return hold.give_back();
        }
        written.publish(&self.shared);
        if others > 0 && self.queue().next_is_append() {
            written.answer(&self.shared);
            return self.write(hold, None, others - 1);
        }
        // A caller that gets its answer finds the writer here when it asks again.
        hold.give_back();
        written.answer(&self.shared);
    }

    /// Decides new appends until there are none and, where each group is synced, the device is
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

    /// Wakes the threads that can act on a change; with `clock`, also one to wait for the end of an
    /// interval that has begun.
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

    /// Ends all work. Waiting requests were not written. `closed` is as in [`Request::refuse`].
    fn end(&self, closed: bool) {
        let left = self.queue().end();
        for request in left {
            request.refuse(closed);
        }
        self.idle.notify_all();
        self.gatherer.notify_all();
    }

    /// Takes the writer, which must be there, and the right to sync if `may_sync`.
    fn hold(&self, queue: &mut Queue, may_sync: bool) -> Hold<'_> {
        queue.sync_taken |= may_sync;
        Hold { desk: self, writer: queue.writer.take(), may_sync, wrote: false }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue, if the role allows the request and requests are taken.
    fn admit<E: From<NotTaken>>(
        &self,
        may: impl FnOnce(Role) -> Result<(), E>,
    ) -> Result<MutexGuard<'_, Queue>, E> {
        let queue = self.queue();
        may(queue.role)?;
        queue.check_open()?;
        Ok(queue)
    }
}

/// The writer, the right to sync, or both, until they are given back.
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

    /// Lets other threads decide while this one syncs.
    fn give_back_writer(&mut self) {
        let mut queue = self.desk.queue();
        queue.writer = self.writer.take();
        self.desk.call(queue, false);
    }

    /// Gives everything back, and wakes the threads that wait for it.
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
