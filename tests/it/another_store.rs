//! Another store, made of a vector, behind the same seam as the real one.
//!
//! It keeps the contract of every store, and a ledger on it appends, forgets nothing when it is
//! opened again, and verifies. A store on a database is written the same way.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use taskledger::{
    Ledger, Options,
    audit::{VerifyOptions, verify_in},
    command::Spawn,
    ids::{Head, LedgerId, NodeId, Root, Seq, Size, ThreadId, TreeHash},
    store::{
        Damage, Error, Evidence, FixedNode, FrameLog, FrameRead, Group, Home, Identity, Inspect,
        Looked, MemStore, NodeStore, Opened, Rebuilt, Replay, Rewrite, RewriteError, Role,
        SealedItems, Shortfall, SnapshotStore, StoreFinding, Witness, conformance::Place,
    },
};

/// A place in memory. A clone is the same place.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<Option<Kept>>>);

#[derive(Debug, Clone)]
struct Kept {
    identity: Identity,
    frames: Vec<Vec<u8>>,
    tree_hashes: BTreeMap<u64, [u8; 32]>,
    head: Head,
    erased_upto: Option<Seq>,
    reserved: u64,
    openings: u64,
    snapshots: MemStore,
}

impl Kept {
    fn read(&self, from: Seq, bytes_max: usize) -> Vec<Vec<u8>> {
        let (mut left, mut found) = (bytes_max, Vec::new());
        for frame in self.frames.iter().skip(from.leaf_index().try_into().unwrap_or(usize::MAX)) {
            if frame.len() > left && !found.is_empty() {
                break;
            }
            left = left.saturating_sub(frame.len());
            found.push(frame.clone());
        }
        found
    }
}

/// One opening of it.
#[derive(Debug)]
struct Handle {
    shelf: Shelf,
    opening: u64,
}

fn nothing_here() -> Error {
    Error::NotFound { path: "shelf".into() }
}

fn taken() -> Error {
    Error::Exists { path: "shelf".into() }
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap()
    }

    fn see<T>(&self, at: impl FnOnce(&Kept) -> T) -> T {
        at(self.kept().as_ref().unwrap())
    }

    fn whole(&self) -> Result<Kept, Error> {
        match self.kept().clone() {
            None => Err(nothing_here()),
            Some(kept) if kept.identity.role == Role::Copying => {
                Err(Error::Unfinished { path: "shelf".into() })
            }
            Some(kept) => Ok(kept),
        }
    }

    fn handle(&self) -> Opened {
        let mut kept = self.kept();
        let kept = kept.as_mut().unwrap();
        kept.openings += 1;
        let handle = Arc::new(Handle { shelf: self.clone(), opening: kept.openings });
        Opened { log: handle.clone(), snapshots: Arc::new(kept.snapshots.reopen()), node: handle }
    }
}

impl Home for Shelf {
    fn create(&self, identity: Identity) -> Result<Opened, Error> {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| kept.identity.role != Role::Copying) {
            return Err(taken());
        }
        *kept = Some(Kept {
            identity,
            frames: Vec::new(),
            tree_hashes: BTreeMap::new(),
            head: Head::EMPTY,
            erased_upto: None,
            reserved: 0,
            openings: 0,
            snapshots: MemStore::new(),
        });
        drop(kept);
        Ok(self.handle())
    }

    fn open(&self) -> Result<Opened, Error> {
        if self.whole()?.identity.role == Role::Divergent {
            return Err(Error::Diverged { path: "shelf".into() });
        }
        Ok(self.handle())
    }

    fn look(&self) -> Result<Looked, Error> {
        let kept = self.whole()?;
        let seen = Arc::new(Seen { shelf: self.clone(), shown: Mutex::new(kept.head) });
        Ok(Looked { log: seen.clone(), snapshots: seen, identity: Some(kept.identity) })
    }

    fn inspect(&self) -> Result<Box<dyn Inspect>, Error> {
        Ok(Box::new(self.whole()?))
    }

    fn rebuild(&self, _: &mut dyn Replay) -> Result<Rebuilt, Error> {
        Ok(Rebuilt { head: self.whole()?.head, set_aside: Vec::new() })
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| kept.identity.role != Role::Copying) {
            return Err(taken());
        }
        *kept = None;
        Ok(())
    }
}

