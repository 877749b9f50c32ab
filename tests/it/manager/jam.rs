//! A ledger whose writer is held while its queue is full: how the manager meets `Busy`.

use super::support::*;
use crate::support::{START, options, thread};
use std::{
    pin::Pin,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Waker},
};
use taskledger::{
    BackgroundTaskManager, Ledger,
    command::Spawn,
    ids::LedgerId,
    ledger::{AppendError, Receipt},
    store::faulty::FaultyDisk,
    time::{Clock, Millis},
};

/// A clock that the writer reads before it decides, and that can be held.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    held: bool,
    writer_waits: bool,
}

impl Hold {
    fn set(&self, held: bool) {
        self.state.lock().unwrap().held = held;
        self.changed.notify_all();
    }

    fn wait_for_writer(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.writer_waits).unwrap());
    }
}

impl Clock for Hold {
    fn now(&self) -> Millis {
        if std::thread::current().name() == Some("taskledger-writer") {
            let mut state = self.state.lock().unwrap();
            state.writer_waits = true;
            self.changed.notify_all();
            state = self.changed.wait_while(state, |state| state.held).unwrap();
            state.writer_waits = false;
        }
        START
    }
}

type Append = Pin<Box<dyn Future<Output = Result<Vec<Receipt>, AppendError>> + Send>>;

/// Appends that hold the writer, or wait behind it.
pub(crate) struct Jam {
    hold: Arc<Hold>,
    appends: Vec<Append>,
}

/// A manager whose writer can be held. So many requests may wait behind it.
pub(crate) async fn manager_that_jams(
    disk: &FaultyDisk,
    queue_requests_max: usize,
) -> (Manager, Arc<Hold>) {
    let hold = Arc::new(Hold::default());
    let options = options().clock(hold.clone()).queue_requests_max(queue_requests_max);
    let store = Arc::new(disk.open().unwrap());
    let ledger = Ledger::over_store(store.clone(), store, LedgerId([9; 16]), options).unwrap();
    (BackgroundTaskManager::with_ledger(ledger).await.unwrap(), hold)
}

impl Jam {
    /// Holds the writer at an append, with nothing in the queue behind it.
    pub(crate) fn held(manager: &Manager, hold: &Arc<Hold>) -> Self {
        hold.set(true);
        let mut jam = Self { hold: Arc::clone(hold), appends: Vec::new() };
        jam.put(manager);
        hold.wait_for_writer();
        jam
    }

    /// The same, with a full queue.
    pub(crate) fn full(manager: &Manager, hold: &Arc<Hold>) -> Self {
        let mut jam = Self::held(manager, hold);
        for _ in 0..manager.ledger().unwrap().options().queue_requests_max {
            jam.put(manager);
        }
        jam
    }

    /// Puts one append into the queue.
    fn put(&mut self, manager: &Manager) {
        let filler = Spawn::new(thread("filler"), "shell");
        let ledger = manager.ledger().unwrap().clone();
        let mut append: Append = Box::pin(async move { ledger.append(filler).await });
        let polled = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        self.appends.push(append);
    }

    /// Lets the writer go on, and waits until it has done what waited.
    pub(crate) async fn release(mut self) {
        self.hold.set(false);
        for append in std::mem::take(&mut self.appends) {
            drop(append.await);
        }
    }
}

impl Drop for Jam {
    fn drop(&mut self) {
        self.hold.set(false);
    }
}
