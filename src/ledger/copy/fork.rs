//! Copies of a history: forks, and ledgers made of backup files.
//!
//! They carry frames byte for byte, so a copy has the same roots as far as it goes. Texts that were
//! redacted are left out of every copy; the hashes hold without them.
//!
//! A copy is a ledger only once it is whole: until then its `NODE` says that it is being made, no
//! opening accepts it, and making it again clears it away ([`Draft`]).

use super::{
    backup::{open_backup, verify_backup},
    origin::OriginNote,
};
use crate::{
    code::Code,
    codec,
    command::{Command, Proposal},
    event::Origin,
    ids::{Head, Seq},
    ledger::{AppendError, Ledger, OpenError, Options, ReadError, Reader},
    state::LedgerState,
    store::{
        self,
        disk::{self, DiskStore, Identity, Role},
    },
};
use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Frames that are written in one commit of a copy.
const COPY_FRAMES: usize = 512;
const COPY_BYTES: usize = 4 << 20;

/// Why a copy could not be made.
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
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not a whole, unchanged backup. Nothing was created.
    #[error("not a sound backup: {detail}")]
    BadBackup {
        /// What does not hold.
        detail: String,
    },
}

impl CopyError {
    /// What kind of error it is, as a word for exit codes, HTTP and metrics.
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
        }
    }
}

impl Ledger {
    /// Makes a new ledger in `path` of the first `size` events of this one.
    ///
    /// Its roots are the same up to there. Redactions after the cut are applied to it as well.
    /// `progress` is told how many events of how many are copied.
    ///
    /// # Durability
    /// When it returns, the copy survives loss of power. Killed before that, it leaves what no
    /// opening takes for a ledger ([`OpenError::Unfinished`]) and what making it again clears away.
    ///
    /// # Errors
    /// [`CopyError`]; a copy that was begun is removed.
    ///
    /// # Cost
    /// O(bytes copied).
    pub fn fork_blocking(
        &self,
        size: u64,
        path: impl AsRef<Path>,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let reader = self.reader();
        let root = reader.root_at(size)?;
        let origin = Origin { ledger: reader.ledger_id(), at: Seq::last_of(size), root };
        let draft = Draft::begin(path.as_ref(), options, OriginNote::Forked(origin))?;
        draft.fill_fork(&reader, Head { size, root }, progress)?;
        draft.finish()
    }

    /// Makes a new ledger in `path` of a backup file.
    ///
    /// The whole file is verified against its checkpoint before anything is created. `progress` is
    /// told how much is done: each event counts twice, once when it is verified and once when it is
    /// written.
    ///
    /// # Durability
    /// As [`fork_blocking`](Self::fork_blocking).
    ///
    /// # Errors
    /// [`CopyError::BadBackup`] if the file is not what was written; a copy that was begun is
    /// removed.
    pub fn restore_blocking(
        file: impl AsRef<Path>,
        path: impl AsRef<Path>,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, CopyError> {
        let mut verifying = |done, size: u64| progress(done, size.saturating_mul(2));
        let checkpoint = verify_backup(file.as_ref(), &mut verifying)?.checkpoint;
        let head = checkpoint.head();
        let origin = Origin { ledger: checkpoint.ledger, at: head.seq(), root: head.root };
        let draft = Draft::begin(path.as_ref(), options, OriginNote::RestoredFrom(origin))?;
        let mut writing = |done: u64, size: u64| {
            progress(size.saturating_add(done), size.saturating_mul(2));
        };
        draft.fill_restore(file.as_ref(), head, &mut writing)?;
        draft.finish()
    }
}

/// A copy in the making. Dropped before it is finished, it goes again.
struct Draft {
    path: PathBuf,
    /// `None` once it is finished, or about to go.
    begun: Option<(Ledger, Arc<DiskStore>)>,
}

impl Draft {
    fn begin(path: &Path, options: Options, origin: OriginNote) -> Result<Self, CopyError> {
        let store = Arc::new(Ledger::create_store(path, &options, Some(origin))?);
        let ledger = Ledger::over_disk(Arc::clone(&store), options)?;
        Ok(Self { path: path.to_owned(), begun: Some((ledger, store)) })
    }

    fn ledger(&self) -> Result<&Ledger, CopyError> {
        self.begun.as_ref().map(|(ledger, _)| ledger).ok_or(CopyError::Append(AppendError::Halted))
    }

