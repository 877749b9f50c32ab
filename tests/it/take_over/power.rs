//! Power cuts under a promise and a take-over: at every call that they make to the device, in turn, and
//! at every call of the opening after that.

use super::{SECOND, beginnings, managed, orphans, unnamed};
use crate::support::*;
use std::time::Duration;
use taskledger::{
    Ledger, Options,
    audit::verify_reader,
    event::Began,
    ids::{LedgerId, NodeId, Size},
    ledger::{Durability, NodeStatus, OpenError, Role},
    store::{
        Identity, NodeStore, Opened, Role as Kept,
        faulty::{Call, Effect, Fault, FaultyDisk},
    },
};

const SEEDS: u64 = 6;
/// More calls than a promise or a take-over makes.
const CALLS_MAX: u64 = 40;

fn open(disk: &FaultyDisk, options: Options) -> Result<Ledger, OpenError> {
    Ledger::over(Opened::of(disk.open()?), options)
}

/// Nothing succeeds after so many calls.
fn fail(disk: &FaultyDisk, after: u64) {
    disk.fail(Fault { call: Call::Any, after, effect: Effect::FailsForGood });
}

fn cut_power(disk: &FaultyDisk) {
    disk.cut_power();
    disk.repair();
}

fn device(seed: u64, role: Kept) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    let identity = Identity::new(LedgerId([7; 16]), NodeId([1; 16]));
    disk.open().unwrap().set_identity(Identity { role, ..identity }).unwrap();
    disk
}

fn interval() -> Options {
    options().durability(Durability::Interval(Duration::from_hours(1)))
}

/// A promise that was given holds after loss of power, with all that was acknowledged before it.
#[test]
fn a_promise_that_was_given_outlives_loss_of_power() {
    let mut given = 0;
    for (seed, calls) in (0..SEEDS).flat_map(|seed| (0..CALLS_MAX).map(move |n| (seed, n))) {
        let disk = device(seed, Kept::Primary);
        let primary = open(&disk, interval()).unwrap();
        append(&primary, [spawn("a"), spawn("b")]);
        append(&primary, [finish("a")]);
        let acknowledged = primary.reader().head();
        fail(&disk, calls);
        let promise = primary.promise_blocking(SECOND);
        drop(primary);
        cut_power(&disk);

        let opened = open(&disk, interval()).unwrap();
        let fenced = Role::Fenced { by: SECOND };
        match promise {
            Ok(NodeStatus { role, head, .. }) => {
                given += 1;
                assert_eq!((role, head), (fenced, acknowledged), "{seed} {calls}");
                assert_eq!(opened.node_status().head, head, "{seed} {calls}");
                assert_eq!(opened.role(), fenced, "{seed} {calls}: it was a primary again");
            }
            Err(_) if opened.role() == Role::Primary => {
                append(&opened, [spawn("goes on")]);
            }
            Err(_) => assert_eq!(opened.role(), fenced, "{seed} {calls}"),
        }
        opened.promise_blocking(SECOND).unwrap();
        assert_eq!(opened.role(), fenced);
    }
    assert!((1..SEEDS * CALLS_MAX).contains(&given), "{given}: calls are too few or too many");
}

/// A standby with two running tasks, that has promised.
fn standby(seed: u64) -> (FaultyDisk, Ledger) {
    let source = device(99, Kept::Primary);
    let primary = open(&source, options()).unwrap();
    append(&primary, [spawn("elsewhere")]);
    append(&primary, [managed("a", 1), managed("b", 1)]);
    let disk = device(seed, Kept::Standby);
    let standby = open(&disk, options()).unwrap();
    standby.ingest_blocking(super::frames(&primary), None).unwrap();
    standby.promise_blocking(SECOND).unwrap();
    (disk, standby)
}

/// Checks what is left when a take-over was stopped, and takes over if it did not begin.
fn assert_takes_over(opened: &Ledger, size: Size, at: &str) {
    let status = opened.node_status();
    assert_eq!(status.promised, Some(SECOND), "{at}");
    if status.role == Role::Standby {
        assert_eq!(status.head.size, size, "{at}: it wrote as a standby");
        opened.take_over_blocking(SECOND, 70).unwrap();
    }
    assert_eq!(opened.role(), Role::Primary, "{at}");
    let mut begun = beginnings(opened);
    assert_eq!(begun.last().unwrap().1, SECOND, "{at}");
    begun.retain(|(why, _)| *why == Began::Promoted);
    assert_eq!(begun, [(Began::Promoted, SECOND)], "{at}");
    assert_eq!(orphans(opened), ["a", "b"], "{at}: each once");
    let task = opened.append_blocking([unnamed()]).unwrap().remove(0).task.unwrap();
    assert_eq!(task.as_str(), "bg_70", "{at}");
    assert!(verify_reader(&opened.reader()).is_ok(), "{at}");
}

#[test]
fn a_take_over_that_loses_power_anywhere_is_whole_or_did_not_begin() {
    let mut done = 0;
    for (seed, calls) in (0..SEEDS).flat_map(|seed| (0..CALLS_MAX).map(move |n| (seed, n))) {
        let (disk, standby) = standby(seed);
        let size = standby.reader().head().size;
        fail(&disk, calls);
        let taken = standby.take_over_blocking(SECOND, 70);
        drop(standby);
        cut_power(&disk);
        let at = format!("seed {seed}, {calls} calls");
        let opened = open(&disk, options()).unwrap();
        if let Ok(head) = taken {
            done += 1;
            assert_eq!(opened.role(), Role::Primary, "{at}");
            assert!(opened.reader().head().size >= head.size, "{at}");
        }
        assert_takes_over(&opened, size, &at);
    }
    assert!((1..SEEDS * CALLS_MAX).contains(&done), "{done}: calls are too few or too many");
}

/// The opening that goes on with a take-over loses power itself.
#[test]
fn an_opening_that_goes_on_with_a_take_over_may_be_stopped_as_well() {
    for (seed, calls) in (0..SEEDS).flat_map(|seed| (0..CALLS_MAX).map(move |n| (seed, n))) {
        let (disk, standby) = standby(seed);
        let size = standby.reader().head().size;
        drop(standby);
        let store = disk.open().unwrap();
        taskledger::store::FrameLog::reserve(&store, 70).unwrap();
        let identity = NodeStore::identity(&store);
        store.set_identity(Identity { role: Kept::Primary, ..identity }).unwrap();
        fail(&disk, calls);
        drop(open(&disk, options()));
        cut_power(&disk);
        assert_takes_over(&open(&disk, options()).unwrap(), size, &format!("{seed} {calls}"));
    }
}
