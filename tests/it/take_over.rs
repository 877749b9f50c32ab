//! Who is in charge: promises, take-overs, and what a node takes that is bound to an epoch.

mod power;

use crate::support::*;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use taskledger::{
    Ledger,
    audit::{self, VerifyOptions},
    codec,
    command::{Proposal, Spawn},
    event::{Action, Began, Entry, Host, PartKind},
    ids::{Epoch, LedgerId, NodeId, Seq},
    ledger::{
        AppendError, Discontinuity, Durability, Fork, ORPHANED_AT_TAKE_OVER, PromiseError, Role,
        TakeOverError,
    },
    store::{
        self, FixedNode, Home, Identity, MemStore, NodeStore, Opened, Role as Kept,
        faulty::FaultyDisk,
    },
    time::SeededEntropy,
};

const fn epoch(number: u64, nonce: u64) -> Epoch {
    Epoch { number, nonce }
}

const SECOND: Epoch = epoch(2, 0xa);
const RIVAL: Epoch = epoch(2, 0xb);
const THIRD: Epoch = epoch(3, 0xc);

fn frames(ledger: &Ledger) -> Vec<Vec<u8>> {
    ledger.reader().frames(Seq::FIRST, usize::MAX).unwrap()
}

fn began(entry: &Entry) -> Option<(&Began, Epoch)> {
    match &entry.event.action {
        Action::Began { why, .. } => Some((why, entry.event.epoch)),
        Action::Upserted { .. }
        | Action::Terminated { .. }
        | Action::Restored { .. }
        | Action::CancelRequested { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. }
        | Action::Redacted { .. } => None,
    }
}

/// The events that began something, in order.
fn beginnings(ledger: &Ledger) -> Vec<(Began, Epoch)> {
    entries(ledger).iter().filter_map(began).map(|(why, epoch)| (why.clone(), epoch)).collect()
}

/// A spawn that a manager of the writer `incarnation` makes.
fn managed(id: &str, incarnation: u64) -> Proposal {
    let host = Host::Managed { incarnation, manager: 0 };
    Spawn::new(thread("main"), "agent").task(task(id)).host(host).into()
}

/// A primary with a few events, and a standby that has all of them, in a memory of its own.
fn pair() -> (Ledger, Ledger, MemStore) {
    let primary = ledger();
    append(&primary, [spawn("a"), spawn("b")]);
    append(&primary, [finish("a")]);
    let memory = MemStore::new();
    let id = primary.reader().ledger_id();
    let standby = Ledger::create_standby_in(&memory, id, options()).unwrap();
    standby.ingest_blocking(frames(&primary), Some(primary.reader().head())).unwrap();
    (primary, standby, memory)
}

fn reopened(memory: &MemStore) -> Ledger {
    Ledger::open_in(memory, options()).unwrap()
}

#[track_caller]
fn assert_higher(answer: Result<taskledger::ledger::NodeStatus, PromiseError>, than: Epoch) {
    let Err(PromiseError::Higher { promised }) = &answer else { panic!("{answer:?}") };
    assert_eq!(*promised, than);
    assert!(!answer.unwrap_err().is_retryable());
}

#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(answer: &Result<T, AppendError>, epoch: Epoch) {
    assert!(matches!(answer, Err(AppendError::Fenced { by }) if *by == epoch), "{answer:?}");
}

#[test]
fn a_primary_that_promises_is_fenced_at_its_final_head() {
    let (primary, _, _) = pair();
    let before = primary.node_status();
    assert_eq!((before.role, before.promised), (Role::Primary, None));
    assert_eq!(before.ledger, primary.reader().ledger_id());
    let status = primary.promise_blocking(SECOND).unwrap();
    assert_eq!((status.role, status.promised), (Role::Fenced { by: SECOND }, Some(SECOND)));
    assert_eq!((status.head, status.epoch), (primary.reader().head(), before.epoch));
    assert_fenced(&primary.append_blocking([spawn("late")]), SECOND);
    assert_fenced(&primary.ingest_blocking(vec![], None), SECOND);
    assert_eq!(primary.promise_blocking(SECOND).unwrap(), status, "it may be asked again");
    assert_eq!(primary.node_status(), status);
}

