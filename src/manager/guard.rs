//! The end of a task: recorded and announced, also if its runtime goes away.
//!
//! Start reading at [`Guard::finish`].

use super::{
    BackgroundTaskManager, CancelOptions, TaskEvent,
    cancel::has_ended,
    health::SHUTDOWN,
    live::{Live, Slot, Table},
    news::{LastWord, Telling},
    record,
    request::{Request, tell_unrecorded},
};
use crate::{
    command::{self, Batch, CancelTarget, Finish, Proposal},
    event::{Cause, Outcome, TaskStatus},
    ids::{Seq, TaskId},
    ledger::{AppendError, Door, Ledger, Receipt, Witness},
    metrics,
    state::Rejection,
    sync::yield_now,
};
use serde_json::Value;
use std::{sync::Arc, time::Instant};

/// The event type under which a second outcome is recorded.
const OUTCOME_REFUSED: &str = "outcome_refused";

/// The error of a task that was dropped with its runtime.
const DROPPED: &str = "task dropped: its runtime was shut down";

/// Removes the handle when a task is over, and makes sure that a task that is dropped with its
/// runtime does not stay recorded as running.
pub(super) struct Guard {
    pub(super) manager: Arc<BackgroundTaskManager>,
    pub(super) ledger: Ledger,
    pub(super) live: Arc<Live>,
    /// Its place among running tasks, until its news takes that over.
    slot: Option<Slot>,
    /// True while its end is still to be recorded.
    pending: bool,
    /// Its end on the way, and the news of it.
    finish: Option<Finish>,
    telling: Option<Arc<Telling>>,
    ended: Option<Result<(), AppendError>>,
    since: Instant,
}

impl Guard {
    pub(super) fn new(
        manager: Arc<BackgroundTaskManager>,
        ledger: Ledger,
        live: Arc<Live>,
        slot: Slot,
    ) -> Self {
        metrics::raise(metrics::TASKS_LIVE);
        Self {
            manager,
            ledger,
            live,
            slot: Some(slot),
            pending: true,
            finish: None,
            telling: None,
            ended: None,
            since: Instant::now(),
        }
    }

    /// A shutdown that began while the task was on its way did not see it.
    pub(super) fn ask_to_stop_if_late(&self) {
        if !self.manager.table.is_closed() {
            return;
        }
        let options = CancelOptions { reason: Some(SHUTDOWN.to_owned()), deadline: None };
        let target = CancelTarget::Task((&self.live.id).into());
        let request = Request::new(&self.ledger, target, &options);
        if let Err(error) = record::without_waiting(&self.ledger, request.proposal()) {
            tell_unrecorded(&error);
        }
        self.live.signal();
    }

    /// Records the end and tells the owner, unless it could not be recorded.
    pub(super) async fn finish(&mut self, finish: Finish, result: Value) {
        self.finish = Some(finish.clone());
        let table = &self.manager.table;
        if let Some(inbox) = self.live.owner_inbox.clone() {
            let event = event_of(&self.live.id, &finish, result);
            self.telling = Some(Telling::new(table, inbox, &event, None, self.slot.take()));
        }
        let recorded = self.record(&finish).await;
        self.pending = false;
        match recorded {
            Ok(Some(receipt)) => self.log_end(TaskStatus::from(finish.outcome), receipt.seq),
            Ok(None) => self.second_outcome(&finish).await,
            Err(error) => {
                self.lose(error);
                return;
            }
        }
        self.manager.table.note_recorded(&self.live.id);
        self.ended = Some(Ok(()));
        if let Some(telling) = &self.telling {
            telling.settle().await;
        }
        self.telling = None;
    }

