//! Work that needs no state, done ahead on another thread.
//!
//! A replay or an audit must fold event after event, on one thread. Reading, unpacking, decoding
//! and hashing do not need the fold: another thread does them, batch by batch. Start reading at
//! [`ahead`].

use std::{
    io,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

/// The most batches that may wait for the fold.
const WAITING_MAX: usize = 8;
/// The events of a batch: enough to make the handover cheap.
pub(crate) const BATCH_EVENTS: usize = 256;
/// The most bytes of frames in a batch, which bounds the memory of waiting batches.
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// Runs `make` on a thread of its own and gives each batch from it to `take`, in order, until
/// `take` breaks. Returns the result of `make`.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn ahead<B: Default + Send, T: Send>(
    make: impl FnOnce(&Handover<'_, B>) -> T + Send,
    mut take: impl FnMut(&mut B) -> ControlFlow<()>,
) -> io::Result<T> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let (give_back, used) = channel();
    let waiting = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let maker = thread::Builder::new().name("taskledger-ahead".to_owned());
        let maker = maker.spawn_scoped(scope, move || make(&Handover { sender, used, waiting }))?;
        // Taken by value: if `take` breaks or panics, the other thread must not wait for ever.
        for mut batch in receiver {
            waiting.fetch_sub(1, Ordering::Relaxed);
            if take(&mut batch).is_break() {
                break;
            }
            // Freed on the thread that allocated it: two threads at one heap wait for each other.
            let _ = give_back.send(batch);
        }
        maker.join().or_else(|panic| resume_unwind(panic))
    })
}

/// The place where the other thread puts its batches.
pub(crate) struct Handover<'a, B> {
    sender: SyncSender<B>,
    used: Receiver<B>,
    waiting: &'a AtomicUsize,
}

impl<B: Default> Handover<'_, B> {
    /// Says whether no batch waits: then the taking side could do more of the work.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Hands over a full batch, and leaves in its place a new or used one, with its old contents.
    /// `Break` if no more batches are wanted.
    pub(crate) fn pass(&self, batch: &mut B) -> ControlFlow<()> {
        let next = self.used.try_recv().unwrap_or_default();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.sender.send(std::mem::replace(batch, next)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers one by one, until no more are wanted.
    fn numbers(handover: &Handover<'_, Vec<u64>>) -> u64 {
        let mut batch = Vec::new();
        for number in 0.. {
            batch.push(number);
            if handover.pass(&mut batch).is_break() {
                return number;
            }
            batch.clear();
        }
        0
    }

    #[test]
    fn batches_come_in_order_and_the_other_thread_ends_with_the_last_that_is_wanted() {
        let mut taken = Vec::new();
        let made = ahead(numbers, |batch| {
            taken.extend_from_slice(batch);
            if taken.len() < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert!(taken.iter().copied().eq(0..1_000));
        assert!((1_000..1_000 + 16).contains(&made.unwrap()));
    }

    #[test]
    fn a_panic_on_either_side_is_one_here() {
        let panics = |f: fn()| std::panic::catch_unwind(f).is_err();
        assert!(panics(|| drop(ahead(|_: &Handover<'_, u8>| panic!("made"), |_| unreachable!()))));
        assert!(panics(|| drop(ahead(numbers, |_| panic!("taken")))));
    }
}
