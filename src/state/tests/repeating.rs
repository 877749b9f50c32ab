//! The same key twice: is it the same command?

use super::*;
use crate::state::same_command;

/// Whether `asked` is recognised in the event that `recorded` became.
#[track_caller]
fn same(before: &[Command], recorded: &Command, asked: &Command) -> bool {
    let history = given(before.iter().cloned()).and(recorded.clone());
    same_command(&asked.clone().into(), history.entries.last().unwrap())
}

fn every_command() -> Vec<Command> {
    let restore = task("r1").about("back").restored(TaskStatus::Failed);
    let finish = Finish {
        task: task_id("t1"),
        outcome: Outcome::Failed,
        error: Some("boom".into()),
        result: None,
        completed: Some(Millis(7)),
    };
    vec![
        task("new").named("n").about("new").under("t1").by_run("r").spawned(),
        renamed("t1", "x"),
        moved("t1", "t2"),
        described("t1", "other"),
        Command::Finish(finish),
        Command::Restore(restore),
        orphaned("t1"),
        cancelled("t1"),
        tree_cancelled("t1"),
        thread_cancelled("main"),
        run_cancelled("r"),
        messaged("t1", "hi"),
        emitted("t1", "progress"),
        redacted(1, "t1", &[PartKind::Description]),
    ]
}

fn before() -> [Command; 2] {
    [task("t1").managed().about("secret").spawned(), spawned("t2")]
}

#[test]
fn a_command_is_recognised_in_its_event_and_in_no_other() {
    for (number, recorded) in every_command().iter().enumerate() {
        for (other, asked) in every_command().iter().enumerate() {
            // A renaming and a change of parent each say nothing of what the other changes, but
            // the record after them differs.
            assert_eq!(same(&before(), recorded, asked), number == other, "{recorded:?} {asked:?}");
        }
    }
}

#[test]
fn a_difference_in_any_field_is_another_command() {
    let spawn = task("new").named("n").about("d").under("t1").by_run("r");
    let elsewhere = ParentRef { ledger: None, id: task_id("t2") };
    for other in [
        Spawn { task: Some(task_id("other")), ..spawn.clone() },
        spawn.clone().on("other"),
        Spawn { task_type: "other".into(), ..spawn.clone() },
        spawn.clone().named("other"),
        spawn.clone().about("e"),
        spawn.clone().about(""),
        Spawn { parent: Some(elsewhere), ..spawn.clone() },
        Spawn { parent: None, ..spawn.clone() },
        spawn.clone().by_run("s"),
        Spawn { call: Some("c".parse().unwrap()), ..spawn.clone() },
        Spawn { agent: Some("a".parse().unwrap()), ..spawn.clone() },
        Spawn { created: Some(Millis(1)), ..spawn.clone() },
        spawn.clone().managed(),
    ] {
        let (recorded, asked) = (spawn.clone().spawned(), other.spawned());
        assert!(!same(&before(), &recorded, &asked), "{asked:?}");
    }
    let (recorded, asked) = (failed("t1", "boom"), failed("t1", "bang"));
    assert!(!same(&before(), &recorded, &asked));
    assert!(!same(&before(), &messaged("t1", "hi"), &messaged("t1", "ho")));
    assert!(!same(&before(), &described("t1", "other"), &renamed("t1", "x")));
    let two = redacted(1, "t1", &[PartKind::Description, PartKind::Error]);
    assert!(!same(&before(), &redacted(1, "t1", &[PartKind::Description]), &two));
}

#[test]
fn what_was_left_open_may_be_anything() {
    let open = Spawn { task: None, ..task("x") }.spawned();
    assert!(same(&before(), &open, &open), "the id was assigned, the time the clock's");
    let parent = Some(ParentRef { ledger: Some(LedgerId([9; 16])), id: task_id("t1") });
    let foreign = Spawn { parent, ..task("x") }.spawned();
    assert!(same(&before(), &foreign, &foreign));
    assert!(same(&before(), &completed("t1"), &completed("t1")));
}

#[test]
fn who_asks_and_when_is_not_the_command() {
    let history = given([spawned("t1")]);
    let cause = crate::event::Cause { task: Some(task_id("x")), ..Default::default() };
    let other = Proposal { occurred: Some(Millis(5)), cause, ..spawned("t1").into() };
    assert!(same_command(&other, &history.entries[0]));
}

#[test]
fn an_erased_text_is_compared_by_length() {
    let history = given([task("t1").about("secret").spawned()]);
    let mut entry = history.entries[0].clone();
    entry.erase(PartSet::ALL);
    let asked = |text| same_command(&task("t1").about(text).spawned().into(), &entry);
    assert!(asked("secret"));
    assert!(asked("terces"), "nobody can tell any more");
    assert!(!asked("longer than that"));
    assert!(!asked(""));
}
