//! Power cuts under a whole ledger: at every call that it makes to its device, in turn.
//!
//! The device of the faulty store keeps apart what is written and what is durable. From the n-th
//! call on nothing succeeds; then the power goes, and of what was not synced each sector is there,
//! gone or torn. Everything goes through the public `append`.

use crate::support::*;
use std::{sync::Arc, time::Duration};
use taskledger::{
    Ledger,
    audit::verify_reader,
    command::{self, Proposal},
    event::{Event, Outcome, PartKind, PartSet},
    ids::LedgerId,
    ledger::{AppendError, Durability, OpenError, Receipt},
    store::faulty::{Call, Effect, Fault, FaultyDisk},
};

const SECRET: &str = "the password is swordfish";
/// One thing that a caller does.
enum Step {
    Append(Vec<Proposal>),
    /// Erases the error of the task `a`.
    Redact,
    Snapshot,
    Sync,
    Purge,
}

/// Spawns, ends, a batch, a repeated key, a redaction, a purge, and snapshots in between. Each
/// append has keys, so that all of it can be done again.
fn steps() -> Vec<Step> {
    let ends_badly = || keyed(finish_with("a", Outcome::Failed, Some(SECRET)), 4);
    vec![
        Step::Append(vec![keyed(spawn("a"), 1)]),
        Step::Append(vec![keyed(spawn("b"), 2), keyed(spawn("c"), 3)]),
        Step::Append(vec![keyed(spawn("a"), 1)]),
        Step::Append(vec![ends_badly()]),
        Step::Snapshot,
        Step::Redact,
        Step::Append(vec![keyed(finish("b"), 6)]),
        Step::Sync,
        Step::Append(vec![keyed(spawn("d"), 7), keyed(finish("d"), 8)]),
        Step::Purge,
        Step::Append(vec![ends_badly()]),
        Step::Append(vec![keyed(finish("c"), 9)]),
        Step::Snapshot,
        Step::Append(vec![keyed(spawn("e"), 10)]),
        Step::Append(vec![keyed(finish("e"), 11)]),
    ]
}

fn open(disk: &FaultyDisk, durability: Durability) -> Result<Ledger, OpenError> {
    let store = Arc::new(disk.open()?);
    Ledger::over_store(store.clone(), store, LedgerId([9; 16]), options().durability(durability))
}

/// The redaction of what the end of `a` says, wherever it is by now.
fn redaction(ledger: &Ledger) -> Vec<Proposal> {
    let state = ledger.reader().state().unwrap();
    let end = state.task(&task("a")).and_then(|task| task.terminal_seq);
    let parts = PartSet::default().with(PartKind::Error);
    let redact = |seq| command::Redact::new(seq, parts, "a credential");
    end.map(|seq| keyed(redact(seq).into(), 5)).into_iter().collect()
}

/// What a caller knows after doing as much as could be done.
#[derive(Default)]
struct Known {
    receipts: Vec<Receipt>,
    /// Events of which the caller was told that they survive loss of power.
    durable: u64,
    purged: bool,
    /// Whether any append was not acknowledged.
    refused: bool,
}

/// Does every step, up to the first that fails; from then on nothing may succeed.
fn work(ledger: &Ledger) -> Known {
    let mut known = Known::default();
    let mut failed = false;
    for step in steps() {
        let batch = match step {
            Step::Append(batch) => batch,
            Step::Redact => redaction(ledger),
            Step::Sync => {
                match ledger.sync_blocking() {
                    Ok(head) => known.durable = known.durable.max(head.size.get()),
                    Err(_) => failed = true,
                }
                continue;
            }
            Step::Purge => {
                // Of nothing, it has nothing to do.
                let redacted = ledger.reader().state().unwrap().redactions().next().is_some();
                known.purged = ledger.purge_blocking().is_ok() && redacted;
                continue;
            }
            // Losing one costs time only.
            Step::Snapshot => {
                drop(ledger.flush_blocking());
                continue;
            }
        };
        match ledger.append_blocking(batch) {
            Ok(receipts) => {
                assert!(!failed || receipts.is_empty(), "{receipts:?} after a failure");
                let durable = receipts.iter().filter(|receipt| receipt.durable);
                let durable = durable.map(|receipt| receipt.seq.get()).max();
                known.durable = known.durable.max(durable.unwrap_or(0));
                known.receipts.extend(receipts);
            }
            Err(error) => {
                let halted = matches!(error, AppendError::Halted);
                assert!(!failed || halted, "{error:?} instead of halted");
                failed |= halted || matches!(error, AppendError::OutcomeUnknown { .. });
                known.refused = true;
            }
        }
    }
    known
}

fn events(ledger: &Ledger) -> Vec<Event> {
    entries(ledger).into_iter().map(|entry| entry.event).collect()
}

