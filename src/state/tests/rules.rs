//! Commands about tasks that the rules refuse: ids, names, parents, ends, restores, redactions, limits.

use super::*;
use crate::{
    command::Expect,
    event::{
        PART_BYTES_MAX,
        Parent::{External, Local},
    },
    ids::{IdError, LedgerId},
    state::{DEPTH_MAX, NUMBER_END},
};

#[test]
fn an_id_is_given_once() {
    let rejection = Rejection::TaskExists { task: task_id("t1") };
    given([spawned("t1")]).when(spawned("t1")).then_rejected(&rejection);
    given([spawned("t1"), completed("t1")])
        .when(task("t1").on("other").spawned())
        .then_rejected(&rejection);
    let restored = task("t1").restored(TaskStatus::Failed);
    given([spawned("t1")]).when(Command::Restore(restored)).then_rejected(&rejection);
}

#[test]
fn ids_are_numbered_from_zero_over_all_threads() {
    let unnamed = |thread| Command::Spawn(Spawn::new(thread_id(thread), "sub_agent"));
    let history = given([unnamed("main"), unnamed("other")]);
    assert_eq!(ids(history.state.tasks()), ["bg_0", "bg_1"]);

    let history = given([spawned("bg_41"), spawned("toolu_99"), spawned("bg_7")]);
    assert_eq!(history.state.next_number(), 42);
    assert_eq!(history.and(unnamed("main")).task("bg_42").first_seq, seq(4));
}

#[test]
fn a_restored_number_is_not_given_again() {
    let restored = task("bg_9").restored(TaskStatus::Completed);
    assert_eq!(given([Command::Restore(restored)]).state.next_number(), 10);
}

#[test]
fn numbers_below_the_floor_are_skipped() {
    let unnamed = Command::Spawn(Spawn::new(thread_id("main"), "sub_agent"));
    let history = History { number_floor: 64, ..given([spawned("bg_3")]) };
    let history = history.and(unnamed.clone());
    assert_eq!(ids(history.state.tasks()), ["bg_3", "bg_64"]);
    assert_eq!(History { number_floor: 5, ..history }.and(unnamed).state.next_number(), 66);
}

#[test]
fn a_number_has_one_spelling_and_is_below_2_to_the_53() {
    for id in ["bg_01", "bg_00", "bg_9007199254740992", "bg_123456789012345678901234567890"] {
        let rejection = Rejection::BadNumber { task: task_id(id) };
        given([]).when(spawned(id)).then_rejected(&rejection);
        let restored = task(id).restored(TaskStatus::Failed);
        given([]).when(Command::Restore(restored)).then_rejected(&rejection);
    }
    given([spawned("bg_x"), spawned("bg_"), spawned("bg_1a")]);
}

#[test]
fn numbers_run_out_instead_of_wrapping() {
    let last = format!("bg_{}", NUMBER_END - 1);
    let unnamed = Command::Spawn(Spawn::new(thread_id("main"), "sub_agent"));
    given([spawned(&last)]).when(unnamed.clone()).then_rejected(&Rejection::NumbersExhausted);
    History { number_floor: u64::MAX, ..given([]) }
        .when(unnamed)
        .then_rejected(&Rejection::NumbersExhausted);
}

#[test]
fn a_managed_task_has_no_reserved_name() {
    for name in ["parent", "self", "all", "broadcast"] {
        let asked = given([]).when(task("t1").named(name).managed().spawned());
        asked.then_says(&format!("'{name}' is a reserved name"));
        given([task("t1").managed().spawned()])
            .when(renamed("t1", name))
            .then_rejected(&Rejection::ReservedName { name: name.into() });
        let restored = task("t1").named(name).managed().restored(TaskStatus::Running);
        given([])
            .when(Command::Restore(restored))
            .then_rejected(&Rejection::ReservedName { name: name.into() });
    }
    given([task("t1").named("Parent").managed().spawned()]);
}

#[test]
fn a_managed_task_has_no_name_that_looks_like_an_id() {
    for name in ["bg_0", "bg_007", "bg_99999999999999999999"] {
        let rejection = Rejection::NameLooksLikeId { name: name.into() };
        given([]).when(task("t1").named(name).managed().spawned()).then_rejected(&rejection);
    }
    given([task("t1").named("bg_build").managed().spawned()]);
}

