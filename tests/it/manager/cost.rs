//! B7, B15: what tasks that have ended cost: nothing. The figures are in `tools/bench`; here are
//! margins that no busy machine breaks, and that anything which looks at every task does.

use super::support::*;
use crate::support::thread;
use std::{
    future::Future,
    time::{Duration, Instant},
};
use taskledger::{
    command::{Finish, Proposal, Spawn},
    event::Host,
    ids::TaskId,
    manager::TaskParentContext,
};

/// Tasks that have ended, in 100 threads.
const ENDED: usize = 10_000;

async fn fill(manager: &Manager) {
    let ledger = manager.ledger().unwrap();
    for from in (0..ENDED).step_by(1_000) {
        let batch: Vec<Proposal> = (from..from + 1_000)
            .flat_map(|n| {
                let task = TaskId::new(format!("old-{n}")).unwrap();
                let end = Finish::completed(task.clone());
                let spawn = Spawn::new(thread(&format!("old-{}", n % 100)), "shell")
                    .task(task)
                    .name(format!("name-{n}"))
                    .host(Host::Managed { incarnation: 1, manager: 0 });
                [Proposal::new(spawn), Proposal::new(end)]
            })
            .collect();
        ledger.append(batch).await.unwrap();
    }
}

/// The fastest of some rounds: what else the machine does only ever adds.
async fn fastest<F: Future<Output = ()>>(mut round: impl FnMut(usize) -> F) -> Duration {
    let mut best = Duration::MAX;
    for number in 0..15 {
        let started = Instant::now();
        round(number).await;
        best = best.min(started.elapsed());
    }
    best
}

/// Reads, and named spawns with their ends.
async fn costs(manager: &Manager, id: &TaskId) -> [Duration; 2] {
    let reads = fastest(async |_| {
        for _ in 0..200 {
            assert!(manager.get(id).is_some());
            assert!(manager.has_running("main") && !manager.has_running("nowhere"));
            assert!(manager.list("nowhere").is_empty());
            assert!(manager.resolve_live_child_task(id, "nobody").is_none());
            assert_eq!(manager.task_tree_ids(id).unwrap().len(), 1);
        }
    });
    let reads = reads.await;
    let spawns = fastest(async |_| {
        for n in 0..20 {
            let (name, parent) = (format!("n{n}"), TaskParentContext::default());
            let id = spawn_on(manager, "main", Some(&name), parent, succeed).await.unwrap();
            manager.wait(&id).await.unwrap();
        }
    });
    [reads, spawns.await]
}

/// B15: reads and named spawns cost no more among many tasks than among none.
#[tokio::test]
async fn reads_and_named_spawns_cost_the_same_among_many_tasks() {
    let (empty, full) = (manager().await, manager().await);
    fill(&full).await;
    let [id, other] = [spawn(&empty, deaf).await, spawn(&full, deaf).await];
    let (few, many) = (costs(&empty, &id).await, costs(&full, &other).await);
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < few * 8, "{few:?} in an empty ledger, {many:?} beside {ENDED} tasks");
    }
}
