//! Reading all that can be read of a ledger that does not open.

use crate::{
    codec,
    ids::{Head, LedgerId, NodeId, Seq},
    ledger::{Ledger, OpenError, Options, Role, commit::shared::decode},
    proof::Tree,
    store::{
        Error, Evidence, FixedNode, FrameLog, Frames, Group, Home, Identity, Inspect, MemStore,
        Opened, SealedItem, SealedItems, Shortfall,
    },
};
use std::{ops::ControlFlow, sync::Arc, time::Duration};

/// The longest wait for an answer of the engine; damage can make it wait for ever.
const SEALED_DEADLINE: Duration = Duration::from_mins(2);
/// The longest wait where no event is known to be missing.
const BEYOND_DEADLINE: Duration = Duration::from_secs(20);

impl Ledger {
    /// Opens what can be read of the ledger in `home`, also from its sealed store; see
    /// [`open_salvaged`](Self::open_salvaged). Blocks.
    ///
    /// # Errors
    /// As [`open_salvaged`](Self::open_salvaged).
    pub fn open_salvaged_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        let inspection = home.inspect()?;
        let store = MemStore::new();
        let held = inspection.witness().map(|witness| witness.synced);
        let (found, then) = Salvage::new(&*inspection, Some(&store), held).run()?;
        store.sync()?;
        let unknown = || Identity::new(LedgerId([0; 16]), NodeId([0; 16]));
        let identity = inspection.identity().unwrap_or_else(unknown);
        let opened = Opened { node: Arc::new(FixedNode(identity)), ..Opened::of(store) };
        let mut ledger = Self::start_as(Role::ReadOnly, opened, options)?;
        ledger.inner.reader.shared().set_salvaged();
        if (held.is_none() || held != then)
            && let Some(inner) = Arc::get_mut(&mut ledger.inner)
        {
            let held = held.map(|head| head.size.get());
            inner.shortfall = Some(Shortfall { readable: found.size.get(), held });
        }
        Ok(ledger)
    }
}

/// The events that all files of a store together still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readable {
    /// The log up to the first event that no file has any more.
    pub head: Head,
    /// The number of events that the log is known to have held; `None` if no file tells.
    pub held: Option<u64>,
    /// Says whether these events lead to the root that was recorded for them, as far as one was.
    pub agrees: bool,
}

impl Readable {
    /// Every event of a log with this head.
    pub(crate) const fn all(head: Head) -> Self {
        Self { head, held: Some(head.size.get()), agrees: true }
    }

    /// Says whether every event that was ever held can be read, as it was.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.agrees && self.held.is_some_and(|held| self.head.size >= held)
    }

    /// Counts what [`open_salvaged`](Ledger::open_salvaged) would show. Keeps nothing of it.
    pub(crate) fn of(inspection: &dyn Inspect) -> Result<Self, Error> {
        let recorded = inspection.witness().map(|witness| witness.synced);
        let (found, then) = Salvage::new(inspection, None, recorded).run()?;
        let held = recorded.map(|recorded| recorded.size.max(found.size).get());
        Ok(Self { head: found, held, agrees: recorded == then })
    }
}

/// Takes frames as long as they continue the log.
struct Salvage<'a> {
    inspection: &'a dyn Inspect,
    /// The place for them; `None` if they are only counted.
    store: Option<&'a MemStore>,
    /// The items of sled, once they were asked for.
    sealed: Option<SealedItems>,
    /// The block that was taken from last.
    block: Option<Frames>,
    tree: Tree,
    /// The head that `HEAD` names, and the one that was found at that size.
    held: Option<Head>,
    then: Option<Head>,
    frames: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'a> Salvage<'a> {
    const GROUP_BYTES: usize = 1 << 20;

    fn new(inspection: &'a dyn Inspect, store: Option<&'a MemStore>, held: Option<Head>) -> Self {
        let tree = Tree::new();
        let then = Some(tree.head()).filter(|head| held.is_some_and(|held| held.size == head.size));
        let (sealed, block, frames, bytes) = (None, None, Vec::new(), 0);
        Self { inspection, store, sealed, block, tree, held, then, frames, bytes }
    }

    /// Returns the head that can be read, and the one that is known to have been held.
    fn run(mut self) -> Result<(Head, Option<Head>), Error> {
        let inspection = self.inspection;
        inspection.try_log(|evidence| {
            let Evidence::Frame { seq, bytes } = evidence else {
                return Ok(ControlFlow::Continue(()));
            };
            self.fill(seq.leaf_index(), SEALED_DEADLINE)?;
            let taken = self.take(seq, bytes)?;
            Ok(if taken { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let held = inspection.witness().map_or(0, |witness| witness.sealed.size.get());
        self.fill(held, SEALED_DEADLINE)?;
        // Only durable events are sealed: if journal and `HEAD` are gone or were put back from an older
        // copy, the sealed store knows of more events than both.
        self.fill(u64::MAX, BEYOND_DEADLINE)?;
        self.write()?;
        Ok((self.tree.head(), self.then))
    }

    /// Takes events up to number `size` from the sealed store, if they are missing.
    fn fill(&mut self, size: u64, deadline: Duration) -> Result<(), Error> {
        while self.tree.size() < size {
            if let Some(block) = self.block.take().filter(|block| block.end() > self.tree.size()) {
                let taken = self.take_from(&block, size);
                self.block = Some(block);
                if !taken? {
                    return Ok(());
                }
                continue;
            }
            let inspection = self.inspection;
            let sealed = self.sealed.get_or_insert_with(|| inspection.sealed(deadline));
            match sealed.next() {
                Some(Ok(SealedItem::Block(block))) => self.block = Some(block),
                Some(Err(_)) => {}
                Some(Ok(SealedItem::TreeHash { .. })) | None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes events of a block, up to number `size`; `false` if the next one is not there or cannot
    /// be read.
    fn take_from(&mut self, block: &Frames, size: u64) -> Result<bool, Error> {
        let missing = self.tree.size().get() + 1..=size;
        for (seq, frame) in block.iter().filter(|(seq, _)| missing.contains(&seq.get())) {
            if !self.take(seq, frame)? {
                return Ok(false);
            }
        }
        Ok(self.tree.size() >= *missing.start())
    }

    /// Takes the next event; `false` if the frame is another one, or cannot be read.
    fn take(&mut self, seq: Seq, frame: &[u8]) -> Result<bool, Error> {
        let follows = Some(seq) == self.tree.size().next_seq();
        let leaf = codec::leaf(frame).ok().filter(|_| follows && decode(seq, frame).is_ok());
        let Some(leaf) = leaf else { return Ok(false) };
        self.tree.push(leaf);
        if self.held.is_some_and(|held| held.size == self.tree.size()) {
            self.then = Some(self.tree.head());
        }
        if self.store.is_none() {
            return Ok(true);
        }
        self.bytes += frame.len();
        self.frames.push(frame.to_vec());
        if self.bytes >= Self::GROUP_BYTES {
            self.write()?;
        }
        Ok(true)
    }

    fn write(&mut self) -> Result<(), Error> {
        let frames = std::mem::take(&mut self.frames);
        self.bytes = 0;
        let Some(store) = self.store else { return Ok(()) };
        let next = store.written().size.next_seq();
        let Some(first) = next.filter(|_| !frames.is_empty()) else { return Ok(()) };
        let root = self.tree.root();
        store.append(Group { first, frames: &frames, root, tree_hashes: &[] })
    }
}