#[test]
fn a_recording_may_hold_names_that_a_manager_would_refuse() {
    let named = |id, name| task(id).named(name).spawned();
    given([named("t1", "all"), named("t2", "bg_0"), named("t3", "same"), named("t4", "same")]);
}

#[test]
fn a_name_is_short_and_has_no_control_characters() {
    let refused = |name: &str, source: IdError| {
        let rejection = Rejection::InvalidName { source };
        given([]).when(task("t1").named(name).spawned()).then_rejected(&rejection);
        given([spawned("t1")]).when(renamed("t1", name)).then_rejected(&rejection);
        let restored = task("t1").named(name).restored(TaskStatus::Failed);
        given([]).when(Command::Restore(restored)).then_rejected(&rejection);
    };
    refused("", IdError::Empty);
    refused("a\nb", IdError::Control { found: '\n' });
    refused(&"x".repeat(257), IdError::TooLong { len: 257 });
    given([task("t1").named(&"x".repeat(256)).spawned()]);
}

#[test]
fn a_running_name_is_taken_in_its_thread() {
    let build = |id| task(id).named("build").managed();
    let taken = Rejection::NameTaken { name: "build".into(), task: task_id("t1") };
    let history = given([build("t1").spawned()]);
    history.clone().when(build("t2").spawned()).then_rejected(&taken);
    history
        .clone()
        .when(build("t2").spawned())
        .then_says("a running task named 'build' already exists");
    history.clone().and(build("t2").on("other").spawned());
    history.clone().and(task("t2").named("build").spawned());
    history.clone().and(completed("t1")).and(build("t2").spawned());
    history.and(renamed("t1", "test")).and(build("t2").spawned());
}

#[test]
fn a_running_name_cannot_be_taken_by_a_change_of_name_or_a_restore() {
    let taken = Rejection::NameTaken { name: "build".into(), task: task_id("t1") };
    let history =
        given([task("t1").named("build").managed().spawned(), task("t2").managed().spawned()]);
    history.clone().when(renamed("t2", "build")).then_rejected(&taken);
    history.clone().and(renamed("t1", "build"));
    let restored = |status| Command::Restore(task("t3").named("build").managed().restored(status));
    history.clone().when(restored(TaskStatus::Running)).then_rejected(&taken);
    history.and(restored(TaskStatus::Completed));
}

fn parent_ref(ledger: Option<LedgerId>, id: &str) -> ParentRef {
    let id = task_id(id);
    ledger.map_or_else(|| (&id).into(), |ledger| ParentRef::InLedger { ledger, id: id.clone() })
}

#[test]
fn a_parent_is_local_exactly_if_this_ledger_holds_it() {
    let parent_of = |ledger, id: &str| {
        let child = task("child").parent(parent_ref(ledger, id));
        let history = given([]).began(EPOCH, 1, Began::Created).and(spawned("t1"));
        history.and(child.spawned()).task("child").record.parent.clone().unwrap()
    };
    let elsewhere = LedgerId([9; 16]);
    assert_eq!(parent_of(None, "t1"), Local(task_id("t1")));
    assert_eq!(parent_of(Some(LEDGER), "t1"), Local(task_id("t1")));
    assert_eq!(parent_of(None, "t9"), External { ledger: None, id: task_id("t9") });
    let foreign = External { ledger: Some(elsewhere), id: task_id("t1") };
    assert_eq!(parent_of(Some(elsewhere), "t1"), foreign);
}

#[test]
fn an_external_parent_stays_external_when_a_task_of_its_id_comes() {
    let history = given([task("child").under("late").spawned(), spawned("late")]);
    assert_eq!(history.state.depth(&task_id("child")), 1);
    assert!(ids(history.state.children(&task_id("late"))).is_empty());
}

#[test]
fn no_task_is_its_own_ancestor() {
    let rejection = |parent: &str| Rejection::Cycle { task: task_id("a"), parent: task_id(parent) };
    given([]).when(task("a").under("a").spawned()).then_rejected(&rejection("a"));
    let chain =
        given([spawned("a"), task("b").under("a").spawned(), task("c").under("b").spawned()]);
    chain.clone().when(moved("a", "a")).then_rejected(&rejection("a"));
    chain.clone().when(moved("a", "c")).then_rejected(&rejection("c"));
    chain.and(moved("c", "a"));
}

#[test]
fn a_task_of_the_same_id_elsewhere_can_be_the_parent() {
    let parent = Some(ParentRef::InLedger { ledger: LedgerId([9; 16]), id: task_id("bg_0") });
    given([Spawn { parent, ..task("bg_0") }.spawned()]);
}

