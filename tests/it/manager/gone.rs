//! Inboxes, runtimes and ledgers that go away: F5, F7, F9, F10, F14, F15, O7.

use super::{binding::manager_with_orphans, support::*};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use taskledger::{
    BackgroundTaskManager, Ledger,
    event::TaskStatus,
    ids::TaskId,
    manager::{
        CancelOptions, OnInboxClosed, SendError, SpawnError, TaskParentContext, TaskResult,
        WaitError, inbox_channel, inbox_channel_of, inbox_channel_with_fallback,
    },
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// C6, F5: what an inbox has not taken when its receiver goes is told to the next one.
#[tokio::test]
async fn f5_what_a_closed_inbox_did_not_take_is_told_to_the_next() {
    let manager = manager_with_orphans(300).await;
    assert_eq!(manager.health().untold, 300);
    let (sender, mut first) = inbox_channel_of(10, None);
    manager.set_owner_inbox(sender);
    let mut told: Vec<Value> = (0..5).map(|_| first.try_recv().unwrap()).collect();
    assert_eq!(manager.health().untold, 285);
    told.extend(first.drain());
    drop(first);
    let left = manager.health().untold;
    let (sender, mut second) = inbox_channel();
    manager.set_owner_inbox(sender);
    let rest = second.drain();
    assert_eq!(rest.len(), left);
    told.extend(rest);
    let seqs: BTreeSet<u64> = told.iter().map(|told| told["seq"].as_u64().unwrap()).collect();
    let lost = 10; // what was put into the first inbox when its last message was read
    assert!(seqs.len() == told.len() && seqs.len() + lost >= 300, "{}", seqs.len());
    assert!(told.is_sorted_by_key(|told| told["seq"].as_u64()));
    assert_eq!(manager.health().untold, 0);
}

/// C6, F5: an inbox that is set while another one still has news in line waits until that is over.
#[tokio::test]
async fn f5_no_inbox_is_told_out_of_order() {
    let manager = manager_with_orphans(20).await;
    let (sender, mut first) = inbox_channel_of(5, None);
    manager.set_owner_inbox(sender);
    let (sender, mut second) = inbox_channel();
    manager.set_owner_inbox(sender);
    assert!(second.is_empty());
    for _ in 0..8 {
        first.try_recv().unwrap();
    }
    drop(first);
    let rest = second.drain();
    assert_eq!(rest.len(), 7, "eight were read, and five are gone with the inbox");
    assert!(rest.is_sorted_by_key(|told| told["seq"].as_u64()));
}

/// B13, C6, F5: the news of an end that nobody reads stays counted, or goes to the fallback.
#[tokio::test]
async fn f5_news_that_nobody_reads_is_counted() {
    struct Told(AtomicUsize);
    impl OnInboxClosed for Told {
        fn closed(&self, _message: &Value) {
            assert_eq!(taskledger::locks_held(), 0);
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("a fallback that panics harms nobody");
        }
    }
    let (manager, inbox) = told_manager().await;
    let id = spawn(&manager, until_cancelled).await;
    drop(inbox);
    manager.cancel(&id).await;
    manager.wait(&id).await.unwrap();
    assert_eq!(manager.health().untold, 1);
    let told = Arc::new(Told(AtomicUsize::new(0)));
    let (sender, receiver) = inbox_channel_with_fallback(told.clone());
    manager.set_owner_inbox(sender);
    let id = spawn(&manager, until_cancelled).await;
    drop(receiver);
    manager.cancel(&id).await;
    manager.wait(&id).await.unwrap();
    assert_eq!((told.0.load(Ordering::SeqCst), manager.health().untold), (1, 1));
}

/// C3, F9: whatever spawns are on their way when a runtime goes, no record stays without a handle.
#[test]
fn f9_no_record_without_a_handle_outlives_the_spawn_that_made_it() {
    for workers in [1, 4] {
        for _ in 0..10 {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let (manager, mut inbox) = runtime.block_on(async {
                let (manager, inbox) = told_manager().await;
                for n in 0..40 {
                    let (manager, stop) = (Arc::clone(&manager), Arc::clone(&stop));
                    drop(tokio::task::spawn(async move {
                        while !stop.load(Ordering::SeqCst) {
                            let (thread, parent) = (format!("t{n}"), TaskParentContext::default());
                            drop(spawn_on(&manager, &thread, Some("n"), parent, deaf).await);
                        }
                    }));
                }
                until(|| manager.health().live > 20).await;
                (manager, inbox)
            });
            drop(runtime);
            stop.store(true, Ordering::SeqCst);
            let ledger = manager.ledger().unwrap().clone();
            ledger.append_blocking([crate::support::spawn("last")]).unwrap();
            ledger.append_blocking([crate::support::spawn("laster")]).unwrap();
            until_now(|| ledger.reader().state().unwrap().counts().running == 2);
            assert_eq!(manager.health().live, 0);
            let failed = ledger.reader().state().unwrap().counts().failed;
            let mut told = 0;
            until_now(|| {
                told += inbox.drain().len();
                u64::try_from(told) == Ok(failed)
            });
            // Its name is free, so that a spawn of that name is taken.
            let (again, parent) = (self::runtime(), TaskParentContext::default());
            again.block_on(spawn_on(&manager, "t0", Some("n"), parent, succeed)).unwrap();
        }
    }
}

/// As [`until`], outside of a runtime.
fn until_now(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "it never happened");
        std::thread::yield_now();
    }
}

