//! The meeting points of the standard library, `arc-swap` and tokio.

use super::timer;
use std::{future::Future, time::Duration};
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle, time};
use tokio_util::task::TaskTracker;

pub(crate) use super::held::{Condvar, Mutex, MutexGuard, assert_no_lock_held};
pub(crate) use arc_swap::ArcSwap;
pub(crate) use std::thread;
pub(crate) use tokio::{task::yield_now, task_local, time::Instant};

/// Blocks this thread until there is an answer; `None` if the sender is gone.
pub(crate) fn wait_for<T>(answer: oneshot::Receiver<T>) -> Option<T> {
    answer.blocking_recv().ok()
}

/// Runs blocking code on a thread of its own, under any runtime. `None` if it panicked, or there is
/// no thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, answer) = oneshot::channel();
    let work = move || drop(done.send(work()));
    let thread = thread::Builder::new().name("taskledger-work".to_owned()).spawn(work);
    if let Err(error) = thread {
        tracing::error!(%error, "no thread for what blocks");
        return None;
    }
    answer.await.ok()
}

/// A runtime for tasks.
#[derive(Debug, Clone)]
pub(crate) struct Runtime(Handle);

impl Runtime {
    /// The runtime of the caller.
    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    /// Runs a task that `tracker` knows of.
    pub(crate) fn spawn<F>(&self, tracker: &TaskTracker, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tracker.spawn_on(future, &self.0)
    }
}

/// Waits, under any runtime or none.
///
/// A runtime may have been built without timers, and the only way to find out is a panic. So this
/// uses the runtime's timer only if the runtime has a clock of its own, which one without timers
/// cannot have.
pub(crate) async fn sleep_until(until: Instant) {
    if clock_is_moved_by_hand() {
        time::sleep_until(until).await;
    } else {
        timer::sleep_until(until.into_std()).await;
    }
}

/// Says whether the clock of the caller's runtime differs from that of the machine, as in tests
/// with paused time.
fn clock_is_moved_by_hand() -> bool {
    let before = std::time::Instant::now();
    let told = Instant::now().into_std();
    told < before || told > std::time::Instant::now()
}

pub(crate) async fn sleep(wait: Duration) {
    // A wait beyond the range of time ends with the process.
    match Instant::now().checked_add(wait) {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits for a future; `None` after `wait`.
pub(crate) async fn timeout<F: Future>(wait: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = sleep(wait) => None,
    }
}
