//! Managers over ledgers in memory, and how a model is run.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::{future::Future, ops::ControlFlow, sync::Arc};
use taskledger_models::{
    BackgroundTaskManager, Ledger, Options,
    event::{Action, Entry, Restored},
    ids::{Seq, TaskId},
    manager::{
        InboxReceiver, SpawnError, TaskContext, TaskParentContext, TaskResult, inbox_channel,
    },
    time::{ManualClock, Millis},
};

pub(crate) use shuttle::future::{block_on, spawn as start, yield_now};

pub(crate) type Manager = Arc<BackgroundTaskManager>;

/// Interleavings of each kind that a model is tried in.
const ROUNDS: usize = 150;

/// Runs a model in many interleavings: half of them chosen evenly at each step, half of them with
/// priorities that change a few times, which finds what takes few but ill-timed switches.
pub(crate) fn explore<F: Future<Output = ()> + 'static>(
    model: impl Fn() -> F + Copy + Send + Sync + 'static,
) {
    let rounds = std::env::var("TASKLEDGER_MODEL_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    let run = move || block_on(model());
    shuttle::Runner::new(RandomScheduler::new(rounds), config.clone()).run(run);
    shuttle::Runner::new(PctScheduler::new(3, rounds), config).run(run);
}

pub(crate) fn ledger() -> Ledger {
    let clock = Arc::new(ManualClock::at(Millis(1)));
    Ledger::in_memory(Options::default().clock(clock)).unwrap()
}

pub(crate) async fn manager() -> Manager {
    BackgroundTaskManager::with_ledger(ledger()).await.unwrap()
}

/// A manager, and the inbox that its tasks tell.
pub(crate) async fn told_manager() -> (Manager, InboxReceiver) {
    let manager = manager().await;
    let (sender, receiver) = inbox_channel();
    manager.set_owner_inbox(sender);
    (manager, receiver)
}

pub(crate) async fn spawn<F, Fut>(
    manager: &Manager,
    name: Option<&str>,
    parent: TaskParentContext,
    body: F,
) -> Result<TaskId, SpawnError>
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    manager.spawn("main", "model", name, "", parent, body).await
}

pub(crate) async fn until_cancelled(context: TaskContext) -> TaskResult {
    context.cancelled().await;
    TaskResult::Cancelled
}

pub(crate) fn child_of(id: &TaskId) -> TaskParentContext {
    TaskParentContext { task_id: Some(id.to_string()), ..TaskParentContext::default() }
}

pub(crate) fn of_run(run: &str) -> TaskParentContext {
    TaskParentContext { run_id: Some(run.to_owned()), ..TaskParentContext::default() }
}

pub(crate) fn entries(ledger: &Ledger) -> Vec<Entry> {
    let (reader, mut all) = (ledger.reader(), Vec::new());
    if let Some(last) = reader.head().seq() {
        let mut push = |entry| {
            all.push(entry);
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, last, &mut push).unwrap();
    }
    all
}

/// The numbers of the events that ended a task.
pub(crate) fn ends(ledger: &Ledger, id: &TaskId) -> Vec<u64> {
    let is_end = |action: &Action| match action {
        Action::Terminated { .. } => true,
        Action::Restored { why } => matches!(why, Restored::Orphaned { .. }),
        _ => false,
    };
    let of_task = |entry: &Entry| entry.event.task.as_ref() == Some(id);
    let all = entries(ledger);
    let found = all.iter().filter(|entry| of_task(entry) && is_end(&entry.event.action));
    found.map(|entry| entry.event.seq.get()).collect()
}

/// One end on the record, one end told, and they are the same; nothing is held any more.
pub(crate) fn check_ended_once(manager: &Manager, inbox: &mut InboxReceiver, id: &TaskId) {
    let ends = ends(manager.ledger().unwrap(), id);
    let told = inbox.drain();
    let status = manager.get(id).unwrap().status.as_str();
    let told: Vec<u64> = (told.iter().filter(|told| told["kind"] == status))
        .filter(|told| told["task_id"] == id.as_str())
        .map(|told| told["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(ends.len(), 1, "one end is on the record");
    assert_eq!(ends, told, "it is told, once");
    let health = manager.health();
    assert_eq!((health.degraded, health.unrecorded.len()), (false, 0));
}
