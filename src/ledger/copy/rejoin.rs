//! An old primary becomes a standby of the new one, and gives up no event.
//!
//! What both histories share stays. If the old one has more, a copy of the common part takes its place,
//! with the same node id and the same promise, and the old directory is kept beside it, to be read.
//!
//! ```text
//! PATH primary    nothing was changed
//! PATH fenced     PATH.rejoin may be half made: it is made again
//! PATH divergent  PATH.rejoin is a whole standby: both are exchanged
//! PATH standby    PATH.rejoin is divergent: it gets its name
//! ```
//!
//! Each line can be where an earlier call was stopped. Start reading at [`Ledger::rejoin`].

use super::{
    fork::{CopyError, Draft, Intake},
    origin,
    tail::Tail,
};
use crate::{
    code::Code,
    codec,
    command::Command,
    event::PartSet,
    ids::{Epoch, Head, LedgerId, Root, Seq, Size},
    ledger::{
        Ledger, OpenError, Options, ReadError, Reader, care::mend, commit::shared::unreadable,
        directory, read::texts::checked,
    },
    proof::common_size,
    state::LedgerState,
    store::{self, FixedNode, Identity, NOTE_BYTES, Opened, Place, ReplaceError, Role as Kept},
};
use std::{collections::BTreeMap, error::Error, io, ops::ControlFlow, path::PathBuf, sync::Arc};

/// The reason that a question to the primary has no answer.
pub type Unanswered = Box<dyn Error + Send + Sync>;

/// The history of the new primary, as far as the old one asks for it.
///
/// The primary may append meanwhile: a later answer is about the same history, and may be about more
/// of it.
pub trait History {
    /// Asks the primary for its ledger and the end of its log. Asked once.
    ///
    /// # Errors
    /// If the primary did not answer.
    fn told(&self) -> Result<Told, Unanswered>;

    /// The root over its first `size` events, which it has. Asked some 25 times for ten million events.
    ///
    /// # Errors
    /// If the primary did not answer.
    fn root_at(&self, size: Size) -> Result<Root, Unanswered>;
}

/// The end of the log of a primary, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its ledger.
    pub ledger: LedgerId,
    /// The epoch of its last event; `None` if there is none.
    pub epoch: Option<Epoch>,
    /// The end of its log.
    pub head: Head,
}

/// A ledger that is open is a history.
impl History for Reader {
    fn told(&self) -> Result<Told, Unanswered> {
        Ok(Told { ledger: self.ledger_id(), epoch: self.state()?.epoch(), head: self.head() })
    }

    fn root_at(&self, size: Size) -> Result<Root, Unanswered> {
        Ok(self.root_at(size)?)
    }
}

/// A node that is a standby now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rejoined {
    /// The end of its log. The primary has all of it; what follows comes from there.
    pub kept: Head,
    /// The history that it had, if that parted from the primary's.
    pub divergent: Option<Divergent>,
}

/// A ledger that was replaced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Divergent {
    /// The directory in which it is kept.
    pub path: PathBuf,
    /// The events that are in no other history.
    pub tail: Tail,
}

