use super::*;
use crate::{
    event::{CancelScope, PartKind, PartSet, TaskStatus},
    query::testing::{Log, run, task, thread},
    state::{Task, TextBody},
};
use std::sync::Arc;

/// Two threads, a reparenting, a cancel request in one thread that binds the other.
fn log() -> Log {
    let mut log = Log::new();
    log.at(10).began();
    log.at(20).in_run(Some("run-1")).spawn("t", "a", None);
    log.at(30).in_run(Some("run-2")).spawn("u", "x", Some("a"));
    log.at(40).in_run(None).spawn("t", "b", Some("a"));
    log.at(50).fail("b", "broken");
    log.at(60).message("x", "hello");
    log.at(70).rename("a", "first", "does more");
    log.at(80).spawn("t", "c", Some("a"));
    log.at(90).reparent("c", None);
    log.at(100).cancel(CancelScope::Tree, "a");
    log.at(110).cancel(CancelScope::Run(run("run-2")), "");
    log.at(120).finish("a");
    log.at(130).finish("x");
    log
}

/// The facts about a thread, apart from other threads in the state.
fn told(state: &LedgerState, id: &ThreadId) -> String {
    let tasks: Vec<_> = state
        .tasks_in(id)
        .map(|t| {
            let texts = (&t.description, &t.error, &t.result);
            (&t.id, &t.record, t.status, texts, t.completed, t.first_seq, t.last_seq)
        })
        .collect();
    let thread =
        state.thread(id).map(|t| (t.counts, t.tasks, t.events, t.first, t.last, t.last_seq));
    format!("{tasks:?} {thread:?}")
}

#[test]
fn a_thread_as_of_any_position_is_that_thread_in_the_fold_of_the_prefix() {
    let log = log();
    for size in 0..=13 {
        let prefix = log.state_at(Size::new(size)).unwrap();
        for id in [thread("t"), thread("u")] {
            let view = as_of(&log, Scope::Thread(&id), Position::Log(Size::new(size))).unwrap();
            assert_eq!(told(&view.state, &id), told(&prefix, &id), "{id} as of {size}");
            assert_eq!((view.size.get(), view.time), (size, prefix.recorded()));
        }
        let all = as_of(&log, Scope::All, Position::Log(Size::new(size))).unwrap();
        assert_eq!(all.state, prefix);
        assert_eq!((all.size.get(), all.time), (size, prefix.recorded()));
    }
}

#[test]
fn a_task_as_of_any_position_is_that_task_in_the_fold_of_the_prefix() {
    let log = log();
    for size in 0..=13 {
        let prefix = log.state_at(Size::new(size)).unwrap();
        for id in ["a", "b", "c", "x"] {
            let view = as_of(&log, Scope::Task(&task(id)), Position::Log(Size::new(size))).unwrap();
            let told = |state: &LedgerState| {
                state.task(&task(id)).map(|t| (t.record.clone(), t.status, t.last_seq, t.events))
            };
            assert_eq!(told(&view.state), told(&prefix), "{id} as of {size}");
        }
    }
}

#[test]
fn the_head_costs_no_reads_and_the_past_its_own_events() {
    let log = log();
    as_of(&log, Scope::Thread(&thread("u")), Position::Log(Size::new(13))).unwrap();
    assert_eq!(log.reads(), 0);
    as_of(&log, Scope::Thread(&thread("u")), Position::Log(Size::new(12))).unwrap();
    let (own, for_its_time) = (3, 1);
    assert_eq!(log.reads(), own + for_its_time);
}

#[test]
fn requests_of_other_threads_count_if_they_are_not_later() {
    let log = log();
    for size in 3..=13 {
        let prefix = log.state_at(Size::new(size)).unwrap();
        let view =
            as_of(&log, Scope::Thread(&thread("u")), Position::Log(Size::new(size))).unwrap();
        assert_eq!(view.tree_mark(&task("a")), prefix.tree_mark(&task("a")), "as of {size}");
        for id in ["run-1", "run-2", " run-2 "] {
            assert_eq!(view.run_mark(&run(id)), prefix.run_mark(&run(id)), "{id} as of {size}");
        }
    }
    let by_time = |at| as_of(&log, Scope::Thread(&thread("u")), Position::Occurred(Millis(at)));
    assert_eq!(by_time(100).unwrap().tree_mark(&task("a")), Seq::new(10));
    assert_eq!(by_time(99).unwrap().tree_mark(&task("a")), None);
    assert_eq!(by_time(110).unwrap().run_mark(&run("run-2")), Seq::new(11));
    assert_eq!(by_time(109).unwrap().run_mark(&run("run-2")), None);
}

