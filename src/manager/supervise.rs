//! One task from its first statement to its recorded, announced end.
//!
//! The body runs inside the tokio task that supervises it: a panic is caught where it is polled,
//! and an abort is a drop, after which nothing of the body runs. Only when the terminal event is
//! acknowledged is anybody told. Start reading at [`Supervised::run`].

use super::{
    BackgroundTaskManager, InboxSender, TaskContext, TaskEvent, TaskLineage, TaskResult,
    cancel::has_ended,
    context::{Emit, Recorder},
    live::{Live, Slot},
    record,
};
use crate::{
    command::{Command, Finish, Proposal},
    event::{Cause, Outcome, TaskStatus},
    ids::{RunId, Seq, TaskId},
    ledger::{AppendError, Ledger, Receipt},
    metrics,
    state::Rejection,
    sync::yield_now,
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
use tracing::Instrument;

/// The longest error of a panic, in bytes.
const PANIC_BYTES_MAX: usize = 4 * 1024;

/// The event type by which a second outcome is on the record.
const OUTCOME_REFUSED: &str = "outcome_refused";

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
    owner_inbox: Option<InboxSender>,
    body: Body,
    lineage: TaskLineage,
    emits: Option<mpsc::Receiver<Emit>>,
    slot: Slot,
}

impl Supervised {
    pub(super) fn new(
        manager: Arc<BackgroundTaskManager>,
        ledger: Ledger,
        live: Arc<Live>,
        owner_inbox: Option<InboxSender>,
        run: Option<RunId>,
        slot: Slot,
        start: impl FnOnce(TaskContext) -> Body,
    ) -> Self {
        let guard = Guard::new(manager, ledger, live);
        let (recorder, emits) = if guard.manager.options.record_emits {
            Some(mpsc::channel(guard.manager.options.inbox_messages_max.max(1))).unzip()
        } else {
            (None, None)
        };
        let context = TaskContext {
            task_id: guard.live.id.clone(),
            cancel_token: guard.live.token.clone(),
            owner_inbox: owner_inbox.clone(),
            ledger: guard.ledger.clone(),
            recorder,
        };
        let lineage =
            TaskLineage::of_task(guard.ledger.reader().ledger_id(), guard.live.id.clone(), run);
        Self { body: start(context), guard, owner_inbox, lineage, emits, slot }
    }

    /// Runs the body, records how it ended, then tells.
    pub(super) async fn run(self) {
        let Self { mut guard, owner_inbox, body, lineage, emits, slot } = self;
        let span = tracing::debug_span!("task.run", task = %guard.live.id);
        let end = run_body(&guard, body, lineage, emits).instrument(span).await;
        let (finish, result) = finish(&guard.live.id, end, guard.ledger.options().part_bytes_max);
        let told = guard.finish(finish, result).await;
        if let (Some(event), Some(inbox)) = (told, owner_inbox) {
            tell(guard, slot, &inbox, &event).await;
        } else {
            drop(slot); // whoever has waited for the end finds the place free
            drop(guard);
        }
    }
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
    let giving_up = guard.manager.giving_up.clone();
    let recorder = Recorder { ledger: guard.ledger.clone(), task: live.id.clone(), giving_up };
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

/// The terminal event goes to the inbox once. Handles go and waiters are told before it has to
/// wait for room.
async fn tell(guard: Guard, slot: Slot, inbox: &InboxSender, event: &TaskEvent) {
    if let Ok(room) = inbox.reserve() {
        room.fill(event.to_value());
        drop(slot);
        drop(guard);
        return;
    }
    let (giving_up, id) = (guard.manager.giving_up.clone(), guard.live.id.clone());
    let table = Arc::clone(&guard.manager.table);
    let _untold = table.wait_to_tell();
    drop(guard);
    tokio::select! {
        biased;
        _ = inbox.deliver(event.to_value()) => {}
        () = giving_up.cancelled() => {
            tracing::warn!(task = %id, "nobody read the inbox that its end was for");
        }
    }
    drop(slot);
}

/// Takes the handle away when a task is over, and sees to it that a task which is dropped with
/// its runtime does not stay running on the record.
struct Guard {
    manager: Arc<BackgroundTaskManager>,
    ledger: Ledger,
    live: Arc<Live>,
    /// What is to be recorded if all is dropped now.
    pending: Option<Finish>,
    ended: Option<Result<(), AppendError>>,
    since: Instant,
}

impl Guard {
    fn new(manager: Arc<BackgroundTaskManager>, ledger: Ledger, live: Arc<Live>) -> Self {
        let error = "task dropped: its runtime was shut down".to_owned();
        let dropped = outcome(&live.id, Outcome::Failed, Some(error), None);
        Self { manager, ledger, live, pending: Some(dropped), ended: None, since: Instant::now() }
    }

