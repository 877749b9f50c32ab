//! Turns at the writer and the device: callers that wait, callers that run on, threads, a close.

use crate::support::*;
use shuttle::thread;
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use taskledger_models::{
    Ledger, Options,
    command::{Proposal, Spawn},
    ids::{Epoch, Head, Seq, TaskId, ThreadId},
    ledger::{AppendError, Durability, Followed, ReadError, Receipt, Role},
    store::{Error, FrameLog, MemStore},
    time::{ManualClock, Millis},
};

type Answer = Result<Vec<Receipt>, AppendError>;

/// No interval ends by itself here: the scheduler has no clock.
const DURABILITIES: [Durability; 2] =
    [Durability::Synced, Durability::Interval(Duration::from_secs(1))];

fn ledger(durability: Durability) -> Ledger {
    let clock = Arc::new(ManualClock::at(Millis(1)));
    Ledger::in_memory(Options::default().durability(durability).clock(clock)).unwrap()
}

fn task(name: &str, n: usize) -> Proposal {
    let task = TaskId::new(format!("{name}-{n}")).unwrap();
    Spawn::new(ThreadId::new("main").unwrap(), "model").task(task).into()
}

/// Two appends, one after the other, on a thread that waits for them.
fn blocking(ledger: &Ledger, name: &'static str) -> thread::JoinHandle<Vec<Answer>> {
    let ledger = ledger.clone();
    thread::spawn(move || (0..2).map(|n| ledger.append_blocking([task(name, n)])).collect())
}

/// The same in a task.
fn waiting(ledger: &Ledger, name: &'static str) -> shuttle::future::JoinHandle<Vec<Answer>> {
    let ledger = ledger.clone();
    start(async move {
        let mut answers = Vec::new();
        for n in 0..2 {
            answers.push(ledger.append([task(name, n)]).await);
        }
        answers
    })
}

/// What was acknowledged is there, where its receipt says, and nothing else is.
fn check(ledger: &Ledger, answers: &[Answer]) {
    let mut acknowledged = Vec::new();
    for answer in answers {
        match answer {
            Ok(receipts) => acknowledged.extend(receipts.iter().map(|r| (r.seq, r.task.clone()))),
            Err(error) => assert!(matches!(error, AppendError::Halted), "{error}"),
        }
    }
    acknowledged.sort();
    let (reader, mut found) = (ledger.reader(), Vec::new());
    if let Some(last) = reader.head().seq() {
        let visit = |entry: taskledger_models::event::Entry| {
            found.extend(entry.event.task.map(|task| (entry.event.seq, Some(task))));
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, last, visit).unwrap();
    }
    assert_eq!(found, acknowledged);
    assert_eq!(reader.state().unwrap().tasks_len(), acknowledged.len());
}

/// Every caller is answered, whoever wrote for it, and sees what it was answered.
#[test]
fn appends_against_one_another() {
    for durability in DURABILITIES {
        explore(move || async move {
            let ledger = ledger(durability);
            let blocked = [blocking(&ledger, "thread-0"), blocking(&ledger, "thread-1")];
            let (first, second) = (waiting(&ledger, "task-0"), waiting(&ledger, "task-1"));
            let sync = thread::spawn({
                let ledger = ledger.clone();
                move || ledger.sync_blocking()
            });
            let mut answers = first.await.unwrap();
            answers.extend(second.await.unwrap());
            answers.extend(blocked.into_iter().flat_map(|thread| thread.join().unwrap()));
            sync.join().unwrap().unwrap();
            assert!(answers.iter().all(Result::is_ok));
            check(&ledger, &answers);
        });
    }
}

/// Who comes before a close is acknowledged, who comes after it is refused, and nobody is left
/// waiting.
#[test]
fn appends_against_a_close() {
    for durability in DURABILITIES {
        explore(move || async move {
            let ledger = ledger(durability);
            let blocked = blocking(&ledger, "thread");
            let awaited = waiting(&ledger, "task");
            let close = thread::spawn({
                let ledger = ledger.clone();
                move || ledger.close_blocking()
            });
            let mut answers = awaited.await.unwrap();
            answers.extend(blocked.join().unwrap());
            close.join().unwrap().unwrap();
            let state = ledger.reader().state().unwrap();
            let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(state.tasks_len(), acknowledged);
        });
    }
}

