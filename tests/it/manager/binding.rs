//! B1, B2: several managers at one ledger, and ledgers that were copied or imported into.

use super::support::*;
use crate::support::{options, thread};
use std::{collections::BTreeMap, sync::Arc};
use taskledger::{
    BackgroundTaskManager, Ledger,
    command::Spawn,
    event::{Host, TaskStatus},
    ids::TaskId,
    manager::{BindError, InboxReceiver, inbox_channel_of},
    time::SeededEntropy,
};

/// A ledger with so many tasks of a manager that is gone.
async fn with_orphans(count: usize) -> Ledger {
    let ledger = Ledger::in_memory(options()).unwrap();
    let host = ledger.take_seat().host();
    let spawn = Spawn::new(thread("main"), "test").host(host);
    ledger.append(vec![spawn; count]).await.unwrap();
    ledger
}

/// A manager that has found so many orphans.
pub(super) async fn manager_with_orphans(count: usize) -> Manager {
    BackgroundTaskManager::with_ledger(with_orphans(count).await).await.unwrap()
}

fn told(manager: &BackgroundTaskManager) -> InboxReceiver {
    let (sender, inbox) = inbox_channel_of(2_000, None);
    manager.set_owner_inbox(sender);
    inbox
}

/// B1: managers that bind at once end each orphan once, and of each one owner is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_that_bind_at_once_end_each_orphan_once() {
    let ledger = with_orphans(700).await;
    let binding: Vec<_> = (0..8)
        .map(|_| tokio::task::spawn(BackgroundTaskManager::with_ledger(ledger.clone())))
        .collect();
    let mut news: BTreeMap<String, usize> = BTreeMap::new();
    let mut managers = Vec::new();
    for bound in binding {
        let manager = bound.await.unwrap().unwrap();
        for told in told(&manager).drain() {
            *news.entry(told["task_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        managers.push(manager);
    }
    assert_eq!(ledger.reader().state().unwrap().counts().failed, 700);
    assert_eq!(ledger.reader().head().size, 1 + 700 + 700, "nothing more was written");
    assert_eq!((news.len(), news.values().all(|count| *count == 1)), (700, true));
    let mut seats = BTreeMap::new();
    for manager in &managers {
        let id = spawn(manager, deaf).await;
        let view = manager.view(&id).unwrap().unwrap();
        let Host::Managed { manager: seat, .. } = view.host else { panic!("{:?}", view.host) };
        *seats.entry(seat).or_insert(0) += 1;
    }
    assert_eq!(seats.len(), 8, "each has a seat of its own");
}

/// Construction, B1: a manager that is bound twice at once is bound once, and tells of all orphans.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_is_bound_twice_at_once_is_bound_once_and_tells_of_all_orphans() {
    for _ in 0..10 {
        let ledger = with_orphans(300).await;
        let manager = Arc::new(BackgroundTaskManager::new());
        let bind = || {
            let (manager, ledger) = (Arc::clone(&manager), ledger.clone());
            tokio::task::spawn(async move { manager.set_store(ledger).await })
        };
        let answers = [bind(), bind(), bind()];
        let mut bound = 0;
        for answer in answers {
            match answer.await.unwrap() {
                Ok(()) => bound += 1,
                Err(error) => assert!(matches!(error, BindError::AlreadyBound), "{error}"),
            }
        }
        assert_eq!((bound, told(&manager).drain().len()), (1, 300));
    }
}

/// B1: orphans that were recorded by a binding that was given up are told by the next.
#[tokio::test]
async fn a_binding_that_is_given_up_forgets_no_orphan() {
    for polls in 0..40 {
        let ledger = with_orphans(600).await; // three batches
        let manager = BackgroundTaskManager::new();
        let mut binding = Box::pin(manager.set_store(ledger.clone()));
        for _ in 0..polls {
            let poll = std::future::poll_fn(|context| {
                std::task::Poll::Ready(binding.as_mut().poll(context).is_ready())
            });
            if poll.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(binding);
        match manager.set_store(ledger.clone()).await {
            Ok(()) | Err(BindError::AlreadyBound) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(ledger.reader().state().unwrap().counts().failed, 600);
        let told = told(&manager).drain().len();
        assert!(told >= 600 - 256, "at most the batch on its way is not told of: {told}");
    }
}

/// B2: after an import the next id is new, whatever ids came.
#[tokio::test]
async fn after_an_import_the_next_id_is_new() {
    let manager = manager().await;
    assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_0");
    let imported = |id: &str| {
        Spawn::new(thread("old"), "shell").task(TaskId::new(id).unwrap()).host(Host::Imported)
    };
    let ledger = manager.ledger().unwrap();
    ledger.append([imported("bg_41"), imported("toolu_7"), imported("bg_5")]).await.unwrap();
    assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_42");
}

/// B1, B2: in a fork, the next id is new to it, and what ran in the original is an orphan, while
/// the original goes on.
#[test]
fn in_a_fork_ids_are_new_and_what_ran_is_an_orphan() {
    let (_temporary, path) = crate::disk::directory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let original = Ledger::create(&path, options()).unwrap();
    let manager = runtime.block_on(async {
        let manager = BackgroundTaskManager::with_ledger(original.clone()).await.unwrap();
        for n in 0..3 {
            assert_eq!(spawn(&manager, deaf).await.as_str(), format!("bg_{n}"));
        }
        manager
    });
    let entropy = Arc::new(SeededEntropy::new(99));
    let options = options().entropy(entropy);
    let size = original.reader().head().size;
    let fork =
        original.fork_blocking(size, path.with_extension("fork"), options, &mut |_, _| {}).unwrap();
    runtime.block_on(async {
        let other = BackgroundTaskManager::with_ledger(fork).await.unwrap();
        let id = TaskId::new("bg_1").unwrap();
        assert_eq!(status(&other, &id), TaskStatus::Failed);
        assert_eq!(status(&manager, &id), TaskStatus::Running);
        assert_eq!(spawn(&other, deaf).await.as_str(), "bg_3");
        assert_eq!(spawn(&manager, deaf).await.as_str(), "bg_3", "each counts for itself");
    });
}
