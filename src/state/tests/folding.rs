//! The changes that each event makes, and the values that it leaves alone.

use super::*;
use crate::state::{Counts, KEYS_MAX};

#[test]
fn a_spawn_inserts_a_running_task() {
    let history = given([spawned("t0"), task("t1").named("build").about("builds").spawned()]);
    let task = history.task("t1");
    assert_eq!(task.status, TaskStatus::Running);
    assert_eq!(&**task.description.kept().unwrap(), "builds");
    assert_eq!(task.record.created, Millis(1_001));
    assert_eq!((task.first_seq, task.last_seq, task.events), (seq(2), seq(2), 1));
    assert_eq!(
        (&task.error, &task.result, task.completed, task.terminal_seq),
        (&None, &None, None, None)
    );
    assert_eq!(history.state.counts(), Counts { running: 2, ..Counts::default() });
    assert_eq!((history.state.size().get(), history.state.recorded()), (2, Millis(1_001)));
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let history = given([
        spawned("p1"),
        spawned("p2"),
        task("t1").named("a").about("one").under("p1").spawned(),
    ]);
    let before = Arc::clone(history.task("t1"));
    let history = history.and(renamed("t1", "b"));
    let after = history.task("t1");
    assert_eq!(after.record.name.as_deref(), Some("b"));
    assert_eq!(after.description, before.description, "it had no such part");
    assert_eq!(after.record.parent, before.record.parent);

    let history = history.and(moved("t1", "p2")).and(described("t1", ""));
    let after = history.task("t1");
    assert_eq!((after.description.len, after.description.seq), (0, seq(6)));
    assert_eq!(ids(history.state.children(&task_id("p1"))), [""; 0]);
    assert_eq!(ids(history.state.children(&task_id("p2"))), ["t1"]);
    assert_eq!(after.record.created, before.record.created);
    assert_eq!((after.first_seq, after.last_seq, after.events), (seq(3), seq(6), 4));
}

/// A forged event could claim anything; the fold takes name, parent and description from it.
#[test]
fn a_later_upsert_cannot_change_type_host_or_owner() {
    let history = given([task("t1").managed().spawned()]);
    let mut forged = history.again();
    let Action::Upserted { record } = &mut forged.event.action else { panic!("an upsert") };
    (record.task_type, record.host, record.created) = ("other".into(), Host::External, Millis(9));
    let history = history.fold(forged);
    let record = &history.task("t1").record;
    assert_eq!(&*record.task_type, "sub_agent");
    assert_eq!((record.host, record.created), (MANAGED, Millis(1_000)));

    let mut forged = history.again();
    forged.event.thread = Some(thread_id("thief"));
    let before = history.clone();
    let history = history.fold(forged);
    assert_eq!(history.task("t1"), before.task("t1"));
    assert!(history.state.thread(&thread_id("thief")).is_none());
}

#[test]
fn the_first_terminal_event_wins() {
    let history = given([spawned("t1"), failed("t1", "boom")]);
    let first = Arc::clone(history.task("t1"));
    assert_eq!((first.status, first.terminal_seq), (TaskStatus::Failed, Some(seq(2))));
    assert_eq!(&**first.error.as_ref().unwrap().kept().unwrap(), "boom");

    let mut forged = history.again();
    let outcome = Outcome::Completed;
    forged.event.action = Action::Terminated { outcome, completed: Millis(9) };
    let history = history.fold(forged);
    let second = history.task("t1");
    assert_eq!(second.last_seq, seq(3));
    assert_eq!(second.events, first.events + 1);
    let expected = Task { last_seq: seq(3), events: 3, ..Task::clone(&first) };
    assert_eq!(**second, expected);
    assert_eq!(history.state.counts(), Counts { failed: 1, ..Counts::default() });
}