/// The place, for a reader that does not end when the place is opened again.
#[derive(Debug)]
struct Seen {
    shelf: Shelf,
    shown: Mutex<Head>,
}

impl FrameRead for Seen {
    fn shown(&self) -> Head {
        *self.shown.lock().unwrap()
    }

    fn pending(&self) -> u64 {
        self.shelf.see(|kept| kept.head.size.get()) - self.shown().size.get()
    }

    fn shortfall(&self) -> Option<Shortfall> {
        None
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let left = self.shown().size.get().saturating_sub(from.size_before().get());
        let mut frames = self.shelf.see(|kept| kept.read(from, bytes_max));
        frames.truncate(usize::try_from(left).unwrap());
        Ok(frames)
    }

    fn root_at(&self, size: Size) -> Result<Option<Root>, Error> {
        let shown = self.shown();
        Ok((size == shown.size).then_some(shown.root))
    }

    fn refresh(&self) -> Result<Head, Error> {
        let head = self.shelf.see(|kept| kept.head);
        *self.shown.lock().unwrap() = head;
        Ok(head)
    }
}

impl SnapshotStore for Seen {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        self.shelf.see(|kept| kept.snapshots.list())
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        self.shelf.see(|kept| kept.snapshots.bytes(at))
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        self.shelf.see(|kept| kept.snapshots.load(at))
    }

    fn save(&self, _: Seq, _: &[u8]) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn remove(&self, _: Seq) -> Result<(), Error> {
        Err(Error::Halted)
    }
}

impl Handle {
    fn kept<T>(&self, at: impl FnOnce(&mut Kept) -> T) -> Result<T, Error> {
        match self.shelf.kept().as_mut() {
            Some(kept) if kept.openings == self.opening => Ok(at(kept)),
            _ => Err(Error::Halted),
        }
    }
}

impl FrameLog for Handle {
    fn written(&self) -> Head {
        self.shelf.see(|kept| kept.head)
    }

    fn synced(&self) -> Head {
        self.written()
    }

    fn append(&self, group: Group<'_>) -> Result<(), Error> {
        self.kept(|kept| {
            let next = kept.head.seq().map_or(Seq::FIRST, |last| last.next().unwrap());
            if group.first != next {
                return Err(Error::NotNext { at: group.first, next });
            }
            kept.frames.extend_from_slice(group.frames);
            kept.tree_hashes.extend(group.tree_hashes.iter().map(|one| (one.index, one.hash)));
            kept.head =
                Head { size: Size::new(kept.frames.len().try_into().unwrap()), root: group.root };
            Ok(())
        })?
    }

    fn sync(&self) -> Result<Head, Error> {
        self.kept(|kept| kept.head)
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.kept(|kept| kept.read(from, bytes_max))
    }

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        self.kept(|kept| kept.tree_hashes.get(&index).copied())
    }

    fn resume(&self, tree_hashes: Vec<TreeHash>) -> Result<(), Error> {
        let given = tree_hashes.into_iter().map(|one| (one.index, one.hash));
        self.kept(|kept| kept.tree_hashes.extend(given))
    }

    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.kept(|kept| {
            let mut frames = kept.frames.clone();
            for (seq, frame) in (1..=upto.get()).filter_map(Seq::new).zip(&mut frames) {
                let damaged = |why: RewriteError| {
                    let detail = Damage::NotRewritten { why: why.into() };
                    Error::Damaged { seq: Some(seq), file: None, detail }
                };
                if let Some(new) = rewrite(seq, frame).map_err(damaged)? {
                    *frame = new;
                }
            }
            kept.frames = frames;
            kept.erased_upto = kept.erased_upto.max(Some(upto));
            Ok(())
        })?
    }

    fn erased_upto(&self) -> Option<Seq> {
        self.shelf.see(|kept| kept.erased_upto)
    }

    fn reserved(&self) -> u64 {
        self.shelf.see(|kept| kept.reserved)
    }

    fn reserve(&self, number: u64) -> Result<(), Error> {
        self.kept(|kept| kept.reserved = number)
    }

    fn close(&self) -> Result<(), Error> {
        self.kept(|kept| kept.openings += 1)
    }
}

