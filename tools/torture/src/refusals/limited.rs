//! A process with limits: opens, appends until it is refused, and says how far it came.

use super::bench::{append, next_number};
use crate::order::options;
use anyhow::Result;
use std::{io::Write, path::Path};
use taskledger::{Durability, Ledger, ledger::AppendError};

/// Events that it appends if nobody refuses them: more than fill a few journals.
const EVENTS: u64 = 400;

/// What such a process answers.
pub mod ends {
    /// In words, if it is an answer.
    pub fn name(code: i32) -> Option<&'static str> {
        Some(match code {
            DONE => "all appended",
            NOT_OPENED => "not opened",
            REFUSED => "refused whole",
            HALTED => "halted",
            NOT_SEALED => "all appended, not sealed",
            _ => return None,
        })
    }

    /// It did everything.
    pub const DONE: i32 = 0;
    /// It could not open; nothing was promised.
    pub const NOT_OPENED: i32 = 10;
    /// An append was refused, and can be tried again.
    pub const REFUSED: i32 = 11;
    /// Everything was appended, and what was appended could not be sealed.
    pub const NOT_SEALED: i32 = 13;
    /// Storage failed: the outcome of an append is not known, and the ledger halted.
    pub const HALTED: i32 = 12;
}

/// Sets the limit, and does what it can with journals of so many bytes. Says the number of each
/// event that is acknowledged.
pub fn run(limit: &str, value: u64, journal_bytes: u64, path: &Path) -> Result<i32> {
    let resource = match limit {
        "nofile" => rustix::process::Resource::Nofile,
        _ => rustix::process::Resource::Fsize,
    };
    let limit = rustix::process::Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(resource, limit)?;
    let mut out = std::io::stdout().lock();
    let usual = options(Durability::Synced);
    let store = usual.store.clone().journal_bytes(journal_bytes);
    let ledger = match Ledger::open(path, usual.store(store)) {
        Ok(ledger) => ledger,
        Err(error) => {
            writeln!(out, "{error:?}")?;
            return Ok(ends::NOT_OPENED);
        }
    };
    let first = match next_number(&ledger) {
        Ok(first) => first,
        // Reading takes files of its own.
        Err(error) => {
            writeln!(out, "{error:?}")?;
            return Ok(ends::NOT_OPENED);
        }
    };
    for number in 0..EVENTS {
        let before = ledger.reader().head();
        match append(&ledger, first + number, 1) {
            Ok(()) => writeln!(out, "acknowledged {}", ledger.reader().head().size)?,
            Err(error) => {
                writeln!(out, "{error:?}")?;
                let again = append(&ledger, first + number, 1).err();
                return Ok(judge(&error, again.as_ref(), ledger.reader().head() == before));
            }
        }
        if number % 50 == 49 {
            // Whether one can be made is not asked here; nothing is lost if not.
            let _ = ledger.flush_blocking();
        }
    }
    if let Err(error) = ledger.close_blocking() {
        writeln!(out, "{error:?}")?;
        return Ok(ends::NOT_SEALED);
    }
    Ok(ends::DONE)
}

/// Refused whole, or halted: then the next append is refused too.
fn judge(error: &anyhow::Error, again: Option<&anyhow::Error>, unchanged: bool) -> i32 {
    let halted =
        again.is_some_and(|error| matches!(error.downcast_ref(), Some(AppendError::Halted)));
    match error.downcast_ref::<AppendError>() {
        Some(
            AppendError::DiskFull
            | AppendError::Busy { .. }
            | AppendError::SealingBehind { .. }
            | AppendError::SealingStopped { .. },
        ) if unchanged && !halted => ends::REFUSED,
        Some(AppendError::OutcomeUnknown { .. }) if halted => ends::HALTED,
        _ => 1,
    }
}
