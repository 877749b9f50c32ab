//! A ledger that is fenced under its manager: C13.

use super::support::*;
use crate::support::options;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use taskledger::{
    BackgroundTaskManager, Code, Ledger,
    event::TaskStatus,
    ids::Epoch,
    ledger::AppendError,
    manager::{BindError, SpawnError, TaskParentContext, TaskResult, WaitError},
    store::MemStore,
};

const SECOND: Epoch = Epoch { number: 2, nonce: 0xa };

fn promise(ledger: &Ledger) {
    let ledger = ledger.clone();
    let promised = thread::spawn(move || ledger.promise_blocking(SECOND));
    promised.join().unwrap().unwrap();
}

#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(answer: &Result<T, WaitError>) {
    let fenced = matches!(answer, Err(WaitError::State(AppendError::Fenced { by: SECOND })));
    assert!(fenced, "{answer:?}");
}

/// C13: every task is asked to stop at once, also one that never waits, on any number of workers.
#[test]
fn tasks_of_a_fenced_ledger_stop_and_those_that_wait_get_the_error() {
    for workers in [1, 2, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .unwrap();
        let manager = runtime.block_on(manager());
        let ledger = manager.ledger().unwrap().clone();
        let (busy, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let stopped = Arc::clone(&stopped);
            let body = async move |context: taskledger::manager::TaskContext| {
                context.cancelled().await;
                stopped.fetch_add(1, Ordering::SeqCst);
                TaskResult::Cancelled
            };
            tasks.push(runtime.block_on(spawn(&manager, body)));
        }
        let (busy_now, stopped_too) = (Arc::clone(&busy), Arc::clone(&stopped));
        let never_waits = async move |context: taskledger::manager::TaskContext| {
            busy_now.store(true, Ordering::SeqCst);
            while !context.is_cancelled() {
                thread::yield_now();
            }
            stopped_too.fetch_add(1, Ordering::SeqCst);
            TaskResult::Cancelled
        };
        tasks.push(runtime.block_on(spawn(&manager, never_waits)));
        runtime.block_on(until(|| busy.load(Ordering::SeqCst)));

        promise(&ledger);
        for task in &tasks {
            assert_fenced(&runtime.block_on(manager.wait(task)));
        }
        assert_eq!(stopped.load(Ordering::SeqCst), tasks.len(), "{workers}");
        let refused = runtime.block_on(manager.spawn(
            "main",
            "late",
            None,
            "",
            TaskParentContext::default(),
            succeed,
        ));
        assert!(
            matches!(refused, Err(SpawnError::State(AppendError::Fenced { by: SECOND }))),
            "{refused:?}"
        );
        runtime.block_on(until(|| manager.health().live == 0));
        assert_eq!(manager.health().unrecorded.len(), tasks.len());
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// C13: a task that does not stop is dropped after five seconds.
#[tokio::test(start_paused = true)]
async fn a_deaf_task_of_a_fenced_ledger_is_dropped_after_five_seconds() {
    let manager = manager().await;
    let gone = Arc::new(AtomicBool::new(false));
    let dropped = Dropped(Arc::clone(&gone));
    let body = async move |_| {
        let _dropped = dropped;
        std::future::pending().await
    };
    let id = spawn(&manager, body).await;
    let still = standstill();
    let began = tokio::time::Instant::now();
    promise(manager.ledger().unwrap());
    tokio::task::yield_now().await;
    assert!(!gone.load(Ordering::SeqCst));
    drop(still);
    assert_fenced(&manager.wait(&id).await);
    assert!(gone.load(Ordering::SeqCst));
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
}

/// C13: code that waits for a task that runs elsewhere is told, too.
#[tokio::test]
async fn a_wait_for_a_task_that_runs_elsewhere_ends_when_the_ledger_is_fenced() {
    let manager = manager().await;
    let ledger = manager.ledger().unwrap().clone();
    ledger.append([crate::support::spawn("elsewhere")]).await.unwrap();
    let waiting = tokio::task::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.wait("elsewhere").await }
    });
    tokio::task::yield_now().await;
    promise(&ledger);
    assert_fenced(&waiting.await.unwrap());
}

/// C13: a node that takes over from itself ends its tasks once, and a manager that was fenced stays so.
#[tokio::test]
async fn a_manager_that_was_fenced_stays_so_and_another_takes_its_place() {
    let before = manager().await;
    let ledger = before.ledger().unwrap().clone();
    let id = spawn(&before, until_cancelled).await;
    promise(&ledger);
    assert_fenced(&before.wait(&id).await);
    let again = ledger.clone();
    thread::spawn(move || again.take_over_blocking(SECOND, 0)).join().unwrap().unwrap();
    assert_eq!(status(&before, &id), TaskStatus::Failed);
    let refused = spawn_on(&before, "main", None, TaskParentContext::default(), succeed).await;
    assert_eq!(refused.unwrap_err().code(), Code::Fenced);

    let after = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
    let next = spawn(&after, succeed).await;
    assert_eq!(after.wait(&next).await.unwrap().status, TaskStatus::Completed);
    let third = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    let ends = entries(&third).into_iter().filter(|entry| entry.event.task.as_ref() == Some(&id));
    assert_eq!(ends.count(), 2, "its spawn and one end");
    let running = spawn(&after, until_cancelled).await;
    let fourth = BackgroundTaskManager::with_ledger(third.ledger().unwrap().clone()).await.unwrap();
    assert_eq!(status(&fourth, &running), TaskStatus::Running, "its manager is here");
    after.cancel(&running).await;
}

/// C13: a manager is not bound to a ledger that takes no appends.
#[tokio::test]
async fn a_manager_is_not_bound_to_a_ledger_that_takes_no_appends() {
    let primary = Ledger::in_memory(options()).unwrap();
    let id = primary.reader().ledger_id();
    let standby = Ledger::create_standby_in(&MemStore::new(), id, options()).unwrap();
    let refused = BackgroundTaskManager::with_ledger(standby).await;
    assert!(matches!(refused, Err(BindError::State(AppendError::NotPrimary))), "{refused:?}");
    promise(&primary);
    let refused = BackgroundTaskManager::with_ledger(primary).await;
    assert_eq!(refused.unwrap_err().code(), Code::Fenced);
}