#[test]
fn a_restore_brings_a_task_back_as_it_was() {
    let restore = task("t1")
        .named("build")
        .about("builds")
        .restored(TaskStatus::Failed)
        .error("lost")
        .completed_at(Millis(700));
    let history = given([Command::Restore(restore)]);
    let task = history.task("t1");
    assert_eq!((task.status, task.completed), (TaskStatus::Failed, Some(Millis(700))));
    assert_eq!(task.terminal_seq, Some(seq(1)), "a restore of an ended task is its end");
    assert_eq!(task.record.created, Millis(500));
    assert_eq!(&**task.error.as_ref().unwrap().kept().unwrap(), "lost");
    assert_eq!(history.state.counts(), Counts { failed: 1, ..Counts::default() });
    let before = history.clone();
    let history = history.clone().fold(history.again());
    assert_eq!(history.task("t1").record, before.task("t1").record);
    assert_eq!(history.state.tasks_len(), 1);
}

#[test]
fn a_message_and_progress_are_activity() {
    let at = |command: Command, at| Proposal::new(command).occurred_at(Millis(at));
    let history = given([spawned("t1")]).and(at(messaged("t1", "hi"), 5_000));
    assert_eq!(history.task("t1").last_activity, Millis(5_000));
    let history = history.and(at(emitted("t1", "progress"), 4_000));
    assert_eq!(history.task("t1").last_activity, Millis(5_000), "an older one came late");
    let thread = history.state.thread(&thread_id("main")).unwrap();
    assert_eq!((thread.first, thread.last, thread.events), (Millis(1_000), Millis(5_000), 3));
}

#[test]
fn threads_count_their_own() {
    let history = given([
        spawned("a"),
        task("b").on("other").spawned(),
        spawned("c"),
        completed("a"),
        failed("c", "boom"),
    ]);
    let main = history.state.thread(&thread_id("main")).unwrap();
    assert_eq!((main.tasks, main.events), (2, 4));
    assert_eq!(main.counts, Counts { completed: 1, failed: 1, ..Counts::default() });
    assert_eq!((main.first_seq, main.last_seq), (seq(1), seq(5)));
    assert_eq!(ids(history.state.tasks_in(&thread_id("main"))), ["a", "c"]);
    let threads: Vec<_> = history.state.threads().map(|thread| thread.id.as_str()).collect();
    assert_eq!(threads, ["main", "other"]);
}

#[test]
fn children_and_runs_are_listed_in_order_of_creation() {
    let history = given([
        spawned("p"),
        task("z").by_run("r").spawned(),
        task("y").under("p").on("other").by_run("r").spawned(),
        task("a").under("p").spawned(),
        moved("z", "p"),
    ]);
    assert_eq!(ids(history.state.children(&task_id("p"))), ["z", "y", "a"]);
    assert_eq!(ids(history.state.tasks_of_run(&run_id("r"))), ["z", "y"]);
    assert_eq!(ids(history.state.tasks()), ["p", "z", "y", "a"]);
}

#[test]
fn depth_counts_the_ancestors_that_are_here() {
    let history = given([
        spawned("a"),
        task("b").under("a").spawned(),
        task("c").under("b").spawned(),
        task("x").under("unknown").spawned(),
    ]);
    let depth = |id| history.state.depth(&task_id(id));
    assert_eq!([depth("a"), depth("b"), depth("c"), depth("x"), depth("none")], [1, 2, 3, 1, 0]);
    assert_eq!(ids(history.state.ancestors(&task_id("c")).into_iter()), ["b", "a"]);
}

#[test]
fn a_forged_cycle_ends_a_walk() {
    let history = given([spawned("a"), task("b").under("a").spawned()]);
    let mut forged = history.again();
    forged.event.task = Some(task_id("a"));
    let Action::Upserted { record } = &mut forged.event.action else { panic!("an upsert") };
    record.parent = Some(crate::event::Parent::Local(task_id("b")));
    let history = history.fold(forged);
    assert_eq!(ids(history.state.ancestors(&task_id("a")).into_iter()), ["b"]);
    assert_eq!(history.state.depth(&task_id("b")), 2);
    history.when(task("c").under("a").managed().spawned()).then();
}

