//! What a ledger takes: appends, frames of its primary, or nothing; and how much of it may wait.

use crate::support::*;
use std::{pin::pin, sync::Mutex, task::Poll, thread::scope};
use taskledger::{
    Ledger, codec,
    ids::{Epoch, Head, Size},
    ledger::{AppendError, PurgeError, Role},
    store::{DiskHome, DiskOptions, Home, Identity},
};

/// A primary of five events, their frames, and a place for another ledger.
fn primary() -> (Ledger, Vec<Vec<u8>>, tempfile::TempDir) {
    let ledger = ledger();
    append(&ledger, [spawn("a"), spawn("b")]);
    append(&ledger, [finish("a")]);
    append(&ledger, [finish("b")]);
    let frames = entries(&ledger).iter().map(|entry| codec::encode(entry).unwrap()).collect();
    (ledger, frames, tempfile::tempdir().unwrap())
}

#[test]
fn a_standby_takes_frames_and_no_appends_also_when_it_is_opened_again() {
    let (primary, frames, place) = primary();
    let (path, reader) = (place.path().join("standby"), primary.reader());
    let (first, rest) = frames.split_at(3);
    let standby = Ledger::create_standby(&path, reader.ledger_id(), options()).unwrap();
    assert_eq!((primary.role(), standby.role()), (Role::Primary, Role::Standby));
    assert!(matches!(refused(&standby, [spawn("c")]), AppendError::NotPrimary));
    let third = Head { size: Size::new(3), root: reader.root_at(Size::new(3)).unwrap() };
    assert_eq!(standby.ingest_blocking(first.to_vec(), Some(third)).unwrap(), third);
    standby.close_blocking().unwrap();
    drop(standby);

    let standby = Ledger::open(&path, options()).unwrap();
    assert_eq!((standby.role(), standby.reader().head()), (Role::Standby, third));
    assert!(matches!(refused(&standby, [spawn("c")]), AppendError::NotPrimary));
    let head = standby.ingest_blocking(rest.to_vec(), Some(reader.head())).unwrap();
    assert_eq!(head, reader.head());
    assert_eq!(standby.reader().state().unwrap(), reader.state().unwrap());
    assert_eq!(standby.reader().ledger_id(), reader.ledger_id());
    let node = standby.reader().node_id();
    assert!(node.is_some() && node != reader.node_id(), "each copy is a node of its own");
    standby.purge_blocking().unwrap();
    standby.close_blocking().unwrap();
}

#[test]
fn what_does_not_fit_leaves_a_standby_as_it_was() {
    let (primary, frames, _place) = primary();
    let standby = standby_of(&primary);
    let mut gap = frames.clone();
    gap.remove(3);
    let wrong =
        Some(Head { size: Size::new(5), root: primary.reader().root_at(Size::new(4)).unwrap() });
    for (frames, expect) in [(gap, None), (frames.clone(), wrong)] {
        let refused = standby.ingest_blocking(frames, expect);
        assert!(matches!(refused, Err(AppendError::NotContinuation { .. })), "{refused:?}");
        assert_eq!(standby.reader().head(), Head::EMPTY, "all or nothing");
    }
    let head = standby.ingest_blocking(frames, Some(primary.reader().head())).unwrap();
    assert_eq!(head.size, 5);
}

#[test]
fn a_primary_takes_no_frames() {
    let (primary, frames, _place) = primary();
    let refused = primary.ingest_blocking(frames, None);
    assert!(matches!(refused, Err(AppendError::NotStandby)), "{refused:?}");
    assert_eq!(primary.reader().head().size, 5);
}

#[test]
fn a_copy_is_a_primary_once_it_is_whole() {
    let (primary, _frames, place) = primary();
    let path = place.path().join("fork");
    let fork = primary.fork_blocking(Size::new(4), path, options(), &mut |_, _| {}).unwrap();
    assert_eq!(fork.role(), Role::Primary);
    assert_eq!(append(&fork, [finish("b")]).len(), 1);
    assert!(matches!(fork.ingest_blocking(vec![], None), Err(AppendError::NotStandby)));
}

/// A ledger that another node took over from: NODE says so.
#[test]
fn a_fenced_ledger_refuses_all_and_is_still_read() {
    let (_primary, frames, place) = primary();
    let path = place.path().join("fenced");
    let ledger = Ledger::create(&path, options()).unwrap();
    append(&ledger, [spawn("a")]);
    ledger.close_blocking().unwrap();
    drop(ledger);
    let by = Epoch { number: 7, nonce: 9 };
    let node = DiskHome::new(&path, DiskOptions::default()).open().unwrap().node;
    node.set_identity(Identity { fenced: Some(by), ..node.identity() }).unwrap();
    drop(node);

    let fenced = Ledger::open(&path, options()).unwrap();
    assert_eq!(fenced.role(), Role::Fenced { by });
    let by_epoch = |error| matches!(error, AppendError::Fenced { by: epoch } if epoch == by);
    assert!(by_epoch(refused(&fenced, [spawn("b")])));
    assert!(by_epoch(fenced.ingest_blocking(frames, None).unwrap_err()));
    let purge = fenced.purge_blocking();
    assert!(matches!(purge, Err(PurgeError::NotHere { role: Role::Fenced { .. } })), "{purge:?}");
    assert!(fenced.reader().task(&task("a")).unwrap().is_some());
    assert_eq!(fenced.sync_blocking().unwrap(), fenced.reader().head());
    fenced.close_blocking().unwrap();
    drop(fenced);
    Ledger::open(&path, options()).unwrap();
}