/// C6, F10: the owner is told of tasks that went with their runtime, once.
#[test]
fn f10_the_owner_is_told_of_tasks_that_went_with_their_runtime() {
    let here = runtime();
    let (manager, mut inbox) = here.block_on(told_manager());
    for round in 0..30 {
        let there = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let ids: Vec<TaskId> = there.block_on(async {
            let mut ids = Vec::new();
            for _ in 0..10 {
                ids.push(spawn(&manager, deaf).await);
            }
            ids
        });
        drop(there);
        for id in &ids {
            let ended = here.block_on(manager.wait(id)).unwrap();
            assert_eq!(ended.error.as_deref(), Some("task dropped: its runtime was shut down"));
        }
        let mut told = Vec::new();
        until_now(|| {
            told.extend(inbox.drain());
            told.len() == 10
        });
        let of: BTreeSet<&str> =
            told.iter().map(|told| told["task_id"].as_str().unwrap()).collect();
        assert_eq!(of.len(), 10, "round {round}");
        assert!(told.is_sorted_by_key(|told| told["seq"].as_u64()));
        assert_eq!(manager.health().untold, 0);
    }
}

/// C7, C8, F14: every call is answered outside of a runtime, a shutdown too.
#[test]
fn f14_every_call_is_answered_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (manager, ids) = runtime.block_on(async {
        let manager = manager().await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(spawn(&manager, until_cancelled).await);
        }
        (manager, ids)
    });
    assert!(futures_block_on(manager.cancel(&ids[0])));
    assert_eq!(futures_block_on(manager.cancel_tree(&ids[1])), 1);
    let report = futures_block_on(manager.shutdown(Duration::from_secs(10))).unwrap();
    assert!(report.deaf.is_empty());
    assert_eq!(futures_block_on(manager.shutdown(Duration::ZERO)).unwrap().stopped, 0);
    for id in &ids {
        assert_eq!(status(&manager, id), TaskStatus::Cancelled);
    }
    let late =
        futures_block_on(spawn_on(&manager, "main", None, TaskParentContext::default(), deaf));
    assert!(matches!(late, Err(SpawnError::NoRuntime | SpawnError::ShutDown)));
    assert_eq!(
        futures_block_on(manager.send_task_inbox_message(&ids[0], "main", "me", "x")),
        Err(SendError::TaskTerminated(TaskStatus::Cancelled))
    );
}

/// An executor that is no runtime.
fn futures_block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            assert_eq!(taskledger::locks_held(), 0, "a waker is called with no lock held");
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

/// C8, F15: no deadline, second try or shutdown calls the panic hook, on a runtime without timers
/// or on none. In a process of its own, since the hook is everybody's.
#[test]
fn f15_nothing_calls_the_panic_hook() {
    if std::env::var_os("TASKLEDGER_NO_PANICS").is_none() {
        let this = std::env::current_exe().unwrap();
        let test = "manager::gone::f15_nothing_calls_the_panic_hook";
        let status = std::process::Command::new(this)
            .args([test, "--exact", "--nocapture"])
            .env("TASKLEDGER_NO_PANICS", "1")
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        return;
    }
    std::panic::set_hook(Box::new(|_| std::process::exit(7)));
    let runtime = runtime();
    let manager = runtime.block_on(async {
        let manager = manager().await;
        let deadline = Some(Duration::from_millis(5));
        let id = spawn(&manager, deaf).await;
        manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await;
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
        spawn(&manager, deaf).await;
        let report = manager.shutdown(Duration::from_millis(5)).await.unwrap();
        assert_eq!(report.aborted, 1);
        manager
    });
    drop(runtime);
    futures_block_on(manager.shutdown(Duration::from_millis(1))).unwrap();
}

/// C8, F7, O7: a task may shut its own manager down: the others are waited for, its own end is
/// recorded, and then the ledger is closed.
#[tokio::test]
async fn o7_a_task_may_shut_its_manager_down() {
    let (_temporary, path) = crate::disk::directory();
    let ledger = Ledger::create(&path, crate::support::options()).unwrap();
    let manager = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    let other = spawn(&manager, until_cancelled).await;
    let inner = Arc::clone(&manager);
    let id = spawn(&manager, async move |context| {
        let report = inner.shutdown(Duration::from_secs(10)).await.unwrap();
        TaskResult::Success(json!([report.stopped, report.aborted, context.is_cancelled()]))
    })
    .await;
    let ended = manager.wait(&id).await.unwrap();
    assert_eq!(ended.result, Some(json!([1, 0, true])));
    assert_eq!(status(&manager, &other), TaskStatus::Cancelled);
    manager.shutdown(Duration::from_secs(10)).await.unwrap();
    let again = Ledger::open(&path, crate::support::options()).unwrap();
    assert_eq!(again.reader().state().unwrap().counts().running, 0);
}

/// C8, O7: a shutdown closes the ledger under another manager of it. That one says so: nothing
/// false is announced, its wait is an error, and its own shutdown is fine.
#[tokio::test]
async fn o7_a_shutdown_closes_the_ledger_under_other_managers_and_they_say_so() {
    let (manager, mut inbox) = told_manager().await;
    let ledger = manager.ledger().unwrap().clone();
    let second = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
    let id = spawn(&manager, until_cancelled).await;
    second.shutdown(Duration::from_secs(5)).await.unwrap();
    manager.cancel(&id).await;
    assert!(matches!(manager.wait(&id).await, Err(WaitError::State(_))));
    assert!(manager.health().degraded);
    manager.shutdown(Duration::from_secs(5)).await.unwrap();
    assert!(inbox.drain().is_empty());
}
