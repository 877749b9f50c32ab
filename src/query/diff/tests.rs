use super::*;
use crate::{
    event::{CancelScope, Outcome},
    ids::Size,
    query::{
        Source,
        testing::{Log, thread},
    },
};

fn log() -> Log {
    let mut log = Log::new();
    log.began();
    log.at(10).spawn("t", "a", None);
    log.at(20).spawn("u", "x", Some("a"));
    log.at(30).spawn("t", "b", Some("a"));
    log.at(40).rename("a", "first", "does more");
    log.at(50).fail("b", "broken");
    log.at(60).spawn("t", "c", Some("a"));
    log.at(70).spawn("t", "d", Some("c"));
    log.at(80).reparent("d", Some("a"));
    log.at(90).cancel(CancelScope::Tree, "a");
    log.at(100).end("c", Outcome::Cancelled, Some("stopped"), None);
    log.at(110).message("a", "hello");
    log.at(120).end("a", Outcome::Completed, None, Some(r#"{"n":1}"#));
    log.at(130).finish("x");
    log
}

/// The visible fields of a task.
type Seen = (TaskStatus, Option<Parent>, Vec<Option<Value>>);

fn seen(task: &Task) -> Seen {
    let fields = Field::ALL.into_iter().map(|field| field.of(task)).collect();
    (task.status, task.record.parent.clone(), fields)
}

fn all_seen(state: &LedgerState) -> BTreeMap<TaskId, Seen> {
    state.tasks().map(|task| (task.id.clone(), seen(task))).collect()
}

/// Does to `tasks` what the changes say.
fn apply(diff: &Diff, tasks: &mut BTreeMap<TaskId, Seen>) {
    for change in &diff.changes {
        match change.clone() {
            Change::Spawned { task } => {
                let mut new = seen(&task);
                new.0 = TaskStatus::Running;
                assert_eq!(tasks.insert(task.id.clone(), new), None);
            }
            Change::Vanished { task } => {
                assert_eq!(tasks.remove(&task.id), Some(seen(&task)));
            }
            Change::Ended { task, from, to } => {
                let status = &mut tasks.get_mut(&task).unwrap().0;
                assert_eq!(std::mem::replace(status, to), from);
            }
            Change::Reparented { task, from, to } => {
                let parent = &mut tasks.get_mut(&task).unwrap().1;
                assert_eq!(std::mem::replace(parent, to), from);
            }
            Change::Changed { task, field, from, to } => {
                let place = Field::ALL.iter().position(|f| *f == field).unwrap();
                let value = &mut tasks.get_mut(&task).unwrap().2[place];
                assert_eq!(std::mem::replace(value, to), from);
            }
        }
    }
}

#[test]
fn the_changes_done_to_one_state_give_the_other_forwards_and_back() {
    let log = log();
    for from in 0..=14 {
        for to in 0..=14 {
            let (a, b) =
                (log.state_at(Size::new(from)).unwrap(), log.state_at(Size::new(to)).unwrap());
            let mut tasks = all_seen(&a);
            apply(&diff(&a, &b, None), &mut tasks);
            assert_eq!(tasks, all_seen(&b), "from {from} to {to}");
        }
    }
}

fn told(diff: &Diff) -> Vec<String> {
    let tell = |change: &Change| match change {
        Change::Spawned { task } => format!("spawned {}", task.id),
        Change::Vanished { task } => format!("vanished {}", task.id),
        Change::Ended { task, from, to } => {
            format!("ended {task} {} {}", from.as_str(), to.as_str())
        }
        Change::Reparented { task, from, to } => {
            let id = |p: &Option<Parent>| p.as_ref().map_or("-".into(), |p| p.id().to_string());
            format!("reparented {task} {} {}", id(from), id(to))
        }
        Change::Changed { task, field, .. } => format!("changed {task} {}", field.as_str()),
    };
    diff.changes.iter().map(tell).collect()
}

#[test]
fn changes_are_told_by_the_creation_of_the_tasks() {
    let log = log();
    let (a, b) = (log.state_at(Size::new(4)).unwrap(), log.state_at(Size::new(13)).unwrap());
    let changes = diff(&a, &b, Some(&thread("t")));
    assert_eq!(
        told(&changes),
        [
            "ended a running completed",
            "changed a name",
            "changed a description",
            "changed a result",
            "changed a completed_at_ms",
            "changed a cancel_requested",
            "ended b running failed",
            "changed b error",
            "changed b completed_at_ms",
            "spawned c",
            "ended c running cancelled",
            "spawned d",
        ]
    );
    let stat = DiffStat { spawned: 2, vanished: 0, ended: 3, reparented: 0, changed: 7 };
    assert_eq!(changes.stat(), stat);
    let moved =
        diff(&log.state_at(Size::new(8)).unwrap(), &log.state_at(Size::new(9)).unwrap(), None);
    assert_eq!(told(&moved), ["reparented d c a"]);
    let back =
        diff(&log.state_at(Size::new(7)).unwrap(), &log.state_at(Size::new(5)).unwrap(), None);
    assert_eq!(told(&back)[0], "ended b failed running");
    assert_eq!(told(&back).last().unwrap(), "vanished c");
}

#[test]
fn what_other_threads_do_and_what_only_counts_is_no_change() {
    let log = log();
    let at = |size| log.state_at(size).unwrap();
    assert_eq!(diff(&at(Size::new(13)), &at(Size::new(14)), Some(&thread("t"))), Diff::default());
    assert_eq!(diff(&at(Size::new(11)), &at(Size::new(12)), None), Diff::default());
    assert_eq!(diff(&at(Size::new(14)), &at(Size::new(14)), None), Diff::default());
}

#[test]
fn a_text_that_reads_the_same_has_not_changed() {
    let mut log = Log::new();
    log.spawn("t", "a", None);
    let before = log.state_now();
    log.rename("a", "named", "what a is for");
    assert_eq!(told(&diff(&before, &log.state_now(), None)), ["changed a name"]);
}