/// Whichever call closes it, the files are let go of when any of them returns.
#[test]
fn closes_against_one_another() {
    explore(|| async {
        let (store, clock) = (MemStore::new(), Arc::new(ManualClock::at(Millis(1))));
        let options = Options::default().clock(clock);
        let ledger = Ledger::create_in(&store, options).unwrap();
        let closes = [0, 1, 2].map(|_| {
            let (ledger, store) = (ledger.clone(), store.clone());
            thread::spawn(move || {
                ledger.close_blocking().unwrap();
                assert!(matches!(store.sync(), Err(Error::Halted)), "it is closed");
            })
        });
        for close in closes {
            close.join().unwrap();
        }
    });
}

/// What was acknowledged is below the head that a promise answers, and nothing is after it: appends
/// that waited before it are written, and those behind it are refused.
#[test]
fn a_promise_against_appends() {
    for durability in DURABILITIES {
        explore(move || async move {
            let ledger = ledger(durability);
            let blocked = blocking(&ledger, "thread");
            let awaited = waiting(&ledger, "task");
            let by = Epoch { number: 2, nonce: 1 };
            let promise = thread::spawn({
                let ledger = ledger.clone();
                move || ledger.promise_blocking(by)
            });
            let mut answers = awaited.await.unwrap();
            answers.extend(blocked.join().unwrap());
            let status = promise.join().unwrap().unwrap();
            assert_eq!((status.role, status.head), (Role::Fenced { by }, ledger.reader().head()));
            for answer in answers {
                match answer {
                    Ok(receipts) => assert!(receipts[0].seq.size() <= status.head.size),
                    Err(AppendError::Fenced { by: told }) => assert_eq!(told, by),
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
}

/// Frames, appends and a close: each is answered, and what was written is what was answered.
#[test]
fn an_ingest_against_a_close() {
    explore(|| async {
        let primary = ledger(Durability::Synced);
        primary.append([task("a", 0)]).await.unwrap();
        let (mut frames, reader) = (Vec::new(), primary.reader());
        let visit = |entry: taskledger_models::event::Entry| {
            frames.push(taskledger_models::codec::encode(&entry).unwrap());
            ControlFlow::Continue(())
        };
        reader.scan(Seq::FIRST, reader.head().seq().unwrap(), visit).unwrap();
        let standby = ledger(Durability::Synced);
        standby.pretend_role(Role::Standby);
        let close = thread::spawn({
            let standby = standby.clone();
            move || standby.close_blocking()
        });
        let answer = standby.ingest(frames, Some(reader.head())).await;
        close.join().unwrap().unwrap();
        match answer {
            Ok(head) => assert_eq!(head, standby.reader().head()),
            Err(error) => {
                assert!(matches!(error, AppendError::Halted), "{error}");
                assert_eq!(standby.reader().head().size, 0);
            }
        }
    });
}

/// A follower reads on threads of its own, and is given each event once and in order, until the
/// ledger is closed under it.
#[test]
fn a_follower_against_appends_and_a_close() {
    explore(|| async {
        let ledger = ledger(Durability::Synced);
        let mut follow = ledger.follow(Head::EMPTY).unwrap();
        let following = start(async move {
            let mut seen = Vec::new();
            while let Ok(Some(given)) = follow.next().await {
                if let Followed::Event(entry) = given {
                    seen.push(entry.event.seq.get());
                }
            }
            seen
        });
        let answers = waiting(&ledger, "task").await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        let close = thread::spawn({
            let ledger = ledger.clone();
            move || ledger.close_blocking()
        });
        let seen = following.await.unwrap();
        close.join().unwrap().unwrap();
        let (all, head) = (1.., ledger.reader().head());
        assert!(seen.iter().copied().eq(all.take(seen.len())), "{seen:?}");
        assert!(seen.len() <= usize::try_from(head.size.get()).unwrap());
    });
}

/// Reads at once on fewer threads than there are: each is answered, and no thread is left.
#[test]
fn reads_against_one_another() {
    explore(|| async {
        let clock = Arc::new(ManualClock::at(Millis(1)));
        let options = Options::default().clock(clock).reads_at_once_max(2);
        let reader = Ledger::in_memory(options).unwrap().reader();
        let asked = (0..4).map(|number| {
            let reader = reader.clone();
            start(async move { reader.run(move |_| Ok::<_, ReadError>(number)).await })
        });
        for (number, answer) in asked.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(answer.await.unwrap().unwrap(), number);
        }
    });
}
