//! Backup files: a whole history and its checkpoint in one file.
//!
//! A backup file is `TLBACKUP`, format (u32 LE), length of the checkpoint (u32 LE), the checkpoint
//! (C2SP text), then one zstd stream of frames. Start reading at [`Reader::backup`].

use crate::{
    codec,
    ids::{Head, Seq},
    ledger::{
        OpenError, Reader,
        copy::fork::{CopyError, copied},
    },
    proof::{Checkpoint, CheckpointError, Tree},
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
/// The longest checkpoint in bytes. Far more than any needs; a bound for hostile files.
const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
/// Level 3 is the library's default: a third of the bytes at some hundred MB/s.
const ZSTD_LEVEL: i32 = 3;
/// The number of events between two calls of `progress`.
const STRIDE: u64 = 1_024;

/// The contents of a backup.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupInfo {
    /// The head of the ledger that was backed up, and its id.
    pub checkpoint: Checkpoint,
    /// The number of bytes of frames before compression.
    pub bytes: u64,
}

/// A fault of a backup file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupDamage {
    /// It is shorter than any backup.
    #[error("it is too short")]
    TooShort,
    /// It is another kind of file.
    #[error("it does not start with TLBACKUP")]
    NotABackup,
    /// Its checkpoint is longer than any.
    #[error("its checkpoint has {len} bytes; the limit is {max} bytes")]
    CheckpointTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// It ends within its checkpoint.
    #[error("it ends within its checkpoint")]
    CheckpointCutOff,
    /// Its checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// Its frames cannot be decompressed.
    #[error(transparent)]
    Compression(io::Error),
    /// A frame is damaged.
    #[error(transparent)]
    Frame(#[from] codec::DecodeError),
    /// Bytes that are no frame follow the last frame.
    #[error("{bytes} bytes follow the last frame")]
    Leftover {
        /// The number of these bytes.
        bytes: usize,
    },
    /// It ends within a batch.
    #[error("it ends within the batch of event {last}")]
    WithinBatch {
        /// Its last event.
        last: u64,
    },
    /// The frames do not lead to the head that its checkpoint names.
    #[error(
        "it holds {} events with root {}; its checkpoint says {} with root {}",
        .found.size, .found.root, .expected.size, .expected.root
    )]
    OtherHead {
        /// The head that the checkpoint names.
        expected: Head,
        /// The head that the frames lead to.
        found: Head,
    },
}

impl Reader {
    /// Writes the whole history and its checkpoint to a new file, without redacted texts.
    /// `progress` gets the number of events written and of all.
    ///
    /// # Durability
    /// When it returns, the file survives loss of power.
    ///
    /// # Errors
    /// [`CopyError::Io`] if the file exists or could not be written; [`CopyError::Read`] if an event
    /// could not be read, or a text of it is not what was recorded (a ledger that was
    /// [salvaged](crate::Ledger::open_salvaged) is copied without such texts);
    /// [`CopyError::TextGone`] if a purge came meanwhile: begin again, with a ledger that is only read
    /// after a [refresh](crate::Ledger::refresh_blocking); [`CopyError::WithinBatch`] if the ledger was
    /// opened in spite of damage and ends within a batch.
    pub fn backup(
        &self,
        file: impl AsRef<Path>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<BackupInfo, CopyError> {
        let mut out = OpenOptions::new();
        let out = out.write(true).create_new(true).mode(0o600).open(file.as_ref());
        let out = out.map_err(written)?;
        let begun = Begun { path: file.as_ref(), whole: false };
        let info = self.write_backup(out, file.as_ref(), progress)?;
        begun.done();
        Ok(info)
    }

    fn write_backup(
        &self,
        mut out: File,
        path: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<BackupInfo, CopyError> {
        // One published value: a redaction between two looks would be in one and not in the other.
        let published = self.shared().published();
        let (state, Head { size, root }) = (&published.state, published.tree.head());
        let checkpoint = Checkpoint { ledger: self.ledger_id(), size, root };
        let text = checkpoint.to_text();
        let header = header(&text).map_err(written)?;
        out.write_all(&header).map_err(written)?;
        let mut zstd = zstd::Encoder::new(BufWriter::new(&mut out), ZSTD_LEVEL).map_err(written)?;
        let (mut bytes, mut goes_on) = (0_u64, false);
        if let Some(last) = checkpoint.head().seq() {
            self.scan_frames(Seq::FIRST, last, |seq, frame| {
                let frame = copied(self.shared(), state, seq, frame)?;
                bytes += u64::try_from(frame.len()).unwrap_or(0);
                goes_on = codec::batch_goes_on(&frame);
                tell(seq.get(), size.get(), progress);
                zstd.write_all(&frame).map(ControlFlow::Continue).map_err(written)
            })?;
        }
        if let Some(last) = checkpoint.head().seq().filter(|_| goes_on) {
            return Err(CopyError::WithinBatch { last });
        }
        zstd.finish().and_then(|mut rest| rest.flush()).map_err(written)?;
        out.sync_all().map_err(written)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = File::open(parent.unwrap_or(Path::new("."))).map_err(written)?;
        parent.sync_all().map_err(written)?;
        Ok(BackupInfo { checkpoint, bytes })
    }
}

/// A backup file that is removed unless it becomes whole, also if `progress` panics.
struct Begun<'a> {
    path: &'a Path,
    whole: bool,
}

impl Begun<'_> {
    fn done(mut self) {
        self.whole = true;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        if let Err(left) = fs::remove_file(self.path) {
            tracing::warn!(path = %self.path.display(), %left, "a part of a backup is left");
        }
    }
}

