//! The node in charge: nodes promise an epoch, and one of them takes over in it.
//!
//! A promise is never taken back: after it, the node acknowledges nothing in an epoch below, also after it
//! was opened again. So a node that knows of enough promises knows that no other one is in charge, and
//! the heads that came with them are final. Whose promises are enough is decided above, in
//! `replication`; the steps and their order on disk are in `commit/writer/role.rs`.

use super::{
    AppendError, FenceWitness, Ledger, PromiseError, Role, TakeOverError,
    commit::{
        request::{Alone, Request, TakeOver},
        shared::Shared,
    },
};
use crate::{
    ids::{Epoch, Head, LedgerId, NodeId},
    sync::wait_for,
};
use std::sync::Weak;
use tokio::sync::oneshot;

/// The error of a task that the node before ran when this one took over.
pub const ORPHANED_AT_TAKE_OVER: &str =
    "task orphaned: another node took over while it was running";

/// Task numbers are told to standbys in steps of this many, so that each is stored once in a while.
const NUMBERS_STEP: u64 = 65_536;

/// The place of a node among the copies of its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// The ledger.
    pub ledger: LedgerId,
    /// This copy of it.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// The epoch below which it has promised to acknowledge nothing.
    pub promised: Option<Epoch>,
    /// The epoch of the last event that is published here.
    pub epoch: Option<Epoch>,
    /// The end of the log as far as it survives loss of power.
    pub head: Head,
}

impl NodeStatus {
    pub(super) fn of(role: Role, shared: &Shared) -> Self {
        let identity = shared.node.identity();
        let epoch = shared.published().state.epoch();
        let (ledger, node, promised) = (identity.ledger, identity.node, identity.promised);
        Self { ledger, node, role, promised, epoch, head: shared.log.synced() }
    }
}

impl Ledger {
    /// The place of this node among the copies of the ledger. O(1); waits while a promise is being
    /// stored.
    pub fn node_status(&self) -> NodeStatus {
        NodeStatus::of(self.role(), self.inner.reader.shared())
    }

    /// Promises to acknowledge nothing in an epoch below `epoch`, and returns the place of this node
    /// after that.
    ///
    /// A primary is fenced by it: appends that wait for it are answered before, later ones are refused
    /// with [`AppendError::Fenced`], and the head in the answer is final. A standby stays one; from then on
    /// it takes frames only in the name of this epoch or of one with a higher number, see
    /// [`ingest_by`](Self::ingest_by). The same epoch again has the same answer.
    ///
    /// # Durability
    /// `Ok` means that every event up to the head in the answer, and the promise, survive loss of power.
    ///
    /// # Errors
    /// - [`PromiseError::Higher`] if the node has promised an epoch that is as high or higher, or its log
    ///   has reached one. Two epochs of one number are two candidates: neither is above the other.
    /// - [`PromiseError::NotHere`] if it was opened for reading.
    /// - [`PromiseError::Busy`] if [`Options::queue_jobs_max`](super::Options::queue_jobs_max) requests
    ///   wait; [`PromiseError::Halted`], [`PromiseError::Store`].
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Cost
    /// The appends that wait, a sync, and a small file that is written and synced.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::{Epoch, ThreadId}};
    /// use taskledger::ledger::{AppendError, Role};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ledger = Ledger::in_memory(Options::default())?;
    /// ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
    /// let epoch = Epoch { number: 2, nonce: 0x5eed };
    /// let status = ledger.promise_blocking(epoch)?;
    /// assert_eq!((status.role, status.head), (Role::Fenced { by: epoch }, ledger.reader().head()));
    /// let late = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"));
    /// assert!(matches!(late, Err(AppendError::Fenced { by }) if by == epoch));
    /// # Ok(())
    /// # }
    /// ```
    pub fn promise_blocking(&self, epoch: Epoch) -> Result<NodeStatus, PromiseError> {
        let (reply, answer) = oneshot::channel();
        let may = |_| Ok::<_, PromiseError>(());
        self.inner.desk.ask(may, Request::Alone(Alone::Promise(epoch, reply)))?;
        wait_for(answer).unwrap_or(Err(PromiseError::Halted))
    }

