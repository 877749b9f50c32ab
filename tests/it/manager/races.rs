//! Races between what the record shows and those who act on it, many times over: on runtimes of
//! one thread and of 1, 2 and 4 workers, from `main` and from a worker, in memory and on disk.
//!
//! `TASKLEDGER_RACE_ROUNDS` says how often; none may go wrong.

use super::support::*;
use serde_json::json;
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use taskledger::{
    BackgroundTaskManager, Ledger,
    event::{Action, CancelScope, TaskStatus},
    ids::{Head, TaskId},
    ledger::Followed,
    manager::{
        AgentTaskContext, CancelOptions, InboxReceiver, InboxSender, OnInboxClosed,
        TaskParentContext, TaskResult, inbox_channel_of, inbox_channel_with_fallback,
    },
};

/// Rounds of each race on each runtime.
fn rounds() -> usize {
    std::env::var("TASKLEDGER_RACE_ROUNDS").map_or(1_000, |rounds| rounds.parse().unwrap())
}

/// Rounds that go on at once on disk, and share the syncs.
const AT_ONCE: usize = 250;

/// What runs a race.
#[derive(Debug, Clone, Copy)]
enum On {
    OneThread,
    /// So many workers, and a caller that is none of them.
    Main(usize),
    /// So many workers, of which the caller is one.
    Worker(usize),
}

const ALL: [On; 7] = [
    On::OneThread,
    On::Main(1),
    On::Main(2),
    On::Main(4),
    On::Worker(1),
    On::Worker(2),
    On::Worker(4),
];

impl On {
    fn runtime(self) -> tokio::runtime::Runtime {
        match self {
            Self::OneThread => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            Self::Main(workers) | Self::Worker(workers) => {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(workers)
                    .enable_all()
                    .build()
            }
        }
        .unwrap()
    }

    fn run<F: Future<Output = ()> + Send + 'static>(self, race: F) {
        let runtime = self.runtime();
        match self {
            Self::OneThread | Self::Main(_) => runtime.block_on(race),
            Self::Worker(_) => runtime.block_on(runtime.spawn(race)).unwrap(),
        }
    }
}

/// A race on every runtime: in memory one round after the other, on disk many at once, so that they
/// share the syncs.
fn race<F: Future<Output = ()> + Send + 'static>(
    round: impl Fn(Manager) -> F + Copy + Send + Sync + 'static,
) {
    for on in ALL {
        on.run(async move {
            let manager = manager().await;
            for _ in 0..rounds() {
                round(manager.clone()).await;
            }
        });
        on.run(async move {
            let (_directory, path) = crate::disk::directory();
            let ledger = Ledger::create(&path, crate::support::options()).unwrap();
            let manager = BackgroundTaskManager::with_ledger(ledger).await.unwrap();
            for _ in 0..rounds().div_ceil(AT_ONCE) {
                let many: Vec<_> =
                    (0..AT_ONCE).map(|_| tokio::task::spawn(round(manager.clone()))).collect();
                for one in many {
                    one.await.unwrap();
                }
            }
            manager.shutdown(Duration::from_secs(5)).await.unwrap();
        });
    }
}

/// C1, F1: a cancel that works is on the record before the end that it brings about, with its
/// reason.
#[test]
fn f1_a_cancel_that_works_is_on_the_record() {
    race(async |manager: Manager| {
        let id = spawn(&manager, until_cancelled).await;
        let reason = Some("enough".to_owned());
        assert!(manager.cancel_with(&id, CancelOptions { reason, deadline: None }).await);
        assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
        let view = manager.view(&id).unwrap().unwrap();
        let cancel = view.cancel.expect("it left a trace");
        assert_eq!((cancel.scope, cancel.reason.as_deref()), (CancelScope::Task, Some("enough")));
        assert!(Some(cancel.seq) < view.terminal_seq);
    });
}

/// C1, F1: the same with a deadline.
#[test]
fn f1_a_cancel_with_a_deadline_that_works_is_on_the_record() {
    race(async |manager: Manager| {
        let id = spawn(&manager, until_cancelled).await;
        let deadline = Some(Duration::from_mins(1));
        assert!(manager.cancel_with(&id, CancelOptions { reason: None, deadline }).await);
        manager.wait(&id).await.unwrap();
        let view = manager.view(&id).unwrap().unwrap();
        let cancel = view.cancel.expect("it left a trace");
        assert!(cancel.deadline.is_some() && Some(cancel.seq) < view.terminal_seq);
    });
}