    fn fill_fork(
        &self,
        from: &Reader,
        head: Head,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), CopyError> {
        let mut intake = Intake::new(self.ledger()?, head, progress);
        let mut failure = None;
        if let Some(last) = head.seq() {
            let now = from.state();
            from.scan_frames(Seq::FIRST, last, |seq, frame| {
                let taken = intake.take(without_redacted(seq, frame, &now)?);
                Ok(match taken {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                })
            })?;
        }
        failure.map_or(Ok(()), Err)?;
        intake.finish()?;
        repeat_redactions(self.ledger()?, &from.state(), head.size)
    }

    fn fill_restore(
        &self,
        file: &Path,
        head: Head,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), CopyError> {
        let mut intake = Intake::new(self.ledger()?, head, progress);
        let (_, mut frames) = open_backup(file)?;
        while let Some(frame) = frames.next_frame()? {
            intake.take(frame)?;
        }
        intake.finish()
    }

    /// Makes it a ledger, durably: the last thing that is written says that all before it is there.
    fn finish(mut self) -> Result<Ledger, CopyError> {
        let (ledger, store) = self.begun.as_ref().ok_or(CopyError::Append(AppendError::Halted))?;
        // Also what was appended, with whatever durability it has by its options.
        ledger.sync_blocking()?;
        let whole = Identity { role: Role::Primary, ..store.identity() };
        store.set_identity(whole).map_err(OpenError::from)?;
        let finished = self.begun.take().map(|(ledger, _)| ledger);
        finished.ok_or(CopyError::Append(AppendError::Halted))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some((ledger, store)) = self.begun.take() else { return };
        drop(ledger);
        drop(store);
        if let Err(left) = disk::remove_unfinished(&self.path) {
            tracing::warn!(path = %self.path.display(), %left, "an unfinished copy is left");
        }
    }
}

/// What was redacted after the cut is redacted in the fork as well.
fn repeat_redactions(fork: &Ledger, now: &LedgerState, size: u64) -> Result<(), CopyError> {
    let (reader, here) = (fork.reader(), fork.reader().state());
    let later = now.redactions().filter(|(seq, _)| seq.get() <= size);
    for (seq, parts) in later.collect::<Vec<_>>() {
        let missing = parts.minus(here.redacted(seq));
        // A redaction may name texts that its event does not have, and what is missing may be
        // nothing but these.
        let of_event = reader.entry(seq)?.parts;
        if of_event.iter().any(|part| missing.contains(part.kind)) {
            let reason = "redacted in the ledger that this one was forked from".into();
            let about = (None, None);
            let command = Command::Redact { seq, about, parts: missing, reason };
            fork.append_blocking([Proposal::new(command)])?;
        }
    }
    Ok(())
}

/// The frame without the texts that are redacted by now.
pub(crate) fn without_redacted(
    seq: Seq,
    frame: Vec<u8>,
    now: &LedgerState,
) -> Result<Vec<u8>, ReadError> {
    let parts = now.redacted(seq);
    if parts.is_empty() {
        return Ok(frame);
    }
    codec::erase(&frame, parts).map_err(|e| ReadError::Damaged { seq, detail: e.to_string() })
}

/// Hands frames to a ledger, some hundred at a time.
struct Intake<'a> {
    to: &'a Ledger,
    /// Where they must lead.
    head: Head,
    frames: Vec<Vec<u8>>,
    bytes: usize,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Intake<'a> {
    fn new(to: &'a Ledger, head: Head, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { to, head, frames: Vec::new(), bytes: 0, progress }
    }

    fn take(&mut self, frame: Vec<u8>) -> Result<(), CopyError> {
        self.bytes += frame.len();
        self.frames.push(frame);
        if self.frames.len() >= COPY_FRAMES || self.bytes >= COPY_BYTES {
            self.hand_over(None)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CopyError> {
        self.hand_over(Some(self.head))
    }

    fn hand_over(&mut self, expect: Option<Head>) -> Result<(), CopyError> {
        self.bytes = 0;
        let now = self.to.ingest_blocking(std::mem::take(&mut self.frames), expect)?;
        (self.progress)(now.size, self.head.size.max(now.size));
        Ok(())
    }
}
