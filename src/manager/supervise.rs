//! One task from its first statement to its recorded, announced end.
//!
//! The body runs inside the tokio task that supervises it: a panic is caught where it is polled,
//! and an abort is a drop, after which nothing of the body runs. Only when the terminal event is
//! acknowledged is anybody told. Start reading at [`Supervised::run`].

use super::{
    BackgroundTaskManager, CancelOptions, TaskContext, TaskEvent, TaskLineage, TaskResult,
    cancel::has_ended,
    context::{Emit, Recorder},
    health::SHUTDOWN,
    inbox::channel_capacity,
    json::{LEVELS_MAX, levels, take_apart},
    live::{Live, Slot, Table},
    news::{LastWord, Telling},
    record,
    request::{Request, tell_unrecorded},
};
use crate::{
    command::{self, Batch, CancelTarget, Finish, Proposal},
    event::{Cause, Outcome, PART_BYTES_MAX, TaskStatus},
    ids::{RunId, Seq, TaskId},
    ledger::{
        AppendError, Ledger, Receipt,
        commit::witness::{Door, Witness},
    },
    metrics,
    state::Rejection,
    sync::{assert_no_lock_held, yield_now},
};
use serde_json::Value;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// The longest error of a panic, in bytes.
const PANIC_BYTES_MAX: usize = 4 * 1024;

/// The event type by which a second outcome is on the record.
const OUTCOME_REFUSED: &str = "outcome_refused";

/// The error of a task that went with its runtime.
const DROPPED: &str = "task dropped: its runtime was shut down";

/// How a body came to its end.
pub(super) enum End {
    Returned(TaskResult),
    Panicked(String),
    /// It was given so long to stop, and was dropped.
    Aborted(Duration),
}

/// A running task, and all that goes when it ends.
pub(super) struct Supervised {
    guard: Guard,
    body: Body,
    lineage: TaskLineage,
    emits: Option<mpsc::Receiver<Emit>>,
    caller: Span,
}

impl Supervised {
    /// `caller` is the span of the code that spawns it.
    pub(super) fn new(
        guard: Guard,
        run: Option<RunId>,
        caller: Span,
        start: impl FnOnce(TaskContext) -> Body,
    ) -> Self {
        let options = &guard.manager.options;
        let (recorder, emits) = if options.record_emits {
            Some(mpsc::channel(channel_capacity(options.inbox_messages_max))).unzip()
        } else {
            (None, None)
        };
        let context = TaskContext {
            task_id: guard.live.id.clone(),
            cancel_token: guard.live.token.clone(),
            owner_inbox: guard.live.owner_inbox.clone(),
            ledger: guard.ledger.clone(),
            table: Arc::clone(&guard.manager.table),
            recorder,
        };
        let lineage =
            TaskLineage::of_task(guard.ledger.reader().ledger_id(), guard.live.id.clone(), run);
        Self { body: start(context), guard, lineage, emits, caller }
    }

    /// Runs the body, records how it ended, then tells.
    pub(super) async fn run(self) {
        let Self { mut guard, body, lineage, emits, caller } = self;
        let span = tracing::debug_span!(parent: &caller, "task.run", task = %guard.live.id);
        drop(caller); // it may end before the task does
        let end = run_body(&guard, body, lineage, emits).instrument(span).await;
        let (finish, result) = finish(&guard.live.id, end, text_bytes_max(&guard.ledger));
        guard.finish(finish, result).await;
    }
}

/// The longest text that a ledger takes, in bytes.
pub(super) fn text_bytes_max(ledger: &Ledger) -> usize {
    ledger.options().part_bytes_max.min(PART_BYTES_MAX)
}

/// Runs a body until it ends, however it does.
async fn run_body(
    guard: &Guard,
    body: Body,
    lineage: TaskLineage,
    emits: Option<mpsc::Receiver<Emit>>,
) -> End {
    let live = &guard.live;
    let Some(emits) = emits else { return body_or_abort(live, body, lineage).await };
    let closing = CancellationToken::new();
    let recorder = Recorder {
        ledger: guard.ledger.clone(),
        table: Arc::clone(&guard.manager.table),
        task: live.id.clone(),
        inbox: live.owner_inbox.clone(),
        giving_up: guard.manager.giving_up.clone(),
    };
    let told = recorder.record_emits(emits, closing.clone());
    let ended = async {
        let end = body_or_abort(live, body, lineage).await;
        closing.cancel();
        end
    };
    // What was emitted is on the record before the end is.
    tokio::join!(ended, told).0
}

async fn body_or_abort(live: &Live, body: Body, lineage: TaskLineage) -> End {
    let mut scoped = Box::pin(lineage.scope(body));
    let end = tokio::select! {
        biased;
        end = &mut scoped => end,
        () = live.abort.cancelled() => End::Aborted(live.overdue.get().copied().unwrap_or_default()),
    };
    drop_quietly(scoped);
    live.ended.store(true, Ordering::Release);
    end
}