/// A chain of tasks d1, d2, .. of this length.
fn chain(length: usize) -> History {
    let mut history = given([spawned("d1")]);
    for depth in 2..=length {
        let parent = format!("d{}", depth - 1);
        history = history.and(task(&format!("d{depth}")).under(&parent).spawned());
    }
    history
}

#[test]
fn a_tree_has_a_limited_depth() {
    let history = chain(DEPTH_MAX);
    let last = format!("d{DEPTH_MAX}");
    assert_eq!(history.state.depth(&task_id(&last)), DEPTH_MAX);
    let too_deep = Rejection::TooDeep { depth: DEPTH_MAX + 1, max: DEPTH_MAX };
    history.clone().when(task("t").under(&last).spawned()).then_rejected(&too_deep);
    let restored = task("t").under(&last).restored(TaskStatus::Completed);
    history.clone().when(Command::Restore(restored)).then_rejected(&too_deep);

    let history = history.and(spawned("root"));
    history.clone().when(moved("root", &last)).then_rejected(&too_deep);
    // Moving counts what is below: the chain itself would be one too deep.
    history.when(moved("d1", "root")).then_rejected(&too_deep);
}

#[test]
fn what_is_unknown_has_no_future() {
    let unknown = Rejection::UnknownTask { task: task_id("t1") };
    for command in [
        completed("t1"),
        renamed("t1", "x"),
        orphaned("t1"),
        cancelled("t1"),
        tree_cancelled("t1"),
        messaged("t1", "hello"),
        emitted("t1", "progress"),
    ] {
        given([]).when(command).then_rejected(&unknown);
    }
}

#[test]
fn a_terminal_state_is_final() {
    for (outcome, status) in [
        (Outcome::Completed, TaskStatus::Completed),
        (Outcome::Failed, TaskStatus::Failed),
        (Outcome::Cancelled, TaskStatus::Cancelled),
    ] {
        let ended = Rejection::AlreadyEnded { task: task_id("t1"), status };
        let history = given([task("t1").managed().spawned(), finished("t1", outcome)]);
        for command in [
            finished("t1", Outcome::Completed),
            finished("t1", Outcome::Failed),
            renamed("t1", "x"),
            described("t1", "x"),
            orphaned("t1"),
        ] {
            history.clone().when(command).then_rejected(&ended);
        }
        let said = history.clone().and(messaged("t1", "too late, but said"));
        said.and(emitted("t1", "last words")).and(cancelled("t1"));
    }
}

#[test]
fn an_update_changes_something() {
    let nothing = Rejection::NothingToUpdate { task: task_id("t1") };
    given([spawned("t1")]).when(Command::Update(update("t1"))).then_rejected(&nothing);
}

#[test]
fn only_a_running_managed_task_can_be_an_orphan() {
    let not_managed = Rejection::NotManaged { task: task_id("t1") };
    given([spawned("t1")]).when(orphaned("t1")).then_rejected(&not_managed);
    let imported = task("t1").host(Host::Imported);
    given([imported.spawned()]).when(orphaned("t1")).then_rejected(&not_managed);
    let history = given([task("t1").managed().spawned()]).and(orphaned("t1"));
    assert_eq!(history.task("t1").status, TaskStatus::Failed);
    assert_eq!(history.task("t1").completed, Some(Millis(1_001)));
    let ended = Rejection::AlreadyEnded { task: task_id("t1"), status: TaskStatus::Failed };
    history.when(orphaned("t1")).then_rejected(&ended);
}

#[test]
fn a_restore_says_which_task_and_since_when() {
    let restore = task("t1").restored(TaskStatus::Completed);
    let nameless =
        Restore { spawn: Spawn { task: None, ..restore.spawn.clone() }, ..restore.clone() };
    given([]).when(Command::Restore(nameless)).then_rejected(&Rejection::RestoreWithoutId);
    let ageless = Restore { spawn: Spawn { created: None, ..restore.spawn.clone() }, ..restore };
    given([])
        .when(Command::Restore(ageless))
        .then_rejected(&Rejection::RestoreWithoutCreated { task: task_id("t1") });
}