/// The reason that a node could not rejoin. There is a whole ledger at the path, and calling again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RejoinError {
    /// The ledger could not be opened, or a file of it not be written.
    #[error("the old ledger could not be opened")]
    Open(#[from] OpenError),
    /// The old history could not be read.
    #[error("the old history could not be read")]
    Read(#[from] ReadError),
    /// The copy of the common part could not be made.
    #[error("the common part could not be copied")]
    Copy(#[from] CopyError),
    /// The primary did not answer.
    #[error("the primary did not answer")]
    Unanswered(#[source] Unanswered),
    /// The primary has another ledger. Nothing was changed.
    #[error("the primary has ledger {theirs}; this one is {ours}")]
    OtherLedger {
        /// The ledger here.
        ours: LedgerId,
        /// The primary's.
        theirs: LedgerId,
    },
    /// This node has promised a later epoch, and follows no primary of an earlier one. Promote a node
    /// again: that begins an epoch after both. Nothing was changed.
    #[error("this node has promised epoch {promised}; the primary is of epoch {}", named(.theirs.as_ref()))]
    Promised {
        /// The epoch that was promised.
        promised: Epoch,
        /// The primary's.
        theirs: Option<Epoch>,
    },
    /// The histories differ, and the other one is not of a later epoch: it may be the one that is out
    /// of date. Nothing was changed.
    #[error(
        "the histories part after event {common}, and the primary's epoch {} is not above {}",
        named(.theirs.as_ref()),
        named(.ours.as_ref())
    )]
    NotAbove {
        /// The number of common events.
        common: Size,
        /// The epoch of the last event here.
        ours: Option<Epoch>,
        /// That of the primary's last event.
        theirs: Option<Epoch>,
    },
    /// The system cannot exchange the directory and its copy in one step.
    #[error("{} cannot be exchanged for a copy in one step", .path.display())]
    CannotExchange {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
}

impl RejoinError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Open(error) => error.code(),
            Self::Read(error) => error.code(),
            Self::Copy(error) => error.code(),
            Self::Unanswered(_) => Code::StorageUnavailable,
            Self::OtherLedger { .. } => Code::OtherHistory,
            Self::Promised { .. } | Self::NotAbove { .. } => Code::NotPrimary,
            Self::CannotExchange { .. } => Code::StorageFailed,
        }
    }
}

impl From<store::Error> for RejoinError {
    fn from(error: store::Error) -> Self {
        Self::Open(error.into())
    }
}

