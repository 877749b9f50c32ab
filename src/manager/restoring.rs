//! Records of a snapshot on their way into the ledger: many at once, without those that it refuses.
//!
//! Start reading at [`Restoring::bring_in`].

use super::{Bound, RestoreError, RestoreNote, RestoreReport};
use crate::{
    command::{Emit, Proposal, Restore},
    ledger::AppendError,
    state::{LedgerState, Rejection},
    sync::yield_now,
};

/// The event type of a note that a text was changed.
const CHANGED: &str = "restored_changed";

/// A record as it is brought in.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) restore: Restore,
    /// True if it was running.
    pub(super) orphaned: bool,
    /// The changes in its texts.
    pub(super) changes: Vec<String>,
}

impl Record {
    fn proposals(&self) -> impl Iterator<Item = Proposal> {
        let note = self.restore.spawn.task.clone().filter(|_| !self.changes.is_empty());
        let content = || serde_json::json!(self.changes).to_string();
        let note = note.map(|task| Proposal::new(Emit::new(task, CHANGED, content())));
        std::iter::once(Proposal::new(self.restore.clone())).chain(note)
    }
}

/// Records on their way into a ledger.
pub(super) struct Restoring<'a> {
    pub(super) bound: &'a Bound,
    pub(super) report: RestoreReport,
    pub(super) notes: &'a mut Vec<RestoreNote>,
}

impl Restoring<'_> {
    /// Brings in one batch. If a rule forbids it, brings in half of it at a time, down to the one
    /// record that is left out.
    pub(super) async fn bring_in(&mut self, batch: &[Record]) -> Result<(), RestoreError> {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            let new: Vec<&Record> = {
                let state = self.bound.state();
                batch.iter().filter(|one| !is_known(&state, &one.restore)).collect()
            };
            let proposals: Vec<Proposal> = new.iter().flat_map(|one| one.proposals()).collect();
            let appended = if proposals.is_empty() {
                Ok(Vec::new())
            } else {
                self.bound.ledger.append(proposals).await
            };
            match (appended, batch) {
                (Ok(_), _) => self.count(&new, batch.len() - new.len()),
                // Other code brought it in since the check: check again.
                (Err(AppendError::Rejected(Rejection::TaskExists { .. })), _) => {
                    yield_now().await;
                    left.push(batch);
                }
                (Err(AppendError::Rejected(rejection)), [one]) => {
                    self.bring_in_alone(one, rejection).await?;
                }
                (Err(error @ AppendError::TooLarge { .. }), [one]) => {
                    self.leave_out(one, error.to_string());
                }
                (Err(AppendError::Rejected(_) | AppendError::TooLarge { .. }), _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    left.extend([second, first]);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Brings in a record without its parent, if a rule forbids it with the parent.
    async fn bring_in_alone(
        &mut self,
        one: &Record,
        rejection: Rejection,
    ) -> Result<(), RestoreError> {
        if !matches!(rejection, Rejection::TooDeep { .. }) {
            self.leave_out(one, rejection.to_string());
            return Ok(());
        }
        let mut one = one.clone();
        one.restore.spawn.parent = None;
        one.changes.push(format!("parent left out: {rejection}"));
        match self.bound.ledger.append(one.proposals().collect::<Vec<_>>()).await {
            Ok(_) => self.count(&[&one], 0),
            Err(AppendError::Rejected(rejection)) => self.leave_out(&one, rejection.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn count(&mut self, restored: &[&Record], skipped: usize) {
        self.report.restored += restored.len();
        self.report.orphaned += restored.iter().filter(|one| one.orphaned).count();
        self.report.skipped += skipped;
        for one in restored.iter().filter(|one| !one.changes.is_empty()) {
            self.note(one, one.changes.join("; "), true);
        }
    }

    fn leave_out(&mut self, one: &Record, why: String) {
        self.note(one, why, false);
    }

    fn note(&mut self, one: &Record, what: String, restored: bool) {
        let Some(task) = one.restore.spawn.task.clone() else { return };
        tracing::warn!(%task, what, restored, "a restored record is not what it was");
        self.notes.push(RestoreNote { task, what, restored });
    }
}

/// The number of these that certainly fit one batch.
pub(super) fn batch_len(bound: &Bound, records: &[Record]) -> usize {
    /// The bytes of a frame besides its texts, more than enough.
    const FRAME_BYTES: usize = 4 * 1024;
    let options = bound.ledger.options();
    let mut bytes = 0_usize;
    let mut events = 0_usize;
    let fit = records.iter().take_while(|Record { restore: one, changes, .. }| {
        let texts = [Some(&one.spawn.description), one.error.as_ref(), one.result.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let noted = usize::from(!changes.is_empty());
        bytes += texts + (1 + noted) * FRAME_BYTES;
        events += 1 + noted;
        bytes <= options.batch_bytes_max && events <= options.batch_events_max
    });
    fit.count().max(1)
}

fn is_known(state: &LedgerState, restore: &Restore) -> bool {
    restore.spawn.task.as_ref().is_some_and(|id| state.task(id).is_some())
}