/// What is in the log if nothing fails.
fn whole(durability: Durability) -> Vec<Event> {
    let ledger = open(&FaultyDisk::new(0), durability).unwrap();
    assert!(!work(&ledger).refused);
    events(&ledger)
}

/// Cuts the power at call number `calls` of a ledger on a new device. Answers whether it came to
/// that.
fn cut_at(calls: u64, seed: u64, durability: Durability, truth: &[Event]) -> bool {
    let place = format!("call {calls}, seed {seed}, {durability:?}");
    let disk = FaultyDisk::new(seed);
    disk.fail(Fault { call: Call::Any, after: calls, effect: Effect::FailsForGood });
    let ledger = open(&disk, durability);
    let known = ledger.as_ref().map(work).unwrap_or_default();
    let ledger_failed = ledger.is_err() || known.refused;
    disk.cut_power();
    disk.repair();
    if let Ok(ledger) = &ledger {
        let late = ledger.append_blocking([spawn("late")]);
        assert!(
            matches!(late, Err(AppendError::Halted | AppendError::OutcomeUnknown { .. })),
            "{place}: {late:?}"
        );
        let late = ledger.append_blocking([spawn("late")]);
        assert!(matches!(late, Err(AppendError::Halted)), "{place}: halted stays halted: {late:?}");
    }
    drop(ledger);

    let ledger = open(&disk, durability).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    let left = events(&ledger);
    let size = ledger.reader().head().size;
    assert!(truth.starts_with(&left), "{place}: {size} events that are no prefix");
    assert!(size >= known.durable, "{place}: {size} of {} durable events", known.durable);
    if durability == Durability::Synced {
        let acknowledged = known.receipts.iter().map(|receipt| receipt.seq.get()).max();
        assert_eq!(known.durable, acknowledged.unwrap_or(0), "{place}: an ack is durable");
    }
    assert!(!known.purged || ledger.reader().erased_upto().is_some(), "{place}");
    assert_eq!(verify_reader(&ledger.reader()).findings, [], "{place}");

    // What an opening has shown stays, also if the power goes again at once.
    drop(ledger);
    disk.cut_power();
    let ledger = open(&disk, durability).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    assert_eq!(events(&ledger), left, "{place}: gone after a second cut");

    // And all of it can be done again: what was kept is answered with its receipt.
    let again = work(&ledger);
    assert!(!again.refused, "{place}");
    for (before, now) in known.receipts.iter().zip(&again.receipts) {
        let kept = before.seq.get() <= size;
        assert!(
            !kept || (now.seq, now.repeated) == (before.seq, true),
            "{place}: {before:?} {now:?}"
        );
    }
    let state = ledger.reader().state().unwrap();
    let ended =
        ["a", "b", "c", "d", "e"].map(|id| state.task(&task(id)).unwrap().status.is_terminal());
    assert_eq!((state.tasks_len(), ended), (5, [true; 5]), "{place}");
    assert!(entries(&ledger).iter().all(|entry| entry.text(PartKind::Error).is_none()), "{place}");
    assert_eq!(verify_reader(&ledger.reader()).findings, [], "{place}");
    ledger_failed
}

/// At every call, until one run needs fewer.
fn cut_at_every_call(durability: Durability) {
    let truth = whole(durability);
    assert_eq!(truth.len(), 12);
    for seed in 0..4 {
        let mut calls = 0;
        while cut_at(calls, seed, durability, &truth) {
            calls += 1;
        }
        assert!(calls > 20, "only {calls} calls");
    }
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_call() {
    cut_at_every_call(Durability::Synced);
}

/// It can cost what was acknowledged last, but never what is behind a gap, and nothing that the
/// caller was told is durable.
#[test]
fn what_a_power_cut_leaves_under_interval_is_a_prefix_that_holds_what_was_synced() {
    cut_at_every_call(Durability::Interval(Duration::from_hours(1)));
}

/// What these tests would see if an acknowledgement did not wait for the sync.
#[test]
fn a_device_that_only_says_that_it_has_synced_loses_what_was_acknowledged() {
    let lost = (0..8).filter(|&seed| {
        let disk = FaultyDisk::new(seed);
        disk.fail(Fault { call: Call::Sync, after: 4, effect: Effect::Lies });
        let ledger = open(&disk, Durability::Synced).unwrap();
        let known = work(&ledger);
        disk.cut_power();
        disk.repair();
        drop(ledger);
        let acknowledged = known.receipts.iter().map(|receipt| receipt.seq.get()).max();
        let left = open(&disk, Durability::Synced);
        left.is_ok_and(|ledger| Some(ledger.reader().head().size.get()) < acknowledged)
    });
    assert!(lost.count() > 0);
}
