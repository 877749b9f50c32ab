//! Appends by a process that does not keep the ledger open.
//!
//! One process at a time can have a ledger open to append, and the commands that run here record as
//! well. So it is opened for each append and closed at once, and whoever finds it taken waits for
//! its turn, for a bounded time; a server that has it is asked instead. Every proposal must have a key: then trying again cannot record
//! anything twice.

use crate::{
    app::waiting,
    facts::Facts,
    note::note,
    remote::{Remote, Shown, Unsent, late, server_of},
    signals::{Kind, Signals},
};
use anyhow::{Error, Result};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use taskledger::{
    Code, Ledger, Options,
    command::Proposal,
    ids::LedgerId,
    ledger::{AppendError, OpenError},
    store,
};
use taskledger_contract::answers::ReceiptBody;
use tokio::{
    select,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// The first and the longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(5);
pub const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The shortest time in which a server has to answer, also where the ledger is not waited for.
pub const ANSWER_MIN: Duration = Duration::from_secs(5);

/// Appends to a ledger that it holds only for as long as an append takes.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// The ledger's directory; the address of the server that was named, if one was.
    pub db: PathBuf,
    /// That server.
    pub remote: Option<Remote>,
    /// How long to try.
    pub wait: Duration,
    /// Whether to say that it waits.
    pub tell: bool,
    /// Whether to make the ledger if there is none.
    pub creates: bool,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The ledger.
    pub ledger: LedgerId,
    /// Whether it was made for this.
    pub made: bool,
    /// What is true after it.
    pub after: Facts,
    /// One for each proposal.
    pub receipts: Vec<ReceiptBody>,
}

/// Why nothing was recorded.
#[derive(Debug)]
pub enum Unrecorded {
    /// The ledger was not to be had in time; the last error.
    TimedOut(Error),
    /// This signal came while it was waited for.
    Interrupted(&'static Kind),
    /// Trying again would not help.
    Refused(Error),
}

impl Unrecorded {
    /// The reason in words, after a wait of at most so long.
    pub fn told(&self, wait: Duration) -> String {
        match self {
            Self::TimedOut(error) => format!("{error:#}, for {wait:?}"),
            Self::Interrupted(signal) => {
                format!("received {} while waiting for the ledger", signal.name)
            }
            Self::Refused(error) => format!("{error:#}"),
        }
    }