#[test]
fn a_promise_outlives_an_opening() {
    let memory = MemStore::new();
    let primary = Ledger::create_in(&memory, options()).unwrap();
    append(&primary, [spawn("a")]);
    let status = primary.promise_blocking(SECOND).unwrap();
    drop(primary);
    let primary = reopened(&memory);
    assert_eq!(primary.node_status(), status);
    assert_fenced(&primary.append_blocking([spawn("late")]), SECOND);
    assert_eq!(primary.promise_blocking(SECOND).unwrap(), status);
}

#[test]
fn neither_a_lower_nor_an_equal_epoch_is_promised_after_another() {
    let (primary, standby, _) = pair();
    let first = primary.node_status().epoch.unwrap();
    for node in [&primary, &standby] {
        // Not above the log: the epoch of a primary is not given away.
        assert_higher(node.promise_blocking(first), first);
        assert_higher(node.promise_blocking(epoch(1, first.nonce ^ 1)), first);
        node.promise_blocking(SECOND).unwrap();
        assert_higher(node.promise_blocking(RIVAL), SECOND);
        node.promise_blocking(THIRD).unwrap();
        assert_higher(node.promise_blocking(SECOND), THIRD);
    }
    assert_eq!(primary.role(), Role::Fenced { by: THIRD });
    assert_eq!(standby.role(), Role::Standby);
}

// Under an interval the acknowledged end of the log may not be durable. It was missing from the head
// that the candidate was told.
#[test]
fn what_was_acknowledged_before_a_promise_is_durable_and_in_its_head() {
    let interval = options().durability(Durability::Interval(Duration::from_hours(1)));
    let primary = Ledger::in_memory(interval).unwrap();
    append(&primary, [spawn("a")]);
    append(&primary, [spawn("b")]);
    assert!(primary.node_status().head.size < primary.reader().head().size);
    let status = primary.promise_blocking(SECOND).unwrap();
    assert_eq!(status.head, primary.reader().head());
}

