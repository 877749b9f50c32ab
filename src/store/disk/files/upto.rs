//! The size up to which the log was given to a sled, in a file beside its directory: `sled/N.upto`.
//!
//! It is raised, durably, before sled is opened to be given anything behind what it was synced with, and
//! it says the same as `HEAD.sealed` when sled holds exactly that. So it tells without sled that sled
//! holds no more, and an opening need not look.
//!
//! Only synced frames are sealed, so it is a witness of the log's length, too, beside `HEAD` and the
//! journals. It also names the end that the log had when it was last closed, or some time after the
//! last sync, sealed or not.
//!
//! With a synced sled it also has the kept hashes on the right edge of the tree, from which the hashing
//! of later events goes on. Nothing here knows what they mean; the root judges them.
//!
//! ```text
//! file  sector: "TLSEAL\r\n", format u32, ledger 16, given and log (each size u64, root 32),
//!       hashes u32, their CRC-32C u32; then 32 bytes for each hash
//! ```
//!
//! A file that is missing or does not hold costs time only: sled is opened.

use super::{
    dir::{self, at},
    sector::{self, SECTOR, Sector, narrow, short},
};
use crate::{
    ids::{Head, LedgerId, Size, TreeHash},
    store::Error,
};
use std::{
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"TLSEAL\r\n";
const HASH: usize = 32;
const SUFFIX: &str = ".upto";

/// The path of the file beside the directory of a sled.
pub(crate) fn path_of(engine: &Path) -> PathBuf {
    let mut path = engine.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// The directory that a file is beside; `None` if it has another name.
pub(crate) fn engine_of(path: &Path) -> Option<PathBuf> {
    dir::name(path).strip_suffix(SUFFIX).map(|number| path.with_file_name(number))
}

/// The kept hashes of a tree's right edge, with their indexes.
pub(crate) type Edge = Vec<(u64, [u8; HASH])>;

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) ledger: LedgerId,
    /// The log up to the last frame that sled may hold.
    pub(crate) head: Head,
    /// The log as it was last closed, or as it was noted since, or further.
    pub(crate) log: Head,
    /// Empty where sled was not synced with all that it may hold.
    pub(crate) edge: Edge,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let hashes = self.edge.iter().flat_map(|(_, hash)| *hash).collect::<Vec<u8>>();
        let mut body = self.ledger.0.to_vec();
        sector::put_head(&mut body, self.head);
        sector::put_head(&mut body, self.log);
        body.extend_from_slice(&short(self.edge.len()).to_le_bytes());
        body.extend_from_slice(&crc32c::crc32c(&hashes).to_le_bytes());
        let mut bytes = sector::encode(MAGIC, &body);
        bytes.extend_from_slice(&hashes);
        bytes
    }

    /// Reads the bytes of a file; `None` if they do not hold.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedFormat`].
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Option<Self>, Error> {
        match sector::decode(MAGIC, bytes) {
            Sector::Newer(found) => Err(dir::newer(path, found)),
            Sector::Valid(body) => {
                Ok(Self::decode_body(body, bytes.get(SECTOR..).unwrap_or_default()))
            }
            Sector::Blank | Sector::Bad => Ok(None),
        }
    }

    fn decode_body(mut body: sector::Bytes<'_>, behind: &[u8]) -> Option<Self> {
        let ledger = LedgerId(body.array()?);
        let (head, log) = (body.head()?, body.head()?);
        let (count, crc) = (narrow(u64::from(body.u32()?)), body.u32()?);
        let hashes = behind.get(..count.checked_mul(HASH)?)?;
        if crc32c::crc32c(hashes) != crc {
            return None;
        }
        let indexes = TreeHash::edge_of(head.size);
        let edge: Edge = indexes.zip(hashes.as_chunks().0.iter().copied()).collect();
        (edge.len() == count).then_some(Self { ledger, head, log, edge })
    }

    /// The record beside a sled; `None` if the file is missing or does not hold, or is of another
    /// ledger.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedFormat`], [`Error::Io`].
    pub(crate) fn read(engine: &Path, ledger: LedgerId) -> Result<Option<Self>, Error> {
        let path = path_of(engine);
        let bytes = dir::read_small(&path)?;
        let record = bytes.map(|bytes| Self::decode(&bytes, &path)).transpose()?.flatten();
        Ok(record.filter(|record| record.ledger == ledger))
    }

    /// The heads that it names, each once.
    pub(crate) fn heads(&self) -> Vec<Head> {
        let mut heads = vec![self.head, self.log];
        heads.dedup();
        heads
    }

    /// Says whether this sled was synced with the log up to `sealed` and was given nothing since.
    pub(crate) fn is_settled_at(&self, sealed: Head) -> bool {
        self.head == sealed && self.edge.len() == TreeHash::edge_of(sealed.size).count()
    }
}

