//! A store in memory: the same promises, as long as the memory exists.
//!
//! For temporary ledgers and for tests, which "open it again" with [`MemStore::reopen`]. Nothing
//! survives the process, so every sync is immediate.

use super::{
    Error, Evidence, FrameLog, FrameRead, Frames, Group, Home, Identity, Inspect, Looked,
    NodeStore, Opened, Rebuilt, Replay, Rewrite, Role, SealedItem, SealedItems, Shortfall,
    SnapshotStore, StoreFinding, Witness,
};
use crate::ids::{Head, LedgerId, NodeId, Root, Seq, Size, TreeHash};
use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// The name of a memory in errors, in place of a path.
const PLACE: &str = "memory";

/// Frames, tree hashes and snapshots in memory. A clone is the same handle.
#[derive(Debug, Clone, Default)]
pub struct MemStore {
    memory: Arc<RwLock<Memory>>,
    /// The opening that this handle belongs to. Only handles of the newest opening work.
    opening: u64,
}

/// The contents of the memory, as a directory would hold them.
#[derive(Debug)]
struct Memory {
    opening: u64,
    frames: Vec<Vec<u8>>,
    tree_hashes: BTreeMap<u64, TreeHash>,
    snapshots: BTreeMap<Seq, Vec<u8>>,
    written: Head,
    synced: Head,
    sealed: Head,
    erased_upto: Option<Seq>,
    reserved: u64,
    /// `None` before a ledger is created here.
    identity: Option<Identity>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            opening: 0,
            frames: Vec::new(),
            tree_hashes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            written: Head::EMPTY,
            synced: Head::EMPTY,
            sealed: Head::EMPTY,
            erased_upto: None,
            reserved: 0,
            identity: None,
        }
    }
}

impl MemStore {
    /// A store without frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the same memory again, as after a crash of the process: everything written is there
    /// and durable, except the tree hashes that are not sealed, as the contract says. Halts the
    /// handles of earlier openings.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.opening += 1;
        memory.synced = memory.written;
        let sealed = memory.sealed.size;
        memory.tree_hashes.retain(|_, tree_hash| tree_hash.seq.get() <= sealed.get());
        Self { memory: Arc::clone(&self.memory), opening: memory.opening }
    }

    /// Checks that there is a ledger here, and that it is no unfinished copy.
    fn whole(&self) -> Result<(), Error> {
        match self.peek().identity {
            None => Err(Error::NotFound { path: PLACE.into() }),
            Some(Identity { role: Role::Copying, .. }) => {
                Err(Error::Unfinished { path: PLACE.into() })
            }
            Some(_) => Ok(()),
        }
    }

    fn peek(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory for reading, unless this handle was closed or opened anew.
    fn get(&self) -> Result<RwLockReadGuard<'_, Memory>, Error> {
        let memory = self.peek();
        if memory.opening == self.opening { Ok(memory) } else { Err(Error::Halted) }
    }

    /// The memory for writing, unless this handle was closed or opened anew.
    fn get_mut(&self) -> Result<RwLockWriteGuard<'_, Memory>, Error> {
        let memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.opening == self.opening { Ok(memory) } else { Err(Error::Halted) }
    }
}

impl Memory {
    fn append(&mut self, group: Group<'_>) -> Result<(), Error> {
        assert!(!group.frames.is_empty(), "a group holds at least one frame");
        let next = self.written.seq().map_or(Some(Seq::FIRST), Seq::next).ok_or(Error::Full {
            what: "an event number",
            room: None,
            source: None,
        })?;
        if group.first != next {
            return Err(Error::NotNext { at: group.first, next });
        }
        self.frames.extend_from_slice(group.frames);
        self.keep(group.tree_hashes);
        self.written = Head { size: Size::new(size_of(&self.frames)), root: group.root };
        Ok(())
    }

    fn keep(&mut self, tree_hashes: &[TreeHash]) {
        self.tree_hashes.extend(tree_hashes.iter().map(|tree_hash| (tree_hash.index, *tree_hash)));
    }
}

impl FrameLog for MemStore {
    fn written(&self) -> Head {
        self.peek().written
    }

    fn synced(&self) -> Head {
        self.peek().synced
    }

    fn append(&self, group: Group<'_>) -> Result<(), Error> {
        self.get_mut()?.append(group)
    }

    fn append_may_wait(&self) -> bool {
        false
    }

