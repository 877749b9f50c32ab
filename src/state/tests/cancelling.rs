//! Requests to stop, and what they forbid from then on.

use super::*;
use crate::ids::RunId;

fn parent_cancelled(id: &str) -> Rejection {
    Rejection::ParentCancelled { task: task_id(id) }
}

fn run_is_cancelled(run: &str) -> Rejection {
    Rejection::ParentRunCancelled { run: RunId::new(run).unwrap() }
}

#[test]
fn a_request_ends_nothing() {
    let history = given([spawned("t1"), cancelled("t1"), tree_cancelled("t1"), cancelled("t1")]);
    let task = history.task("t1");
    assert_eq!(task.status, TaskStatus::Running);
    assert_eq!((task.cancel_seq, task.tree_cancel_seq), (Some(seq(2)), Some(seq(3))));
    assert_eq!((task.last_seq, task.events), (seq(4), 4));
    assert_eq!(task.last_activity, Millis(1_000), "others asked; the task did nothing");
    history.and(completed("t1"));
}

#[test]
fn an_unknown_thread_cannot_be_cancelled() {
    let unknown = Rejection::UnknownThread { thread: thread_id("other") };
    given([spawned("t1")]).when(thread_cancelled("other")).then_rejected(&unknown);
}

#[test]
fn nothing_managed_starts_in_a_cancelled_tree() {
    let history = given([
        spawned("root"),
        task("child").under("root").spawned(),
        tree_cancelled("root"),
        completed("root"),
    ]);
    let managed = |parent| task("new").under(parent).managed().spawned();
    history.clone().when(managed("root")).then_rejected(&parent_cancelled("root"));
    history.clone().when(managed("child")).then_rejected(&parent_cancelled("root"));
    history.clone().and(task("new").under("child").spawned());
    history.and(task("new").managed().spawned());
}

#[test]
fn the_tree_below_a_finished_task_can_be_cancelled() {
    let history = given([
        spawned("root"),
        task("child").under("root").spawned(),
        completed("root"),
        tree_cancelled("root"),
    ]);
    assert_eq!(history.state.tree_mark(&task_id("root")), Some(seq(4)));
    history
        .when(task("new").under("child").managed().spawned())
        .then_rejected(&parent_cancelled("root"));
}

#[test]
fn nothing_managed_moves_into_a_cancelled_tree() {
    let history = given([
        spawned("root"),
        tree_cancelled("root"),
        task("t").managed().spawned(),
        spawned("x"),
    ]);
    history.clone().when(moved("t", "root")).then_rejected(&parent_cancelled("root"));
    history.and(moved("x", "root"));
}

#[test]
fn a_task_and_a_thread_are_only_signalled() {
    let history = given([spawned("t1"), cancelled("t1"), thread_cancelled("main")]);
    assert_eq!(history.state.tree_mark(&task_id("t1")), None);
    let thread = history.state.thread(&thread_id("main")).unwrap();
    assert_eq!((thread.events, thread.last_seq), (3, seq(3)));
    assert_eq!(history.task("t1").last_seq, seq(2));
    history.and(task("t2").under("t1").managed().spawned());
}

#[test]
fn nothing_managed_is_started_by_a_cancelled_run() {
    let history = given([task("root").by_run("r1").managed().spawned(), run_cancelled("r1")]);
    let by = |run| task("new").by_run(run).managed();
    history.clone().when(by("r1").spawned()).then_rejected(&run_is_cancelled("r1"));
    history
        .clone()
        .when(by("r1").spawned())
        .then_says("parent run 'r1' has already been cancelled");
    history.clone().when(by(" r1 ").spawned()).then_rejected(&run_is_cancelled(" r1 "));
    history.clone().and(by("r2").spawned());
    history.clone().and(task("new").by_run("r1").spawned());
    // The tasks of a cancelled run stay cancelled, even if another run works there now.
    let below = by("r2").under("root").spawned();
    history.when(below).then_rejected(&run_is_cancelled("r1"));
}

#[test]
fn spaces_around_a_run_do_not_count() {
    let history = given([run_cancelled(" r1\u{a0}"), task("t1").by_run(" r1").spawned()]);
    assert_eq!(history.state.run_mark(&run_id("r1")), Some(seq(1)));
    assert_eq!(history.state.run_mark(&run_id("r1  ")), Some(seq(1)));
    assert_eq!(ids(history.state.tasks_of_run(&run_id("r1 "))), ["t1"]);
    assert_eq!(history.task("t1").record.run, Some(run_id(" r1")), "recorded as it was given");
    assert_eq!(given([run_cancelled("  ")]).state.run_mark(&run_id("  ")), Some(seq(1)));
}

#[test]
fn the_first_request_is_the_mark() {
    let history =
        given([spawned("t1"), run_cancelled("r1"), run_cancelled("r1"), tree_cancelled("t1")]);
    let history = history.and(tree_cancelled("t1"));
    assert_eq!(history.state.run_mark(&run_id("r1")), Some(seq(2)));
    assert_eq!(history.state.tree_mark(&task_id("t1")), Some(seq(4)));
}

#[test]
fn a_request_for_a_task_that_has_ended_is_on_the_record_and_changes_no_status() {
    let history = given([spawned("t1"), completed("t1"), cancelled("t1")]);
    let task = history.task("t1");
    assert_eq!((task.status, task.terminal_seq), (TaskStatus::Completed, Some(seq(2))));
    assert_eq!((task.cancel_seq, task.last_seq, task.events), (Some(seq(3)), seq(3), 3));
    assert_eq!(history.state.request_to_stop(&task_id("t1")), Some(seq(3)));
    let unknown = Rejection::UnknownTask { task: task_id("t2") };
    history.when(cancelled("t2")).then_rejected(&unknown);
}

#[test]
fn a_request_covers_what_ran_when_it_was_made() {
    let history = given([
        task("root").by_run("r1").managed().spawned(),
        task("child").under("root").by_run("r2").managed().spawned(),
        task("done").under("child").spawned(),
        completed("done"),
        tree_cancelled("root"),
        task("late").under("child").spawned(),
        thread_cancelled("main"),
        run_cancelled("r1"),
    ]);
    let covers = |id| history.state.request_to_stop(&task_id(id)).map(Seq::get);
    assert_eq!((covers("root"), covers("child"), covers("done")), (Some(5), Some(5), None));
    assert_eq!((covers("late"), covers("nobody")), (Some(7), None));
    let of_run = given([
        task("root").by_run("r1").spawned(),
        task("child").under("root").spawned(),
        run_cancelled(" r1"),
        cancelled("child"),
    ]);
    let covers = |id| of_run.state.request_to_stop(&task_id(id)).map(Seq::get);
    assert_eq!((covers("root"), covers("child")), (Some(3), Some(3)));
    assert_eq!(of_run.state.thread_request(&thread_id("main"), seq(1)), None);
}

#[test]
fn a_run_whose_tasks_have_parents_elsewhere_is_cancelled_with_all_below() {
    let history = given([
        task("root").under("elsewhere").by_run("r1").managed().spawned(),
        run_cancelled("r1"),
    ]);
    let below = task("new").under("root").by_run("r2").managed().spawned();
    history.when(below).then_rejected(&run_is_cancelled("r1"));
}
