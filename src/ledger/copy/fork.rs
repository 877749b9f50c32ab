//! Copies of a history: forks, and ledgers made from backup files.
//!
//! They carry frames byte for byte, so a copy has the same roots as far as it goes. Redacted texts
//! are left out of every copy; the hashes are valid without them. Batches are carried whole. Only a
//! fork may end within one, since its caller gives the place: its last event then ends the batch.
//!
//! A copy is a ledger only once it is whole. Until then its `NODE` marks it as unfinished, no
//! opening accepts it, and making it again clears it ([`Draft`]).

use super::{
    backup::{BackupDamage, open_backup, verify_backup},
    origin::OriginNote,
};
use crate::{
    code::Code,
    codec,
    command::Redact,
    event::{Origin, Part},
    ids::{Head, Seq, Size},
    ledger::{
        AppendError, Ledger, OpenError, Options, ReadError, Reader, Role,
        commit::shared::{Shared, unreadable},
        new_identity,
        read::texts::{checked, withholding},
    },
    state::LedgerState,
    store::{self, Home, Identity, NodeStore, Role as Kept},
};
use std::{io, ops::ControlFlow, path::Path, sync::Arc};

/// The number of frames in one commit of a copy.
const COPY_FRAMES: usize = 512;
const COPY_BYTES: usize = 4 << 20;

/// The reason that a copy could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The new ledger could not be created.
    #[error("the copy could not be created")]
    Open(#[from] OpenError),
    /// The history could not be read.
    #[error("the history could not be read")]
    Read(#[from] ReadError),
    /// The new ledger did not take the history.
    #[error("the copy did not take the history")]
    Append(#[from] AppendError),
    /// The new ledger could not be closed cleanly.
    #[error("the copy could not be closed")]
    Close(#[source] store::Error),
    /// The backup file could not be read or written.
    #[error("the backup file could not be {during}")]
    Io {
        /// `read` or `written`.
        during: &'static str,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The file is not a whole, unchanged backup. Nothing was created.
    #[error("not a sound backup: {detail}")]
    BadBackup {
        /// The first fault.
        detail: BackupDamage,
    },
    /// A text is gone from the files, and no redaction that the copy would have says so: a purge that
    /// came meanwhile took it, or somebody else did. Nothing was written. Refresh, and begin again; if
    /// that does not help, the text is to be redacted.
    #[error("a text of event {seq} is gone, and no redaction says so")]
    TextGone {
        /// The event.
        seq: Seq,
    },
    /// The history ends within a batch, which is possible if it was read in spite of damage.
    /// Nothing was written; a fork of it ends the batch.
    #[error("the history ends within the batch of event {last}; make a fork of it first")]
    WithinBatch {
        /// The last event.
        last: Seq,
    },
}

impl CopyError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Open(error) => error.code(),
            Self::Read(error) => error.code(),
            Self::Append(error) => error.code(),
            Self::Close(error) => error.code(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Code::Exists
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Code::NotFound,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                Code::NotFound
            }
            Self::Io { .. } => Code::FileFailed,
            Self::BadBackup { .. } => Code::BadBackup,
            Self::TextGone { .. } | Self::WithinBatch { .. } => Code::Damaged,
        }
    }
}

impl Ledger {
    /// Makes a new ledger in `home` from the first `size` events of this one; see
    /// [`fork_blocking`](Self::fork_blocking).
    ///
    /// # Errors
    /// As [`fork_blocking`](Self::fork_blocking).
    pub fn fork_in_blocking(
        &self,
        size: Size,
        home: &dyn Home,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let reader = self.reader();
        let root = reader.root_at(size)?;
        let origin = Origin { ledger: reader.ledger_id(), at: size.last_seq(), root };
        let draft = Draft::begin(home, copy_of(OriginNote::Forked(origin), &options), options)?;
        draft.fill_fork(&reader, Head { size, root }, progress)?;
        draft.finish(|copy| Identity { role: Kept::Primary, ..copy })
    }

    /// Makes a new ledger in `home` from a backup file; see
    /// [`restore_blocking`](Self::restore_blocking).
    ///
    /// # Errors
    /// As [`restore_blocking`](Self::restore_blocking).
    pub fn restore_in_blocking(
        file: &Path,
        home: &dyn Home,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let mut verifying = |done, size: u64| progress(done, size.saturating_mul(2));
        let checkpoint = verify_backup(file, &mut verifying)?.checkpoint;
        let head = checkpoint.head();
        let origin = Origin { ledger: checkpoint.ledger, at: head.seq(), root: head.root };
        let note = OriginNote::RestoredFrom(origin);
        let draft = Draft::begin(home, copy_of(note, &options), options)?;
        let mut writing = |done: u64, size: u64| {
            progress(size.saturating_add(done), size.saturating_mul(2));
        };
        draft.fill_restore(file, head, &mut writing)?;
        draft.finish(|copy| Identity { role: Kept::Primary, ..copy })
    }
}

/// The identity of a new ledger that begins as a copy.
fn copy_of(origin: OriginNote, options: &Options) -> Identity {
    Identity { note: OriginNote::note(Some(origin)), ..new_identity(options) }
}

/// An unfinished copy. Dropping it removes its files.
pub(super) struct Draft<'a> {
    home: &'a dyn Home,
    /// `None` once it is finished, or is being removed.
    begun: Option<(Ledger, Arc<dyn NodeStore>)>,
}