/// An epoch in words.
fn named(epoch: Option<&Epoch>) -> String {
    epoch.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl Ledger {
    /// Makes a standby of `primary` of the ledger in `path`, which was a primary itself, or a standby of
    /// another one. Blocks. The ledger must not be open. `progress` gets the number of events copied
    /// and of all.
    ///
    /// The events that both have stay, byte for byte. If there are others here, the directory is kept
    /// under another name, which [`Rejoined::divergent`] tells with all that is in no other history; it
    /// can be [read](Self::open_read_only), and is never opened to write again. From the first event on
    /// whose text is gone here though it was not redacted by then, the standby takes the common events
    /// from the primary too.
    ///
    /// # Durability
    /// When it returns, all of this survives loss of power. Stopped at any moment, it leaves a whole
    /// ledger at `path`, and calling it again goes on.
    ///
    /// # Errors
    /// [`RejoinError`]. At each of them there is a ledger at `path`, with every event.
    ///
    /// # Cost
    /// O(log size) questions to the primary. If there are other events here, O(bytes of the common
    /// part), and as much space.
    pub fn rejoin(
        path: impl AsRef<std::path::Path>,
        primary: &dyn History,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rejoined, RejoinError> {
        options.check()?;
        let place = directory::place(path, &options)?;
        Rejoin { place, primary, options }.run(progress)
    }
}

/// A ledger on its way to another primary, locked.
struct Rejoin<'a> {
    place: Place,
    primary: &'a dyn History,
    options: Options,
}

impl Rejoin<'_> {
    fn run(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Rejoined, RejoinError> {
        let (identity, copy) = (self.place.identity()?, self.place.copy_identity()?);
        let copied = copy.filter(|copy| copy.ledger == identity.ledger).map(|copy| copy.role);
        match (identity.role, copied) {
            (_, Some(Kept::Divergent)) => self.name_replaced(),
            (Kept::Divergent, Some(Kept::Standby)) => self.put_in_place_again(),
            _ => self.compare(identity, progress),
        }
    }

    /// Holds the two histories against each other, and does what follows.
    fn compare(
        &self,
        identity: Identity,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rejoined, RejoinError> {
        let told = self.primary.told().map_err(RejoinError::Unanswered)?;
        let promised = check(&identity, &told)?;
        let ledger = self.open(identity, told.epoch)?;
        let reader = ledger.reader();
        let (common, head) = (self.common(&reader, &told)?, reader.head());
        if common == head {
            close(ledger, reader)?;
            let standby = Identity { role: Kept::Standby, fenced: None, promised, ..identity };
            self.place.set_identity(&standby)?;
            return Ok(Rejoined { kept: head, divergent: None });
        }
        let (ours, theirs) = (reader.state()?.epoch(), told.epoch);
        if theirs.map_or(0, number) <= ours.map_or(0, number) {
            return Err(RejoinError::NotAbove { common: common.size, ours, theirs });
        }
        self.place.check_exchange().map_err(|error| self.unable(error))?;
        let tail = Tail::read(&reader, common)?;
        if identity.role != Kept::Divergent {
            self.place.set_identity(&Identity { fenced: theirs, promised, ..identity })?;
        }
        if self.place.copy_identity()?.is_some() {
            self.place.remove_copy()?;
        }
        let standby = Identity {
            role: Kept::Standby,
            fenced: None,
            promised,
            note: [0; NOTE_BYTES],
            ..identity
        };
        let kept = self.copy(&reader, &tail, standby, progress)?;
        close(ledger, reader)?;
        let note = origin::parted_note(identity.ledger, common);
        self.place.set_identity(&Identity { role: Kept::Divergent, promised, note, ..identity })?;
        self.put_in_place(kept, tail)
    }

    /// Opens the ledger, with all that it has made durable, so that it takes no events: not even one
    /// that says that it was opened.
    fn open(&self, identity: Identity, by: Option<Epoch>) -> Result<Ledger, OpenError> {
        let (home, options) = (self.place.home(), &self.options);
        if identity.role == Kept::Divergent {
            return Ledger::open_read_only_in(&home, options.clone());
        }
        let by = by.unwrap_or(Epoch { number: 0, nonce: 0 });
        let node = FixedNode(Identity { fenced: Some(by), ..identity });
        mend::open(&home, || {
            let opened = store::Home::open(&home)?;
            Ledger::start(Opened { node: Arc::new(node), ..opened }, options.clone())
        })
    }

    /// The last head that both histories have.
    fn common(&self, ours: &Reader, told: &Told) -> Result<Head, RejoinError> {
        let same = |size| {
            let theirs = if size == told.head.size {
                told.head.root
            } else {
                self.primary.root_at(size).map_err(RejoinError::Unanswered)?
            };
            Ok::<_, RejoinError>(ours.root_at(size)? == theirs)
        };
        let size = common_size(ours.head().size, told.head.size, same)?;
        if size.is_empty() {
            return Ok(Head::EMPTY);
        }
        Ok(Head { size, root: ours.root_at(size)? })
    }

    /// Makes the copy of the common part. Last of all it becomes what `standby` says.
    fn copy(
        &self,
        old: &Reader,
        tail: &Tail,
        standby: Identity,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Head, RejoinError> {
        let home = self.place.copy()?;
        // Its promise would refuse the events of earlier epochs.
        let draft =
            Draft::begin(&home, Identity { promised: None, ..standby }, self.options.clone())?;
        let kept = fill(draft.ledger(), old, tail, progress)?;
        let copy = draft.finish(|_| standby)?;
        copy.close_blocking().map_err(CopyError::Close)?;
        Ok(kept)
    }

    fn put_in_place(&self, kept: Head, tail: Tail) -> Result<Rejoined, RejoinError> {
        let path = self.aside(&tail);
        self.place.put_in_place(&path).map_err(|error| self.unable(error))?;
        Ok(Rejoined { kept, divergent: Some(Divergent { path, tail }) })
    }

    /// Goes on where an earlier call had finished the copy.
    fn put_in_place_again(&self) -> Result<Rejoined, RejoinError> {
        let read = |home| Ledger::open_read_only_in(&home, self.options.clone());
        let kept = read(self.place.copy()?)?.reader().head();
        let tail = tail_of(&read(self.place.home())?)?;
        self.put_in_place(kept, tail)
    }

    /// Goes on where an earlier call had exchanged the directories.
    fn name_replaced(&self) -> Result<Rejoined, RejoinError> {
        let read = |home| Ledger::open_read_only_in(&home, self.options.clone());
        let kept = read(self.place.home())?.reader().head();
        let tail = tail_of(&read(self.place.copy()?)?)?;
        let path = self.aside(&tail);
        self.place.name_replaced(&path)?;
        Ok(Rejoined { kept, divergent: Some(Divergent { path, tail }) })
    }

    fn aside(&self, tail: &Tail) -> PathBuf {
        let first = tail.common.size.get().saturating_add(1);
        self.place.aside(tail.epoch.map_or(0, number), first, tail.head.size.get())
    }

    fn unable(&self, error: ReplaceError) -> RejoinError {
        match error {
            ReplaceError::Store(error) => error.into(),
            ReplaceError::CannotExchange(source) => {
                RejoinError::CannotExchange { path: self.place.path().to_owned(), source }
            }
        }
    }
}

/// Checks that the primary is one that this node may follow, and returns what the node has promised
/// from now on.
fn check(identity: &Identity, told: &Told) -> Result<Option<Epoch>, RejoinError> {
    let (ours, theirs) = (identity.ledger, told.ledger);
    if ours != theirs {
        return Err(RejoinError::OtherLedger { ours, theirs });
    }
    let theirs = told.epoch;
    for promised in [identity.promised, identity.fenced].into_iter().flatten() {
        if theirs != Some(promised) && theirs.map_or(0, number) <= promised.number {
            return Err(RejoinError::Promised { promised, theirs });
        }
    }
    Ok(theirs.or(identity.promised))
}

fn number(epoch: Epoch) -> u64 {
    epoch.number
}

/// Lets go of the old ledger: its threads know its files by their path.
fn close(ledger: Ledger, reader: Reader) -> Result<(), RejoinError> {
    ledger.close_blocking()?;
    drop((reader, ledger));
    Ok(())
}

/// The tail of a ledger that was replaced.
fn tail_of(replaced: &Ledger) -> Result<Tail, RejoinError> {
    let common = replaced.parted_at().unwrap_or(Head::EMPTY);
    Ok(Tail::read(&replaced.reader(), common)?)
}

/// Gives the common part to the copy, in whole batches, and returns how far it got: to the end, or to the
/// first event that cannot be carried over.
fn fill(
    copy: &Ledger,
    old: &Reader,
    tail: &Tail,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Head, RejoinError> {
    let later = redacted_in(tail);
    let mut intake = Intake::new(copy, tail.common, progress);
    if let Some(last) = tail.common.seq() {
        let now = old.current();
        old.scan_frames(Seq::FIRST, last, |seq, frame| {
            let later = later.get(&seq).copied().unwrap_or_default();
            let Some(frame) = carried((&now, later), seq, frame)? else {
                return Ok(ControlFlow::Break(()));
            };
            intake.take(frame).map(ControlFlow::Continue)
        })?;
    }
    intake.finish_at_batch()?;
    let kept = copy.reader().head();
    let expected = old.root_at(kept.size)?;
    if kept.size > 0 && kept.root != expected {
        let at = kept.size.get();
        return Err(OpenError::Tampered { at, expected, found: kept.root }.into());
    }
    Ok(kept)
}

/// The texts of common events that were redacted after these.
fn redacted_in(tail: &Tail) -> BTreeMap<Seq, PartSet> {
    let mut texts: BTreeMap<Seq, PartSet> = BTreeMap::new();
    for proposal in &tail.redactions {
        if let Command::Redact(redact) = &proposal.command {
            let known = texts.entry(redact.seq).or_default();
            *known = known.union(redact.parts);
        }
    }
    texts
}

/// The frame without the texts that the common part redacts; `None` if it lacks another text, or has one
/// that is not what was recorded: in a history that does not know of the redaction it would be damage.
fn carried(
    (now, later): (&LedgerState, PartSet),
    seq: Seq,
    frame: Vec<u8>,
) -> Result<Option<Vec<u8>>, CopyError> {
    let redacted = now.redacted(seq).minus(later);
    let entry = match checked(seq, &frame, redacted) {
        Err(ReadError::Damaged { .. }) => return Ok(None),
        entry => entry?,
    };
    if entry.parts.iter().any(|part| part.body.is_none() && !redacted.contains(part.kind)) {
        return Ok(None);
    }
    if redacted.is_empty() {
        return Ok(Some(frame));
    }
    Ok(Some(codec::erase(&frame, redacted).map_err(|error| unreadable(seq, error))?))
}

#[cfg(test)]
mod tests;
