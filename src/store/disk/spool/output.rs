//! The end of what a running command writes, in a file that is written in place while it runs.
//!
//! Two slots are written in turn, each with a header, a checksum and all of the bytes. A reader takes
//! the newer one that holds. So a writer that is killed within a write, or loss of power, costs the
//! newest bytes and no others, and nothing has to be synced or renamed.

use super::{SpoolFiles, open_or_create};
use crate::{
    ids::{Key, LedgerId, TaskId},
    store::{
        Error,
        disk::files::{
            dir::{self, at, at_or_full},
            read_at::ReadAt,
            sector::{self, Bytes, SECTOR, Sector, narrow, short, wide},
        },
        disk::look::place::Files as _,
    },
};
use rustix::fs::{FallocateFlags, fallocate};
use std::{os::unix::fs::FileExt as _, path::PathBuf, time::Duration};

pub(super) const SUFFIX: &str = ".output";
/// The most bytes of an output that are kept.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 << 10;
const MAGIC: [u8; 8] = *b"TLOUTP\r\n";
const SLOT: usize = SECTOR + OUTPUT_BYTES_MAX;
/// The most looks at a file whose slots are both being written, and the pause between two.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// The end of an output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Output {
    /// The number of bytes that were ever written.
    pub(crate) total: u64,
    /// The last of them.
    pub(crate) bytes: Vec<u8>,
}

/// The contents of a slot.
struct Slot {
    generation: u64,
    output: Output,
}

impl SpoolFiles {
    fn output_path(&self, ledger: LedgerId, task: &TaskId) -> PathBuf {
        self.path(&format!("{}{SUFFIX}", key_of(ledger, task)))
    }

    /// Writes the end of an output of which [`OUTPUT_BYTES_MAX`] bytes at most are kept. `generation`
    /// grows by one from write to write. Not synced. One write of up to 64 KiB.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`], [`Error::Damaged`] if something else is in its place or that of
    /// the spool; [`Error::Replaced`] if another ledger is at the path, else as reading `NODE`.
    pub(crate) fn write_output(
        &self,
        ledger: LedgerId,
        task: &TaskId,
        generation: u64,
        output: &Output,
    ) -> Result<(), Error> {
        self.check_ledger(ledger)?;
        self.make()?;
        let path = self.output_path(ledger, task);
        let file = open_or_create(&path)?;
        if generation == 0 {
            // So that a disk that fills up takes what comes later all the same. Not every system can.
            let _ = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 2 * wide(SLOT));
        }
        let kept = output.bytes.len().saturating_sub(OUTPUT_BYTES_MAX);
        let bytes = output.bytes.get(kept..).unwrap_or_default();
        let mut slot = header(ledger, task, generation, output.total, bytes);
        slot.extend_from_slice(bytes);
        let place = generation % 2 * wide(SLOT);
        file.write_all_at(&slot, place).map_err(at_or_full(
            "an output in the spool",
            "write",
            &path,
        ))
    }

    /// Reads the end of an output; `None` if there is none of this task. A file in which neither slot
    /// holds, as after a first write that was cut short, says as much: it is disposable, and no damage.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it is no regular file, [`Error::UnsafeDir`] if others may write it,
    /// [`Error::UnsupportedFormat`], [`Error::Io`].
    pub(crate) fn output(&self, ledger: LedgerId, task: &TaskId) -> Result<Option<Output>, Error> {
        let path = self.output_path(ledger, task);
        for _ in 0..LOOKS {
            let Some(place) = self.open()? else { return Ok(None) };
            let Some(handle) = place.open_own(dir::name(&path))? else { return Ok(None) };
            let len = handle.file.len().map_err(at("inspect", &path))?;
            if len == 0 {
                return Ok(None); // made, and not written yet
            }
            let mut newest: Option<Slot> = None;
            for at_slot in [0, SLOT] {
                let slot = self.slot(&*handle.file, wide(at_slot), ledger, task)?;
                let is_newer = |slot: &Slot| {
                    newest.as_ref().is_none_or(|newest| slot.generation > newest.generation)
                };
                newest = slot.filter(is_newer).or(newest);
            }
            if let Some(slot) = newest {
                return Ok(Some(slot.output));
            }
            place.wait(PAUSE);
        }
        Ok(None)
    }

    fn slot(
        &self,
        file: &dyn ReadAt,
        place: u64,
        ledger: LedgerId,
        task: &TaskId,
    ) -> Result<Option<Slot>, Error> {
        let path = self.output_path(ledger, task);
        let mut bytes = vec![0; SLOT];
        let found = file.read_at(&mut bytes, place).map_err(at("read", &path))?;
        bytes.truncate(found);
        match sector::decode(MAGIC, &bytes) {
            Sector::Valid(body) => Ok(decode(body, bytes.get(SECTOR..), ledger, task)),
            Sector::Newer(found) => Err(dir::newer(&path, found)),
            Sector::Blank | Sector::Bad => Ok(None),
        }
    }

    /// Removes the output of a task, if there is one. Not synced: it is disposable.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub(crate) fn remove_output(&self, ledger: LedgerId, task: &TaskId) -> Result<(), Error> {
        super::remove(&self.output_path(ledger, task))
    }
}

/// The key in the name of an output. It names the ledger, since another one may come to the path.
pub(crate) fn key_of(ledger: LedgerId, task: &TaskId) -> Key {
    Key::of(format!("{ledger} {task}"))
}

fn header(ledger: LedgerId, task: &TaskId, generation: u64, total: u64, kept: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&ledger.0);
    body.extend_from_slice(&generation.to_le_bytes());
    body.extend_from_slice(&total.to_le_bytes());
    body.extend_from_slice(&short(kept.len()).to_le_bytes());
    body.extend_from_slice(&crc32c::crc32c(kept).to_le_bytes());
    body.extend_from_slice(&short(task.as_str().len()).to_le_bytes());
    body.extend_from_slice(task.as_str().as_bytes());
    sector::encode(MAGIC, &body)
}

/// Reads a header and the bytes behind it, if they are of this task and whole.
fn decode(
    mut body: Bytes<'_>,
    behind: Option<&[u8]>,
    ledger: LedgerId,
    task: &TaskId,
) -> Option<Slot> {
    let of = LedgerId(body.array()?);
    let (generation, total) = (body.u64()?, body.u64()?);
    let (kept, crc) = (narrow(u64::from(body.u32()?)), body.u32()?);
    let name = narrow(u64::from(body.u32()?));
    let named = body.take(name)? == task.as_str().as_bytes() && of == ledger;
    let bytes = behind?.get(..kept)?;
    let whole = crc32c::crc32c(bytes) == crc && total >= wide(kept);
    let output = Output { total, bytes: bytes.to_vec() };
    (named && whole).then_some(Slot { generation, output })
}
