//! Copies that were cut short, and the progress of long work.

use crate::disk::*;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use taskledger::{
    Ledger,
    audit::{VerifyOptions, verify},
    event::PartSet,
    ids::{Seq, Size},
    ledger::{CopyError, OpenError, verify_backup},
};

#[track_caller]
fn is_unfinished<T: std::fmt::Debug>(answer: &Result<T, OpenError>, path: &Path) {
    let Err(OpenError::Unfinished { path: at }) = answer else { panic!("{answer:?}") };
    assert_eq!(at, path);
}

/// Killed behind the last event and before the redactions were repeated, a fork was taken for a
/// ledger; `verify` then found texts gone without a word, and there was no way to make it again.
#[test]
fn a_fork_that_was_killed_anywhere_is_no_ledger_and_can_be_made_again() {
    let (temporary, path) = directory();
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..600);
    let cut = ledger.reader().head().size;
    ledger.redact_blocking(Seq::new(5).unwrap(), PartSet::ALL, "after the cut").unwrap();

    let fork = temporary.path().join("fork");
    let mut killed = Vec::new();
    let made = ledger.fork_blocking(cut, &fork, small(), &mut |done, total| {
        let image = temporary.path().join(format!("killed-at-{done}"));
        copy_tree(&fork, &image);
        killed.push((done, total, image));
    });
    made.unwrap().close_blocking().unwrap();
    assert!(killed.len() > 2, "{killed:?}");
    let (done, total, _) = killed.last().unwrap();
    assert_eq!((done, total), (&cut.get(), &cut.get()), "all events are there, no redaction is");

    for (_, _, image) in killed {
        is_unfinished(&Ledger::open(&image, small()), &image);
        is_unfinished(&Ledger::open_or_create(&image, small()), &image);
        is_unfinished(&Ledger::open_read_only(&image, small()), &image);
        is_unfinished(&Ledger::rebuild(&image, &small(), &mut |_, _| {}), &image);
        is_unfinished(&verify(&image, &VerifyOptions::default(), &mut |_, _| {}), &image);
        let fork = ledger.fork_blocking(cut, &image, small(), &mut |_, _| {}).unwrap();
        assert_eq!(fork.reader().root_at(cut).unwrap(), ledger.reader().root_at(cut).unwrap());
        fork.close_blocking().unwrap();
        drop(fork);
        let report = audit(&image);
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
        let again = ledger.fork_blocking(cut, &image, small(), &mut |_, _| {});
        let exists = matches!(again, Err(CopyError::Open(OpenError::Exists { .. })));
        assert!(exists, "a finished copy is not cleared away: {again:?}");
        Ledger::open(&image, small()).unwrap();
    }
}

#[test]
fn a_restore_that_was_killed_is_no_ledger_and_can_be_made_again() {
    let (temporary, path) = directory();
    let [file, target, image] = ["file", "new", "killed"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..600);
    ledger.reader().backup(&file, &mut |_, _| {}).unwrap();
    let head = ledger.reader().head();
    let restored = Ledger::restore_blocking(&file, &target, small(), &mut |done, total| {
        if done > total / 2 && done < total && !image.exists() {
            copy_tree(&target, &image);
        }
    });
    restored.unwrap().close_blocking().unwrap();
    is_unfinished(&Ledger::open(&image, small()), &image);
    let again = Ledger::restore_blocking(&file, &image, small(), &mut |_, _| {}).unwrap();
    assert_eq!(again.reader().head(), head);
}

/// Work that tells of its progress.
type Work<'a> = &'a mut dyn FnMut(&mut dyn FnMut(u64, u64));

/// As a program does that is interrupted: nothing half made is left.
#[test]
fn a_progress_that_unwinds_takes_what_was_begun_with_it() {
    let (temporary, path) = directory();
    let [file, target] = ["file", "new"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..600);
    let stopped = |work: Work<'_>| {
        let mut stop = |_: u64, _: u64| std::panic::resume_unwind(Box::new("stop"));
        catch_unwind(AssertUnwindSafe(|| work(&mut stop))).unwrap_err();
    };
    stopped(&mut |stop| drop(ledger.fork_blocking(Size::new(900), &target, small(), stop)));
    assert!(!target.exists());
    stopped(&mut |stop| drop(ledger.reader().backup(&file, stop)));
    assert!(!file.exists());
    let head = ledger.reader().head();
    ledger.close_blocking().unwrap();
    drop(ledger);
    stopped(&mut |stop| drop(Ledger::rebuild(&path, &small(), stop)));
    assert_eq!(Ledger::open(&path, small()).unwrap().reader().head(), head);
}

/// Whoever shows it wants a bar that only grows, and ends full.
#[test]
fn progress_only_grows_and_ends_with_all_of_it() {
    let (temporary, path) = directory();
    let [file, fork, new] = ["file", "fork", "new"].map(|name| temporary.path().join(name));
    let ledger = Ledger::create(&path, small()).unwrap();
    fill(&ledger, 0..1_100);
    let size = ledger.reader().head().size;
    let told = |name: &str, total: u64, work: Work<'_>| {
        let mut steps = Vec::new();
        work(&mut |done, of| steps.push((done, of)));
        assert!(steps.len() > 2, "{name}: {steps:?}");
        assert!(steps.is_sorted(), "{name}: {steps:?}");
        assert!(steps.iter().all(|(_, of)| *of == total), "{name}: {steps:?}");
        assert_eq!(steps.last().unwrap().0, total, "{name}: {steps:?}");
    };
    told("backup", size.get(), &mut |tell| {
        ledger.reader().backup(&file, tell).unwrap();
    });
    told("verify_backup", size.get(), &mut |tell| {
        verify_backup(&file, tell).unwrap();
    });
    told("fork", size.get(), &mut |tell| {
        drop(ledger.fork_blocking(size, &fork, small(), tell).unwrap());
    });
    told("restore", 2 * size.get(), &mut |tell| {
        drop(Ledger::restore_blocking(&file, &new, small(), tell).unwrap());
    });
    ledger.close_blocking().unwrap();
    drop(ledger);
    told("rebuild", size.get(), &mut |tell| {
        drop(Ledger::rebuild(&path, &small(), tell).unwrap());
    });
}