impl<'a> Draft<'a> {
    /// Begins a copy with this identity, in the role of an unfinished one.
    pub(super) fn begin(
        home: &'a dyn Home,
        identity: Identity,
        options: Options,
    ) -> Result<Self, CopyError> {
        let identity = Identity { role: Kept::Copying, ..identity };
        let opened = home.create(identity).map_err(OpenError::from)?;
        let kept = Arc::clone(&opened.node);
        Ok(Self { home, begun: Some((Ledger::start(opened, options)?, kept)) })
    }

    pub(super) fn ledger(&self) -> &Ledger {
        let Some((ledger, _)) = &self.begun else { unreachable!("only the end takes it") };
        ledger
    }

    fn fill_fork(
        &self,
        from: &Reader,
        head: Head,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), CopyError> {
        let mut intake = Intake::new(self.ledger(), head, progress);
        if let Some(last) = head.seq() {
            let now = from.current();
            from.scan_frames(Seq::FIRST, last, |seq, frame| {
                let mut frame = copied(from.shared(), &now, seq, frame)?;
                if seq == last && codec::batch_goes_on(&frame) {
                    frame = codec::end_batch(&frame).map_err(|error| unreadable(seq, error))?;
                }
                intake.take(frame).map(ControlFlow::Continue)
            })?;
        }
        intake.finish()?;
        repeat_redactions(self.ledger(), &from.current(), head.size.get())
    }

    fn fill_restore(
        &self,
        file: &Path,
        head: Head,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), CopyError> {
        let mut intake = Intake::new(self.ledger(), head, progress);
        let (_, mut frames) = open_backup(file)?;
        while let Some(frame) = frames.next_frame()? {
            intake.take(frame)?;
        }
        intake.finish()
    }

    /// Makes it a ledger with the identity that `become_whole` gives, durably. This is the last write, so all
    /// writes before it are there.
    pub(super) fn finish(
        mut self,
        become_whole: impl FnOnce(Identity) -> Identity,
    ) -> Result<Ledger, CopyError> {
        // Also syncs the appends, which may have any durability by its options.
        self.ledger().sync_blocking()?;
        let Some((ledger, node)) = self.begun.take() else { unreachable!("it is still begun") };
        let whole = become_whole(node.identity());
        if let Err(error) = node.set_identity(whole) {
            self.begun = Some((ledger, node));
            return Err(OpenError::from(error).into());
        }
        ledger.inner.desk.set_role(Role::of(&whole));
        Ok(ledger)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        let Some((ledger, node)) = self.begun.take() else { return };
        // They hold the files that must be removed.
        drop(ledger);
        drop(node);
        if let Err(left) = self.home.remove_unfinished() {
            tracing::warn!(home = ?self.home, %left, "an unfinished copy is left");
        }
    }
}

