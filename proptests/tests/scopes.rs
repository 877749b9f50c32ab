//! A ledger that is only read tells of a part what all of it would tell.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use proptest::{prelude::*, sample::Index};
use taskledger::{
    Ledger, Options, codec,
    event::Entry,
    ids::{Head, NodeId, RunId, Seq, Size, TaskId, ThreadId},
    ledger::Reader,
    proof::Tree,
    query::{Now, Scope, Source},
    snapshot,
    state::{LedgerState, Task, Thread},
    store::{Group, Home, Identity, MemStore, Opened},
};
use taskledger_proptests::{
    config,
    histories::{families, fold, forgeries, histories},
    world::HERE,
};

/// The entry with texts that are those which its event commits to.
fn sound(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    for part in &entry.parts {
        let committed = entry.event.parts.iter_mut().find(|known| known.kind == part.kind);
        if let (Some(committed), Some(body)) = (committed, &part.body) {
            *committed = codec::commit(part.kind, body.salt, &body.text);
        }
    }
    entry
}

/// A store with these events and snapshots after so many of them.
fn stored(entries: &[Entry], saved: &[usize]) -> (MemStore, Writer) {
    let store = MemStore::new();
    let opened = store.create(Identity::new(HERE, NodeId([8; 16]))).unwrap();
    let mut writer = Writer { opened, tree: Tree::default(), state: LedgerState::default() };
    writer.append(entries, saved);
    (store, writer)
}

/// Appends events that nobody decides on here.
struct Writer {
    opened: Opened,
    tree: Tree,
    state: LedgerState,
}

impl Writer {
    fn append(&mut self, entries: &[Entry], saved: &[usize]) {
        let Self { opened: Opened { log, snapshots, .. }, tree, state } = self;
        for entry in entries {
            let frames = [codec::encode(entry).unwrap()];
            let completed: Vec<_> =
                tree.push(codec::leaf(&frames[0]).unwrap()).into_iter().collect();
            let (first, root) = (entry.event.seq, tree.root());
            log.append(Group { first, frames: &frames, root, tree_hashes: &completed }).unwrap();
            state.apply(entry);
            if saved.iter().any(|size| state.size() == u64::try_from(*size).unwrap()) {
                let head = Head { size: state.size(), root };
                snapshots.save(first, &snapshot::encode(state, head)).unwrap();
            }
        }
        log.sync().unwrap();
    }
}

/// All that is known of a task, apart from its place in a state, and from the word that tells whether
/// a text comes from a snapshot.
fn task(task: &Task) -> String {
    format!("{task:?}").rsplit_once(", home:").unwrap().0.replace("body: Saved(", "body: Kept(")
}

/// All that is known of a thread, apart from the places of its tasks.
fn thread(thread: &Thread) -> String {
    format!("{thread:?}").rsplit_once(", rows:").unwrap().0.to_owned()
}

/// Checks what every part promises, and that it knows all of this task.
fn check_task(part: &LedgerState, whole: &LedgerState, id: &TaskId) {
    assert_eq!(part.task(id).map(|held| task(held)), whole.task(id).map(|held| task(held)), "{id}");
    let above = |state: &LedgerState| -> Vec<String> {
        state.ancestors(id).iter().map(|above| task(above)).collect()
    };
    assert_eq!(above(part), above(whole), "above {id}");
    assert_eq!(part.request_to_stop(id), whole.request_to_stop(id), "{id}");
    for held in whole.ancestors(id).into_iter().chain(whole.task(id)) {
        for after in (held.first_seq.get()..=whole.size().get()).filter_map(Seq::new) {
            let asked = |state: &LedgerState| state.thread_request(&held.thread, after);
            assert_eq!(asked(part), asked(whole), "{} after {after}", held.thread);
        }
    }
}

fn check_rest(part: &LedgerState, whole: &LedgerState) {
    assert_eq!(Now::of(part), Now::of(whole));
    assert_eq!((part.ledger(), part.incarnation()), (whole.ledger(), whole.incarnation()));
    assert!(part.epochs().eq(whole.epochs()));
    assert!(part.redactions().eq(whole.redactions()));
    for run in ["r0", "r1", "r2", "other"].map(|run| RunId::new(run).unwrap()) {
        assert_eq!(part.run_mark(&run), whole.run_mark(&run));
    }
    for held in whole.tasks().filter_map(|held| held.record.run.as_ref()) {
        assert_eq!(part.run_mark(held), whole.run_mark(held));
    }
}

