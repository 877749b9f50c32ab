//! Threads for reads, so that an async caller need not block on a disk.
//!
//! Each thread starts when it is first needed, and there are never more than a fixed number. There
//! is no queue: a caller that has to wait for a thread waits in its own future, and one that drops
//! the future has never asked. Knows nothing of ledgers, and needs no runtime. Start reading at
//! [`Pool::run`].

use crate::sync::{Condvar, Mutex, MutexGuard, assert_no_lock_held, thread};
use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, PoisonError},
};
use tokio::sync::{Semaphore, oneshot};

/// The threads, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pool {
    /// One permit for each thread.
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    idle: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    /// Jobs that hold a permit: no more than there may be threads.
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// True once the pool is dropped: each thread ends when there is no job.
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl Pool {
    /// A pool of up to `threads_max` threads, none of which is started yet.
    pub(crate) fn new(threads_max: usize) -> Self {
        let state = Mutex::new(State::default());
        let shared = Shared { state, idle: Condvar::new(), threads_max };
        let permits = Arc::new(Semaphore::new(threads_max.min(Semaphore::MAX_PERMITS)));
        Self { permits, shared: Arc::new(shared) }
    }

    /// Runs `work` on a thread of the pool, when one is free. A panic of `work` becomes a panic of
    /// the caller.
    ///
    /// # Errors
    /// The error of the system if no thread could be started and there is none.
    ///
    /// # Cancel safety
    /// Dropped before a thread was free, `work` never runs. Dropped later, it runs to its end and
    /// its result is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            unreachable!("the semaphore is never closed")
        };
        let (done, answer) = oneshot::channel();
        self.shared.hand_over(Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            drop(permit);
            let _ = done.send(outcome);
        }))?;
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(io::Error::other("no thread for reads")),
        }
    }
}

impl Drop for Pool {
    /// The threads end by themselves. They are not joined: the last handle may be dropped on one
    /// of them.
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.idle.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a job to an idle thread, or to a new one.
    fn hand_over(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.state();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < self.threads_max {
            state.threads += 1;
            drop(state);
            return self.start();
        }
        drop(state);
        self.idle.notify_one();
        Ok(())
    }

    /// Starts a thread. Without it, those that there are do its work.
    fn start(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("taskledger-read".to_owned());
        let Err(error) = thread.spawn(move || shared.work()) else { return Ok(()) };
        let mut state = self.state();
        state.threads -= 1;
        if state.threads > 0 {
            tracing::warn!(%error, "no further thread for reads");
            return Ok(());
        }
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        drop(left);
        Err(error)
    }

    /// The loop of each thread.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                assert_no_lock_held();
                job();
                state = self.state();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs.len())
            .field("threads", &self.threads)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
