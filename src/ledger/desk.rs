//! Where appends wait, and whose turn it is.
//!
//! There is one [`Writer`]: whoever holds it decides and writes. There is one device: whoever holds
//! that syncs and answers. Two threads of the ledger take turns at both, so that the next group is
//! decided and encoded while the last one is synced. There is no delay window: a group is what came
//! until the device was free. A caller that finds nobody at work takes the turn itself where it may,
//! and no thread has to be woken for it.
//!
//! Knows neither rules nor files. Start reading at [`Desk::append`], then [`Desk::work`]. What async
//! code asks for comes in by [`Desk::append_later`].

mod later;
mod lines;

use self::lines::{Gathering, Lines, Ready, Service};
use super::{
    AppendError, Durability,
    request::{Reply, Request},
    shared::Shared,
    writer::{Group, Writer},
};
use crate::{
    ids::Head,
    sync::{Condvar, Mutex, MutexGuard},
};
use std::sync::{Arc, PoisonError};

/// Threads that take turns: one at the device, one that gathers.
pub(super) const THREADS: usize = 2;

/// Groups that a caller writes for others behind its own, before it calls a thread for the rest.
const GROUPS_FOR_OTHERS: usize = 2;

/// The one place that every append passes.
#[derive(Debug)]
pub(super) struct Desk {
    lines: Mutex<Lines>,
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
    Write(Turn<'a>),
    /// Sync what is written, because the interval is over or somebody asks.
    Sync(Turn<'a>, Option<Reply<Head>>),
    /// Something that is no append, with nobody else at work.
    Alone(Turn<'a>, Request),
    /// Everybody has gone: sync, and let go of the files.
    Leave(Turn<'a>),
}

impl Desk {
    pub(super) fn new(writer: Writer, shared: Arc<Shared>) -> Self {
        let durability = writer.options().durability;
        let interval = match durability {
            Durability::Synced => None,
            Durability::Interval(every) => Some(every),
        };
        Self {
            lines: Mutex::new(Lines::new(writer, interval)),
            idle: Condvar::new(),
            gatherer: Condvar::new(),
            shared,
            durability,
        }
    }

    /// Sees to an append whose thread would do nothing but wait: here and now if nobody is before
    /// it, or by a thread. Either way its reply is answered.
    pub(super) fn append(&self, append: Request) -> Result<(), AppendError> {
        let mut lines = self.lines();
        lines.check_open()?;
        let synced = self.durability == Durability::Synced;
        if lines.is_empty() && lines.writer.is_some() && !(synced && lines.device_taken) {
            let turn = self.turn(&mut lines, synced);
            drop(lines);
            self.write(turn, Some(append), GROUPS_FOR_OTHERS);
            return Ok(());
        }
        lines.push_append(append)?;
        self.call(lines, false);
        Ok(())
    }

    /// Queues what is no append, behind all that waits.
    pub(super) fn ask(&self, request: Request) -> Result<(), AppendError> {
        let mut lines = self.lines();
        lines.check_open()?;
        lines.push(request);
        self.call(lines, false);
        Ok(())
    }

    /// Nobody will ask any more: the threads end when all that waits is done.
    pub(super) fn desert(&self) {
        let mut lines = self.lines();
        if lines.service == Service::Open {
            lines.service = Service::Deserted;
        }
        drop(lines);
        self.idle.notify_all();
    }

    /// What each thread of the ledger does until there is nothing left to do.
    pub(super) fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(turn) => self.write(turn, None, 0),
                Job::Sync(turn, reply) => {
                    let synced = self.shared.sync();
                    self.shared.announce_synced();
                    // A failure halts the ledger: whoever appends next is told of it as well.
                    let answer = synced.map(|()| self.shared.log.synced());
                    let _ = reply.map(|reply| reply.send(answer));
                    turn.give_back();
                }
                Job::Alone(mut turn, request) => {
                    if turn.writer().serve(request).is_break() {
                        self.end();
                    }
                    turn.give_back();
                }
                Job::Leave(mut turn) => {
                    // Nobody is left to be told how it went.
                    let _ = turn.writer().close();
                    self.end();
                    turn.give_back();
                }
            }
        }
    }

    /// Sleeps until there is something to do; `None` when there never will be.
    fn next(&self) -> Option<Job<'_>> {
        let mut lines = self.lines();
        while lines.service != Service::Ended {
            if let Some(ready) = lines.ready() {
                return Some(self.job(&mut lines, ready));
            }
            lines.fall_asleep();
            lines = match lines.time_to_sync() {
                Some(wait) => {
                    let waited = self.idle.wait_timeout(lines, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.idle.wait(lines).unwrap_or_else(PoisonError::into_inner),
            };
            lines.wake_up();
        }
        None
    }

    fn job(&self, lines: &mut Lines, ready: Ready) -> Job<'_> {
        match ready {
            Ready::Write => Job::Write(self.turn(lines, false)),
            Ready::Sync => {
                let reply = lines.begin_sync();
                Job::Sync(Turn { desk: self, writer: None, device: true, wrote: false }, reply)
            }
            Ready::Alone => {
                let turn = self.turn(lines, true);
                match lines.pop() {
                    Some(request) => Job::Alone(turn, request),
                    None => Job::Leave(turn),
                }
            }
        }
    }

    /// One group commit: `first`, and what waits behind it. Then so many more, if more waits.
    fn write(&self, mut turn: Turn<'_>, first: Option<Request>, others: usize) {
        let mut group = turn.writer().begin();
        if let Some(append) = first {
            turn.writer().decide(&mut group, append);
        }
        self.gather(&mut turn, &mut group);
        let mut written = turn.writer().write(group);
        turn.wrote = true;
        if self.durability == Durability::Synced {
            turn.give_back_writer();
            written.sync_and_publish(&self.shared);
            // Answered before the device is free: who is answered asks again, and is in the next
            // group instead of the one after it.
            written.answer(&self.shared);
            return turn.give_back();
        }
        written.publish(&self.shared);
        if others > 0 && self.lines().next_is_append() {
            written.answer(&self.shared);
            return self.write(turn, None, others - 1);
        }
        // Who is answered finds the writer here when it asks again.
        turn.give_back();
        written.answer(&self.shared);
    }

    /// Decides what comes, until there is no more and, where each group is synced, the device is
    /// free.
    fn gather(&self, turn: &mut Turn<'_>, group: &mut Group) {
        loop {
            let room = turn.writer().room(group);
            let mut lines = self.lines();
            let mut came = lines.take_appends(room);
            if !came.is_empty() {
                drop(lines);
                while turn.writer().room(group) > 0
                    && let Some(append) = came.pop_front()
                {
                    turn.writer().decide(group, append);
                }
                self.lines().put_back(came);
                continue;
            }
            if self.durability != Durability::Synced || turn.device {
                return;
            }
            if !lines.device_taken {
                lines.device_taken = true;
                turn.device = true;
                return;
            }
            lines.gathering = if room == 0 { Gathering::Full } else { Gathering::Hungry };
            lines = self.gatherer.wait(lines).unwrap_or_else(PoisonError::into_inner);
            lines.gathering = Gathering::Awake;
        }
    }

    /// Wakes whoever can do something about what has changed; with `clock`, also somebody to wait
    /// for the end of an interval that has begun.
    fn call(&self, mut lines: MutexGuard<'_, Lines>, clock: bool) {
        let calls = lines.calls(clock);
        drop(lines);
        if calls.gatherer {
            self.gatherer.notify_one();
        }
        if calls.idle {
            self.idle.notify_one();
        }
    }

    /// Nothing is done from here on; what waits was not written.
    fn end(&self) {
        let left = self.lines().end();
        left.into_iter().for_each(Request::refuse);
        self.idle.notify_all();
        self.gatherer.notify_all();
    }

    /// Takes the writer, which must be there, and the device if that is asked for.
    fn turn(&self, lines: &mut Lines, device: bool) -> Turn<'_> {
        lines.device_taken |= device;
        Turn { desk: self, writer: lines.writer.take(), device, wrote: false }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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
        let interval_begins = self.wrote && lines.note_written();
        self.desk.call(lines, interval_begins);
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