    fn sync(&self) -> Result<Head, Error> {
        let mut memory = self.get_mut()?;
        memory.synced = memory.written;
        Ok(memory.synced)
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let memory = self.get()?;
        let from = usize::try_from(from.leaf_index()).unwrap_or(usize::MAX);
        Ok(as_many_as_fit(memory.frames.get(from..).unwrap_or_default(), bytes_max))
    }

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        Ok(self.get()?.tree_hashes.get(&index).map(|tree_hash| tree_hash.hash))
    }

    fn sealed(&self) -> Head {
        self.peek().sealed
    }

    fn resume(&self, tree_hashes: Vec<TreeHash>) -> Result<(), Error> {
        self.get_mut()?.keep(&tree_hashes);
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut memory = self.get_mut()?;
        memory.sealed = memory.synced;
        Ok(())
    }

    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        let mut memory = self.get_mut()?;
        memory.frames = rewritten(&memory.frames, upto, rewrite)?;
        memory.erased_upto = memory.erased_upto.max(Some(upto));
        Ok(())
    }

    fn erased_upto(&self) -> Option<Seq> {
        self.peek().erased_upto
    }

    fn reserved(&self) -> u64 {
        self.peek().reserved
    }

    fn reserve(&self, number: u64) -> Result<(), Error> {
        self.get_mut()?.reserved = number;
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        let mut memory = self.get_mut()?;
        memory.synced = memory.written;
        memory.sealed = memory.synced;
        memory.opening += 1;
        Ok(())
    }
}

impl SnapshotStore for MemStore {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        Ok(self.peek().snapshots.keys().copied().collect())
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        Ok(u64::try_from(self.load(at)?.len()).unwrap_or(u64::MAX))
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.peek().snapshots.get(&at).cloned().ok_or_else(no_snapshot)
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        self.get_mut()?.snapshots.insert(at, bytes.to_vec());
        Ok(())
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        self.get_mut()?.snapshots.remove(&at);
        Ok(())
    }
}

impl NodeStore for MemStore {
    fn identity(&self) -> Identity {
        let nobody = || Identity::new(LedgerId([0; 16]), NodeId([0; 16]));
        self.peek().identity.unwrap_or_else(nobody)
    }

    fn set_identity(&self, identity: Identity) -> Result<(), Error> {
        self.get_mut()?.identity = Some(identity);
        Ok(())
    }
}

/// A memory is a home as long as a clone of it exists. Opening it again halts the handles of
/// earlier openings.
impl Home for MemStore {
    fn create(&self, identity: Identity) -> Result<Opened, Error> {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        let unfinished = memory.identity.is_some_and(|found| found.role == Role::Copying);
        if unfinished {
            *memory = Memory { opening: memory.opening, ..Memory::default() };
        }
        if memory.identity.is_some() || !memory.frames.is_empty() {
            return Err(Error::Exists { path: PLACE.into() });
        }
        memory.identity = Some(identity);
        drop(memory);
        Ok(Opened::of(self.reopen()))
    }

    fn open(&self) -> Result<Opened, Error> {
        self.whole()?;
        if self.peek().identity.is_some_and(|found| found.role == Role::Divergent) {
            return Err(Error::Diverged { path: PLACE.into() });
        }
        Ok(Opened::of(self.reopen()))
    }

    fn look(&self) -> Result<Looked, Error> {
        self.whole()?;
        let identity = self.peek().identity;
        let shown = Mutex::new(self.peek().synced);
        let log = Arc::new(MemLook { memory: Arc::clone(&self.memory), shown });
        Ok(Looked { log: log.clone(), snapshots: log, identity })
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>, Error> {
        self.whole()?;
        Ok(Box::new(self.clone()))
    }

    /// There is no sealed store, so there is nothing to rebuild.
    fn rebuild(&self, _: &mut dyn Replay) -> Result<Rebuilt, Error> {
        self.whole()?;
        Ok(Rebuilt { head: self.written(), set_aside: Vec::new() })
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.identity.is_some_and(|found| found.role == Role::Copying) {
            *memory = Memory { opening: memory.opening + 1, ..Memory::default() };
            return Ok(());
        }
        Err(Error::Exists { path: PLACE.into() })
    }
}

/// A memory that is only read, whichever handle writes to it.
#[derive(Debug)]
struct MemLook {
    memory: Arc<RwLock<Memory>>,
    shown: Mutex<Head>,
}

impl MemLook {
    fn peek(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown_now(&self) -> MutexGuard<'_, Head> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameRead for MemLook {
    fn shown(&self) -> Head {
        *self.shown_now()
    }

    fn pending(&self) -> u64 {
        let written = self.peek().written.size;
        written.get().saturating_sub(self.shown().size.get())
    }

    fn shortfall(&self) -> Option<Shortfall> {
        None
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let shown = usize::try_from(self.shown().size.get()).unwrap_or(usize::MAX);
        let memory = self.peek();
        let frames = memory.frames.get(..shown.min(memory.frames.len())).unwrap_or_default();
        let first = usize::try_from(from.leaf_index()).unwrap_or(usize::MAX);
        Ok(frames.get(first..).map_or_else(Vec::new, |frames| as_many_as_fit(frames, bytes_max)))
    }

    fn root_at(&self, size: Size) -> Result<Option<Root>, Error> {
        let shown = self.shown();
        Ok((shown.size == size).then_some(shown.root))
    }

    fn refresh(&self) -> Result<Head, Error> {
        let synced = self.peek().synced;
        let mut shown = self.shown_now();
        if synced.size < shown.size {
            return Err(Error::Replaced { path: PLACE.into() });
        }
        *shown = synced;
        Ok(synced)
    }
}

impl SnapshotStore for MemLook {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        Ok(self.peek().snapshots.keys().copied().collect())
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        self.load(at).map(|bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.peek().snapshots.get(&at).cloned().ok_or_else(no_snapshot)
    }

