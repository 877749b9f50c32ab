//! Reading a ledger's directory without its lock: beside a writer, on a read-only mount, as another
//! user, and on damage as far as it goes.
//!
//! ```text
//! look     HEAD, journals, archive names, in this order     (seen)
//! journal  its whole groups, followed window by window      (chain)
//! hashes   tree hashes beside archives, by their word       (hashes)
//! files    all relative to one handle of the directory      (place)
//! ```
//!
//! Shows the events up to the durable end, which the files themselves name, and writes nothing. sled
//! is not touched: archive and journals hold every frame. Two looks that differ are taken again; a
//! fault that stays in files that stay is damage. Start reading at [`Look`].

mod chain;
mod hashes;
pub(super) mod inspect;
pub(super) mod place;
mod seen;

use self::{
    hashes::HashFiles,
    place::{Files, Place},
    seen::{Archived, Fault, Seen},
};
use crate::{
    ids::{Head, LedgerId, Root, Seq, Size},
    store::{
        Damage, Error, FrameRead, Frames, Identity, Looked, Role, Shortfall, SnapshotBytes,
        SnapshotStore,
        disk::files::{
            archive::Archive,
            dir::{self, at},
            head, node,
            read_at::ReadAt,
            sector::narrow,
            snapshots::OpenSnapshot,
            unfinished,
        },
    },
};
use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The pauses between looks that met a fault.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
];
/// The number of archives that are kept open.
const ARCHIVES_OPEN: usize = 128;
/// The bytes of indexes of archives that are kept open, beyond the one in use.
const INDEX_BYTES_KEPT: usize = 64 << 20;
/// The bytes of chunks that are kept unpacked; one is, however large.
const CHUNK_BYTES_KEPT: usize = 4 << 20;
/// The largest snapshot that is read, in bytes for each event of the log: a state holds no more than
/// its events said.
const SNAPSHOT_BYTES_AN_EVENT: u64 = 8 << 10;
/// The largest snapshot of a small log.
const SNAPSHOT_BYTES_MIN: u64 = 64 << 20;

/// A look at a directory. [`FrameRead`] states its promises.
#[derive(Debug)]
pub(crate) struct Look {
    inner: RwLock<Inner>,
    archives: Mutex<VecDeque<(String, Arc<Archive>)>>,
    chunks: Mutex<VecDeque<Arc<Frames>>>,
    hashes: HashFiles,
    /// The number of events that were shown last, for the limits on other files.
    events: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Inner {
    files: Arc<dyn Files>,
    ledger: Option<LedgerId>,
    seen: Seen,
    /// False after a refresh that failed: what was seen before is no longer at hand.
    settled: bool,
    /// True once another history was met.
    replaced: bool,
}

impl Inner {
    fn check(&self) -> Result<(), Error> {
        let path = || self.files.root().to_owned();
        match (self.replaced, self.settled) {
            (true, _) => Err(Error::Replaced { path: path() }),
            (false, false) => Err(Error::Unsettled { path: path() }),
            (false, true) => Ok(()),
        }
    }
}

impl Look {
    /// Looks at the ledger in `path`. Reads the journals and the names of the other files.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Unfinished`], [`Error::UnsafeDir`] if it is a link,
    /// [`Error::UnsupportedFormat`], [`Error::Unsettled`], [`Error::Io`].
    pub(crate) fn open(path: &Path) -> Result<Looked, Error> {
        for _ in PAUSES {
            match Self::over(Arc::new(Place::open(path)?)) {
                // Another directory has come to the path meanwhile.
                Err(Error::Replaced { .. }) => {}
                answer => return answer,
            }
        }
        Err(Error::Unsettled { path: path.to_owned() })
    }

    /// As [`open`](Self::open), over any files.
    pub(super) fn over(files: Arc<dyn Files>) -> Result<Looked, Error> {
        let (look, identity) = Self::take(Arc::clone(&files))?;
        let snapshots = Snapshots { files, events: Arc::clone(&look.events) };
        Ok(Looked { log: Arc::new(look), snapshots: Arc::new(snapshots), identity })
    }

