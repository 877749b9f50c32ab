//! Many at once on one ledger on disk: who appends, who reads and who follows.
//!
//! What comes first is told by order, never by time: a clock that stops the writer, a poll that
//! must not be ready yet, an append from within a read. Start reading at the first test.

use crate::{disk::*, support::*};
use std::{
    ops::ControlFlow,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread::scope,
};
use taskledger::{
    Ledger, Options,
    audit::verify_reader,
    command::{Command, Proposal, Spawn},
    event::{Action, Entry, Host, Outcome},
    ids::{Head, Seq, Size},
    ledger::{AppendError, Followed, Receipt},
    state::Rejection,
};

/// Threads that append, and as many async tasks.
const WRITERS: usize = 3;
/// Batches of each.
const BATCHES: usize = 15;

fn on_disk(options: Options) -> (tempfile::TempDir, Ledger) {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, options).unwrap();
    (temporary, ledger)
}

/// A task from its spawn to its end, in one batch.
fn life(id: &str) -> [Proposal; 2] {
    let text = format!("{id} could not: {}", "x".repeat(700));
    [spawn(id), finish_with(id, Outcome::Failed, Some(&text))]
}

/// What readers see while others append: always a whole number of batches, never an older state.
fn watch(ledger: &Ledger, done: &AtomicBool) {
    let (reader, mut before) = (ledger.reader(), 0);
    while !done.load(Ordering::SeqCst) {
        let state = reader.state().unwrap();
        assert!(state.size() >= before, "a reader went back in time");
        assert_eq!(state.counts().running, 0, "a reader saw half a batch");
        if let Some(last) = Seq::new(state.size().get()) {
            assert_eq!(reader.entry(last).unwrap().event.seq, last, "what is shown can be read");
            assert_eq!(reader.state_at(Size::new(before)).unwrap().size(), before);
        }
        before = state.size().get();
    }
}