/// C1, C4, F1, O1: the same for what a tree, a run and a thread take with them.
#[test]
fn f1_o1_a_sweep_is_on_the_record_of_each_that_it_stops() {
    race(async |manager: Manager| {
        let thread = format!("t{:?}", std::time::Instant::now());
        let run = of_run(&thread);
        let stop = async |parent| {
            spawn_on(&manager, &thread, None, parent, until_cancelled).await.unwrap()
        };
        let root = stop(run).await;
        let child = stop(child_of(&root)).await;
        let why = |reason: &str| CancelOptions { reason: Some(reason.into()), deadline: None };
        let signalled = match root.as_str().len() % 2 + usize::from(root.as_str().ends_with('0')) {
            0 => manager.cancel_tree_with(&root, why("tree")).await,
            1 => manager.cancel_descendants_for_run_with(&thread, why("run")).await,
            _ => manager.cancel_all_with(&thread, why("thread")).await,
        };
        assert_eq!(signalled, 2);
        for id in [root, child] {
            assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
            let view = manager.view(&id).unwrap().unwrap();
            let cancel = view.cancel.expect("it left a trace");
            let expected = match cancel.scope {
                CancelScope::Tree => "tree",
                CancelScope::Run(_) => "run",
                CancelScope::Thread => "thread",
                CancelScope::Task => panic!("each was swept"),
            };
            assert_eq!(cancel.reason.as_deref(), Some(expected));
            assert!(Some(cancel.seq) < view.terminal_seq);
        }
    });
}

/// C2, F2: what a follower of the log sees can be cancelled at once, and what it does not cancel
/// can be written to.
#[test]
fn f2_what_a_follower_sees_can_be_cancelled_and_written_to() {
    for (on, on_disk) in ALL.into_iter().flat_map(|on| [(on, false), (on, true)]) {
        on.run(async move {
            let (_directory, path) = crate::disk::directory();
            let options = crate::support::options();
            let ledger =
                if on_disk { Ledger::create(&path, options) } else { Ledger::in_memory(options) };
            let manager = BackgroundTaskManager::with_ledger(ledger.unwrap()).await.unwrap();
            let follower = tokio::task::spawn(act_on_what_is_shown(manager.clone(), rounds()));
            for _ in 0..rounds().div_ceil(AT_ONCE) {
                let one = || {
                    let manager = manager.clone();
                    tokio::task::spawn(async move { agent(&manager).await })
                };
                for one in (0..AT_ONCE).map(|_| one()).collect::<Vec<_>>() {
                    one.await.unwrap();
                }
            }
            let acted = follower.await.unwrap();
            for id in acted {
                assert_eq!(manager.wait(&id).await.unwrap().status, TaskStatus::Cancelled);
            }
        });
    }
}

/// An agent that stops when it is asked to, or told something.
async fn agent(manager: &Manager) -> TaskId {
    let parent = TaskParentContext::default();
    let body = async |mut agent: AgentTaskContext| {
        drop(agent.inbox_sender);
        let _ = agent.inbox_receiver.recv_or_cancel(Some(&agent.cancel_token)).await;
        TaskResult::Cancelled
    };
    manager.spawn_agent_with_context("main", None, "", parent, body).await.unwrap()
}

async fn act_on_what_is_shown(manager: Manager, rounds: usize) -> Vec<TaskId> {
    let mut follow = manager.ledger().unwrap().follow(Head::EMPTY).unwrap();
    let mut acted = Vec::new();
    while acted.len() < rounds {
        let Some(Followed::Event(entry)) = follow.next().await.unwrap() else { continue };
        if !matches!(entry.event.action, Action::Upserted { .. }) {
            continue;
        }
        let id = entry.event.task.unwrap();
        if acted.len() % 2 == 0 {
            assert!(manager.cancel(&id).await, "{id} is on the record");
        } else {
            manager.send_task_inbox_message(&id, "main", "follower", "stop").await.unwrap();
        }
        acted.push(id);
    }
    acted
}