    /// True if a rule of the ledger forbids it, so that it would be refused again.
    pub fn is_rule(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        if let Some(unsent) = error.downcast_ref::<Unsent>() {
            return unsent.is_rule();
        }
        if is_replaced(error) {
            return true;
        }
        matches!(
            error.downcast_ref(),
            Some(
                AppendError::Rejected(_)
                    | AppendError::TooLarge { .. }
                    | AppendError::Conflict { .. }
                    | AppendError::KeyReused { .. }
            )
        )
    }
}

impl Recorder {
    /// Opens the ledger, appends what `make` proposes, if anything, all or nothing, and closes the
    /// ledger. While that cannot be had it waits, until the time is up or one of `signals` comes.
    pub async fn append(
        &self,
        mut signals: Option<&mut Signals>,
        make: impl Fn(&Facts) -> Result<Vec<Proposal>> + Clone + Send + 'static,
    ) -> Result<Recorded, Unrecorded> {
        let until = Instant::now() + self.wait;
        let mut pause = PAUSE_MIN;
        // The error of a try that may have recorded it.
        let mut unknown = None;
        loop {
            let recorded = match interruptible(&mut signals, self.server()).await? {
                Ok(Some(remote)) => {
                    interruptible(&mut signals, self.through(remote, until, make.clone())).await?
                }
                Ok(None) => match interruptible(&mut signals, self.open(until)).await? {
                    Ok((ledger, is_new)) => Self::once(ledger, is_new, make.clone()).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            let error = match recorded {
                Ok(recorded) => return Ok(recorded),
                Err(error) => error,
            };
            // A server that was named and was not there at any try is most likely not there at all.
            let is_nowhere =
                self.creates && self.remote.is_some() && unknown.is_none() && is_unreached(&error);
            if is_nowhere || !is_passing(&error) {
                return Err(Unrecorded::Refused(error));
            }
            if Instant::now() >= until {
                return Err(Unrecorded::TimedOut(unknown.unwrap_or(error)));
            }
            if self.tell && pause == PAUSE_MIN {
                note(&format!("taskledger: waiting: {error:#}"));
            }
            if is_unknown(&error) {
                unknown = Some(error);
            }
            interruptible(&mut signals, sleep(pause)).await?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Opens the ledger when it is this process's turn. If the caller does not wait for that, the
    /// ledger is closed at once.
    async fn open(&self, until: Instant) -> Result<(Ledger, bool), Error> {
        let Self { db, creates, tell, .. } = self.clone();
        let wait = until.saturating_duration_since(Instant::now());
        let opened = spawn_blocking(move || match opened(&db, creates, Duration::ZERO) {
            Err(error) if !wait.is_zero() && is_in_use(&error) => {
                if tell {
                    note(&format!("taskledger: waiting: {error:#}"));
                }
                opened(&db, creates, wait)
            }
            opened => opened,
        });
        opened.await?
    }

    /// The server that was named, or the one that has the ledger, if one does.
    async fn server(&self) -> Result<Option<Remote>, Error> {
        if let Some(remote) = &self.remote {
            return Ok(Some(remote.clone()));
        }
        let db = self.db.clone();
        let found = spawn_blocking(move || server_of(&db)).await??;
        Ok(found.map(|socket| Remote::at_socket(&socket)))
    }

    /// Appends through a server, if it answers in time. A caller that does not wait for that may have
    /// it recorded all the same.
    async fn through(
        &self,
        remote: Remote,
        until: Instant,
        make: impl Fn(&Facts) -> Result<Vec<Proposal>> + Send + 'static,
    ) -> Result<Recorded, Error> {
        let (db, is_named) = (self.db.clone(), self.remote.is_some());
        let longest = until.saturating_duration_since(Instant::now()).max(ANSWER_MIN);
        let recorded = spawn_blocking(move || {
            let look = || -> Result<Facts> {
                if is_named {
                    return Ok(Facts::Asked(remote.clone()));
                }
                // It is here, too, where nothing is too busy to be read.
                Ok(Facts::Read(Ledger::open_read_only(&db, Options::default())?.reader()))
            };
            let proposals = make(&look()?)?;
            let receipts =
                if proposals.is_empty() { Vec::new() } else { remote.append(&proposals)? };
            let after = look()?;
            Ok(Recorded { ledger: after.ledger()?, made: false, after, receipts })
        });
        timeout(longest, recorded).await.map_err(|_| late(longest))??
    }

    async fn once(
        ledger: Ledger,
        is_new: bool,
        make: impl Fn(&Facts) -> Result<Vec<Proposal>> + Send + 'static,
    ) -> Result<Recorded, Error> {
        let recorded = spawn_blocking(move || {
            let reader = Facts::Read(ledger.reader());
            let receipts = make(&reader).and_then(|proposals| {
                let none = proposals.is_empty();
                Ok(if none { Vec::new() } else { ledger.append_blocking(proposals)? })
            });
            let closed = ledger.close_blocking();
            let receipts = receipts?.iter().map(ReceiptBody::from).collect();
            if let Err(error) = closed {
                // What was acknowledged is durable all the same.
                note(&format!("taskledger: the ledger could not be closed: {error}"));
            }
            Ok(Recorded { ledger: reader.ledger()?, made: is_new, after: reader, receipts })
        });
        recorded.await?
    }
}

/// Waits, unless one of `signals` that asks to stop comes first.
async fn interruptible<T>(
    signals: &mut Option<&mut Signals>,
    waiting: impl Future<Output = T>,
) -> Result<T, Unrecorded> {
    let interrupted = async {
        match signals.as_mut() {
            Some(signals) => signals.next_stop().await,
            None => std::future::pending().await,
        }
    };
    select! {
        biased;
        signal = interrupted => Err(Unrecorded::Interrupted(signal)),
        done = waiting => Ok(done),
    }
}

/// True if another ledger is where the task began.
pub fn is_replaced(error: &Error) -> bool {
    let is = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(store::Error::Replaced { .. }))
            || matches!(cause.downcast_ref(), Some(Unsent::Replaced { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(Unsent::Refused { code: Some(Code::OtherHistory), .. })
            )
    };
    error.chain().any(is)
}

/// True if the server that was named cannot be reached: nothing was sent.
fn is_unreached(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(Unsent::Unreached { .. }))
}

/// True if the server that was named cannot be reached, or went away.
pub fn is_absent(error: &Error) -> bool {
    is_unreached(error) || matches!(error.downcast_ref(), Some(Unsent::Lost(_)))
}

/// True if the server took the token before, and takes it no longer.
pub fn is_shut_out(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(Unsent::NotAdmitted(Shown::NoLonger)))
}

/// True if it may be recorded all the same.
pub fn is_unknown(error: &Error) -> bool {
    error.downcast_ref().is_some_and(Unsent::is_unknown)
}

fn is_in_use(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}

/// The ledger, and whether it was made just now.
fn opened(db: &Path, creates: bool, wait: Duration) -> Result<(Ledger, bool)> {
    let open = || Ledger::open(db, waiting(wait));
    match open() {
        Err(OpenError::NotFound { .. }) if creates => {}
        opened => return Ok((opened?, false)),
    }
    match Ledger::create(db, waiting(wait)) {
        // Either another process has made it meanwhile, or something else is there.
        Err(exists @ OpenError::Exists { .. }) => match open() {
            Err(OpenError::NotFound { .. }) => Err(exists.into()),
            opened => Ok((opened?, false)),
        },
        made => Ok((made?, true)),
    }
}

/// Whether the same append may succeed in a while.
pub fn is_passing(error: &Error) -> bool {
    let open = matches!(
        error.downcast_ref(),
        Some(OpenError::InUse { .. } | OpenError::Io(store::Error::Full { .. }))
    );
    let append = error.downcast_ref().is_some_and(|error: &AppendError| {
        error.is_retryable() || matches!(error, AppendError::OutcomeUnknown { .. })
    });
    let unsent = error.downcast_ref().is_some_and(Unsent::is_passing);
    open || append || unsent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_is_waited_for() {
        let in_use = OpenError::InUse { path: "/x".into(), pid: 7 };
        assert!(is_passing(&in_use.into()));
        assert!(is_passing(&AppendError::DiskFull.into()));
        assert!(is_passing(&AppendError::OutcomeUnknown { key: None }.into()));
        assert!(!is_passing(&OpenError::NotFound { path: "/x".into() }.into()));
        assert!(!is_passing(&AppendError::NotPrimary.into()));
        assert!(!is_passing(&anyhow::anyhow!("anything else")));
    }
}