    /// Records the end. What is told to the owner, unless the end could not be recorded.
    async fn finish(&mut self, finish: Finish, result: Value) -> Option<TaskEvent> {
        self.pending = Some(finish.clone());
        let recorded = self.record(&finish).await;
        self.pending = None;
        let told = match recorded {
            Ok(Some(receipt)) => {
                self.log_end(TaskStatus::from(finish.outcome), receipt.seq);
                Some(event_of(finish, result, receipt.seq))
            }
            Ok(None) => self.second_outcome(&finish).await,
            Err(error) => {
                self.lose(error);
                return None;
            }
        };
        self.manager.table.note_recorded(&self.live.id);
        self.ended = Some(Ok(()));
        told
    }

    /// Appends the end, and tries again as long as that can help. `None` if there is another end
    /// on the record.
    async fn record(&self, finish: &Finish) -> Result<Option<Receipt>, AppendError> {
        let (manager, id) = (&self.manager, &self.live.id);
        let proposal = proposal(finish.clone());
        let refused = |error: &AppendError| {
            metrics::count(metrics::OUTCOME_RETRIES);
            tracing::warn!(task = %id, %error, "its end is not recorded yet: trying again");
            manager.table.note_unrecorded(id, error.clone());
        };
        loop {
            let giving_up = &manager.giving_up;
            match record::persistently(&self.ledger, &proposal, giving_up, refused).await {
                Ok(receipt) => return Ok(Some(receipt)),
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

    /// Somebody else has recorded an end before. That one stays and is told; this one leaves a
    /// trace.
    async fn second_outcome(&self, finish: &Finish) -> Option<TaskEvent> {
        metrics::count(metrics::OUTCOMES_REFUSED);
        let (id, status) = (&self.live.id, TaskStatus::from(finish.outcome).as_str());
        tracing::warn!(task = %id, status, "a second outcome was refused");
        let content = serde_json::json!({ "status": status }).to_string().into();
        let event_type = OUTCOME_REFUSED.into();
        let command = Command::Emit { task: id.clone(), event_type, content };
        if let Err(error) = record::once(&self.ledger, Proposal::new(command)).await {
            tracing::warn!(task = %id, %error, "a refused outcome could not be recorded");
        }
        self.manager.terminal_event(id)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(finish) = self.pending.take()
            && let Err(error) = record::without_waiting(&self.ledger, proposal(finish))
        {
            self.lose(error);
        }
        self.manager.table.leave(&self.live.id);
        metrics::lower(metrics::TASKS_LIVE);
        if let Some(ended) = self.ended.take() {
            self.live.end.send_replace(Some(ended));
        }
    }
}

/// How a body ended, within the limits of the ledger, and the value of a success.
fn finish(id: &TaskId, end: End, part_bytes_max: usize) -> (Finish, Value) {
    let ended = |as_: Outcome, error: Option<String>| {
        (outcome(id, as_, error.map(|error| cut(error, part_bytes_max)), None), Value::Null)
    };
    match end {
        End::Returned(TaskResult::Success(value)) => {
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
    Finish { task: id.clone(), outcome, error, result, completed: None }
}

fn proposal(finish: Finish) -> Proposal {
    let cause = Cause { task: Some(finish.task.clone()), ..Cause::default() };
    Proposal { cause, ..Proposal::new(Command::Finish(finish)) }
}

fn event_of(finish: Finish, result: Value, seq: Seq) -> TaskEvent {
    let Finish { task: task_id, outcome, error, .. } = finish;
    let seq = Some(seq.get());
    match outcome {
        Outcome::Completed => TaskEvent::Completed { task_id, result, seq },
        Outcome::Failed => {
            let error = error.map(|text| text.to_string()).unwrap_or_default();
            TaskEvent::Failed { task_id, error, reason: None, seq }
        }
        Outcome::Cancelled => TaskEvent::Cancelled { task_id, seq },
    }
}

/// At most `bytes_max` bytes of a text, which ends with how long it was.
fn cut(mut text: String, bytes_max: usize) -> String {
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
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::warn!("a task panicked while it was dropped");
        std::mem::forget(panic); // it could panic again
    }
}