    fn take(files: Arc<dyn Files>) -> Result<(Self, Option<Identity>), Error> {
        let identity = identity(&*files)?;
        let ledger = identity.map(|identity| identity.ledger);
        let seen = settle(&*files, ledger, Vec::new())?;
        let mut look = Self {
            inner: RwLock::new(Inner { files, ledger, seen, settled: true, replaced: false }),
            archives: Mutex::default(),
            chunks: Mutex::default(),
            hashes: HashFiles::default(),
            events: Arc::default(),
        };
        let shown = {
            let inner = look.inner();
            look.end_of(&*inner.files, inner.ledger, &inner.seen)?
        };
        look.inner.get_mut().unwrap_or_else(PoisonError::into_inner).seen.shown = shown;
        look.events.store(shown.size.get(), Ordering::Relaxed);
        Ok((look, identity))
    }

    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of what was seen: without journals, the last archive names it.
    fn end_of(
        &self,
        files: &dyn Files,
        ledger: Option<LedgerId>,
        seen: &Seen,
    ) -> Result<Head, Error> {
        let Some(last) = seen.archives.last() else { return Ok(seen.shown) };
        if seen.shown.size >= last.last.size() {
            return Ok(seen.shown);
        }
        match self.open_archive(files, ledger, last).map(|archive| archive.span.after) {
            Err(Error::Damaged { .. }) => Ok(seen.shown),
            after => after,
        }
    }

    fn archive(&self, inner: &Inner, archived: &Archived) -> Result<Arc<Archive>, Error> {
        self.open_archive(&*inner.files, inner.ledger, archived)
    }