/// Takes the handle away when a task is over, and sees to it that a task which is dropped with
/// its runtime does not stay running on the record.
pub(super) struct Guard {
    pub(super) manager: Arc<BackgroundTaskManager>,
    pub(super) ledger: Ledger,
    pub(super) live: Arc<Live>,
    /// Its place among those that run, until its news takes that over.
    slot: Option<Slot>,
    /// Whether its end is still to be recorded.
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
    async fn finish(&mut self, finish: Finish, result: Value) {
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

    /// Appends the end, and tries again as long as that can help. `None` if there is another end
    /// on the record.
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
                    // The other end is in a group that is being written, and may be refused yet.
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

    /// The end will not be recorded by this process.
    fn lose(&mut self, error: AppendError) {
        let id = &self.live.id;
        metrics::count(metrics::OUTCOMES_LOST);
        tracing::error!(task = %id, %error, "its end cannot be recorded: an orphan");
        self.manager.table.note_unrecorded(id, error.clone());
        self.ended = Some(Err(error));
    }

    /// Another end is on the record already. That one stays and is told; this one leaves a trace.
    async fn second_outcome(&self, finish: &Finish) {
        metrics::count(metrics::OUTCOMES_REFUSED);
        let (id, status) = (&self.live.id, TaskStatus::from(finish.outcome).as_str());
        tracing::warn!(task = %id, status, "a second outcome was refused");
        let content = serde_json::json!({ "status": status }).to_string();
        let emit = command::Emit::new(id, OUTCOME_REFUSED, content);
        if let Err(error) = record::once(&self.ledger, Proposal::new(emit), None).await {
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
                None => end_dropped(&table, door.as_ref(), live, self.slot.take()),
                Some(finish) => end_as(&table, door.as_ref(), live, finish, telling),
            }
            return;
        }
        telling.iter().for_each(|telling| telling.leave());
        if let Some(ended) = self.ended.take() {
            live.tell_end(ended);
        }
    }
}

/// Hands in the end of a task that was dropped with its runtime. Waits for nothing.
pub(super) fn end_dropped(
    table: &Arc<Table>,
    door: Option<&Door>,
    live: Arc<Live>,
    slot: Option<Slot>,
) {
    let finish = outcome(&live.id, Outcome::Failed, Some(DROPPED.to_owned()), None);
    let event = event_of(&live.id, &finish, Value::Null);
    let inbox = live.owner_inbox.clone();
    let telling = inbox.map(|inbox| Telling::new(table, inbox, &event, None, slot));
    end_as(table, door, live, finish, telling);
}

/// Hands in an end that nobody will wait for.
fn end_as(
    table: &Arc<Table>,
    door: Option<&Door>,
    live: Arc<Live>,
    finish: Finish,
    telling: Option<Arc<Telling>>,
) {
    let last = Arc::new(LastWord { table: Arc::clone(table), live, telling });
    let handed_in = match door {
        Some(door) => door.hand_in(proposal(finish), last.clone()),
        None => Err(AppendError::NotPrimary),
    };
    if let Err(error) = handed_in {
        last.answered(Err(&error));
    }
}

/// How a body ended, within the limits of the ledger, and the value of a success.
fn finish(id: &TaskId, end: End, part_bytes_max: usize) -> (Finish, Value) {
    let ended = |as_: Outcome, error: Option<String>| {
        (outcome(id, as_, error.map(|error| cut(error, part_bytes_max)), None), Value::Null)
    };
    match end {
        End::Returned(TaskResult::Success(value)) => {
            let levels = levels(&value);
            if levels > LEVELS_MAX {
                take_apart(value);
                let error = format!("result of {levels} levels; the limit is {LEVELS_MAX} levels");
                return ended(Outcome::Failed, Some(error));
            }
            let result = value.to_string();
            if result.len() > part_bytes_max {
                let len = result.len();
                let error = format!("result of {len} bytes; the limit is {part_bytes_max} bytes");
                return ended(Outcome::Failed, Some(error));
            }
            (outcome(id, Outcome::Completed, None, Some(result)), value)
        }
        End::Returned(TaskResult::Failed(error)) => ended(Outcome::Failed, Some(error)),
        End::Returned(TaskResult::Cancelled) => ended(Outcome::Cancelled, None),
        End::Panicked(message) => {
            let error = cut(format!("task panicked: {message}"), PANIC_BYTES_MAX);
            ended(Outcome::Failed, Some(error))
        }
        End::Aborted(waited) => {
            ended(Outcome::Cancelled, Some(format!("did not stop within {waited:?}")))
        }
    }
}

fn outcome(id: &TaskId, outcome: Outcome, error: Option<String>, result: Option<String>) -> Finish {
    let (error, result) = (error.map(Into::into), result.map(Into::into));
    Finish { error, result, ..Finish::new(id, outcome) }
}

fn proposal(finish: Finish) -> Proposal {
    let cause = Cause { task: finish.task.id().cloned(), ..Cause::default() };
    Proposal::new(finish).cause(cause)
}

/// What is told of an end; its number comes with its record.
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

/// At most `bytes_max` bytes of a text, which ends with how long it was.
pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let note = format!(" ({} bytes in all)", text.len());
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(note.len())));
        text.push_str(&note);
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}

/// The code of a task, polled so that a panic is an answer.
pub(super) struct Body(Option<Pin<Box<dyn Future<Output = TaskResult> + Send>>>);

impl Body {
    /// Calls `make` when it is polled first, so that a panic of the closure is caught as well.
    pub(super) fn new<F, Fut>(make: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        Self(Some(Box::pin(async move { make().await })))
    }
}

impl Future for Body {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let Some(body) = self.0.as_mut() else { return Poll::Pending };
        assert_no_lock_held();
        let end = match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => End::Returned(result),
            Err(panic) => End::Panicked(message_of(panic)),
        };
        drop_quietly(self.0.take());
        Poll::Ready(end)
    }
}

fn message_of(panic: Box<dyn Any + Send>) -> String {
    let message = match panic.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "no message".to_owned(),
        },
    };
    drop_quietly(panic);
    message
}

/// Drops what others wrote: what they do when it is dropped must not end the supervision.
fn drop_quietly<T>(value: T) {
    assert_no_lock_held();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::warn!("a task panicked while it was dropped");
        std::mem::forget(panic); // it could panic again
    }
}
