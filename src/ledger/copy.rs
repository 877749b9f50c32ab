//! Copies of a history: forks, backup files, and ledgers made of backup files.
//!
//! All of them carry frames byte for byte, so a copy has the same roots as far as it goes. Texts
//! that were redacted are left out of every copy; the hashes hold without them.
//!
//! A backup file is `TLBACKUP`, format (u32 LE), length of the checkpoint (u32 LE), the checkpoint
//! (C2SP text), then one zstd stream of frames.

use super::{AppendError, Ledger, OpenError, Options, ReadError, Reader, origin::OriginNote};
use crate::{
    codec,
    event::Origin,
    ids::{Head, Seq},
    proof::{Checkpoint, Tree},
    state::{
        LedgerState,
        command::{Command, Proposal},
    },
    store,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    ops::ControlFlow,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const MAGIC: &[u8; 8] = b"TLBACKUP";
const FORMAT: u32 = 1;
/// Far more than any checkpoint needs; a bound for hostile files.
const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
/// Level 3 is the library's default: a third of the bytes at some hundred MB/s.
const ZSTD_LEVEL: i32 = 3;
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

/// What a backup holds.
#[derive(Debug, Clone)]
pub struct BackupInfo {
    /// The head of the ledger that was backed up, and its id.
    pub checkpoint: Checkpoint,
    /// Bytes of frames before compression.
    pub bytes: u64,
}

impl Ledger {
    /// Makes a new ledger in `path` of the first `size` events of this one.
    ///
    /// Its roots are the same up to there. Redactions after the cut are applied to it as well.
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
    ) -> Result<Self, CopyError> {
        let reader = self.reader();
        let root = reader.root_at(size)?;
        let origin = Origin { ledger: reader.ledger_id(), at: Seq::last_of(size), root };
        let copy = Self::create_copy(path.as_ref(), options, Some(OriginNote::Forked(origin)))?;
        let filled = copy.fill_fork(&reader, Head { size, root });
        finish(copy, path.as_ref(), filled)
    }

    fn fill_fork(&self, from: &Reader, head: Head) -> Result<(), CopyError> {
        let mut intake = Intake::new(self);
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
        intake.finish(head)?;
        self.repeat_redactions(&from.state(), head.size)
    }

    /// What was redacted after the cut is redacted in the fork as well.
    fn repeat_redactions(&self, now: &LedgerState, size: u64) -> Result<(), CopyError> {
        let (reader, here) = (self.reader(), self.reader().state());
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
                self.append_blocking([Proposal::new(command)])?;
            }
        }
        Ok(())
    }

    /// Makes a new ledger in `path` of a backup file.
    ///
    /// The whole file is verified against its checkpoint before anything is created.
    ///
    /// # Errors
    /// [`CopyError::BadBackup`] if the file is not what was written; a copy that was begun is
    /// removed.
    pub fn restore_blocking(
        file: impl AsRef<Path>,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, CopyError> {
        let checkpoint = verify_backup(file.as_ref())?.checkpoint;
        let head = checkpoint.head();
        let origin = Origin { ledger: checkpoint.ledger, at: head.seq(), root: head.root };
        let note = Some(OriginNote::RestoredFrom(origin));
        let copy = Self::create_copy(path.as_ref(), options, note)?;
        let filled = copy.fill_restore(file.as_ref(), head);
        finish(copy, path.as_ref(), filled)
    }

    fn fill_restore(&self, file: &Path, head: Head) -> Result<(), CopyError> {
        let mut intake = Intake::new(self);
        let (_, mut frames) = open_backup(file)?;
        while let Some(frame) = frames.next_frame()? {
            intake.take(frame)?;
        }
        intake.finish(head)
    }
}

