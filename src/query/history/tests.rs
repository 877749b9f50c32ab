use super::*;
use crate::{
    event::ActionKind,
    ids::Size,
    query::testing::{Log, task, thread},
};

/// `t`: 2 a, 4 message a, 5 b, 7 end a; `u`: 3 x, 6 end x. Events occur at ten times their number.
fn log() -> Log {
    let mut log = Log::new();
    log.at(10).began();
    log.at(20).spawn("t", "a", None);
    log.at(30).spawn("u", "x", None);
    log.at(40).message("a", "hello");
    log.at(50).spawn("t", "b", Some("a"));
    log.at(60).finish("x");
    log.at(70).finish("a");
    log
}

fn shown(wanted: &History<'_>) -> Result<Vec<u64>, QueryError> {
    let mut numbers = Vec::new();
    history(&log(), wanted, |entry| {
        numbers.push(entry.event.seq.get());
        ControlFlow::Continue(())
    })?;
    Ok(numbers)
}

/// The events that each of the four ways shows.
#[track_caller]
fn check(scope: Scope<'_>, filter: &EventFilter, upto: Position, expected: &[u64]) {
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [None, Some(0), Some(1), Some(2), Some(99)] {
            let kept = limit.unwrap_or(usize::MAX).min(expected.len());
            let mut newest: Vec<u64> = expected[expected.len() - kept..].to_vec();
            if order == Order::NewestFirst {
                newest.reverse();
            }
            let filter = filter.clone();
            let wanted = History { scope, upto: Some(upto), filter, limit, order };
            assert_eq!(shown(&wanted).unwrap(), newest, "{wanted:?}");
        }
    }
}

#[test]
fn a_history_has_the_events_of_its_scope_up_to_the_position() {
    let (t, a) = (thread("t"), task("a"));
    let any = EventFilter::default();
    check(Scope::All, &any, Position::Log(Size::new(7)), &[1, 2, 3, 4, 5, 6, 7]);
    check(Scope::All, &any, Position::Log(Size::new(3)), &[1, 2, 3]);
    check(Scope::All, &any, Position::Log(Size::EMPTY), &[]);
    check(Scope::Thread(&t), &any, Position::Log(Size::new(7)), &[2, 4, 5, 7]);
    check(Scope::Thread(&t), &any, Position::Log(Size::new(6)), &[2, 4, 5]);
    check(Scope::Thread(&t), &any, Position::Log(Size::new(1)), &[]);
    check(Scope::Task(&a), &any, Position::Log(Size::new(7)), &[2, 4, 7]);
    check(Scope::Task(&a), &any, Position::Occurred(Millis(69)), &[2, 4]);
    check(Scope::All, &any, Position::Occurred(Millis(30)), &[1, 2, 3]);
}

#[test]
fn a_filter_lets_through_what_it_names() {
    let t = thread("t");
    let of_task = EventFilter { task: Some(task("a")), ..EventFilter::default() };
    check(Scope::All, &of_task, Position::Log(Size::new(7)), &[2, 4, 7]);
    check(Scope::Thread(&t), &of_task, Position::Log(Size::new(5)), &[2, 4]);
    let elsewhere = EventFilter { task: Some(task("x")), ..EventFilter::default() };
    check(Scope::Thread(&t), &elsewhere, Position::Log(Size::new(7)), &[]);
    check(Scope::Task(&task("a")), &elsewhere, Position::Log(Size::new(7)), &[]);
    let actions = vec![ActionKind::Upserted, ActionKind::Messaged];
    let named = EventFilter { actions, ..EventFilter::default() };
    check(Scope::All, &named, Position::Log(Size::new(7)), &[2, 3, 4, 5]);
    check(Scope::Thread(&t), &named, Position::Log(Size::new(7)), &[2, 4, 5]);
    let (since, until) = (Some(Millis(40)), Some(Millis(60)));
    let between = EventFilter { since, until, ..EventFilter::default() };
    check(Scope::All, &between, Position::Log(Size::new(7)), &[4, 5, 6]);
    check(Scope::Thread(&t), &between, Position::Log(Size::new(7)), &[4, 5]);
}

#[test]
fn by_a_time_of_occurrence_events_without_their_spawn_are_left_out() {
    let mut log = Log::new();
    log.at(1_000).occurring(300).spawn("t", "late", None);
    log.occurring(100).finish("late");
    log.occurring(100).spawn("t", "a", None);
    let t = thread("t");
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [None, Some(1)] {
            for scope in [Scope::All, Scope::Thread(&t)] {
                let upto = Some(Position::Occurred(Millis(200)));
                let mut seen = Vec::new();
                let wanted = History { scope, upto, limit, order, ..History::default() };
                history(&log, &wanted, |entry| {
                    seen.push(entry.event.seq.get());
                    ControlFlow::Continue(())
                })
                .unwrap();
                assert_eq!(seen, [3], "{wanted:?}");
            }
        }
    }
}

#[test]
fn the_newest_events_are_shown_without_reading_the_others() {
    let log = log();
    let t = thread("t");
    let (scope, order) = (Scope::Thread(&t), Order::NewestFirst);
    let wanted = History { scope, order, limit: Some(2), ..History::default() };
    history(&log, &wanted, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(log.reads(), 2);
}

#[test]
fn a_visitor_can_stop() {
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [None, Some(3)] {
            let mut met = 0;
            history(&log(), &History { limit, order, ..History::default() }, |_| {
                met += 1;
                ControlFlow::Break(())
            })
            .unwrap();
            assert_eq!(met, 1);
        }
    }
}

#[test]
fn whole_histories_come_oldest_first() {
    let of_thread = history_of_thread(&log(), &thread("u"), Position::Log(Size::new(7))).unwrap();
    let numbers =
        |entries: Vec<Entry>| entries.iter().map(|e| e.event.seq.get()).collect::<Vec<_>>();
    assert_eq!(numbers(of_thread), [3, 6]);
    let of_task = history_of_task(&log(), &task("a"), Position::Log(Size::new(4))).unwrap();
    assert_eq!(numbers(of_task), [2, 4]);
}

#[test]
fn what_the_ledger_does_not_hold_is_an_error_of_its_own() {
    let missing = thread("missing");
    let unknown = shown(&History { scope: Scope::Thread(&missing), ..History::default() });
    assert!(matches!(unknown, Err(QueryError::UnknownThread { .. })));
    let filter = EventFilter { task: Some(task("y")), ..EventFilter::default() };
    let unknown = shown(&History { filter, ..History::default() });
    assert!(matches!(unknown, Err(QueryError::UnknownTask { .. })));
    let past = shown(&History { upto: Some(Position::Log(Size::new(8))), ..History::default() });
    assert!(matches!(past, Err(QueryError::PastHead { size: 8, head: 7 })));
}
