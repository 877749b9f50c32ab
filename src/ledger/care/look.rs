//! Opening without the lock: the state that the files show, beside a writer or on damage.
//!
//! Start reading at [`Ledger::open_read_only_in`].

use crate::{
    ids::{Head, LedgerId, NodeId},
    ledger::{
        Ledger, OpenError, Options, ReadError, Role,
        care::open,
        commit::staging::Published,
        copy::origin,
        read::{
            look::LookLog,
            replay,
            scoped::{Scoped, Shown, Stored},
            texts::Withheld,
        },
    },
    proof::Tree,
    store::{FixedNode, FrameLog, FrameRead, Home, Identity, NodeStore, Shortfall, SnapshotStore},
};
use std::sync::Arc;

impl Ledger {
    /// Opens the ledger in `home` to read it; see [`open_read_only`](Self::open_read_only). Blocks.
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_in(home: &dyn Home, options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let looked = home.look()?;
        let (snapshots, withheld) = (looked.snapshots, Withheld::default());
        let (log, published) = shown(looked.log, &snapshots, &withheld)?;
        let unknown = || Identity::new(LedgerId([0; 16]), NodeId([0; 16]));
        let identity = looked.identity.unwrap_or_else(unknown);
        let (published, size) = (Arc::new(published), log.shown().size);
        let shown: Arc<dyn FrameLog> = Arc::<LookLog>::clone(&log);
        let node: Arc<dyn NodeStore> = Arc::new(FixedNode(identity));
        let stores = (shown, snapshots, node);
        let loaded = open::assemble(stores, (published, withheld), size, &options);
        let nameless = looked.identity.is_none();
        let mut ledger = Self::run(Role::ReadOnly, identity.ledger, loaded, options, Some(log))?;
        if let Some(inner) = Arc::get_mut(&mut ledger.inner) {
            inner.parted = origin::parted_of_note(&identity.note);
        }
        if let Some(inner) = Arc::get_mut(&mut ledger.inner).filter(|_| nameless) {
            let readable = size.get();
            inner.shortfall = Some(Shortfall { readable, held: Some(readable) });
        }
        Ok(ledger)
    }

    /// The events that a ledger opened by [`open_read_only`](Self::open_read_only) cannot show;
    /// `None` if it shows everything.
    pub fn shortfall(&self) -> Option<Shortfall> {
        self.inner.look.as_ref().and_then(|look| look.shortfall()).or(self.inner.shortfall)
    }

    /// The number of events that are written and that a ledger opened by
    /// [`open_read_only`](Self::open_read_only) does not show, since they are not known to survive
    /// loss of power yet. O(1).
    pub fn pending(&self) -> u64 {
        self.inner.look.as_ref().map_or(0, |look| look.pending())
    }

    /// Shows the events that became durable since a ledger was
    /// [opened for reading](Self::open_read_only), and returns the new head. Readers, followers and
    /// clones of it go on with them. Any other ledger shows its events by itself. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Store`] if the files could not be read: head and state stay as they are, events
    /// can be read after the next call that succeeds. With the code [`OtherHistory`](crate::Code::OtherHistory) another ledger
    /// is at the path now, and this one can show nothing more: open again.
    ///
    /// # Cost
    /// Two reads where nothing is new, otherwise O(new events).
    pub fn refresh_blocking(&self) -> Result<Head, ReadError> {
        let shared = self.inner.reader.shared();
        let Some(look) = &self.inner.look else { return Ok(shared.head()) };
        let _one = self.inner.refreshing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let shown = look.refresh()?;
        let published = shared.published();
        if shown.size > published.tree.size() {
            let now = if let Some(scoped) = &published.scoped {
                scoped.reaching(shown.size)?
            } else {
                let (mut state, size) = (published.state.clone(), shown.size.get());
                replay::fold(&**look, &mut state, size, &shared.withheld, ReadError::missing)?;
                Shown::Whole(state.into())
            };
            shared.show(Arc::new(published_of(shown, now)));
        }
        Ok(shared.head())
    }
}

/// The log and its state. Where an event that no snapshot holds is damaged, the log up to the first
/// event that cannot be read.
fn shown(
    look: Arc<dyn FrameRead>,
    snapshots: &Arc<dyn SnapshotStore>,
    withheld: &Withheld,
) -> Result<(Arc<LookLog>, Published), OpenError> {
    let open = |log: &Arc<LookLog>, size| {
        let store = Stored { log: Arc::clone(log), snapshots: Arc::clone(snapshots) };
        Scoped::open(store, size, withheld)
    };
    let log = Arc::new(LookLog::new(Arc::clone(&look)));
    let end = log.shown();
    match open(&log, end.size) {
        Err(ReadError::Damaged { .. }) => {
            let mut log = LookLog::new(look);
            let (end, log) = (log.cut()?, Arc::new(log));
            let shown = open(&log, end.size)?;
            Ok((log, published_of(end, shown)))
        }
        shown => Ok((log, published_of(end, shown?))),
    }
}

/// The end of a log and what is known of its state.
fn published_of(end: Head, shown: Shown) -> Published {
    let tree = Tree::ending_in(end);
    match shown {
        Shown::Whole(state) => Published::new(*state, tree),
        Shown::Scoped(scoped) => {
            let (state, scoped) = (scoped.marks().clone(), Some(scoped.into()));
            Published { state, tree, scoped }
        }
    }
}
