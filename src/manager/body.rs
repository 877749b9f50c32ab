//! The code of a task: polled and dropped so that a panic becomes a result.

use super::TaskResult;
use crate::sync::assert_no_lock_held;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// The way in which a body ended.
pub(super) enum End {
    Returned(TaskResult),
    Panicked(String),
    /// It did not stop within this time, and was dropped.
    Aborted(Duration),
}

/// The code of a task, polled so that a panic becomes a result.
pub(super) struct Body(Option<Pin<Box<dyn Future<Output = TaskResult> + Send>>>);

impl Body {
    /// Calls `make` when it is polled first, so that a panic of the closure is caught as well.
    pub(super) fn new<F, Fut>(make: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        Self(Some(Box::pin(async move { make().await })))
    }
}

impl Future for Body {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let Some(body) = self.0.as_mut() else { return Poll::Pending };
        assert_no_lock_held();
        let end = match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => End::Returned(result),
            Err(panic) => End::Panicked(message_of(panic)),
        };
        drop_quietly(self.0.take());
        Poll::Ready(end)
    }
}

fn message_of(panic: Box<dyn Any + Send>) -> String {
    let message = match panic.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "no message".to_owned(),
        },
    };
    drop_quietly(panic);
    message
}

/// Drops foreign values: a panic of their drop must not end the supervision.
pub(super) fn drop_quietly<T>(value: T) {
    assert_no_lock_held();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::warn!("a task panicked while it was dropped");
        std::mem::forget(panic); // it could panic again
    }
}