/// The marks that bind the tasks of a thread or a task are those that the view of the whole ledger
/// has for them and for the ancestors that they had then.
#[track_caller]
fn check_marks(log: &Log, scope: Scope<'_>, position: Position) {
    let part = as_of(log, scope, position).unwrap();
    let all = as_of(log, Scope::All, position).unwrap();
    let in_scope = |task: &&Arc<Task>| match scope {
        Scope::All => true,
        Scope::Thread(id) => task.thread == *id,
        Scope::Task(id) => task.id == *id,
    };
    for task in all.state.tasks().filter(in_scope) {
        for above in std::iter::once(task).chain(all.state.ancestors(&task.id)) {
            let id = &above.id;
            assert_eq!(part.tree_mark(id), all.tree_mark(id), "{id} by {position:?}");
            if let Some(run) = &above.record.run {
                assert_eq!(part.run_mark(run), all.run_mark(run), "{run} by {position:?}");
            }
        }
    }
}

/// A task two levels below `former`, whose tree and run are cancelled, until its parent moves to
/// `later`, for which the same is asked then.
fn moved() -> Log {
    let mut log = Log::new();
    log.at(10).in_run(Some("run-later")).spawn("s", "later", None);
    log.at(20).in_run(Some("run-top")).spawn("s", "top", None);
    log.at(30).in_run(Some(" run-former ")).spawn("s", "former", Some("top"));
    log.at(40).in_run(None).spawn("t", "parent", Some("former"));
    log.at(50).spawn("u", "x", Some("parent"));
    log.at(60).cancel(CancelScope::Tree, "former");
    log.at(70).cancel(CancelScope::Run(run("run-former")), "");
    log.at(80).cancel(CancelScope::Run(run("run-top")), "");
    log.at(90).reparent("parent", Some("later"));
    log.at(100).cancel(CancelScope::Tree, "later");
    log.at(110).cancel(CancelScope::Run(run("run-later")), "");
    log.at(120).cancel(CancelScope::Tree, "former");
    log.at(130).finish("x");
    log
}

#[test]
fn requests_bind_through_the_ancestors_of_then_at_a_log_position() {
    let log = moved();
    let (x, parent, u) = (task("x"), task("parent"), thread("u"));
    for size in 0..=13 {
        check_marks(&log, Scope::Task(&x), Position::Log(Size::new(size)));
        check_marks(&log, Scope::Task(&parent), Position::Log(Size::new(size)));
        check_marks(&log, Scope::Thread(&u), Position::Log(Size::new(size)));
    }
    let view = as_of(&log, Scope::Task(&x), Position::Log(Size::new(8))).unwrap();
    assert_eq!(view.tree_mark(&task("former")), Seq::new(6));
    assert_eq!(view.run_mark(&run("run-former")), Seq::new(7));
    assert_eq!(view.run_mark(&run(" run-top")), Seq::new(8));
    assert_eq!(view.tree_mark(&task("later")), None);
    let view = as_of(&log, Scope::Task(&x), Position::Log(Size::new(12))).unwrap();
    assert_eq!(view.tree_mark(&task("later")), Seq::new(10));
    assert_eq!(view.run_mark(&run("run-later")), Seq::new(11));
}