/// Checks the part of every thread and every task.
fn check(reader: &Reader, whole: &LedgerState) {
    assert_eq!(reader.now().unwrap(), Now::of(whole));
    for held in whole.tasks() {
        let part = reader.state_of(Scope::Task(&held.id)).unwrap();
        check_task(&part, whole, &held.id);
        check_rest(&part, whole);
        assert_eq!(reader.task(&held.id).unwrap().map(|held| task(&held)), Some(task(held)));
    }
    for held in whole.threads() {
        let part = reader.state_of(Scope::Thread(&held.id)).unwrap();
        let ids = |state: &LedgerState| -> Vec<TaskId> {
            state.tasks_in(&held.id).map(|task| task.id.clone()).collect()
        };
        assert_eq!(ids(&part), ids(whole), "in the order of creation");
        for id in ids(whole) {
            check_task(&part, whole, &id);
        }
        assert_eq!(part.thread(&held.id).map(|held| thread(held)), Some(thread(held)));
        check_rest(&part, whole);
    }
    let nobody = TaskId::new("nobody").unwrap();
    assert!(reader.state_of(Scope::Task(&nobody)).unwrap().task(&nobody).is_none());
    let nowhere = ThreadId::new("nowhere").unwrap();
    assert!(reader.state_of(Scope::Thread(&nowhere)).unwrap().thread(&nowhere).is_none());
    for seq in (1..=whole.size().get()).filter_map(Seq::new) {
        assert_eq!(reader.redacted(seq).unwrap(), whole.redacted(seq));
    }
    // Last, since what is read whole is kept and then answers for every part.
    assert_eq!(&reader.state().unwrap(), whole);
    whole.tasks().for_each(|held| check_task(&reader.state().unwrap(), whole, &held.id));
}

fn check_all(entries: &[Entry], cut: Index, end: Index) {
    let entries: Vec<Entry> = entries.iter().map(sound).collect();
    let end = end.index(entries.len() + 1);
    let cut = cut.index(end + 1);
    let (store, _writer) = stored(&entries[..end], &[cut / 2, cut]);
    let ledger = Ledger::open_read_only_in(&store, Options::default()).unwrap();
    check(&ledger.reader(), &fold(&entries[..end]));
}

proptest! {
    #![proptest_config(config("scopes", 128))]

    /// Of any history, behind any snapshot.
    #[test]
    fn the_state_of_every_scope_is_that_of_all_events(
        history in histories(60), cut in any::<Index>(), end in any::<Index>(),
    ) {
        check_all(&history.entries, cut, end);
    }

    /// Of tasks that move about.
    #[test]
    fn the_state_of_every_scope_has_those_above_it_now(
        history in families(60), cut in any::<Index>(), end in any::<Index>(),
    ) {
        check_all(&history.entries, cut, end);
    }

    /// Of a log that nobody decided: a task may be named in several threads, and begun twice.
    #[test]
    fn the_state_of_every_scope_of_a_forged_log_is_that_of_all_events(
        entries in forgeries(40), cut in any::<Index>(), end in any::<Index>(),
    ) {
        check_all(&entries, cut, end);
    }

    /// A reader goes on as the log does.
    #[test]
    fn a_refreshed_reader_tells_the_same_as_a_new_one(
        history in histories(60), cut in any::<Index>(), first in any::<Index>(), asks in any::<bool>(),
    ) {
        let entries: Vec<Entry> = history.entries.iter().map(sound).collect();
        let first = first.index(entries.len() + 1);
        let (store, mut writer) = stored(&entries[..first], &[cut.index(first + 1)]);
        let ledger = Ledger::open_read_only_in(&store, Options::default()).unwrap();
        if asks {
            assert_eq!(ledger.reader().state().unwrap(), fold(&entries[..first]));
        }
        writer.append(&entries[first..], &[]);
        ledger.refresh_blocking().unwrap();
        check(&ledger.reader(), &fold(&entries));
        prop_assert_eq!(ledger.reader().head().size, Size::new(u64::try_from(entries.len()).unwrap()));
    }
}
