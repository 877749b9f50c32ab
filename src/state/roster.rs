//! Persistent maps in the shape that the fold needs.

use crate::ids::{Key, Seq};
use imbl::{HashMap, Vector};
use std::{borrow::Borrow, hash::Hash, sync::Arc};

/// How many idempotency keys are remembered; the oldest are forgotten first.
pub const KEYS_MAX: usize = 65_536;

/// Rows in the order in which they came, found by id. Rows are never removed.
///
/// A row's place among the others is its number in every index.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Roster<K: Hash + Eq, V> {
    rows: Vector<Arc<V>>,
    /// Only ever looked up: an unordered iteration could reach a result.
    places: HashMap<K, usize>,
}

impl<K: Hash + Eq, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self { rows: Vector::new(), places: HashMap::default() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Roster<K, V> {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<V>> {
        self.rows.iter()
    }

    pub(super) fn find<Q>(&self, id: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.places.get(id).copied()
    }

    pub(super) fn get(&self, id: &K) -> Option<&Arc<V>> {
        self.rows.get(self.find(id)?)
    }

    pub(super) fn row(&self, row: usize) -> Option<&Arc<V>> {
        self.rows.get(row)
    }

    /// A row to change. Whoever holds an earlier version keeps it.
    pub(super) fn row_mut(&mut self, row: usize) -> Option<&mut V> {
        self.rows.get_mut(row).map(Arc::make_mut)
    }

    /// Adds a row whose id is new, and tells its place.
    pub(super) fn push(&mut self, id: K, row: V) -> usize {
        let place = self.rows.len();
        self.places.insert(id, place);
        self.rows.push_back(Arc::new(row));
        place
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