    /// Appends the end, and tries again as long as that can help. `None` if another end is
    /// recorded.
    async fn record(&self, finish: &Finish) -> Result<Option<Receipt>, AppendError> {
        let (manager, id) = (&self.manager, &self.live.id);
        let batch = Batch::from(proposal(finish.clone()));
        let witness = self.telling.clone().map(|telling| -> Arc<dyn Witness> { telling });
        let refused = |error: &AppendError| {
            metrics::count(metrics::OUTCOME_RETRIES);
            tracing::warn!(task = %id, %error, "its end is not recorded yet: trying again");
            manager.table.note_unrecorded(id, error.clone());
        };
        loop {
            let giving_up = &manager.giving_up;
            let (ledger, witness) = (&self.ledger, witness.as_ref());
            match record::persistently(ledger, &batch, witness, giving_up, refused).await {
                Ok(receipts) => return Ok(Some(Receipt::only(receipts))),
                Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => {
                    if has_ended(&self.ledger.reader().current(), id) {
                        return Ok(None);
                    }
                    // The other end is in a group that is being written, and may still be refused.
                    yield_now().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn log_end(&self, status: TaskStatus, seq: Seq) {
        metrics::count_as(metrics::TASKS_ENDED, "status", status.as_str());
        let elapsed_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (id, status) = (&self.live.id, status.as_str());
        tracing::debug!(task = %id, seq_last = %seq, status, elapsed_ms, "task ended");
    }

    /// Gives the end up: this process will not record it.
    fn lose(&mut self, error: AppendError) {
        let id = &self.live.id;
        metrics::count(metrics::OUTCOMES_LOST);
        tracing::error!(task = %id, %error, "its end cannot be recorded: an orphan");
        self.manager.table.note_unrecorded(id, error.clone());
        self.ended = Some(Err(error));
    }

    /// Another end is recorded already. That one stays and is announced; this one leaves a trace.
    async fn second_outcome(&self, finish: &Finish) {
        metrics::count(metrics::OUTCOMES_REFUSED);
        let (id, status) = (&self.live.id, TaskStatus::from(finish.outcome).as_str());
        tracing::warn!(task = %id, status, "a second outcome was refused");
        let content = serde_json::json!({ "status": status }).to_string();
        let command = command::Emit::new(id, OUTCOME_REFUSED, content);
        if let Err(error) = record::once(&self.ledger, Proposal::new(command), None).await {
            tracing::warn!(task = %id, %error, "a refused outcome could not be recorded");
        }
        if let (Some(telling), Some((event, seq))) =
            (&self.telling, self.manager.terminal_event(id))
        {
            telling.tell_instead(&event, seq);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (live, table) = (Arc::clone(&self.live), Arc::clone(&self.manager.table));
        drop(self.slot.take_if(|_| !self.pending)); // who has waited for the end finds it free
        table.leave(&live.id);
        metrics::lower(metrics::TASKS_LIVE);
        let telling = self.telling.take();
        if self.pending {
            let door = self.ledger.door();
            match self.finish.take() {
                None => end_dropped(&table, &door, live, self.slot.take()),
                Some(finish) => end_as(&table, &door, live, finish, telling),
            }
            return;
        }
        if let Some(telling) = telling {
            telling.leave();
        }
        if let Some(ended) = self.ended.take() {
            live.tell_end(ended);
        }
    }
}

/// Queues the end of a task that was dropped with its runtime. Waits for nothing.
pub(super) fn end_dropped(table: &Arc<Table>, door: &Door, live: Arc<Live>, slot: Option<Slot>) {
    let finish = outcome(&live.id, Outcome::Failed, Some(DROPPED.to_owned()), None);
    let event = event_of(&live.id, &finish, Value::Null);
    let inbox = live.owner_inbox.clone();
    let telling = inbox.map(|inbox| Telling::new(table, inbox, &event, None, slot));
    end_as(table, door, live, finish, telling);
}

/// Queues an end that no code will wait for.
fn end_as(
    table: &Arc<Table>,
    door: &Door,
    live: Arc<Live>,
    finish: Finish,
    telling: Option<Arc<Telling>>,
) {
    let last = Arc::new(LastWord { table: Arc::clone(table), live, telling });
    if let Err(error) = door.hand_in(proposal(finish), last.clone()) {
        last.answered(Err(&error));
    }
}

pub(super) fn outcome(
    id: &TaskId,
    outcome: Outcome,
    error: Option<String>,
    result: Option<String>,
) -> Finish {
    let (error, result) = (error.map(Into::into), result.map(Into::into));
    Finish { error, result, ..Finish::new(id, outcome) }
}

fn proposal(finish: Finish) -> Proposal {
    let cause = Cause { task: finish.task.id().cloned(), ..Cause::default() };
    Proposal::new(finish).cause(cause)
}

/// The news of an end; its number comes with its record.
fn event_of(task: &TaskId, finish: &Finish, result: Value) -> TaskEvent {
    let (task_id, seq) = (task.clone(), None);
    match finish.outcome {
        Outcome::Completed => TaskEvent::Completed { task_id, result, seq },
        Outcome::Failed => {
            let error = finish.error.as_ref().map(ToString::to_string).unwrap_or_default();
            TaskEvent::Failed { task_id, error, reason: None, seq }
        }
        Outcome::Cancelled => TaskEvent::Cancelled { task_id, seq },
    }
}
