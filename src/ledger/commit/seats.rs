//! Seats: the right to run tasks here, one for each manager of this process.
//!
//! Knows nothing of the work of a manager. A task's [`Host::Managed`] names a seat. The task is an
//! orphan if that seat is empty, so that silence alone never makes one.

use crate::{event::Host, ledger::Ledger};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The seats of one opening of a ledger. A number is used once.
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
    /// The name of this manager in its tasks.
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
    /// Takes a seat with a number that is new since this ledger was opened.
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

    /// Says whether the host of this name can still be running its tasks: a manager of this process
    /// that was not dropped, or a host that this ledger knows nothing about.
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
