//! Appending: numbers, links, batches, keys, expectations, limits.

use crate::support::*;
use std::{sync::Arc, time::Duration};
use taskledger::{
    Ledger,
    audit::verify_reader,
    command::{
        Batch, Cancel, Command, Emit, Expect, Finish, Message, Proposal, Spawn, Spawned, Update,
    },
    event::{Action, Began, Outcome, Parent, TaskStatus},
    ids::{Key, Root, Seq},
    ledger::{AppendError, Durability},
    state::Rejection,
    time::{Clock, ManualClock, Millis},
};

#[test]
fn an_empty_ledger_has_the_root_of_nothing_and_reading_it_appends_nothing() {
    let ledger = ledger();
    assert_eq!(ledger.reader().head().size, 0);
    assert_eq!(ledger.reader().head().root, Root::EMPTY);
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), 0);
    assert_eq!(entries(&ledger), []);
}

#[test]
fn the_first_group_begins_with_who_writes_and_why() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let entries = entries(&ledger);
    let Action::Began { why, incarnation, .. } = &entries[0].event.action else {
        panic!("{:?}", entries[0]);
    };
    assert_eq!((why, *incarnation), (&Began::Created, 1));
    assert_eq!(entries[0].event.seq, Seq::FIRST);
    assert_eq!(entries[1].event.epoch.number, 1);
}

#[test]
fn events_are_numbered_densely_and_linked_to_those_before_them() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), spawn("b"), finish("a"), finish("b")]);
    let entries = entries(&ledger);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.event.seq.get()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let links = |index: usize| {
        let event = &entries[index].event;
        (event.prev_in_task.map(Seq::get), event.prev_in_thread.map(Seq::get))
    };
    assert_eq!(links(1), (None, None));
    assert_eq!(links(2), (None, Some(2)));
    assert_eq!(links(3), (Some(2), Some(3)));
    assert_eq!(links(4), (Some(3), Some(4)));
}

#[test]
fn a_batch_is_all_or_nothing() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let error = refused(&ledger, [spawn("b"), finish("a"), finish("a")]);
    assert!(matches!(error, AppendError::Rejected(_)), "{error}");
    assert!(ledger.reader().state().unwrap().task(&task("b")).is_none());
    assert_eq!(append(&ledger, [finish("a")]), [Seq::new(3).unwrap()]);
}

#[test]
fn a_refused_first_append_does_not_even_say_that_somebody_began() {
    let ledger = ledger();
    refused(&ledger, [finish("nobody")]);
    assert_eq!(entries(&ledger), []);
}

#[test]
fn assigned_ids_count_from_zero_and_a_refused_spawn_takes_none() {
    let ledger = ledger();
    let unnamed = || Command::Spawn(Spawn::new(thread("main"), "shell")).into();
    let id = |receipts: Vec<taskledger::ledger::Receipt>| receipts[0].task.clone().unwrap();
    assert_eq!(id(ledger.append_blocking([unnamed()]).unwrap()).as_str(), "bg_0");
    refused(&ledger, [unnamed(), finish("nobody")]);
    assert_eq!(id(ledger.append_blocking([unnamed()]).unwrap()).as_str(), "bg_1");
}

#[test]
fn the_same_key_with_the_same_command_is_one_event() {
    let ledger = ledger();
    let first = ledger.append_blocking([keyed(spawn("a"), 1)]).unwrap();
    let again = ledger.append_blocking([keyed(spawn("a"), 1)]).unwrap();
    assert_eq!((first[0].seq, first[0].repeated), (Seq::new(2).unwrap(), false));
    assert_eq!((again[0].seq, again[0].repeated), (Seq::new(2).unwrap(), true));
    assert!(again[0].durable);
    assert_eq!(ledger.reader().head().size, 2);
}

#[test]
fn a_key_within_its_own_batch_is_known_as_well() {
    let ledger = ledger();
    let receipts = ledger.append_blocking([keyed(spawn("a"), 1), keyed(spawn("a"), 1)]).unwrap();
    assert_eq!(receipts[0].seq, receipts[1].seq);
    assert!(receipts[1].repeated);
}

