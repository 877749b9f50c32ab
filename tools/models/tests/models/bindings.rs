//! Managers that bind to one ledger at once, and a manager that is bound twice at once.

use crate::support::*;
use std::sync::Arc;
use taskledger_models::{
    BackgroundTaskManager, Ledger,
    command::Spawn,
    ids::{TaskId, ThreadId},
    manager::{BindError, TaskParentContext, inbox_channel},
};

/// Two tasks of a manager that is gone.
async fn orphans(ledger: &Ledger) -> [TaskId; 2] {
    let host = ledger.take_seat().host();
    let left = || Spawn::new(ThreadId::new("main").unwrap(), "model").host(host);
    let receipts = ledger.append([left(), left()]).await.unwrap();
    [0, 1].map(|at: usize| receipts[at].task.clone().unwrap())
}

fn told(manager: &BackgroundTaskManager) -> usize {
    let (sender, mut inbox) = inbox_channel();
    manager.set_owner_inbox(sender);
    inbox.drain().len()
}

/// B1: each orphan ends once, and one owner is told of it.
#[test]
fn managers_against_one_another_for_orphans() {
    explore(async || {
        let ledger = ledger();
        let orphans = orphans(&ledger).await;
        let other = start(BackgroundTaskManager::with_ledger(ledger.clone()));
        let mine = BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
        let other = other.await.unwrap().unwrap();
        for orphan in &orphans {
            assert_eq!(ends(&ledger, orphan).len(), 1);
        }
        assert_eq!(told(&mine) + told(&other), 2);
        let alive =
            spawn(&mine, None, TaskParentContext::default(), until_cancelled).await.unwrap();
        BackgroundTaskManager::with_ledger(ledger.clone()).await.unwrap();
        assert!(mine.cancel(&alive).await, "a live task is nobody's orphan");
        mine.wait(&alive).await.unwrap();
    });
}

/// B1: one binding wins, and its manager tells of every orphan.
#[test]
fn bindings_of_one_manager_against_one_another() {
    explore(async || {
        let ledger = ledger();
        orphans(&ledger).await;
        let manager = Arc::new(BackgroundTaskManager::new());
        let other = start({
            let (manager, ledger) = (Arc::clone(&manager), ledger.clone());
            async move { manager.set_store(ledger).await }
        });
        let answers = [manager.set_store(ledger.clone()).await, other.await.unwrap()];
        let bound = answers.iter().filter(|answer| answer.is_ok()).count();
        let refused =
            answers.iter().filter(|answer| matches!(answer, Err(BindError::AlreadyBound))).count();
        assert_eq!((bound, refused, told(&manager)), (1, 1, 2));
    });
}