#[test]
fn requests_bind_through_the_ancestors_of_then_by_a_time_of_occurrence() {
    let log = moved();
    let (x, parent, u) = (task("x"), task("parent"), thread("u"));
    let seen = |at: u64| as_of(&log, Scope::Task(&x), Position::Occurred(Millis(at))).unwrap();
    for at in (9..=139).step_by(10) {
        check_marks(&log, Scope::Task(&x), Position::Occurred(Millis(at)));
        check_marks(&log, Scope::Task(&parent), Position::Occurred(Millis(at)));
        check_marks(&log, Scope::Thread(&u), Position::Occurred(Millis(at)));
    }
    assert_eq!(seen(60).tree_mark(&task("former")), Seq::new(6));
    assert_eq!(seen(80).run_mark(&run("run-former")), Seq::new(7));
    assert_eq!(seen(80).run_mark(&run("run-top")), Seq::new(8));
    assert_eq!(seen(110).tree_mark(&task("later")), Seq::new(10));
}

/// The parent moves before it is recorded that it was elsewhere, it starts after what it spawned,
/// and of two requests the one that was recorded later occurred earlier.
#[test]
fn requests_in_another_order_than_they_occurred_bind_from_their_time_on() {
    let mut log = Log::new();
    log.at(1_000).in_run(Some("run-1")).occurring(100).spawn("s", "top", None);
    log.occurring(300).spawn("s", "parent", None);
    log.in_run(None).occurring(200).spawn("u", "x", Some("parent"));
    log.occurring(250).cancel(CancelScope::Tree, "parent");
    log.occurring(500).cancel(CancelScope::Tree, "top");
    log.occurring(400).cancel(CancelScope::Tree, "top");
    log.occurring(600).cancel(CancelScope::Run(run("run-1")), "");
    log.occurring(450).cancel(CancelScope::Run(run(" run-1")), "");
    log.occurring(350).reparent("parent", Some("top"));
    log.occurring(550).reparent("parent", None);
    let x = task("x");
    for at in (150..=650).step_by(50) {
        check_marks(&log, Scope::Task(&x), Position::Occurred(Millis(at)));
    }
    let seen = |at: u64| as_of(&log, Scope::Task(&x), Position::Occurred(Millis(at))).unwrap();
    assert_eq!(seen(250).tree_mark(&task("parent")), None, "it has not been spawned");
    assert_eq!(seen(300).tree_mark(&task("parent")), Seq::new(4));
    assert_eq!(seen(450).tree_mark(&task("top")), Seq::new(6), "the other had not occurred");
    assert_eq!(seen(500).tree_mark(&task("top")), Seq::new(5), "the first in the log");
    assert_eq!(seen(450).run_mark(&run("run-1")), Seq::new(8), "the other had not occurred");
    assert_eq!(seen(600).run_mark(&run("run-1")), Seq::new(7), "the first in the log");
}

#[test]
fn an_ancestor_is_read_again_only_if_something_was_said_about_it_since_and_once() {
    let mut log = moved();
    for id in ["y", "z"] {
        log.spawn("u", id, Some("parent"));
    }
    log.message("top", "hello").message("parent", "hello");
    let u = thread("u");
    let own = 4;
    let reads = |position: Position| {
        let before = log.reads();
        as_of(&log, Scope::Thread(&u), position).unwrap();
        log.reads() - before
    };
    let (for_its_time, top, former, parent) = (1, 2, 3, 3);
    assert_eq!(reads(Position::Log(Size::new(16))), own + for_its_time + parent);
    assert_eq!(reads(Position::Log(Size::new(8))), own + for_its_time + parent + former + top);
    let (first_tree, first_run) = (1, 1);
    assert_eq!(reads(Position::Occurred(Millis(130))), own + first_tree + first_run);
}

#[test]
fn requests_are_told_of_ancestors_that_go_in_circles() {
    let mut log = Log::new();
    log.at(10).spawn("t", "a", None);
    log.at(20).spawn("t", "b", Some("a"));
    log.at(30).spawn("u", "c", Some("b"));
    log.at(40).cancel(CancelScope::Tree, "a");
    log.at(50).forge_parent("a", Some("b"));
    log.at(60).message("c", "hello");
    let u = thread("u");
    for size in 0..=6 {
        check_marks(&log, Scope::Thread(&u), Position::Log(Size::new(size)));
        check_marks(&log, Scope::Thread(&u), Position::Occurred(Millis(10 * size)));
    }
    let view = as_of(&log, Scope::Thread(&u), Position::Log(Size::new(5))).unwrap();
    assert_eq!(view.tree_mark(&task("a")), Seq::new(4));
}

