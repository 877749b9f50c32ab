//! Keeps a ledger that is only read at the end of its log.

use crate::service::Service;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use taskledger::{
    Code,
    ledger::{ReadError, Role},
};
use tokio::{select, task::spawn_blocking, time::Instant, time::sleep};

/// The pauses between two looks at a log in which nothing is new.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// The pause between two looks at the spool.
const SPOOL_PAUSE: Duration = Duration::from_secs(1);
/// The longest time without a look that succeeds.
const STALE: Duration = Duration::from_secs(5);

/// The last time at which the end of the log was read.
#[derive(Debug, Default)]
pub(crate) struct Freshness(Mutex<Option<Instant>>);

impl Freshness {
    pub(crate) fn is_fresh(&self) -> bool {
        let read = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read.is_some_and(|read| read.elapsed() < STALE)
    }

    fn renew(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Service {
    /// Looks for new events of a ledger that another process writes, until the server
    /// [stops](Self::stop). Of a ledger that is open to append it records what waits in the spool, such
    /// as the ends of commands that could not have the ledger while the server has it.
    ///
    /// # Errors
    /// [`ReadError`] with the code [`OtherHistory`](Code::OtherHistory) if another ledger is at the
    /// path now: this one can show nothing more. Other failures are tried again; meanwhile `/readyz`
    /// says so.
    ///
    /// # Cancel safety
    /// Cancel safe: a look changes nothing on disk.
    pub async fn keep_up(&self) -> Result<(), ReadError> {
        if self.ledger().role() != Role::ReadOnly {
            self.take_in().await;
            return Ok(());
        }
        let (mut pause, mut seen) = (PAUSE_MIN, self.ledger().reader().head().size);
        while !self.closing().is_cancelled() {
            let ledger = self.ledger().clone();
            match spawn_blocking(move || ledger.refresh_blocking()).await {
                Ok(Ok(head)) => {
                    self.freshness().renew();
                    pause = if head.size > seen { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
                    seen = head.size;
                }
                Ok(Err(error)) if error.code() == Code::OtherHistory => return Err(error),
                // The writer was too quick for this look; the next one will do.
                Ok(Err(error)) if error.code() == Code::Busy => pause = PAUSE_MIN,
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "the end of the log could not be read");
                    pause = PAUSE_MAX;
                }
                Err(error) => {
                    tracing::error!(error = %error, "a look at the log has died");
                    pause = PAUSE_MAX;
                }
            }
            select! {
                () = sleep(pause) => {}
                () = self.closing().cancelled() => {}
            }
        }
        Ok(())
    }

    async fn take_in(&self) {
        while !self.closing().is_cancelled() {
            // What waits is for a primary: a standby may become one.
            if self.ledger().role() == Role::Primary {
                let ledger = self.ledger().clone();
                let taken = spawn_blocking(move || ledger.take_in_blocking()).await;
                if let Ok(Err(error)) = taken {
                    tracing::warn!(error = %error, "the spool could not be taken in");
                }
            }
            select! {
                () = sleep(SPOOL_PAUSE) => {}
                () = self.closing().cancelled() => {}
            }
        }
    }
}
