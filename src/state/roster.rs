//! Persistent maps in the shape that the fold needs.
//!
//! A commit copies each changed node once, for the readers of the version before; a node has up to
//! 32 entries. So the indexes hold plain numbers, which are cheap to copy, while a pointer costs a
//! reference count in distant memory.

use super::index::{Index, Slot};
use crate::ids::{RunId, TaskId};
use ahash::RandomState;
use imbl::{OrdMap, OrdSet, Vector};
use std::sync::Arc;

/// A value that is found by its id.
pub(super) trait Row: Clone {
    fn id(&self) -> &str;
}

/// Rows in the order of arrival, found by id. Rows are never removed.
///
/// The place of a row in this order is its number in every index.
#[derive(Clone)]
pub(super) struct Roster<V> {
    rows: Vector<Arc<V>>,
    index: Index,
    /// A random state, since ids are hostile text: no caller may know which of them share a hash.
    hasher: RandomState,
}

impl<V> Default for Roster<V> {
    fn default() -> Self {
        Self { rows: Vector::new(), index: Index::default(), hasher: RandomState::new() }
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

    /// The place of an id and its row, or the free place for it.
    pub(super) fn probe(&self, id: &str) -> Result<(usize, &Arc<V>), Slot> {
        let row = |place| self.rows.get(place).filter(|row| row.id() == id);
        self.index.find(self.hasher.hash_one(id), row)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<V>> {
        self.probe(id).ok().map(|(_, row)| row)
    }

    pub(super) fn row(&self, row: usize) -> Option<&Arc<V>> {
        self.rows.get(row)
    }

    /// A row to change. Earlier versions keep the old one.
    pub(super) fn row_mut(&mut self, row: usize) -> Option<&mut V> {
        self.rows.get_mut(row).map(Arc::make_mut)
    }

    /// Makes room for so many rows, so that the index need not grow on the way.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.index.reserve(rows);
    }

    /// Adds a row whose id was just found to be free, and returns its place.
    pub(super) fn push(&mut self, slot: Slot, row: Arc<V>) -> usize {
        let place = self.rows.len();
        self.rows.push_back(row);
        let Self { rows, index, hasher } = self;
        let hash_of = |place| rows.get(place).map_or(0, |row| hasher.hash_one(row.id()));
        index.push(slot, place, hash_of);
        place
    }

    /// The place of the row with this id. Makes the row if there is none.
    pub(super) fn place(&mut self, id: &str, make: impl FnOnce() -> V) -> usize {
        match self.probe(id) {
            Ok((place, _)) => place,
            Err(slot) => self.push(slot, Arc::new(make())),
        }
    }
}

/// The tasks that a run spawned.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The id without spaces around it.
    pub(super) id: RunId,
    pub(super) rows: Vector<usize>,
}

impl Row for Run {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The children of each task.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Children {
    /// The place of a parent, and that of its child.
    links: OrdSet<(usize, usize)>,
    /// The children of parents that this state does not hold. Only a part of a log has them.
    absent: OrdMap<TaskId, OrdSet<usize>>,
}

impl Children {
    pub(super) fn of(&self, parent: usize) -> impl Iterator<Item = usize> {
        self.links.range((parent, 0)..=(parent, usize::MAX)).map(|(_, child)| *child)
    }

    /// Links a child to the parent in this place, or to one that this state does not hold.
    pub(super) fn link(&mut self, parent: &TaskId, place: Option<usize>, child: usize) {
        if let Some(place) = place {
            self.links.insert((place, child));
        } else {
            self.absent.entry(parent.clone()).or_default().insert(child);
        }
    }

    /// Links children to parents, each by its place. Fast, since it sorts them first.
    pub(super) fn link_all(&mut self, mut links: Vec<(usize, usize)>) {
        links.sort_unstable();
        self.links.extend(links);
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

    /// Moves the children of a parent that has just arrived.
    pub(super) fn arrived(&mut self, parent: &TaskId, place: usize) {
        if self.absent.is_empty() {
            return;
        }
        let children = self.absent.remove(parent).unwrap_or_default();
        self.links.extend(children.iter().map(|child| (place, *child)));
    }
}