#[test]
fn a_ledger_that_is_open_for_reading_refuses_all() {
    let (_primary, frames, place) = primary();
    let path = place.path().join("ledger");
    let ledger = Ledger::create(&path, options()).unwrap();
    append(&ledger, [spawn("a")]);
    ledger.close_blocking().unwrap();
    drop(ledger);
    let reading = Ledger::open_read_only(&path, options()).unwrap();
    assert_eq!(reading.role(), Role::ReadOnly);
    assert!(matches!(refused(&reading, [spawn("b")]), AppendError::NotPrimary));
    assert!(matches!(reading.ingest_blocking(frames, None), Err(AppendError::NotStandby)));
    let purge = reading.purge_blocking();
    assert!(matches!(purge, Err(PurgeError::NotHere { role: Role::ReadOnly })), "{purge:?}");
    reading.close_blocking().unwrap();
}

/// Frames that wait were once as many as came, and so were syncs and purges.
#[test]
fn what_is_no_append_waits_in_a_queue_with_a_bound() {
    let (_primary, frames, _place) = primary();
    let (gate, waiting, open) = Gate::new();
    let limits = options().queue_jobs_max(2).clock(gate);
    let ledger = Ledger::in_memory(limits).unwrap();
    let open = open; // Goes before the ledger, which waits for its threads.
    let mut decided = pin!(ledger.append([spawn("decided")]));
    assert!(poll(decided.as_mut()).is_pending());
    waiting.recv().unwrap(); // The writer is held, and what comes next waits.
    ledger.pretend_role(Role::Standby);
    let mut queued =
        [Box::pin(ledger.ingest(frames.clone(), None)), Box::pin(ledger.ingest(vec![], None))];
    for queued in &mut queued {
        assert!(poll(queued.as_mut()).is_pending());
    }
    let Poll::Ready(Err(error)) = poll(pin!(ledger.ingest(frames, None))) else {
        panic!("it should be refused")
    };
    assert!(matches!(error, AppendError::Busy { max: 2 }), "{error}");
    scope(|scope| {
        let refused = scope.spawn(|| (ledger.sync_blocking(), ledger.purge_blocking()));
        let (sync, purge) = refused.join().unwrap();
        assert!(matches!(sync, Err(AppendError::Busy { max: 2 })), "{sync:?}");
        assert!(matches!(purge, Err(PurgeError::Busy { max: 2 })), "{purge:?}");
    });
    ledger.pretend_role(Role::Primary);
    let mut appended = pin!(ledger.append([spawn("b")]));
    assert!(poll(appended.as_mut()).is_pending(), "appends have a bound of their own");

    drop(open);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        decided.await.unwrap();
        let [ingested, nothing] = queued;
        assert!(matches!(ingested.await, Err(AppendError::NotContinuation { .. })));
        assert_eq!(nothing.await.unwrap().size, 2);
        assert_eq!(appended.await.unwrap()[0].seq.get(), 3);
    });
}

#[test]
fn a_close_is_taken_when_the_queue_is_full_and_every_caller_of_it_waits_for_it() {
    let (_primary, _frames, place) = primary();
    let path = place.path().join("ledger");
    let (gate, waiting, open) = Gate::new();
    let limits = options().queue_jobs_max(1).queue_requests_max(1).clock(gate);
    let ledger = Ledger::create(&path, limits).unwrap();
    let open = open;
    let one_by_one = Mutex::new(());
    scope(|scope| {
        let decided = scope.spawn(|| ledger.append_blocking([spawn("decided")]));
        waiting.recv().unwrap();
        let closing = [0, 1, 2].map(|_| {
            scope.spawn(|| {
                ledger.close_blocking().unwrap();
                // Whichever call closed it, its files are let go of by now.
                let _opening = one_by_one.lock().unwrap();
                drop(DiskHome::new(&path, DiskOptions::default()).open().unwrap());
            })
        });
        // Once it is being closed, nothing more is taken.
        let late = || poll(pin!(ledger.append([spawn("late")])));
        while !matches!(late(), Poll::Ready(Err(AppendError::Halted))) {
            std::thread::yield_now();
        }
        drop(open);
        assert!(decided.join().unwrap().is_ok(), "it came before the close");
        for close in closing {
            close.join().unwrap();
        }
    });
}

#[test]
fn options_that_cannot_work_are_refused() {
    let wrong = [
        options().group_events_max(0),
        options().group_bytes_max(0),
        options().group_bytes_max((64 << 20) + 1),
        options().group_bytes_max(50 << 20),
        options().batch_bytes_max(64 << 20),
    ];
    for options in wrong {
        let refused = Ledger::in_memory(options);
        assert!(
            matches!(refused, Err(taskledger::ledger::OpenError::Option { .. })),
            "{refused:?}"
        );
    }
    let most = options().batch_bytes_max(63 << 20);
    assert!(Ledger::in_memory(most).is_ok());
}