#[test]
fn the_same_key_with_another_command_is_refused() {
    let ledger = ledger();
    append(&ledger, [keyed(spawn("a"), 1)]);
    let error = refused(&ledger, [keyed(spawn("b"), 1)]);
    assert!(matches!(error, AppendError::KeyReused { seq } if seq.get() == 2), "{error}");
}

#[test]
fn an_append_that_has_not_seen_everything_is_a_conflict() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    let mut late = finish("a");
    late.expect = Some(Expect::Task(task("a"), None));
    let error = refused(&ledger, [late.clone()]);
    let AppendError::Conflict { expected, actual } = error else { panic!("{error}") };
    assert_eq!((expected, actual), (None, Seq::new(2)));
    late.expect = Some(Expect::Task(task("a"), Seq::new(2)));
    append(&ledger, [late]);
}

#[test]
fn the_first_end_of_a_task_wins() {
    let ledger = ledger();
    append(&ledger, [spawn("a"), finish("a")]);
    let error = refused(&ledger, [finish_with("a", Outcome::Failed, Some("late"))]);
    assert!(matches!(error, AppendError::Rejected(_)), "{error}");
    let state = ledger.reader().state().unwrap();
    assert_eq!(state.task(&task("a")).unwrap().status, TaskStatus::Completed);
}

#[test]
fn time_never_runs_backwards_in_the_log() {
    let clock = Arc::new(ManualClock::at(Millis(5_000)));
    let ledger = Ledger::in_memory(options().clock(clock.clone())).unwrap();
    append(&ledger, [spawn("a")]);
    clock.set(Millis(1_000));
    append(&ledger, [spawn("b")]);
    let last = entries(&ledger).pop().unwrap().event;
    assert_eq!(last.recorded, Millis(5_000));
    assert_eq!(clock.now(), Millis(1_000));
}

#[test]
fn a_text_over_its_limit_is_refused_and_at_its_limit_is_kept() {
    let ledger = Ledger::in_memory(options().part_bytes_max(100)).unwrap();
    append(&ledger, [spawn("a"), spawn("b")]);
    let long = "x".repeat(101);
    let error = refused(&ledger, [finish_with("a", Outcome::Failed, Some(&long))]);
    assert!(matches!(error, AppendError::TooLarge { len: 101, max: 100, .. }), "{error}");
    append(&ledger, [finish_with("a", Outcome::Failed, Some(&long[1..]))]);
}

#[test]
fn a_batch_over_its_limits_is_refused_whole() {
    let limits = options().batch_events_max(3).batch_bytes_max(1_000);
    let ledger = Ledger::in_memory(limits).unwrap();
    append(&ledger, [spawn("a"), spawn("b"), spawn("c")]);
    let four = ["d", "e", "f", "g"].map(spawn);
    assert!(matches!(refused(&ledger, four), AppendError::TooLarge { len: 4, max: 3, .. }));
    let long = "x".repeat(600);
    let two = ["a", "b"].map(|id| finish_with(id, Outcome::Failed, Some(&long)));
    assert!(matches!(refused(&ledger, two), AppendError::TooLarge { max: 1_000, .. }));
}

#[test]
fn an_interval_ledger_says_what_is_durable() {
    let interval = Durability::Interval(Duration::from_hours(1));
    let ledger = Ledger::in_memory(options().durability(interval)).unwrap();
    let receipts = ledger.append_blocking([spawn("a")]).unwrap();
    assert!(!receipts[0].durable);
    assert_eq!(ledger.reader().synced().size, 0);
    assert_eq!(ledger.sync_blocking().unwrap(), ledger.reader().head());
    assert_eq!(ledger.reader().synced(), ledger.reader().head());
}

#[test]
fn a_closed_ledger_takes_no_more_appends() {
    let ledger = ledger();
    append(&ledger, [spawn("a")]);
    ledger.close_blocking().unwrap();
    assert!(matches!(ledger.append_blocking([spawn("b")]), Err(AppendError::Halted)));
    assert_eq!(ledger.reader().state().unwrap().tasks_len(), 1, "what was read stays readable");
}

/// One running task of a name in a thread, however many ask at once: the check and the append are
/// one step under the one writer.
#[test]
fn of_many_racing_spawns_of_one_id_exactly_one_wins() {
    let ledger = ledger();
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ledger.append_blocking([spawn("a")]).is_ok())).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    let error = refused(&ledger, [spawn("a")]);
    assert!(matches!(error, AppendError::Rejected(Rejection::TaskExists { .. })), "{error}");
}