#[test]
fn a_later_event_changes_no_view() {
    let mut log = log();
    let position = Position::Log(Size::new(8));
    let before = as_of(&log, Scope::Thread(&thread("t")), position).unwrap();
    log.fail("c", "late");
    log.spawn("t", "d", None);
    assert_eq!(as_of(&log, Scope::Thread(&thread("t")), position).unwrap(), before);
}

/// A recording whose events stand in another order than they occurred.
fn shuffled() -> Log {
    let mut log = Log::new();
    log.at(1_000).occurring(100).spawn("t", "a", None);
    log.occurring(300).spawn("t", "late", None);
    log.occurring(150).fail("late", "ended before it began");
    log.occurring(200).finish("a");
    log.occurring(50).spawn("u", "early", None);
    log.occurring(120).rename("early", "renamed", "x");
    log
}

#[test]
fn by_a_time_of_occurrence_what_had_happened_counts_in_the_order_of_the_log() {
    let log = shuffled();
    let seen = |at: u64, scope: Scope<'_>| {
        let view = as_of(&log, scope, Position::Occurred(Millis(at))).unwrap();
        assert_eq!((view.size.get(), view.time), (6, Millis(at)));
        let tell = |t: &Arc<Task>| format!("{} {}", t.id, t.status.as_str());
        view.state.tasks().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(seen(49, Scope::All), [""; 0]);
    assert_eq!(seen(50, Scope::All), ["early running"]);
    assert_eq!(seen(100, Scope::All), ["a running", "early running"]);
    assert_eq!(seen(200, Scope::All), ["a completed", "early running"]);
    assert_eq!(seen(300, Scope::All), ["a completed", "late failed", "early running"]);
    let (t, u) = (thread("t"), thread("u"));
    assert_eq!(seen(200, Scope::Thread(&t)), ["a completed"]);
    assert_eq!(seen(199, Scope::Thread(&t)), ["a running"]);
    assert_eq!(seen(100, Scope::Thread(&u)), ["early running"]);
    assert_eq!(seen(299, Scope::Task(&task("late"))), [""; 0]);
    assert_eq!(seen(300, Scope::Task(&task("late"))), ["late failed"]);
}

#[test]
fn an_update_does_not_stand_in_for_a_spawn_that_had_not_occurred() {
    let mut log = Log::new();
    log.at(1_000).occurring(300).spawn("t", "a", None);
    log.occurring(100).rename("a", "named", "early");
    for scope in [Scope::All, Scope::Thread(&thread("t")), Scope::Task(&task("a"))] {
        let view = as_of(&log, scope, Position::Occurred(Millis(200))).unwrap();
        assert_eq!(view.state.tasks_len(), 0, "{scope:?}");
    }
}

#[test]
fn a_redacted_text_is_missing_from_every_view_of_the_past() {
    let mut log = log();
    log.redact(5, PartSet::default().with(PartKind::Error));
    for (scope, position) in [
        (Scope::All, Position::Log(Size::new(6))),
        (Scope::Thread(&thread("t")), Position::Log(Size::new(6))),
        (Scope::Task(&task("b")), Position::Occurred(Millis(60))),
    ] {
        let view = as_of(&log, scope, position).unwrap();
        let held = view.state.task(&task("b")).unwrap();
        assert_eq!(held.status, TaskStatus::Failed);
        assert_eq!(held.error.as_ref().unwrap().body, TextBody::Erased, "{scope:?}");
    }
}

#[test]
fn what_the_ledger_does_not_hold_is_an_error_of_its_own() {
    let log = log();
    let past = as_of(&log, Scope::All, Position::Log(Size::new(14)));
    assert!(matches!(past, Err(QueryError::PastHead { size: 14, head: 13 })));
    for position in
        [Position::Log(Size::new(13)), Position::Log(Size::new(1)), Position::Occurred(Millis(9))]
    {
        let unknown = as_of(&log, Scope::Thread(&thread("x")), position);
        assert!(matches!(unknown, Err(QueryError::UnknownThread { .. })));
        let unknown = as_of(&log, Scope::Task(&task("t")), position);
        assert!(matches!(unknown, Err(QueryError::UnknownTask { .. })));
    }
}
