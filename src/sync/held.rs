//! The locks of the standard library. In tests, each thread knows how many it holds.
//!
//! Foreign code (the fallback of an inbox, a waker, the values of a task) may call back into this
//! crate. So it is called with no lock held, which [`assert_no_lock_held`] checks at each such
//! place.

use std::{
    ops::{Deref, DerefMut},
    sync::{LockResult, PoisonError, WaitTimeoutResult},
    time::Duration,
};

#[cfg(any(test, feature = "test-util"))]
mod count {
    use std::cell::Cell;

    thread_local! {
        static HELD: Cell<usize> = const { Cell::new(0) };
    }

    /// The number of locks of this crate's manager and ledger that the calling thread holds. Code
    /// that the crate calls can assert that it is zero.
    #[must_use]
    pub fn locks_held() -> usize {
        HELD.get()
    }

    /// One lock, until it is dropped.
    #[derive(Debug)]
    pub(super) struct Counted(());

    impl Counted {
        pub(super) fn new() -> Self {
            HELD.set(HELD.get() + 1);
            Self(())
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            HELD.set(HELD.get() - 1);
        }
    }
}

#[cfg(not(any(test, feature = "test-util")))]
mod count {
    /// Counts nothing.
    #[derive(Debug)]
    pub(super) struct Counted(());

    impl Counted {
        pub(super) fn new() -> Self {
            Self(())
        }
    }
}

use count::Counted;
#[cfg(any(test, feature = "test-util"))]
pub use count::locks_held;

/// Checks that no lock is held, before a call of foreign code.
///
/// # Panics
/// In tests, if the calling thread holds a lock.
pub(crate) fn assert_no_lock_held() {
    #[cfg(any(test, feature = "test-util"))]
    assert_eq!(locks_held(), 0, "what others wrote is called with no lock held");
}

/// The mutex of the standard library.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        rewrap(self.0.lock(), |guard| MutexGuard { guard, counted: Counted::new() })
    }
}

/// The guard of the standard library.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    guard: std::sync::MutexGuard<'a, T>,
    counted: Counted,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// The condition variable of the standard library.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'a, T>(&self, held: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let MutexGuard { guard, counted } = held;
        rewrap(self.0.wait(guard), |guard| MutexGuard { guard, counted })
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        held: MutexGuard<'a, T>,
        wait: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let MutexGuard { guard, counted } = held;
        let waited = self.0.wait_timeout(guard, wait);
        rewrap(waited, |(guard, over)| (MutexGuard { guard, counted }, over))
    }
}

/// Puts another value into the same result.
fn rewrap<A, B>(result: LockResult<A>, wrap: impl FnOnce(A) -> B) -> LockResult<B> {
    match result {
        Ok(inner) => Ok(wrap(inner)),
        Err(poisoned) => Err(PoisonError::new(wrap(poisoned.into_inner()))),
    }
}