/// Calls `progress` for every so many events, and for the last.
fn tell(done: u64, total: u64, progress: &mut dyn FnMut(u64, u64)) {
    if done.is_multiple_of(STRIDE) || done == total {
        progress(done, total.max(done));
    }
}

/// Reads a backup file to its end and checks it against its checkpoint. Blocks. `progress` gets
/// the number of events read and of all.
///
/// # Errors
/// [`CopyError::BadBackup`] with the first fault; [`CopyError::Io`].
pub fn verify_backup(
    file: impl AsRef<Path>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupInfo, CopyError> {
    let (checkpoint, mut frames) = open_backup(file.as_ref())?;
    let mut tree = Tree::new();
    let (mut bytes, mut goes_on) = (0, false);
    while let Some(frame) = frames.next_frame()? {
        let entry = codec::decode(&frame).map_err(bad)?;
        codec::check_parts(&entry).map_err(bad)?;
        tree.push(codec::leaf(&frame).map_err(bad)?);
        tell(tree.size().get(), checkpoint.size.get(), progress);
        goes_on = entry.batch_goes_on;
        bytes += u64::try_from(frame.len()).unwrap_or(0);
    }
    let (expected, found) = (checkpoint.head(), tree.head());
    if expected != found {
        return Err(bad(BackupDamage::OtherHead { expected, found }));
    }
    if goes_on {
        return Err(bad(BackupDamage::WithinBatch { last: found.size.get() }));
    }
    Ok(BackupInfo { checkpoint, bytes })
}

fn header(checkpoint: &str) -> io::Result<Vec<u8>> {
    let len = u32::try_from(checkpoint.len()).map_err(io::Error::other)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(checkpoint.as_bytes());
    Ok(bytes)
}

pub(crate) fn open_backup(path: &Path) -> Result<(Checkpoint, BackupFrames), CopyError> {
    let mut file = File::open(path).map_err(read)?;
    let mut head = [0; 16];
    file.read_exact(&mut head).map_err(|_| bad(BackupDamage::TooShort))?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (format, len) = rest.split_at(4);
    if magic != MAGIC {
        return Err(bad(BackupDamage::NotABackup));
    }
    let number = |bytes: &[u8]| bytes.try_into().map_or(u32::MAX, u32::from_le_bytes);
    let (found, max) = (number(format), FORMAT);
    if found != FORMAT {
        return Err(OpenError::UnsupportedFormat { what: "format", found, max }.into());
    }
    let len = usize::try_from(number(len)).unwrap_or(usize::MAX);
    if len > CHECKPOINT_BYTES_MAX {
        return Err(bad(BackupDamage::CheckpointTooLong { len, max: CHECKPOINT_BYTES_MAX }));
    }
    let mut text = vec![0; len];
    file.read_exact(&mut text).map_err(|_| bad(BackupDamage::CheckpointCutOff))?;
    let checkpoint = Checkpoint::parse(&String::from_utf8_lossy(&text));
    let checkpoint = checkpoint.map_err(|error| bad(BackupDamage::Checkpoint(error)))?;
    let zstd = zstd::Decoder::new(BufReader::new(file)).map_err(read)?;
    Ok((checkpoint, BackupFrames { zstd, buffer: Vec::new(), taken: 0 }))
}

/// The frames of a backup file, one after the other.
pub(crate) struct BackupFrames {
    zstd: zstd::Decoder<'static, BufReader<BufReader<File>>>,
    buffer: Vec<u8>,
    /// The number of bytes of `buffer` that were given out.
    taken: usize,
}

impl BackupFrames {
    /// The bytes that are read at once; a frame's length is known after its first few.
    const STEP: u64 = 256 << 10;

    pub(crate) fn next_frame(&mut self) -> Result<Option<Vec<u8>>, CopyError> {
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
                    let more = more.map_err(|error| bad(BackupDamage::Compression(error)))?;
                    match (more, self.buffer.len()) {
                        (0, 0) => return Ok(None),
                        (0, bytes) => return Err(bad(BackupDamage::Leftover { bytes })),
                        _ => {}
                    }
                }
                Err(error) => return Err(bad(error)),
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

fn bad(detail: impl Into<BackupDamage>) -> CopyError {
    CopyError::BadBackup { detail: detail.into() }
}