#[test]
fn running_managed_tasks_are_found_by_name() {
    let history = given([
        task("t1").named("build").managed().spawned(),
        task("t2").named("build").spawned(),
        task("t3").managed().spawned(),
    ]);
    let named = |history: &History, name: &str| {
        let found = history.state.running_named(&thread_id("main"), name);
        found.map(|task| task.id.as_str().to_owned())
    };
    assert_eq!(named(&history, "build").as_deref(), Some("t1"));
    assert_eq!(named(&history, "buil"), None);
    assert_eq!(history.state.running_named(&thread_id("other"), "build"), None);
    assert_eq!(ids(history.state.running_managed()), ["t1", "t3"]);
    let history = history.and(renamed("t1", "test"));
    assert_eq!((named(&history, "build"), named(&history, "test").as_deref()), (None, Some("t1")));
    let history = history.and(completed("t1")).and(orphaned("t3"));
    assert_eq!(named(&history, "test"), None);
    assert!(ids(history.state.running_managed()).is_empty());
}

#[test]
fn an_event_about_a_task_that_is_not_here_moves_the_head_alone() {
    let other = given([task("ghost").managed().spawned()]);
    for command in [
        completed("ghost"),
        cancelled("ghost"),
        tree_cancelled("ghost"),
        messaged("ghost", "hi"),
        emitted("ghost", "progress"),
        orphaned("ghost"),
        thread_cancelled("main"),
    ] {
        let stray = other.clone().and(command).entries.pop().unwrap();
        let folded = History::default().fold(stray).state;
        let mut expected = LedgerState::default();
        (expected.size, expected.recorded) = (2, Millis(1_001));
        assert_eq!(folded, expected);
    }
}

#[test]
fn a_long_text_is_left_in_the_log() {
    let (short, long) = ("x".repeat(4_096), "x".repeat(4_097));
    let history = given([spawned("a"), failed("a", &short), spawned("b"), failed("b", &long)]);
    let error = |id| history.task(id).error.clone().unwrap();
    assert_eq!(error("a").body, TextBody::Kept(short.into()));
    assert_eq!(
        (error("b").body, error("b").len, error("b").seq),
        (TextBody::Stored, 4_097, seq(4))
    );
}

#[test]
fn a_redaction_takes_the_text_out_of_the_state() {
    let history = given([
        task("t1").about("secret").spawned(),
        described("t1", "better"),
        failed("t1", "also secret"),
        redacted(1, &[PartKind::Description]),
    ]);
    assert_eq!(&**history.task("t1").description.kept().unwrap(), "better", "of another event");
    let history = history.and(redacted(2, &[PartKind::Error]));
    assert!(history.task("t1").description.kept().is_some(), "another kind");
    let history = history.and(redacted(2, &[PartKind::Description]));
    let description = &history.task("t1").description;
    assert_eq!((&description.body, description.len), (&TextBody::Erased, 6));
    let history = history.and(redacted(3, &[PartKind::Error]));
    assert_eq!(history.task("t1").error.as_ref().unwrap().body, TextBody::Erased);
    let both = PartSet::default().with(PartKind::Error).with(PartKind::Description);
    assert_eq!(history.state.redacted(seq(2)), both);
    assert_eq!(history.state.redactions().count(), 3);
    assert_eq!(history.state.redacted(seq(4)), PartSet::default());
    assert_eq!(history.task("t1").last_activity, Millis(1_002));
}

#[test]
fn an_erased_text_folds_as_erased() {
    let mut history = given([task("t1").about("secret").spawned()]);
    let mut purged = history.entries.pop().unwrap();
    purged.erase(PartSet::ALL);
    let description = History::default().fold(purged).task("t1").description.clone();
    assert_eq!((description.body, description.len), (TextBody::Erased, 6));
}