/// Appends that wait when a promise comes are answered before it, and those behind it refused.
#[test]
fn a_promise_leaves_no_append_waiting() {
    let (gate, waiting, open) = Gate::new();
    let ledger = Ledger::in_memory(options().clock(gate)).unwrap();
    let open = open; // Goes before the ledger, which waits for its threads.
    let mut decided = pin!(ledger.append([spawn("decided")]));
    assert!(poll(decided.as_mut()).is_pending());
    waiting.recv().unwrap(); // The writer is held, and what comes next waits.
    let mut before = pin!(ledger.append([spawn("before")]));
    assert!(poll(before.as_mut()).is_pending());
    std::thread::scope(|scope| {
        let promise = scope.spawn(|| ledger.promise_blocking(SECOND));
        // Until the promise is queued, appends are taken before it.
        let mut queued = Vec::new();
        for n in 0..200 {
            let mut append = Box::pin(ledger.append([spawn(&format!("t{n}"))]));
            assert!(poll(append.as_mut()).is_pending());
            queued.push(append);
            std::thread::yield_now();
        }
        drop(open);
        let status = promise.join().unwrap().unwrap();
        assert_eq!(status.head, ledger.reader().head());
        assert_fenced(&ledger.append_blocking([spawn("late")]), SECOND);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            decided.await.unwrap();
            before.await.unwrap();
            let mut refused = false;
            for append in queued {
                match append.await {
                    Ok(receipts) => {
                        assert!(!refused, "one behind the promise was taken");
                        assert!(receipts[0].seq.get() <= status.head.size.get());
                    }
                    Err(AppendError::Fenced { by: SECOND }) => refused = true,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    assert_eq!(ledger.node_status().head, ledger.reader().head());
}

#[test]
fn a_standby_that_promised_takes_nothing_in_the_name_of_an_epoch_below() {
    let (primary, standby, memory) = pair();
    let first = primary.node_status().epoch.unwrap();
    let head = standby.promise_blocking(SECOND).unwrap().head;
    append(&primary, [spawn("late")]);
    let late = || primary.reader().frames(Seq::new(5).unwrap(), usize::MAX).unwrap();
    for node in [standby, reopened(&memory)] {
        assert_fenced(&node.ingest_blocking(late(), None), SECOND);
        assert_fenced(&node.ingest_by_blocking(first, late(), None), SECOND);
        assert_fenced(&node.ingest_by_blocking(RIVAL, late(), None), SECOND);
        assert_eq!(node.reader().head(), head);
    }
    // A standby that was behind gets old events, too, from the primary of the new epoch.
    let standby = reopened(&memory);
    let head = standby.ingest_by_blocking(SECOND, late(), None).unwrap();
    assert_eq!(head, primary.reader().head());
    assert_eq!(standby.ingest_by_blocking(THIRD, vec![], None).unwrap(), head);
}

#[test]
fn a_standby_takes_over_in_exactly_the_epoch_that_it_promised() {
    let (primary, standby, memory) = pair();
    let last = primary.promise_blocking(SECOND).unwrap().head;
    assert_eq!(standby.promise_blocking(SECOND).unwrap().head, last);
    let head = standby.take_over_blocking(SECOND, 0).unwrap();
    assert_eq!((head.size, head), (last.size.more(1), standby.reader().head()));
    let status = standby.node_status();
    assert_eq!((status.role, status.epoch, status.head), (Role::Primary, Some(SECOND), head));
    assert_eq!(beginnings(&standby).last().unwrap(), &(Began::Promoted, SECOND));
    assert_eq!(standby.take_over_blocking(SECOND, 0).unwrap(), head, "it may be asked again");
    append(&standby, [spawn("c")]);
    assert!(entries(&standby).last().unwrap().event.epoch == SECOND);
    assert!(matches!(standby.ingest_blocking(vec![], None), Err(AppendError::NotStandby)));
    drop(standby);
    let again = reopened(&memory);
    append(&again, [spawn("d")]);
    assert_eq!(beginnings(&again).last().unwrap(), &(Began::Opened, SECOND));
    assert_higher(again.promise_blocking(SECOND), SECOND);
}

#[test]
fn the_log_of_a_new_primary_continues_that_of_a_standby_of_the_old_one() {
    let (primary, standby, _) = pair();
    let behind = standby_of(&primary);
    behind.ingest_blocking(frames(&primary)[..1].to_vec(), None).unwrap();
    for node in [&primary, &standby, &behind] {
        node.promise_blocking(SECOND).unwrap();
    }
    standby.take_over_blocking(SECOND, 0).unwrap();
    append(&standby, [spawn("c")]);
    let rest = standby.reader().frames(Seq::new(2).unwrap(), usize::MAX).unwrap();
    let head = behind.ingest_by_blocking(SECOND, rest, Some(standby.reader().head())).unwrap();
    assert_eq!(head, standby.reader().head());
    assert_eq!(behind.node_status().epoch, Some(SECOND));
    // It has promised the epoch, which another node has begun.
    let refused = behind.take_over_blocking(SECOND, 0);
    let superseded =
        matches!(refused, Err(TakeOverError::Superseded { epoch: SECOND, reached: SECOND }));
    assert!(superseded, "{refused:?}");
    assert_eq!(behind.role(), Role::Standby);
}

#[test]
fn nobody_takes_over_without_its_own_promise() {
    let (primary, standby, _) = pair();
    let not_promised = |node: &Ledger, by: Epoch, known: Option<Epoch>| {
        let refused = node.take_over_blocking(by, 0);
        let Err(TakeOverError::NotPromised { epoch, promised }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((epoch, promised), (by, known));
    };
    not_promised(&standby, SECOND, None);
    standby.promise_blocking(SECOND).unwrap();
    not_promised(&standby, RIVAL, Some(SECOND));
    not_promised(&standby, THIRD, Some(SECOND));
    standby.promise_blocking(THIRD).unwrap();
    not_promised(&standby, SECOND, Some(THIRD));
    let refused = primary.take_over_blocking(SECOND, 0);
    assert!(matches!(refused, Err(TakeOverError::NotHere { role: Role::Primary })), "{refused:?}");
    assert_eq!((primary.role(), standby.role()), (Role::Primary, Role::Standby));
}

/// An abandoned promise has fenced the primary: it raises its own epoch above.
#[test]
fn a_fenced_primary_takes_over_from_itself() {
    let (primary, _, _) = pair();
    primary.promise_blocking(SECOND).unwrap();
    primary.promise_blocking(THIRD).unwrap();
    primary.take_over_blocking(THIRD, 0).unwrap();
    append(&primary, [finish("b")]);
    assert_eq!(primary.node_status().epoch, Some(THIRD));
}

#[test]
fn an_empty_standby_that_takes_over_does_not_say_that_it_created_the_ledger() {
    let memory = MemStore::new();
    let id = LedgerId([3; 16]);
    drop(Ledger::create_standby_in(&memory, id, options()).unwrap());
    let standby = reopened(&memory);
    assert_eq!(standby.incarnation(), 0, "it has written nothing of its own");
    standby.promise_blocking(SECOND).unwrap();
    standby.take_over_blocking(SECOND, 0).unwrap();
    append(&standby, [spawn("a")]);
    assert_eq!(beginnings(&standby), [(Began::Promoted, SECOND)]);
    assert!(audit::verify_reader(&standby.reader()).is_ok());
}

/// A crash right after the role was stored: the opening does the rest before anything else.
#[test]
fn a_stored_role_is_followed_by_its_epoch_at_the_opening() {
    let (_primary, standby, memory) = pair();
    let size = standby.promise_blocking(SECOND).unwrap().head.size;
    drop(standby);
    let node = memory.open().unwrap().node;
    node.set_identity(Identity { role: Kept::Primary, ..node.identity() }).unwrap();
    drop(node);
    let opened = reopened(&memory);
    let status = opened.node_status();
    assert_eq!((status.role, status.epoch), (Role::Primary, Some(SECOND)));
    assert_eq!(status.head.size, size.more(1), "it is durable before the first append");
    assert_eq!(beginnings(&opened).last().unwrap(), &(Began::Promoted, SECOND));
    drop(opened);
    let again = reopened(&memory);
    assert_eq!(again.reader().head().size, size.more(1), "once");
}

/// A primary of three running tasks of a manager, one of another host, and a standby of it.
fn with_running_tasks() -> (Ledger, MemStore) {
    let primary = ledger();
    append(&primary, [spawn("elsewhere")]);
    let incarnation = primary.incarnation();
    append(&primary, ["a", "b", "c"].map(|id| managed(id, incarnation)));
    append(&primary, [finish("b")]);
    let memory = MemStore::new();
    let id = primary.reader().ledger_id();
    let standby = Ledger::create_standby_in(&memory, id, options()).unwrap();
    standby.ingest_blocking(frames(&primary), None).unwrap();
    standby.promise_blocking(SECOND).unwrap();
    (standby, memory)
}

/// The tasks that were ended as orphans, in order.
fn orphans(ledger: &Ledger) -> Vec<String> {
    let orphaned = |entry: &Entry| {
        let restored = matches!(entry.event.action, Action::Restored { .. });
        restored.then(|| entry.event.task.as_ref().unwrap().to_string())
    };
    entries(ledger).iter().filter_map(orphaned).collect()
}

#[test]
fn running_tasks_of_the_old_host_end_once_at_a_take_over() {
    let (standby, memory) = with_running_tasks();
    standby.take_over_blocking(SECOND, 0).unwrap();
    assert_eq!(orphans(&standby), ["a", "c"]);
    let state = standby.reader().state().unwrap();
    let end = state.task(&task("a")).unwrap().terminal_seq.unwrap();
    let end = standby.reader().entry(end).unwrap();
    assert_eq!(end.text(PartKind::Error).map(|text| &**text), Some(ORPHANED_AT_TAKE_OVER));
    assert!(!state.task(&task("elsewhere")).unwrap().status.is_terminal());
    standby.take_over_blocking(SECOND, 0).unwrap();
    drop(standby);
    assert_eq!(orphans(&reopened(&memory)), ["a", "c"]);
}

/// A crash between the epoch and the ends of its orphans: an opening without a manager ends them, and
/// those of a later writer are left to the manager that it may have.
#[test]
fn orphans_of_a_take_over_that_was_stopped_end_at_the_opening() {
    let (standby, memory) = with_running_tasks();
    let one = options().batch_events_max(1);
    drop(standby);
    let standby = Ledger::open_in(&memory, one).unwrap();
    standby.take_over_blocking(SECOND, 0).unwrap();
    assert_eq!(orphans(&standby), ["a", "c"]);
    let whole = frames(&standby);
    drop(standby);
    // The log as it is after each of its last events.
    for kept in whole.len() - 2..=whole.len() {
        let memory = MemStore::new();
        let id = LedgerId(reopened_id(&whole));
        let copy = Ledger::create_standby_in(&memory, id, options()).unwrap();
        copy.ingest_blocking(whole[..kept].to_vec(), None).unwrap();
        drop(copy);
        let node = memory.open().unwrap().node;
        let promised = Some(SECOND);
        node.set_identity(Identity { role: Kept::Primary, promised, ..node.identity() }).unwrap();
        drop(node);
        let opened = reopened(&memory);
        assert_eq!(orphans(&opened), ["a", "c"], "{kept}");
        let incarnation = append_managed(&opened);
        drop(opened);
        let again = reopened(&memory);
        assert_eq!(orphans(&again), ["a", "c"], "that of writer {incarnation} is left");
    }
}

fn reopened_id(frames: &[Vec<u8>]) -> [u8; 16] {
    let Action::Began { ledger, .. } = codec::decode(&frames[0]).unwrap().event.action else {
        panic!("a log begins with it")
    };
    ledger.0
}

/// Spawns a task of a manager of this opening; returns its writer.
fn append_managed(ledger: &Ledger) -> u64 {
    append(ledger, [spawn("first")]);
    let incarnation = ledger.incarnation();
    append(ledger, [managed("later", incarnation)]);
    incarnation
}

#[test]
fn more_orphans_than_one_batch_end_too() {
    let primary = ledger();
    append(&primary, [spawn("x")]);
    for hundred in 0..6 {
        let batch: Vec<_> = (0..100).map(|n| managed(&format!("t{hundred}-{n}"), 1)).collect();
        append(&primary, batch);
    }
    primary.promise_blocking(SECOND).unwrap();
    primary.take_over_blocking(SECOND, 0).unwrap();
    assert_eq!(orphans(&primary).len(), 600);
    assert_eq!(primary.reader().state().unwrap().running_managed().count(), 0);
}

fn unnamed() -> Proposal {
    Spawn::new(thread("main"), "shell").into()
}

#[test]
fn numbers_that_the_old_primary_may_have_given_are_not_given_again() {
    let primary = ledger();
    append(&primary, [unnamed()]);
    let told = primary.reserved_numbers();
    assert!(told >= 1);
    let memory = MemStore::new();
    let id = primary.reader().ledger_id();
    let standby = Ledger::create_standby_in(&memory, id, options()).unwrap();
    standby.ingest_blocking(frames(&primary), None).unwrap();
    append(&primary, [unnamed()]); // is lost
    standby.reserve_numbers_blocking(told).unwrap();
    standby.reserve_numbers_blocking(7).unwrap();
    standby.close_blocking().unwrap();
    drop(standby);

    let standby = reopened(&memory);
    standby.promise_blocking(SECOND).unwrap();
    let from = told + 131_072;
    standby.take_over_blocking(SECOND, from).unwrap();
    standby.close_blocking().unwrap(); // before any of them was given
    drop(standby);
    let primary = reopened(&memory);
    let given = primary.append_blocking([unnamed()]).unwrap().remove(0).task.unwrap();
    assert_eq!(given.as_str(), format!("bg_{from}"));
    assert!(matches!(primary.reserve_numbers_blocking(1), Err(AppendError::NotStandby)));
}

#[test]
fn a_standby_that_takes_over_gives_none_of_the_numbers_that_it_was_told_of() {
    let (primary, standby, _) = pair();
    standby.reserve_numbers_blocking(500).unwrap();
    drop(primary);
    standby.promise_blocking(SECOND).unwrap();
    standby.take_over_blocking(SECOND, 0).unwrap();
    let given = standby.append_blocking([unnamed()]).unwrap().remove(0).task.unwrap();
    assert_eq!(given.as_str(), "bg_500");
}

/// A standby that was pointed at a copy of its ledger took its events, and was a standby of the copy.
#[test]
fn a_standby_does_not_become_one_of_a_copy_of_its_ledger() {
    let (primary, standby, _) = pair();
    let (copy, size) = (MemStore::new(), primary.reader().head().size);
    let other = options().entropy(Arc::new(SeededEntropy::new(8)));
    let fork = primary.fork_in_blocking(size, &copy, other, &mut |_, _| {}).unwrap();
    append(&fork, [spawn("of the copy")]);
    let rest = fork.reader().frames(size.next_seq().unwrap(), usize::MAX).unwrap();
    let refused = standby.ingest_blocking(rest, None).unwrap_err();
    let AppendError::NotContinuation { why: Discontinuity::Fork(why), .. } = refused else {
        panic!("{refused}")
    };
    let (expected, found) = (primary.reader().ledger_id(), fork.reader().ledger_id());
    assert_eq!(why, Fork::Ledger { expected, found });

    // A standby of the copy takes the events of the original first, and is no copy before it has more.
    let of_copy = standby_of(&fork);
    let all = frames(&fork);
    let (first, rest) = all.split_at(usize::try_from(size.get()).unwrap());
    of_copy.ingest_blocking(first.to_vec(), None).unwrap();
    of_copy.promise_blocking(THIRD).unwrap();
    let refused = of_copy.take_over_blocking(THIRD, 0);
    assert!(matches!(refused, Err(TakeOverError::OtherLedger { .. })), "{refused:?}");
    of_copy.ingest_by_blocking(THIRD, rest.to_vec(), Some(fork.reader().head())).unwrap();
    of_copy.take_over_blocking(THIRD, 0).unwrap();
}

#[test]
fn a_ledger_that_is_only_read_has_no_say() {
    let (primary, _, _) = pair();
    let memory = MemStore::new();
    let size = primary.reader().head().size;
    let fork = primary.fork_in_blocking(size, &memory, options(), &mut |_, _| {}).unwrap();
    append(&fork, [spawn("x")]);
    let reading = Ledger::open_read_only_in(&memory, options()).unwrap();
    let refused = reading.promise_blocking(THIRD);
    assert!(matches!(refused, Err(PromiseError::NotHere { role: Role::ReadOnly })), "{refused:?}");
    let refused = reading.take_over_blocking(THIRD, 0);
    assert!(matches!(refused, Err(TakeOverError::NotHere { .. })), "{refused:?}");
    let status = reading.node_status();
    assert_eq!((status.role, status.epoch), (Role::ReadOnly, fork.node_status().epoch));
    assert_eq!(status.node, fork.node_status().node);
}

#[test]
fn a_ledger_that_is_closed_promises_nothing() {
    let (primary, standby, _) = pair();
    primary.close_blocking().unwrap();
    assert!(matches!(primary.promise_blocking(SECOND), Err(PromiseError::Halted)));
    standby.promise_blocking(SECOND).unwrap();
    standby.close_blocking().unwrap();
    assert!(matches!(standby.take_over_blocking(SECOND, 0), Err(TakeOverError::Halted)));
}

#[test]
fn a_directory_takes_over_as_a_memory_does() {
    let place = tempfile::tempdir().unwrap();
    let primary = Ledger::create(place.path().join("primary"), options()).unwrap();
    append(&primary, [spawn("a"), managed("m", 1)]);
    let path = place.path().join("standby");
    let standby = Ledger::create_standby(&path, primary.reader().ledger_id(), options()).unwrap();
    standby.ingest_blocking(frames(&primary), None).unwrap();
    let last = primary.promise_blocking(SECOND).unwrap().head;
    drop(primary);
    let primary = Ledger::open(place.path().join("primary"), options()).unwrap();
    assert_eq!(primary.role(), Role::Fenced { by: SECOND });
    standby.promise_blocking(SECOND).unwrap();
    drop(standby);
    let standby = Ledger::open(&path, options()).unwrap();
    assert_eq!((standby.role(), standby.node_status().head), (Role::Standby, last));
    standby.take_over_blocking(SECOND, 90).unwrap();
    assert_eq!(orphans(&standby), ["m"]);
    drop(standby);
    let standby = Ledger::open(&path, options()).unwrap();
    assert_eq!((standby.role(), standby.node_status().epoch), (Role::Primary, Some(SECOND)));
    let given = standby.append_blocking([unnamed()]).unwrap().remove(0).task.unwrap();
    assert_eq!(given.as_str(), "bg_90");
    standby.close_blocking().unwrap();
    assert!(audit::verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap().is_ok());
}

/// A node store that has no room the next time.
#[derive(Debug)]
struct Crowded {
    node: Arc<dyn NodeStore>,
    full: AtomicBool,
}

impl NodeStore for Crowded {
    fn identity(&self) -> Identity {
        self.node.identity()
    }

    fn set_identity(&self, identity: Identity) -> Result<(), store::Error> {
        if self.full.swap(false, Ordering::SeqCst) {
            return Err(store::Error::Full { what: "a file", room: None, source: None });
        }
        self.node.set_identity(identity)
    }
}

/// What could not be stored has not happened: the role changes after `NODE` did.
#[test]
fn a_role_that_could_not_be_stored_is_not_taken() {
    let memory = MemStore::new();
    drop(Ledger::create_in(&memory, options()).unwrap());
    let Opened { log, snapshots, node } = memory.open().unwrap();
    let crowded = Arc::new(Crowded { node, full: AtomicBool::new(true) });
    let ledger = Ledger::over(Opened { log, snapshots, node: crowded.clone() }, options()).unwrap();
    append(&ledger, [spawn("a")]);
    let refused = ledger.promise_blocking(SECOND).unwrap_err();
    assert!(matches!(refused, PromiseError::Store(_)) && refused.is_retryable(), "{refused:?}");
    assert_eq!((ledger.role(), ledger.node_status().promised), (Role::Primary, None));
    append(&ledger, [spawn("b")]);
    ledger.promise_blocking(SECOND).unwrap();

    crowded.full.store(true, Ordering::SeqCst);
    let refused = ledger.take_over_blocking(SECOND, 0).unwrap_err();
    assert!(matches!(refused, TakeOverError::Store(_)) && refused.is_retryable(), "{refused:?}");
    assert_eq!(ledger.role(), Role::Fenced { by: SECOND });
    assert_fenced(&ledger.append_blocking([spawn("c")]), SECOND);
    ledger.take_over_blocking(SECOND, 0).unwrap();
    append(&ledger, [spawn("c")]);
}

/// The role is stored, and then there is no room for the event that goes with it: until there is, this
/// node is neither a primary nor a standby.
#[test]
fn a_take_over_that_finds_the_disk_full_is_gone_on_with() {
    let disk = FaultyDisk::new(3);
    let identity = Identity::new(LedgerId([7; 16]), NodeId([1; 16]));
    disk.open().unwrap().set_identity(Identity { role: Kept::Standby, ..identity }).unwrap();
    let standby = Ledger::over(Opened::of(disk.open().unwrap()), options()).unwrap();
    let source = Ledger::over(
        Opened { node: Arc::new(FixedNode(identity)), ..Opened::of(MemStore::new()) },
        options(),
    )
    .unwrap();
    append(&source, [spawn("a")]);
    standby.ingest_blocking(frames(&source), None).unwrap();
    standby.promise_blocking(SECOND).unwrap();
    disk.set_bytes_max(Some(disk.bytes()));
    let refused = standby.take_over_blocking(SECOND, 0).unwrap_err();
    let full = matches!(refused, TakeOverError::Append(AppendError::DiskFull));
    assert!(full && refused.is_retryable(), "{refused:?}");
    assert_eq!(standby.role(), Role::Fenced { by: SECOND });
    assert_fenced(&standby.ingest_by_blocking(THIRD, vec![], None), SECOND);
    assert_fenced(&standby.append_blocking([spawn("b")]), SECOND);
    disk.set_bytes_max(None);
    standby.take_over_blocking(SECOND, 0).unwrap();
    append(&standby, [spawn("b")]);
    assert_eq!(beginnings(&standby).last().unwrap(), &(Began::Promoted, SECOND));
}