impl NodeStore for Handle {
    fn identity(&self) -> Identity {
        self.shelf.see(|kept| kept.identity)
    }

    fn set_identity(&self, identity: Identity) -> Result<(), Error> {
        self.kept(|kept| kept.identity = identity)
    }
}

impl Inspect for Kept {
    fn identity(&self) -> Option<Identity> {
        Some(self.identity)
    }

    fn witness(&self) -> Option<Witness> {
        Some(Witness { written: self.head, synced: self.head, sealed: Head::EMPTY })
    }

    fn findings(&self) -> &[StoreFinding] {
        &[]
    }

    fn commits_from(&self) -> Option<Seq> {
        None
    }

    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding> {
        for (seq, bytes) in (1..).filter_map(Seq::new).zip(&self.frames) {
            if visit(Evidence::Frame { seq, bytes }).is_break() {
                break;
            }
        }
        Vec::new()
    }

    fn sealed(&self, _: Duration) -> SealedItems {
        Box::new(std::iter::empty())
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(self.snapshots.clone())
    }
}

impl Place for Shelf {
    fn open(&mut self) -> Opened {
        let exists = self.kept().is_some();
        let identity = Identity::new(LedgerId([1; 16]), NodeId([2; 16]));
        let opened = if exists { Home::open(self) } else { self.create(identity) }.unwrap();
        Opened { node: Arc::new(FixedNode(identity)), ..opened }
    }

    fn crash(&mut self, opened: Opened) {
        drop(opened);
    }
}

taskledger::conformance_tests!(shelf, Shelf::default());
taskledger::conformance_tests!(@home shelf_home, Shelf::default());

#[test]
fn a_ledger_on_another_store_is_the_same_ledger_when_it_is_opened_again() {
    let shelf = Shelf::default();
    let spawn = || Spawn::new(ThreadId::new("t").unwrap(), "agent");
    let (id, head) = {
        let ledger = Ledger::create_in(&shelf, Options::default()).unwrap();
        (0..100).for_each(|_| drop(ledger.append_blocking(spawn()).unwrap()));
        ledger.close_blocking().unwrap();
        (ledger.reader().ledger_id(), ledger.reader().head())
    };
    let again = Ledger::open_in(&shelf, Options::default()).unwrap();
    assert_eq!((again.reader().ledger_id(), again.reader().head()), (id, head));
    again.append_blocking(spawn()).unwrap();
    assert_eq!(again.reader().state().unwrap().ledger(), Some(id), "it did not become another one");
    drop(again);
    let report = verify_in(&shelf, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!(report.ledger, Some(id));
}

/// A memory that was opened again used to become another ledger, with a second beginning.
#[test]
fn a_memory_that_is_opened_again_is_the_same_ledger() {
    let store = MemStore::new();
    let first = Ledger::create_in(&store, Options::default()).unwrap();
    let spawn = Spawn::new(ThreadId::new("t").unwrap(), "agent");
    first.append_blocking(spawn.clone()).unwrap();
    let id = first.reader().ledger_id();
    drop(first);
    let second = Ledger::open_in(&store, Options::default()).unwrap();
    second.append_blocking(spawn).unwrap();
    assert_eq!(second.reader().ledger_id(), id);
    assert_eq!(second.reader().state().unwrap().ledger(), Some(id));
    assert!(Ledger::create_in(&store, Options::default()).is_err(), "there is one already");
}
