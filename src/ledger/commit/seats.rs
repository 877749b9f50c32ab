//! Who may say that it runs tasks here: one seat for each manager of this process.
//!
//! Knows nothing of what a manager does. A task's [`Host::Managed`] names a seat; whether somebody
//! still sits there decides if the task is an orphan, so that silence never does.

use crate::{event::Host, ledger::Ledger};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The seats of one opening of a ledger. A number is given once.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    next: u32,
    taken: BTreeSet<u32>,
}

/// The place of one manager, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    host: Host,
    number: u32,
    seats: Arc<Mutex<Seats>>,
}

impl Seat {
    /// How the tasks of this manager name it.
    pub fn host(&self) -> Host {
        self.host
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.number);
    }
}

impl Ledger {
    /// Takes a seat that nobody has had since this ledger was opened.
    pub fn take_seat(&self) -> Seat {
        let seats = Arc::clone(&self.inner.seats);
        let number = {
            let mut seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
            let number = seats.next;
            seats.next += 1;
            seats.taken.insert(number);
            number
        };
        let host = Host::Managed { incarnation: self.incarnation(), manager: number };
        Seat { host, number, seats }
    }

    /// Whether whoever runs tasks under this name can still be running them: a manager of this
    /// process that was not dropped, or somebody of whom this ledger cannot tell.
    pub fn is_seated(&self, host: Host) -> bool {
        match host {
            Host::External | Host::Imported => true,
            Host::Managed { incarnation, manager } => {
                let seats = self.inner.seats.lock().unwrap_or_else(PoisonError::into_inner);
                incarnation == self.incarnation() && seats.taken.contains(&manager)
            }
        }
    }
}
