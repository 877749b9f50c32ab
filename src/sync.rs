//! How threads and tasks meet: locks, queues, the published pointer, the runtime and its timers.
//!
//! Normally these are those of the standard library, `arc-swap` and tokio, under one name. In
//! `tools/models` the same sources are compiled with `cfg(shuttle)`: then a scheduler decides at
//! each of them who goes on, so that a test can try thousands of interleavings of the real ledger
//! and the real manager. Knows nothing of either.

#[cfg(not(shuttle))]
mod real {
    //! The real ones.

    pub(crate) use arc_swap::ArcSwap;
    pub(crate) use std::{
        sync::{Mutex, MutexGuard, mpsc},
        thread,
    };
    pub(crate) use tokio::{task::yield_now, task_local, time::Instant};

    use std::{
        future::Future,
        panic::{AssertUnwindSafe, catch_unwind},
        time::Duration,
    };
    use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle, time};
    use tokio_util::task::TaskTracker;

    /// Blocks this thread until there is an answer; `None` if nobody will give one.
    pub(crate) fn wait_for<T>(answer: oneshot::Receiver<T>) -> Option<T> {
        answer.blocking_recv().ok()
    }

    /// Runs on the threads that are there for what blocks.
    pub(crate) async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// What tasks run on.
    #[derive(Debug, Clone)]
    pub(crate) struct Runtime(Handle);

    impl Runtime {
        /// The one that runs the caller.
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

    /// Waits, also on a runtime that was built without timers.
    pub(crate) async fn sleep_until(until: Instant) {
        // To make a timer is the only way to find out: where there are none, it panics.
        match catch_unwind(AssertUnwindSafe(|| time::sleep_until(until))) {
            Ok(sleep) => sleep.await,
            Err(_) => sleep_beside(until.saturating_duration_since(Instant::now())).await,
        }
    }

    /// Waits for a thread that waits. It ends when this is dropped.
    async fn sleep_beside(wait: Duration) {
        let (dropped, is_dropped) = mpsc::channel::<()>();
        let (wake, woken) = oneshot::channel();
        let sleep = move || {
            let _ = is_dropped.recv_timeout(wait);
            let _ = wake.send(());
        };
        let thread = thread::Builder::new().name("taskledger-timer".to_owned()).spawn(sleep);
        if let Err(error) = thread {
            tracing::error!(%error, "no thread to wait for a deadline");
        }
        let _ = woken.await;
        drop(dropped);
    }

    pub(crate) async fn sleep(wait: Duration) {
        // A wait past the end of all time ends with the process.
        match Instant::now().checked_add(wait) {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// `None` if it took longer.
    pub(crate) async fn timeout<F: Future>(wait: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = sleep(wait) => None,
        }
    }
}

#[cfg(shuttle)]
mod modelled {
    //! The same, where a scheduler decides who goes on.

    pub(crate) use crate::shuttle_task_local as task_local;
    pub(crate) use shuttle::{
        future::yield_now,
        sync::{Mutex, MutexGuard, mpsc},
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

    #[allow(clippy::unused_async, reason = "as the real one")]
    pub(crate) async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        Some(work())
    }

    /// A pointer that is swapped, and a choice of who goes on at each look and each swap.
    pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Mutex::new(Arc::new(value)))
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

    /// Any time may pass until the scheduler comes back.
    pub(crate) async fn sleep(_: Duration) {
        yield_now().await;
    }

    pub(crate) async fn sleep_until(_: Instant) {
        yield_now().await;
    }

    /// Patient: what never ends is a deadlock, which the scheduler finds.
    pub(crate) async fn timeout<F: Future>(_: Duration, future: F) -> Option<F::Output> {
        Some(future.await)
    }

    /// What a task carries with it, for one task or thread of the scheduler.
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
}

#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(shuttle)]
pub(crate) use modelled::*;