    /// Opens an archive, or finds it among those that are open.
    fn open_archive(
        &self,
        files: &dyn Files,
        ledger: Option<LedgerId>,
        archived: &Archived,
    ) -> Result<Arc<Archive>, Error> {
        let mut open = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, archive)) = open.iter().find(|(name, _)| *name == archived.name) {
            return Ok(Arc::clone(archive));
        }
        let path = files.root().join(&archived.name);
        let handle = files.open(&archived.name)?;
        let handle = handle.ok_or_else(|| {
            let missing = Error::damaged(archived.first, &path, Damage::Missing);
            unless_replaced(files, missing)
        })?;
        let archive = Archive::over(handle.file, &path)?;
        if ledger.is_some_and(|ledger| ledger != archive.span.ledger) {
            let detail = Damage::OtherLedger { found: archive.span.ledger };
            return Err(Error::damaged(archived.first, path, detail));
        }
        let archive = Arc::new(archive);
        open.truncate(ARCHIVES_OPEN - 1);
        open.push_front((archived.name.clone(), Arc::clone(&archive)));
        let mut held = 0;
        let fitting = open.iter().take_while(|(_, archive)| {
            held += archive.index_bytes();
            held <= INDEX_BYTES_KEPT
        });
        let fitting = fitting.count().max(1);
        open.truncate(fitting);
        Ok(archive)
    }

    /// The root after `size` events, if a file names it.
    fn root_in(
        &self,
        files: &dyn Files,
        ledger: Option<LedgerId>,
        seen: &Seen,
        size: Size,
    ) -> Result<Option<Root>, Error> {
        if let Some(root) = seen.root_at(size) {
            return Ok(Some(root));
        }
        // Where one archive ends and the next one begins.
        let ends = |archive: &&Archived| archive.last.size() == size;
        let Some(archived) = seen.archives.iter().find(ends) else { return Ok(None) };
        match self.open_archive(files, ledger, archived) {
            Ok(archive) => Ok(Some(archive.span.after.root)),
            Err(Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads frames of an archive, within one of its chunks.
    fn read_archived(
        &self,
        inner: &Inner,
        archived: &Archived,
        seq: Seq,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let holds = |chunk: &Arc<Frames>| (chunk.first().get()..=chunk.end()).contains(&seq.get());
        let kept = {
            let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
            chunks.iter().find(|chunk| holds(chunk)).cloned()
        };
        let chunk = if let Some(chunk) = kept {
            chunk
        } else {
            let archive = self.archive(inner, archived)?;
            let chunk = archive.frames_from(seq).next().transpose()?.map(Arc::new);
            let chunk = chunk
                .filter(holds)
                .ok_or_else(|| Error::damaged(seq, &archive.path, Damage::OtherEvents))?;
            let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
            chunks.push_front(Arc::clone(&chunk));
            let mut bytes = 0;
            let kept = chunks.iter().take_while(|chunk| {
                bytes += chunk.bytes();
                bytes <= CHUNK_BYTES_KEPT
            });
            let kept = kept.count().max(1);
            chunks.truncate(kept);
            chunk
        };
        let mut taken = Vec::new();
        let mut left = bytes_max;
        for (_, frame) in chunk.iter().skip(narrow(seq.get() - chunk.first().get())) {
            if !taken.is_empty() && frame.len() > left {
                break;
            }
            left = left.saturating_sub(frame.len());
            taken.push(frame.to_vec());
        }
        Ok(taken)
    }
}

impl FrameRead for Look {
    fn shown(&self) -> Head {
        self.inner().seen.shown
    }

    fn pending(&self) -> u64 {
        let inner = self.inner();
        inner.seen.written.saturating_sub(inner.seen.shown.size.get())
    }

    fn shortfall(&self) -> Option<Shortfall> {
        let inner = self.inner();
        let readable = inner.seen.shown.size.get();
        let short =
            inner.seen.fault.is_some() || inner.seen.held.is_none_or(|held| held > readable);
        short.then_some(Shortfall { readable, held: inner.seen.held })
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let inner = self.inner();
        inner.check()?;
        if from.size() > inner.seen.shown.size {
            return Ok(Vec::new());
        }
        let archives = &inner.seen.archives;
        let at = archives.partition_point(|archive| archive.last < from);
        let holding = archives.get(at).filter(|archive| archive.first <= from);
        let mut frames = if let Some(archived) = holding {
            self.read_archived(&inner, archived, from, bytes_max)?
        } else {
            let mut chains = inner.seen.chains.iter();
            let chain = chains.find(|chain| chain.after().size >= from.size());
            chain.map_or(Ok(Vec::new()), |chain| chain.read(from, bytes_max))?
        };
        if frames.is_empty() {
            let place = inner.files.root().to_owned();
            return Err(Error::damaged(from, place, Damage::Missing));
        }
        frames.truncate(narrow(inner.seen.shown.size.get() - from.leaf_index()));
        Ok(frames)
    }

    fn root_at(&self, size: Size) -> Result<Option<Root>, Error> {
        let inner = self.inner();
        self.root_in(&*inner.files, inner.ledger, &inner.seen, size)
    }

    fn tree_hash(&self, index: u64) -> Result<Option<([u8; 32], Head)>, Error> {
        let inner = self.inner();
        inner.check()?;
        self.hashes.tree_hash(index, &*inner.files, inner.ledger, &inner.seen.archives)
    }

    fn refresh(&self) -> Result<Head, Error> {
        let shown = {
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            if !inner.files.is_current()? {
                inner.replaced = true;
                inner.check()?;
            }
            if inner.settled && inner.seen.is_current(&*inner.files)? {
                return Ok(inner.seen.shown);
            }
            let known = std::mem::take(&mut inner.seen.chains);
            inner.settled = false;
            let mut seen = settle(&*inner.files, inner.ledger, known)?;
            self.hashes.forget();
            if !seen.has_archives_of(&inner.seen) {
                self.archives.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.chunks.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            let before = inner.seen.shown;
            seen.shown = self.end_of(&*inner.files, inner.ledger, &seen)?;
            let then = self.root_in(&*inner.files, inner.ledger, &seen, before.size)?;
            let shrank = seen.shown.size < before.size;
            if then.is_some_and(|root| root != before.root) || (shrank && seen.fault.is_none()) {
                inner.replaced = true;
                inner.check()?;
            }
            if shrank {
                // Damage: what was shown stays known, and what is gone of it is an error.
                seen.shown = before;
            }
            self.events.fetch_max(seen.shown.size.get(), Ordering::Relaxed);
            // Only now is it judged: after an error before this, the next refresh looks again.
            (inner.seen, inner.settled) = (seen, true);
            inner.seen.shown
        };
        Ok(shown)
    }
}

/// Refuses a directory that has another one in its place: its files may be going away.
fn check_current(files: &dyn Files) -> Result<(), Error> {
    let replaced = || Error::Replaced { path: files.root().to_owned() };
    if files.is_current()? { Ok(()) } else { Err(replaced()) }
}

/// Damage, unless another directory is in the place of this one.
fn unless_replaced(files: &dyn Files, damage: Error) -> Error {
    match check_current(files) {
        Err(replaced @ Error::Replaced { .. }) => replaced,
        Ok(()) | Err(_) => damage,
    }
}

/// Looks until there is no fault, or the same one twice in the same files.
fn settle(
    files: &dyn Files,
    ledger: Option<LedgerId>,
    known: Vec<chain::Chain>,
) -> Result<Seen, Error> {
    let boot = head::boot_id();
    let mut before: Option<Fault> = None;
    let mut known = known;
    for pause in PAUSES {
        files.wait(pause);
        let mut seen = Seen::look(files, ledger, std::mem::take(&mut known), boot)?;
        match seen.fault.take() {
            None => return Ok(seen),
            Some(fault) if before.as_ref() == Some(&fault) => {
                check_current(files)?;
                seen.fault = Some(fault);
                return Ok(seen);
            }
            Some(fault) => before = Some(fault),
        }
        known = seen.chains;
    }
    Err(Error::Unsettled { path: files.root().to_owned() })
}

/// Reads `NODE`; `None` if it is damaged, or lost.
fn identity(files: &dyn Files) -> Result<Option<Identity>, Error> {
    for _ in 0..2 {
        match files.open(node::FILE) {
            Ok(Some(handle)) => return named_by(files, &*handle.file),
            Ok(None) => {}
            Err(Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        // `NODE` gets its name after all the other files have theirs, so they are no ledger yet.
        let begun = files.open(unfinished::NODE).is_ok_and(|node| node.is_some());
        let empty = begun && Seen::look(files, None, Vec::new(), [0; 16])?.written == 0;
        if empty || files.open("HEAD").is_ok_and(|head| head.is_none()) {
            return Err(Error::NotFound { path: files.root().to_owned() });
        }
        // It may have got its name meanwhile.
    }
    check_current(files)?;
    Ok(None)
}

fn named_by(files: &dyn Files, node: &dyn ReadAt) -> Result<Option<Identity>, Error> {
    let path = files.root().join(node::FILE);
    let mut bytes = [0; 1024];
    let found = node.read_at(&mut bytes, 0).map_err(at("read", &path))?;
    match node::of_bytes(bytes.get(..found).unwrap_or_default(), &path) {
        Ok(Identity { role: Role::Copying, .. }) => {
            Err(Error::Unfinished { path: files.root().to_owned() })
        }
        Ok(identity) => Ok(Some(identity)),
        Err(Error::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The saved states in the directory of a look.
#[derive(Debug)]
struct Snapshots {
    files: Arc<dyn Files>,
    /// The size of the log, as far as it was looked at.
    events: Arc<AtomicU64>,
}

impl Snapshots {
    fn file(&self, seq: Seq) -> Result<OpenSnapshot, Error> {
        let name = format!("{}/{:020}.snapshot", dir::SNAPSHOTS, seq.get());
        let path = self.files.root().join(&name);
        let gone = || at("open", &path)(std::io::ErrorKind::NotFound.into());
        let file = self.files.open(&name)?.ok_or_else(gone)?.file;
        let size = file.len().map_err(at("inspect", &path))?;
        Ok(OpenSnapshot { file, path, size })
    }

    /// As [`file`](Self::file), if its length can be that of a state of this log.
    fn believable(&self, seq: Seq) -> Result<OpenSnapshot, Error> {
        let found = self.file(seq)?;
        let events = self.events.load(Ordering::Relaxed);
        let max = events.saturating_mul(SNAPSHOT_BYTES_AN_EVENT).max(SNAPSHOT_BYTES_MIN);
        if found.size > max {
            let too_long = Damage::TooLong { len: found.size, max };
            return Err(Error::damaged(None, found.path, too_long));
        }
        Ok(found)
    }
}

impl SnapshotStore for Snapshots {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        let at = |name: &String| Seq::new(name.strip_suffix(".snapshot")?.parse().ok()?);
        let names = match self.files.list(dir::SNAPSHOTS) {
            // Something else in their place holds none.
            Err(Error::Damaged { .. }) => Vec::new(),
            names => names?,
        };
        let mut listed: Vec<_> = names.iter().filter_map(at).collect();
        listed.sort();
        Ok(listed)
    }

    fn bytes(&self, seq: Seq) -> Result<u64, Error> {
        Ok(self.file(seq)?.size)
    }

    fn load(&self, seq: Seq) -> Result<Vec<u8>, Error> {
        let found = self.believable(seq)?;
        found.read(0, narrow(found.size))
    }

    fn parts(&self, seq: Seq) -> Result<Box<dyn SnapshotBytes>, Error> {
        Ok(Box::new(self.believable(seq)?))
    }

    fn save(&self, _: Seq, _: &[u8]) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn remove(&self, _: Seq) -> Result<(), Error> {
        Err(Error::Halted)
    }
}
