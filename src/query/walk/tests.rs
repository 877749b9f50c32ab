use super::*;
use crate::{
    event::CancelScope,
    query::testing::{Log, task, thread},
};

/// Thread `t` has events 1, 3, 4, 6; its task `a` has 1, 4, 6; thread `u` has 2, 5.
fn log() -> Log {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    log.spawn("u", "x", None);
    log.spawn("t", "b", None);
    log.message("a", "hello");
    log.finish("x");
    log.finish("a");
    log
}

fn numbers(log: &Log, scope: Scope<'_>, size: u64) -> Result<Vec<u64>, QueryError> {
    let mut numbers = Vec::new();
    newest_first(log, &log.state_now(), scope, size, |entry| -> Flow {
        numbers.push(entry.event.seq.get());
        Ok(ControlFlow::Continue(()))
    })?;
    let mut ascending = Vec::new();
    oldest_first(
        log,
        &log.state_now(),
        scope,
        size,
        |_| true,
        |entry| -> Flow {
            ascending.push(entry.event.seq.get());
            Ok(ControlFlow::Continue(()))
        },
    )?;
    ascending.reverse();
    assert_eq!(numbers, ascending);
    Ok(numbers)
}

#[track_caller]
fn damaged(log: &Log, scope: Scope<'_>, at: u64) {
    match numbers(log, scope, 6) {
        Err(QueryError::Damaged { seq, .. }) => assert_eq!(seq.get(), at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_walk_meets_its_own_events_and_no_others() {
    let log = log();
    let (t, u, a) = (thread("t"), thread("u"), task("a"));
    assert_eq!(numbers(&log, Scope::Thread(&t), 6).unwrap(), [6, 4, 3, 1]);
    assert_eq!(numbers(&log, Scope::Thread(&u), 6).unwrap(), [5, 2]);
    assert_eq!(numbers(&log, Scope::Task(&a), 6).unwrap(), [6, 4, 1]);
    assert_eq!(numbers(&log, Scope::Task(&a), 5).unwrap(), [4, 1]);
    assert_eq!(numbers(&log, Scope::Thread(&u), 1).unwrap(), [0; 0]);
    assert_eq!(numbers(&log, Scope::All, 6).unwrap(), [6, 5, 4, 3, 2, 1]);
    assert_eq!(numbers(&log, Scope::All, 0).unwrap(), [0; 0]);
}

#[test]
fn a_walk_reads_its_own_events_and_no_others() {
    let log = log();
    let a = task("a");
    newest_first(&log, &log.state_now(), Scope::Task(&a), 6, |_| -> Flow {
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(log.reads(), 3);
}

#[test]
fn a_walk_ends_where_it_is_told_to() {
    let log = log();
    let t = thread("t");
    let mut met = 0;
    newest_first(&log, &log.state_now(), Scope::Thread(&t), 6, |_| -> Flow {
        met += 1;
        Ok(if met == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .unwrap();
    assert_eq!((met, log.reads()), (2, 2));
}

#[test]
fn a_log_longer_than_a_window_is_visited_from_its_end() {
    let mut log = Log::new();
    let events = 3 * WINDOW_EVENTS_MAX + 3;
    for _ in 0..events {
        log.began();
    }
    let expected: Vec<u64> = (1..=events).rev().collect();
    assert_eq!(numbers(&log, Scope::All, events).unwrap(), expected);
}

#[test]
fn a_link_that_does_not_lead_down_is_damage_and_not_a_loop() {
    let t = thread("t");
    for to in [4, 5, 6, 9] {
        let mut log = log();
        log.forge(4, |event| event.prev_in_thread = Seq::new(to));
        damaged(&log, Scope::Thread(&t), 4);
    }
}

#[test]
fn a_link_into_another_thread_or_task_is_damage() {
    let (t, a) = (thread("t"), task("a"));
    let mut other_thread = log();
    other_thread.forge(4, |event| event.prev_in_thread = Seq::new(2));
    damaged(&other_thread, Scope::Thread(&t), 2);
    let mut other_task = log();
    other_task.forge(4, |event| event.prev_in_task = Seq::new(3));
    damaged(&other_task, Scope::Task(&a), 3);
}

#[test]
fn an_event_with_another_number_is_damage() {
    let mut log = log();
    log.forge(4, |event| event.seq = Seq::new(3).unwrap());
    damaged(&log, Scope::Thread(&thread("t")), 4);
}

#[test]
fn a_link_that_leaves_events_out_is_damage() {
    let t = thread("t");
    let mut skips = log();
    skips.forge(6, |event| event.prev_in_thread = Seq::new(3));
    damaged(&skips, Scope::Thread(&t), 1);
    let mut ends = log();
    ends.forge(4, |event| event.prev_in_thread = None);
    damaged(&ends, Scope::Thread(&t), 4);
}

#[test]
fn what_is_too_much_to_keep_is_read_again() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    let content = "x".repeat(1 << 20);
    for _ in 0..40 {
        log.message("a", &content);
    }
    let expected: Vec<u64> = (1..=41).rev().collect();
    assert_eq!(numbers(&log, Scope::Thread(&thread("t")), 41).unwrap(), expected);
    let read_again = log.reads() - 2 * 41;
    assert!((1..41).contains(&read_again), "{read_again} events were read again");
}

/// Four tasks of thread `t`, one after the other, with 50 events each, and one of the thread alone.
fn shared_out() -> Log {
    let mut log = Log::new();
    for id in ["a", "b", "c", "d"] {
        log.spawn("t", id, None);
        for _ in 0..49 {
            log.message(id, "hello");
        }
    }
    log.cancel(CancelScope::Thread, "t");
    log
}

fn numbers_on(cores: usize, log: &Log) -> Result<Vec<u64>, QueryError> {
    let (t, state) = (thread("t"), log.state_now());
    let mut numbers = Vec::new();
    oldest_first_on(
        cores,
        log,
        &state,
        (Scope::Thread(&t), 150),
        |_| true,
        |entry| -> Flow {
            numbers.push(entry.event.seq.get());
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(numbers)
}

#[test]
fn several_cores_read_each_event_once_and_visit_what_one_does() {
    for cores in 1..=4 {
        let log = shared_out();
        assert_eq!(numbers_on(cores, &log).unwrap(), (1..=150).collect::<Vec<_>>());
        assert_eq!((log.reads(), log.readers()), (201, cores), "{cores} cores");
    }
}

#[test]
fn what_is_wrong_is_found_on_several_cores_as_on_one() {
    let forge: [&dyn Fn(&mut Log); 4] = [
        &|log| log.forge(120, |event| event.prev_in_thread = Seq::new(130)),
        &|log| log.forge(120, |event| event.prev_in_thread = Seq::new(118)),
        &|log| log.forge(60, |event| event.thread = Some(thread("u"))),
        &|log| log.forge(60, |event| event.seq = Seq::new(61).unwrap()),
    ];
    for forge in forge {
        let found = [1, 2, 4].map(|cores| {
            let mut log = shared_out();
            forge(&mut log);
            match numbers_on(cores, &log) {
                Err(QueryError::Damaged { seq, detail }) => (seq, detail),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0], found[2]);
    }
}

#[test]
fn a_scope_that_never_was_is_an_error() {
    let unknown = numbers(&log(), Scope::Thread(&thread("x")), 6);
    assert!(matches!(unknown, Err(QueryError::UnknownThread { .. })));
    let unknown = numbers(&log(), Scope::Task(&task("t")), 6);
    assert!(matches!(unknown, Err(QueryError::UnknownTask { .. })));
}
