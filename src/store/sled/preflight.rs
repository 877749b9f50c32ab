//! Checks sled's files before sled opens them: it would take some damage for an empty log and
//! overwrite it.
//!
//! Knows only the head of a segment and the name of a snapshot, and calls nothing of sled.

use crate::store::{Damage, Error};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// The bytes that sled reserves at once; each such segment begins with a head.
pub(super) const SEGMENT_BYTES: u64 = 512 << 10;

/// Checks, without writing, whether sled may open the files in `path`. Returns the number of
/// segments in use. O(1 header per 512 KiB).
///
/// Each segment header says up to which place the log was stable, and sled's snapshot up to which
/// place it was replayed. If the segment of the highest such place is missing, opening would take
/// the whole log for torn and overwrite it. Segments before the snapshot do not count: sled zeroes
/// unused ones, also the one that a later header was stable up to.
///
/// # Errors
///
/// [`Error::Damaged`], [`Error::Io`].
pub(in crate::store) fn preflight(path: &Path) -> Result<usize, Error> {
    let db = path.join("db");
    let io = |source| Error::Io { during: "check", path: Some(db.clone()), source };
    let damaged = |detail| Err(Error::damaged(None, &db, detail));
    let file = match File::open(&db) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return damaged(Damage::MissingEngine);
        }
        Err(error) => return Err(io(error)),
    };
    let length = file.metadata().map_err(io)?.len();
    let segment = i64::try_from(SEGMENT_BYTES).unwrap_or(i64::MAX);
    let replayed = replayed_upto(path)?;
    let (mut headers, mut place) = (BTreeMap::new(), 0);
    while place + 20 <= length {
        let mut head = [0; 20];
        file.read_exact_at(&mut head, place).map_err(io)?;
        headers.extend(segment_header(&head));
        place += SEGMENT_BYTES;
    }
    let counting = headers.range(replayed / segment * segment..);
    let stable = counting.map(|(_, stable)| *stable).fold(replayed, i64::max);
    let needed = stable / segment * segment;
    // A log that was replayed up to the very end of a segment needs no segment after it.
    let nothing_since = stable == replayed && needed == replayed && replayed > 0;
    if !headers.is_empty() && !headers.contains_key(&needed) && !nothing_since {
        return damaged(Damage::CutShort { stable, needed });
    }
    Ok(headers.len())
}

/// The place that sled's newest snapshot reaches, by its name; 0 if there is none.
fn replayed_upto(path: &Path) -> Result<i64, Error> {
    let io = |source| Error::Io { during: "list", path: Some(path.to_owned()), source };
    let mut replayed = 0;
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("snap."));
        let number = number.and_then(|number| i64::from_str_radix(number, 16).ok());
        replayed = number.map_or(replayed, |number| replayed.max(number));
    }
    Ok(replayed)
}

/// The size of sled's newest snapshot, which it writes again beside the old one: with each opening, and
/// now and then. 0 if there is none, or none can be found.
pub(in crate::store) fn snapshot_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let snapshots =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(|n| n.starts_with("snap.")));
    snapshots.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).max().unwrap_or(0)
}

/// Place and stable place of a segment, if its checksum holds.
fn segment_header(head: &[u8; 20]) -> Option<(i64, i64)> {
    let (crc, kept) = head.split_first_chunk::<4>()?;
    let (lsn, stable) = kept.split_first_chunk::<8>()?;
    let (stable, _) = stable.split_first_chunk::<8>()?;
    let holds = u32::from_le_bytes(*crc) == !crc32(kept);
    let number = |bytes: &[u8; 8]| i64::from_le_bytes(*bytes) ^ i64::MAX;
    holds.then(|| (number(lsn), number(stable)))
}

/// CRC-32 (IEEE), as sled uses it; for 16 bytes per segment no table is worth it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