#[test]
fn a_task_restored_as_running_has_no_outcome() {
    let running = task("t1").restored(TaskStatus::Running);
    let rejection = Rejection::RestoreRunningWithOutcome { task: task_id("t1") };
    for restore in [
        running.clone().error("e"),
        running.clone().result("1"),
        running.clone().completed_at(Millis(1)),
    ] {
        given([]).when(Command::Restore(restore)).then_rejected(&rejection);
    }
    given([Command::Restore(running)]);
}

#[test]
fn texts_have_limits() {
    let over = |what, len, max| Rejection::TooLarge { what, len, max };
    let (fits, too_long) = ("x".repeat(4_096), "x".repeat(4_097));
    let description = over("description", 4_097, 4_096);
    given([task("t1").about(&fits).spawned()])
        .when(described("t1", &too_long))
        .then_rejected(&description);
    given([]).when(task("t1").about(&too_long).spawned()).then_rejected(&description);

    let (fits, too_long) = ("x".repeat(PART_BYTES_MAX), "x".repeat(PART_BYTES_MAX + 1));
    let history = given([spawned("t1"), messaged("t1", &fits)]);
    let too_large = |what| over(what, PART_BYTES_MAX + 1, PART_BYTES_MAX);
    history.clone().when(messaged("t1", &too_long)).then_rejected(&too_large("content"));
    history.when(failed("t1", &too_long)).then_rejected(&too_large("error"));
}

#[test]
fn labels_have_limits() {
    let too_long = "x".repeat(257);
    let invalid = |what| Rejection::InvalidLabel { what, source: IdError::TooLong { len: 257 } };
    let history = given([spawned("t1"), emitted("t1", "")]);
    history.clone().when(emitted("t1", &too_long)).then_rejected(&invalid("event type"));
    let spawn = Spawn { task_type: too_long.as_str().into(), ..task("t2") };
    history.clone().when(spawn.spawned()).then_rejected(&invalid("task type"));
    let message = Command::from(Message::new(task_id("t1"), too_long.as_str(), ""));
    history.when(message).then_rejected(&invalid("sender"));
}

#[test]
fn a_redaction_is_of_something_that_is_there() {
    use PartKind::{Description, Error};
    let history = given([task("t1").about("secret").spawned()]);
    let unknown = Rejection::RedactUnknown { seq: seq(2), size: 1 };
    history.clone().when(redacted(2, &[Description])).then_rejected(&unknown);
    let nothing = Rejection::RedactNothing { seq: seq(1) };
    history.clone().when(redacted(1, &[])).then_rejected(&nothing);

    let history = history.and(redacted(1, &[Description]));
    let already = Rejection::AlreadyRedacted { seq: seq(1) };
    history.clone().when(redacted(1, &[Description])).then_rejected(&already);
    history.and(redacted(1, &[Description, Error]));
}

#[test]
fn what_the_caller_has_not_seen_is_a_conflict() {
    let of = |expect| Proposal::new(completed("t1")).expect(expect);
    let history = given([spawned("t1"), messaged("t1", "news")]);
    let conflict = |expected| Rejection::Conflict { expected, actual: Some(seq(2)) };
    let task = |seen| of(Expect::Task(task_id("t1"), seen));
    history.clone().when(task(Some(seq(1)))).then_rejected(&conflict(Some(seq(1))));
    history.clone().when(task(None)).then_rejected(&conflict(None));
    history.clone().and(task(Some(seq(2))));
    let thread = |seen| of(Expect::Thread(thread_id("main"), seen));
    history.clone().when(thread(Some(seq(1)))).then_rejected(&conflict(Some(seq(1))));
    history.clone().and(thread(Some(seq(2))));
    history.and(of(Expect::Thread(thread_id("other"), None)));
}

#[test]
fn a_task_is_not_its_own_parent_whether_its_ledger_is_named_or_not() {
    let history = given([]).began(EPOCH, 1, Began::Created);
    let under = |ledger| task("x").parent(parent_ref(ledger, "x")).spawned();
    let cycle = Rejection::Cycle { task: task_id("x"), parent: task_id("x") };
    history.clone().when(under(None)).then_rejected(&cycle);
    history.clone().when(under(history.state.ledger())).then_rejected(&cycle);
    history.when(under(Some(LedgerId([9; 16])))).then();
}

#[test]
fn a_conflict_says_what_was_expected_and_what_there_is() {
    let (expected, actual) = (None, Some(seq(3)));
    let said = Rejection::Conflict { expected, actual }.to_string();
    assert_eq!(said, "expected the last event to be none, but it is #3");
}