/// Found by a random history: redacting the description of an event that has none made the empty
/// one look erased in the state, but not in what the purged log folds to.
#[test]
fn an_empty_text_has_nothing_to_erase() {
    let history = given([spawned("t1"), redacted(1, &[PartKind::Description])]);
    assert!(history.task("t1").description.kept().is_some());
    let mut purged = given([spawned("t1"), described("t1", "")]).entries.pop().unwrap();
    purged.erase(PartSet::ALL);
    let history = history.fold(purged);
    assert!(history.task("t1").description.kept().is_some());
}

#[test]
fn the_past_is_masked_by_what_was_redacted_later() {
    let past = given([task("t1").about("secret").spawned(), spawned("t2")]);
    let now = past.clone().and(failed("t1", "late")).and(redacted(1, &[PartKind::Description]));
    let mut view = past.state.clone();
    view.mask(&now.state);
    assert_eq!(view.task(&task_id("t1")).unwrap().description.body, TextBody::Erased);
    assert_eq!(view.task(&task_id("t1")).unwrap().error, None);
    assert!(past.task("t1").description.kept().is_some(), "whoever holds the past keeps it");
}

#[test]
fn a_writer_that_takes_charge_is_remembered() {
    let promoted = Epoch { number: 2, nonce: 8 };
    let history = given([]).began(EPOCH, 1, Began::Created).began(EPOCH, 2, Began::Opened).began(
        promoted,
        3,
        Began::Promoted,
    );
    assert_eq!(history.state.ledger(), Some(LEDGER));
    assert_eq!((history.state.epoch(), history.state.incarnation()), (Some(promoted), 3));
    let epochs: Vec<_> = history.state.epochs().collect();
    assert_eq!(epochs, [(seq(1), EPOCH), (seq(3), promoted)]);
}

#[test]
fn the_oldest_key_is_forgotten() {
    let key = |number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Key(bytes)
    };
    let keyed = Proposal::new(spawned("t1")).key(key(0));
    let mut history = given([]).and(keyed);
    let mut entry = history.again();
    let max = u64::try_from(KEYS_MAX).unwrap();
    for number in 1..max {
        entry.event.seq = seq(number + 1);
        entry.event.key = Some(key(number));
        history.state.apply(&entry);
    }
    assert_eq!(history.state.key(&key(0)), Some(seq(1)));
    entry.event.seq = seq(max + 1);
    entry.event.key = Some(key(max));
    history.state.apply(&entry);
    assert_eq!(history.state.key(&key(0)), None);
    assert_eq!(history.state.key(&key(1)), Some(seq(2)));
    assert_eq!(history.state.key(&key(max)), Some(seq(max + 1)));
}

#[test]
fn an_earlier_version_of_a_state_does_not_change() {
    let history = given([spawned("t1"), task("t2").under("t1").managed().named("n").spawned()]);
    let (before, bytes) = (history.state.clone(), history.state.to_bytes());
    history.and(completed("t2")).and(renamed("t1", "x")).and(spawned("t3")).and(run_cancelled("r"));
    assert_eq!(before.to_bytes(), bytes);
}

#[test]
fn a_state_is_shown_by_its_sizes_and_no_text_of_it() {
    let state = given([task("t1").about("secret").spawned(), spawned("t2")]).state;
    let shown = format!("{state:?}");
    assert!(shown.starts_with("LedgerState { size: 2, ledger: None, "), "{shown}");
    assert!(shown.contains("threads: 1, ") && !shown.contains("secret"), "{shown}");
}

#[test]
fn every_task_is_counted_once() {
    let counts = Counts { running: 1, completed: 2, failed: 4, cancelled: 8 };
    assert_eq!(counts.total(), 15);
    assert_eq!(TaskStatus::ALL.map(|status| counts.of(status)), [1, 2, 4, 8]);
}

#[test]
fn states_with_other_tasks_are_not_the_same() {
    let one = given([task("t1").about("one").spawned()]).state;
    assert_eq!(one, given([task("t1").about("one").spawned()]).state);
    assert_ne!(one, given([task("t1").about("two").spawned()]).state);
    assert_ne!(one, given([task("t2").about("one").spawned()]).state);
}