    fn save(&self, _: Seq, _: &[u8]) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn remove(&self, _: Seq) -> Result<(), Error> {
        Err(Error::Halted)
    }
}

impl Inspect for MemStore {
    fn identity(&self) -> Option<Identity> {
        self.peek().identity
    }

    fn witness(&self) -> Option<Witness> {
        let Memory { written, synced, sealed, .. } = *self.peek();
        Some(Witness { written, synced, sealed })
    }

    fn findings(&self) -> &[StoreFinding] {
        &[]
    }

    fn commits_from(&self) -> Option<Seq> {
        None
    }

    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding> {
        for (seq, bytes) in (1..).filter_map(Seq::new).zip(&self.peek().frames) {
            if visit(Evidence::Frame { seq, bytes }).is_break() {
                break;
            }
        }
        Vec::new()
    }

    fn sealed(&self, _: Duration) -> SealedItems {
        let memory = self.peek();
        let sealed = usize::try_from(memory.sealed.size.get()).unwrap_or(usize::MAX);
        let frames = memory.frames.iter().take(sealed);
        let block = |(seq, frame): (Seq, &Vec<u8>)| Frames::collect(seq, [frame.as_slice()]);
        let blocks =
            (1..).filter_map(Seq::new).zip(frames).filter_map(block).map(SealedItem::Block);
        let hashes = memory.tree_hashes.values();
        let hashes = hashes.map(|kept| SealedItem::TreeHash { index: kept.index, hash: kept.hash });
        let items: Vec<_> = blocks.chain(hashes).map(Ok).collect();
        Box::new(items.into_iter())
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(self.clone())
    }
}

fn no_snapshot() -> Error {
    let source = io::ErrorKind::NotFound.into();
    Error::Io { during: "reading a snapshot", path: None, source }
}

/// The first of `frames`: as many as fit `bytes_max`, but at least one if there is one.
pub(super) fn as_many_as_fit(frames: &[Vec<u8>], bytes_max: usize) -> Vec<Vec<u8>> {
    let mut left = bytes_max;
    let fit = |frame: &&Vec<u8>| match left.checked_sub(frame.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let fitting = frames.iter().take_while(fit).count().max(1);
    frames.iter().take(fitting).cloned().collect()
}

/// The frames, with those up to `upto` rewritten.
pub(super) fn rewritten(
    frames: &[Vec<u8>],
    upto: Seq,
    rewrite: Rewrite<'_>,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut all = frames.to_vec();
    for (seq, frame) in (1..=upto.get()).filter_map(Seq::new).zip(&mut all) {
        let instead = rewrite(seq, frame);
        if let Some(new) = instead.map_err(|why| Error::not_rewritten(seq, None, why))? {
            *frame = new;
        }
    }
    Ok(all)
}

fn size_of(frames: &[Vec<u8>]) -> u64 {
    u64::try_from(frames.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::conformance_tests!(mem, MemStore::new());
    crate::conformance_tests!(@home mem_home, MemStore::new());

    #[test]
    fn a_handle_of_an_earlier_opening_is_halted() {
        let first = MemStore::new();
        let second = first.reopen();
        assert!(matches!(first.sync(), Err(Error::Halted)));
        assert!(matches!(first.read(Seq::FIRST, 1), Err(Error::Halted)));
        assert!(matches!(first.clone().reserve(1), Err(Error::Halted)));
        second.sync().unwrap();
    }
}