#[tokio::test]
async fn appends_from_async_code_are_grouped_and_each_is_answered() {
    let ledger = ledger();
    let appends = (0..100).map(|n| {
        let ledger = ledger.clone();
        async move { ledger.append([spawn(&format!("t{n}"))]).await.unwrap()[0].seq }
    });
    let mut numbers = Vec::new();
    for append in appends.map(tokio::task::spawn).collect::<Vec<_>>() {
        numbers.push(append.await.unwrap().get());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=101).collect::<Vec<_>>());
}

/// F7: a ledger that is closed from several threads at once is closed, for each of them.
#[test]
fn a_ledger_may_be_closed_several_times_at_once() {
    for round in 0..100 {
        let ledger = ledger();
        ledger.append_blocking([spawn("a")]).unwrap();
        let closes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| ledger.close_blocking())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(closes.iter().all(Result::is_ok), "round {round}: {closes:?}");
        ledger.close_blocking().unwrap();
    }
}

#[test]
fn a_later_proposal_of_a_batch_names_what_an_earlier_one_spawns() {
    let ledger = ledger();
    append(&ledger, Spawn::new(thread("main"), "shell"));
    let mut batch = Batch::new();
    let agent = batch.spawn(Spawn::new(thread("main"), "sub_agent"));
    let tool = batch.spawn(Spawn::new(thread("main"), "tool").parent(agent));
    let other = batch.spawn(Spawn::new(thread("main"), "tool").task(task("other")));
    batch.add(Message::new(tool, "main", "go"));
    batch.add(Emit::new(tool, "progress", "1"));
    batch.add(Update::new(other).parent(tool));
    batch.add(Cancel::tree(agent).reason("enough"));
    batch.add(Finish::cancelled(tool));
    let receipts = ledger.append_blocking(batch).unwrap();
    let tasks = ["bg_1", "bg_2", "other", "bg_2", "bg_2", "other", "bg_1", "bg_2"];
    let answered: Vec<_> = receipts.iter().map(|receipt| receipt.task.as_ref().unwrap()).collect();
    assert_eq!(answered, tasks);
    let state = ledger.reader().state().unwrap();
    let parent = |id: &str| state.task(&task(id)).unwrap().record.parent.clone();
    assert_eq!(parent("bg_2"), Some(Parent::Local(task("bg_1"))));
    assert_eq!(parent("other"), Some(Parent::Local(task("bg_2"))));
    assert_eq!(verify_reader(&ledger.reader()).findings, []);
}

#[test]
fn a_batch_names_only_what_it_has_spawned_by_then() {
    let ledger = ledger();
    let spawn = || Proposal::new(Spawn::new(thread("main"), "shell"));
    let finish = |index| Proposal::new(Finish::completed(Spawned::at(index)));
    append(&ledger, [spawn(), finish(0)]);
    // Itself, what comes later, what does not come, and what spawns nothing.
    for (batch, index) in [
        (vec![finish(0)], 0),
        (vec![spawn(), finish(1)], 1),
        (vec![spawn(), finish(2), spawn()], 2),
        (vec![spawn(), finish(7)], 7),
        (vec![spawn(), finish(0), spawn(), finish(1)], 1),
    ] {
        let error = refused(&ledger, batch);
        assert!(
            matches!(&error, AppendError::Rejected(Rejection::NotSpawned { index: at }) if *at == index),
            "{error}"
        );
    }
}

#[test]
fn a_batch_that_is_asked_for_again_names_the_task_of_the_first_time() {
    let ledger = ledger();
    let mut batch = Batch::new();
    batch.add(Proposal::new(Spawn::new(thread("main"), "shell")).key(Key::of("spawn")));
    batch.add(Proposal::new(Finish::completed(Spawned::at(0))).key(Key::of("finish")));
    let first = ledger.append_blocking(batch.clone()).unwrap();
    let again = ledger.append_blocking(batch).unwrap();
    assert!(again.iter().all(|receipt| receipt.repeated));
    assert_eq!(again[1].task, first[0].task);
    assert_eq!(ledger.reader().head().size, 3, "began, spawned, ended");
}
