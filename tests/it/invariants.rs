//! What must always hold, by its number in the list that `docs/testing.md` answers.
//!
//! Here stand the claims about a whole ledger that no other test makes; the others are in the
//! table there. Start reading at the number that you doubt.

use crate::{disk::*, support::*};
use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{self, Stdio},
    sync::Arc,
    time::Duration,
};
use taskledger::{
    Ledger,
    command::{Command, Proposal, Spawn},
    event::{Action, Began, Entry, TaskStatus},
    ids::{Epoch, Head, Seq, Size, TaskId},
    ledger::{AppendError, Durability, Followed, OpenError},
    query::{Position, Scope, as_of},
    state::LedgerState,
    store::MemStore,
    time::{ManualClock, Millis},
};

fn unnamed() -> Proposal {
    Command::Spawn(Spawn::new(thread("main"), "shell")).into()
}

fn assigned(ledger: &Ledger, count: usize) -> Vec<TaskId> {
    let receipts = ledger.append_blocking(vec![unnamed(); count]).unwrap();
    receipts.into_iter().map(|receipt| receipt.task.unwrap()).collect()
}

pub(crate) fn fold(entries: &[Entry]) -> LedgerState {
    let mut state = LedgerState::default();
    for entry in entries {
        state.apply(entry);
    }
    state
}

/// Runs `check` on one ledger after another in the same directory, the first of them new. Each is
/// closed, or only dropped.
fn openings(times: u32, path: &Path, mut check: impl FnMut(u32, &Ledger)) {
    for opening in 0..times {
        let ledger = Ledger::open_or_create(path, small()).unwrap();
        check(opening, &ledger);
        if opening % 2 == 0 {
            ledger.close_blocking().unwrap();
        }
    }
}

/// Invariants 3, 4 and 6: refused batches, of every length and wherever the fault in them is,
/// leave neither events nor holes, in no opening.
#[test]
fn numbers_are_dense_across_refusals_and_openings() {
    let (_temporary, path) = directory();
    openings(4, &path, |opening, ledger| {
        for n in 0..6 {
            let id = format!("t{opening}-{n}");
            let mut batch = vec![spawn(&id), spawn(&format!("{id}-b")), spawn(&format!("{id}-c"))];
            batch.insert(n.min(3), finish("nobody"));
            let before = entries(ledger);
            refused(ledger, batch);
            assert_eq!(entries(ledger), before);
            append(ledger, [spawn(&id), finish(&id)]);
        }
        let numbers: Vec<_> = entries(ledger).iter().map(|e| e.event.seq.get()).collect();
        let events = u64::from(opening + 1) * (1 + 6 * 2);
        assert_eq!(numbers, (1..=events).collect::<Vec<_>>());
    });
}

/// Invariant 5: a key outlives the process, and the snapshot that the next opening starts from.
#[test]
fn the_same_key_gives_the_same_receipt_in_every_later_opening() {
    let (_temporary, path) = directory();
    let mut first = None;
    openings(4, &path, |_, ledger| {
        let receipt = ledger.append_blocking([keyed(spawn("a"), 1)]).unwrap().remove(0);
        let expected = first.get_or_insert_with(|| receipt.clone()).clone();
        assert_eq!((receipt.seq, &receipt.task), (expected.seq, &expected.task));
        assert_eq!(receipt.repeated, ledger.reader().state().unwrap().size() > 2);
        let error = refused(ledger, [keyed(spawn("b"), 1)]);
        assert!(matches!(error, AppendError::KeyReused { seq } if seq == expected.seq));
        append(ledger, [finish_or_spawn(ledger)]);
        ledger.flush_blocking().unwrap();
    });
}

/// Something new, so that each opening has a snapshot of its own.
fn finish_or_spawn(ledger: &Ledger) -> Proposal {
    spawn(&format!("at-{}", ledger.reader().head().size))
}

/// Invariants 9, 10 and 11: the state at every number is the fold of the events up to it, from
/// snapshots or without them, then and after later events; and so is a task's own past.
#[test]
fn the_state_at_every_number_is_the_fold_of_the_prefix() {
    let (_temporary, path) = directory();
    let mut digests = vec![LedgerState::default().digest()];
    openings(3, &path, |opening, ledger| {
        for n in 0..8 {
            let id = format!("t{opening}-{n}");
            append(ledger, [spawn(&id)]);
            append(ledger, [spawn(&format!("{id}-child")), finish(&id)]);
            if n == 3 {
                ledger.flush_blocking().unwrap();
            }
        }
        let (reader, all) = (ledger.reader(), entries(ledger));
        for size in 0..=all.len() {
            let expected = fold(&all[..size]);
            let found = reader.state_at(Size::new(u64::try_from(size).unwrap())).unwrap();
            assert_eq!(found, expected, "at {size}");
            match digests.get(size) {
                Some(digest) => assert_eq!(found.digest(), *digest, "{size} has changed"),
                None => digests.push(found.digest()),
            }
        }
        let first = task("t0-0");
        for size in 2..=reader.head().size.get() {
            let view = as_of(&reader, Scope::Task(&first), Position::Log(Size::new(size))).unwrap();
            let expected = reader.state_at(Size::new(size)).unwrap();
            assert_eq!(view.state.task(&first), expected.task(&first), "at {size}");
        }
        assert_eq!(reader.state().unwrap(), fold(&all));
    });
}

