//! Opening without the lock: the state that the files show, beside a writer or on damage.
//!
//! Start reading at [`Ledger::open_read_only_in`].

use crate::{
    ids::{Head, LedgerId, NodeId, Size},
    ledger::{
        Ledger, OpenError, Options, ReadError, Role,
        care::open,
        commit::staging::Published,
        read::{look::LookLog, reader::LogHashes, replay, saved, texts::Withheld},
    },
    proof::{ProofError, Tree},
    state::LedgerState,
    store::{FrameLog, Home, Identity, Shortfall, SnapshotStore},
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
        let mut log = LookLog::new(looked.log);
        let withheld = Withheld::default();
        let state = match state_of(&log, &*looked.snapshots, log.shown().size, &withheld) {
            Err(ReadError::Damaged { .. }) => {
                let end = log.cut()?;
                state_of(&log, &*looked.snapshots, end.size, &withheld)?
            }
            state => state?,
        };
        let unknown = || Identity::new(LedgerId([0; 16]), NodeId([0; 16]));
        let identity = looked.identity.unwrap_or_else(unknown);
        let published = Arc::new(Published { state, tree: Tree::ending_in(log.shown()) });
        let (log, size) = (Arc::new(log), published.tree.size());
        let shown: Arc<dyn FrameLog> = Arc::<LookLog>::clone(&log);
        let store = (shown, looked.snapshots);
        let loaded = open::assemble(identity, store, (published, withheld), size, &options);
        let nameless = looked.identity.is_none();
        let mut ledger = Self::run(Role::ReadOnly, identity.ledger, loaded, options, Some(log))?;
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
            let mut state = published.state.clone();
            replay::fold(&**look, &mut state, shown.size.get(), &shared.withheld, missing)?;
            shared.show(Arc::new(Published { state, tree: Tree::ending_in(shown) }));
        }
        Ok(shared.head())
    }
}

/// The state after the first `size` events: the newest saved one of this history, and the events
/// since.
fn state_of(
    log: &LookLog,
    snapshots: &dyn SnapshotStore,
    size: Size,
    withheld: &Withheld,
) -> Result<LedgerState, ReadError> {
    let saved = snapshots.list()?;
    let saved::Newest { mut state, .. } =
        saved::newest(snapshots, &saved, size.last_seq(), |size| {
            let size = Size::new(size);
            if let Some(root) = log.named_root(size)? {
                return Ok::<_, ReadError>(Some(root));
            }
            match crate::proof::root_at(size, &LogHashes(log)) {
                Ok(root) => Ok(Some(root)),
                // Where events before it cannot be read, it cannot be known to be of this history.
                Err(ProofError::Source(ReadError::Damaged { .. })) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
    replay::fold(log, &mut state, size.get(), withheld, missing)?;
    Ok(state)
}

fn missing(seq: crate::ids::Seq) -> ReadError {
    ReadError::damaged(seq, crate::ledger::Damage::Missing)
}