    /// Becomes the primary of `epoch`, which this node has promised, and returns the head after that.
    /// Only one node may do so: the one that chose the epoch.
    ///
    /// The role is stored first, then the event that begins the epoch, then the end of each task that a
    /// manager of the node before was running: it is Failed, with the text [`ORPHANED_AT_TAKE_OVER`]. Only
    /// then are appends taken. Tasks get numbers from `numbers_from` on, so that none gets one that the
    /// node before gave to an event that is lost; 0 if nothing is.
    ///
    /// Taking over again in the same epoch changes nothing and has the present head as its answer.
    ///
    /// # Durability
    /// `Ok` means that all of it survives loss of power. Stopped before, it is resumed: where the role was
    /// stored, the next opening does the rest before anything else; where it was not, the node is what it
    /// was before, and bound to its promise.
    ///
    /// # Errors
    /// - [`TakeOverError::NotPromised`], [`TakeOverError::Superseded`] if the node may not begin this
    ///   epoch; [`TakeOverError::OtherLedger`] if it has only a part of what its ledger was copied from.
    /// - [`TakeOverError::NotHere`] if it is a primary already, or was opened for reading.
    /// - [`TakeOverError::Busy`], [`TakeOverError::Halted`], [`TakeOverError::Store`].
    /// - [`TakeOverError::Append`] if the role is stored and the rest could not be written: a full disk, for
    ///   one. The ledger takes neither appends nor frames until it takes over again or is opened again.
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Cost
    /// Some syncs, and one for each 256 tasks that end.
    ///
    /// # Example
    /// ```
    /// use taskledger::{Ledger, Options, command::Spawn, ids::{Epoch, Seq, ThreadId}};
    /// use taskledger::{ledger::Role, store::MemStore};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let primary = Ledger::in_memory(Options::default())?;
    /// primary.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
    /// let id = primary.reader().ledger_id();
    /// let standby = Ledger::create_standby_in(&MemStore::new(), id, Options::default())?;
    /// let epoch = Epoch { number: 2, nonce: 0x5eed };
    ///
    /// let last = primary.promise_blocking(epoch)?.head; // nothing follows it
    /// standby.promise_blocking(epoch)?;
    /// let frames = primary.reader().frames(Seq::FIRST, usize::MAX)?;
    /// standby.ingest_by_blocking(epoch, frames, Some(last))?;
    /// standby.take_over_blocking(epoch, 0)?;
    /// assert_eq!((standby.role(), standby.node_status().epoch), (Role::Primary, Some(epoch)));
    /// standby.append_blocking(Spawn::new(ThreadId::new("t")?, "agent"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_over_blocking(
        &self,
        epoch: Epoch,
        numbers_from: u64,
    ) -> Result<Head, TakeOverError> {
        let (reply, answer) = oneshot::channel();
        let take_over = TakeOver { epoch, numbers_from, reply };
        let may = |_| Ok::<_, TakeOverError>(());
        self.inner.desk.ask(may, Request::Alone(Alone::TakeOver(take_over)))?;
        let died = TakeOverError::Append(AppendError::OutcomeUnknown { key: None });
        wait_for(answer).unwrap_or(Err(died))
    }

    /// Refuses code that would append, on a ledger that takes no appends.
    pub(crate) fn check_appends(&self) -> Result<(), AppendError> {
        self.role().check_append()
    }

    /// Tells this witness when the ledger is fenced, as long as it exists.
    pub(crate) fn watch_fence(&self, witness: Weak<dyn FenceWitness>) {
        self.inner.desk.watch_fence(witness);
    }

    /// Keeps the task numbers below `upto` for tasks of the primary, which has told of them
    /// ([`reserved_numbers`](Self::reserved_numbers)): if this node takes over, it gives none of them. For a
    /// standby.
    ///
    /// # Durability
    /// `Ok` means that it survives loss of power.
    ///
    /// # Errors
    /// As [`ingest_blocking`](Self::ingest_blocking).
    ///
    /// # Panics
    /// Inside an async runtime, whose thread it would block.
    ///
    /// # Cost
    /// A sync of its own; nothing if they are kept already.
    pub fn reserve_numbers_blocking(&self, upto: u64) -> Result<(), AppendError> {
        self.role().check_ingest()?;
        if upto <= self.inner.reader.shared().log.reserved() {
            return Ok(());
        }
        let (reserve, answer) = Request::reserve(upto);
        self.inner.desk.ask(Role::check_ingest, reserve)?;
        answer.wait_blocking()
    }

    /// The number below which every task number is that may have been given so far, also one that is not
    /// durable, in steps of 65,536: a primary tells it to its standbys. O(1).
    pub fn reserved_numbers(&self) -> u64 {
        let shared = self.inner.reader.shared();
        let next = shared.published().state.next_number();
        let steps = next.div_ceil(NUMBERS_STEP);
        shared.log.reserved().max(steps.saturating_mul(NUMBERS_STEP))
    }
}