/// C8, F7: two shutdowns at once are both done.
#[test]
fn f7_two_shutdowns_at_once_are_both_done() {
    for on in ALL {
        on.run(async {
            for round in 0..rounds() / 5 {
                let manager = manager().await;
                let id = spawn(&manager, until_cancelled).await;
                let grace = Duration::from_secs(10);
                let (one, other) = tokio::join!(manager.shutdown(grace), manager.shutdown(grace));
                let (one, other) = (one.unwrap(), other.unwrap());
                assert!(one.deaf.is_empty() && other.deaf.is_empty(), "round {round}");
                assert_eq!(status(&manager, &id), TaskStatus::Cancelled);
            }
        });
    }
}

/// C6, O3: news comes into an inbox in the order of the log, whichever task is slow.
#[test]
fn o3_news_is_in_the_order_of_the_log() {
    for on in ALL {
        on.run(async {
            let manager = manager().await;
            let (sender, mut inbox) = inbox_channel_of(100_000, None);
            manager.set_owner_inbox(sender);
            let spawners: Vec<_> = (0..8)
                .map(|_| {
                    let manager = manager.clone();
                    tokio::task::spawn(async move {
                        for _ in 0..rounds() / 8 {
                            let id = spawn(&manager, async |context| {
                                context.record("step", json!(1)).await.unwrap();
                                TaskResult::Success(json!(1))
                            });
                            let id = id.await;
                            manager.wait(&id).await.unwrap();
                        }
                    })
                })
                .collect();
            for spawner in spawners {
                spawner.await.unwrap();
            }
            let told: Vec<u64> =
                inbox.drain().iter().map(|told| told["seq"].as_u64().unwrap()).collect();
            assert_eq!(told.len(), rounds() / 8 * 8 * 2);
            assert!(told.is_sorted(), "in order");
            assert_eq!(manager.health().untold, 0);
        });
    }
}

/// A fallback that sets the next inbox, as a host that reconnects does.
struct Reconnects {
    manager: Manager,
    next: Mutex<Option<InboxSender>>,
    told: Mutex<Vec<serde_json::Value>>,
}

impl OnInboxClosed for Reconnects {
    fn closed(&self, message: &serde_json::Value) {
        assert_eq!(taskledger::locks_held(), 0);
        self.told.lock().unwrap().push(message.clone());
        if let Some(next) = self.next.lock().unwrap().take() {
            self.manager.set_owner_inbox(next);
        }
    }
}

fn count(news: &mut BTreeMap<u64, usize>, told: Vec<serde_json::Value>) {
    for told in told {
        *news.entry(told["seq"].as_u64().unwrap()).or_default() += 1;
    }
}

/// C7, C6, F4, F5: news of orphans reaches their owner once, in order, whichever inbox goes away
/// while it is told; a fallback may set the next inbox.
#[test]
fn f4_f5_news_of_orphans_survives_inboxes_that_go_away() {
    const ORPHANS: usize = 60;
    for on in [On::OneThread, On::Main(2), On::Main(4), On::Worker(2)] {
        on.run(async {
            for round in 0..rounds() / 10 {
                let manager = super::binding::manager_with_orphans(ORPHANS).await;
                let (next, mut second) = inbox_channel_of(ORPHANS, None);
                let fallback = Arc::new(Reconnects {
                    manager: manager.clone(),
                    next: Mutex::new(Some(next)),
                    told: Mutex::default(),
                });
                let (first, mut receiver) = inbox_channel_with_fallback(fallback.clone());
                let setter = std::thread::spawn({
                    let manager = manager.clone();
                    move || manager.set_owner_inbox(first)
                });
                let mut news = BTreeMap::new();
                let wanted = round % 7;
                while news.len() < wanted {
                    count(&mut news, receiver.try_recv().into_iter().collect());
                }
                let unread = receiver.drain();
                count(&mut news, unread);
                drop(receiver);
                setter.join().unwrap();
                if let Some(next) = fallback.next.lock().unwrap().take() {
                    manager.set_owner_inbox(next); // nothing came too late
                }
                count(&mut news, std::mem::take(&mut *fallback.told.lock().unwrap()));
                let rest = read_all(&mut second);
                assert!(rest.iter().is_sorted_by_key(|told| told["seq"].as_u64()), "in order");
                count(&mut news, rest);
                // What was put into the first inbox between the last read and its end is gone
                // with it; nothing comes twice, and nothing else is missing.
                assert!(news.values().all(|count| *count == 1), "round {round}: {news:?}");
                assert_eq!(manager.health().untold, 0);
            }
        });
    }
}

fn read_all(inbox: &mut InboxReceiver) -> Vec<serde_json::Value> {
    std::iter::from_fn(|| inbox.try_recv()).collect()
}
