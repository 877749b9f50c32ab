//! A ledger as a command that records has it: with its lock, or through the server that has it open.

use crate::{
    app::{App, Opened, waiting},
    facts::Facts,
    remote::{Remote, Unsent, new_key, server_of},
};
use anyhow::{Error, Result};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use taskledger::{
    Code, Ledger, Options,
    command::{Batch, Proposal},
    ids::Size,
    ledger::{AppendError, Reader},
};
use taskledger_contract::answers::ReceiptBody;

/// The pause before a server is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause before a look for events that a server has recorded, and the longest time for them to be
/// shown.
const LOOK: Duration = Duration::from_millis(1);
const SEE: Duration = Duration::from_secs(10);

/// A ledger that takes events.
pub enum Writing {
    /// This process has its lock.
    Here(Opened),
    /// A server has it, and listens at the socket in its directory.
    Beside(Beside),
    /// The server that was named has it.
    There {
        /// The server.
        remote: Remote,
        /// The longest time to try.
        wait: Duration,
    },
}

/// A ledger in a directory of this machine that a server has.
pub struct Beside {
    /// Its past.
    pub reader: Reader,
    ledger: Ledger,
    db: PathBuf,
    wait: Duration,
}

impl Writing {
    /// Takes the server that was named. Else asks the one in the ledger's directory, if one listens
    /// there; takes the lock if none does.
    pub fn open(app: &App) -> Result<Self> {
        if let Some(remote) = &app.remote {
            return Ok(Self::There { remote: remote.clone(), wait: app.global.wait });
        }
        // One that takes no connection now may do so in time.
        if let Ok(None) = server_of(&app.db) {
            return Ok(Self::Here(app.open()?));
        }
        Ok(Self::Beside(Beside::open(app)?))
    }

    /// The facts that must be known of it.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Here(opened) => Facts::Read(opened.reader.clone()),
            Self::Beside(beside) => Facts::Read(beside.reader.clone()),
            Self::There { remote, .. } => Facts::Asked(remote.clone()),
        }
    }

    /// Records the batch. A server that is too busy is asked again until `--wait` is over, and so is one
    /// whose answer was lost: every proposal has a key, so nothing is recorded twice. One that cannot
    /// be reached at all is an error at once; where it only stood beside the ledger, the ledger itself
    /// is taken.
    pub fn append(&mut self, batch: impl Into<Batch>) -> Result<Vec<ReceiptBody>> {
        let mut batch = Vec::<Proposal>::from(batch.into());
        if !matches!(self, Self::Here(_)) {
            for proposal in &mut batch {
                proposal.key.get_or_insert_with(new_key);
            }
        }
        match self {
            Self::Here(_) => {}
            Self::There { remote, wait } => {
                let sent = patiently(*wait, false, || remote.append(&batch));
                return sent.map_err(|error| keyed(error, &batch));
            }
            Self::Beside(beside) => {
                match beside.send(&batch, Remote::append).map_err(|error| keyed(error, &batch))? {
                    Some(receipts) => return Ok(receipts),
                    None => *self = Self::Here(beside.take()?),
                }
            }
        }
        let Self::Here(opened) = self else { return Err(AppendError::Halted.into()) };
        let receipts = opened.ledger.append_blocking(batch)?;
        Ok(receipts.iter().map(ReceiptBody::from).collect())
    }

    /// Lets go of it.
    pub fn close(self) {
        if let Self::Here(opened) = self {
            opened.close();
        }
    }
}

impl Beside {
    /// Looks at the ledger, which a server has.
    pub fn open(app: &App) -> Result<Self> {
        let ledger = Ledger::open_read_only(&app.db, Options::default())?;
        let reader = ledger.reader();
        Ok(Self { reader, ledger, db: app.db.clone(), wait: app.global.wait })
    }

    /// The ledger as it is looked at.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Has the server record the batch, of which every proposal has a key; `None` if the server is
    /// gone, and may have recorded it.
    pub fn send(
        &self,
        batch: &[Proposal],
        how: impl Fn(&Remote, &[Proposal]) -> Result<Vec<ReceiptBody>>,
    ) -> Result<Option<Vec<ReceiptBody>>> {
        patiently(self.wait, true, || match server_of(&self.db) {
            Ok(None) => Ok(None),
            Ok(Some(path)) => how(&Remote::at_socket(&path), batch).map(Some),
            Err(unsent) => Err(unsent.into()),
        })
    }

    /// Looks until the first `size` events are shown, which the server has said to be durable.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing tells a process that another has recorded"
    )]
    pub fn see(&self, size: Size) -> Result<()> {
        let until = Instant::now() + SEE;
        loop {
            match self.ledger.refresh_blocking() {
                Ok(head) if head.size >= size => return Ok(()),
                Err(error) if error.code() != Code::Busy => return Err(error.into()),
                // On its way, or the writer was too quick for this look.
                Ok(_) | Err(_) if Instant::now() < until => std::thread::sleep(LOOK),
                Ok(_) | Err(_) => {
                    let why = format!("event {size} is recorded, and not shown in {SEE:?}");
                    return Err(Unsent::NoAnswer(why).into());
                }
            }
        }
    }

    fn take(&self) -> Result<Opened> {
        Ok(Opened::of(Ledger::open(&self.db, waiting(self.wait))?))
    }
}

/// Names the key of a batch that may be recorded.
fn keyed(error: Error, batch: &[Proposal]) -> Error {
    let key = batch.iter().find_map(|proposal| proposal.key);
    match (error.downcast_ref::<Unsent>(), key) {
        (Some(unsent), Some(key)) if unsent.is_unknown() => {
            Unsent::Unknown { why: unsent.to_string(), key }.into()
        }
        _ => error,
    }
}

/// Tries until it is done, or so long; then the error is the one of a try that may have done it, if
/// there was one. A server that is not there at the first try is not waited for,
/// unless it `may_come`.
#[expect(clippy::disallowed_methods, reason = "a server says of no event that it has room")]
fn patiently<T>(
    wait: Duration,
    may_come: bool,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let until = Instant::now() + wait;
    let mut met = may_come;
    let mut unknown = None;
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let unsent = error.downcast_ref::<Unsent>();
        met |= !matches!(unsent, Some(Unsent::Unreached { .. }));
        let passes = unsent.is_some_and(Unsent::is_passing);
        if !passes {
            return Err(error);
        }
        if !met || Instant::now() >= until {
            return Err(unknown.unwrap_or(error));
        }
        if unsent.is_some_and(Unsent::is_unknown) {
            unknown = Some(error);
        }
        std::thread::sleep(PAUSE);
    }
}
