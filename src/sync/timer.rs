//! Waiting for a time without a runtime: one thread for all waits, as long as there is one.
//!
//! Knows no task. Start reading at [`sleep_until`].

use super::held::{Condvar, Mutex, MutexGuard, assert_no_lock_held};
use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};

/// Waits until then.
///
/// # Cancel safety
/// Cancel safe: dropped, it is forgotten.
pub(super) fn sleep_until(until: Instant) -> Sleep {
    Sleep { until, number: None }
}

static TIMER: Timer = Timer { waits: Mutex::new(Waits::NONE), changed: Condvar::new() };

struct Timer {
    waits: Mutex<Waits>,
    changed: Condvar,
}

/// The waits, by the time at which each is woken.
struct Waits {
    due: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    /// True while a thread looks at the clock.
    watched: bool,
}

impl Waits {
    const NONE: Self = Self { due: BTreeMap::new(), next: 0, watched: false };

    /// Takes the waits whose time has come.
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        due
    }
}

impl Timer {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that a thread looks at the clock.
    fn watch(&'static self) {
        let mut waits = self.waits();
        if std::mem::replace(&mut waits.watched, true) {
            drop(waits);
            self.changed.notify_one();
            return;
        }
        drop(waits);
        let thread = thread::Builder::new().name("taskledger-timer".to_owned());
        if let Err(error) = thread.spawn(|| self.run()) {
            self.waits().watched = false;
            tracing::error!(%error, "no thread to wait for a deadline");
        }
    }

    /// Wakes each wait whose time has come, until there are no more.
    fn run(&self) {
        let mut waits = self.waits();
        loop {
            let now = Instant::now();
            let due = waits.take_due(now);
            if !due.is_empty() {
                drop(waits);
                assert_no_lock_held();
                due.into_iter().for_each(Waker::wake);
                waits = self.waits();
                continue;
            }
            let Some(((first, _), _)) = waits.due.first_key_value() else {
                waits.watched = false;
                return;
            };
            let wait = first.saturating_duration_since(now);
            let waited = self.changed.wait_timeout(waits, wait);
            waits = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A wait.
pub(super) struct Sleep {
    until: Instant,
    /// Distinguishes it from others that end at the same time, once it waits.
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let waker = context.waker().clone(); // outside of the lock: others wrote it
        let mut waits = TIMER.waits();
        let number = *self.number.get_or_insert_with(|| {
            waits.next += 1;
            waits.next
        });
        let before = waits.due.insert((self.until, number), waker);
        drop(waits);
        drop(before);
        TIMER.watch();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let forgotten = TIMER.waits().due.remove(&(self.until, number));
            drop(forgotten); // outside of the lock
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        // A runtime without timers.
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn of_two_waits_the_one_with_the_earlier_time_ends_first() {
        let began = Instant::now();
        let (late, soon) = (Duration::from_hours(10_000), Duration::from_millis(5));
        let ended = block_on(async {
            let (late, soon) = (sleep_until(began + late), sleep_until(began + soon));
            tokio::select! {
                () = late => "late",
                () = soon => "soon",
            }
        });
        assert_eq!(ended, "soon");
        assert!(began.elapsed() >= soon);
    }

    #[test]
    fn a_wait_that_is_dropped_is_forgotten() {
        let far = Instant::now() + Duration::from_hours(10_000);
        let mut sleep = Box::pin(sleep_until(far));
        let poll = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
        let waits = || TIMER.waits().due.keys().any(|(until, _)| *until == far);
        assert!(waits());
        drop(sleep);
        assert!(!waits());
    }
}
