//! The same key twice: is it the same command?

use super::*;
use crate::state::same_command;

/// Says whether `asked` is recognised in the event that `recorded` became.
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

/// Commands that differ from `recorded` in one thing.
fn other_than(recorded: &Command) -> Vec<Command> {
    match recorded.clone() {
        Command::Finish(end) => vec![
            Command::Finish(Finish { task: task_id("t2"), ..end.clone() }),
            Command::Finish(Finish { outcome: Outcome::Cancelled, ..end.clone() }),
            Command::Finish(Finish { error: Some("bang".into()), ..end.clone() }),
            Command::Finish(Finish { result: Some("1".into()), ..end.clone() }),
            Command::Finish(Finish { completed: Some(Millis(8)), ..end }),
        ],
        Command::Restore(back) => vec![
            Command::Restore(Restore { spawn: back.spawn.clone().named("other"), ..back.clone() }),
            Command::Restore(Restore { spawn: back.spawn.clone().about("other"), ..back.clone() }),
            Command::Restore(Restore { status: TaskStatus::Cancelled, ..back.clone() }),
            Command::Restore(Restore { error: Some("boom".into()), ..back.clone() }),
            Command::Restore(Restore { result: Some("1".into()), ..back.clone() }),
            Command::Restore(Restore { completed: Some(Millis(8)), ..back }),
        ],
        Command::Orphan { task, error: _ } => {
            vec![orphaned("t2"), Command::Orphan { task, error: "gone for another reason".into() }]
        }
        Command::Cancel(cancel) => vec![
            Command::Cancel(Cancel { scope: CancelScope::Tree, ..cancel.clone() }),
            Command::Cancel(Cancel { task: Some(task_id("t2")), ..cancel.clone() }),
            Command::Cancel(Cancel { thread: Some(thread_id("main")), ..cancel.clone() }),
            Command::Cancel(Cancel { deadline: Some(Millis(8)), ..cancel.clone() }),
            Command::Cancel(Cancel { reason: Some("another".into()), ..cancel }),
        ],
        Command::Message { task, from, content, delivery } => {
            let message = |task: &TaskId, from: &str, content: &str, delivery| Command::Message {
                task: task.clone(),
                from: from.into(),
                content: content.into(),
                delivery,
            };
            vec![
                message(&task_id("t2"), &from, &content, delivery),
                message(&task, "another", &content, delivery),
                message(&task, &from, "other", delivery),
                message(&task, &from, &content, Delivery::InboxFull),
            ]
        }
        Command::Emit { task, event_type, content } => vec![
            Command::Emit {
                task: task_id("t2"),
                event_type: event_type.clone(),
                content: content.clone(),
            },
            Command::Emit { task: task.clone(), event_type: "other".into(), content },
            Command::Emit { task, event_type, content: "[]".into() },
        ],
        Command::Redact { seq: at, about, parts, reason } => vec![
            Command::Redact { seq: seq(2), about: about.clone(), parts, reason: reason.clone() },
            Command::Redact { seq: at, about: about.clone(), parts: PartSet::ALL, reason },
            Command::Redact { seq: at, about, parts, reason: "another".into() },
        ],
        Command::Update(change) => vec![
            Command::Update(Update { task: task_id("t2"), ..change.clone() }),
            Command::Update(Update { name: Some(Some("other".into())), ..change.clone() }),
            Command::Update(Update { parent: Some(None), ..change.clone() }),
            Command::Update(Update { description: Some("other".into()), ..change }),
        ],
        Command::Spawn(_) => Vec::new(), // see above
    }
}

#[test]
fn a_difference_in_any_field_of_what_follows_a_spawn_is_another_command_too() {
    let changed = Update {
        name: Some(Some("x".into())),
        parent: Some(Some(ParentRef { ledger: None, id: task_id("t2") })),
        description: Some("y".into()),
        ..update("t1")
    };
    let of_another_scope = |command: &Command| matches!(command, Command::Cancel(cancel) if cancel.scope != CancelScope::Task);
    let one_thing = |command: &Command| matches!(command, Command::Update(_));
    let recorded = every_command().into_iter().filter(|c| !of_another_scope(c) && !one_thing(c));
    let recorded = recorded.chain([Command::Update(changed)]);
    for recorded in recorded {
        assert!(same(&before(), &recorded, &recorded), "{recorded:?}");
        for asked in other_than(&recorded) {
            assert!(!same(&before(), &recorded, &asked), "{recorded:?} {asked:?}");
        }
    }
}

#[test]
fn a_parent_of_another_ledger_is_another_parent() {
    let under = |ledger: u8, id: &str| {
        let parent = ParentRef { ledger: Some(LedgerId([ledger; 16])), id: task_id(id) };
        Spawn { parent: Some(parent), ..task("x") }.spawned()
    };
    assert!(same(&before(), &under(9, "far"), &under(9, "far")));
    assert!(!same(&before(), &under(9, "far"), &under(8, "far")));
    assert!(!same(&before(), &under(9, "far"), &under(9, "near")));
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
