//! Appends of async code with an interval: queued at once, written a moment later.
//!
//! An async caller with many appends polls them one after the other. If each were written at its
//! first poll, each would be a commit of its own. So the first poll queues and lets other tasks run
//! first, and the next one writes all that is queued by then, on its thread: one commit. No clock
//! is read and no thread woken. Start reading at [`Desk::append_later`].

use super::{
    super::request::Append, AppendError, Desk, Durability, GROUPS_FOR_OTHERS, Role, queue::Queue,
};
use std::{future::poll_fn, task::Poll};

impl Desk {
    /// Serves an append whose thread has other tasks to run, and never waits for a device on it.
    /// After its first poll the append is done when it is polled again or dropped, or when another append
    /// comes. If none of that happens, it waits.
    pub(crate) async fn append_later(&self, append: Append) -> Result<(), AppendError> {
        if let Some(promise) = self.enqueue(append)? {
            give_way().await;
            promise.keep();
        }
        Ok(())
    }

    /// Queues an append; returns a promise to come back, or leaves it to a thread that is at work or is
    /// woken.
    fn enqueue(&self, append: Append) -> Result<Option<Promise<'_>>, AppendError> {
        let mut queue = self.admit(Role::check_append)?;
        queue.push_append(append)?;
        if self.may_write_here(&queue) {
            return Ok(Some(Promise { desk: Some(self) }));
        }
        self.call(queue, false);
        Ok(None)
    }

    /// Says whether a caller that must not wait may write the waiting appends.
    fn may_write_here(&self, queue: &Queue) -> bool {
        let Some(writer) = queue.writer.as_ref().filter(|_| queue.next_is_append()) else {
            return false;
        };
        match self.durability {
            Durability::Synced => false,
            Durability::Interval(_) => !writer.may_wait(queue.appends()),
        }
    }
}

/// A promise to come back and write the waiting appends. Dropping it leaves that to a thread.
struct Promise<'a> {
    desk: Option<&'a Desk>,
}

impl Promise<'_> {
    fn keep(mut self) {
        let Some(desk) = self.desk.take() else { return };
        let mut queue = desk.queue();
        if desk.may_write_here(&queue) {
            let hold = desk.hold(&mut queue, false);
            drop(queue);
            desk.write(hold, None, GROUPS_FOR_OTHERS);
        } else {
            desk.call(queue, false);
        }
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if let Some(desk) = self.desk {
            desk.call(desk.queue(), false);
        }
    }
}

/// Lets the other tasks of this thread that are ready now run first, once.
async fn give_way() {
    let mut gave = false;
    poll_fn(|context| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
