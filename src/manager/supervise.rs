//! One task from its first statement to its recorded, announced end.
//!
//! The body runs inside the tokio task that supervises it: a panic is caught where it is polled,
//! and an abort is a drop, after which nothing of the body runs. Only when the terminal event is
//! acknowledged is it announced: `guard.rs`. Start reading at [`Supervised::run`].

use super::{
    TaskContext, TaskLineage, TaskResult,
    body::{Body, End, drop_quietly},
    context::{Emit, Recorder},
    guard::{Guard, outcome},
    inbox::channel_capacity,
    json::{LEVELS_MAX, levels, take_apart},
    live::Live,
};
use crate::{
    command::Finish,
    event::Outcome,
    event::PART_BYTES_MAX,
    ids::{RunId, TaskId},
    ledger::Ledger,
};
use serde_json::Value;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// The longest error of a panic, in bytes.
const PANIC_BYTES_MAX: usize = 4 * 1024;

/// A running task, and everything that is dropped when it ends.
pub(super) struct Supervised {
    guard: Guard,
    body: Body,
    lineage: TaskLineage,
    emits: Option<mpsc::Receiver<Emit>>,
    span: Span,
}

impl Supervised {
    /// `span` is below that of the code that spawns it.
    pub(super) fn new(
        guard: Guard,
        run: Option<RunId>,
        span: Span,
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
        Self { body: start(context), guard, lineage, emits, span }
    }

    /// Runs the body, records its end, then announces it.
    pub(super) async fn run(self) {
        let Self { mut guard, body, lineage, emits, span } = self;
        let end = run_body(&guard, body, lineage, emits).instrument(span).await;
        let (finish, result) = finish(&guard.live.id, end, text_bytes_max(&guard.ledger));
        guard.finish(finish, result).await;
    }
}

/// The longest text that a ledger takes, in bytes.
pub(super) fn text_bytes_max(ledger: &Ledger) -> usize {
    ledger.options().part_bytes_max.min(PART_BYTES_MAX)
}

/// Runs a body until it ends, in any way.
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
    // Emits are recorded before the end is.
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

/// The end of a body, within the limits of the ledger, and the value of a success.
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

/// At most `bytes_max` bytes of a text, with its original length at the end.
pub(super) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let note = format!(" ({} bytes in all)", text.len());
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(note.len())));
        text.push_str(&note);
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}
