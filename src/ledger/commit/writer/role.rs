//! The steps of a promise and of a take-over, in the order in which they become durable.
//!
//! Each runs while no other thread decides, writes or syncs. A crash between two steps leaves a ledger
//! that goes on where it stopped: [`Writer::resume`]. Start reading at [`Writer::promise`].

use super::{super::request::NotWritten, Writer};
use crate::{
    command::{Orphan, Proposal},
    event::{Action, Host},
    ids::{Epoch, Head},
    ledger::{
        AppendError, NodeStatus, ORPHANED_AT_TAKE_OVER, OpenError, PromiseError, Role,
        TakeOverError,
    },
    metrics,
    state::LedgerState,
    store::{self, Identity, Role as Kept},
};

/// The number of orphans that are recorded at once.
const ORPHANS_AT_ONCE: usize = 256;

/// A request's turn at the role of the ledger.
pub(crate) struct Turn<'a> {
    /// The role now.
    pub(crate) role: Role,
    /// Changes it, and refuses the waiting requests that the new one does not take.
    pub(crate) change: &'a mut dyn FnMut(Role),
}

impl Writer {
    /// Promises `epoch`. The log is synced first, so that what was acknowledged under `Interval` is in the
    /// answer; the promise is durable before the role changes; the head is read when nothing can follow it.
    pub(super) fn promise(
        &self,
        epoch: Epoch,
        turn: &mut Turn<'_>,
    ) -> Result<NodeStatus, PromiseError> {
        let identity = self.shared.node.identity();
        let role = match turn.role {
            Role::Primary | Role::Fenced { .. } => Role::Fenced { by: epoch },
            Role::Standby => Role::Standby,
            role @ (Role::Copying | Role::ReadOnly) => return Err(PromiseError::NotHere { role }),
        };
        let given = turn.role != Role::Primary && identity.promised == Some(epoch);
        let highest = highest(&identity, self.core.state());
        let is_above =
            |other: &Epoch| other.number > epoch.number || (other.number == epoch.number && !given);
        if let Some(promised) = highest.filter(is_above) {
            return Err(PromiseError::Higher { promised });
        }
        self.shared.sync().map_err(|_| PromiseError::Halted)?;
        self.shared.announce_synced();
        if !given {
            let fenced = (role != Role::Standby).then_some(epoch);
            let promising = Identity { fenced, promised: Some(epoch), ..identity };
            self.store(promising).map_err(PromiseError::Store)?;
            tracing::info!(%epoch, %role, "epoch promised");
        }
        if role != turn.role {
            (turn.change)(role);
        }
        Ok(NodeStatus::of(role, &self.shared))
    }

