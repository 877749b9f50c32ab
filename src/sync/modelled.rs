//! The same meeting points for `tools/models`, where a scheduler decides which thread goes on.

pub(crate) use crate::shuttle_task_local as task_local;
pub(crate) use shuttle::{
    future::yield_now,
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
pub(crate) use tokio::time::Instant;

use shuttle::future::JoinHandle;
use std::{
    cell::RefCell,
    fmt,
    future::Future,
    ops::Deref,
    pin::pin,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) fn wait_for<T>(answer: oneshot::Receiver<T>) -> Option<T> {
    shuttle::future::block_on(answer).ok()
}

/// Does nothing: the scheduler has its own locks.
pub(crate) fn assert_no_lock_held() {}

#[allow(clippy::unused_async, reason = "as the real one")]
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    Some(work())
}

/// A pointer that is swapped. At each load and each swap the scheduler may switch threads.
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn load(&self) -> impl Deref<Target = Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl<T> fmt::Debug for ArcSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArcSwap")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Runtime;

impl Runtime {
    #[allow(clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn current() -> Option<Self> {
        Some(Self)
    }

    #[allow(clippy::unused_self, reason = "as the real one")]
    pub(crate) fn spawn<F>(&self, tracker: &TaskTracker, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        shuttle::future::spawn(tracker.track_future(future))
    }
}

/// Lets the scheduler choose any time to continue.
pub(crate) async fn sleep(_: Duration) {
    yield_now().await;
}

pub(crate) async fn sleep_until(_: Instant) {
    yield_now().await;
}

/// Never times out: a wait without end is a deadlock, which the scheduler finds.
pub(crate) async fn timeout<F: Future>(_: Duration, future: F) -> Option<F::Output> {
    Some(future.await)
}

/// A value that a task carries with it, for one task or thread of the scheduler.
pub(crate) struct TaskLocal<T: 'static> {
    pub(crate) slot: &'static shuttle::thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> TaskLocal<T> {
    pub(crate) fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Result<R, ()> {
        self.slot.with(|slot| slot.borrow().as_ref().map(look)).ok_or(())
    }

    pub(crate) async fn scope<F: Future>(&'static self, value: T, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut mine = Some(value);
        std::future::poll_fn(|context| {
            self.slot.with(|slot| std::mem::swap(&mut *slot.borrow_mut(), &mut mine));
            let polled = future.as_mut().poll(context);
            self.slot.with(|slot| std::mem::swap(&mut *slot.borrow_mut(), &mut mine));
            polled
        })
        .await
    }
}

/// As `tokio::task_local`, which counts by operating system thread.
#[macro_export]
#[doc(hidden)]
macro_rules! shuttle_task_local {
    (static $name:ident: $type:ty;) => {
        static $name: $crate::sync::TaskLocal<$type> = {
            shuttle::thread_local! {
                static SLOT: std::cell::RefCell<Option<$type>> = std::cell::RefCell::new(None);
            }
            $crate::sync::TaskLocal { slot: &SLOT }
        };
    };
}