/// Everything that a follower is given until the ledger is closed.
async fn follow(ledger: Ledger) -> Vec<u64> {
    let mut follow = ledger.follow(Head::EMPTY).unwrap();
    drop(ledger);
    let mut given = Vec::new();
    while let Some(next) = follow.next().await.unwrap() {
        if let Followed::Event(entry) = next {
            given.push(entry.event.seq.get());
        }
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_append_read_and_follow_at_once() {
    let (_temporary, ledger) = on_disk(small());
    let done = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = (0..2).map(|_| tokio::task::spawn(follow(ledger.clone()))).collect();
    let watcher = {
        let (ledger, done) = (ledger.clone(), Arc::clone(&done));
        tokio::task::spawn_blocking(move || watch(&ledger, &done))
    };
    let threads = (0..WRITERS).map(|n| {
        let ledger = ledger.clone();
        let append = move |k| ledger.append_blocking(life(&format!("thread-{n}-{k}"))).unwrap();
        tokio::task::spawn_blocking(move || (0..BATCHES).map(append).collect::<Vec<_>>())
    });
    let tasks = (0..WRITERS).map(|n| {
        let ledger = ledger.clone();
        tokio::task::spawn(async move {
            let mut receipts = Vec::new();
            for k in 0..BATCHES {
                receipts.push(ledger.append(life(&format!("task-{n}-{k}"))).await.unwrap());
            }
            receipts
        })
    });
    let mut receipts = Vec::new();
    for writer in threads.chain(tasks).collect::<Vec<_>>() {
        receipts.extend(writer.await.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    watcher.await.unwrap();

    let (reader, closing) = (ledger.reader(), ledger.clone());
    assert_everything_is_there(&ledger, &receipts);
    assert!(verify_reader(&reader).is_ok());
    tokio::task::spawn_blocking(move || closing.close_blocking()).await.unwrap().unwrap();
    let all: Vec<_> = (1..=reader.head().size.get()).collect();
    for follower in followers {
        assert_eq!(follower.await.unwrap(), all, "no gap, no repeat");
    }
}

/// Each batch in one piece, where its receipts say, and nothing else.
fn assert_everything_is_there(ledger: &Ledger, receipts: &[Vec<Receipt>]) {
    let mut expected: Vec<_> = receipts
        .iter()
        .map(|batch| {
            let [spawned, finished] = &batch[..] else { panic!("{batch:?}") };
            assert_eq!(spawned.seq.next(), Some(finished.seq), "a batch is in one piece");
            (spawned.seq, spawned.task.clone().unwrap())
        })
        .collect();
    expected.sort();
    let spawned = |entry: &Entry| matches!(entry.event.action, Action::Upserted { .. });
    let found: Vec<_> = entries(ledger)
        .into_iter()
        .filter(spawned)
        .map(|entry| (entry.event.seq, entry.event.task.unwrap()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(ledger.reader().head().size, u64::try_from(2 * receipts.len() + 1).unwrap());
}

#[test]
fn of_racing_ends_of_one_task_exactly_one_wins() {
    let (_temporary, ledger) = on_disk(small());
    for n in 0..10 {
        let id = format!("t{n}");
        append(&ledger, [spawn(&id)]);
        let outcomes = [Outcome::Completed, Outcome::Failed, Outcome::Cancelled];
        let answers = scope(|scope| {
            let racers: Vec<_> = (0..6)
                .map(|racer| {
                    let proposal = finish_with(&id, outcomes[racer % 3], None);
                    let ledger = &ledger;
                    scope.spawn(move || (racer, ledger.append_blocking([proposal])))
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(_, answer)| answer.is_ok());
        let [(winner, receipts)] = &won[..] else { panic!("{won:?}") };
        assert!(lost.iter().all(|(_, a)| matches!(a, Err(AppendError::Rejected(_)))), "{lost:?}");
        let state = ledger.reader().state().unwrap();
        let ended = state.task(&task(&id)).unwrap();
        assert_eq!(ended.status, outcomes[winner % 3].into(), "everybody sees the winner's");
        assert_eq!(ended.terminal_seq, Some(receipts.as_ref().unwrap()[0].seq));
    }
    assert!(verify_reader(&ledger.reader()).is_ok());
}

/// A task that a manager in this process runs, under a name.
fn named(ledger: &Ledger, id: &str, name: &str) -> Proposal {
    let host = Host::Managed { incarnation: ledger.incarnation(), manager: 0 };
    let spawn = Spawn::new(thread("main"), "agent").task(task(id)).name(name).host(host);
    Command::Spawn(spawn).into()
}

#[test]
fn of_racing_spawns_under_one_name_exactly_one_wins() {
    let (_temporary, ledger) = on_disk(small());
    for n in 0..10 {
        let answers = scope(|scope| {
            let racers: Vec<_> = (0..6)
                .map(|racer| {
                    let proposal = named(&ledger, &format!("t{n}-{racer}"), "builder");
                    let ledger = &ledger;
                    scope.spawn(move || ledger.append_blocking([proposal]))
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        let [Ok(receipts)] = &won[..] else { panic!("{won:?}") };
        let taken = |answer: &Result<_, _>| {
            matches!(answer, Err(AppendError::Rejected(Rejection::NameTaken { .. })))
        };
        assert!(lost.iter().all(taken), "{lost:?}");
        let winner = receipts[0].task.clone().unwrap();
        let state = ledger.reader().state().unwrap();
        assert_eq!(state.running_managed().count(), 1);
        assert_eq!(state.running_named(&thread("main"), "builder").unwrap().id, winner);
        append(&ledger, [finish(winner.as_str())]);
    }
}

#[test]
fn ids_that_are_assigned_at_once_are_all_different() {
    let (_temporary, ledger) = on_disk(small());
    let unnamed = || Spawn::new(thread("main"), "shell");
    let ids = Mutex::new(Vec::new());
    scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let receipts = ledger.append_blocking([unnamed(), unnamed()]).unwrap();
                    ids.lock().unwrap().extend(receipts.into_iter().map(|r| r.task.unwrap()));
                }
            });
        }
    });
    let mut ids: Vec<_> = ids.into_inner().unwrap().iter().map(ToString::to_string).collect();
    ids.sort_by_key(|id| (id.len(), id.clone()));
    assert_eq!(ids, (0..120).map(|n| format!("bg_{n}")).collect::<Vec<_>>());
}

/// Appends from within a scan, with a state, a cursor and a follower held: if an append waited
/// for any of them, this would never end.
#[test]
fn a_reader_that_does_not_go_on_delays_no_append() {
    let (_temporary, ledger) = on_disk(small());
    fill(&ledger, 0..50);
    let reader = ledger.reader();
    let (state, digest) = (reader.state().unwrap(), reader.state().unwrap().digest());
    let mut cursor = reader.cursor();
    cursor.entry(Seq::FIRST).unwrap();
    let mut follower = ledger.follow(Head::EMPTY).unwrap();
    assert!(matches!(follower.next_ready().unwrap(), Some(Followed::Event(_))));

    let mut visited = 0;
    let last = reader.head().seq().unwrap();
    let visit = |entry: Entry| {
        visited += 1;
        assert_eq!(entry.event.seq.get(), visited);
        if visited % 20 == 1 {
            let from = 50 + u32::try_from(visited).unwrap() * 100;
            fill(&ledger, from..from + 60);
            // Seals, archives and removes journals that the scan has yet to come past.
            ledger.flush_blocking().unwrap();
        }
        ControlFlow::Continue(())
    };
    reader.scan(Seq::FIRST, last, visit).unwrap();
    assert_eq!(visited, 101);

    let size = reader.head().size;
    assert_eq!(size, 101 + 6 * 120, "all of it was appended while the scan stood still");
    assert_eq!((state.size().get(), state.digest()), (101, digest), "a state that is held stays");
    assert_eq!(cursor.entry(last).unwrap().event.seq, last);
    for expected in 2..=size.get() {
        let Some(Followed::Event(entry)) = follower.next_ready().unwrap() else {
            panic!("{expected} is not given");
        };
        assert_eq!(entry.event.seq.get(), expected, "it reads the log, at its own pace");
    }
    assert!(matches!(follower.next_ready().unwrap(), Some(Followed::CaughtUp(_))));
}

#[tokio::test]
async fn a_full_queue_is_busy_and_loses_nothing() {
    let (gate, waiting, open) = Gate::new();
    let options = small().queue_requests_max(1).clock(gate);
    let (_temporary, ledger) = on_disk(options);
    let mut decided = pin!(ledger.append([spawn("decided")]));
    assert!(poll(decided.as_mut()).is_pending());
    waiting.recv().unwrap();
    // The writer has taken that one and is held; the next one is all that may wait.
    let mut queued = pin!(ledger.append([spawn("queued")]));
    assert!(poll(queued.as_mut()).is_pending());
    let mut refused = pin!(ledger.append([spawn("refused")]));
    let Poll::Ready(Err(error)) = poll(refused.as_mut()) else { panic!("it should be refused") };
    assert!(matches!(error, AppendError::Busy { max: 1 }), "{error}");
    assert!(error.is_retryable());

    drop(open);
    let seqs = [decided.await.unwrap()[0].seq, queued.await.unwrap()[0].seq];
    assert_eq!(seqs.map(Seq::get), [2, 3]);
    assert!(ledger.reader().state().unwrap().task(&task("refused")).is_none(), "it left no trace");
    let again = ledger.append([spawn("refused")]).await.unwrap();
    assert_eq!(again[0].seq.get(), 4, "and takes the next number when there is room");
}

#[test]
fn whoever_tries_again_when_it_is_busy_is_written_once() {
    let (_temporary, ledger) = on_disk(small().queue_requests_max(1));
    scope(|scope| {
        for writer in 0..6 {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in 0..10 {
                    let id = format!("t{writer}-{n}");
                    loop {
                        match ledger.append_blocking([spawn(&id)]) {
                            Ok(_) => break,
                            Err(AppendError::Busy { max: 1 }) => std::thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(ledger.reader().head().size, 61);
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), 60);
    assert!(verify_reader(&ledger.reader()).is_ok());
}

/// A caller that is gone has not undone what it asked for.
#[tokio::test]
async fn an_append_that_is_dropped_while_it_waits_is_written_all_the_same() {
    let (gate, waiting, open) = Gate::new();
    let (_temporary, ledger) = on_disk(small().clock(gate));
    let mut decided = pin!(ledger.append([spawn("decided")]));
    assert!(poll(decided.as_mut()).is_pending());
    waiting.recv().unwrap();
    {
        let mut dropped = pin!(ledger.append([spawn("dropped")]));
        assert!(poll(dropped.as_mut()).is_pending());
    }
    drop(open);
    decided.await.unwrap();
    ledger.append([finish("dropped")]).await.unwrap();
}
