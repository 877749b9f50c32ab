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
    let finish = Finish::failed(task_id("t1"), "boom").completed_at(Millis(7));
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
        redacted(1, &[PartKind::Description]),
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
    for other in [
        spawn.clone().task(task_id("other")),
        spawn.clone().on("other"),
        Spawn { task_type: "other".into(), ..spawn.clone() },
        spawn.clone().named("other"),
        spawn.clone().about("e"),
        spawn.clone().about(""),
        spawn.clone().under("t2"),
        Spawn { parent: None, ..spawn.clone() },
        spawn.clone().by_run("s"),
        spawn.clone().call(CallId::new("c").unwrap()),
        spawn.clone().agent(AgentId::new("a").unwrap()),
        spawn.clone().created_at(Millis(1)),
        spawn.clone().managed(),
    ] {
        let (recorded, asked) = (spawn.clone().spawned(), other.spawned());
        assert!(!same(&before(), &recorded, &asked), "{asked:?}");
    }
    let (recorded, asked) = (failed("t1", "boom"), failed("t1", "bang"));
    assert!(!same(&before(), &recorded, &asked));
    assert!(!same(&before(), &messaged("t1", "hi"), &messaged("t1", "ho")));
    assert!(!same(&before(), &described("t1", "other"), &renamed("t1", "x")));
    let two = redacted(1, &[PartKind::Description, PartKind::Error]);
    assert!(!same(&before(), &redacted(1, &[PartKind::Description]), &two));
}

/// Commands that differ from `recorded` in one thing.
fn other_than(recorded: &Command) -> Vec<Command> {
    match recorded.clone() {
        Command::Finish(end) => vec![
            Command::Finish(Finish { task: task_id("t2").into(), ..end.clone() }),
            Command::Finish(Finish { outcome: Outcome::Cancelled, ..end.clone() }),
            Command::Finish(end.clone().error("bang")),
            Command::Finish(end.clone().result("1")),
            Command::Finish(end.completed_at(Millis(8))),
        ],
        Command::Restore(back) => vec![
            Command::Restore(Restore { spawn: back.spawn.clone().named("other"), ..back.clone() }),
            Command::Restore(Restore { spawn: back.spawn.clone().about("other"), ..back.clone() }),
            Command::Restore(Restore { status: TaskStatus::Cancelled, ..back.clone() }),
            Command::Restore(back.clone().error("boom")),
            Command::Restore(back.clone().result("1")),
            Command::Restore(back.completed_at(Millis(8))),
        ],
        Command::Orphan(orphan) => {
            vec![orphaned("t2"), Orphan::new(orphan.task, "gone for another reason").into()]
        }
        Command::Cancel(cancel) => vec![
            tree_cancelled("t1"),
            cancelled("t2"),
            thread_cancelled("main"),
            Command::Cancel(cancel.clone().deadline(Millis(8))),
            Command::Cancel(cancel.reason("another")),
        ],
        Command::Message(told) => vec![
            Command::Message(Message { task: task_id("t2").into(), ..told.clone() }),
            Command::Message(Message { from: "another".into(), ..told.clone() }),
            Command::Message(Message { content: "other".into(), ..told.clone() }),
            Command::Message(told.delivery(Delivery::InboxFull)),
        ],
        Command::Emit(told) => vec![
            Command::Emit(Emit { task: task_id("t2").into(), ..told.clone() }),
            Command::Emit(Emit { event_type: "other".into(), ..told.clone() }),
            Command::Emit(Emit { content: "[]".into(), ..told }),
        ],
        Command::Redact(asked) => vec![
            Command::Redact(Redact { seq: seq(2), ..asked.clone() }),
            Command::Redact(Redact { parts: PartSet::ALL, ..asked.clone() }),
            Command::Redact(Redact { reason: "another".into(), ..asked }),
        ],
        Command::Update(change) => vec![
            Command::Update(Update { task: task_id("t2").into(), ..change.clone() }),
            Command::Update(change.clone().name("other")),
            Command::Update(change.clone().without_parent()),
            Command::Update(change.description("other")),
        ],
        Command::Spawn(_) => Vec::new(), // see above
    }
}

#[test]
fn a_difference_in_any_field_of_what_follows_a_spawn_is_another_command_too() {
    let changed = update("t1").name("x").parent(task_id("t2")).description("y");
    let of_another_scope = |command: &Command| {
        let Command::Cancel(cancel) = command else { return false };
        !matches!(cancel.target, CancelTarget::Task(_))
    };
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
        let parent = ParentRef::InLedger { ledger: LedgerId([ledger; 16]), id: task_id(id) };
        task("x").parent(parent).spawned()
    };
    assert!(same(&before(), &under(9, "far"), &under(9, "far")));
    assert!(!same(&before(), &under(9, "far"), &under(8, "far")));
    assert!(!same(&before(), &under(9, "far"), &under(9, "near")));
}

#[test]
fn what_was_left_open_may_be_anything() {
    let open = Spawn { task: None, ..task("x") }.spawned();
    assert!(same(&before(), &open, &open), "the id was assigned, the time the clock's");
    let parent = Some(ParentRef::InLedger { ledger: LedgerId([9; 16]), id: task_id("t1") });
    let foreign = Spawn { parent, ..task("x") }.spawned();
    assert!(same(&before(), &foreign, &foreign));
    assert!(same(&before(), &completed("t1"), &completed("t1")));
}

#[test]
fn who_asks_and_when_is_not_the_command() {
    let history = given([spawned("t1")]);
    let cause = crate::event::Cause { task: Some(task_id("x")), ..Default::default() };
    let other = Proposal::new(spawned("t1")).occurred_at(Millis(5)).cause(cause);
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