impl Reader {
    /// Writes the whole history and its checkpoint to a new file, without redacted texts.
    ///
    /// # Durability
    /// When it returns, the file survives loss of power.
    ///
    /// # Errors
    /// [`CopyError::Io`] if the file exists or could not be written.
    pub fn backup(&self, file: impl AsRef<Path>) -> Result<BackupInfo, CopyError> {
        let mut out = OpenOptions::new();
        let out = out.write(true).create_new(true).mode(0o600).open(file.as_ref());
        let out = out.map_err(written)?;
        self.write_backup(out, file.as_ref()).inspect_err(|_| {
            if let Err(left) = fs::remove_file(file.as_ref()) {
                tracing::warn!(path = %file.as_ref().display(), %left, "a part of a backup is left");
            }
        })
    }

    fn write_backup(&self, mut out: File, path: &Path) -> Result<BackupInfo, CopyError> {
        // One published value: a redaction between two looks would be in one and not in the other.
        let published = self.shared().published();
        let (state, Head { size, root }) = (&published.state, published.tree.head());
        let checkpoint = Checkpoint { ledger: self.ledger_id(), size, root };
        let text = checkpoint.to_text();
        let header = header(&text).map_err(written)?;
        out.write_all(&header).map_err(written)?;
        let mut zstd = zstd::Encoder::new(BufWriter::new(&mut out), ZSTD_LEVEL).map_err(written)?;
        let (mut bytes, mut failure) = (0_u64, None);
        if let Some(last) = checkpoint.head().seq() {
            self.scan_frames(Seq::FIRST, last, |seq, frame| {
                let frame = without_redacted(seq, frame, state)?;
                bytes += u64::try_from(frame.len()).unwrap_or(0);
                Ok(match zstd.write_all(&frame) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                })
            })?;
        }
        failure.map_or(Ok(()), Err).map_err(written)?;
        zstd.finish().and_then(|mut rest| rest.flush()).map_err(written)?;
        out.sync_all().map_err(written)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = File::open(parent.unwrap_or(Path::new("."))).map_err(written)?;
        parent.sync_all().map_err(written)?;
        Ok(BackupInfo { checkpoint, bytes })
    }
}

/// Reads a backup file to its end and holds it against its checkpoint.
///
/// # Errors
/// [`CopyError::BadBackup`] with the first thing that does not hold; [`CopyError::Io`].
pub fn verify_backup(file: impl AsRef<Path>) -> Result<BackupInfo, CopyError> {
    let (checkpoint, mut frames) = open_backup(file.as_ref())?;
    let mut tree = Tree::new();
    let mut bytes = 0;
    while let Some(frame) = frames.next_frame()? {
        let entry = codec::decode(&frame).map_err(|e| bad(&e))?;
        codec::check_parts(&entry).map_err(|e| bad(&e))?;
        tree.push(codec::leaf(&frame).map_err(|e| bad(&e))?);
        bytes += u64::try_from(frame.len()).unwrap_or(0);
    }
    let (expected, found) = (checkpoint.head(), tree.head());
    if expected != found {
        return Err(bad(&format!(
            "it holds {} events with root {}; its checkpoint says {} with root {}",
            found.size, found.root, expected.size, expected.root
        )));
    }
    Ok(BackupInfo { checkpoint, bytes })
}

/// Closes a copy, or removes what there is of it.
fn finish(copy: Ledger, path: &Path, filled: Result<(), CopyError>) -> Result<Ledger, CopyError> {
    match filled {
        Ok(()) => Ok(copy),
        Err(error) => {
            drop(copy);
            if let Err(left) = fs::remove_dir_all(path) {
                tracing::warn!(path = %path.display(), %left, "an unfinished copy is left");
            }
            Err(error)
        }
    }
}

fn without_redacted(seq: Seq, frame: Vec<u8>, now: &LedgerState) -> Result<Vec<u8>, ReadError> {
    let parts = now.redacted(seq);
    if parts.is_empty() {
        return Ok(frame);
    }
    codec::erase(&frame, parts).map_err(|e| ReadError::Damaged { seq, detail: e.to_string() })
}