    /// Refuses what is done in the name of an epoch that the promise excludes: one below it, or another
    /// of the same number.
    pub(super) fn check_promise(&self, epoch: Option<Epoch>) -> Result<(), AppendError> {
        match (self.shared.node.identity().promised, epoch) {
            (Some(by), Some(epoch)) if epoch != by && epoch.number <= by.number => {
                Err(AppendError::Fenced { by })
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Takes over in `epoch`. From the moment at which the role is stored, an opening would go on with it;
    /// so nothing else may be taken until the rest is done, if it fails.
    pub(super) fn take_over(
        &mut self,
        epoch: Epoch,
        numbers_from: u64,
        turn: &mut Turn<'_>,
    ) -> Result<Head, TakeOverError> {
        if self.shared.is_halted() {
            return Err(TakeOverError::Halted);
        }
        let identity = self.shared.node.identity();
        self.check_take_over(epoch, turn.role, &identity)?;
        if turn.role == Role::Primary {
            return Ok(self.shared.log.synced());
        }
        let refused = |error: NotWritten| TakeOverError::Append(error.of_append(None));
        self.reserve(numbers_from).map_err(|_| TakeOverError::Halted)?;
        let primary = Identity { role: Kept::Primary, fenced: None, ..identity };
        if identity != primary {
            self.store(primary).map_err(TakeOverError::Store)?;
        }
        (turn.change)(Role::Fenced { by: epoch });
        if self.core.state().epoch() != Some(epoch) {
            self.core.promote(epoch);
        }
        self.begin_epoch().map_err(refused)?;
        self.end_orphans(u64::MAX).map_err(refused)?;
        tracing::info!(%epoch, "took over");
        (turn.change)(Role::Primary);
        Ok(self.shared.log.synced())
    }

    /// Stores what this copy is now. After a failure that does not pass, the next opening may find either:
    /// nothing is taken until then, since a primary in the making must not follow another one.
    fn store(&self, identity: Identity) -> Result<(), store::Error> {
        self.shared.node.set_identity(identity).inspect_err(|error| {
            if !error.is_retryable() {
                let _ = self.shared.halt(error);
            }
        })
    }

    fn check_take_over(
        &self,
        epoch: Epoch,
        role: Role,
        identity: &Identity,
    ) -> Result<(), TakeOverError> {
        let (state, promised) = (self.core.state(), identity.promised);
        let begun = identity.may_append() && state.epoch() == Some(epoch);
        match role {
            Role::Standby | Role::Fenced { .. } => {}
            Role::Primary if begun => {}
            Role::Primary | Role::Copying | Role::ReadOnly => {
                return Err(TakeOverError::NotHere { role });
            }
        }
        if promised != Some(epoch) {
            return Err(TakeOverError::NotPromised { epoch, promised });
        }
        if let Some(found) = state.ledger().filter(|found| *found != identity.ledger) {
            return Err(TakeOverError::OtherLedger { expected: identity.ledger, found });
        }
        match state.epoch() {
            Some(reached) if reached.number >= epoch.number && !begun => {
                Err(TakeOverError::Superseded { epoch, reached })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Goes on with a take-over that was stopped when the role was stored: an opening does so before
    /// anything else.
    pub(crate) fn resume(&mut self) -> Result<(), OpenError> {
        let Some(epoch) = self.shared.node.identity().promised else { return Ok(()) };
        let failed = |error: NotWritten| {
            let source = TakeOverError::Append(error.of_append(None));
            OpenError::TakeOver { epoch, source }
        };
        if self.core.is_promoted() {
            tracing::info!(%epoch, "going on with a take-over");
            self.begin_epoch().map_err(failed)?;
            return self.end_orphans(u64::MAX).map_err(failed);
        }
        let state = self.core.state();
        let began = state.epochs().last().filter(|(_, reached)| *reached == epoch);
        let Some((seq, _)) = began else { return Ok(()) };
        if state.running_managed().next().is_some()
            && let Action::Began { incarnation, .. } = self.shared.entry(seq)?.event.action
        {
            // Later writers of this node may have managers that recover their own.
            self.end_orphans(incarnation).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the event that begins the epoch, unless it is there.
    fn begin_epoch(&mut self) -> Result<(), NotWritten> {
        if !self.core.is_promoted() {
            return Ok(());
        }
        let mut staging = self.core.stage();
        self.surrounded(|around| self.core.begin(&mut staging, around))?;
        self.write_durably(staging)
    }

    /// Ends the running tasks whose manager was with a writer before `incarnation`.
    fn end_orphans(&mut self, incarnation: u64) -> Result<(), NotWritten> {
        let at_once = ORPHANS_AT_ONCE.min(self.options.batch_events_max.max(1));
        loop {
            let orphans = orphans(self.core.state(), incarnation, at_once);
            if orphans.is_empty() {
                return Ok(());
            }
            let mut staging = self.core.stage();
            self.add(&mut staging, &orphans)?;
            self.write_durably(staging)?;
            metrics::count_many(metrics::ORPHANS, orphans.len());
            tracing::info!(tasks = orphans.len(), "found running without a manager: failed");
        }
    }

    /// Gives no task a number below `upto`, from now on and after every opening.
    pub(super) fn reserve(&mut self, upto: u64) -> Result<(), NotWritten> {
        if self.shared.is_halted() {
            return Err(AppendError::Halted.into());
        }
        if self.shared.log.reserved() < upto {
            self.shared.log.reserve(upto).map_err(|error| self.shared.halt(&error))?;
        }
        self.core.raise_number_floor(upto);
        Ok(())
    }
}

/// The highest epoch that binds a node: the one that it promised, that fenced it, or of its log.
fn highest(identity: &Identity, state: &LedgerState) -> Option<Epoch> {
    [identity.promised, identity.fenced, state.epoch()].into_iter().flatten().max()
}

/// The ends of at most `max` tasks whose manager was with a writer before `incarnation`.
fn orphans(state: &LedgerState, incarnation: u64, max: usize) -> Vec<Proposal> {
    let left = |host| matches!(host, Host::Managed { incarnation: of, .. } if of < incarnation);
    let tasks = state.running_managed().filter(|task| left(task.record.host));
    tasks
        .map(|task| Proposal::new(Orphan::new(&task.id, ORPHANED_AT_TAKE_OVER)))
        .take(max)
        .collect()
}
