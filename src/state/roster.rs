//! Persistent maps in the shape that the fold needs.
//!
//! What a commit changes is copied once for the readers who hold the version before, in nodes of
//! up to 32 entries. So the indexes hold plain numbers: to copy those is to move memory, while a
//! pointer costs a reference count in memory that is far away.

use crate::ids::{Key, RunId, Seq, TaskId};
use imbl::{GenericHashMap, HashMap, OrdMap, OrdSet, Vector, shared_ptr::DefaultSharedPtr};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::Arc,
};

/// How many idempotency keys are remembered; the oldest are forgotten first.
pub const KEYS_MAX: usize = 65_536;

/// Something that is found by its id.
pub(super) trait Row: Clone {
    fn id(&self) -> &str;
}

/// Rows in the order in which they came, found by id. Rows are never removed.
///
/// A row's place among the others is its number in every index.
#[derive(Clone)]
pub(super) struct Roster<V> {
    rows: Vector<Arc<V>>,
    /// The hash of an id, or the first free number after it, and the place of its row. Only ever
    /// looked up: an unordered iteration could reach a result.
    places: GenericHashMap<u64, usize, BuildHasherDefault<Hashed>, DefaultSharedPtr>,
    /// Ids are hostile text: nobody may know which of them share a hash.
    hasher: RandomState,
}

impl<V> Default for Roster<V> {
    fn default() -> Self {
        let (rows, places) = (Vector::new(), GenericHashMap::default());
        Self { rows, places, hasher: RandomState::new() }
    }
}

impl<V: PartialEq> PartialEq for Roster<V> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl<V: Eq> Eq for Roster<V> {}

impl<V: Row> Roster<V> {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<V>> {
        self.rows.iter()
    }

    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.probe(id).ok().map(|(place, _)| place)
    }

    /// The place of an id and its row, or the slot in `places` that is free for it. Rows are never removed, so
    /// the first free slot ends the search.
    pub(super) fn probe(&self, id: &str) -> Result<(usize, &Arc<V>), Slot> {
        let mut slot = self.hasher.hash_one(id);
        while let Some(place) = self.places.get(&slot) {
            if let Some(row) = self.rows.get(*place).filter(|row| row.id() == id) {
                return Ok((*place, row));
            }
            slot = slot.wrapping_add(1);
        }
        Err(Slot(slot))
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<V>> {
        self.probe(id).ok().map(|(_, row)| row)
    }

    pub(super) fn row(&self, row: usize) -> Option<&Arc<V>> {
        self.rows.get(row)
    }

    /// A row to change. Whoever holds an earlier version keeps it.
    pub(super) fn row_mut(&mut self, row: usize) -> Option<&mut V> {
        self.rows.get_mut(row).map(Arc::make_mut)
    }

    /// Adds a row whose id was just found to be free, and tells its place.
    pub(super) fn push(&mut self, Slot(slot): Slot, row: Arc<V>) -> usize {
        let place = self.rows.len();
        self.places.insert(slot, place);
        self.rows.push_back(row);
        place
    }

    /// The place of the row with this id, which is made if there is none.
    pub(super) fn place(&mut self, id: &str, make: impl FnOnce() -> V) -> usize {
        match self.probe(id) {
            Ok((place, _)) => place,
            Err(slot) => self.push(slot, Arc::new(make())),
        }
    }
}

/// Where in a roster an id is to go. Stale as soon as another is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot(u64);

/// Hands a number through: it is a hash already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The tasks that a run spawned.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Without spaces around it.
    pub(super) id: RunId,
    pub(super) rows: Vector<usize>,
}

impl Row for Run {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Which tasks are children of which.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Children {
    /// The place of a parent, and that of its child.
    links: OrdSet<(usize, usize)>,
    /// The children of parents that are not here, which only a part of a log has.
    absent: OrdMap<TaskId, OrdSet<usize>>,
}

impl Children {
    pub(super) fn of(&self, parent: usize) -> impl Iterator<Item = usize> {
        self.links.range((parent, 0)..=(parent, usize::MAX)).map(|(_, child)| *child)
    }

    /// Links a child to a parent in this place, or to one that is not here.
    pub(super) fn link(&mut self, parent: &TaskId, place: Option<usize>, child: usize) {
        if let Some(place) = place {
            self.links.insert((place, child));
        } else {
            self.absent.entry(parent.clone()).or_default().insert(child);
        }
    }

    pub(super) fn unlink(&mut self, parent: &TaskId, place: Option<usize>, child: usize) {
        if let Some(place) = place {
            self.links.remove(&(place, child));
        } else if let Some(children) = self.absent.get_mut(parent) {
            children.remove(&child);
            if children.is_empty() {
                self.absent.remove(parent);
            }
        }
    }

    /// A parent is here now.
    pub(super) fn arrived(&mut self, parent: &TaskId, place: usize) {
        if self.absent.is_empty() {
            return;
        }
        let children = self.absent.remove(parent).unwrap_or_default();
        self.links.extend(children.iter().map(|child| (place, *child)));
    }
}

/// The last [`KEYS_MAX`] idempotency keys and the events that had them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    order: Vector<(Key, Seq)>,
    seqs: HashMap<Key, Seq>,
}

impl Keys {
    pub(super) fn get(&self, key: &Key) -> Option<Seq> {
        self.seqs.get(key).copied()
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Key, Seq)> {
        self.order.iter().copied()
    }

    /// Remembers one more, and forgets the oldest if there are too many.
    pub(super) fn push(&mut self, key: Key, seq: Seq) {
        self.seqs.insert(key, seq);
        self.order.push_back((key, seq));
        if self.order.len() > KEYS_MAX
            && let Some((oldest, seq)) = self.order.pop_front()
            && self.seqs.get(&oldest) == Some(&seq)
        {
            self.seqs.remove(&oldest);
        }
    }
}