/// Hands frames to a ledger, some hundred at a time.
struct Intake<'a> {
    to: &'a Ledger,
    frames: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'a> Intake<'a> {
    fn new(to: &'a Ledger) -> Self {
        Self { to, frames: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, frame: Vec<u8>) -> Result<(), CopyError> {
        self.bytes += frame.len();
        self.frames.push(frame);
        if self.frames.len() >= COPY_FRAMES || self.bytes >= COPY_BYTES {
            self.hand_over(None)?;
        }
        Ok(())
    }

    fn finish(&mut self, head: Head) -> Result<(), CopyError> {
        self.hand_over(Some(head))
    }

    fn hand_over(&mut self, expect: Option<Head>) -> Result<(), CopyError> {
        self.bytes = 0;
        self.to.ingest_blocking(std::mem::take(&mut self.frames), expect)?;
        Ok(())
    }
}

fn header(checkpoint: &str) -> io::Result<Vec<u8>> {
    let len = u32::try_from(checkpoint.len()).map_err(io::Error::other)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(checkpoint.as_bytes());
    Ok(bytes)
}

fn open_backup(path: &Path) -> Result<(Checkpoint, Frames), CopyError> {
    let mut file = File::open(path).map_err(read)?;
    let mut head = [0; 16];
    file.read_exact(&mut head).map_err(|_| bad(&"it is too short"))?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (format, len) = rest.split_at(4);
    if magic != MAGIC {
        return Err(bad(&"it does not start with TLBACKUP"));
    }
    let number = |bytes: &[u8]| bytes.try_into().map_or(u32::MAX, u32::from_le_bytes);
    let (found, max) = (number(format), FORMAT);
    if found != FORMAT {
        return Err(OpenError::UnsupportedFormat { found, max }.into());
    }
    let len = usize::try_from(number(len)).unwrap_or(usize::MAX);
    if len > CHECKPOINT_BYTES_MAX {
        return Err(bad(&format!("its checkpoint has {len} bytes")));
    }
    let mut text = vec![0; len];
    file.read_exact(&mut text).map_err(|_| bad(&"it ends within its checkpoint"))?;
    let checkpoint = Checkpoint::parse(&String::from_utf8_lossy(&text)).map_err(|e| bad(&e))?;
    let zstd = zstd::Decoder::new(BufReader::new(file)).map_err(read)?;
    Ok((checkpoint, Frames { zstd, buffer: Vec::new(), taken: 0 }))
}

/// The frames of a backup file, one after the other.
struct Frames {
    zstd: zstd::Decoder<'static, BufReader<BufReader<File>>>,
    buffer: Vec<u8>,
    /// How much of `buffer` has been given out.
    taken: usize,
}

impl Frames {
    /// Bytes that are read at once; a frame's length is known after its first few.
    const STEP: u64 = 256 << 10;

    fn next_frame(&mut self) -> Result<Option<Vec<u8>>, CopyError> {
        loop {
            match codec::split(self.buffer.get(self.taken..).unwrap_or_default()) {
                Ok((frame, _)) => {
                    self.taken += frame.len();
                    return Ok(Some(frame.to_vec()));
                }
                Err(codec::DecodeError::Truncated { .. }) => {
                    self.buffer.drain(..self.taken);
                    self.taken = 0;
                    let more = self.zstd.by_ref().take(Self::STEP).read_to_end(&mut self.buffer);
                    match (more.map_err(|e| bad(&e))?, self.buffer.len()) {
                        (0, 0) => return Ok(None),
                        (0, left) => {
                            return Err(bad(&format!("{left} bytes follow the last frame")));
                        }
                        _ => {}
                    }
                }
                Err(error) => return Err(bad(&error)),
            }
        }
    }
}

fn written(source: io::Error) -> CopyError {
    CopyError::Io { during: "written", source }
}

fn read(source: io::Error) -> CopyError {
    CopyError::Io { during: "read", source }
}

fn bad(detail: &dyn std::fmt::Display) -> CopyError {
    CopyError::BadBackup { detail: detail.to_string() }
}