/// Invariant 12: also from one opening to the next, whatever the clock says then.
#[test]
fn time_does_not_run_backwards_across_openings() {
    let (_temporary, path) = directory();
    for now in [9_000, 5_000, 0, 9_500] {
        let clock = Arc::new(ManualClock::at(Millis(now)));
        let ledger = Ledger::open_or_create(&path, small().clock(clock)).unwrap();
        append(&ledger, [spawn(&format!("at-{now}"))]);
    }
    let ledger = Ledger::open(&path, small()).unwrap();
    let times: Vec<_> = entries(&ledger).iter().map(|entry| entry.event.recorded.0).collect();
    assert_eq!(times, [9_000, 9_000, 9_000, 9_000, 9_000, 9_000, 9_500, 9_500]);
}

/// Invariants 14 and 15: what ended stays ended, in every later opening, and its log holds one end.
#[test]
fn an_end_is_final_in_every_later_opening() {
    let (_temporary, path) = directory();
    openings(3, &path, |opening, ledger| {
        if opening == 0 {
            append(ledger, [spawn("a"), finish("a")]);
        }
        refused(ledger, [finish("a")]);
        refused(ledger, [spawn("a")]);
        let state = ledger.reader().state().unwrap();
        assert_eq!(state.task(&task("a")).unwrap().status, TaskStatus::Completed);
        let ends = |entry: &Entry| matches!(entry.event.action, Action::Terminated { .. });
        assert_eq!(entries(ledger).iter().filter(|entry| ends(entry)).count(), 1);
        append(ledger, [finish_or_spawn(ledger)]);
    });
}

/// Invariant 17, restarts and forks: a fork does not give an id that its prefix has given.
#[test]
fn no_id_is_assigned_twice_across_restarts_and_forks() {
    let (temporary, path) = directory();
    let mut given = BTreeSet::new();
    openings(3, &path, |opening, ledger| {
        let ids = assigned(ledger, 5);
        let first = u64::from(opening) * 5;
        assert_eq!(ids[0].to_string(), format!("bg_{first}"), "nor is one left out");
        assert!(ids.into_iter().all(|id| given.insert(id)));
    });
    let ledger = Ledger::open(&path, small()).unwrap();
    let cut = ledger.reader().head().size.get() - 2;
    let fork = ledger
        .fork_blocking(Size::new(cut), temporary.path().join("fork"), small(), &mut |_, _| {})
        .unwrap();
    let known: BTreeSet<_> =
        fork.reader().state().unwrap().tasks().map(|task| task.id.clone()).collect();
    assert!(assigned(&fork, 5).iter().all(|id| !known.contains(id)));
}

/// Invariant 17, a crash under an interval: numbers are reserved before they are given, so those
/// that a power cut could have taken with it are not given again.
#[test]
fn no_id_is_assigned_twice_across_a_crash() {
    let durability = Durability::Interval(Duration::from_hours(1));
    let options = options().durability(durability);
    let store = MemStore::new();
    let before = Ledger::open_or_create_in(&store, options.clone()).unwrap();
    let given = assigned(&before, 5);
    assert_eq!(before.reader().synced(), Head::EMPTY, "all of them could still be lost");
    let after = Ledger::open_in(&store, options).unwrap();
    let number = |id: &TaskId| id.as_str().strip_prefix("bg_").unwrap().parse::<u64>().unwrap();
    let last = given.iter().map(number).max().unwrap();
    assert!(assigned(&after, 5).iter().all(|id| number(id) > last + 60_000), "a reserved span");
}

fn epochs(ledger: &Ledger) -> Vec<(Began, Epoch)> {
    let mut all = Vec::new();
    for entry in entries(ledger) {
        if let Action::Began { why, .. } = entry.event.action {
            all.push((why, entry.event.epoch));
        }
    }
    all
}