/// Repeats in the fork the redactions that came after the cut.
fn repeat_redactions(fork: &Ledger, now: &LedgerState, size: u64) -> Result<(), CopyError> {
    let (reader, here) = (fork.reader(), fork.reader().current());
    let later = now.redactions().filter(|(seq, _)| seq.get() <= size);
    for (seq, parts) in later.collect::<Vec<_>>() {
        let missing = parts.minus(here.redacted(seq));
        // A redaction may name texts that its event does not have, and the missing ones may be only
        // these.
        let of_event = reader.entry(seq)?.parts;
        if of_event.iter().any(|part| missing.contains(part.kind)) {
            let reason = "redacted in the ledger that this one was forked from";
            fork.append_blocking(Redact::new(seq, missing, reason))?;
        }
    }
    Ok(())
}

/// The frame as a copy takes it: without the texts that are redacted in `now`, and only with texts
/// that were recorded. A log that was opened in spite of damage is copied without the others.
pub(crate) fn copied(
    shared: &Shared,
    now: &LedgerState,
    seq: Seq,
    frame: Vec<u8>,
) -> Result<Vec<u8>, CopyError> {
    let redacted = now.redacted(seq);
    let left_out = if shared.is_salvaged() {
        redacted.union(withholding(seq, &frame, (redacted, |_| true), &shared.withheld)?.withheld)
    } else {
        let entry = checked(seq, &frame, redacted)?;
        // A copy with the purge and without its redaction would not be sound.
        let gone = |part: &Part| part.body.is_none() && !redacted.contains(part.kind);
        if entry.parts.iter().any(gone) {
            return Err(CopyError::TextGone { seq });
        }
        redacted
    };
    if left_out.is_empty() {
        return Ok(frame);
    }
    Ok(codec::erase(&frame, left_out).map_err(|error| unreadable(seq, error))?)
}

/// Gives frames to a ledger, some hundred at a time, and whole batches only.
pub(super) struct Intake<'a> {
    to: &'a Ledger,
    /// The head that they must lead to.
    head: Head,
    frames: Vec<Vec<u8>>,
    bytes: usize,
    /// The number of frames up to the end of the last whole batch.
    whole: usize,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Intake<'a> {
    pub(super) fn new(to: &'a Ledger, head: Head, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { to, head, frames: Vec::new(), bytes: 0, whole: 0, progress }
    }

    pub(super) fn take(&mut self, frame: Vec<u8>) -> Result<(), CopyError> {
        self.bytes += frame.len();
        let ends = !codec::batch_goes_on(&frame);
        self.frames.push(frame);
        if ends {
            self.whole = self.frames.len();
        }
        let full = self.frames.len() >= COPY_FRAMES || self.bytes >= COPY_BYTES;
        if full && self.whole > 0 {
            // The frames before a long batch go alone, so that the batch has the whole limit.
            let begun = self.frames.split_off(self.whole);
            self.hand_over(None)?;
            self.bytes = begun.iter().map(Vec::len).sum();
            self.frames = begun;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        self.hand_over(Some(self.head))
    }

    /// Hands over the whole batches that were taken, and drops the beginning of another one.
    pub(super) fn finish_at_batch(&mut self) -> Result<(), CopyError> {
        self.frames.truncate(self.whole);
        self.hand_over(None)
    }

    fn hand_over(&mut self, expect: Option<Head>) -> Result<(), CopyError> {
        (self.bytes, self.whole) = (0, 0);
        let now = self.to.ingest_blocking(std::mem::take(&mut self.frames), expect)?;
        (self.progress)(now.size.get(), self.head.size.max(now.size).get());
        Ok(())
    }
}