/// The file beside the sled in use.
#[derive(Debug)]
pub(crate) struct Upto {
    path: PathBuf,
    /// The contents of the file, if it has any.
    record: Option<Record>,
    ledger: LedgerId,
    /// The size that sled was given, as it survives loss of power; `None` if that is not known.
    durable: Option<Size>,
}

impl Upto {
    /// The file beside the sled in `engine`, which says what `record` says.
    pub(crate) fn of(engine: &Path, ledger: LedgerId, record: Option<Record>) -> Self {
        // Whoever wrote it may have been killed before it was durable.
        Self { path: path_of(engine), record, ledger, durable: None }
    }

    /// Says whether sled may have been given frames after `sealed`, with which it was synced.
    pub(crate) fn is_beyond(&self, sealed: Size) -> bool {
        self.record.as_ref().is_none_or(|record| record.head.size > sealed)
    }

    /// Says that sled may hold frames up to `head`. Durable if it said before that sled holds none
    /// after `sealed`; otherwise a loss of power may leave the size before.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(crate) fn raise(&mut self, head: Head, sealed: Size) -> Result<(), Error> {
        let known = self.record.as_ref().is_some_and(|record| record.head.size >= head.size);
        let told = self.durable.is_some_and(|durable| durable > sealed);
        if known && (told || head.size <= sealed) {
            return Ok(());
        }
        self.write(head, self.log_or(head), Edge::new(), !told)
    }

    /// Says, durably, that sled was synced with the frames up to `head` and holds no others.
    /// `tree_hash` gives its hashes.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`], and those of `tree_hash`.
    pub(crate) fn settle(
        &mut self,
        head: Head,
        tree_hash: impl Fn(u64) -> Result<Option<[u8; HASH]>, Error>,
    ) -> Result<(), Error> {
        let mut edge = Edge::new();
        for index in TreeHash::edge_of(head.size) {
            // With one of them missing it is not believed, and sled is opened by the next opening.
            let Some(hash) = tree_hash(index)? else {
                edge.clear();
                break;
            };
            edge.push((index, hash));
        }
        self.write(head, self.log_or(head), edge, true)
    }

    /// Notes the end of the log, unless it is noted already. Survives a crash of the process.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`].
    pub(crate) fn note_end(&mut self, log: Head) -> Result<(), Error> {
        let Some(record) = self.record.take_if(|record| record.log != log) else { return Ok(()) };
        self.write(record.head, log, record.edge, false)
    }

    /// The end of the log that the file names, or `head` if that is further.
    fn log_or(&self, head: Head) -> Head {
        let log = self.record.as_ref().map(|record| record.log);
        log.filter(|log| log.size > head.size).unwrap_or(head)
    }

    fn write(&mut self, head: Head, log: Head, edge: Edge, durably: bool) -> Result<(), Error> {
        let record = Record { ledger: self.ledger, head, log, edge };
        let mut options = dir::private();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&self.path);
        // Where there is no space sled has not failed, and it can be tried again.
        let full = || Error::Full { what: "sealed blocks", room: None, source: None };
        let failed = |error: io::Error| {
            if dir::is_full(&error) { full() } else { at("write", &self.path)(error) }
        };
        let file = opened.map_err(failed)?;
        let new = file.metadata().map_err(at("inspect", &self.path))?.len() == 0;
        file.write_all_at(&record.encode(), 0).map_err(failed)?;
        if durably {
            file.sync_data().map_err(at("sync", &self.path))?;
            if new {
                dir::sync_parent(&self.path)?;
            }
            self.durable = Some(head.size);
        }
        self.record = Some(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Root;

    fn head(size: u64) -> Head {
        let root = if size == 0 { Root::EMPTY } else { Root([size.to_le_bytes()[0]; HASH]) };
        Head { size: Size::new(size), root }
    }

    fn hash(index: u64) -> [u8; HASH] {
        [index.to_le_bytes()[0]; HASH]
    }

    const LEDGER: LedgerId = LedgerId([3; 16]);

    fn record(size: u64) -> Record {
        let edge = TreeHash::edge_of(Size::new(size)).map(|index| (index, hash(index))).collect();
        Record { ledger: LEDGER, head: head(size), log: head(size), edge }
    }

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_or_cut_is_seen() {
        for size in [0, 1, 15, 16, 1_000, 123_456] {
            let record = record(size);
            let bytes = record.encode();
            let path = Path::new("1.upto");
            assert_eq!(Record::decode(&bytes, path).unwrap(), Some(record), "{size}");
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&flipped, path).unwrap(), None, "bit {bit} of {size}");
            }
            for len in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..len], path).unwrap(), None, "{len} of {size}");
            }
        }
    }

    #[test]
    fn a_record_of_more_hashes_than_its_edge_has_does_not_hold() {
        let mut record = record(48);
        record.edge.push((7, [7; HASH]));
        assert_eq!(Record::decode(&record.encode(), Path::new("1.upto")).unwrap(), None);
    }

    #[test]
    fn it_is_settled_only_at_what_sled_was_synced_with_and_with_its_whole_edge() {
        assert!(record(48).is_settled_at(head(48)));
        assert!(record(5).is_settled_at(head(5)), "less than a block has no kept hash");
        assert!(!record(48).is_settled_at(head(47)));
        assert!(!record(48).is_settled_at(Head { size: Size::new(48), root: Root([1; HASH]) }));
        assert!(!Record { edge: Edge::new(), ..record(48) }.is_settled_at(head(48)));
    }

    #[test]
    fn it_only_rises_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let engine = dir.path().join("1");
        let read = || Record::read(&engine, LEDGER).unwrap();
        let mut upto = Upto::of(&engine, LEDGER, None);
        assert!(upto.is_beyond(Size::EMPTY), "without a file anything is possible");
        upto.settle(head(48), |index| Ok(Some(hash(index)))).unwrap();
        assert_eq!(read(), Some(record(48)));
        assert!(!upto.is_beyond(Size::new(48)));
        upto.raise(head(48), Size::new(48)).unwrap();
        assert_eq!(read(), Some(record(48)), "nothing is given");
        upto.raise(head(60), Size::new(48)).unwrap();
        assert_eq!(read(), Some(Record { edge: Edge::new(), ..record(60) }));
        assert!(upto.is_beyond(Size::new(48)));
        upto.raise(head(50), Size::new(48)).unwrap();
        assert_eq!(read().unwrap().head, head(60), "it was given more before");
        assert_eq!(Record::read(&engine, LedgerId([4; 16])).unwrap(), None, "another ledger's");
        upto.note_end(head(70)).unwrap();
        let closed = Record { edge: Edge::new(), log: head(70), ..record(60) };
        assert_eq!(read(), Some(closed), "what sled was given stays");
        upto.raise(head(65), Size::new(48)).unwrap();
        assert_eq!(read().unwrap().log, head(70), "the log was longer");
        upto.settle(head(60), |_| Ok(None)).unwrap();
        assert!(!read().unwrap().is_settled_at(head(60)), "without its hashes it is not believed");
    }

    // Whoever wrote it may have been killed between the write and the sync.
    #[test]
    fn what_another_process_wrote_is_made_durable_before_it_is_relied_on() {
        let dir = tempfile::tempdir().unwrap();
        let engine = dir.path().join("1");
        let mut upto = Upto::of(&engine, LEDGER, None);
        upto.settle(head(48), |index| Ok(Some(hash(index)))).unwrap();
        upto.raise(head(60), Size::new(48)).unwrap();
        let found = Record::read(&engine, LEDGER).unwrap();
        let mut upto = Upto::of(&engine, LEDGER, found);
        assert_eq!(upto.durable, None);
        upto.raise(head(60), Size::new(48)).unwrap();
        assert_eq!(upto.durable, Some(Size::new(60)));
    }
}