/// Invariant 27, for one machine: an epoch begins with its own event, in the commit that is the
/// first to use it; it grows with each fork and restore, and with nothing else.
#[test]
fn epochs_grow_with_every_fork_and_restore_and_with_nothing_else() {
    let (temporary, path) = directory();
    openings(3, &path, |opening, ledger| {
        append(ledger, [spawn(&format!("t{opening}"))]);
        assert!(entries(ledger).iter().all(|entry| entry.event.epoch.number == 1));
    });
    let ledger = Ledger::open(&path, small()).unwrap();
    let fork = ledger
        .fork_blocking(Size::new(4), temporary.path().join("fork"), small(), &mut |_, _| {})
        .unwrap();
    append(&fork, [spawn("in the fork")]);
    let file = temporary.path().join("backup");
    fork.reader().backup(&file, &mut |_, _| {}).unwrap();
    let restored =
        Ledger::restore_blocking(&file, temporary.path().join("new"), small(), &mut |_, _| {})
            .unwrap();
    append(&restored, [spawn("in the restored")]);

    let began = epochs(&restored);
    let numbers: Vec<_> = began.iter().map(|(_, epoch)| epoch.number).collect();
    assert_eq!(numbers, [1, 1, 2, 3], "created, opened, forked, restored");
    assert!(matches!(began[2].0, Began::Forked(_)), "{began:?}");
    assert!(matches!(began[3].0, Began::RestoredFrom(_)), "{began:?}");
    assert_ne!(began[2].1.nonce, began[3].1.nonce);
    let mut current = None;
    for entry in entries(&restored) {
        if let Action::Began { .. } = entry.event.action {
            current = Some(entry.event.epoch);
        }
        assert_eq!(Some(entry.event.epoch), current, "{}", entry.event.seq);
    }
}

/// Invariant 30: a follower that stops at any event and resumes, also in a later opening and after
/// its events were sealed, misses none and gets none twice.
#[test]
fn a_follower_that_resumes_anywhere_misses_nothing_and_repeats_nothing() {
    let (_temporary, path) = directory();
    let mut token = Head::EMPTY;
    let mut given = Vec::new();
    openings(4, &path, |opening, ledger| {
        for n in 0..10 {
            append(ledger, [spawn(&format!("t{opening}-{n}"))]);
        }
        if opening % 2 == 0 {
            ledger.flush_blocking().unwrap();
        }
        // Not all of it, so that each opening resumes within what another one has written.
        for _ in 0..7 {
            let mut follow = ledger.follow(token).unwrap();
            let Some(Followed::Event(entry)) = follow.next_ready().unwrap() else {
                panic!("there are more after {token:?}");
            };
            given.push(entry.event.seq.get());
            token = follow.resume_token().unwrap();
        }
    });
    assert_eq!(given, (1..=28).collect::<Vec<_>>());
}

/// The variable that makes this process the one that is to be refused.
const SECOND: &str = "TASKLEDGER_TEST_SECOND_PROCESS";
/// How it ends if it was refused, and told which process has the ledger. No panic ends so.
const IN_USE: i32 = 42;

/// What the second process runs. Does nothing unless this process is it.
#[test]
fn second_process() {
    let Some(path) = env::var_os(SECOND) else { return };
    match Ledger::open(path, small()) {
        Ok(ledger) => append(&ledger, [spawn("by the second")]).clear(),
        Err(OpenError::InUse { pid, .. }) => {
            process::exit(if pid == parent() { IN_USE } else { 1 })
        }
        Err(error) => panic!("{error}"),
    }
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

fn run_second_process(path: &Path) -> Option<i32> {
    let mut second = process::Command::new(env::current_exe().unwrap());
    second.args(["--exact", "invariants::second_process"]).env(SECOND, path);
    second.stdout(Stdio::null()).status().unwrap().code()
}

/// Invariant 31: as long as one process has the directory, another is refused and told which one.
#[test]
fn a_second_process_is_refused_until_the_first_lets_go() {
    let (_temporary, path) = directory();
    let first = Ledger::create(&path, small()).unwrap();
    append(&first, [spawn("by the first")]);
    let before = entries(&first);
    assert_eq!(run_second_process(&path), Some(IN_USE), "in use, by this process");
    assert_eq!(entries(&first), before);
    append(&first, [finish("by the first")]);
    first.close_blocking().unwrap();
    drop(first);
    assert_eq!(run_second_process(&path), Some(0));
    let again = Ledger::open(&path, small()).unwrap();
    assert!(again.reader().state().unwrap().task(&task("by the second")).is_some());
    assert_eq!(again.reader().head().size.last_seq(), Seq::new(5));
}

/// A table of evidence that names a test nobody has is worth nothing.
#[test]
fn every_test_that_the_documentation_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join("docs").join(name)).unwrap();
    let text = read("testing.md") + &read("testing-results.md");
    let mut sources = String::new();
    for place in ["src", "tests", "proptests", "tools"] {
        read_sources(&root.join(place), &mut sources);
    }
    let is_name = |word: &&str| {
        let plain = word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_numeric());
        plain && word.matches('_').count() >= 3
    };
    let names: BTreeSet<_> = text.split('`').filter(is_name).collect();
    assert!(names.len() > 50, "only {names:?}");
    let missing = |name: &&&str| !sources.contains(&format!("fn {name}("));
    assert_eq!(names.iter().filter(missing).collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn read_sources(path: &Path, to: &mut String) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, to);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
